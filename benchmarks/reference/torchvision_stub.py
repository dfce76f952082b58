"""A stand-in for torchvision, which NeuroTorch 0.0.2 imports and the benchmarks do not need."""

from __future__ import annotations

import importlib.machinery
import sys
import types


class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: list) -> None:
        self.transforms = transforms

    def __call__(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x


def replace_torchvision() -> None:
    try:
        import torchvision  # noqa: F401
    except Exception:
        for name in ("torchvision", "torchvision.transforms"):
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            module.__file__ = name
            module.__getattr__ = lambda attribute: type(attribute, (), {})
            sys.modules[name] = module
        sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
        sys.modules["torchvision.transforms"].Compose = Compose
