"""What every candidate of a workload is given: inputs, weights and the gradient of the outputs, drawn from seed 0.

Imports torch alone, so that the processes of other libraries draw the same numbers as ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Decay of the potential and of the synaptic current per step, and the slope of the fast sigmoid.
ALPHA, BETA = math.exp(-0.1), math.exp(-0.2)
GAMMA = 100.0
ZEBRAFISH_GAMMA = 10.0


class Inputs(NamedTuple):
    """Of one workload: `x` [B, T, I], the tensors whose gradients are wanted, and the gradient of the outputs."""

    x: Tensor
    parameters: list[Tensor]
    scale: Tensor
    labels: Tensor | None = None


def _parameter(drawn: Tensor, dtype: torch.dtype) -> Tensor:
    return drawn.to(dtype).requires_grad_()


def feed_forward(steps: int, batch: int = 32, neurons: int = 512, dtype: torch.dtype = torch.float32) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    current = _parameter(0.3 * torch.randn(batch, steps, neurons, generator=generator) + 0.1, dtype)
    return Inputs(current, [current], torch.randn(batch, steps, neurons, generator=generator).to(dtype))


def recurrent(
    neurons: int,
    batch: int,
    steps: int = 100,
    inputs: int = 700,
    rate: float = 0.05,
    drive: float = 0.1,
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(batch, steps, inputs, generator=generator) < rate).to(dtype)
    # `drive` is the mean current per step, which sets the rate of the neurons.
    weight = 0.8 / math.sqrt(inputs) * torch.randn(inputs, neurons, generator=generator) + drive / (inputs * rate)
    rec = 0.2 / math.sqrt(neurons) * torch.randn(neurons, neurons, generator=generator)
    scale = torch.randn(batch, steps, neurons, generator=generator).to(dtype)
    return Inputs(x, [_parameter(weight, dtype), _parameter(rec, dtype)], scale)


def spy_recurrent(
    neurons: int,
    batch: int,
    steps: int = 100,
    inputs: int = 700,
    rate: float = 0.05,
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    """Of `recurrent`, with currents a fifth as large, since the synapse sums them up."""
    drawn = recurrent(neurons, batch, steps, inputs, rate)
    parameters = [_parameter(0.2 * p.detach(), dtype) for p in drawn.parameters]
    return Inputs(drawn.x.to(dtype), parameters, drawn.scale.to(dtype))


def public(neurons: int, batch: int = 16, steps: int = 500, dtype: torch.dtype = torch.float32) -> Inputs:
    """Dense input of as many channels as there are neurons, as in the field's public comparisons."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, steps, neurons, generator=generator).to(dtype)
    weight = 0.4 / math.sqrt(neurons) * torch.randn(neurons, neurons, generator=generator)
    scale = torch.randn(batch, steps, neurons, generator=generator).to(dtype)
    return Inputs(x, [_parameter(weight, dtype)], scale)


def mnist(batch: int = 256, steps: int = 100, dtype: torch.dtype = torch.float32) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    # About a tenth of the pixels is active, each in up to every second step, as the constant-current encoder gives.
    active = (torch.rand(batch, 1, 784, generator=generator) < 0.2).float()
    x = (active * (torch.rand(batch, steps, 784, generator=generator) < 0.5)).to(dtype)
    w1 = _parameter(math.sqrt(2 / 884) * torch.randn(784, 100, generator=generator), dtype)
    w2 = _parameter(0.2 / 10 * torch.randn(100, 10, generator=generator), dtype)
    labels = torch.randint(0, 10, (batch,), generator=generator)
    return Inputs(x, [w1, w2], torch.ones((), dtype=dtype), labels)


def zebrafish(neurons: int = 522, steps: int = 557, dtype: torch.dtype = torch.float32) -> Inputs:
    """`x` is [1, N], the first frame."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, neurons, generator=generator).to(dtype)
    w1 = _parameter(0.02 * torch.randn(neurons, neurons, generator=generator), dtype)
    w2 = _parameter(0.05 * torch.randn(neurons, neurons, generator=generator), dtype)
    scale = (torch.randn(1, steps, neurons, generator=generator) / neurons).to(dtype)
    return Inputs(x, [w1, w2], scale)


INPUTS: dict[str, Callable[..., Inputs]] = {
    function.__name__: function for function in (feed_forward, recurrent, spy_recurrent, public, mnist, zebrafish)
}


def readout_loss(potential: Tensor, labels: Tensor, time: int = 1) -> Tensor:
    """Negative log-likelihood of the largest potential over time."""
    return torch.nn.functional.nll_loss(torch.log_softmax(potential.amax(time), -1), labels)
