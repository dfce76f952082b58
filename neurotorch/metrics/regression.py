"""Scores of predicted series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurotorch.metrics.base import BaseMetrics, Collected, predictions_of, progress, score
from neurotorch.utils import to_tensor

Array = npt.NDArray[Any]


def _pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if prediction.shape != target.shape:
        raise ValueError(f"dataloader: expected targets {list(prediction.shape)}, got {list(target.shape)}")
    return prediction, target.to(prediction.dtype)


def _predictions(
    model: torch.nn.Module,
    dataloader: Any,
    device: torch.device | None = None,
    verbose: bool = False,
    desc: str | None = None,
    p_bar_position: int = 0,
) -> tuple[Any, Any]:
    """Targets and what ``model.get_prediction_trace`` gives, ``[B, T, F]``, or dicts of them by output."""
    predict = model.get_prediction_trace
    batches = progress(dataloader, verbose, desc, p_bar_position)
    return predictions_of(model, batches, predict, _pair, device)  # type: ignore[arg-type]


def _difference(y_true: Array, y_pred: Array) -> npt.NDArray[np.float64]:
    return y_true.astype(np.float64).ravel() - y_pred.astype(np.float64).ravel()


class RegressionMetrics(BaseMetrics):
    """Errors and explained variances of predicted series.

    Each function takes a model and a data loader, or `y_true` and `y_pred`, arrays of one shape or dicts of them by
    output. A model predicts by ``get_prediction_trace``.

    Parameters
    ----------
    model, metrics_names, device
        See :class:`BaseMetrics`; names are ``mae`` (or ``mean_absolute_error``), ``mse`` (or ``mean_squared_error``),
        ``r2``, ``d2`` (or ``d2_tweedie``) and ``p_var``.
    """

    EPSILON: ClassVar[float] = 1e-12

    compute_y_true_y_pred = staticmethod(_predictions)
    predict_methods = ("get_prediction_trace",)

    def collector(self) -> Collected:
        """What collects predictions for :meth:`of_predictions`."""
        return Collected(_pair)

    @staticmethod
    def get_all_metrics_names_to_func() -> dict[str, Callable[..., Any]]:
        """Functions by name."""
        return {
            "mae mean_absolute_error": RegressionMetrics.mean_absolute_error,
            "mse mean_squared_error": RegressionMetrics.mean_squared_error,
            "r2": RegressionMetrics.r2,
            "d2 d2_tweedie": RegressionMetrics.d2_tweedie,
            "p_var": RegressionMetrics.p_var,
        }

    @staticmethod
    @score(_predictions)
    def mean_absolute_error(y_true: Array, y_pred: Array) -> float:
        """Mean absolute error over all elements."""
        return float(np.abs(_difference(y_true, y_pred)).mean())

    @staticmethod
    @score(_predictions)
    def mean_squared_error(y_true: Array, y_pred: Array) -> float:
        """Mean squared error over all elements."""
        return float(np.square(_difference(y_true, y_pred)).mean())

    @staticmethod
    @score(_predictions)
    def r2(y_true: Array, y_pred: Array) -> float:
        """Coefficient of determination over all elements; of constant targets 1 if they are met, else 0."""
        error = float(np.square(_difference(y_true, y_pred)).mean())
        spread = float(y_true.astype(np.float64).var())
        return 1.0 - error / spread if spread > 0 else float(error == 0)

    @staticmethod
    @score(_predictions)
    def d2_tweedie(y_true: Array, y_pred: Array) -> float:
        """Explained share of the Tweedie deviance of power 0, which is :meth:`r2`."""
        value: float = RegressionMetrics.r2(y_true=y_true, y_pred=y_pred)
        return value

    @staticmethod
    def compute_p_var(y_true: Any, y_pred: Any, device: torch.device | None = None, reduction: str = "mean") -> Tensor:
        """Explained variance per sample, ``1 - MSE / (Var(y) + 1e-12)`` over all axes but the first.

        Parameters
        ----------
        y_true, y_pred : Tensor or array ``[B, ...]``
        device : torch.device, optional
            By default that of `y_pred`.
        reduction : {"mean", "sum", "none"}
            Over the samples.

        Raises
        ------
        ValueError
            The reduction is another one.
        """
        y_pred = to_tensor(y_pred)
        y_pred = y_pred if device is None else y_pred.to(device)
        p, y = y_pred.flatten(1), to_tensor(y_true).to(y_pred.device).flatten(1)
        values: Tensor = 1.0 - (p - y).square().mean(dim=1) / (y.var(dim=1) + RegressionMetrics.EPSILON)
        reductions = {"mean": values.mean(), "sum": values.sum(), "none": values}
        if reduction.lower() not in reductions:
            raise ValueError(f"reduction: expected one of {', '.join(reductions)}, got {reduction!r}")
        return reductions[reduction.lower()]

    @staticmethod
    @score(_predictions)
    def p_var(y_true: Array, y_pred: Array) -> float:
        """Mean over samples of :meth:`compute_p_var`."""
        return float(RegressionMetrics.compute_p_var(y_true, y_pred))
