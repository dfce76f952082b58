"""Izhikevich's neurons over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class IzhikevichState(NamedTuple):
    """State of :func:`izhikevich`: membrane potential, recovery current, spikes, ``[B, N]`` each."""

    v: Tensor
    u: Tensor
    z: Tensor


def izhikevich(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: IzhikevichState | tuple[Tensor, ...] | None = None,
    *,
    C: Tensor | float = 100.0,
    v_rest: Tensor | float = -60.0,
    v_th: Tensor | float = -40.0,
    k: Tensor | float = 0.7,
    a: Tensor | float = 0.03,
    b: Tensor | float = -2.0,
    c: Tensor | float = -50.0,
    d: Tensor | float = 100.0,
    v_peak: Tensor | float = 35.0,
    gamma: Tensor | float = 1.0,
    dt: Tensor | float = 1.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, IzhikevichState]:
    """Run Izhikevich's two-variable neurons over a whole sequence, by forward Euler steps.

    The defaults are the regular spiking neuron of [1]_, chapter 8, in mV, ms, pA, pF and nS; any consistent units will
    do. The book has the constants of many other kinds of cortical, thalamic and hippocampal neurons. [2]_ is the
    dimensionless form.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself, in pA.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late.
    state : IzhikevichState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; when omitted ``v = v_rest``, ``u = 0`` and no spike.
    C : Tensor or float
        Membrane capacitance, pF. This and all following constants: scalar or ``[N]``, differentiable unless said.
    v_rest, v_th : Tensor or float
        Resting potential and instantaneous threshold, mV: the zeros of the parabola.
    k : Tensor or float
        Its steepness, nS / mV.
    a : Tensor or float
        Rate of the recovery current, 1 / ms.
    b : Tensor or float
        Its sensitivity to the potential, nS.
    c, d : Tensor or float
        Potential after a spike, mV, and what a spike adds to the recovery current, pA.
    v_peak : Tensor or float
        Potential at which the neuron spikes, mV.
    gamma : Tensor or float
        Slope or height of the surrogate derivative around `v_peak`, 1 / mV. No gradient.
    dt : Tensor or float
        Length of a step, ms. No gradient.
    surrogate, trace, recompute_every
        As for :func:`neurotorch.functional.lif`.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : IzhikevichState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape does not fit, or `gamma` or `dt` requires a gradient.
    TypeError
        The dtypes differ.

    Notes
    -----
    With ``I_t = x_t W + z_{t-1} R``,
    ``v_t = (v_{t-1} + dt / C (k (v_{t-1} - v_rest) (v_{t-1} - v_th) - u_{t-1} + I_t)) (1 - z_{t-1}) + c z_{t-1}``,
    ``u_t = u_{t-1} + dt a (b (v_{t-1} - v_rest) - u_{t-1}) + d z_{t-1}`` and ``z_t = [v_t >= v_peak]``. A spike resets
    at the next step, where [1]_ resets at once, so v shows the peak for one step. The resets carry no gradient of the
    spike. Forward Euler follows the upstroke coarsely: with steps much above 1 ms the model is another one.

    References
    ----------
    .. [1] Izhikevich (2007), Dynamical Systems in Neuroscience, MIT Press.
    .. [2] Izhikevich (2003), Simple model of spiking neurons, doi:10.1109/TNN.2003.820440.

    Examples
    --------
    >>> import torch
    >>> z, state = izhikevich(torch.full((1, 1000, 1), 70.0))
    >>> int(z.sum())  # spikes in a second of 70 pA
    7
    """
    if state is None:
        like = x if weight is None else weight
        if weight is None and like.dtype in (torch.bfloat16, torch.float16):
            like = like.float()
        v = v_rest.to(like) if isinstance(v_rest, Tensor) else like.new_full((), v_rest)
        zeros = like.new_zeros(1, like.shape[-1])
        state = IzhikevichState(v.expand_as(zeros), zeros, zeros)
    constants = (C, v_rest, v_th, k, a, b, c, d, v_peak, gamma, dt)
    call = LayerCall("izhikevich", weight, recurrent_weight, constants, surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, IzhikevichState(*final)
