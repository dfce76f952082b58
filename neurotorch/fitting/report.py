"""One page that shows a fit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurotorch.datasets.files import missing_extra
from neurotorch.datasets.recording import RecordingError
from neurotorch.visualisation._figures import DATA, MODEL, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]


class FitPicture(NamedTuple):
    """What :func:`draw_report` shows.

    ``target`` and ``prediction`` are ``[T, N]``, ``train_frames`` of which were trained on; ``pvar_neurons`` [N] is the
    explained variance of each neuron over those. ``weights`` [N, N] (presynaptic, postsynaptic) are the effective
    weights of the hidden layer. ``curve`` has one row ``(iteration, loss, pVar of the clean closed loop)`` per
    evaluation.
    """

    title: str
    target: Array
    prediction: Array
    train_frames: int
    pvar_neurons: Array
    pvar_constant_mean: float
    weights: Array
    curve: Array


def require_matplotlib() -> None:
    """RecordingError where the report could not be drawn, which is better known before the fit than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "draws report.png", RecordingError)


def draw_report(picture: FitPicture, path: Path) -> None:
    """Write the page as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 10.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(picture.title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    rows: Any = figure.subfigures(3, 1, height_ratios=[1.15, 0.85, 1.0], hspace=0.02)
    _draw_activity(rows[0], picture)
    _draw_neurons(rows[1], picture)
    curve, spread, weights = rows[2].subplots(1, 3, width_ratios=[1.15, 0.85, 1.0])
    _draw_curve(curve, picture)
    _draw_spread(spread, picture)
    _draw_weights(weights, picture)
    figure.savefig(path, dpi=110, format="png")


def by_phase(target: Array) -> Array:
    """An order of neurons that puts those together that are active together.

    The angle of each neuron in the plane of the first two principal components.
    """
    centred = target - target.mean(axis=0)
    loadings = np.linalg.svd(centred, full_matrices=False)[2]
    if len(loadings) < 2:
        return np.arange(target.shape[1])
    scaled = loadings[:2] / np.maximum(np.linalg.norm(loadings[:2], axis=0), 1e-12)
    return np.argsort(np.arctan2(scaled[1], scaled[0]), kind="stable")


def _mark_holdout(axes: Axes, picture: FitPicture, colour: str) -> None:
    if picture.train_frames < len(picture.target):
        axes.axvline(picture.train_frames - 0.5, color=colour, linewidth=1.2, linestyle="--")


def _draw_activity(figure: Any, picture: FitPicture) -> None:
    order = by_phase(picture.target)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    difference = picture.prediction - picture.target
    low, high = float(picture.target.min()), float(np.quantile(picture.target, 0.995))
    size = max(float(np.quantile(np.abs(difference), 0.995)), 1e-6)
    shown = [
        ("Recording", picture.target, {"cmap": "magma", "vmin": low, "vmax": high}),
        ("Model, free run from frame 0", picture.prediction, {"cmap": "magma", "vmin": low, "vmax": high}),
        ("Model minus recording", difference, {"cmap": "RdBu_r", "vmin": -size, "vmax": size}),
    ]
    for axes, (title, values, look) in zip(panels, shown, strict=True):
        image = axes.imshow(values.T[order], aspect="auto", interpolation="nearest", **look)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("frame")
        _mark_holdout(axes, picture, "white" if look["cmap"] == "magma" else "black")
        if title != "Recording":
            figure.colorbar(image, ax=axes, pad=0.01, label="activity" if look["cmap"] == "magma" else "difference")
    panels[0].set_ylabel("neuron, sorted by phase")


def chosen_neurons(pvar_neurons: Array) -> dict[str, int]:
    """The neurons that explain best, most like the whole, and worst."""
    return {
        "best": int(np.argmax(pvar_neurons)),
        "typical": int(np.argmin(np.abs(pvar_neurons - np.median(pvar_neurons)))),
        "worst": int(np.argmin(pvar_neurons)),
    }


def _draw_neurons(figure: Any, picture: FitPicture) -> None:
    panels = figure.subplots(1, 3, sharex=True)
    for axes, (kind, neuron) in zip(panels, chosen_neurons(picture.pvar_neurons).items(), strict=True):
        axes.plot(picture.target[:, neuron], color=DATA, linewidth=2.2, label="recording")
        axes.plot(picture.prediction[:, neuron], color=MODEL, linewidth=1.3, label="model")
        value = picture.pvar_neurons[neuron]
        axes.set_title(f"{kind.capitalize()} neuron ({neuron}), pVar {value:.3f}", loc="left", fontsize=11)
        axes.set_xlabel("frame")
        axes.spines[["top", "right"]].set_visible(False)
        _mark_holdout(axes, picture, "black")
    panels[0].set_ylabel("activity")
    panels[0].legend(frameon=False, fontsize=9, loc="best")


def _draw_curve(axes: Axes, picture: FitPicture) -> None:
    iterations, loss, pvar = picture.curve.T
    axes.plot(iterations, np.clip(1.0 - pvar, 1e-4, None), color=MODEL, linewidth=1.2, label="1 - pVar, free run")
    axes.plot(iterations, np.clip(loss, 1e-4, None), color=QUIET, linewidth=1.0, label="loss while training")
    axes.axhline(1.0 - picture.pvar_constant_mean, color=DATA, linestyle=":", label="mean of each neuron")
    kept = int(np.argmax(pvar))
    axes.plot(iterations[kept], max(1.0 - pvar[kept], 1e-4), "o", color=MODEL, markersize=6, label="kept")
    axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.set_ylabel("unexplained variance")
    axes.set_title("Training", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper right")


def _draw_spread(axes: Axes, picture: FitPicture) -> None:
    values = np.clip(picture.pvar_neurons, -0.5, 1.0)
    lowest = np.floor(10 * float(values.min())) / 10 - 0.05
    axes.hist(values, bins=np.linspace(lowest, 1.0, 41).tolist(), color=MODEL)
    median = float(np.median(picture.pvar_neurons))
    axes.axvline(median, color="black", linewidth=1.2, label=f"median {median:.3f}")
    axes.set_xlabel("pVar of a neuron over time")
    axes.set_ylabel("neurons")
    axes.set_title("Explained variance per neuron", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _draw_weights(axes: Axes, picture: FitPicture) -> None:
    order = np.argsort(-picture.weights.sum(axis=1), kind="stable")
    size = max(float(np.quantile(np.abs(picture.weights), 0.99)), 1e-9)
    image = axes.imshow(
        picture.weights[order], aspect="auto", cmap="RdBu_r", vmin=-size, vmax=size, interpolation="nearest"
    )
    excitatory = int((picture.weights.sum(axis=1) > 0).sum())
    axes.axhline(excitatory - 0.5, color="black", linewidth=0.8)
    axes.set_title(f"Weights, presynaptic sorted by sign ({excitatory} excitatory)", loc="left", fontsize=11)
    axes.set_xlabel("postsynaptic neuron")
    axes.set_ylabel("presynaptic neuron")
    axes.figure.colorbar(image, ax=axes, pad=0.01)
