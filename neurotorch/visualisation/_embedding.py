"""Points and trajectories in a plane or space to which a series was reduced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurotorch.visualisation._comparison import explained
from neurotorch.visualisation._figures import DATA, MODEL, begin, finish, pyplot, tidy

Array = npt.NDArray[Any]


class Embedding(NamedTuple):
    """A reduced series ``[T, K]``, the target in the same space, times, and names for labels."""

    name: str  # of the space, as in titles
    axis: str  # of an axis, as in "PC"
    points: Array
    target: Array | None
    times: Array
    time_label: str

    def every(self, reduction: int) -> Embedding:
        """Each k-th step."""
        if reduction < 1:
            raise ValueError(f"reduction: expected at least 1, got {reduction}")
        target = None if self.target is None else self.target[::reduction]
        return self._replace(points=self.points[::reduction], target=target, times=self.times[::reduction])


def check_axes(name: str, chosen: Sequence[int], n: int, allowed: tuple[int, ...]) -> tuple[int, ...]:
    """Indices of numbered axes, counted from 0; ValueError for a wrong number of them or one that is not there."""
    if len(chosen) not in allowed:
        raise ValueError(f"{name}: expected {' or '.join(map(str, allowed))} axes, got {tuple(chosen)}")
    if not all(1 <= k <= n for k in chosen):
        raise ValueError(f"{name}: expected axes from 1 to {n}, got {tuple(chosen)}")
    return tuple(k - 1 for k in chosen)


def scatter(
    space: Embedding,
    chosen: tuple[int, ...],
    labels: Array | None,
    color_sample: bool,
    filename: str | Path | None,
    show: bool,
    fig: Any,
    ax: Any,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """A point per step, coloured by cluster or time."""
    if labels is not None and color_sample:
        raise ValueError("color_sample: points are coloured by k-means clusters already; choose one of the two")
    if fig is None and len(chosen) == 3:
        fig = pyplot().figure(figsize=kwargs.get("figsize", (7.5, 6.5)), layout="constrained")
        ax = fig.add_subplot(projection="3d")
    fig, axes = begin(fig, ax, figsize=kwargs.get("figsize", (7.5, 6.0)))
    panel = axes[0, 0]
    colour: dict[str, Any] = {"color": MODEL}
    if color_sample:
        colour = {"c": space.times, "cmap": "cividis"}
    elif labels is not None:
        count = int(labels.max()) + 1
        colour = {"c": labels, "cmap": _discrete(count), "vmin": -0.5, "vmax": count - 0.5}
    drawn = panel.scatter(*(space.points[:, k] for k in chosen), s=18, alpha=0.85, **colour)
    if color_sample:
        fig.colorbar(drawn, ax=panel, label=space.time_label, pad=0.08 if len(chosen) == 3 else 0.02)
    elif labels is not None:
        fig.colorbar(drawn, ax=panel, label="k-means cluster", pad=0.08 if len(chosen) == 3 else 0.02)
    for setter, k in zip(("set_xlabel", "set_ylabel", "set_zlabel"), chosen, strict=False):
        getattr(panel, setter)(f"{space.axis} {k + 1}")
    if len(chosen) == 2:
        tidy(panel)
    panel.set_title(f"{'Two' if len(chosen) == 2 else 'Three'}-dimensional {space.name} embedding", loc="left")
    finish(fig, filename, show, **kwargs)
    return fig, panel


def _discrete(count: int) -> Any:
    import matplotlib

    return matplotlib.colormaps["viridis"].resampled(count)


def trajectory(
    space: Embedding,
    chosen: tuple[int, int],
    traces: str,
    filename: str | Path | None,
    show: bool,
    fig: Any,
    axes: Any,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """The path in the plane, and both coordinates over time."""
    parts: list[int | None] = [None, *chosen] if traces == "all" else [None] if traces == "space" else [chosen[0]]
    size = {"all": (9.0, 9.0), "space": (6.5, 5.5), "wrt_time": (9.0, 3.5)}[traces]
    ratios = {"height_ratios": [1.6, 1.0, 1.0]} if traces == "all" and axes is None else {}
    given = axes
    fig, panels = begin(fig, axes, len(parts), 1, figsize=kwargs.get("figsize", size), **ratios)
    for panel, part in zip(panels[:, 0], parts, strict=True):
        if part is None:
            _draw_path(space, panel, chosen)
        else:
            _draw_coordinate(space, panel, part)
        if "box_aspect" in kwargs:
            panel.set_box_aspect(kwargs["box_aspect"])
        tidy(panel)
    finish(fig, filename, show, **kwargs)
    return fig, panels[:, 0] if given is None else given


def _draw_path(space: Embedding, panel: Any, chosen: tuple[int, int]) -> None:
    from matplotlib.patheffects import withStroke

    first, second = chosen
    if space.target is not None:
        panel.plot(
            space.target[:, first], space.target[:, second], "--", color=DATA, linewidth=1.8, label="Real time series"
        )
    x, y = space.points[:, first], space.points[:, second]
    panel.plot(x, y, color=MODEL, linewidth=1.6, label="Predicted time series")
    for k, marker, name in ((0, "^", "$t_0$"), (-1, "s", "$t_f$")):
        panel.plot(x[k], y[k], marker=marker, color="black", markersize=8, linestyle="none", zorder=4)
        text = panel.annotate(name, (x[k], y[k]), (7, 7), textcoords="offset points", fontsize=12, zorder=5)
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    panel.set_xlabel(f"{space.axis} {first + 1}")
    panel.set_ylabel(f"{space.axis} {second + 1}")
    panel.set_title(f"Trajectory in {space.name} space", loc="left")
    panel.legend(frameon=False, fontsize="small")


def _draw_coordinate(space: Embedding, panel: Any, k: int) -> None:
    values, score = space.points[:, k], ""
    if space.target is not None:
        panel.plot(space.times, space.target[:, k], "--", color=DATA, linewidth=1.8, label="Real time series")
        score = f" (pVar: {float(explained(values, space.target[:, k])):.3f})"
    panel.plot(space.times, values, color=MODEL, linewidth=1.6, label="Predicted time series")
    panel.set_xlabel(space.time_label)
    panel.set_ylabel(f"{space.axis} {k + 1}")
    panel.set_title(f"{space.axis} {k + 1} over time{score}", loc="left")
    panel.margins(x=0)
    panel.legend(frameon=False, fontsize="small")


def smoothed(points: Array, degree: int, condition: float) -> Array:
    """The points on a smoothing spline through them.

    Parameters
    ----------
    points : array [T, K]
    degree : int
        Of the spline, 1 to 5.
    condition : float
        Sum of the squared distances that the spline may keep from the points, see ``scipy.interpolate.splprep``.
    """
    from neurotorch.utils.extras import require

    interpolate = require("scipy.interpolate", "scipy", "smooths trajectories", "vis")
    if not 1 <= degree <= 5:
        raise ValueError(f"degree: expected 1 to 5, got {degree}")
    if len(points) <= degree:
        raise ValueError(f"degree: expected less than the number of steps, {len(points)}, got {degree}")
    u = np.linspace(0.0, 1.0, len(points))
    splines = [interpolate.splrep(u, column, k=degree, s=condition) for column in np.asarray(points, np.float64).T]
    return np.stack([interpolate.splev(u, spline) for spline in splines], axis=1)
