"""Weights before and after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neurotorch.utils.conversion import to_numpy
from neurotorch.visualisation._figures import begin, finish


def visualize_init_final_weights(
    initial_wights: Any,
    final_weights: Any,
    filename: str | Path | None = None,
    show: bool = False,
    fig: Any = None,
    axes: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Two heat maps in the same colours, with one colour bar.

    Parameters
    ----------
    initial_wights, final_weights : array or Tensor [M, N]
        Rows presynaptic.
    filename, show, fig, axes
        See :class:`neurotorch.visualisation.Visualise`; two axes.
    cmp_zero_center : bool
        White is zero, and both signs have the same range (default).
    quantile : float
        The range of colours holds this share of the weights, 1 by default; the colour bar ends in arrows otherwise.
    compute_dale : bool
        Show how far both are from Dale's law; the default where `dale_law_kwargs` are given.
    dale_law_kwargs : dict
        Of :class:`neurotorch.DaleLaw`; ``seed`` 0 by default.
    figsize, dpi, close
        See :class:`neurotorch.visualisation.Visualise`.

    Returns
    -------
    figure, axes

    Raises
    ------
    ValueError
        A matrix has not two axes, or their shapes differ.
    """
    pair = [np.asarray(to_numpy(weights)) for weights in (initial_wights, final_weights)]
    for name, matrix in zip(("initial_wights", "final_weights"), pair, strict=True):
        if matrix.ndim != 2 or matrix.shape != pair[0].shape:
            raise ValueError(f"{name}: expected a matrix of the shape of the other, got shape {list(matrix.shape)}")
    titles = ["Initial weights", "Final weights"]
    if kwargs.get("compute_dale", "dale_law_kwargs" in kwargs):
        titles = [
            f"{title} (Dale loss = {_dale_loss(matrix, **kwargs.get('dale_law_kwargs', {})):.3f})"
            for title, matrix in zip(titles, pair, strict=True)
        ]
    share = kwargs.get("quantile", 1.0)
    values = np.concatenate([matrix.ravel() for matrix in pair])
    if kwargs.get("cmp_zero_center", True):
        size = float(np.quantile(np.abs(values), share)) or 1.0
        low, high = -size, size
    else:
        low, high = (float(np.quantile(values, q)) for q in ((1.0 - share) / 2, (1.0 + share) / 2))
    given = axes
    fig, panels = begin(fig, axes, 1, 2, figsize=kwargs.get("figsize", (11.0, 5.0)), sharey=True)
    for panel, matrix, title in zip(panels[0], pair, titles, strict=True):
        image = panel.imshow(matrix, cmap="RdBu_r", vmin=low, vmax=high, interpolation="nearest", aspect="auto")
        panel.set_title(title, loc="left")
        panel.set_xlabel("Postsynaptic unit")
    panels[0, 0].set_ylabel("Presynaptic unit")
    extend = ("neither", "min", "max", "both")[int(values.min() < low) + 2 * int(values.max() > high)]
    fig.colorbar(image, ax=list(panels[0]), extend=extend, label="Weight [-]", pad=0.02)
    finish(fig, filename, show, **kwargs)
    return fig, panels[0] if given is None else given


def _dale_loss(weights: Any, **kwargs: Any) -> float:
    import torch

    from neurotorch.regularization import DaleLaw

    parameter = torch.nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))
    with torch.no_grad():
        return float(DaleLaw([parameter], **{"seed": 0, **kwargs})())
