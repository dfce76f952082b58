"""The cases of ``compare.py``: workloads a to d, long sequences, and the public setting of the field (p)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """Sizes of a workload.

    `names` are the candidates of this process beside ours; libraries that know the workload are added, apart from those
    `without`. `quick`: part of the quick set. `threads`: two threads are worth a row. `large`: minutes per round.
    """

    workload: str
    sizes: dict[str, Any]
    names: tuple[str, ...] = ("loop", "compiled")
    without: tuple[str, ...] = ()
    forward: dict[str, float] = field(default_factory=dict)
    both: dict[str, float] = field(default_factory=dict)
    quick: bool = True
    threads: bool = False
    large: bool = False


def _b(neurons: int, batch: int, steps: int = 100, **options: Any) -> dict[str, Any]:
    return {"neurons": neurons, "batch": batch, "steps": steps, **options}


LOOP = ("loop",)
SIX, FOUR = {"fastest": 6.0}, {"fastest": 4.0}
CASES = {
    "a T=100": Case("feed_forward", {"steps": 100}, forward={"compiled": 2.0}, both={"compiled": 3.5, "loop": 8.0}),
    "a T=500": Case(
        "feed_forward", {"steps": 500}, forward={"compiled": 2.0}, both={"compiled": 3.5, "loop": 8.0}, threads=True
    ),
    "b N=128 B=1": Case("recurrent", _b(128, 1), forward=SIX, both={"compiled": 6.0, "neurotorch": 20.0}),
    "b N=512 B=1": Case("recurrent", _b(512, 1), forward=SIX, both={"compiled": 6.0, "neurotorch": 20.0}, threads=True),
    "b N=512 B=1 T=500": Case("recurrent", _b(512, 1, 500), LOOP, forward=SIX, both={"loop": 10.0, "neurotorch": 20.0}),
    "b N=512 B=1 T=2000": Case("recurrent", _b(512, 1, 2000), ("recomputed", "loop"), quick=False),
    # NeuroTorch keeps the product of weights and mask of every step, 10 GB here.
    "b N=512 B=1 T=10000": Case("recurrent", _b(512, 1, 10000), ("recomputed", "loop"), ("neurotorch",), quick=False),
    "b N=128 B=32": Case("recurrent", _b(128, 32), forward=SIX, both=FOUR),
    "b N=512 B=32": Case("recurrent", _b(512, 32), forward=SIX, both=FOUR, threads=True),
    "b N=1024 B=32": Case("recurrent", _b(1024, 32), LOOP, forward=SIX, both=FOUR),
    "b N=512 B=256": Case("recurrent", _b(512, 256), LOOP, forward=SIX, both={"fastest": 3.5}, quick=False),
    "b N=512 B=32 1%": Case("recurrent", _b(512, 32, rate=0.02, drive=0.06), LOOP, forward=SIX, both=FOUR, quick=False),
    "b N=512 B=32 20%": Case(
        "recurrent", _b(512, 32, rate=0.2, drive=0.37), forward={"fastest": 4.0}, both={"fastest": 3.0}
    ),
    "b N=512 B=32 40%": Case(
        "recurrent",
        _b(512, 32, rate=0.4, drive=0.9),
        LOOP,
        forward={"fastest": 1.0},
        both={"fastest": 1.0},
        quick=False,
    ),
    "b SpyLIF N=512 B=32": Case("spy_recurrent", _b(512, 32), ("loop", "spytorch")),
    "c": Case("mnist", {}, both={"fastest": 3.5}, threads=True),
    "d": Case("zebrafish", {}, both={"compiled": 3.5, "neurotorch": 15.0}, threads=True),
    "p N=512": Case("public", {"neurons": 512}, LOOP),
    "p N=2048": Case("public", {"neurons": 2048}, LOOP, quick=False),
    "p N=4096": Case("public", {"neurons": 4096}, LOOP, quick=False),
    "p N=16384": Case("public", {"neurons": 16384}, LOOP, quick=False, large=True),
}
TINY = {
    "a": Case("feed_forward", {"steps": 20, "batch": 3, "neurons": 12}, LOOP),
    "b": Case("recurrent", _b(12, 8, 20, inputs=30, rate=0.3), ("recomputed", "loop"), both={"loop": 0.0}),
    "b SpyLIF": Case("spy_recurrent", _b(12, 8, 20, inputs=30, rate=0.3), ("loop", "spytorch")),
    "c": Case("mnist", {"batch": 3, "steps": 20}, LOOP),
    "d": Case("zebrafish", {"neurons": 12, "steps": 20}, LOOP),
    "p": Case("public", {"neurons": 12, "batch": 8, "steps": 20}, LOOP),
}
