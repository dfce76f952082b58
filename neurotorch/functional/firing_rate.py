"""Firing rates that add up activated inputs over a whole sequence."""

from __future__ import annotations

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import activate_input, cast_inputs, run_sequence
from neurotorch.functional.wilson_cowan import RateState


def firing_rate(
    x: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor | None = None,
    state: RateState | tuple[Tensor, ...] | None = None,
    *,
    mu: Tensor | float = 0.0,
    r: Tensor | float = 0.0,
    activation: str = "sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, RateState]:
    """Run firing-rate neurons ``h_t = h_{t-1} R + f(x_t) W + mu + (1 - r) x_t`` over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, N]
        Input, as wide as the layer.
    weight : Tensor [N, N]
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they see h of the step before. Without them nothing is carried over.
    state : RateState of Tensor [B, N], optional
        h before ``x[:, 0]``; zeros when omitted.
    mu, r : Tensor or float
        Offset, and the share of the input that is taken off; scalar or ``[N]``. Differentiable.
    activation : {"identity", "relu", "tanh", "sigmoid"}
        f above.
    trace, recompute_every
        As for :func:`neurotorch.functional.wilson_cowan`.

    Returns
    -------
    h : Tensor [B, T, N]
    state : RateState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape or name does not fit.
    TypeError
        The dtypes differ.

    Notes
    -----
    The time loop is that of :func:`neurotorch.functional.linear_rnn`.

    References
    ----------
    Gince et al. (2024), NeuroTorch, doi:10.1101/2024.12.29.630683.
    """
    n = x.shape[-1]
    if x.dim() != 3:
        raise ValueError(f"x: expected shape [B, T, N], got {list(x.shape)}")
    if tuple(weight.shape) != (n, n):
        raise ValueError(f"weight: expected shape [{n}, {n}], got {list(weight.shape)}")
    cast = cast_inputs(weight, x=x)["x"]
    assert cast is not None
    current = activate_input(activation, cast) @ weight + (1.0 - r) * cast
    call = LayerCall("linear_rnn", None, recurrent_weight, (mu,))
    out, final = run_sequence(call, current, state, trace=trace, recompute_every=recompute_every)
    return out, RateState(*final)
