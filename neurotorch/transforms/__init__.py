"""Transforms of inputs and outputs, usable in models, datasets and trainers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurotorch.transforms.base import (
    ConstantValuesTransform,
    IdentityTransform,
    LinearRateToSpikes,
    MaybeSoftmax,
    ReduceFuncTanh,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    ToDevice,
    ToTensor,
    to_numpy,
    to_tensor,
)
from neurotorch.transforms.spikes_decoders import MeanConv
from neurotorch.transforms.vision import ImgToSpikes
from neurotorch.transforms.wrappers import CallableToModuleWrapper

if TYPE_CHECKING:
    from neurotorch.transforms.spikes_auto_encoder import SpikesAutoEncoder as SpikesAutoEncoder
    from neurotorch.transforms.spikes_encoders import ALIFEncoder as ALIFEncoder
    from neurotorch.transforms.spikes_encoders import LIFEncoder as LIFEncoder
    from neurotorch.transforms.spikes_encoders import SpikesEncoder as SpikesEncoder
    from neurotorch.transforms.spikes_encoders import SpyLIFEncoder as SpyLIFEncoder

__all__ = [
    "ALIFEncoder",
    "CallableToModuleWrapper",
    "ConstantValuesTransform",
    "IdentityTransform",
    "ImgToSpikes",
    "LIFEncoder",
    "LinearRateToSpikes",
    "MaybeSoftmax",
    "MeanConv",
    "ReduceFuncTanh",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "SpikesAutoEncoder",
    "SpikesEncoder",
    "SpyLIFEncoder",
    "ToDevice",
    "ToTensor",
    "to_numpy",
    "to_tensor",
]

# Layers and models use transforms, and these use layers: they are imported when first used.
_LAZY = {
    "ALIFEncoder": "spikes_encoders",
    "LIFEncoder": "spikes_encoders",
    "SpikesAutoEncoder": "spikes_auto_encoder",
    "SpikesEncoder": "spikes_encoders",
    "SpyLIFEncoder": "spikes_encoders",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
