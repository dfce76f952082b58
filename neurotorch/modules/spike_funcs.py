"""Spike functions: a step forwards, a surrogate derivative backwards."""

from __future__ import annotations

import enum
import math
from typing import Any

import torch
from torch import Tensor


class SpikeFuncType(enum.Enum):
    """Names of the spike functions."""

    FastSigmoid = 0
    Phi = 1
    Boxcar = 2
    Triangle = 3
    ArcTan = 4
    SuperSpike = 5
    Gaussian = 6


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


class HeavisideBoxcarApprox(SpikeFunction):
    """Rectangular derivative: ``psi = gamma`` where ``|v - threshold| < 1 / (2 gamma)``, exactly 0 elsewhere.

    Its integral is 1, as that of the derivative of a step.

    References
    ----------
    Wu, Deng, Li, Zhu & Shi (2018), doi:10.3389/fnins.2018.00331; the width that they call a_1 is 1 / gamma.
    """

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        return gamma * (gamma * (inputs - threshold).abs() < 0.5).to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisideBoxcarApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


class HeavisideTriangleApprox(SpikeFunction):
    """Triangular derivative: ``psi = gamma max(0, 1 - gamma |v - threshold|)``, exactly 0 from ``1 / gamma`` on.

    Its integral is 1. Unlike that of :class:`HeavisidePhiApprox` its width does not follow the threshold.

    References
    ----------
    Esser et al. (2016), doi:10.1073/pnas.1604850113, with gamma 1.
    """

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        return gamma * torch.relu(1.0 - gamma * (inputs - threshold).abs())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisideTriangleApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


class HeavisideArcTanApprox(SpikeFunction):
    """Derivative of ``arctan(pi gamma x) / pi``: ``psi = gamma / (1 + (pi gamma (v - threshold))^2)``.

    Its peak is gamma, its integral 1, and it is zero nowhere.

    References
    ----------
    Fang et al. (2021), doi:10.1109/ICCV48922.2021.00266, with gamma 1.
    """

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        return gamma / (1.0 + (math.pi * gamma * (inputs - threshold)).square())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisideArcTanApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


class HeavisideSuperSpikeApprox(SpikeFunction):
    """Derivative of the fast sigmoid ``gamma x / (1 + gamma |x|)``: ``psi = gamma / (gamma |v - threshold| + 1)^2``.

    Its peak is gamma, its integral 2, and it is zero nowhere. :class:`HeavisideSigmoidApprox` has the same shape
    without the factor gamma, so that its peak is 1.

    References
    ----------
    Zenke & Ganguli (2018), SuperSpike, doi:10.1162/neco_a_01086.
    """

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        return gamma / (gamma * (inputs - threshold).abs() + 1.0).square()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisideSuperSpikeApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


class HeavisideGaussianApprox(SpikeFunction):
    """Gaussian derivative: ``psi = gamma exp(-pi (gamma (v - threshold))^2)``.

    The normal density with the standard deviation ``1 / (sqrt(2 pi) gamma)``: its peak is gamma, its integral 1.

    References
    ----------
    Yin, Corradi & Bohte (2021), doi:10.1038/s42256-021-00397-w: their single Gaussian, not the sum of three.
    """

    @staticmethod
    def pseudo_derivative(inputs: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
        """The derivative psi at these potentials."""
        return gamma * torch.exp(-math.pi * (gamma * (inputs - threshold)).square())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of potential and threshold; none of gamma."""
        v, threshold, gamma = ctx.saved_tensors
        psi = HeavisideGaussianApprox.pseudo_derivative(v, threshold, gamma)
        return _surrogate_gradients(ctx, grad_outputs[0], psi, threshold)


SpikeFuncType2Func: dict[SpikeFuncType, type[SpikeFunction]] = {
    SpikeFuncType.FastSigmoid: HeavisideSigmoidApprox,
    SpikeFuncType.Phi: HeavisidePhiApprox,
    SpikeFuncType.Boxcar: HeavisideBoxcarApprox,
    SpikeFuncType.Triangle: HeavisideTriangleApprox,
    SpikeFuncType.ArcTan: HeavisideArcTanApprox,
    SpikeFuncType.SuperSpike: HeavisideSuperSpikeApprox,
    SpikeFuncType.Gaussian: HeavisideGaussianApprox,
}
