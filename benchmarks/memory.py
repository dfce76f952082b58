"""Peak memory of forward plus backward against the number of steps, each candidate in a fresh process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from server import PeerError, Server

SIZES = {"neurons": 512, "batch": 32}
STEPS = (1000, 2000, 10000)
OURS = ("ours", "recomputed", "loop")


def available() -> int:
    """Bytes that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def measured(python: str, candidate: str, steps: int, sizes: dict[str, Any], threads: int = 1) -> int:
    """Bytes beyond inputs, outputs and gradients, after a run of ten steps that loads what both need."""
    with Server(python) as server:
        for length, then in ((10, "run"), (steps, "memory")):
            workload = {"candidate": candidate, "workload": "recurrent", "sizes": {**sizes, "steps": length}}
            server.ask("build", threads=threads, **workload)
            answer = server.ask(then, **({"part": "both"} if then == "run" else {}))
    return answer["bytes"]


def against_steps(
    pythons: dict[str, str], steps: tuple[int, ...] = STEPS, sizes: dict[str, Any] = SIZES
) -> list[dict[str, Any]]:
    """One row per candidate and number of steps.

    Where more than half of what is free would be needed, the last two measured points are drawn on as a line.
    """
    rows: list[dict[str, Any]] = []
    candidates = {**dict.fromkeys(OURS, sys.executable), **{n: p for n, p in pythons.items() if n == "neurotorch"}}
    for name, python in candidates.items():
        points: list[tuple[int, int]] = []
        for length in steps:
            if len(points) > 1:
                (t0, y0), (t1, y1) = points[-2:]
                expected = y1 + (y1 - y0) * (length - t1) / (t1 - t0)
            else:
                expected = 0.0
            inputs = 4 * length * sizes["batch"] * (700 + 3 * sizes["neurons"])
            row = {"candidate": name, "steps": length, **sizes}
            if len(points) > 1 and expected + inputs > available() / 2:
                rows.append({**row, "bytes": round(expected), "extrapolated": True})
                continue
            try:
                points.append((length, measured(python, name, length, sizes)))
            except PeerError as error:
                print(f"memory of {name} at {length} steps: {error}", flush=True)
                break
            rows.append({**row, "bytes": points[-1][1], "extrapolated": False})
            print(f"memory of {name}, {length} steps: {points[-1][1] / 1e6:.1f} MB", flush=True)
    return rows
