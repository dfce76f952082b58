"""Layers, spike functions, and the models made of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurotorch.modules.base import BaseModel, NamedModule, SizedModule
from neurotorch.modules.functions import PSigmoid, WeirdTanh
from neurotorch.modules.layers import (
    ALIFLayer,
    ALIFLayerLPF,
    BaseLayer,
    BaseNeuronsLayer,
    BellecLIFLayer,
    FiringRateLayer,
    IzhikevichLayer,
    LayerType,
    LayerType2Layer,
    LIFLayer,
    LIFLayerLPF,
    LILayer,
    Linear,
    LinearJtoI,
    LinearRNN,
    SpyALIFLayer,
    SpyALIFLayerLPF,
    SpyLIFLayer,
    SpyLIFLayerLPF,
    SpyLILayer,
    WilsonCowanCURBDLayer,
    WilsonCowanLayer,
)
from neurotorch.modules.spike_funcs import (
    HeavisideArcTanApprox,
    HeavisideBoxcarApprox,
    HeavisideGaussianApprox,
    HeavisidePhiApprox,
    HeavisideSigmoidApprox,
    HeavisideSuperSpikeApprox,
    HeavisideTriangleApprox,
    SpikeFunction,
    SpikeFuncType,
    SpikeFuncType2Func,
)
from neurotorch.modules.utils import DimensionsCat

if TYPE_CHECKING:
    from neurotorch.modules.sequential import Sequential
    from neurotorch.modules.sequential_rnn import SequentialRNN
    from neurotorch.modules.wrappers import NamedModuleWrapper, SizedModuleWrapper

__all__ = [
    "ALIFLayer",
    "ALIFLayerLPF",
    "BaseLayer",
    "BaseModel",
    "BaseNeuronsLayer",
    "BellecLIFLayer",
    "DimensionsCat",
    "FiringRateLayer",
    "HeavisideArcTanApprox",
    "HeavisideBoxcarApprox",
    "HeavisideGaussianApprox",
    "HeavisidePhiApprox",
    "HeavisideSigmoidApprox",
    "HeavisideSuperSpikeApprox",
    "HeavisideTriangleApprox",
    "IzhikevichLayer",
    "LIFLayer",
    "LIFLayerLPF",
    "LILayer",
    "LayerType",
    "LayerType2Layer",
    "Linear",
    "LinearJtoI",
    "LinearRNN",
    "NamedModule",
    "NamedModuleWrapper",
    "PSigmoid",
    "Sequential",
    "SequentialRNN",
    "SizedModule",
    "SizedModuleWrapper",
    "SpikeFuncType",
    "SpikeFuncType2Func",
    "SpikeFunction",
    "SpyALIFLayer",
    "SpyALIFLayerLPF",
    "SpyLIFLayer",
    "SpyLIFLayerLPF",
    "SpyLILayer",
    "WeirdTanh",
    "WilsonCowanCURBDLayer",
    "WilsonCowanLayer",
]

_LAZY = {
    "NamedModuleWrapper": "wrappers",
    "Sequential": "sequential",
    "SequentialRNN": "sequential_rnn",
    "SizedModuleWrapper": "wrappers",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
