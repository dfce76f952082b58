"""Leaky integrate-and-fire neurons with a synaptic current and an adaptive threshold over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class SpyALIFState(NamedTuple):
    """State of :func:`spy_alif`: membrane potential, synaptic current, adaptation, spikes, ``[B, N]`` each."""

    v: Tensor
    i: Tensor
    a: Tensor
    z: Tensor


class SpyALIFLPFState(NamedTuple):
    """State of :func:`spy_alif_lpf`: membrane potential, synaptic current, adaptation, filtered spikes, spikes."""

    v: Tensor
    i: Tensor
    a: Tensor
    phi: Tensor
    z: Tensor


def spy_alif(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: SpyALIFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    beta: Tensor | float,
    rho: Tensor | float,
    kappa: Tensor | float = 1.6,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, SpyALIFState]:
    """Run leaky integrate-and-fire neurons with synaptic current and adaptive threshold over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the current into the synapse ``[B, T, N]`` itself.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late.
    state : SpyALIFState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    alpha, beta, rho : Tensor or float
        exp(-dt / tau_syn), exp(-dt / tau_mem) and exp(-dt / tau_a), between 0 and 1; scalar or ``[N]``. Differentiable.
    kappa : Tensor or float
        Strength of the adaptation: by how much a spike raises the threshold. Scalar or ``[N]``. Differentiable.
    threshold : Tensor or float
        Firing threshold at rest, scalar or ``[N]``. Differentiable.
    gamma, surrogate, trace, recompute_every
        As for :func:`neurotorch.functional.lif`; the surrogate takes the adapted threshold.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : SpyALIFState
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
    ``a_t = rho a_{t-1} + z_{t-1}``, ``z_t = [v_t >= threshold + kappa a_t]`` [1]_ [2]_. The reset carries no gradient
    and leaves the synaptic current alone; the recurrent term and the adaptation carry one.

    References
    ----------
    .. [1] Gince et al. (2024), NeuroTorch, doi:10.1101/2024.12.29.630683.
    .. [2] Bellec, Salaj, Subramoney, Legenstein & Maass (2018), arXiv:1803.09574.
    """
    constants = (alpha, beta, threshold, gamma, kappa, rho)
    call = LayerCall("spy_alif", weight, recurrent_weight, constants, surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, SpyALIFState(*final)


def spy_alif_lpf(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: SpyALIFLPFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    beta: Tensor | float,
    rho: Tensor | float,
    lpf_alpha: Tensor | float,
    kappa: Tensor | float = 1.6,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, SpyALIFLPFState]:
    """As :func:`spy_alif`, the output being the low-pass filtered spikes ``phi_t = lpf_alpha phi_{t-1} + z_t``.

    Parameters
    ----------
    lpf_alpha : Tensor or float
        Decay of the filter, between 0 and 1; scalar or ``[N]``. Differentiable. All others: see :func:`spy_alif`.

    Returns
    -------
    phi : Tensor [B, T, N]
    state : SpyALIFLPFState
    """
    constants = (alpha, beta, threshold, gamma, kappa, rho, lpf_alpha)
    call = LayerCall("spy_alif_lpf", weight, recurrent_weight, constants, surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, SpyALIFLPFState(*final)
