"""Activity on a graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.utils.conversion import to_numpy
from neurotorch.utils.extras import require
from neurotorch.utils.files import written_whole
from neurotorch.visualisation._figures import finish, pyplot

Array = npt.NDArray[Any]

_WRITERS = {"gif": "pillow", "mp4": "ffmpeg"}


def animate(
    activity: Array,
    weights: Any,
    dt: float,
    step: int,
    time_interval: float,
    node_size: float,
    alpha: float | None,
    filename: str | Path | None,
    file_extension: str | None,
    show: bool,
    **kwargs: Any,
) -> Any:
    """See :meth:`neurotorch.visualisation.Visualise.animate`."""
    matrix = np.abs(np.asarray(to_numpy(weights), dtype=np.float64))
    steps, units = activity.shape
    if matrix.shape != (units, units):
        raise ValueError(f"weights: expected shape {[units, units]}, got {list(matrix.shape)}")
    if step < 1:
        raise ValueError(f"step: expected at least 1, got {step}")
    path, writer = (None, "") if filename is None else _target(filename, file_extension, kwargs.get("writer"))
    networkx = require("networkx", "networkx", "lays out graphs of connections", "vis")
    plt = pyplot()
    animation = require("matplotlib.animation", "matplotlib", "draws figures", "vis")

    graph = networkx.from_numpy_array(_strongest(matrix, kwargs.get("max_edges", 2000)))
    places = networkx.spring_layout(graph, seed=kwargs.get("seed", 0))
    xy = np.array([places[k] for k in range(units)])
    fig, panel = plt.subplots(figsize=kwargs.get("figsize", (9.0, 6.0)), layout="constrained")
    opacity = max(1.0 / np.sqrt(matrix.size), 0.08) if alpha is None else alpha
    networkx.draw_networkx_edges(graph, places, ax=panel, width=1.0, alpha=opacity)
    limits = {"vmin": float(activity.min()), "vmax": float(activity.max())}
    nodes = panel.scatter(
        *xy.T, c=activity[0], s=node_size, cmap="cividis", edgecolors="black", linewidths=0.4, **limits
    )
    nodes.set_zorder(3)
    fig.colorbar(nodes, ax=panel, pad=0.01, label="Activity [-]")
    panel.axis("off")
    text = panel.text(0.5, 0.98, "", ha="center", va="top", transform=panel.transAxes, fontsize=13)

    def update(k: int) -> tuple[Any, Any]:
        nodes.set_array(activity[k * step])
        text.set_text(f"t = {k * step * dt:.3g} of {(steps - 1) * dt:.3g}")
        return nodes, text

    frames = -(-steps // step)
    made = animation.FuncAnimation(fig, update, frames=frames, interval=time_interval, blit=True)
    fig.neurotorch_animation = made  # alive as long as its figure
    if path is not None:
        _save(made, path, writer, kwargs.get("fps", 30), kwargs.get("dpi", 100))
    finish(fig, None, show, close=kwargs.get("close", False))
    return made


def _strongest(matrix: Array, count: int) -> Array:
    """The matrix with all but its largest entries set to zero."""
    if matrix.size <= count:
        return matrix
    return np.where(matrix >= np.partition(matrix, matrix.size - count, axis=None)[matrix.size - count], matrix, 0.0)


def _target(filename: str | Path, extension: str | None, writer: str | None) -> tuple[Path, str]:
    """The file with its ending, and what writes it."""
    path = Path(os.fspath(filename)).expanduser()
    ending = (extension or path.suffix or "gif").lstrip(".").lower()
    if ending not in _WRITERS:
        raise ValueError(f"file_extension: expected gif or mp4, got {ending!r}")
    path = path if path.suffix.lower() == f".{ending}" else path.with_name(f"{path.name}.{ending}")
    writer = writer or _WRITERS[ending]
    writers = require("matplotlib.animation", "matplotlib", "draws figures", "vis").writers
    if not writers.is_available(writer):
        raise ValueError(
            f"{path.name}: {writer}, which writes it, is not installed; a name with .gif needs only pillow"
        )
    return path, writer


def _save(made: Any, path: Path, writer: str, fps: int, dpi: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        # Writers choose the format by the ending.
        inner = temporary.with_name(f"{temporary.name}{path.suffix}")
        try:
            made.save(str(inner), writer=writer, fps=fps, dpi=dpi)
            os.replace(inner, temporary)
        finally:
            inner.unlink(missing_ok=True)
