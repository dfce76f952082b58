"""Conversions between numbers, arrays, tensors and containers of them."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_tensor(x: Any, dtype: torch.dtype | None = torch.float32) -> Any:
    """Convert to tensors of one dtype, inside dicts, lists and tuples entry by entry.

    Parameters
    ----------
    x : Tensor, array, number, dict, list or tuple
        A list of numbers becomes a list of scalars.
    dtype : torch.dtype or None
        None keeps the dtype.

    Returns
    -------
    Tensor, or the same container of tensors

    Raises
    ------
    ValueError
        `x` cannot be converted.
    """
    if isinstance(x, Tensor):
        return x.to(dtype) if dtype is not None else x
    if isinstance(x, np.ndarray):
        return torch.from_numpy(x).to(dtype) if dtype is not None else torch.from_numpy(x)
    if isinstance(x, (Number, np.generic)):
        return torch.tensor(x, dtype=dtype)
    if isinstance(x, dict):
        return {key: to_tensor(value, dtype) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)([to_tensor(value, dtype) for value in x])
    try:
        return torch.as_tensor(x, dtype=dtype)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"x: expected numbers, arrays or tensors, got {type(x).__name__}") from error


def to_numpy(x: Any, dtype: Any = np.float32) -> Any:
    """Convert to numpy arrays, inside dicts entry by entry.

    Tensors keep their dtype, arrays get `dtype`, numbers stay as they are. Lists and tuples become one array of
    `dtype`; where their entries have different shapes, they are converted one by one.

    Raises
    ------
    ValueError
        `x` cannot be converted.
    """
    if isinstance(x, Tensor):
        return x.detach().cpu().numpy()
    if isinstance(x, np.ndarray):
        return x.astype(dtype, copy=False)
    if isinstance(x, (Number, np.generic)):
        return x
    if isinstance(x, dict):
        return {key: to_numpy(value, dtype) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        entries = [to_numpy(value, dtype) for value in x]
        if len({np.shape(entry) for entry in entries}) < 2 and not any(isinstance(e, (dict, list)) for e in entries):
            return np.asarray(entries, dtype=dtype)
        return type(x)(entries)
    try:
        return np.asarray(x, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"x: expected numbers, arrays or tensors, got {type(x).__name__}") from error
