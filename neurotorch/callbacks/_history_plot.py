"""Curves of metrics over iterations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neurotorch.callbacks.history import TrainingHistory

_PARTS = ("train_", "val_", "test_")


def _metric(column: str) -> str:
    """The metric that a column measures, one for all losses."""
    if "loss" in column.lower():
        return "losses"
    return next((column.removeprefix(part) for part in _PARTS if column.startswith(part)), column)


def draw_history(
    history: TrainingHistory, figure: Any, fontsize: float, linewidth: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fill an empty figure; returns axes by metric and lines by column."""
    from neurotorch.visualisation._figures import DATA, MODEL, QUIET, grid, tidy

    colours = dict(zip(_PARTS, (MODEL, DATA, QUIET), strict=True))
    groups: dict[str, list[str]] = {}
    for key in history.keys():  # noqa: SIM118
        groups.setdefault(_metric(key), []).append(key)
    rows, columns = grid(len(groups))
    axes: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    for k, (metric, keys) in enumerate(groups.items()):
        axes[metric] = panel = figure.add_subplot(rows, columns, k + 1)
        used: set[str] = set()
        for key in keys:
            colour = next((c for part, c in colours.items() if key.startswith(part)), "black")
            # A second line of a colour, such as another loss of training, is dotted.
            style = ":" if colour in used else "-"
            used.add(colour)
            lines[key] = panel.plot([], [], label=key, color=colour, linestyle=style, linewidth=linewidth)[0]
        panel.set_xlabel("Iteration", fontsize=fontsize)
        panel.set_ylabel("Loss" if metric == "losses" else metric, fontsize=fontsize)
        panel.tick_params(labelsize=0.8 * fontsize)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(fontsize=0.9 * fontsize, frameon=False)
        tidy(panel)
    update_history(history, axes, lines)
    return axes, lines


def update_history(history: TrainingHistory, axes: dict[str, Any], lines: dict[str, Any]) -> None:
    """Give lines their values; iterations without one are passed over, so that lines go on behind them."""
    for key, line in lines.items():
        values = np.asarray(history.get(key, []), dtype=float)
        measured = np.flatnonzero(np.isfinite(values))
        line.set_data(measured, values[measured])
        line.set_marker("o" if len(measured) < 20 else "")
        line.set_markersize(1.6 * line.get_linewidth())
    for panel in axes.values():
        panel.relim()
        panel.autoscale_view()
