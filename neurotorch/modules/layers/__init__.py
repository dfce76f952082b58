"""Layers of neurons."""

from __future__ import annotations

import enum

from neurotorch.modules.layers.base import BaseLayer, BaseNeuronsLayer
from neurotorch.modules.layers.classical import Linear, LinearJtoI, LinearRNN
from neurotorch.modules.layers.leaky_integrate import LILayer, SpyLILayer
from neurotorch.modules.layers.spiking import (
    ALIFLayer,
    BellecLIFLayer,
    IzhikevichLayer,
    LIFLayer,
    SpyALIFLayer,
    SpyLIFLayer,
)
from neurotorch.modules.layers.spiking_lpf import ALIFLayerLPF, LIFLayerLPF, SpyALIFLayerLPF, SpyLIFLayerLPF
from neurotorch.modules.layers.wilson_cowan import FiringRateLayer, WilsonCowanCURBDLayer, WilsonCowanLayer

__all__ = [
    "ALIFLayer",
    "ALIFLayerLPF",
    "BaseLayer",
    "BaseNeuronsLayer",
    "BellecLIFLayer",
    "FiringRateLayer",
    "IzhikevichLayer",
    "LIFLayer",
    "LIFLayerLPF",
    "LILayer",
    "LayerType",
    "LayerType2Layer",
    "Linear",
    "LinearJtoI",
    "LinearRNN",
    "SpyALIFLayer",
    "SpyALIFLayerLPF",
    "SpyLIFLayer",
    "SpyLIFLayerLPF",
    "SpyLILayer",
    "WilsonCowanCURBDLayer",
    "WilsonCowanLayer",
]


class LayerType(enum.Enum):
    """Names of layers with memory."""

    LIF = 0
    ALIF = 1
    Izhikevich = 2
    LI = 3
    SpyLIF = 4
    SpyLI = 5
    SpyALIF = 6

    @classmethod
    def from_str(cls, name: str | LayerType) -> LayerType | None:
        """The member called ``"LIF"`` or ``"LayerType.LIF"``, or a member itself; None when there is none."""
        if isinstance(name, cls):
            return name
        return cls.__members__.get(str(name).removeprefix(f"{cls.__name__}."))


LayerType2Layer: dict[LayerType, type[BaseNeuronsLayer]] = {
    LayerType.LIF: LIFLayer,
    LayerType.ALIF: ALIFLayer,
    LayerType.Izhikevich: IzhikevichLayer,
    LayerType.LI: LILayer,
    LayerType.SpyLIF: SpyLIFLayer,
    LayerType.SpyLI: SpyLILayer,
    LayerType.SpyALIF: SpyALIFLayer,
}
