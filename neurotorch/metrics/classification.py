"""Scores of predicted classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurotorch.metrics.base import BaseMetrics, Collected, predictions_of, progress, score

Array = npt.NDArray[Any]


def _pair(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted and true class numbers, flat."""
    classes = scores.argmax(dim=-1)
    if target.dim() == classes.dim() + 1:
        target = target.argmax(dim=-1) if target.shape[-1] > 1 else target.squeeze(-1)
    if target.shape != classes.shape:
        raise ValueError(
            f"dataloader: expected classes {list(classes.shape)} or one-hot {list(scores.shape)}, "
            f"got {list(target.shape)}"
        )
    return classes.flatten(), target.long().flatten()


def _predictions(
    model: torch.nn.Module,
    dataloader: Any,
    device: torch.device | None = None,
    verbose: bool = False,
    desc: str | None = None,
    p_bar_position: int = 0,
) -> tuple[Any, Any]:
    """True and predicted class numbers of all samples, ``[n]``, or dicts of them by output.

    The predicted class is where ``model.get_prediction_proba`` is largest. Targets are class numbers or one-hot.
    """

    def predict(x: Any, **kwargs: Any) -> Any:
        flags = {"re_outputs_trace": False, "re_hidden_states": False}
        made = model.get_prediction_proba(x, **flags, **kwargs)  # type: ignore[operator]
        return made[0] if isinstance(made, (tuple, list)) else made

    return predictions_of(model, progress(dataloader, verbose, desc, p_bar_position), predict, _pair, device)


def _confusion(y_true: Array, y_pred: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Classes in ascending order, and counts: rows are true classes, columns predicted ones."""
    classes, numbers = np.unique(np.concatenate([y_true.ravel(), y_pred.ravel()]), return_inverse=True)
    true, predicted = np.split(numbers, 2)
    counts = np.zeros((classes.size, classes.size), dtype=np.int64)
    np.add.at(counts, (true, predicted), 1)
    return classes, counts


def _ratio(part: Array, whole: Array) -> Array:
    """Zero where the whole is zero."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _averaged(y_true: Array, y_pred: Array, ratio: Callable[[Array, Array, Array], Array]) -> float:
    """A ratio of (right, predicted, true) counts per class: that of class 1 among classes 0 and 1, else the mean."""
    classes, counts = _confusion(y_true, y_pred)
    values = ratio(np.diag(counts), counts.sum(axis=0), counts.sum(axis=1))
    if set(classes.tolist()) <= {0, 1}:
        return float(values[classes == 1].sum())
    return float(values.mean())


class ClassificationMetrics(BaseMetrics):
    """Accuracy, precision, recall and F1 of predicted classes.

    Each function takes a model and a data loader, or `y_true` and `y_pred`, arrays ``[n]`` of class numbers or dicts
    of them by output. A model predicts by ``get_prediction_proba``; targets of a data loader are class numbers or
    one-hot. Precision, recall and F1 are those of class 1 where the classes are 0 and 1, else the mean over classes,
    with 0 for a class that makes them 0/0.

    Parameters
    ----------
    model, metrics_names, device
        See :class:`BaseMetrics`; names are ``accuracy`` (or ``acc``), ``precision``, ``recall`` and ``f1``.
    """

    compute_y_true_y_pred = staticmethod(_predictions)
    predict_methods = ("get_prediction_proba", "get_prediction_log_proba")

    def collector(self) -> Collected:
        """What collects predictions for :meth:`of_predictions`."""
        return Collected(_pair)

    @staticmethod
    def get_all_metrics_names_to_func() -> dict[str, Callable[..., Any]]:
        """Functions by name."""
        return {
            "accuracy acc": ClassificationMetrics.accuracy,
            "precision": ClassificationMetrics.precision,
            "recall": ClassificationMetrics.recall,
            "f1": ClassificationMetrics.f1,
        }

    @staticmethod
    @score(_predictions)
    def accuracy(y_true: Array, y_pred: Array) -> float:
        """Share of right predictions."""
        return float((y_true == y_pred).mean())

    @staticmethod
    @score(_predictions)
    def precision(y_true: Array, y_pred: Array) -> float:
        """Share of the predictions of a class that are right."""
        return _averaged(y_true, y_pred, lambda right, predicted, true: _ratio(right, predicted))

    @staticmethod
    @score(_predictions)
    def recall(y_true: Array, y_pred: Array) -> float:
        """Share of the samples of a class that are found."""
        return _averaged(y_true, y_pred, lambda right, predicted, true: _ratio(right, true))

    @staticmethod
    @score(_predictions)
    def f1(y_true: Array, y_pred: Array) -> float:
        """Harmonic mean of precision and recall."""
        return _averaged(y_true, y_pred, lambda right, predicted, true: _ratio(2 * right, predicted + true))

    @staticmethod
    @score(_predictions)
    def confusion_matrix(y_true: Array, y_pred: Array) -> npt.NDArray[np.int64]:
        """Counts ``[C, C]`` of the classes that occur, in ascending order: rows are true, columns predicted."""
        return _confusion(y_true, y_pred)[1]

    @staticmethod
    @score(_predictions)
    def auc(y_true: Array, y_pred: Array) -> float:
        """Area under the ROC curve of two classes 0 and 1; `y_pred` may be any score that rises with class 1.

        The share of pairs of a sample of each class that are in the right order, ties counted half; NaN without pairs.
        """
        _, ranks, counts = np.unique(y_pred, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        mean_rank = (last - (counts - 1) / 2)[ranks]
        positive = y_true == 1
        n, m = int(positive.sum()), int((~positive).sum())
        return float((mean_rank[positive].sum() - n * (n + 1) / 2) / (n * m)) if n * m else math.nan
