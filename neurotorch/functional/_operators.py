"""What torch must know of the native operators: shapes for tracing, autocast and vmap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from neurotorch.functional._models import MODELS, NeuronModel

Operator = Callable[..., Any]


def forward_operator(name: str) -> Operator:
    """The raw operator ``<name>_forward``."""
    return getattr(torch.ops.neurotorch, f"{name}_forward")  # type: ignore[no-any-return]


def backward_operator(name: str) -> Operator:
    """The raw operator ``<name>_backward``."""
    return getattr(torch.ops.neurotorch, f"{name}_backward")  # type: ignore[no-any-return]


def _fake_forward(model: NeuronModel) -> Operator:
    def fake(
        x: Tensor,
        weight: Tensor | None,
        recurrent_weight: Tensor | None,
        state: Sequence[Tensor],
        constants: Sequence[Tensor],
        surrogate: int,
        activation: int,
        traces: int,
        recompute_every: int,
    ) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
        batch, steps, neurons = x.shape[0], x.shape[1], x.shape[2] if weight is None else weight.shape[1]
        finals = [x.new_empty(batch, neurons) for _ in range(model.operator_states)]
        wanted = [x.new_empty(batch, steps, neurons) for k in range(model.operator_states) if traces >> k & 1]
        checkpoints = []
        if recompute_every > 0:
            segments = (steps + recompute_every - 1) // recompute_every
            checkpoints = [x.new_empty(segments - 1, batch, neurons) for _ in range(model.operator_states)]
        return x.new_empty(batch, steps, neurons), finals, wanted, checkpoints

    return fake


def _contiguous_like(t: Tensor) -> Tensor:
    return t.new_empty(t.shape)


def _fake_backward(
    grad_out: Tensor | None,
    grad_state: Sequence[Tensor | None],
    grad_traces: Sequence[Tensor | None],
    x: Tensor,
    weight: Tensor | None,
    recurrent_weight: Tensor | None,
    state: Sequence[Tensor],
    constants: Sequence[Tensor],
    out: Tensor | None,
    traces: Sequence[Tensor | None],
    checkpoints: Sequence[Tensor],
    surrogate: int,
    activation: int,
    recompute_every: int,
    wanted: int,
) -> list[Tensor]:
    inputs = [x, weight, recurrent_weight, *state, *constants]
    return [_contiguous_like(t) if t is not None and wanted >> k & 1 else x.new_empty(0) for k, t in enumerate(inputs)]


def _fake_network_forward(
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    state: Sequence[Tensor],
    constants: Sequence[Tensor],
    teacher: Sequence[Tensor | None],
    teacher_weight: float,
    program: Sequence[int],
    feedback: Sequence[int],
    fed: int,
    outputs: int,
    steps: int,
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    like, batch = inputs[0], inputs[0].shape[0]
    layers = [program[i : i + 7] for i in range(0, len(program), 7)]
    widths = [weights[p[4]].shape[1] for p in layers]
    stages = [sum(widths[:fed]), *widths[fed:]]
    traces: list[Tensor] = []
    for p, width in zip(layers, widths, strict=True):
        n_states = list(MODELS.values())[p[0]].operator_states
        traces += [like.new_empty(batch, steps, width) for k in range(n_states) if p[3] >> k & 1]
    return (
        [like.new_empty(batch, steps, width) for width in stages],
        [_contiguous_like(s) for s in state],
        traces,
        [like.new_empty(batch, steps, x.shape[2]) for x in inputs],
    )


def _fake_network_backward(
    grad_out: Sequence[Tensor | None],
    grad_state: Sequence[Tensor | None],
    grad_traces: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    state: Sequence[Tensor],
    constants: Sequence[Tensor],
    teacher: Sequence[Tensor | None],
    stages: Sequence[Tensor],
    traces: Sequence[Tensor | None],
    read: Sequence[Tensor],
    teacher_weight: float,
    program: Sequence[int],
    feedback: Sequence[int],
    fed: int,
    outputs: int,
    steps: int,
    wanted: Sequence[int],
) -> list[Tensor]:
    given = [*inputs, *weights, *state, *constants]
    return [_contiguous_like(t) if w else inputs[0].new_empty(0) for t, w in zip(given, wanted, strict=True)]


# ---- vmap ----------------------------------------------------------------------------------------------------


def _is_batched(dims: Any) -> bool:
    return any(d is not None for d in pytree.tree_leaves(dims, is_leaf=lambda d: d is None))


def _one_by_one(operator: Operator, size: int, in_dims: Any, args: Any) -> tuple[Any, Any]:
    """The operator for each member of the mapped dimension, results stacked in front."""
    flat_args, spec = pytree.tree_flatten(list(args), is_leaf=lambda a: a is None)
    flat_dims = pytree.tree_leaves(list(in_dims), is_leaf=lambda d: d is None)
    results = []
    for i in range(size):
        one = [a if d is None else a.select(d, i) for a, d in zip(flat_args, flat_dims, strict=True)]
        results.append(operator(*pytree.tree_unflatten(one, spec)))
    stacked = pytree.tree_map(lambda *parts: torch.stack(parts), *results)
    return stacked, pytree.tree_map(lambda _: 0, stacked)


def _fold(t: Tensor, dim: int | None, size: int) -> Tensor:
    """The mapped dimension merged with the batch, which comes first."""
    spread = t.unsqueeze(0).expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
    return spread.reshape(size * spread.shape[1], *spread.shape[2:])


def _unfold(t: Tensor, size: int, dim: int = 0) -> Tensor:
    shape = t.shape
    return t.reshape(*shape[:dim], size, shape[dim] // size, *shape[dim + 1 :]).movedim(dim, 0)


def _map_forward(name: str) -> Operator:
    def rule(info: Any, in_dims: Any, *args: Any) -> tuple[Any, Any]:
        operator, size = forward_operator(name), info.batch_size
        if _is_batched(in_dims[1]) or _is_batched(in_dims[2]) or _is_batched(in_dims[4]):
            return _one_by_one(operator, size, in_dims, args)
        x, weight, recurrent_weight, state, constants, *numbers = args
        folded_state = [_fold(s, d, size) for s, d in zip(state, in_dims[3], strict=True)]
        result = operator(_fold(x, in_dims[0], size), weight, recurrent_weight, folded_state, constants, *numbers)
        out, finals, traces, checkpoints = result
        parts = (
            _unfold(out, size),
            [_unfold(t, size) for t in finals],
            [_unfold(t, size) for t in traces],
            [_unfold(t, size, 1) for t in checkpoints],
        )
        return parts, pytree.tree_map(lambda _: 0, parts)

    return rule


def _map_backward(name: str) -> Operator:
    def rule(info: Any, in_dims: Any, *args: Any) -> tuple[Any, Any]:
        return _one_by_one(backward_operator(name), info.batch_size, in_dims, args)

    return rule


def _refuse_map(info: Any, in_dims: Any, *args: Any) -> tuple[Any, Any]:
    raise RuntimeError(
        "vmap: the closed-loop network operator cannot be mapped; put the mapped dimension into the batch"
    )


def _register(
    name: str, fake_forward: Operator, fake_backward: Operator, forward_map: Operator, backward_map: Operator
) -> None:
    for suffix, fake, mapped in (("forward", fake_forward, forward_map), ("backward", fake_backward, backward_map)):
        operator = f"neurotorch::{name}_{suffix}"
        torch.library.register_fake(operator, fake)
        torch.library.register_vmap(operator, mapped)
        for device in ("cpu", "cuda"):
            torch.library.register_autocast(operator, device, torch.float32)


for _model in MODELS.values():
    _register(_model.name, _fake_forward(_model), _fake_backward, _map_forward(_model.name), _map_backward(_model.name))
_register("network", _fake_network_forward, _fake_network_backward, _refuse_map, _refuse_map)
