"""Leaky integrate-and-fire neurons with an exponential synaptic current over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class SpyLIFState(NamedTuple):
    """State of :func:`spy_lif`: membrane potential, synaptic current, spikes, ``[B, N]`` each."""

    v: Tensor
    i: Tensor
    z: Tensor


class SpyLIFLPFState(NamedTuple):
    """State of :func:`spy_lif_lpf`: membrane potential, synaptic current, filtered spikes, spikes."""

    v: Tensor
    i: Tensor
    phi: Tensor
    z: Tensor


def spy_lif(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: SpyLIFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    beta: Tensor | float,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, SpyLIFState]:
    """Run leaky integrate-and-fire neurons with synaptic current over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the current into the synapse ``[B, T, N]`` itself.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late.
    state : SpyLIFState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    alpha, beta : Tensor or float
        exp(-dt / tau_syn) and exp(-dt / tau_mem), between 0 and 1; scalar or ``[N]``. Differentiable.
    threshold, gamma, surrogate, trace, recompute_every
        As for :func:`neurotorch.functional.lif`.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : SpyLIFState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape does not fit, or `gamma` requires a gradient.
    TypeError
        The dtypes differ.

    Notes
    -----
    ``i_t = alpha i_{t-1} + x_t W + z_{t-1} R``, ``v_t = (beta v_{t-1} + i_t) (1 - z_{t-1})``,
    ``z_t = [v_t >= threshold]`` [1]_. The reset carries no gradient and leaves the synaptic current alone.

    References
    ----------
    .. [1] Neftci, Mostafa & Zenke (2019), doi:10.1109/MSP.2019.2931595.
    """
    call = LayerCall("spy_lif", weight, recurrent_weight, (alpha, beta, threshold, gamma), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, SpyLIFState(*final)


def spy_lif_lpf(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: SpyLIFLPFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    beta: Tensor | float,
    lpf_alpha: Tensor | float,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, SpyLIFLPFState]:
    """As :func:`spy_lif`, the output being the low-pass filtered spikes ``phi_t = lpf_alpha phi_{t-1} + z_t``.

    Parameters
    ----------
    lpf_alpha : Tensor or float
        Decay of the filter, between 0 and 1; scalar or ``[N]``. Differentiable. All others: see :func:`spy_lif`.

    Returns
    -------
    phi : Tensor [B, T, N]
    state : SpyLIFLPFState
    """
    call = LayerCall("spy_lif_lpf", weight, recurrent_weight, (alpha, beta, threshold, gamma, lpf_alpha), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, SpyLIFLPFState(*final)
