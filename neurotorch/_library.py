"""Finds and loads the native library, and says how it was built."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

_PATH = Path(__file__).with_name("_C.so")


@cache
def load() -> Path:
    """Load the native library once; returns its path.

    Raises
    ------
    ImportError
        It is missing, or was built against an incompatible torch.
    """
    if not _PATH.exists():
        raise ImportError(
            f"neurotorch: the native library {_PATH.name} is missing; build it with "
            "`pip install --no-build-isolation .` (or `make install`) where torch >= 2.13 is installed"
        )
    try:
        torch.ops.load_library(str(_PATH))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ImportError(
            f"neurotorch: {_PATH.name} does not load with torch {torch.__version__} (2.13 or newer is needed): {error}"
        ) from error
    return _PATH


@cache
def build_info() -> dict[str, str]:
    """How the library was built and which kernels it chose, by the names that ``csrc/ops/info.cpp`` gives."""
    load()
    return dict(line.split("=", 1) for line in torch.ops.neurotorch.build_info())
