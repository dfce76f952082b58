"""Leaky integrate-and-fire neurons with subtractive reset over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class BellecLIFState(NamedTuple):
    """State of :func:`bellec_lif`: membrane potential and spikes, ``[B, N]`` each (``[B, T, N]`` as traces)."""

    v: Tensor
    z: Tensor


def bellec_lif(
    x: Tensor,
    weight: Tensor | None = None,
    recurrent_weight: Tensor | None = None,
    state: BellecLIFState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    threshold: Tensor | float = 1.0,
    gamma: Tensor | float = 1.0,
    surrogate: str = "phi",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, BellecLIFState]:
    """Run leaky integrate-and-fire neurons with subtractive reset over a whole sequence.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the input current ``[B, T, N]`` itself, in units of the threshold.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    recurrent_weight : Tensor [N, N], optional
        Recurrent weights, rows presynaptic; they act one step late. The publication has none on the diagonal.
    state : BellecLIFState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    alpha : Tensor or float
        exp(-dt / tau_mem), between 0 and 1; scalar or ``[N]``. Differentiable.
    threshold : Tensor or float
        Firing threshold and size of the reset, scalar or ``[N]``. Differentiable.
    gamma : Tensor or float
        Height or slope of the surrogate derivative, 0.3 in the publication. No gradient.
    surrogate, trace, recompute_every
        As for :func:`neurotorch.functional.lif`.

    Returns
    -------
    z : Tensor [B, T, N]
        Spikes, 0 or 1 in the dtype of the weights.
    state : BellecLIFState
        After the last step; pass it on to continue the sequence.

    Raises
    ------
    ValueError
        A shape does not fit, or `gamma` requires a gradient.
    TypeError
        The dtypes differ.

    Notes
    -----
    ``v_t = alpha v_{t-1} + x_t W + z_{t-1} R - z_{t-1} threshold``, ``z_t = [v_t >= threshold]`` [1]_. The reset
    carries no gradient of the spike; the recurrent term does. A neuron may spike at every step.

    References
    ----------
    .. [1] Bellec et al. (2020), doi:10.1038/s41467-020-17236-y, equation 6.

    Examples
    --------
    >>> import torch
    >>> z, state = bellec_lif(torch.full((1, 4, 1), 0.6), alpha=0.9)
    >>> z.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    call = LayerCall("bellec_lif", weight, recurrent_weight, (alpha, threshold, gamma), surrogate)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, BellecLIFState(*final)
