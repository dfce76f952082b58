"""Training on classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from neurotorch.learning_algorithms import BPTT, LearningAlgorithm
from neurotorch.metrics import ClassificationMetrics, NLLLoss
from neurotorch.trainers.regression import per_output
from neurotorch.trainers.trainer import Trainer
from neurotorch.transforms import ToTensor


class ClassificationTrainer(Trainer):
    """A :class:`Trainer` with the defaults for classes, whose targets are class numbers.

    Predictions are ``model.get_prediction_log_proba``, the criterion is the negative log likelihood of every output,
    the learning algorithm :class:`~neurotorch.BPTT` with Adam at a rate of 1e-3; the metrics are
    :class:`~neurotorch.metrics.ClassificationMetrics`, which run the model over the loaders once more;
    ``exec_metrics_on_train=False`` spares the training data. Targets become int64.

    Parameters
    ----------
    model, **kwargs
        See :class:`Trainer`.
    """

    _predict_method = "get_prediction_log_proba"

    def _default_criterion(self) -> Any:
        return per_output(self.model, NLLLoss)

    def _default_metrics(self) -> list[Callable[[Any], Any]]:
        return [ClassificationMetrics(self.model)]

    def _default_y_transform(self) -> Callable[[Any], Any]:
        return ToTensor(dtype=torch.long)

    def _default_algorithm(self) -> LearningAlgorithm:
        return BPTT(
            optimizer=self.optimizer,
            criterion=self.criterion,
            default_optimizer_cls=torch.optim.Adam,
            default_optim_kwargs={"lr": 1e-3},
        )
