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
}


@dataclass(frozen=True)
class Oracle:
    """One model: ``step(current, state, constants, spike)`` returns the next state (or, without states, the output)."""

    states: tuple[str, ...]
    constants: tuple[str, ...]
    step: Callable[..., tuple[Tensor, ...]]
    spikes: int | None = None  # the state that the recurrent weights see
    output: int = 0  # the state that the output is made of

    def initial_state(self, like: Tensor, batch: int, neurons: int) -> tuple[Tensor, ...]:
        return tuple(like.new_zeros(batch, neurons) for _ in self.states)

    def advance(self, x, weight, recurrent_weight, state, constants, surrogate, activation):
        """Output and state after one step with input ``x [B, F]``."""
        current = x if weight is None else x @ weight
        if recurrent_weight is not None:
            current = current + state[self.spikes] @ recurrent_weight
        after = self.step(current, state, constants, SPIKES[surrogate])
        return ACTIVATIONS[activation](after[self.output]), after if self.states else ()


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
