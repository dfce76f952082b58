"""Predictions in the form of their targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.utils.collections import unpack_singleton_dict


def format_pred_batch(raw_pred_batch: Any, y_batch: Any) -> Any:
    """What a model returned, as a tensor or a dict like the targets.

    Parameters
    ----------
    raw_pred_batch : Tensor, dict of Tensor, or a tuple or list of one of them and hidden states
        Of a tuple or list, the first entry is the prediction.
    y_batch : Tensor or dict of Tensor

    Returns
    -------
    Tensor or dict of Tensor
        A tensor becomes a dict where the targets are a dict of one entry; a dict of one entry becomes its tensor where
        the targets are none.

    Raises
    ------
    ValueError
        The prediction is neither of these.
    AssertionError
        Prediction and targets have different entries.
    """
    pred = raw_pred_batch[0] if isinstance(raw_pred_batch, (tuple, list)) else raw_pred_batch
    if not isinstance(pred, (Tensor, dict)):
        raise ValueError(f"raw_pred_batch: expected a tensor or a dict of tensors, got {type(pred).__name__}")
    if isinstance(y_batch, dict):
        if not isinstance(pred, dict) and len(y_batch) == 1:
            return dict.fromkeys(y_batch, pred)
        assert isinstance(pred, dict), f"raw_pred_batch: expected a dict with {list(y_batch)}, got a tensor"
        assert pred.keys() == y_batch.keys(), f"raw_pred_batch: expected the keys {list(y_batch)}, got {list(pred)}"
        return pred
    if isinstance(pred, dict):
        assert len(pred) == 1, f"raw_pred_batch: expected one entry where y_batch is no dict, got {list(pred)}"
        return unpack_singleton_dict(pred)
    return pred


def maybe_apply_softmax(x: Any, dim: int = -1) -> Tensor:
    """Softmax, unless the values are probabilities already: none negative, sums within 1e-6 of one.

    Parameters
    ----------
    x : Tensor, array or nested sequence of numbers
    dim : int
        Axis over which probabilities sum to one.

    Returns
    -------
    Tensor
        Of the shape of `x`.
    """
    values: Tensor = torch.as_tensor(x)
    values = values if values.is_floating_point() else values.float()
    sums = values.sum(dim=dim)
    if bool((values >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-6):
        return values
    return torch.softmax(values, dim=dim)
