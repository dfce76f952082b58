"""Leaky integrate-and-fire neurons over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class LIFState(NamedTuple):
    """State of :func:`lif`: membrane potential and spikes, ``[B, N]`` each (``[B, T, N]`` as traces)."""

    v: Tensor
    z: Tensor


class LIFLPFState(NamedTuple):
    """State of :func:`lif_lpf`: membrane potential, filtered spikes, spikes."""

    v: Tensor
    phi: Tensor
    z: Tensor


def lif(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: LIFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, LIFState]:
    """Run leaky integrate-and-fire neurons with multiplicative reset over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself, in units of the threshold.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late.
    state : LIFState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted. ``z`` need not be binary.
    alpha : Tensor or float
        exp(-dt / tau_mem), between 0 and 1; scalar or ``[N]``. Differentiable.
    threshold : Tensor or float
        Firing threshold, scalar or ``[N]``; a neuron spikes when ``v >= threshold``. Differentiable.
    gamma : Tensor or float
        Slope or height of the surrogate derivative, see Notes. No gradient.
    surrogate : str
        Derivative that stands in for that of the spike, see Notes.
    trace : bool
        Return the state after every step instead of after the last one.
    recompute_every : int
        K > 0 keeps the state every K steps only and recomputes the rest in the backward pass.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : LIFState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape does not fit, or `gamma` requires a gradient.
    TypeError
        The dtypes differ.

    Notes
    -----
    ``v_t = (alpha v_{t-1} + x_t W + z_{t-1} R) (1 - z_{t-1})``, ``z_t = [v_t >= threshold]``. The reset uses the spike
    of the step before and carries no gradient; the recurrent term does. The second derivative raises.

    The surrogate derivatives, with ``x = v - threshold``:

    * ``"fast_sigmoid"``: ``1 / (gamma |x| + 1)^2`` [1]_, its peak 1 for any gamma
    * ``"phi"``: ``gamma / threshold max(0, 1 - |x| / threshold)`` [2]_, zero from ``|x| = threshold`` on
    * ``"boxcar"``: ``gamma`` [3]_, zero from ``|x| = 1 / (2 gamma)`` on
    * ``"triangle"``: ``gamma max(0, 1 - gamma |x|)`` [4]_, zero from ``|x| = 1 / gamma`` on
    * ``"arctan"``: ``gamma / (1 + (pi gamma x)^2)`` [5]_
    * ``"super_spike"``: ``gamma / (gamma |x| + 1)^2`` [1]_, with the factor gamma
    * ``"gaussian"``: ``gamma exp(-pi (gamma x)^2)`` [6]_

    (1e-5 is added to the threshold that phi divides by.) In the last five gamma is the peak, and the integral is 1, but
    2 for super_spike.

    References
    ----------
    .. [1] Zenke & Ganguli (2018), SuperSpike, doi:10.1162/neco_a_01086.
    .. [2] Bellec et al. (2020), doi:10.1038/s41467-020-17236-y.
    .. [3] Wu, Deng, Li, Zhu & Shi (2018), doi:10.3389/fnins.2018.00331; their width is ``1 / gamma``.
    .. [4] Esser et al. (2016), doi:10.1073/pnas.1604850113, with gamma 1.
    .. [5] Fang et al. (2021), doi:10.1109/ICCV48922.2021.00266, with gamma 1.
    .. [6] Yin, Corradi & Bohte (2021), doi:10.1038/s42256-021-00397-w: a normal density with the standard deviation
       ``1 / (sqrt(2 pi) gamma)``.

    Examples
    --------
    >>> import torch
    >>> z, state = lif(torch.full((1, 4, 1), 0.6), alpha=0.9)
    >>> z.flatten().tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    call = LayerCall("lif", weight, recurrent_weight, (alpha, threshold, gamma), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, LIFState(*final)


def lif_lpf(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: LIFLPFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    lpf_alpha: Tensor | float,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 100.0,
    surrogate: str = "fast_sigmoid",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, LIFLPFState]:
    """As :func:`lif`, the output being the low-pass filtered spikes ``phi_t = lpf_alpha phi_{t-1} + z_t``.

    Parameters
    ----------
    lpf_alpha : Tensor or float
        Decay of the filter, between 0 and 1; scalar or ``[N]``. Differentiable. All others: see :func:`lif`.

    Returns
    -------
    phi : Tensor [B, T, N]
    state : LIFLPFState
    """
    call = LayerCall("lif_lpf", weight, recurrent_weight, (alpha, threshold, gamma, lpf_alpha), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, LIFLPFState(*final)
