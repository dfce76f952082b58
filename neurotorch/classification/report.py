"""One page that shows a trained classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurotorch.classification.examples import Example
from neurotorch.visualisation._figures import DATA, MODEL, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

RIGHT, WRONG = "#2a7f3f", "#c0392b"
MOST_NEURONS = 100  # that a raster shows


class ClassificationPicture(NamedTuple):
    """What :func:`draw_report` shows.

    ``curve`` has a row ``(epoch, training loss, training accuracy, validation loss, validation accuracy)`` per epoch,
    ``confusion`` [C, C] counts with rows of true classes, ``examples`` single samples of the test.
    """

    title: str
    classes: tuple[str, ...]
    curve: Array
    confusion: Array
    examples: list[Example]


def draw_report(picture: ClassificationPicture, path: Path) -> None:
    """Write the page as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 11), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(picture.title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    rows: Any = figure.subfigures(2, 1, height_ratios=[1.0, 1.45], hspace=0.03)
    loss, accuracy, confusion = rows[0].subplots(1, 3, width_ratios=[1.0, 1.0, 1.1])
    _draw_loss(loss, picture)
    _draw_accuracy(accuracy, picture)
    _draw_confusion(confusion, picture)
    _draw_examples(rows[1], picture)
    figure.savefig(path, dpi=110, format="png")


def _curve_look(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def _draw_loss(axes: Axes, picture: ClassificationPicture) -> None:
    epoch, train, _, validation, _ = picture.curve.T
    mark = "o" if len(epoch) == 1 else ""
    axes.plot(epoch, np.clip(train, 1e-5, None), color=MODEL, linewidth=1.6, marker=mark, label="training")
    if not np.isnan(validation).all():
        axes.plot(epoch, np.clip(validation, 1e-5, None), color=DATA, linewidth=1.6, marker=mark, label="validation")
    axes.set_yscale("log")
    axes.set_ylabel("negative log likelihood")
    _curve_look(axes, "Loss")


def _draw_accuracy(axes: Axes, picture: ClassificationPicture) -> None:
    epoch, _, train, _, validation = picture.curve.T
    mark = "o" if len(epoch) == 1 else ""
    axes.plot(epoch, 100 * train, color=MODEL, linewidth=1.6, marker=mark, label="training, while learning")
    if not np.isnan(validation).all():
        axes.plot(epoch, 100 * validation, color=DATA, linewidth=1.6, marker=mark, label="validation")
    test = 100 * np.trace(picture.confusion) / picture.confusion.sum()
    axes.axhline(test, color="black", linewidth=1.2, linestyle="--", label=f"test, at the end: {test:.2f} %")
    chance, lowest = 100 / len(picture.classes), 100 * min(float(train.min()), float(np.nanmin([1.0, *validation])))
    if lowest < 50:
        axes.axhline(chance, color=QUIET, linewidth=1.0, linestyle=":", label=f"chance: {chance:.0f} %")
    axes.set_ylabel("accuracy, %")
    # What happens near the top is worth more room than the way from chance to there.
    axes.set_ylim(0 if lowest < 50 else 5 * np.floor(lowest / 5 - 0.5), 100.5)
    _curve_look(axes, "Accuracy")


def _draw_confusion(axes: Axes, picture: ClassificationPicture) -> None:
    counts = picture.confusion
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n = len(counts)
    # Logarithmic, so that the mistakes show beside the diagonal.
    image = axes.imshow(np.log10(1 + share), cmap="Blues", vmin=0, vmax=np.log10(101))
    if n <= 20:
        for i in range(n):
            for j in range(n):
                if counts[i, j]:
                    colour = "white" if share[i, j] > 25 else "black"
                    axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
    long = max(map(len, picture.classes)) > 2
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(range(n), picture.classes, fontsize=8, **turned)
    axes.set_yticks(range(n), picture.classes, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("Test samples by class", loc="left", fontsize=11)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, label="% of the true class")
    bar.set_ticks(np.log10(1 + np.array([0, 1, 10, 100])).tolist(), labels=["0", "1", "10", "100"])


def _draw_examples(figure: Any, picture: ClassificationPicture) -> None:
    n = len(picture.examples)
    panels = figure.subplots(3, n, squeeze=False, height_ratios=[1.0, 1.0, 0.85])
    for k, example in enumerate(picture.examples):
        given, hidden, outputs = panels[:, k]
        _draw_given(given, example, picture.classes)
        _draw_hidden(hidden, example)
        _draw_outputs(outputs, example, picture.classes)
        outputs.sharex(hidden)
    panels[1, 0].set_ylabel("hidden neuron")
    panels[2, 0].set_ylabel("readout voltage")


def _draw_given(axes: Axes, example: Example, classes: tuple[str, ...]) -> None:
    right = example.true == example.predicted
    text = f"“{classes[example.true]}”" + ("" if right else f", taken for “{classes[example.predicted]}”")
    axes.set_title(text, loc="left", fontsize=11, color=RIGHT if right else WRONG)
    if example.given.shape == (28, 28):
        axes.imshow(example.given, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        return
    axes.imshow(example.given.T, cmap="gray_r", aspect="auto", interpolation="nearest")
    axes.set_xlabel("step")
    axes.set_ylabel("input")


def _draw_hidden(axes: Axes, example: Example) -> None:
    """Raster of the neurons that spike most, sorted by their first spike."""
    spikes = example.hidden
    active = np.flatnonzero(spikes.any(axis=0))
    chosen = np.sort(active[np.argsort(-spikes[:, active].sum(axis=0), kind="stable")[:MOST_NEURONS]])
    shown = spikes[:, chosen[np.argsort(spikes[:, chosen].argmax(axis=0), kind="stable")]]
    step, neuron = np.nonzero(shown)
    axes.scatter(step, neuron, s=min(14.0, 600.0 / max(1, len(chosen))), color="black", marker="|", linewidths=1.1)
    axes.set_xlim(-0.5, len(spikes) - 0.5)
    axes.set_ylim(-1, max(1, len(chosen)))
    text = f"{len(active)} of {spikes.shape[1]} neurons spike, {spikes.sum() / max(1, len(active)):.1f} times"
    axes.set_title(text, loc="left", fontsize=9, color=QUIET)
    _whole_steps(axes)


def _whole_steps(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_outputs(axes: Axes, example: Example, classes: tuple[str, ...]) -> None:
    for c in range(example.outputs.shape[1]):
        if c not in (example.true, example.predicted):
            axes.plot(example.outputs[:, c], color=QUIET, linewidth=0.8, alpha=0.6)
    axes.plot(example.outputs[:, example.true], color=RIGHT, linewidth=2.0, label=classes[example.true])
    if example.true != example.predicted:
        axes.plot(example.outputs[:, example.predicted], color=WRONG, linewidth=2.0, label=classes[example.predicted])
    axes.set_xlabel("step")
    _whole_steps(axes)
    axes.legend(frameon=False, fontsize=9, loc="best")
