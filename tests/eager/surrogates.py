"""Spikes ``z = [v >= threshold]`` whose derivative is replaced by a surrogate."""

import torch
from torch import Tensor


def fast_sigmoid_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Zenke & Ganguli (2018), doi:10.1162/neco_a_01086: peak 1, narrower for larger gamma."""
    return 1 / (gamma * (v - threshold).abs() + 1) ** 2


def phi_derivative(v: Tensor, threshold: Tensor, gamma: Tensor) -> Tensor:
    """Bellec et al. (2020), doi:10.1038/s41467-020-17236-y: a triangle of height gamma over the threshold."""
    width = threshold + 1e-5
    return gamma / width * torch.clamp(1 - ((v - threshold) / width).abs(), min=0)


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


SPIKES = {"fast_sigmoid": _spike_with(fast_sigmoid_derivative), "phi": _spike_with(phi_derivative)}
