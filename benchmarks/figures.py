"""Figures of docs/benchmarks.md: small SVG files, the same for the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from environments import NAMES

from neurotorch.utils.files import written_whole

COLOURS = dict(
    zip(
        NAMES,
        ("#000000", "#777777", "#1f77b4", "#17becf", "#bcbd22", "#d62728", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b"),
    )
)
# What a panel runs along, and what stays.
PANELS = {
    "T": ("steps", {"neurons": 512, "batch": 1}),
    "N": ("neurons", {"batch": 32, "steps": 100}),
    "B": ("batch", {"neurons": 512, "steps": 100}),
}


def _plain(sizes: dict[str, Any]) -> bool:
    return "rate" not in sizes


def panel(rows: list[dict[str, Any]], axis: str) -> dict[str, list[tuple[float, float]]]:
    """Points of every candidate: x, and milliseconds of both passes on one thread."""
    chosen = [row for row in rows if row["kind"] == "recurrent" and row["part"] == "both" and row["threads"] == 1]
    chosen = [row for row in chosen if "surrogate" not in row["sizes"]]
    points: dict[str, list[tuple[float, float]]] = {}
    for row in chosen:
        sizes = row["sizes"]
        if axis == "rate":
            if {k: sizes[k] for k in ("neurons", "batch", "steps")} != {"neurons": 512, "batch": 32, "steps": 100}:
                continue
            x = 100 * row["rate"]
        else:
            field, fixed = PANELS[axis]
            if not _plain(sizes) or any(sizes[k] != v for k, v in fixed.items()):
                continue
            x = sizes[field]
        for name, value in row["milliseconds"].items():
            points.setdefault(name, []).append((x, value))
    return {name: sorted(found) for name, found in points.items()}


def _save(figure: Any, path: Path) -> None:
    import matplotlib

    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "neurotorch"}),
        written_whole(path) as temporary,
    ):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _figure(columns: int, width: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _ticks(axis: Any, points: dict[str, list[tuple[float, float]]]) -> None:
    """Logarithmic along x, with ticks where points are."""
    found = sorted({x for line in points.values() for x, _ in line})
    axis.set_xscale("log")
    axis.set_xticks(found, [f"{x:g}" for x in found], minor=False)
    axis.minorticks_off()


def _lines(axes: Any, points: dict[str, list[tuple[float, float]]]) -> None:
    for name in NAMES:
        if name in points:
            x, y = zip(*points[name])
            axes.plot(x, y, "o-", ms=3, lw=1.8 if name == "ours" else 1.0, color=COLOURS[name], label=NAMES[name])
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def draw_times(rows: list[dict[str, Any]], path: Path) -> bool:
    """Time against steps, neurons, batch and rate; False if there is nothing to draw."""
    panels = {axis: panel(rows, axis) for axis in (*PANELS, "rate")}
    panels = {axis: points for axis, points in panels.items() if any(len(found) > 1 for found in points.values())}
    if not panels:
        return False
    titles = {"T": "steps (N=512, B=1)", "N": "neurons (B=32)", "B": "batch (N=512)", "rate": "rate, % (N=512, B=32)"}
    figure, axes = _figure(len(panels), 3.2 * len(panels))
    for axis, (name, points) in zip(axes, panels.items()):
        _lines(axis, points)
        axis.set_xlabel(titles[name])
        if name != "rate":
            _ticks(axis, points)
    axes[0].set_ylabel("forward + backward, ms")
    handles = {label: h for a in axes for h, label in zip(*a.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=8)
    _save(figure, path)
    return True


def draw_memory(rows: list[dict[str, Any]], path: Path) -> bool:
    """Memory against steps; extrapolated points are hollow."""
    figure, (axes,) = _figure(1, 6.0)
    # A page of memory is the smallest that can be told from nothing.
    known = [row for row in rows if row["bytes"] > 4096]
    if not known:
        return False
    points: dict[str, list[tuple[float, float]]] = {}
    for row in known:
        points.setdefault(row["candidate"], []).append((row["steps"], row["bytes"] / 1e6))
    _lines(axes, {name: sorted(found) for name, found in points.items()})
    for row in known:
        if row["extrapolated"]:
            axes.plot(row["steps"], row["bytes"] / 1e6, "o", ms=4, mfc="white", mec=COLOURS[row["candidate"]], zorder=3)
    _ticks(axes, points)
    axes.set_xlabel("steps (N=512, B=32); hollow: extrapolated")
    axes.set_ylabel("memory, MB")
    axes.legend(fontsize=8)
    _save(figure, path)
    return True
