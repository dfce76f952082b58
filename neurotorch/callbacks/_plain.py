"""What a checkpoint may hold: values that ``torch.load(weights_only=True)`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_PLAIN = (str, bytes, bool, int, float, complex, torch.Tensor, torch.Size, torch.dtype, torch.device)


def as_plain(value: Any, name: str) -> Any:
    """The value with numpy's numbers and arrays as Python's numbers and tensors, in dicts, lists and tuples too.

    Parameters
    ----------
    value : Any
    name : str
        What the value is, for the error.

    Raises
    ------
    TypeError
        Something in it could be written, but not be read again; the message says where.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {as_plain(key, f"a key of {name}"): as_plain(entry, f"{name}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [as_plain(entry, f"{name}[{number}]") for number, entry in enumerate(value)]
        return entries if isinstance(value, list) else tuple(entries)
    raise TypeError(
        f"{name}: a checkpoint holds numbers, strings, tensors, and dicts and lists of them, got {type(value).__name__}"
    )
