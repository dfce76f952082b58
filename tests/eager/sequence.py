"""One layer over a whole sequence, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eager.surrogates import SPIKES

ACTIVATIONS = {
    "identity": lambda v: v,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda v: torch.softmax(v, dim=-1),
    "elu": torch.nn.functional.elu,
}


@dataclass(frozen=True)
class Oracle:
    """One model: ``step(current, state, constants, spike)`` returns the next state, and any output beside it.

    With `activates_inside`, `step` takes the activation in place of the spike, and the output none. The recurrent
    weights see the spikes, or ``presynaptic(state, activation)``.
    """

    states: tuple[str, ...]
    constants: tuple[str, ...]
    step: Callable[..., tuple[Tensor, ...]]
    spikes: int | None = None  # the state that holds spikes
    output: int = 0  # the state that the output is made of
    presynaptic: Callable[..., Tensor] | None = None
    activates_inside: bool = False

    def initial_state(self, like: Tensor, batch: int, neurons: int) -> tuple[Tensor, ...]:
        return tuple(like.new_zeros(batch, neurons) for _ in self.states)

    def advance(self, x, weight, recurrent_weight, state, constants, surrogate, activation):
        """Output and state after one step with input ``x [B, F]``."""
        current = x if weight is None else x @ weight
        f = ACTIVATIONS[activation]
        if recurrent_weight is not None:
            seen = self.presynaptic(state, f) if self.presynaptic else state[self.spikes]
            current = current + seen @ recurrent_weight
        after = self.step(current, state, constants, f if self.activates_inside else SPIKES[surrogate])
        out = after[self.output] if self.activates_inside else f(after[self.output])
        return out, after[: len(self.states)]


def run_sequence(
    model: Oracle,
    x: Tensor,
    weight: Tensor | None,
    recurrent_weight: Tensor | None,
    state: Sequence[Tensor],
    constants: Sequence[Tensor],
    surrogate: str = "fast_sigmoid",
    activation: str = "identity",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output ``[B, T, N]`` and the trace ``[B, T, N]`` of every state."""
    outs, states = [], []
    for t in range(x.shape[1]):
        out, state = model.advance(x[:, t], weight, recurrent_weight, state, constants, surrogate, activation)
        outs.append(out)
        states.append(state)
    return torch.stack(outs, 1), tuple(torch.stack(trace, 1) for trace in zip(*states, strict=True))
