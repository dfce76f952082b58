"""E-prop with one update per sequence: fused forward pass, then one reverse scan per learning signal.

The e-prop gradient is the adjoint of each layer with the recurrent path cut. With c_t = dL/d(current) of that scan,
G_W = sum of x_t^T c_t and G_R = sum of z_{t-1}^T c_t, which equals the sum over time of learning signal times
eligibility trace. A low-pass filter of the traces is the reverse filter of the learning signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurotorch.functional import SURROGATES, run_network, run_sequence
from neurotorch.functional._operators import backward_operator
from neurotorch.functional._sequence import activate_input
from neurotorch.learning_algorithms._eprop_errors import Errors
from neurotorch.learning_algorithms._eprop_feedback import Signal
from neurotorch.learning_algorithms._eprop_network import (
    LearnedLayer,
    LearnedNetwork,
    activation_number,
    add_gradients,
    output_of,
)
from neurotorch.modules._engine import Result, Schedule, State, _last


class Run(NamedTuple):
    """One layer's part of a forward pass: what its weights read, initial states, traces ``[B, T, N]``, output."""

    x: Tensor
    initial: list[Tensor]
    traces: list[Tensor]
    out: Tensor


def run_forward(net: LearnedNetwork, x: list[Tensor], states: list[State], schedule: Schedule) -> list[Run]:
    """Run the network and keep the traces of all states."""
    batch = x[0].shape[0]
    if schedule.total == schedule.given:
        runs: list[Run] = []
        for k, layer in enumerate(net.layers):
            if k < net.fed:
                given = x[k]
            elif k < net.fed + 1 or layer in net.outputs:
                given = _joined(net, runs, k)
            else:
                given = runs[k - 1].out
            full = layer.layer._init_forward_state(states[k], batch, inputs=given[:, 0])
            initial = _operator_states(layer, [s.to(given.dtype) for s in full], batch)
            shown = initial[: len(layer.model.states)]
            raw, traces = run_sequence(layer.detached, given, shown, trace=True, every_state=True)
            runs.append(Run(_seen(layer, given), initial, list(traces), output_of(layer, raw)))
        return runs
    firsts = [x_k[:, 0] for x_k in x] + [None] * (len(net.layers) - len(x))
    starts = [
        layer.layer._init_forward_state(state, batch, inputs=first)
        for layer, state, first in zip(net.layers, states, firsts)
    ]
    outs, hidden = run_network(
        [layer.detached for layer in net.layers],
        x,
        starts,
        n_inputs=net.fed if net.hidden else 0,
        n_outputs=len(net.outputs),
        foresight=schedule.total - schedule.given + 1,
        feedback=schedule.feedback,
        trace=True,
        teacher=schedule.teacher,
        teacher_weight=schedule.teacher_weight,
        every_state=True,
    )
    runs = []
    n_hidden = len(net.hidden)
    read = _fed_inputs(x, outs, schedule)
    for k, (layer, start, traces) in enumerate(zip(net.layers, starts, hidden)):
        given = read[k] if k < net.fed else _joined(net, runs, k)
        out = outs[k - n_hidden] if k >= n_hidden else _activated(layer, traces[layer.model.output_state])
        initial = _operator_states(layer, list(start), batch)
        runs.append(Run(_seen(layer, given), initial, list(traces), out))
    return runs


def _joined(net: LearnedNetwork, runs: Sequence[Run], k: int) -> Tensor:
    """What layer k reads of the layers before it."""
    n_hidden = len(net.hidden)
    last = min(k, n_hidden) - 1
    if last < net.fed:
        return torch.cat([run.out for run in runs[: net.fed]], dim=2)
    return runs[last].out


def _activated(layer: LearnedLayer, trace: Tensor) -> Tensor:
    return trace if layer.model.activates_inside else activate_input(layer.call.activation, trace)


def _seen(layer: LearnedLayer, x: Tensor) -> Tensor:
    """What the weights multiply: the input, or an activated copy beside it."""
    name = layer.call.input_activation
    return x if name is None else torch.cat([activate_input(name, x), x], dim=-1)


def _operator_states(layer: LearnedLayer, states: list[Tensor], batch: int) -> list[Tensor]:
    like = layer.call.weight
    assert like is not None
    full = [s.to(like.dtype).expand(batch, layer.neurons) for s in states]
    return full + [like.new_zeros(batch, layer.neurons) for _ in range(layer.model.operator_states - len(full))]


def _fed_inputs(x: list[Tensor], outs: list[Tensor], schedule: Schedule) -> list[Tensor]:
    """Inputs of all steps of a closed loop."""
    made = []
    for k, source in enumerate(schedule.feedback[: len(x)]):
        later = outs[source][:, schedule.given - 1 : -1] if source >= 0 else None
        shape = (x[k].shape[0], schedule.total - schedule.given, x[k].shape[2])
        value = x[k].new_zeros(shape) if later is None else later
        teacher = schedule.teacher[k]
        if teacher is not None and schedule.teacher_weight != 0.0:
            weight = schedule.teacher_weight
            value = (1.0 - weight) * value + weight * teacher[:, schedule.given :]
        made.append(torch.cat([x[k], value], dim=1))
    return made


def reverse_filter(signal: Tensor, pole: float) -> Tensor:
    """``y_t = signal_t + pole y_{t+1}`` along time: the adjoint of a leaky integrator."""
    if pole == 0.0:
        return signal
    zeros = signal.new_zeros(signal.shape[0], signal.shape[2])
    constants = [signal.new_full((), pole), signal.new_zeros(())]
    filtered: Tensor = backward_operator("li")(
        signal, [None], [None], signal, None, None, [zeros], constants, None, [None], [], 0, 0, 0, 1
    )[0]
    return filtered


