"""A whole network in closed loop: checks, autograd, and the call into the native operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurotorch.functional._adjoint import adjoint, needs_autograd
from neurotorch.functional._models import (
    ACTIVATIONS,
    SURROGATES,
    LayerCall,
    NeuronModel,
    as_constants,
    lookup,
    model_of,
)
from neurotorch.functional._operators import forward_operator
from neurotorch.functional._sequence import cast_inputs, initial_state, saved_traces


class _Shape(NamedTuple):
    """The arguments of the operator that are not tensors, and how the flat list of tensors is cut."""

    program: tuple[int, ...]
    feedback: tuple[int, ...]
    fed: int
    outputs: int
    steps: int
    teacher_weight: float
    sizes: tuple[int, ...]  # tensors: inputs, weights, states, constants, teachers
    requested: tuple[int, ...]  # per layer: bit mask of the traces that the caller wants
    held: tuple[int, ...]  # per layer: of those that the operator returns
    states: tuple[int, ...]  # states per layer
    output_states: tuple[int, ...]  # per layer: the state whose trace is its stage, -1 where an activation lies between
    trace: bool

    @property
    def n_stages(self) -> int:
        return 1 + len(self.requested) - self.fed

    def groups(self, tensors: Sequence[Any]) -> list[list[Any]]:
        cut, at = [], 0
        for size in self.sizes:
            cut.append(list(tensors[at : at + size]))
            at += size
        return cut

    def wanted_traces(self, masks: Sequence[int]) -> list[bool]:
        """For each returned trace, whether its state is in the layer's mask."""
        return [
            bool(mask >> k & 1)
            for held, mask, n in zip(self.held, masks, self.states, strict=True)
            for k in range(n)
            if held >> k & 1
        ]

    def spread(self, traces: Sequence[Any]) -> list[Any]:
        """Returned traces as one entry per state, None where there is none."""
        parts = iter(traces)
        return [
            next(parts) if held >> k & 1 else None
            for held, n in zip(self.held, self.states, strict=True)
            for k in range(n)
        ]

    def add_stage_gradients(self, by_state: list[Any], stages: Sequence[Any], widths: Sequence[int]) -> None:
        """Gradients of the stages of fed and hidden layers, as those of the traces of their output states."""
        first, column = 0, 0
        for number in range(len(self.states) - self.outputs):
            stage, width = stages[max(0, 1 + number - self.fed)], widths[first]
            if stage is not None and self.output_states[number] >= 0:
                own = stage[:, :, column : column + width] if number < self.fed else stage
                by_state[first + self.output_states[number]] = own
            column += width
            first += self.states[number]


class _Network(torch.autograd.Function):
    """``network_forward`` with its gradient. Outputs: stages, final states, traces, what the fed layers read."""

    @staticmethod
    def forward(shape: _Shape, *tensors: Any) -> Any:
        inputs, weights, states, constants, teacher = shape.groups(tensors)
        stages, finals, traces, read = forward_operator("network")(
            inputs,
            weights,
            states,
            constants,
            teacher,
            shape.teacher_weight,
            list(shape.program),
            list(shape.feedback),
            shape.fed,
            shape.outputs,
            shape.steps,
        )
        return (*stages, *finals, *traces, *read)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        shape, *tensors = inputs
        n_stages, n_states = shape.n_stages, sum(shape.states)
        stages = output[:n_stages]
        behind = output[n_stages + n_states :]
        n_traces = len(behind) - shape.fed
        traces, read = behind[:n_traces], behind[n_traces:]
        requested = shape.wanted_traces(shape.requested)
        inner = stages[: n_stages - shape.outputs]
        silent = () if shape.trace else inner
        ctx.mark_non_differentiable(*silent, *read, *[t for t, r in zip(traces, requested, strict=True) if not r])
        ctx.set_materialize_grads(False)
        ctx.shape, ctx.present = shape, [t is not None for t in tensors]
        ctx.cuts = (n_stages, n_states, n_traces)
        ctx.save_for_backward(*[t for t in tensors if t is not None], *stages, *traces, *read)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        shape: _Shape = ctx.shape
        n_stages, n_states, n_traces = ctx.cuts
        parts = iter(ctx.saved_tensors)
        tensors = [next(parts) if present else None for present in ctx.present]
        saved = list(parts)
        inputs, weights, states, constants, teacher = shape.groups(tensors)
        needed = ctx.needs_input_grad[1 : 1 + sum(shape.sizes[:4])]
        requested = shape.wanted_traces(shape.requested)
        grad_traces = grads[n_stages + n_states : n_stages + n_states + n_traces]
        by_state = shape.spread([g if r else None for g, r in zip(grad_traces, requested, strict=True)])
        if shape.trace:
            shape.add_stage_gradients(by_state, grads[: n_stages - shape.outputs], [s.shape[1] for s in states])
        results = adjoint(
            "network",
            [
                list(grads[n_stages - shape.outputs : n_stages]),
                list(grads[n_stages : n_stages + n_states]),
                by_state,
                inputs,
                weights,
                states,
                constants,
                teacher,
                saved[:n_stages],
                shape.spread(saved[n_stages : n_stages + n_traces]),
                saved[n_stages + n_traces :],
            ],
            (True,) * 11,
            (
                shape.teacher_weight,
                list(shape.program),
                list(shape.feedback),
                shape.fed,
                shape.outputs,
                shape.steps,
                [int(n) for n in needed],
            ),
        )
        return (
            None,
            *[g if n else None for g, n in zip(results, needed, strict=True)],
            *[None] * shape.sizes[4],
        )


