"""Our operators beside a plain PyTorch loop and a compiled one; results are compared before anything is timed.

Workloads a to d are described in ``workloads.py``. Targets are ratios to the candidate named, "fastest" being the
fastest other one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from interleave import interleave, summarise
from loops import forget_compiled
from models import LAYERS, layer_of
from workloads import Workload, feed_forward, mnist, recurrent, zebrafish

# torch's compiler warns in many places; in the benchmarks that is no error.
pytestmark = pytest.mark.filterwarnings("default")


class Case(NamedTuple):
    """A workload, the targets of forward and of both passes, and where the compiled candidate is.

    `compiled` says whether the quick set has it; None that there is none.
    """

    make: Callable[..., Workload]
    forward: dict[str, float]
    both: dict[str, float]
    compiled: bool | None = True


CASES = {
    "a T=100": Case(partial(feed_forward, 100), {"compiled": 2.0}, {"compiled": 3.5, "loop": 8.0}),
    "a T=500": Case(partial(feed_forward, 500), {"compiled": 2.0}, {"compiled": 3.5, "loop": 8.0}),
    "b N=128 B=1": Case(partial(recurrent, 128, 1), {"fastest": 6.0}, {"compiled": 6.0}),
    "b N=512 B=1": Case(partial(recurrent, 512, 1), {"fastest": 6.0}, {"compiled": 6.0}),
    "b N=512 B=1 T=500": Case(partial(recurrent, 512, 1, 500), {"fastest": 6.0}, {"loop": 10.0}, compiled=False),
    "b N=128 B=32": Case(partial(recurrent, 128, 32), {"fastest": 6.0}, {"fastest": 4.0}),
    "b N=512 B=32": Case(partial(recurrent, 512, 32), {"fastest": 6.0}, {"fastest": 4.0}),
    "b N=512 B=32 20%": Case(partial(recurrent, 512, 32, rate=0.2, drive=0.37), {"fastest": 4.0}, {"fastest": 3.0}),
    "b N=1024 B=32": Case(partial(recurrent, 1024, 32), {"fastest": 6.0}, {"fastest": 4.0}, compiled=False),
    "b N=512 B=256": Case(partial(recurrent, 512, 256), {"fastest": 6.0}, {"fastest": 3.5}, compiled=False),
    "c": Case(mnist, {}, {"fastest": 3.5}),
    "d": Case(zebrafish, {}, {"compiled": 3.5}),
    **{f"model {model}": Case(partial(layer_of, model), {}, {}, compiled=None) for model in LAYERS},
}


def compare_exactly(case: Case) -> None:
    """Outputs and gradients of ours and the loop in float64, where no spike flips."""
    workload = case.make(dtype=torch.float64)
    (out, grads), (expected, expected_grads) = workload.step("ours"), workload.step("loop")
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    for grad, other in zip(grads, expected_grads, strict=True):
        assert float((grad - other).norm()) <= 1e-9 * float(other.norm())


def compare_timed(workload: Workload, names: list[str]) -> None:
    """The candidates as they are timed, in float32, against the loop.

    Rounding may flip a spike, after which that sample goes another way: at most one sample in eight may, and it is left
    out of the gradients, which then must agree again.
    """
    expected = workload.step("loop")[0]
    for name in names:
        near = (workload.step(name)[0] - expected).abs() < 1e-3
        same = near if near.dim() == 0 else near.flatten(1).all(1)
        assert float(same.float().mean()) >= 0.875, f"{name} and loop: outputs differ"
        scale = workload.scale * same.reshape(same.shape + (1,) * (workload.scale.dim() - same.dim()))
        for grad, other in zip(workload.step(name, scale)[1], workload.step("loop", scale)[1], strict=True):
            error = float((grad - other).norm() / other.norm())
            assert error <= 1e-3, f"{name} and loop: gradients differ by {error:.1e}"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "compiled"),
    [pytest.param(name, bool(case.compiled), id=name) for name, case in CASES.items()]
    # Large sizes compile for minutes.
    + [
        pytest.param(name, True, id=f"{name} compiled", marks=pytest.mark.slow)
        for name, case in CASES.items()
        if case.compiled is False
    ],
)
def test_workload(
    name: str, compiled: bool, threads: int, benchmark: Any, rows: list, request: pytest.FixtureRequest
) -> None:
    case, before = CASES[name], torch.get_num_threads()
    if threads == 1:
        compare_exactly(case)
    torch.set_num_threads(threads)
    forget_compiled()
    try:
        workload = case.make()
        rate = float(workload.spikes().detach().mean())
        assert 0.005 < rate < 0.5, "a workload that hardly spikes, or always, measures nothing"
        names = ["ours", "loop", *(["compiled"] if compiled else [])]
        compare_timed(workload, [other for other in names if other != "loop"])
        seconds = request.config.getoption("--seconds")
        parts = (("forward", workload.forward, case.forward), ("both", workload.step, case.both))
        for part, run, target in parts:
            times = interleave({other: partial(run, other) for other in names}, seconds)
            rows.append(summarise(name, part, threads, rate, times, target))
        benchmark.extra_info.update(rows[-1].as_dict())
        benchmark.pedantic(workload.step, args=("ours",), rounds=5, warmup_rounds=1)
    finally:
        torch.set_num_threads(before)
