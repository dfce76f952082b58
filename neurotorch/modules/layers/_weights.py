"""Initial weights and signs."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.modules.layers._activations import Activation


def checked(argument: str, value: Any, shape: tuple[int, ...] | None, like: Tensor) -> Tensor:
    """A copy of an array-like with the dtype and device of `like`.

    Raises
    ------
    ValueError
        Its shape is not the wanted one; None wants any.
    """
    source = value.detach() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    tensor = source.to(dtype=like.dtype, device=like.device, copy=True)
    if shape is not None and tuple(tensor.shape) != shape:
        raise ValueError(f"{argument}: expected shape {list(shape)}, got {list(tensor.shape)}")
    return tensor


def draw_signs(argument: str, fraction: float | None, like: Tensor) -> Tensor:
    """Signs ``N(0, 1)`` like the column ``[n, 1]``.

    With a fraction p, ``int(p n)`` random rows are negative (inhibitory) and the others positive.

    Raises
    ------
    ValueError
        The fraction is not between 0 and 1.
    """
    signs = torch.randn_like(like, requires_grad=False)
    if fraction is None:
        return signs
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"{argument}: expected a fraction between 0 and 1 or a column of signs, got {fraction}")
    n = like.shape[0]
    signs.abs_()
    signs[torch.randperm(n, device=like.device)[: int(n * fraction)]] *= -1.0
    return signs


def as_fraction(value: Any) -> float | None:
    """The fraction of inhibitory rows that a ``*_sign`` argument may give as a number; None for an array."""
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (np.ndarray, Tensor)) and value.ndim == 0:
        return float(value)
    return None


def checked_mask(argument: str, value: Any, like: Tensor) -> Tensor:
    """A copy of a mask as zeros and ones in the dtype of the weights `like`, of their shape.

    Raises
    ------
    ValueError
        Another shape, or other numbers.
    """
    mask = checked(argument, value, tuple(like.shape), like)
    wrong = mask[(mask != 0) & (mask != 1)]
    if wrong.numel():
        raise ValueError(f"{argument}: expected zeros and ones, got {wrong[0].item()}")
    return mask


def typical_size(activation: Activation, signs: Tensor | None, like: Tensor) -> float:
    """Root mean square of ``activation(sigma)`` over given signs, or over ``sigma ~ N(0, 1)``."""
    if signs is None:
        quantiles = (torch.arange(1000, dtype=like.dtype, device=like.device) + 0.5) / 1000
        signs = torch.special.ndtri(quantiles)
    return math.sqrt(float(activation(signs).square().mean()))
