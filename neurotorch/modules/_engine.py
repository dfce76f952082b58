"""The three ways a recurrent network runs: layer by layer, in one operator, step by step.

Everywhere ``x`` is a list with the input ``[B, T, F]`` of each fed layer, ``states`` holds the initial state of each
layer (None: the layer makes it), outputs are one ``[B, L, N]`` per output layer, and hidden states one entry per layer:
a tuple of ``[B, L, N]``, or None for a layer without state. L counts the last steps that the memory keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from neurotorch.functional import LayerCall, run_network
from neurotorch.functional._events import dense
from neurotorch.modules.layers._fused import FusedLayer
from neurotorch.modules.layers._lengths import hold, silence
from neurotorch.modules.layers.base import BaseLayer
from neurotorch.modules.plan import FUSED_NETWORK, FUSED_SEQUENCE, choose, defines_forward, step_reason

State = tuple[Tensor, ...] | None
Result = tuple[list[Tensor], list[State]]


@dataclass(frozen=True)
class Network:
    """Layers in the order of computation; ``stateful`` has one entry per layer."""

    inputs: list[torch.nn.Module]
    hidden: list[torch.nn.Module]
    outputs: list[torch.nn.Module]
    stateful: list[bool]

    @property
    def layers(self) -> list[torch.nn.Module]:
        return [*self.inputs, *self.hidden, *self.outputs]


@dataclass(frozen=True)
class Schedule:
    """Steps of a run, what is fed back, and how much is kept.

    ``feedback[k]`` is the output that input k reads after the first ``given`` steps, -1 for zeros. ``teacher`` holds
    true inputs ``[B, S, F]`` that are mixed into the feedback with ``teacher_weight``. A piece of a longer run begins
    at its step ``start``; inputs are fed back from its step ``forecast_from`` on (None: after the given ones).
    ``lengths`` counts the given steps of each sample, where they differ: outputs are zero and states stay after a
    sample's own end.
    """

    given: int
    total: int
    keep_outputs: int
    keep_hidden: int
    feedback: list[int]
    teacher: list[Tensor | None]
    teacher_weight: float
    start: int = 0
    forecast_from: int | None = None
    lengths: Tensor | None = None


class _Bare(tuple[Tensor, ...]):
    """The state of a layer that keeps one tensor and no tuple around it."""


def _as_state(hidden: Any) -> State:
    if hidden is None or (isinstance(hidden, (tuple, list)) and len(hidden) == 0):
        return None
    return tuple(hidden) if isinstance(hidden, (tuple, list)) else _Bare((hidden,))


def last_states(hidden: Sequence[State]) -> list[State]:
    """States after the last step of what :func:`run` returned, for a run that goes on from there."""
    return [None if traces is None else type(traces)(trace[:, -1] for trace in traces) for traces in hidden]


def _as_given(state: Any) -> Any:
    return state[0] if isinstance(state, _Bare) else state


def _check_axes(layer: torch.nn.Module, x: Tensor, expected: int) -> None:
    """ValueError for more axes than a layer with neurons has, which would take one of them for time."""
    if x.dim() > expected and isinstance(layer, FusedLayer) and layer.state_names and not defines_forward(layer):
        wanted = "[B, T, F]" if expected == 3 else "[B, F] at each step"
        raise ValueError(
            f"layer {layer.name!r}: {type(layer).__name__} takes inputs {wanted}, got {list(x.shape)}; further axes go "
            "through Linear and modules of torch only"
        )


def call_layer(
    layer: torch.nn.Module, stateful: bool, x: Tensor, state: Any, extra: dict[str, Any]
) -> tuple[Tensor, Any]:
    """One step of one layer: its output and its new state."""
    _check_axes(layer, x, 2)
    result = layer(x, state, **extra) if stateful else layer(x)
    if isinstance(result, Tensor):
        return result, None
    if stateful and isinstance(result, (tuple, list)) and len(result) >= 1 and isinstance(result[0], Tensor):
        rest = list(result[1:])
        return result[0], rest[0] if len(rest) == 1 else rest or None
    raise TypeError(
        f"layer {layer.name!r}: expected a tensor{' or (output, state)' if stateful else ''}, "
        f"got {type(result).__name__}"
    )


def _stack_states(kept: Sequence[Any]) -> State:
    """Traces ``[B, L, N]`` of the states after each kept step."""
    steps = [_as_state(hidden) for hidden in kept]
    if any(step is None for step in steps):
        return None
    stacked = (torch.stack(list(entries), dim=1) for entries in zip(*[step for step in steps if step is not None]))
    return type(steps[-1])(stacked)  # type: ignore[misc]


def _last(states: Sequence[Tensor], keep: int, traced: bool) -> State:
    """The last steps of traces, or final states as traces of one step; None for a layer without state."""
    if not states:
        return None
    return tuple(s[:, -keep:] if traced else s.unsqueeze(1) for s in states)


def _run_layer(
    layer: torch.nn.Module, stateful: bool, x: Tensor, state: State, schedule: Schedule
) -> tuple[Tensor, State]:
    """One layer over the whole sequence."""
    keep = schedule.keep_hidden
    _check_axes(layer, x, 3)
    reason = step_reason(layer)
    if reason is not None or getattr(type(layer), "forward_sequence", None) is not FusedLayer.forward_sequence:
        x = dense(x)
    if reason is None:
        assert isinstance(layer, BaseLayer)
        # A sequence method of somebody's own need not know of lengths that nobody gave.
        own: dict[str, Any] = {} if schedule.lengths is None else {"lengths": schedule.lengths}
        out, hidden = layer.forward_sequence(x, state, trace=keep > 1, **own)
        return out, _last(hidden, keep, traced=keep > 1)
    outs: list[Tensor] = []
    kept: deque[Any] = deque(maxlen=keep)
    current: Any = _as_given(state)
    if schedule.lengths is not None:
        x = silence(x, schedule.lengths)
    for t, x_t in enumerate(x.unbind(1)):
        before = current if t else None
        out, current = call_layer(layer, stateful, x_t, current, _time_of(schedule, t))
        if schedule.lengths is not None:
            running = schedule.lengths > t
            out, current = hold(out, None, running), hold(current, before, running)
        outs.append(out)
        kept.append(current)
    return torch.stack(outs, dim=1), _stack_states(kept)


def run(network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
    """Run the network the fastest way that its layers allow; sparse inputs stay it where a layer takes them."""
    if schedule.lengths is not None and schedule.total > schedule.given:
        x = [dense(x_k) for x_k in x]
        return _run_by_length(network, x, states, schedule, schedule.lengths)
    mode, _ = choose(network.layers, len(x), schedule.total > schedule.given)
    if mode == FUSED_SEQUENCE:
        return _run_open_loop(network, x, states, schedule)
    x = [dense(x_k) for x_k in x]
    if mode == FUSED_NETWORK and all(x_k.dim() == 3 for x_k in x):
        return _run_closed_loop(network, x, states, schedule)
    if schedule.lengths is not None:
        x = [silence(x_k, schedule.lengths) for x_k in x]
    return run_steps(network, x, states, schedule)


def _run_by_length(
    network: Network, x: list[Tensor], states: list[State], schedule: Schedule, lengths: Tensor
) -> Result:
    """A forecast that starts at the end of each sample: samples of the same length run together."""
    runs: list[Result] = []
    order: list[Tensor] = []
    regularized = [layer for layer in network.layers if isinstance(layer, BaseLayer) and layer.regularize]
    losses: list[list[Tensor]] = [[] for _ in regularized]
    for given in sorted({int(length) for length in lengths}):
        group = (lengths == given).nonzero().squeeze(1)
        total = given + schedule.total - schedule.given
        own = Schedule(
            given,
            total,
            total,
            min(schedule.keep_hidden, total),
            schedule.feedback,
            [None if t is None else t[group, :total] for t in schedule.teacher],
            schedule.teacher_weight,
        )
        parts = [None if s is None else tuple(e if e is None else e[group] for e in s) for s in states]
        runs.append(run(network, [x_k[group, :given] for x_k in x], parts, own))
        order.append(group)
        for layer, own_losses in zip(regularized, losses):
            own_losses.append(layer.get_regularization_loss())
    for layer, own_losses in zip(regularized, losses):
        layer._regularization_loss = torch.stack(own_losses).sum()
    back = torch.argsort(torch.cat(order))

    def join(parts: list[Tensor], keep: int, frozen: bool) -> Tensor:
        """The parts as one batch in its order; the last steps of a time axis that every part fills from its start."""
        filled = []
        for part, group in zip(parts, order):
            missing = schedule.given - int(lengths[group[0]])
            filler = part[:, -1:] if frozen else part.new_zeros(()).expand(part.shape[0], 1, *part.shape[2:])
            filled.append(torch.cat([part, filler.expand(-1, missing, *[-1] * (part.dim() - 2))], dim=1)[:, -keep:])
        return torch.cat(filled)[back]

    outs = [
        join([result[0][k] for result in runs], schedule.keep_outputs, frozen=False) for k in range(len(runs[0][0]))
    ]
    hidden: list[State] = []
    for k, first in enumerate(runs[0][1]):
        traces = [result[1][k] for result in runs]
        if first is None:
            hidden.append(None)
            continue
        hidden.append(
            tuple(
                join([trace[i] for trace in traces if trace is not None], schedule.keep_hidden, frozen=True)
                for i in range(len(first))
            )
        )
    return outs, hidden


def _run_open_loop(network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
    """Layer by layer, each over the whole sequence."""
    hidden: list[State] = []

    def run(layer: torch.nn.Module, x: Tensor) -> Tensor:
        k = len(hidden)
        out, state = _run_layer(layer, network.stateful[k], x, states[k], schedule)
        hidden.append(state)
        return out

    if network.inputs:
        current = torch.cat([run(layer, x_k) for layer, x_k in zip(network.inputs, x)], dim=2)
        for layer in network.hidden:
            current = run(layer, current)
        x = [current] * len(network.outputs)
    outs = [run(layer, x_k) for layer, x_k in zip(network.outputs, x)]
    return [out[:, -schedule.keep_outputs :] for out in outs], hidden


def _run_closed_loop(network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
    """All layers in one fused operator that feeds the outputs back."""
    if not network.inputs and len(network.outputs) > 1:
        # Output layers that read the inputs themselves are networks of their own.
        parts = [
            _run_closed_loop(
                Network([], [], [layer], [True]),
                [x[k]],
                [states[k]],
                replace(schedule, feedback=[0], teacher=[schedule.teacher[k]]),
            )
            for k, layer in enumerate(network.outputs)
        ]
        return [out for outs, _ in parts for out in outs], [state for _, hidden in parts for state in hidden]
    layers = [layer for layer in network.layers if isinstance(layer, BaseLayer)]
    calls: list[LayerCall] = []
    for layer in layers:
        call = layer.fused_call()
        assert call is not None, f"layer {layer.name!r} is not fused"
        calls.append(call)
    firsts = [x_k[:, 0] for x_k in x] + [None] * (len(layers) - len(x))
    initial = [
        layer._init_forward_state(state, x[0].shape[0], inputs=first)
        for layer, state, first in zip(layers, states, firsts)
    ]
    traced = schedule.keep_hidden > 1 or any(layer.regularize for layer in layers)
    outs, hidden = run_network(
        calls,
        x,
        initial,
        n_inputs=len(network.inputs),
        n_outputs=len(network.outputs),
        foresight=schedule.total - schedule.given + 1,
        feedback=schedule.feedback,
        trace=traced,
        teacher=schedule.teacher,
        teacher_weight=schedule.teacher_weight,
    )
    for layer, state in zip(layers, hidden):
        if layer.regularize:
            layer.reset_regularization_loss()
            layer.update_regularization_loss(state)
    kept = [_last(state, schedule.keep_hidden, traced) for state in hidden]
    return [out[:, -schedule.keep_outputs :] for out in outs], kept


def run_steps(
    network: Network,
    x: list[Tensor],
    states: list[State],
    schedule: Schedule,
    *,
    call: Callable[[int, Tensor, Any, dict[str, Any]], tuple[Tensor, Any]] | None = None,
    after: Callable[[int], None] | None = None,
) -> Result:
    """Every layer once per time step, as the layers' Python code has it.

    ``call(k, x_t, state, extra)`` runs layer k for one step in place of the layer itself, and ``after(t)`` follows each
    step of the network.
    """
    layers = network.layers
    current: list[Any] = [_as_given(state) for state in states]
    kept: list[deque[Any]] = [deque(maxlen=schedule.keep_hidden) for _ in layers]
    kept_outs: list[deque[Tensor]] = [deque(maxlen=schedule.keep_outputs) for _ in network.outputs]
    given = [x_k.unbind(1) for x_k in x]
    outs: list[Tensor] = []

    def step(k: int, x_t: Tensor, extra: dict[str, Any]) -> Tensor:
        before, t = current[k], extra["t"]
        if call is None:
            out, current[k] = call_layer(layers[k], network.stateful[k], x_t, before, extra)
        else:
            out, current[k] = call(k, x_t, before, extra)
        if schedule.lengths is not None:
            running = schedule.lengths > t
            out, current[k] = hold(out, None, running), hold(current[k], before if t else None, running)
        kept[k].append(current[k])
        return out

    for t in range(schedule.total):
        extra = _time_of(schedule, t)
        now = [x_k[t] for x_k in given] if t < schedule.given else fed_back(outs, given, schedule, t)
        n_inputs, n_hidden = len(network.inputs), len(network.hidden)
        if n_inputs:
            merged = torch.cat([step(k, x_t, extra) for k, x_t in enumerate(now)], dim=1)
            for k in range(n_hidden):
                merged = step(n_inputs + k, merged, extra)
            now = [merged] * len(network.outputs)
        outs = [step(n_inputs + n_hidden + k, x_t, extra) for k, x_t in enumerate(now)]
        for memory, out in zip(kept_outs, outs):
            memory.append(out)
        if after is not None:
            after(t)
    return [torch.stack(list(memory), dim=1) for memory in kept_outs], [_stack_states(memory) for memory in kept]


def _time_of(schedule: Schedule, t: int) -> dict[str, Any]:
    """What layers are told of a step."""
    now = schedule.start + t
    forecast_from = schedule.given if schedule.forecast_from is None else schedule.forecast_from
    return {"t": now} if now < forecast_from else {"t": now, "forecasting": True, "tau": now - forecast_from}


def fed_back(outs: Sequence[Tensor], given: Sequence[Sequence[Tensor]], schedule: Schedule, t: int) -> list[Tensor]:
    """The inputs of a forecast step: the last outputs, zeros where there is none, true inputs mixed in."""
    now = []
    for k, source in enumerate(schedule.feedback):
        value = outs[source] if source >= 0 else torch.zeros_like(given[k][0])
        teacher = schedule.teacher[k]
        if teacher is not None and schedule.teacher_weight != 0.0:
            value = (1.0 - schedule.teacher_weight) * value + schedule.teacher_weight * teacher[:, t]
        now.append(value)
    return now
