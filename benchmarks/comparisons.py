"""The cases and their targets: workloads a to d, long sequences, and the public setting of the field (p).

``test_workloads.py`` times them beside loops of plain PyTorch, ``compare.py`` beside other libraries too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from environments import LIBRARIES
from workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Case:
    """Sizes of a workload, and the targets of the forward pass and of both.

    A target is a ratio to the candidate named, "fastest" being the fastest other one; it counts where that candidate is
    timed. `names` are the candidates of this process beside ours; libraries that know the workload are added, apart
    from those `without`. `quick`: part of the quick set of ``compare.py``. `loops`: part of ``test_workloads.py``.
    `threads`: two threads are worth a row. `large`: minutes per round.
    """

    workload: str
    sizes: dict[str, Any]
    names: tuple[str, ...] = ("loop", "compiled")
    without: tuple[str, ...] = ()
    forward: dict[str, float] = field(default_factory=dict)
    both: dict[str, float] = field(default_factory=dict)
    quick: bool = True
    loops: bool = True
    threads: bool = True
    large: bool = False

    def make(self, dtype: torch.dtype = torch.float32) -> Workload:
        return WORKLOADS[self.workload](dtype=dtype, **self.sizes)


def _b(neurons: int, batch: int, steps: int = 100, **options: Any) -> dict[str, Any]:
    return {"neurons": neurons, "batch": batch, "steps": steps, **options}


def _long(steps: int, without: tuple[str, ...] = ()) -> Case:
    return Case("recurrent", _b(512, 1, steps), ("recomputed", "loop"), without, quick=False, loops=False)


def _triangle(batch: int, names: tuple[str, ...] = ("loop", "compiled"), quick: bool = True) -> Case:
    """A surrogate that is not zero within a tenth of the threshold only, as no peer has it."""
    sizes = _b(512, batch, surrogate="triangle", gamma=10.0)
    return Case("recurrent", sizes, names, LIBRARIES, forward=SIX, both=SIX, quick=quick)


def _public(neurons: int, large: bool = False) -> Case:
    """Without libraries whose gradient passes over all of the input at every step: ten and more times slower here."""
    return Case(
        "public",
        {"neurons": neurons},
        LOOP,
        ("norse", "sinabs"),
        quick=False,
        loops=False,
        threads=False,
        large=large,
    )


LOOP = ("loop",)
SIX, FOUR = {"fastest": 6.0}, {"fastest": 4.0}
A = {"forward": {"compiled": 2.0}, "both": {"compiled": 3.5, "loop": 8.0}}
ONE = {"forward": SIX, "both": {"compiled": 6.0, "neurotorch": 20.0}}
CASES = {
    "a T=100": Case("feed_forward", {"steps": 100}, **A),
    "a T=500": Case("feed_forward", {"steps": 500}, **A),
    "b N=128 B=1": Case("recurrent", _b(128, 1), **ONE),
    "b N=512 B=1": Case("recurrent", _b(512, 1), **ONE),
    "b N=512 B=1 T=500": Case("recurrent", _b(512, 1, 500), LOOP, forward=SIX, both={"loop": 10.0, "neurotorch": 20.0}),
    "b N=512 B=1 T=2000": _long(2000),
    # NeuroTorch keeps the product of weights and mask of every step, 10 GB here; a run of SpikingJelly takes half a
    # minute; sinabs' gradient is not finite.
    "b N=512 B=1 T=10000": _long(10000, without=("neurotorch", "spikingjelly", "sinabs")),
    "b N=128 B=32": Case("recurrent", _b(128, 32), forward=SIX, both=FOUR),
    "b N=512 B=32": Case("recurrent", _b(512, 32), forward=SIX, both=FOUR),
    "b N=1024 B=32": Case("recurrent", _b(1024, 32), LOOP, forward=SIX, both=FOUR),
    "b N=512 B=256": Case("recurrent", _b(512, 256), LOOP, forward=SIX, both={"fastest": 3.5}, quick=False),
    "b N=512 B=32 1%": Case("recurrent", _b(512, 32, rate=0.02, drive=0.05), LOOP, forward=SIX, both=FOUR, quick=False),
    "b N=512 B=32 20%": Case(
        "recurrent", _b(512, 32, rate=0.2, drive=0.37), forward={"fastest": 4.0}, both={"fastest": 3.0}
    ),
    # Never slower than the loop, at any rate.
    "b N=512 B=32 40%": Case(
        "recurrent", _b(512, 32, rate=0.4, drive=1.05), LOOP, forward={"loop": 1.0}, both={"loop": 1.0}, quick=False
    ),
    "b triangle N=512 B=32": _triangle(32),
    "b triangle N=512 B=256": _triangle(256, LOOP, quick=False),
    "b SpyLIF N=512 B=32": Case("spy_recurrent", _b(512, 32), ("loop", "spytorch")),
    "c": Case("mnist", {}, both={"fastest": 3.5}),
    "d": Case("zebrafish", {}, both={"compiled": 3.5, "neurotorch": 15.0}),
    "p N=512": Case("public", {"neurons": 512}, LOOP),
    "p N=2048": _public(2048),
    "p N=4096": _public(4096, large=True),
    "p N=16384": _public(16384, large=True),
}
TINY = {
    "a": Case("feed_forward", {"steps": 20, "batch": 3, "neurons": 12}, LOOP),
    "b": Case("recurrent", _b(12, 8, 20, inputs=30, rate=0.3), ("recomputed", "loop"), both={"loop": 0.0}),
    "b triangle": Case(
        "recurrent", _b(12, 8, 20, inputs=30, rate=0.3, surrogate="triangle", gamma=10.0), LOOP, LIBRARIES
    ),
    "b SpyLIF": Case("spy_recurrent", _b(12, 8, 20, inputs=30, rate=0.3), ("loop", "spytorch")),
    "c": Case("mnist", {"batch": 3, "steps": 20}, LOOP),
    "d": Case("zebrafish", {"neurons": 12, "steps": 20}, LOOP),
    "p": Case("public", {"neurons": 12, "batch": 8, "steps": 20}, LOOP),
}
