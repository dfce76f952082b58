"""Spike functions: a step forwards, a surrogate derivative backwards."""

from __future__ import annotations

import enum
from typing import Any

import torch
from torch import Tensor


class SpikeFuncType(enum.Enum):
    """Names of the spike functions."""

    FastSigmoid = 0
    Phi = 1


class SpikeFunction(torch.autograd.Function):
    """Base of all spike functions: ``z = 1 where v >= threshold else 0``.

    Called as ``F.apply(v, threshold, gamma)``. A subclass defines ``backward`` and finds ``v, threshold, gamma`` in
    ``ctx.saved_tensors``; layers then step it in Python, since the fused operators know only the functions below.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        threshold: Tensor = torch.tensor(1.0),  # noqa: B008
        gamma: Tensor = torch.tensor(1.0),  # noqa: B008
    ) -> Tensor:
        """Spikes with the shape and dtype of ``inputs``.

        Parameters
        ----------
        inputs : Tensor
            Membrane potentials v.
        threshold : Tensor
            Firing threshold, broadcastable to `inputs`. NaN potentials do not spike.
        gamma : Tensor
            Parameter of the surrogate derivative.
        """
        ctx.save_for_backward(inputs, threshold, gamma)
        return (inputs >= threshold).to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Defined by subclasses."""
        raise NotImplementedError("a spike function needs a backward")


def _surrogate_gradients(ctx: Any, grad: Tensor, psi: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor | None, None]:
    grad_v = grad * psi
    return grad_v, (-grad_v).sum_to_size(threshold.shape) if ctx.needs_input_grad[1] else None, None


class HeavisideSigmoidApprox(SpikeFunction):
    """Derivative of a fast sigmoid: ``psi = 1 / (gamma |v - threshold| + 1)^2``.

    Its peak is 1 for any gamma; a larger gamma is narrower.

    References
    ----------
    Zenke & Ganguli (2018), SuperSpike, doi:10.1162/neco_a_01086.
    """

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = (gamma * (v - threshold).abs() + 1.0).square().reciprocal()
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


class HeavisidePhiApprox(SpikeFunction):
    """Triangular derivative: ``psi = gamma / A max(0, 1 - |(v - threshold) / A|)`` with ``A = threshold + epsilon``.

    gamma is the height where the threshold is 1. The gradient of the threshold ignores that A depends on it.

    References
    ----------
    Bellec et al. (2020), doi:10.1038/s41467-020-17236-y, which divides by the threshold at rest, not the adapted one.
    """

    epsilon = 1e-5

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        scale = threshold + HeavisidePhiApprox.epsilon
        return gamma / scale * torch.relu(1.0 - ((inputs - threshold) / scale).abs())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisidePhiApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


SpikeFuncType2Func: dict[SpikeFuncType, type[SpikeFunction]] = {
    SpikeFuncType.FastSigmoid: HeavisideSigmoidApprox,
    SpikeFuncType.Phi: HeavisidePhiApprox,
}
