"""Losses of predictions, of one output or of several by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Criterion = Callable[[Any, Any], Tensor]


def criterion_loss(criterion: Criterion | Mapping[str, Criterion] | None, pred_batch: Any, y_batch: Any) -> Tensor:
    """Loss of predictions: the criterion's, or the sum over the outputs of a dict of criteria.

    Of a tuple of predictions the first counts. Without a criterion it is the mean squared error.

    Raises
    ------
    AssertionError
        Predictions and targets of a dict of criteria are not by the same names.
    ValueError
        There is no criterion, and several predictions have one target.
    """
    if isinstance(pred_batch, (tuple, list)):
        pred_batch = pred_batch[0]
    if criterion is None:
        mse = torch.nn.functional.mse_loss
        if isinstance(pred_batch, Mapping) and len(pred_batch) > 1 and not isinstance(y_batch, Mapping):
            raise ValueError(f"y_batch: expected a dict with a target for {', '.join(pred_batch)}, got one target")
        criterion = dict.fromkeys(y_batch, mse) if isinstance(y_batch, Mapping) else mse
    if isinstance(criterion, Mapping):
        pred = dict.fromkeys(criterion, pred_batch) if isinstance(pred_batch, Tensor) else pred_batch
        y = dict.fromkeys(criterion, y_batch) if isinstance(y_batch, Tensor) else y_batch
        assert isinstance(pred, Mapping), f"pred_batch: expected a tensor or a dict, got {type(pred).__name__}"
        assert isinstance(y, Mapping), f"y_batch: expected a tensor or a dict, got {type(y).__name__}"
        for argument, named in (("pred_batch", pred), ("y_batch", y)):
            missing = [name for name in criterion if name not in named]
            assert not missing, f"{argument}: expected {', '.join(criterion)}, got none for {', '.join(missing)}"
        losses = [c(pred[name], y[name].to(pred[name].device)) for name, c in criterion.items()]
        return torch.stack(losses).sum()
    if isinstance(pred_batch, Mapping) and len(pred_batch) == 1:
        pred_batch = next(iter(pred_batch.values()))
    if isinstance(y_batch, Mapping) and len(y_batch) == 1:
        y_batch = next(iter(y_batch.values()))
    if isinstance(y_batch, Tensor) and isinstance(pred_batch, Tensor):
        y_batch = y_batch.to(pred_batch.device)
    loss: Tensor = criterion(pred_batch, y_batch)
    return loss


def number_of_samples(y: Any) -> int:
    """Size of the first axis of a target, or of the first one in a dict, tuple or list."""
    while isinstance(y, (Mapping, tuple, list)):
        y = next(iter(y.values() if isinstance(y, Mapping) else y))
    return int(y.shape[0]) if y.dim() else 1
