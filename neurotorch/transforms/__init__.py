"""Transforms of inputs and outputs, usable in models, datasets and trainers."""

from neurotorch.transforms.base import (
    ConstantValuesTransform,
    IdentityTransform,
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
from neurotorch.transforms.wrappers import CallableToModuleWrapper

__all__ = [
    "CallableToModuleWrapper",
    "ConstantValuesTransform",
    "IdentityTransform",
    "MaybeSoftmax",
    "ReduceFuncTanh",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "ToDevice",
    "ToTensor",
    "to_numpy",
    "to_tensor",
]
