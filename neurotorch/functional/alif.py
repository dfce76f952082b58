"""Leaky integrate-and-fire neurons with an adaptive threshold over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class ALIFState(NamedTuple):
    """State of :func:`alif`: membrane potential, adaptation, spikes, ``[B, N]`` each (``[B, T, N]`` as traces)."""

    v: Tensor
    a: Tensor
    z: Tensor


class ALIFLPFState(NamedTuple):
    """State of :func:`alif_lpf`: membrane potential, adaptation, filtered spikes, spikes."""

    v: Tensor
    a: Tensor
    phi: Tensor
    z: Tensor


def alif(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: ALIFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    rho: Tensor | float,
    beta: Tensor | float = 1.6,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, ALIFState]:
    """Run leaky integrate-and-fire neurons with an adaptive threshold over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself, in units of the threshold.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late.
    state : ALIFState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    alpha, rho : Tensor or float
        exp(-dt / tau_mem) and exp(-dt / tau_a), between 0 and 1; scalar or ``[N]``. Differentiable.
    beta : Tensor or float
        Strength of the adaptation: by how much a spike raises the threshold. Scalar or ``[N]``. Differentiable.
    threshold : Tensor or float
        Firing threshold at rest, scalar or ``[N]``. Differentiable.
    gamma, surrogate, trace, recompute_every
        As for :func:`neurotorch.functional.lif`; the surrogate takes the adapted threshold.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : ALIFState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape does not fit, or `gamma` requires a gradient.
    TypeError
        The dtypes differ.

    Notes
    -----
    ``v_t = (alpha v_{t-1} + x_t W + z_{t-1} R) (1 - z_{t-1})``, ``a_t = rho a_{t-1} + z_{t-1}``,
    ``z_t = [v_t >= threshold + beta a_t]`` [1]_. The reset uses the spike of the step before and carries no gradient;
    the recurrent term and the adaptation do. With phi the derivative is scaled by the adapted threshold, where [1]_
    takes the threshold at rest. The second derivative raises.

    References
    ----------
    .. [1] Bellec, Salaj, Subramoney, Legenstein & Maass (2018), arXiv:1803.09574.

    Examples
    --------
    After its first spike the neuron needs a higher potential for the next one.

    >>> import torch
    >>> z, state = alif(torch.full((1, 8, 1), 0.6), alpha=0.9, rho=0.5, beta=1.0)
    >>> z.flatten().tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    """
    call = LayerCall("alif", weight, recurrent_weight, (alpha, threshold, gamma, beta, rho), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, ALIFState(*final)


def alif_lpf(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: ALIFLPFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    rho: Tensor | float,
    lpf_alpha: Tensor | float,
    beta: Tensor | float = 1.6,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, ALIFLPFState]:
    """As :func:`alif`, the output being the low-pass filtered spikes ``phi_t = lpf_alpha phi_{t-1} + z_t``.

    Parameters
    ----------
    lpf_alpha : Tensor or float
        Decay of the filter, between 0 and 1; scalar or ``[N]``. Differentiable. All others: see :func:`alif`.

    Returns
    -------
    phi : Tensor [B, T, N]
    state : ALIFLPFState
    """
    constants = (alpha, threshold, gamma, beta, rho, lpf_alpha)
    call = LayerCall("alif_lpf", weight, recurrent_weight, constants, surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, ALIFLPFState(*final)
