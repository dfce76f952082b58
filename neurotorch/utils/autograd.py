"""Helpers around gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def zero_grad_params(params: Iterable[torch.nn.Parameter]) -> None:
    """Replace the gradients that exist by zeros."""
    for p in params:
        if p.grad is not None:
            p.grad = torch.zeros_like(p.grad)


def filter_parameters(parameters: Iterable[torch.nn.Parameter], requires_grad: bool = True) -> list[torch.nn.Parameter]:
    """The parameters whose ``requires_grad`` is as asked."""
    return [p for p in parameters if p.requires_grad == requires_grad]


@torch.no_grad()
def clip_tensors_norm_(tensors: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale tensors in place so that their joint norm is at most `max_norm`, and return the norm before.

    The factor is ``min(1, max_norm / (norm + 1e-6))``; an infinite `max_norm` leaves the tensors.

    Parameters
    ----------
    tensors : iterable of Tensor
    max_norm : float
    norm_type : float
        p of the p-norm over all entries.

    Returns
    -------
    Tensor
        0 without tensors.
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm: Tensor = torch.nn.utils.get_total_norm(found, norm_type)
    if found and max_norm < math.inf:
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for tensor in found:
            tensor.mul_(factor.to(tensor.device))
    return norm


def recursive_detach(tensors: Any) -> Any:
    """The same tensor, tuple, list or dict, every tensor detached; anything else as it is."""
    if isinstance(tensors, Tensor):
        return tensors.detach()
    if isinstance(tensors, dict):
        return {key: recursive_detach(value) for key, value in tensors.items()}
    if isinstance(tensors, tuple) and hasattr(tensors, "_fields"):
        return type(tensors)(*[recursive_detach(t) for t in tensors])
    if isinstance(tensors, (list, tuple)):
        return type(tensors)(recursive_detach(t) for t in tensors)
    return tensors


def recursive_detach_(tensors: Any) -> Any:
    """Detach every tensor of a tensor, tuple, list or dict in place, and return it."""
    if isinstance(tensors, Tensor):
        return tensors.detach_()
    values = tensors.values() if isinstance(tensors, dict) else tensors if isinstance(tensors, (list, tuple)) else ()
    for value in values:
        recursive_detach_(value)
    return tensors
