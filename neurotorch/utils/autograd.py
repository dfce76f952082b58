"""Helpers around gradients."""

from __future__ import annotations

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
