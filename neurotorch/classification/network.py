"""The network that a run trains."""

from __future__ import annotations

import torch
from torch import Tensor

import neurotorch.modules.layers as layers
from neurotorch.classification.augmentation import Shifts
from neurotorch.classification.encoders import ENCODERS
from neurotorch.classification.settings import MODELS, ClassifySettings
from neurotorch.modules.layers import SpyLILayer
from neurotorch.modules.sequential_rnn import SequentialRNN

DT = 1e-3  # seconds a step, nominal: time constants are 5 and 10 steps, however long a step of the data is


class Flat(torch.nn.Module):
    """Images ``[B, ...]`` as rows ``[B, F]``, times a factor."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """The rows."""
        return x.flatten(1) * self.scale


class Compressed(torch.nn.Module):
    """Square roots of counts, times a factor."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``scale sqrt(x)``, sparse where x is."""
        return x.sqrt() * self.scale


class MeanOverTime(torch.nn.Module):
    """Outputs ``[B, T, N]`` as their mean ``[B, 1, N]``, so that the maximum over time is the mean."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean."""
        return x.mean(dim=1, keepdim=True)


def build_classifier(settings: ClassifySettings, n_inputs: int, n_classes: int) -> SequentialRNN:
    """Inputs, a hidden layer of spiking neurons, and leaky integrators, one for each class.

    Weights follow ``settings.seed`` alone.
    """
    recipe = settings.recipe
    layer, arguments = MODELS[settings.model]
    first: torch.nn.Module = Flat(recipe.input_scale) if recipe.images else Compressed(recipe.input_scale)
    prepared = [first]
    if recipe.images:
        prepared.append(ENCODERS[settings.encoder](settings.n_steps, n_inputs))
    prepared.append(Shifts(*recipe.shifts))
    tau = {"tau_mem" if layer.startswith("Spy") else "tau_m": 10 * DT * recipe.slow}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        hidden = getattr(layers, layer)(
            n_inputs,
            settings.hidden,
            name="hidden",
            use_recurrent_connection=recipe.recurrent,
            force_dale_law=settings.dale,
            dt=DT,
            device=torch.device("cpu"),
            **arguments,
            **tau,
        )
        readout = SpyLILayer(
            settings.hidden, n_classes, name="readout", dt=DT, tau_mem=10 * DT * recipe.slow, device=torch.device("cpu")
        )
        network = SequentialRNN(
            [hidden, readout],
            hh_memory_size=1,
            input_transform=torch.nn.Sequential(*prepared),
            output_transform=[MeanOverTime()] if recipe.readout == "mean" else None,
            device=torch.device("cpu"),
            name="network",
        )
        return network.build()
