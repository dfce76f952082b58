"""Times candidates side by side: every round runs each of them once, and ratios are taken within rounds.

Load from elsewhere on the machine then slows all candidates of a round alike, and the ratio stays. A candidate of
another process returns what it spent itself, in place of the time that its answer took.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch


@dataclass(frozen=True)
class Row:
    """One measured case: times in milliseconds, ratios of each other candidate, and of the fastest one, to ours."""

    workload: str
    part: str
    threads: int
    rounds: int
    rate: float
    milliseconds: dict[str, float]
    ratio: dict[str, float]
    ratio_low: dict[str, float]
    ratio_high: dict[str, float]
    target: dict[str, float]
    elsewhere: float | None

    def disturbed(self) -> bool:
        """Whether other processes left fewer processors than threads: the threads then wait for each other."""
        return self.elsewhere is not None and self.threads + self.elsewhere > (os.cpu_count() or 1) + 0.25

    def reached(self) -> bool | None:
        """Whether the median ratios reach the targets; None without a target."""
        known = {name: value for name, value in self.target.items() if name in self.ratio}
        return all(self.ratio[name] >= value for name, value in known.items()) if known else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def busy_elsewhere() -> float | None:
    """Processor seconds since the start that other processes used or the host withheld; None where not known."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, *others = (int(n) for n in stat.read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK") - time.process_time()


class Spent(NamedTuple):
    """What a run in another process took there: seconds, and seconds of processors."""

    seconds: float
    processor: float


@dataclass(frozen=True)
class Times:
    """Seconds of every candidate in every round, and how many processors others kept busy meanwhile."""

    seconds: dict[str, list[float]]
    elsewhere: float | None = None


def interleave(
    candidates: Mapping[str, Callable[[], Any]], seconds: float, max_rounds: int = 60, min_rounds: int = 5
) -> Times:
    """Run every candidate in every round, after one round that does not count."""
    names = list(candidates)
    for name in names:
        candidates[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    started, before, done, theirs = time.perf_counter(), busy_elsewhere(), 0, 0.0
    while done < min_rounds or (time.perf_counter() - started < seconds and done < max_rounds):
        # Another one begins each round, so that none always runs on a warm or a cold cache.
        for name in names[done % len(names) :] + names[: done % len(names)]:
            begin = time.perf_counter()
            returned = candidates[name]()
            passed = time.perf_counter() - begin
            if isinstance(returned, Spent):
                passed = returned.seconds
                theirs += returned.processor
            times[name].append(passed)
        done += 1
    after, whole = busy_elsewhere(), time.perf_counter() - started
    elsewhere = None if before is None or after is None else round(max(0.0, (after - before - theirs) / whole), 2)
    return Times(times, elsewhere)


def summarise(workload: str, part: str, threads: int, rate: float, measured: Times, target: dict[str, float]) -> Row:
    """Median times and the quartiles of the ratios. "fastest" is the fastest other candidate of each round."""
    times = measured.seconds
    others = {name: values for name, values in times.items() if name not in ("ours", "recomputed")}
    others["fastest"] = [min(values) for values in zip(*others.values(), strict=True)]
    ratios = {
        name: [other / own for other, own in zip(values, times["ours"], strict=True)] for name, values in others.items()
    }
    quartiles = {name: statistics.quantiles(values, n=4) for name, values in ratios.items()}
    return Row(
        workload,
        part,
        threads,
        len(times["ours"]),
        round(rate, 4),
        {name: round(1e3 * statistics.median(values), 3) for name, values in times.items()},
        {name: round(statistics.median(values), 2) for name, values in ratios.items()},
        {name: round(q[0], 2) for name, q in quartiles.items()},
        {name: round(q[2], 2) for name, q in quartiles.items()},
        target,
        measured.elsewhere,
    )


def hardware() -> str:
    """Processor, number of processors, torch and the instruction set in use."""
    from neurotorch import _library

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return f"{model}, {os.cpu_count()} processors, torch {torch.__version__}, kernels {_library.build_info()['isa']}"


def table(rows: list[Row]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| workload | part | threads | rate | ours, ms | loop / ours | compiled / ours | target |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = []
        for name in ("loop", "compiled"):
            spread = (
                f"{row.ratio[name]:.1f} ({row.ratio_low[name]:.1f}-{row.ratio_high[name]:.1f})"
                if name in row.ratio
                else "-"
            )
            cells.append(spread)
        wanted = ", ".join(f"{value:g}x {name}" for name, value in row.target.items()) or "-"
        reached = {True: ": reached", False: ": not reached", None: ""}[row.reached()]
        if row.disturbed():
            reached = f": disturbed, {row.elsewhere:.1f} processors busy elsewhere"
        lines.append(
            f"| {row.workload} | {row.part} | {row.threads} | {row.rate:.1%} | {row.milliseconds['ours']:.2f} | "
            f"{cells[0]} | {cells[1]} | {wanted}{reached} |"
        )
    return "\n".join(lines)
