"""Calls of the backward operators from inside a backward pass, where they must be traceable and refuse a second one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from neurotorch.functional._operators import backward_operator

Group = Sequence[Tensor | None]


class _Adjoint(torch.autograd.Function):
    """The adjoint as a function of its own, so that a second derivative raises instead of being silently zero.

    All tensors come in one list; `anchor` is an empty tensor that depends on every one of them that is differentiable,
    which is how autograd learns of them. (The compiler handles a raising backward only with few, named arguments.)
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        anchor: Tensor, tensors: list[Tensor | None], layout: tuple[Any, ...], numbers: tuple[Any, ...]
    ) -> tuple[Tensor, ...]:
        name, sizes, are_lists = layout
        arguments: list[Any] = []
        at = 0
        for size, is_list in zip(sizes, are_lists, strict=True):
            group = tensors[at : at + size]
            arguments.append(list(group) if is_list else group[0])
            at += size
        return tuple(backward_operator(name)(*arguments, *numbers))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError("neurotorch: the second derivative (double backward) is not implemented")


def needs_autograd(tensors: Iterable[Any]) -> bool:
    """Whether a call must go through autograd: a tensor wants a gradient, or has a tangent, which is then refused.

    The raw operators would drop a tangent (forward-mode differentiation) in silence.
    """
    found = [t for t in tensors if isinstance(t, Tensor)]
    if torch.is_grad_enabled() and any(t.requires_grad for t in found):
        return True
    if forward_ad._current_level < 0:
        return False
    return any(forward_ad.unpack_dual(t).tangent is not None for t in found)  # type: ignore[no-untyped-call]


def adjoint(
    name: str, groups: Sequence[Group], are_lists: tuple[bool, ...], numbers: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """``<name>_backward`` of groups of tensors (single ones as groups of one) and numbers."""
    tensors = [t for group in groups for t in group]
    first = next(t for t in tensors if t is not None)
    anchor = first.new_empty(0)
    if torch.is_grad_enabled():
        anchor = torch.cat([t.reshape(-1)[:0] for t in tensors if t is not None])
    layout = (name, tuple(len(group) for group in groups), are_lists)
    return _Adjoint.apply(anchor, tensors, layout, numbers)  # type: ignore[no-any-return, no-untyped-call]
