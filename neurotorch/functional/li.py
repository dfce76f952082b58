"""Readouts over a whole sequence: leaky integrators and the affine map."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurotorch.functional._models import LayerCall
from neurotorch.functional._sequence import run_sequence


class LIState(NamedTuple):
    """State of :func:`li`: the potential before the activation, ``[B, N]``."""

    v: Tensor


class SpyLIState(NamedTuple):
    """State of :func:`spy_li`: potential and synaptic current, ``[B, N]`` each."""

    v: Tensor
    i: Tensor


def li(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | float = 0.0,
    state: LIState | tuple[Tensor, ...] | None = None,
    *,
    kappa: Tensor | float,
    activation: str = "identity",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, LIState]:
    """Run leaky integrators ``v_t = kappa v_{t-1} + x_t W + bias``, output ``activation(v_t)``.

    Parameters
    ----------
    x : Tensor [B, T, F]
        Input; without `weight` the current ``[B, T, N]`` itself.
    weight : Tensor [F, N], optional
        Forward weights, rows presynaptic.
    bias : Tensor or float
        Added at every step; scalar or ``[N]``. Differentiable.
    state : LIState of Tensor [B, N], optional
        State after the step before ``x[:, 0]``; zeros when omitted.
    kappa : Tensor or float
        exp(-dt / tau_out), between 0 and 1; scalar or ``[N]``. Differentiable.
    activation : {"identity", "relu", "tanh", "sigmoid"}
        Applied to the output, not to the state.
    trace, recompute_every
        As for :func:`neurotorch.functional.lif`.

    Returns
    -------
    out : Tensor [B, T, N]
    state : LIState

    Raises
    ------
    ValueError, TypeError
        A shape, name or dtype does not fit.

    References
    ----------
    Gince et al. (2024), NeuroTorch, doi:10.1101/2024.12.29.630683.
    """
    call = LayerCall("li", weight, None, (kappa, bias), activation=activation)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, LIState(*final)


def spy_li(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | float = 0.0,
    state: SpyLIState | tuple[Tensor, ...] | None = None,
    *,
    alpha: Tensor | float,
    beta: Tensor | float,
    activation: str = "identity",
    trace: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, SpyLIState]:
    """Run leaky integrators with a current: ``i_t = alpha i_{t-1} + x_t W``, ``v_t = beta v_{t-1} + i_t + bias``.

    Parameters
    ----------
    alpha, beta : Tensor or float
        exp(-dt / tau_syn) and exp(-dt / tau_mem), between 0 and 1; scalar or ``[N]``. Differentiable.
    x, weight, bias, state, activation, trace, recompute_every
        As for :func:`li`.

    Returns
    -------
    out : Tensor [B, T, N]
        ``activation(v)``.
    state : SpyLIState

    Raises
    ------
    ValueError, TypeError
        A shape, name or dtype does not fit.

    References
    ----------
    Gince et al. (2024), NeuroTorch, doi:10.1101/2024.12.29.630683.
    """
    call = LayerCall("spy_li", weight, None, (alpha, beta, bias), activation=activation)
    out, final = run_sequence(call, x, state, trace=trace, recompute_every=recompute_every)
    return out, SpyLIState(*final)


def linear(x: Tensor, weight: Tensor, bias: Tensor | float = 0.0, *, activation: str = "identity") -> Tensor:
    """Affine map ``activation(x W + bias)`` of every step.

    Parameters
    ----------
    x : Tensor [B, T, F]
    weight : Tensor [F, N]
        Rows are presynaptic (transposed with respect to :class:`torch.nn.Linear`).
    bias : Tensor or float
        Scalar or ``[N]``.
    activation : {"identity", "relu", "tanh", "sigmoid"}

    Returns
    -------
    Tensor [B, T, N]

    Raises
    ------
    ValueError, TypeError
        A shape, name or dtype does not fit.
    """
    return run_sequence(LayerCall("linear", weight, None, (bias,), activation=activation), x)[0]
