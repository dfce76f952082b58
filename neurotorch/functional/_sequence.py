"""One layer over a whole sequence: checks, autograd, and the call into the native operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from neurotorch.functional._adjoint import adjoint, needs_autograd
from neurotorch.functional._events import dense, event_currents, is_sparse
from neurotorch.functional._models import (
    ACTIVATIONS,
    MODELS,
    SURROGATES,
    LayerCall,
    NeuronModel,
    as_constants,
    lookup,
    model_of,
)
from neurotorch.functional._operators import forward_operator

_NUMBERS = 7  # arguments of _Sequence before its tensors


class _Sequence(torch.autograd.Function):
    """``<model>_forward`` with its gradient. Outputs: out, final states, traces (requested and saved), checkpoints."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        name: str,
        surrogate: int,
        activation: int,
        requested: int,
        saved: int,
        keeps_out: bool,
        recompute_every: int,
        *tensors: Any,
    ) -> Any:
        x, weight, recurrent_weight = tensors[:3]
        n_states = MODELS[name].operator_states
        out, finals, traces, checkpoints = forward_operator(name)(
            x,
            weight,
            recurrent_weight,
            list(tensors[3 : 3 + n_states]),
            list(tensors[3 + n_states :]),
            surrogate,
            activation,
            requested | saved,
            recompute_every,
        )
        return (out, *finals, *traces, *checkpoints)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        name, surrogate, activation, requested, saved, keeps_out, recompute_every, *tensors = inputs
        n = MODELS[name].operator_states
        held = [k for k in range(n) if (requested | saved) >> k & 1]
        traces = output[1 + n : 1 + n + len(held)]
        checkpoints = output[1 + n + len(held) :]
        hidden = [t for k, t in zip(held, traces, strict=True) if not requested >> k & 1]
        ctx.mark_non_differentiable(*hidden, *checkpoints)
        ctx.set_materialize_grads(False)
        ctx.name, ctx.numbers, ctx.held, ctx.requested = name, (surrogate, activation, recompute_every), held, requested
        ctx.counts = (n, len(tensors) - 3 - n, len(checkpoints))
        ctx.keeps_out = keeps_out
        ctx.kept = [k for k in held if saved >> k & 1]
        ctx.present = [t is not None for t in tensors]
        ctx.save_for_backward(
            *[t for t in tensors if t is not None],
            *([output[0]] if keeps_out else []),
            *[t for k, t in zip(held, traces, strict=True) if saved >> k & 1],
            *checkpoints,
        )

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        n = ctx.counts[0]
        parts = iter(ctx.saved_tensors)
        tensors = [next(parts) if present else None for present in ctx.present]
        out = next(parts) if ctx.keeps_out else None
        kept = {k: next(parts) for k in ctx.kept}
        checkpoints = list(parts)
        first = _NUMBERS
        wanted = sum(1 << k for k, needed in enumerate(ctx.needs_input_grad[first:]) if needed)
        grad_traces = dict(zip(ctx.held, grads[1 + n :], strict=False))
        n_constants = ctx.counts[1]
        results = adjoint(
            ctx.name,
            [
                [grads[0]],
                list(grads[1 : 1 + n]),
                [grad_traces[k] if ctx.requested >> k & 1 else None for k in range(n)],
                *[[t] for t in tensors[:3]],
                tensors[3 : 3 + n],
                tensors[3 + n : 3 + n + n_constants],
                [out],
                [kept.get(k) for k in range(n)],
                checkpoints,
            ],
            (False, True, True, False, False, False, True, True, False, True, True),
            (*ctx.numbers, wanted),
        )
        return (None,) * first + tuple(g if wanted >> k & 1 else None for k, g in enumerate(results))


def saved_traces(model: NeuronModel, constants: Sequence[Tensor]) -> int:
    """Bit mask of the states whose traces the adjoint needs."""
    return model.saved | (model.saved_for_constants if any(c.requires_grad for c in constants) else 0)


def cast_inputs(like: Tensor, **tensors: Tensor | None) -> dict[str, Tensor | None]:
    """Half-precision tensors in the dtype of the weights under autocast; any other difference raises."""
    result: dict[str, Tensor | None] = {}
    for name, t in tensors.items():
        if t is not None and t.dtype != like.dtype:
            half = t.dtype in (torch.bfloat16, torch.float16)
            if not (half and torch.is_autocast_enabled(t.device.type)):
                raise TypeError(f"{name}: expected dtype {like.dtype} (that of the weights and states), got {t.dtype}")
            t = t.to(like.dtype)
        result[name] = t
    return result


_INPUT_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def activate_input(name: str, x: Tensor) -> Tensor:
    """The named activation of an input; ValueError when there is none of this name."""
    lookup(ACTIVATIONS, "activation", name)
    return _INPUT_FUNCTIONS[name](x)