def _index_of(matrices: list[Tensor], matrix: Tensor | None) -> int:
    """Place of the matrix in the list, appended when new: tied matrices stand there once."""
    if matrix is None:
        return -1
    for k, known in enumerate(matrices):
        if known is matrix:
            return k
    matrices.append(matrix)
    return len(matrices) - 1


def _check_layout(
    calls: Sequence[LayerCall], inputs: Sequence[Tensor], n_inputs: int, n_outputs: int, feedback: Sequence[int]
) -> int:
    """Number of layers that read the inputs; ValueError when the layers do not make a network."""
    fed = n_inputs if n_inputs > 0 else 1
    if n_inputs == 0 and len(calls) != 1:
        raise ValueError(f"n_inputs: a network without input layers has exactly one layer, got {len(calls)}")
    if n_outputs < 1 or n_inputs + n_outputs > len(calls):
        raise ValueError(f"n_outputs: expected 1 to {len(calls) - n_inputs}, got {n_outputs}")
    if len(inputs) != fed:
        raise ValueError(f"inputs: expected {fed} tensors, one per input layer, got {len(inputs)}")
    for k, x in enumerate(inputs):
        if x.dim() != 3 or 0 in x.shape[:2]:
            raise ValueError(f"inputs {k}: expected shape [B, T, F] with B and T at least 1, got {list(x.shape)}")
        if x.shape[:2] != inputs[0].shape[:2]:
            expected = list(inputs[0].shape[:2])
            raise ValueError(f"inputs {k}: expected [B, T] = {expected} as for input 0, got {list(x.shape[:2])}")
    if len(feedback) != fed:
        raise ValueError(f"feedback: expected {fed} entries, one per input layer, got {len(feedback)}")
    return fed


