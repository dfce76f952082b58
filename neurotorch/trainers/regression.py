"""Training on series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from neurotorch.metrics.regression import RegressionMetrics
from neurotorch.trainers.trainer import Trainer


def per_output(model: Any, criterion: Callable[[], torch.nn.Module]) -> Any:
    """A criterion, or a dict of them where the model has several outputs."""
    names = list(getattr(model, "output_sizes", None) or ())
    return {name: criterion() for name in names} if len(names) > 1 else criterion()


class RegressionTrainer(Trainer):
    """A :class:`Trainer` with the defaults for series.

    Predictions are ``model.get_prediction_trace``, the criterion is the mean squared error of every output, the
    metrics are :class:`~neurotorch.metrics.RegressionMetrics`, which run the model over the loaders once more;
    ``exec_metrics_on_train=False`` spares the training data.

    Parameters
    ----------
    model, **kwargs
        See :class:`Trainer`.
    """

    _predict_method = "get_prediction_trace"

    def _default_criterion(self) -> Any:
        return per_output(self.model, torch.nn.MSELoss)

    def _default_metrics(self) -> list[Callable[[Any], Any]]:
        return [RegressionMetrics(self.model)]
