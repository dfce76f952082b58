"""Rate neurons of Wilson and Cowan over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class RateState(NamedTuple):
    """State of the rate models: the activity, ``[B, N]`` (``[B, T, N]`` as a trace)."""

    h: Tensor


def wilson_cowan(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: RateState | tuple[Tensor, ...] | None = None,
    *,
    dt: float = 1e-3,
    tau: Tensor | float = 1.0,
    mu: Tensor | float = 0.0,
    r: Tensor | float = 0.0,
    activation: str = "sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, RateState]:
    """Run Wilson-Cowan rate neurons over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they see the activity of the step before.
    state : RateState of Tensor [B, N], optional
        Activity before ``x[:, 0]``; zeros when omitted.
    dt : float
        Length of a step in seconds.
    tau : Tensor or float
        Time constant in seconds, above `dt`; scalar or ``[N]``. Differentiable.
    mu : Tensor or float
        Current at which the activation is taken at 0; scalar or ``[N]``. Differentiable.
    r : Tensor or float
        Refractory share of the activity, 0 or more; scalar or ``[N]``. Differentiable.
    activation : {"identity", "relu", "tanh", "sigmoid"}
        f below.
    trace : bool
        Return the state after every step instead of after the last one.
    recompute_every : int
        K > 0 keeps the state every K steps only and recomputes the rest in the backward pass.

    Returns
    -------
    h : Tensor [B, T, N]
        Activity.
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
    ``h_t = h_{t-1} + dt / tau (-h_{t-1} + (1 - r h_{t-1}) f(x_t W + h_{t-1} R - mu))``, the Euler step of the equations
    of [1]_. All gradients are exact. The second derivative raises.

    References
    ----------
    .. [1] Wilson & Cowan (1972), doi:10.1016/S0006-3495(72)86068-5.

    Examples
    --------
    >>> import torch
    >>> h, state = wilson_cowan(torch.zeros(1, 3, 1), dt=0.5)
    >>> h.flatten().tolist()
    [0.25, 0.375, 0.4375]
    """
    call = LayerCall("wilson_cowan", weight, recurrent_weight, (dt / tau, r, mu), activation=activation)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, RateState(*final)


def wilson_cowan_curbd(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: RateState | tuple[Tensor, ...] | None = None,
    *,
    dt: float = 1e-3,
    tau: Tensor | float = 1.0,
    activation: str = "sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, RateState]:
    """Run the rate neurons of current-based decomposition (CURBD) over a whole sequence.

    Parameters
    ----------
    tau : Tensor or float
        Time constant in seconds, above `dt`; scalar or ``[N]``. Differentiable.
    activation : {"identity", "relu", "tanh", "sigmoid"}
        f below.
    x, weight, recurrent_weight, state, dt, trace, recompute_every
        As for :func:`wilson_cowan`; the recurrent weights see ``f(h)``.

    Returns
    -------
    s : Tensor [B, T, N]
        ``s_t = f(h_{t-1})``: the output lags by a step, the last input never reaches it.
    state : RateState

    Raises
    ------
    ValueError
        A shape or name does not fit.
    TypeError
        The dtypes differ.

    Notes
    -----
    ``h_t = h_{t-1} + dt / tau (-h_{t-1} + x_t W + f(h_{t-1}) R)`` [1]_. All gradients are exact. The second derivative
    raises.

    References
    ----------
    .. [1] Perich et al. (2020), doi:10.1101/2020.12.18.423348.
    """
    call = LayerCall("wilson_cowan_curbd", weight, recurrent_weight, (dt / tau,), activation=activation)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, RateState(*final)
