"""Exponential filters along time, without a loop over steps, and the geometric decay of a number."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from neurotorch.utils.conversion import to_tensor


def _check(x: Tensor) -> None:
    if x.dim() < 2 or x.shape[1] == 0:
        raise ValueError(f"x: expected shape [B, T, ...] with at least one step, got {list(x.shape)}")


def _powers(decay: float | Tensor, exponents: Tensor, like: Tensor) -> Tensor:
    """``decay ** exponents`` in the dtype of a tensor, computed in double precision."""
    base = torch.as_tensor(decay, dtype=torch.float64, device=like.device)
    return torch.pow(base, exponents.to(like.device)).to(like.dtype)


def batchwise_temporal_decay(x: Tensor, decay: float | Tensor = 0.9) -> Tensor:
    """Sum over time in which older steps count less, ``sum_t d^(T - 1 - t) x^t``.

    Parameters
    ----------
    x : Tensor [B, T, ...]
    decay : float or scalar Tensor
        d per step. Differentiable where it is a tensor.

    Returns
    -------
    Tensor [B, ...]
        The last step of :func:`batchwise_temporal_recursive_filter`.

    Raises
    ------
    ValueError
        `x` has fewer than two axes, or no step.
    """
    x = _floating(x)
    _check(x)
    weights = _powers(decay, torch.arange(x.shape[1] - 1, -1, -1), x)
    return torch.einsum("t,bt...->b...", weights, x)


def batchwise_temporal_filter(x: Tensor, decay: float | Tensor = 0.9) -> Tensor:
    """Cumulated sums of ``d^(T - 1 - t) x^t``; deprecated, since that is not the filter one wants.

    Parameters
    ----------
    x : Tensor [B, T, ...]
    decay : float or scalar Tensor
        d per step.

    Returns
    -------
    Tensor [B, T, ...]
        Equal to :func:`batchwise_temporal_recursive_filter` in the last step only.

    Warns
    -----
    DeprecationWarning
        Always.
    """
    warnings.warn(
        "batchwise_temporal_filter is no low-pass filter; use batchwise_temporal_recursive_filter",
        DeprecationWarning,
        stacklevel=2,
    )
    x = _floating(x)
    _check(x)
    weights = _powers(decay, torch.arange(x.shape[1] - 1, -1, -1), x)
    return torch.cumsum(x * weights.view(1, -1, *(1,) * (x.dim() - 2)), dim=1)


def batchwise_temporal_recursive_filter(x: Tensor, decay: float | Tensor = 0.9) -> Tensor:
    """Low-pass filter along time, ``y^t = d y^(t-1) + x^t`` with y zero before the first step.

    Time is cut into about ``sqrt(T)`` blocks, which are filtered beside each other and then receive what those before
    them hand on: some ``2 sqrt(T)`` operations in place instead of T, and as many backwards.

    Parameters
    ----------
    x : Tensor [B, T, ...]
    decay : float or scalar Tensor
        d per step. Differentiable where it is a tensor.

    Returns
    -------
    Tensor [B, T, ...]

    Raises
    ------
    ValueError
        `x` has fewer than two axes, or no step.
    """
    x = _floating(x)
    _check(x)
    flat = x.reshape(x.shape[0], x.shape[1], -1)
    d = torch.as_tensor(decay, dtype=torch.float64, device=x.device)
    return _Filter.apply(flat, d, False).reshape(x.shape)  # type: ignore[no-any-return, no-untyped-call]


class _Filter(torch.autograd.Function):
    """The filter of ``[B, T, N]``, from the last step to the first where it is reversed.

    The adjoint of a filter is the filter in the other direction.
    """

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, decay: Tensor, is_reversed: bool) -> tuple[Tensor, int]:
        if in_dims[1] is not None:
            raise ValueError("decay: cannot be mapped by vmap, of which one value serves all")
        x = x.movedim(in_dims[0], 0)
        out = _Filter.apply(x.flatten(0, 1), decay, is_reversed)  # type: ignore[no-untyped-call]
        return out.unflatten(0, x.shape[:2]), 0

    @staticmethod
    def forward(x: Tensor, decay: Tensor, is_reversed: bool) -> Tensor:
        return _filter_(x.clone(memory_format=torch.contiguous_format), decay, is_reversed)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _, decay, ctx.is_reversed = inputs
        ctx.save_for_backward(decay, *([output] if ctx.needs_input_grad[1] else []))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        decay, *kept = ctx.saved_tensors
        grad = _Filter.apply(grads[0], decay, not ctx.is_reversed)  # type: ignore[no-untyped-call]
        grad_decay = None
        if kept:
            earlier, later = (kept[0][:, 1:], grad[:, :-1]) if ctx.is_reversed else (kept[0][:, :-1], grad[:, 1:])
            grad_decay = (earlier * later).sum(dtype=torch.float64)
        return grad, grad_decay, None


def _filter_(y: Tensor, decay: Tensor, is_reversed: bool) -> Tensor:
    """Filter a contiguous tensor in place."""
    batch, steps, width = y.shape
    size = math.isqrt(steps)
    whole = steps - steps % size
    d, block = decay.to(y.dtype), (decay**size).to(y.dtype)
    start = steps - whole if is_reversed else 0
    blocks = y[:, start : start + whole].view(batch, -1, size, width)
    along = range(size - 1, -1, -1) if is_reversed else range(size)
    across = range(blocks.shape[1] - 1, -1, -1) if is_reversed else range(blocks.shape[1])
    end = along[-1]
    for before, now in pairwise(along):
        blocks[:, :, now].addcmul_(blocks[:, :, before], d)
    for before, now in pairwise(across):
        blocks[:, now, end].addcmul_(blocks[:, before, end], block)
    # What each block but the last hands on to the steps of the next, of which the end has it already.
    powers = _powers(decay, torch.arange(1, size), y).view(-1, 1)
    if is_reversed:
        blocks[:, :-1, 1:].addcmul_(blocks[:, 1:, :1], powers.flip(0))
    else:
        blocks[:, 1:, :-1].addcmul_(blocks[:, :-1, -1:], powers)
    rest = range(start - 1, -1, -1) if is_reversed else range(whole, steps)
    for now in rest:
        y[:, now].addcmul_(y[:, now + 1 if is_reversed else now - 1], d)
    return y


def _floating(x: Tensor) -> Tensor:
    """A tensor of its own floating dtype, or float32."""
    tensor: Tensor = to_tensor(x, dtype=None)
    return tensor if tensor.is_floating_point() else tensor.float()


def linear_decay(init_value: float, min_value: float, decay_value: float, current_itr: float) -> float:
    """``max(init_value decay_value^current_itr, min_value)``: geometric, whatever the name says."""
    return max(init_value * float(decay_value**current_itr), min_value)