def initial_state(
    model: NeuronModel, state: Sequence[Tensor] | None, like: Tensor, batch: int, neurons: int
) -> list[Tensor]:
    """The state as the operators want it: zeros when there is none, and always for models without memory."""
    if state is not None and len(state) != len(model.states):
        raise ValueError(f"state: expected {len(model.states)} tensors {model.states}, got {len(state)}")
    if state is None or not model.states:
        return [like.new_zeros(batch, neurons) for _ in range(model.operator_states)]
    result = []
    for name, s in zip(model.states, state, strict=True):
        if s.dim() != 2 or s.shape[1] != neurons or s.shape[0] not in (1, batch):
            raise ValueError(f"state {name}: expected shape [{batch}, {neurons}], got {list(s.shape)}")
        cast = cast_inputs(like, **{f"state {name}": s})[f"state {name}"]
        assert cast is not None
        result.append(cast.expand(batch, neurons))
    return result + [like.new_zeros(batch, neurons) for _ in range(model.operator_states - len(result))]


def run_sequence(
    call: LayerCall,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    *,
    trace: bool = False,
    recompute_every: int = 0,
    every_state: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer over a whole sequence in one fused operator.

    Parameters
    ----------
    call : LayerCall
        Model, effective weights and constants.
    x : Tensor [B, T, F]
        Input; with ``call.weight`` None it is the current ``[B, T, N]`` itself. Any strides. A sparse tensor gives the
        same numbers: its zeros are filled in only where that is quicker.
    state : sequence of Tensor [B, N], optional
        State before the first step, one per state of the model; zeros when omitted.
    trace : bool
        Return the state after every step instead of after the last one.
    recompute_every : int
        K > 0 keeps the state every K steps only and computes the rest again in the backward pass: memory
        O(T / K + K) instead of O(T). 0 keeps everything.
    every_state : bool
        Return the states that only the operator has, too, behind those of the model.

    Returns
    -------
    out : Tensor [B, T, N]
    state : tuple of Tensor
        ``[B, N]`` after the last step, or the traces ``[B, T, N]``.

    Raises
    ------
    ValueError
        A name is unknown, a shape does not fit, or a constant without gradient requires one.
    TypeError
        The dtypes of input, state and weights differ.
    """
    model = model_of(call)
    if x.dim() != 3:
        raise ValueError(f"x: expected shape [B, T, F], got {list(x.shape)}")
    if recompute_every < 0:
        raise ValueError(f"recompute_every: expected 0 or more, got {recompute_every}")
    if is_sparse(x):
        currents = None if call.input_activation is not None else event_currents(x, call.weight)
        x = dense(x) if currents is None else currents
        call = call if currents is None else call._replace(weight=None)
    if call.input_activation is not None:
        x = torch.cat([activate_input(call.input_activation, x), x], dim=-1)
    surrogate = lookup(SURROGATES, "surrogate", call.surrogate)
    activation = lookup(ACTIVATIONS, "activation", call.activation)
    like = call.weight if call.weight is not None else state[0] if state else x
    if call.weight is None and not state and x.dtype in (torch.bfloat16, torch.float16):
        like = x.new_empty(0, dtype=torch.float32)
    cast = cast_inputs(like, x=x, recurrent_weight=call.recurrent_weight)
    current, recurrent_weight = cast["x"], cast["recurrent_weight"]
    assert current is not None
    batch, neurons = x.shape[0], x.shape[2] if call.weight is None else call.weight.shape[-1]
    states = initial_state(model, state, like, batch, neurons)
    constants = as_constants(call.constants, like)

    # The output state of a layer without activation has no trace of its own: it is the output.
    n, separate = model.operator_states, model.separate(activation)
    shown = n if every_state else len(model.states)
    requested = ((1 << shown) - 1) & separate if trace else 0
    tensors = (current, call.weight, recurrent_weight, *states, *constants)
    if needs_autograd(tensors):
        needed = 0 if recompute_every else saved_traces(model, constants)
        keeps_out = not recompute_every and (
            separate == -1
            or bool(needed & ~separate)
            or (recurrent_weight is not None and current.device.type != "cpu")
        )
        saved = needed & separate
        flat = _Sequence.apply(  # type: ignore[no-untyped-call]
            model.name, surrogate, activation, requested, saved, keeps_out, recompute_every, *tensors
        )
        out, finals = flat[0], flat[1 : 1 + n]
        held = [k for k in range(n) if (requested | saved) >> k & 1]
        traces = dict(zip(held, flat[1 + n :], strict=False))
    else:
        out, finals, requested_traces, _ = forward_operator(model.name)(
            current, call.weight, recurrent_weight, states, constants, surrogate, activation, requested, recompute_every
        )
        traces = dict(zip([k for k in range(n) if requested >> k & 1], requested_traces, strict=True))
    if not trace:
        return out, tuple(finals[:shown])
    return out, tuple(traces[k] if requested >> k & 1 else out for k in range(shown))