def _before(initial: Tensor, trace: Tensor) -> Tensor:
    return torch.cat([initial.unsqueeze(1), trace[:, :-1]], dim=1)


def scan(
    layer: LearnedLayer, run: Run, signal: Tensor, *, memory: bool, activated: bool, constants: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Reverse scan of one layer with the recurrent path cut.

    Parameters
    ----------
    signal : Tensor [B, T, N]
        Learning signal on the output, after its filter.
    memory : bool
        Let it flow from step to step through the states; otherwise every step stands alone.
    activated : bool
        The signal is on the output behind the activation.
    constants : bool
        Return the gradients of the constants too.

    Returns
    -------
    grad_current : Tensor [B, T, N]
    grad_constants : list of Tensor or None
    """
    model, call = layer.model, layer.call
    activation = activation_number(layer) if activated or model.activates_inside else 0
    initial, traces, out = run.initial, list(run.traces), run.out
    if not memory:
        # Every step is a sequence of its own that starts from the states before it.
        initial = [_before(s, t).flatten(0, 1) for s, t in zip(initial, traces)]
        traces = [t.flatten(0, 1).unsqueeze(1) for t in traces]
        signal, out = signal.flatten(0, 1).unsqueeze(1), out.flatten(0, 1).unsqueeze(1)
    values = layer.constants
    first = 3 + model.operator_states
    wanted = 1 + sum(1 << first + k for k, c in enumerate(values) if constants and c.requires_grad and model.learns(k))
    grads = backward_operator(model.name)(
        signal,
        [None] * model.operator_states,
        [None] * model.operator_states,
        signal,
        None,
        None,
        initial,
        [c.detach() for c in values],
        out,
        traces,
        [],
        SURROGATES[call.surrogate],
        activation,
        0,
        wanted,
    )
    found = [grads[first + k] if wanted >> first + k & 1 else None for k in range(len(values))]
    return grads[0].reshape(run.x.shape[0], run.x.shape[1], layer.neurons), found


def _product(x: Tensor, grad: Tensor) -> Tensor:
    return x.flatten(0, 1).T @ grad.flatten(0, 1)


def gradients(
    layer: LearnedLayer, params: list[Any], run: Run, signal: Tensor, *, memory: bool, activated: bool
) -> list[Tensor | None]:
    """E-prop gradients of parameters of one layer that share a learning signal ``[B, T, N]``."""
    current, constants = scan(layer, run, signal, memory=memory, activated=activated, constants=True)
    weight, recurrent = layer.call.weight, layer.call.recurrent_weight
    grad_weight = _product(run.x, current) if weight is not None and weight.requires_grad else None
    grad_recurrent = None
    if recurrent is not None and recurrent.requires_grad:
        k = layer.model.presynaptic_state
        before = _before(run.initial[k], run.traces[k])
        if layer.model.computes_presynaptic:
            before = activate_input(layer.call.activation, before)
        grad_recurrent = _product(before, current)
    return layer.parameter_gradients(params, grad_weight, grad_recurrent, constants)


def run_offline(
    rule: Any,
    net: LearnedNetwork,
    signals: list[Signal],
    errors: Errors,
    x: list[Tensor],
    states: list[State],
    schedule: Schedule,
) -> Result:
    """Run a training batch and leave its gradients in ``.grad``.

    Parameters
    ----------
    rule : Eprop
    net, signals, errors
        Of the batch.
    x, states, schedule
        As for :func:`neurotorch.modules._engine.run`.
    """
    runs = run_forward(net, x, states, schedule)
    by_layer = dict(zip(map(id, net.layers), runs))
    published = rule.eligibility == "published"
    outs = [by_layer[id(layer)].out for layer in net.outputs]
    wrong, factor = errors.of_sequence(outs)
    if factor is not None:
        factor = reverse_filter(factor.unsqueeze(2), rule.modulation_decay)
    seen = []
    for layer, error in zip(net.outputs, errors.reduced(wrong)):
        error = error if factor is None else error * factor
        for pole in layer.poles() if published else [rule.gamma]:
            error = reverse_filter(error, pole)
        seen.append(error)
    for signal in signals:
        run = by_layer[id(signal.layer)]
        total = signal.project(seen)
        if rule.rate_coeff:
            rate = run.out.mean(dim=(0, 1)) - rule.rate_target
            total = total + rule.rate_coeff * rate / (run.out.shape[0] * run.out.shape[1])
        found = gradients(signal.layer, signal.params, run, total, memory=published, activated=True)
        add_gradients(signal.params, found)
    for k, (layer, out) in enumerate(zip(net.outputs, outs)):
        slope = wrong[k] if published or rule.errors is not None else errors.slope(k, out)
        slope = slope if factor is None else slope * factor
        # The gradient of a step counts 1 + alpha + ... until the end.
        total = slope if published else slope * reverse_filter(torch.ones_like(slope), rule.alpha)
        own = by_layer[id(layer)]
        add_gradients(
            layer.learned, gradients(layer, layer.learned, own, total, memory=published, activated=not published)
        )
    hidden = [
        _last(run.traces[: len(layer.model.states)], schedule.keep_hidden, traced=True)
        for layer, run in zip(net.layers, runs)
    ]
    return [out[:, -schedule.keep_outputs :] for out in outs], hidden
