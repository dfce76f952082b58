"""Recorded runs, tolerances and comparisons that several test files use."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_LAYERS = GOLDEN / "layers"

# Relative to 1 + max|expected|. Networks accumulate rounding over layers and feedback.
LAYER_TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}
NETWORK_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


class Recording:
    """One golden file: its arrays as tensors, found by key or by the first part of their keys."""

    def __init__(self, name: str):
        with np.load(GOLDEN_LAYERS / f"{name}.npz", allow_pickle=False) as file:
            self.meta = json.loads(str(file["meta_json"]))
            self.arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta_json"}

    def __getitem__(self, key: str) -> Tensor:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def group(self, prefix: str) -> dict[str, Tensor]:
        start = prefix + "/"
        return {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)}


def recordings(layer: str) -> list[str]:
    """Names of the recorded runs of one layer class, without its ending ``Layer``."""
    return sorted(path.stem for path in GOLDEN_LAYERS.glob(f"{layer}_*.npz"))


def assert_near(actual: Tensor | None, expected: Tensor, tolerance: float, what: str) -> None:
    """Compare within ``tolerance * (1 + max|expected|)``. A gradient that is None counts as zeros."""
    if actual is None:
        actual = torch.zeros_like(expected)
    assert actual.shape == expected.shape, f"{what}: shape {list(actual.shape)}, expected {list(expected.shape)}"
    if expected.numel() == 0:
        return
    actual, expected = actual.detach().double(), expected.detach().double()
    error = ((actual - expected).abs().max() / (1 + expected.abs().max())).item()
    assert error <= tolerance, f"{what}: relative error {error:.2e} above {tolerance:.0e}"


def leaves(*tensors: Tensor) -> list[Tensor]:
    """Copies that require gradients, strides kept."""
    return [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in tensors]


def counted_operators(function):
    """Names of the native operators that a call runs, and how often."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        function()
    return {event.key: event.count for event in recorded.key_averages() if event.key.startswith("neurotorch::")}