def run_network(
    calls: Sequence[LayerCall],
    inputs: Sequence[Tensor],
    states: Sequence[Sequence[Tensor] | None],
    *,
    n_inputs: int,
    n_outputs: int,
    foresight: int,
    feedback: Sequence[int],
    trace: bool = False,
    teacher: Sequence[Tensor | None] | None = None,
    teacher_weight: float = 0.0,
    every_state: bool = False,
) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Run a network in closed loop in one fused operator, with exact gradients through the feedback.

    Parameters
    ----------
    calls : sequence of LayerCall
        Input layers, hidden layers, output layers, in this order. Every call has a weight.
    inputs : sequence of Tensor [B, T, F]
        One per input layer (one in all when there is no input layer).
    states : sequence
        Per layer its initial state, ``[B, N]`` tensors; None or an empty sequence: zeros.
    n_inputs, n_outputs : int
        Number of input and output layers. ``n_inputs`` 0 stands for a single layer that is both.
    foresight : int
        Steps to forecast. The run has S = T + max(0, foresight - 1) steps.
    feedback : sequence of int
        Output layer that input ``k`` reads, one step late, at steps T and later; -1: zeros.
    trace : bool
        Return the states after every step instead of after the last one.
    teacher : sequence of Tensor [B, S, F] or None, optional
        True inputs to mix into the feedback: ``(1 - w) * feedback + w * teacher[:, t]`` (no gradient to them).
    teacher_weight : float
        w above, between 0 and 1.
    every_state : bool
        Return the states that only the operator has, too, behind those of the model.

    Returns
    -------
    outs : list of Tensor [B, S, N]
        One per output layer.
    states : list of tuple of Tensor
        Per layer, ``[B, N]`` or ``[B, S, N]`` each.

    Raises
    ------
    ValueError
        Layers, sizes or names do not fit; the message names the argument.
    TypeError
        The dtypes of inputs, states and weights differ.
    """
    fed = _check_layout(calls, inputs, n_inputs, n_outputs, feedback)
    if len(states) != len(calls):
        raise ValueError(f"states: expected {len(calls)} entries, one per layer, got {len(states)}")
    if foresight < 0:
        raise ValueError(f"foresight: expected 0 or more, got {foresight}")
    models = [model_of(call) for call in calls]
    like = calls[0].weight
    if like is None:
        raise ValueError("calls: every layer of a network needs a weight")
    batch, steps = inputs[0].shape[0], inputs[0].shape[1] + max(0, foresight - 1)
    matrices: list[Tensor] = []
    program: list[int] = []
    flat_states: list[Tensor] = []
    constants: list[Tensor] = []
    shown: list[int] = []
    requested: list[int] = []
    held: list[int] = []
    gradients = needs_autograd(
        [*inputs, *(t for call in calls for t in (call.weight, call.recurrent_weight, *call.constants))]
        + [t for state in states for t in state or ()]
    )
    for call, model, state in zip(calls, models, states, strict=True):
        if call.weight is None:
            raise ValueError("calls: every layer of a network needs a weight")
        activation = lookup(ACTIVATIONS, "activation", call.activation)
        own = as_constants(call.constants, like)
        separate = model.separate(activation)
        shown.append(model.operator_states if every_state else len(model.states))
        requested.append(((1 << shown[-1]) - 1) & separate if trace else 0)
        held.append(requested[-1] | (saved_traces(model, own) & separate if gradients else 0))
        cast = cast_inputs(like, weight=call.weight, recurrent_weight=call.recurrent_weight)
        weight, recurrent = _index_of(matrices, cast["weight"]), _index_of(matrices, cast["recurrent_weight"])
        program += [
            model.number,
            lookup(SURROGATES, "surrogate", call.surrogate),
            activation,
            held[-1],
            weight,
            recurrent,
            -1 if call.input_activation is None else lookup(ACTIVATIONS, "input_activation", call.input_activation),
        ]
        flat_states += initial_state(model, state or None, like, batch, call.weight.shape[-1])
        constants += own
    given = [cast_inputs(like, **{f"inputs {k}": x})[f"inputs {k}"] for k, x in enumerate(inputs)]
    teachers = list(teacher) if teacher is not None and teacher_weight != 0.0 else [None] * fed
    shape = _Shape(
        tuple(program),
        tuple(feedback),
        fed,
        n_outputs,
        steps,
        float(teacher_weight),
        (fed, len(matrices), len(flat_states), len(constants), fed),
        tuple(requested),
        tuple(held),
        tuple(model.operator_states for model in models),
        tuple(
            m.output_state if m.states and m.separate(ACTIVATIONS[c.activation]) != -1 else -1
            for m, c in zip(models, calls, strict=True)
        ),
        trace,
    )
    tensors = [*given, *matrices, *flat_states, *constants, *teachers]
    flat = _Network.apply(shape, *tensors) if gradients else _Network.forward(shape, *tensors)  # type: ignore[no-untyped-call]
    n_stages, n_states = shape.n_stages, len(flat_states)
    stages, finals = flat[:n_stages], flat[n_stages : n_stages + n_states]
    traces = shape.spread(flat[n_stages + n_states : len(flat) - fed])
    outs = list(stages[n_stages - n_outputs :])
    return outs, _layer_states(models, shown, requested, stages, finals, traces, fed, trace)


def _layer_states(
    models: Sequence[NeuronModel],
    shown: Sequence[int],
    requested: Sequence[int],
    stages: Sequence[Tensor],
    finals: Sequence[Tensor],
    traces: Sequence[Tensor | None],
    fed: int,
    trace: bool,
) -> list[tuple[Tensor, ...]]:
    """State tuple per layer. The trace of an output state stands in the stage of its layer."""
    result: list[tuple[Tensor, ...]] = []
    first, column = 0, 0
    for number, model in enumerate(models):
        n, n_operator = shown[number], model.operator_states
        own = finals[first : first + n]
        if trace and n:
            width = finals[first].shape[1]
            stage = stages[0][:, :, column : column + width] if number < fed else stages[1 + number - fed]
            if number < fed:
                column += width
            own = tuple(
                t if requested[number] >> k & 1 and (t := traces[first + k]) is not None else stage for k in range(n)
            )
        elif number < fed:
            column += finals[first].shape[1]
        result.append(tuple(own))
        first += n_operator
    return result
