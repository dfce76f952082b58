"""A whole network in closed loop, step by step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from eager.sequence import ACTIVATIONS, Oracle


class Layer(NamedTuple):
    model: Oracle
    weight: Tensor
    recurrent_weight: Tensor | None
    constants: Sequence[Tensor]
    surrogate: str = "fast_sigmoid"
    activation: str = "identity"
    input_activation: str | None = None  # the weights see [f(x), x]


def run_network(
    layers: Sequence[Layer],
    inputs: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    *,
    n_inputs: int,
    n_outputs: int,
    foresight: int,
    feedback: Sequence[int],
    teacher: Sequence[Tensor] | None = None,
    teacher_weight: float = 0.0,
) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Outputs ``[B, S, N]`` per output layer and state traces per layer.

    Input layers read one input each, hidden layers form a chain behind their concatenated outputs, every output layer
    reads the end of the chain. From step T on, input ``k`` is output ``feedback[k]`` of the step before (-1: zeros),
    mixed with the teacher's row by `teacher_weight`. Without input layers, the single layer reads the input.
    """
    known = inputs[0].shape[1]
    first_output = len(layers) - n_outputs
    states = list(states)
    outs, traces = [], []
    for t in range(known + max(0, foresight - 1)):
        fed = [x[:, t] if t < known else None for x in inputs]
        if t >= known:
            fed = [torch.zeros_like(x[:, 0]) if k < 0 else outs[-1][k] for k, x in zip(feedback, inputs, strict=True)]
            if teacher is not None:
                fed = [(1 - teacher_weight) * f + teacher_weight * y[:, t] for f, y in zip(fed, teacher, strict=True)]

        def advance(number, x):
            layer = layers[number]
            if layer.input_activation is not None:
                x = torch.cat([ACTIVATIONS[layer.input_activation](x), x], 1)
            out, states[number] = layer.model.advance(
                x, layer.weight, layer.recurrent_weight, states[number], *layer[3:6]
            )
            return out

        signal = torch.cat([advance(k, fed[k]) for k in range(n_inputs)], 1) if n_inputs else fed[0]
        for number in range(n_inputs, first_output):
            signal = advance(number, signal)
        outs.append([advance(number, signal) for number in range(first_output, len(layers))])
        traces.append(list(states))
    return (
        [torch.stack(out, 1) for out in zip(*outs, strict=True)],
        [tuple(torch.stack(trace, 1) for trace in zip(*layer, strict=True)) for layer in zip(*traces, strict=True)],
    )
