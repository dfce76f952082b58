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

# Seconds of a round, from which on it needs no other to warm up for it.
LONG = 10.0


@dataclass(frozen=True)
class Row:
    """One measured case: times in milliseconds, ratios of each other candidate, and of the fastest one, to ours.

    `floor` is the least time that the case could take on this machine in milliseconds (``floors.py``), `above_floor`
    how many times that ours takes, `inside` the share of neurons and steps at which a surrogate of compact support is
    not zero. `disturbed`: other processes left fewer processors than threads, which then wait for each other.
    """

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
    disturbed: bool = False
    floor: float | None = None
    above_floor: float | None = None
    inside: float | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Row:
        """From `as_dict`, with or without more beside it; files of earlier versions have no floors."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})

    def known(self) -> dict[str, float]:
        """Targets beside candidates that took part."""
        return {name: value for name, value in self.target.items() if name in self.ratio}

    def reached(self) -> bool | None:
        """Whether the median ratios reach the targets; None without a target."""
        known = self.known()
        return all(self.ratio[name] >= value for name, value in known.items()) if known else None

    def verdict(self, names: Mapping[str, str] | None = None) -> str:
        """The targets and whether they are reached; a row that other work disturbed is not judged."""
        known = self.known()
        wanted = ", ".join(f"{value:g}x {(names or {}).get(name, name)}" for name, value in known.items())
        if self.disturbed:
            said = f"disturbed, {self.elsewhere:.1f} processors busy elsewhere"
            return f"{wanted}: {said}" if wanted else said
        return f"{wanted}: {'reached' if self.reached() else 'not reached'}" if wanted else "-"

    def rates(self) -> str:
        """Share of neurons and steps that spike, and of those where the surrogate is not zero if that is some."""
        if not self.rate:
            return "-"
        return f"{self.rate:.1%}{'' if self.inside is None else f' ({self.inside:.1%} inside)'}"

    def least(self) -> str:
        """The floor in ms, and how many times that ours takes."""
        return "-" if self.floor is None else f"{self.floor:.3g}, {self.above_floor:.1f}x"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def busy_elsewhere() -> float | None:
    """Processor seconds since the start that other processes used or the host withheld; None where not known."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, *others = (int(n) for n in stat.read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK") - time.process_time()


def crowded(threads: int, elsewhere: float | None) -> bool:
    """Whether others that keep so many processors busy leave fewer of them than threads."""
    return elsewhere is not None and threads + elsewhere > (os.cpu_count() or 1) + 0.25


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
    candidates: Mapping[str, Callable[[], Any]],
    seconds: float,
    max_rounds: int = 60,
    min_rounds: int = 5,
    awake: bool = False,
) -> Times:
    """Run every candidate in every round, after one round that does not count unless it takes longer than `LONG`.

    `awake`: run each once more before it is timed. Threads of a process that slept while others ran take milliseconds
    to wake, and those of the process before spin as long; in training one iteration follows the other.
    """
    names = list(candidates)
    times: dict[str, list[float]] = {}
    started, before, done, theirs, warm = time.perf_counter(), busy_elsewhere(), 0, 0.0, False
    while done < min_rounds or (time.perf_counter() - started < seconds and done < max_rounds):
        # Another one begins each round, so that none always runs on a warm or a cold cache.
        for name in names[done % len(names) :] + names[: done % len(names)]:
            if awake:
                returned = candidates[name]()
                theirs += returned.processor if isinstance(returned, Spent) else 0.0
            begin = time.perf_counter()
            returned = candidates[name]()
            passed = time.perf_counter() - begin
            if isinstance(returned, Spent):
                passed = returned.seconds
                theirs += returned.processor
            times.setdefault(name, []).append(passed)
        done += 1
        if not warm and time.perf_counter() - started <= LONG:
            started, before, done, theirs, times = time.perf_counter(), busy_elsewhere(), 0, 0.0, {}
        warm = True
    after, whole = busy_elsewhere(), time.perf_counter() - started
    elsewhere = None if before is None or after is None else round(max(0.0, (after - before - theirs) / whole), 2)
    return Times(times, elsewhere)


def summarise(
    workload: str,
    part: str,
    threads: int,
    rate: float,
    measured: Times,
    target: dict[str, float],
    floor: float | None = None,
    inside: float | None = None,
) -> Row:
    """Median times and the quartiles of the ratios. "fastest" is the fastest other candidate of each round."""
    times = measured.seconds
    middle = {name: 1e3 * statistics.median(values) for name, values in times.items()}
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
        {name: round(value, 3) for name, value in middle.items()},
        {name: round(statistics.median(values), 2) for name, values in ratios.items()},
        {name: round(q[0], 2) for name, q in quartiles.items()},
        {name: round(q[2], 2) for name, q in quartiles.items()},
        target,
        measured.elsewhere,
        crowded(threads, measured.elsewhere),
        None if floor is None else round(floor, 4),
        None if floor is None else round(middle["ours"] / floor, 2),
        None if inside is None else round(inside, 4),
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
        "| workload | part | threads | rate | ours, ms | floor, ms | loop / ours | compiled / ours | target |",
        "| --- " * 9 + "|",
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
        lines.append(
            f"| {row.workload} | {row.part} | {row.threads} | {row.rates()} | {row.milliseconds['ours']:.2f} | "
            f"{row.least()} | {cells[0]} | {cells[1]} | {row.verdict()} |"
        )
    return "\n".join(lines)
