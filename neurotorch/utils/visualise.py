"""Small helpers for figures; matplotlib is imported when one is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurotorch.utils.conversion import to_numpy
from neurotorch.utils.extras import require


def plot_confusion_matrix(cm: Any, classes: Sequence[Any], *, ax: Any = None, show: bool = True) -> tuple[Any, Any]:
    """Counts of predictions by true and predicted class, as an image with the counts in it.

    Parameters
    ----------
    cm : array or Tensor of int [C, C]
        Counts, rows for the true classes and columns for the predicted ones.
    classes : sequence
        C labels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    show : bool
        Show the figure at once.

    Returns
    -------
    fig, ax
        Figure and axes.

    Raises
    ------
    ValueError
        `cm` is not square, or `classes` have another number.
    ImportError
        matplotlib is not installed.
    """
    cm = np.asarray(to_numpy(cm, dtype=None))
    if cm.ndim != 2 or cm.shape[0] != cm.shape[1]:
        raise ValueError(f"cm: expected a square matrix, got shape {list(cm.shape)}")
    if len(classes) != len(cm):
        raise ValueError(f"classes: expected {len(cm)} labels, as many as cm has rows, got {len(classes)}")
    plt = require("matplotlib.pyplot", "matplotlib", "draws figures", "vis")
    fig, ax = plt.subplots() if ax is None else (ax.figure, ax)
    image = ax.imshow(cm, interpolation="nearest", cmap="Blues")
    fig.colorbar(image, ax=ax)
    ax.set(title="Confusion matrix", xlabel="Predicted label", ylabel="True label")
    ax.set_xticks(range(len(cm)), classes, rotation=45)
    ax.set_yticks(range(len(cm)), classes)
    counts = np.issubdtype(cm.dtype, np.integer)
    for (row, column), value in np.ndenumerate(cm):
        # White on the dark half of the colours.
        color = "white" if value > cm.max() / 2.0 else "black"
        ax.text(column, row, f"{value:d}" if counts else f"{value:.2f}", ha="center", va="center", color=color)
    fig.tight_layout()
    if show:
        plt.show()
    return fig, ax


def legend_without_duplicate_labels_(ax: Any) -> None:
    """Give axes a legend that shows every label once, with the first artist that has it; none without labels.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    """
    first: dict[str, Any] = {}
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        first.setdefault(label, handle)
    if first:
        ax.legend(list(first.values()), list(first))
