"""Affine maps with recurrence over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class LinearRNNState(NamedTuple):
    """State of :func:`linear_rnn`: the sum before the activation, ``[B, N]``."""

    v: Tensor


def linear_rnn(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    bias: Tensor | float = 0.0,
    state: LinearRNNState | tuple[Tensor, ...] | None = None,
    *,
    activation: str = "identity",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, LinearRNNState]:
    """Run the linear network ``v_t = x_t W + v_{t-1} R + bias``, output ``activation(v_t)``.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic. They see v, not the output: the dynamics stay linear.
    bias : Tensor or float
        Added at every step; scalar or ``[N]``. Differentiable.
    state : LinearRNNState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    activation : {"identity", "relu", "tanh", "sigmoid"}
        Applied to the output, not to the state.
    trace : bool
        Return the state after every step instead of after the last one.
    recompute_every : int
        K > 0 keeps the state every K steps only and recomputes the rest in the backward pass.

    Returns
    -------
    out : Tensor [B, T, N]
    state : LinearRNNState

    Raises
    ------
    ValueError, TypeError
        A shape, name or dtype does not fit.
    """
    call = LayerCall("linear_rnn", weight, recurrent_weight, (bias,), activation=activation)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, LinearRNNState(*final)
