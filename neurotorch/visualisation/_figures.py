"""How figures are begun, finished and coloured."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from neurotorch.utils.extras import require
from neurotorch.utils.files import written_whole

# A blue and an orange that differ in brightness as well, so that no kind of colour blindness mixes them up.
DATA, MODEL, QUIET = "#d95f02", "#1f5fa8", "#8a8a8a"
_NEVER_SHOWN = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})


def pyplot() -> Any:
    """``matplotlib.pyplot``."""
    require("matplotlib", "matplotlib", "draws figures", "vis")
    return require("matplotlib.pyplot", "matplotlib", "draws figures", "vis")


def has_display() -> bool:
    """Whether figures can be shown at all."""
    return str(pyplot().get_backend()).lower() not in _NEVER_SHOWN


def is_window(fig: Any) -> bool:
    """Whether a figure of pyplot is a window that changes while a program runs; those of most notebooks are not."""
    return getattr(fig.canvas, "required_interactive_framework", None) is not None


def begin(
    fig: Any, axes: Any, nrows: int = 1, ncols: int = 1, figsize: tuple[float, float] = (9.0, 5.5), **subplots: Any
) -> tuple[Any, Any]:
    """The given figure with its axes, or a new one; axes come as an array ``[nrows, ncols]``.

    Raises
    ------
    AssertionError
        Only one of the two is given, or the number of axes is another.
    """
    assert (fig is None) == (axes is None), "fig and axes: expected both or none of them"
    if fig is None:
        fig, made = pyplot().subplots(nrows, ncols, figsize=figsize, squeeze=False, layout="constrained", **subplots)
        return fig, made
    given = np.array([axes] if not np.iterable(axes) else list(np.ravel(np.asarray(axes, dtype=object))), dtype=object)
    assert given.size == nrows * ncols, f"axes: expected {nrows * ncols}, got {given.size}"
    return fig, given.reshape(nrows, ncols)


def finish(fig: Any, filename: str | Path | None = None, show: bool = False, **kwargs: Any) -> None:
    """Save, show and close as asked; keywords ``dpi`` (300) and ``close`` (False).

    Without a display, `show` does nothing. No other figure is touched.
    """
    if filename is not None:
        save(fig, filename, dpi=kwargs.get("dpi", 300))
    if show and has_display():
        pyplot().show(block=kwargs.get("block"))
    if kwargs.get("close", False):
        pyplot().close(fig)


def save(fig: Any, filename: str | Path, **kwargs: Any) -> Path:
    """Write a figure whole or not at all, in the format of the file's ending, png without one; returns the path.

    The folder is made where it is missing.
    """
    path = Path(os.fspath(filename)).expanduser()
    if not path.suffix:
        path = path.with_name(f"{path.name}.png")
    known = sorted(fig.canvas.get_supported_filetypes())
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"filename: expected an ending among {', '.join(known)}, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        fig.savefig(temporary, format=path.suffix[1:].lower(), **kwargs)
    return path


def grid(n: int) -> tuple[int, int]:
    """Rows and columns for n panels, about square."""
    columns = max(1, math.ceil(math.sqrt(n)))
    return max(1, math.ceil(n / columns)), columns


def tidy(axes: Any) -> None:
    """Take away the two lines that carry no numbers."""
    axes.spines[["top", "right"]].set_visible(False)


def number_axes(axes: Any, **kwargs: Any) -> Any:
    """See :meth:`neurotorch.visualisation.Visualise.number_axes`."""
    kind, method = kwargs.get("num_type", "alpha").lower(), kwargs.get("method", "text").lower()
    if kind not in ("alpha", "numeric"):
        raise ValueError(f"num_type: expected 'alpha' or 'numeric', got {kind!r}")
    if method not in ("text", "title", "set_title"):
        raise ValueError(f"method: expected 'text', 'title' or 'set_title', got {method!r}")
    font = {"fontsize": kwargs.get("fontsize", 12), "fontweight": kwargs.get("fontweight", "bold")}
    for k, panel in enumerate(np.ravel(np.asarray(axes, dtype=object)), start=kwargs.get("start", 0)):
        number = f"({_letters(k) if kind == 'alpha' else k + 1})"
        if method == "text":
            place = kwargs.get("x", 0.0), kwargs.get("y", 1.2)
            panel.text(*place, number, transform=panel.transAxes, va="top", **font)
        else:
            loc = kwargs.get("loc", "left")
            before = next(filter(None, (panel.get_title(loc=side) for side in ("left", "center", "right"))), "")
            for side in ("left", "center", "right"):
                panel.set_title("", loc=side)
            panel.set_title(f"{number} {before}".strip() if method == "title" else number, loc=loc, **font)
    return axes


def _letters(k: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    return (_letters(k // 26 - 1) if k >= 26 else "") + chr(ord("a") + k % 26)
