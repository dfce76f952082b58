"""Layers with random input for the tests of the CUDA kernels, and the emulated kernels."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

NATIVE = Path(__file__).parents[1] / "native" / "_build"
CONSTANTS = {"alpha": 0.9, "beta": 0.85, "threshold": 1.0, "gamma": 5.0}


@dataclass
class Case:
    """One layer, its input, and a gradient for everything that it returns."""

    model: str
    surrogate: str
    current: Tensor  # [B, T, N]
    recurrent: Tensor | None  # [N, N]
    constants: list[Tensor]  # [N] each
    initial: list[Tensor]  # [B, N] each; the spikes are not all 0 or 1
    grad_out: Tensor  # [B, T, N]
    grad_traces: list[Tensor]  # [B, T, N] each
    grad_final: list[Tensor]  # [B, N] each

    @property
    def tensors(self) -> list[Tensor]:
        """What the layer is differentiated by, apart from the recurrent weights."""
        return [self.current, *self.initial, *self.constants[:-1]]  # gamma, the last one, has no gradient


def build_case(
    model: str,
    surrogate: str = "fast_sigmoid",
    *,
    recurrent: bool = True,
    dtype: torch.dtype = torch.float32,
    batch: int = 2,
    steps: int = 12,
    neurons: int = 33,
) -> Case:
    from neurotorch.functional import MODELS

    generator = torch.Generator().manual_seed(neurons + steps)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    described = MODELS[model]
    states = [normal(batch, neurons) for _ in described.states]
    spikes = torch.rand(batch, neurons, generator=generator) < 0.2
    states[-1] = torch.where(spikes, torch.full_like(states[-1], 0.75), torch.zeros_like(states[-1]))
    scale = 0.3 if model == "spy_lif" else 0.6
    return Case(
        model,
        surrogate,
        current=0.1 + scale * normal(batch, steps, neurons),
        recurrent=normal(neurons, neurons) / neurons**0.5 if recurrent else None,
        constants=[value + 0.02 * normal(neurons) for value in (CONSTANTS[name] for name in described.constants)],
        initial=states,
        grad_out=normal(batch, steps, neurons),
        grad_traces=[normal(batch, steps, neurons) for _ in states],
        grad_final=[normal(batch, neurons) for _ in states],
    )


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    return build_case


@pytest.fixture(scope="session")
def emulator() -> ModuleType:
    """The CUDA kernels compiled for the CPU."""
    path = NATIVE / f"emulator{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not path.exists():
        pytest.skip(
            "the emulated kernels are not built: cmake -S tests/native -B build/tests && cmake --build build/tests"
        )
    spec = importlib.util.spec_from_file_location("emulator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
