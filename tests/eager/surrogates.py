"""Spikes ``z = [v >= threshold]`` whose derivative is replaced by a surrogate."""

import math

import torch
from torch import Tensor


def fast_sigmoid_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Zenke & Ganguli (2018), doi:10.1162/neco_a_01086: peak 1, narrower for larger gamma."""
    return 1 / (gamma * (v - threshold).abs() + 1) ** 2


def phi_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Bellec et al. (2020), doi:10.1038/s41467-020-17236-y: a triangle of height gamma over the threshold."""
    width = threshold + 1e-5
    return gamma / width * torch.clamp(1 - ((v - threshold) / width).abs(), min=0)


def boxcar_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Wu et al. (2018), doi:10.3389/fnins.2018.00331: a rectangle of area 1 and width 1 / gamma."""
    return torch.where((v - threshold).abs() * gamma < 0.5, gamma, torch.zeros_like(v))


def triangle_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Esser et al. (2016), doi:10.1073/pnas.1604850113: a triangle of area 1 and height gamma."""
    return gamma * torch.clamp(1 - gamma * (v - threshold).abs(), min=0)


def arctan_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Fang et al. (2021), doi:10.1109/ICCV48922.2021.00266: the derivative of arctan(pi gamma x) / pi."""
    return gamma / (1 + (math.pi * gamma * (v - threshold)) ** 2)


def super_spike_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Zenke & Ganguli (2018), doi:10.1162/neco_a_01086: the derivative of gamma x / (1 + gamma |x|), peak gamma."""
    return gamma / (1 + gamma * (v - threshold).abs()) ** 2


def gaussian_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Yin et al. (2021), doi:10.1038/s42256-021-00397-w: a normal density of height gamma."""
    std = 1 / (math.sqrt(2 * math.pi) * gamma)
    return torch.exp(-0.5 * ((v - threshold) / std) ** 2) / (math.sqrt(2 * math.pi) * std)


DERIVATIVES = {
    "fast_sigmoid": fast_sigmoid_derivative,
    "phi": phi_derivative,
    "boxcar": boxcar_derivative,
    "triangle": triangle_derivative,
    "arctan": arctan_derivative,
    "super_spike": super_spike_derivative,
    "gaussian": gaussian_derivative,
}


def _spike_with(derivative):
    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v, threshold, gamma):
            ctx.save_for_backward(v, threshold, gamma)
            return (v >= threshold).to(v.dtype)

        @staticmethod
        def backward(ctx, grad_z):
            v, threshold, gamma = ctx.saved_tensors
            grad_v = grad_z * derivative(v, threshold, gamma)
            return grad_v, -grad_v.sum_to_size(threshold.shape), None

    return Spike.apply


SPIKES = {name: _spike_with(derivative) for name, derivative in DERIVATIVES.items()}
