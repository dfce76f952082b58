"""How images become sequences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from neurotorch.transforms.spikes_encoders import LIFEncoder, SpyLIFEncoder


class ConstantCurrent(torch.nn.Module):
    """Every value at every step: ``[B, F]`` becomes ``[B, n_steps, F]``, expanded, not copied.

    Parameters
    ----------
    n_steps : int
    """

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.n_steps = n_steps

    def forward(self, x: Tensor) -> Tensor:
        """The values along a new time axis."""
        return x.unsqueeze(1).expand(-1, self.n_steps, -1)


class Latency(torch.nn.Module):
    """One spike per value, the earlier the larger it is; none for values of up to a fifth.

    A value x charges a membrane of time constant ``n_steps / 5`` that fires at 0.2: the spike is at step
    ``n_steps / 5 ln(x / (x - 0.2))`` (Zenke & Ganguli 2018, doi:10.1162/neco_a_01086, as in the SpyTorch tutorials).

    Parameters
    ----------
    n_steps : int
    """

    THRESHOLD = 0.2

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.n_steps = n_steps

    def forward(self, x: Tensor) -> Tensor:
        """Spikes ``[B, n_steps, F]`` of values ``[B, F]`` between 0 and 1."""
        above = (x - self.THRESHOLD).clamp(min=torch.finfo(x.dtype).tiny)
        step = (self.n_steps / 5 * torch.log(x.clamp(min=self.THRESHOLD) / above)).clamp(max=self.n_steps).long()
        spikes = x.new_zeros(x.shape[0], self.n_steps + 1, x.shape[1])
        spikes.scatter_(1, step.unsqueeze(1), 1.0)
        return spikes[:, : self.n_steps].contiguous()


def _spiking(encoder: type[LIFEncoder] | type[SpyLIFEncoder]) -> Callable[[int, int], torch.nn.Module]:
    # Values are constant currents into a neuron each; the encoder's weights stay.
    return lambda n_steps, n_units: encoder(n_steps, n_units, spikes_layer_kwargs={"freeze_weights": True})


# By name; each makes the module for a number of steps and of values.
ENCODERS: dict[str, Callable[[int, int], torch.nn.Module]] = {
    "constant": lambda n_steps, n_units: ConstantCurrent(n_steps),
    "latency": lambda n_steps, n_units: Latency(n_steps),
    "lif": _spiking(LIFEncoder),
    "spy-lif": _spiking(SpyLIFEncoder),
}
