"""Whether candidates compute the same thing: spikes and gradients, before anything is timed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from comparisons import Case
from server import PeerError, Server
from torch import Tensor
from workloads import Workload

# Where the equations of a library are those of ours.
SAME = {
    "neurotorch": {"feed_forward", "recurrent", "spy_recurrent", "public", "mnist", "zebrafish"},
    "snntorch": {"recurrent"},
}
Results = tuple[Tensor, list[Tensor]]


class Differs(AssertionError):
    """A candidate computes something else."""


def exactly(name: str, found: Results, expected: Results) -> None:
    """Outputs and gradients in float64, where no spike flips."""
    if not torch.allclose(found[0], expected[0], rtol=1e-9, atol=1e-9):
        raise Differs(f"{name} and ours: outputs differ by {float((found[0] - expected[0]).abs().max()):.1e}")
    _gradients(name, found[1], expected[1], 1e-9)


def _gradients(name: str, found: list[Tensor], expected: list[Tensor], bound: float) -> None:
    for k, (gradient, other) in enumerate(zip(found, expected, strict=True)):
        error = float((gradient - other).norm() / other.norm())
        if not error <= bound:
            raise Differs(f"{name} and ours: gradient {k} differs by {error:.1e}")


def same_samples(name: str, found: Tensor, expected: Tensor) -> Tensor:
    """Which samples agree. Rounding may flip a spike, after which that sample goes another way: one in eight may."""
    near = (found - expected).abs() < 1e-3
    same = near if near.dim() == 0 else near.flatten(1).all(1)
    if float(same.float().mean()) < 0.875:
        raise Differs(f"{name} and ours: outputs of {float((~same).float().mean()):.0%} of the samples differ")
    return same


def masked(scale: Tensor, same: Tensor) -> Tensor:
    return scale * same.reshape(same.shape + (1,) * (scale.dim() - same.dim()))


def plausibly(name: str, found: Results, expected: Results) -> None:
    """Other equations: the same shapes, everything finite, gradients there, and a rate within a factor of five."""
    for k, (a, b) in enumerate(zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True)):
        if a.shape != b.shape:
            raise Differs(f"{name}: result {k} has shape {tuple(a.shape)}, ours {tuple(b.shape)}")
        if not bool(a.isfinite().all()):
            raise Differs(f"{name}: result {k} is not finite")
        if not bool(a.count_nonzero()):
            raise Differs(f"{name}: result {k} is zero everywhere")
    ratio = float(found[0].mean() / expected[0].mean())
    if not 0.2 <= ratio <= 5.0:
        raise Differs(f"{name}: mean of the outputs is {ratio:.2g} times that of ours")


def results_of(server: Server, samples: Tensor | None = None) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.npz"
        server.ask("results", file=str(path), samples=None if samples is None else samples.tolist())
        with np.load(path) as arrays:
            outputs = torch.as_tensor(arrays["outputs"])
            return outputs, [torch.as_tensor(arrays[f"gradient{k}"]) for k in range(len(arrays) - 1)]


def as_timed(name: str, timed: Workload) -> None:
    """A candidate of this process in float32, against ours."""
    same = same_samples(name, timed.step(name)[0], timed.step("ours")[0])
    scale = masked(timed.scale, same)
    _gradients(name, timed.step(name, scale)[1], timed.step("ours", scale)[1], 1e-3)


def check_ours(case: Case, timed: Workload) -> dict[str, str]:
    """Candidates of this process: in float64, and the compiled one as it is timed."""
    found = {}
    made = case.make(torch.float64)
    expected = made.step("ours")
    for name in case.names:
        if name == "compiled":
            as_timed(name, timed)
            found[name] = "float32"
        else:
            exactly(name, made.step(name), expected)
            found[name] = "float64"
    return found


def check_peer(name: str, server: Server, case: Case, timed: Workload) -> tuple[str, float]:
    """In which precision a library was found to agree, or "own equations"; and the mean of its outputs.

    Libraries that make spikes of float32 whatever they are given are compared in float32.
    """
    built = {"candidate": name, "workload": case.workload, "sizes": case.sizes}
    if case.workload in SAME.get(name, ()):
        try:
            server.ask("build", dtype="float64", **built)
            found = results_of(server)
        except PeerError as error:
            if "dtype" not in str(error):
                raise
        else:
            exactly(name, found, case.make(torch.float64).step("ours"))
            return "float64", float(found[0].mean())
    server.ask("build", **built)
    found = results_of(server)
    if case.workload not in SAME.get(name, ()):
        plausibly(name, found, timed.step("ours"))
        return "own equations", float(found[0].mean())
    same = same_samples(name, found[0], timed.step("ours")[0])
    gradients = found[1] if bool(same.all()) else results_of(server, same)[1]
    _gradients(name, gradients, timed.step("ours", masked(timed.scale, same))[1], 1e-3)
    return "float32", float(found[0].mean())
