"""Our operators beside a plain PyTorch loop and a compiled one; results are compared before anything is timed.

Cases and targets are those of ``comparisons.py``, the workloads those of ``workloads.py``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from check import as_timed, check_ours
from comparisons import CASES, LOOP, Case
from floors import ceilings, floors_of
from interleave import interleave, summarise
from loops import forget_compiled
from models import LAYERS

# torch's compiler warns in many places; in the benchmarks that is no error.
pytestmark = pytest.mark.filterwarnings("default")
MODELS = {f"model {model}": Case("layer_of", {"model": model}, LOOP) for model in LAYERS}
TIMED = {**{name: case for name, case in CASES.items() if case.loops}, **MODELS}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "compiled"),
    [pytest.param(name, False, id=name) for name in TIMED]
    # Large sizes compile for minutes.
    + [
        pytest.param(name, True, id=f"{name} compiled", marks=pytest.mark.slow)
        for name, case in TIMED.items()
        if "compiled" not in case.names and name not in MODELS
    ],
)
def test_workload(
    name: str, compiled: bool, threads: int, benchmark: Any, rows: list, request: pytest.FixtureRequest
) -> None:
    case, before = TIMED[name], torch.get_num_threads()
    torch.set_num_threads(threads)
    forget_compiled()
    try:
        timed = case.make()
        rate = timed.rate()
        assert 0.005 < rate < 0.5, "a workload that hardly spikes, or always, measures nothing"
        names = [*case.names, *(["compiled"] if compiled else [])]
        if threads == 1:
            check_ours(case, timed)
        for other in names:
            as_timed(other, timed)
        seconds = request.config.getoption("--seconds")
        least = floors_of(case.workload, timed, rate, ceilings(threads))
        inside = timed.inside() if timed.inside else None
        for part, run, target in (("forward", timed.forward, case.forward), ("both", timed.step, case.both)):
            times = interleave({other: partial(run, other) for other in ("ours", *names)}, seconds)
            rows.append(summarise(name, part, threads, rate, times, target, least.get(part), inside))
        benchmark.extra_info.update(rows[-1].as_dict())
        benchmark.pedantic(timed.step, args=("ours",), rounds=5, warmup_rounds=1)
    finally:
        torch.set_num_threads(before)
