"""Batches of sequences of unequal length, padded at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def checked_lengths(lengths: Any, batch: int, steps: int, device: torch.device | str) -> Tensor:
    """Number of steps of each sample as a tensor ``[B]`` of int64.

    Raises
    ------
    ValueError
        It is not one number between 1 and `steps` for each sample.
    TypeError
        The numbers are not whole.
    """
    found = torch.as_tensor(lengths)
    if found.dtype == torch.bool or found.is_floating_point() or found.is_complex():
        raise TypeError(f"lengths: expected whole numbers of steps, got {str(found.dtype).removeprefix('torch.')}")
    if tuple(found.shape) != (batch,):
        raise ValueError(f"lengths: expected shape {[batch]}, one per sample, got {list(found.shape)}")
    # The values cannot be looked at while a call is traced.
    if not torch.compiler.is_compiling() and not (int(found.min()) >= 1 and int(found.max()) <= steps):
        raise ValueError(f"lengths: expected 1 to {steps} steps, got {int(found.min())} to {int(found.max())}")
    return found.to(device=device, dtype=torch.int64)


def _running(x: Tensor, lengths: Tensor) -> Tensor:
    """``[B, T, 1, ...]``, whether a sample still runs."""
    running = torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)
    return running.reshape(*running.shape, *[1] * (x.dim() - 2))


def silence(x: Tensor, lengths: Tensor, fill: float = 0.0) -> Tensor:
    """``[B, T, ...]`` with zeros, or another number, after the end of each sample."""
    return torch.where(_running(x, lengths), x, x.new_full((), fill))


def last_step(x: Tensor, lengths: Tensor) -> Tensor:
    """``[B, N]``, the last step of each sample."""
    return x[torch.arange(x.shape[0], device=x.device), lengths - 1]


def freeze(x: Tensor, lengths: Tensor) -> Tensor:
    """``[B, T, N]`` that keeps the value of the last step of each sample from then on."""
    return torch.where(_running(x, lengths), x, last_step(x, lengths).unsqueeze(1))


def hold(new: Any, old: Any, running: Tensor) -> Any:
    """What a step made, ``[B, N]`` or a sequence of it, but the old values where a sample has ended; None: zeros.

    In a first step nothing has ended, so a state that is None before it is no obstacle.
    """
    if new is None:
        return None
    if isinstance(new, Tensor):
        rows = running.reshape(-1, *[1] * (new.dim() - 1))
        return torch.where(rows, new, new.new_zeros(()) if old is None else old)
    olds = [None] * len(new) if old is None else [old] if isinstance(old, Tensor) else list(old)
    return tuple(hold(entry, before, running) for entry, before in zip(new, olds, strict=True))
