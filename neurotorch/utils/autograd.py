"""Helpers around gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def dy_dw_local(
    y: Tensor,
    params: Sequence[Tensor],
    grad_outputs: Tensor | None = None,
    retain_graph: bool = True,
    allow_unused: bool = True,
) -> list[Tensor]:
    """Gradients of a tensor with respect to parameters, in one backward pass that leaves their ``grad`` alone.

    Parameters
    ----------
    y : Tensor
    params : sequence of Tensor
    grad_outputs : Tensor, optional
        Weights of the entries of `y`, of its shape; ones by default.
    retain_graph : bool
        Keep the graph for another pass.
    allow_unused : bool
        Whether parameters that do not act on `y` are taken; their gradients are zeros.

    Returns
    -------
    list of Tensor
        One for each parameter; zeros for those that require no gradient.

    Raises
    ------
    RuntimeError
        A parameter does not act, and `allow_unused` is False.
    """
    wanted = [p for p in params if p.requires_grad]
    grads: Sequence[Tensor | None] = ()
    if wanted:
        outputs = torch.ones_like(y) if grad_outputs is None else grad_outputs
        grads = torch.autograd.grad(y, wanted, outputs, retain_graph=retain_graph, allow_unused=allow_unused)
    found = iter(grads)
    each = [next(found) if p.requires_grad else None for p in params]
    return [torch.zeros_like(p) if grad is None else grad for p, grad in zip(params, each)]


def compute_jacobian(
    *,
    model: torch.nn.Module | None = None,
    params: Iterable[torch.nn.Parameter] | None = None,
    x: Any = None,
    y: Tensor | None = None,
    strategy: str = "slow",
) -> list[Tensor]:
    """Derivatives of outputs with respect to parameters, whose ``grad`` is left alone.

    Parameters
    ----------
    model : torch.nn.Module, optional
        Gives `params` and `y` where they are not given.
    params : iterable of Parameter, optional
        By default those of the model.
    x : optional
        Input of the model, where there is no `y`.
    y : Tensor, optional
        Outputs with their graph, which is kept.
    strategy : {"slow", "fast"}
        Every output with a backward pass of its own, or the sum of the outputs with one.

    Returns
    -------
    list of Tensor
        For each parameter ``[numel(y), numel(parameter)]``, rows in the order of the entries of `y`; or
        ``[numel(parameter)]`` by ``"fast"``.

    Raises
    ------
    ValueError
        Neither `x` nor `y` is given, the model that is needed is missing, or the strategy is unknown.
    """
    if strategy.lower() not in ("slow", "fast"):
        raise ValueError(f"strategy: expected 'slow' or 'fast', got {strategy!r}")
    if x is None and y is None:
        raise ValueError("x, y: expected one of them, got neither")
    if model is None and (params is None or y is None):
        raise ValueError(f"model: needed where there is no {'params' if params is None else 'y'}")
    found = list(model.parameters() if params is None else params)  # type: ignore[union-attr]
    if y is None:
        out = model(x)  # type: ignore[misc]
        y = out[0] if isinstance(out, (tuple, list)) else out
    assert isinstance(y, Tensor)
    if strategy.lower() == "fast":
        return [grad.reshape(-1) for grad in dy_dw_local(y, found)]
    rows = [dy_dw_local(value, found) for value in y.reshape(-1)]
    return [torch.stack([row[k].reshape(-1) for row in rows]) for k in range(len(found))]


def vmap(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of batches that calls `f` for one entry after the other; :func:`torch.vmap` does it at once."""

    def wrapper(batch_tensor: Tensor) -> Tensor:
        return torch.stack([f(entry) for entry in batch_tensor.unbind(0)])

    return wrapper


def get_contributing_params(y: Any, top_level: bool = True) -> Iterator[Tensor]:
    """The leaves that require a gradient and act on a tensor, each once, from the last to the first to act.

    Parameters
    ----------
    y : Tensor, or a node of its graph
    top_level : bool
        Whether `y` is a tensor.
    """
    waiting = [y.grad_fn if top_level else y]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(following for following, _ in reversed(node.next_functions))


@torch.no_grad()
def clip_tensors_norm_(
    tensors: Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale tensors in place so that their joint norm is at most `max_norm`, and return the norm before.

    The factor is ``min(1, max_norm / (norm + 1e-6))``; an infinite `max_norm` leaves the tensors.

    Parameters
    ----------
    tensors : iterable of Tensor
    max_norm : float
    norm_type : float
        p of the p-norm over all entries.
    error_if_nonfinite : bool
        Refuse tensors whose norm is infinite or not a number.

    Returns
    -------
    Tensor
        0 without tensors.

    Raises
    ------
    RuntimeError
        The norm is not finite, and that is refused. The tensors are left.
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm: Tensor = torch.nn.utils.get_total_norm(found, norm_type, error_if_nonfinite)
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
