"""From a data set to the folder of a run."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurotorch._version import __version__
from neurotorch.classification.examples import chosen_samples, look_at, states_of
from neurotorch.classification.network import build_classifier
from neurotorch.classification.report import ClassificationPicture, draw_report
from neurotorch.classification.settings import ClassifySettings
from neurotorch.classification.tasks import digest
from neurotorch.classification.training import Interrupted, train
from neurotorch.datasets import EventDataset, get_dataloaders
from neurotorch.fitting.files import write_arrays, write_json
from neurotorch.fitting.report import require_matplotlib
from neurotorch.metrics import ClassificationMetrics
from neurotorch.utils.files import written_whole
from neurotorch.utils.interruption import Interruption

Say = Callable[[str], None]

FORMAT = "neurotorch classify 1"
CHECKPOINTS, SETTINGS, METRICS, PREDICTIONS, REPORT = (
    "checkpoints",
    "settings.json",
    "metrics.json",
    "predictions.npz",
    "report.png",
)


class ClassificationInterrupted(Exception):
    """A run was asked to stop; what it has learned in whole epochs is in its checkpoint."""


def classify(
    settings: ClassifySettings,
    out: Path,
    *,
    resume: bool = True,
    bar: bool = False,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Train a network on a data set, test it, and write checkpoints, metrics, predictions and report into a folder.

    The test set is seen once, after training, by the weights after the last epoch. A folder with an unfinished run of
    the same data and settings is gone on with, to the same result.

    Parameters
    ----------
    settings : ClassifySettings
    out : Path
        Folder; made if it is not there. Other files in it stay.
    resume : bool
        Go on with a run that is there; otherwise start over, also in the folder of another run.
    bar : bool
        Show a progress bar.
    say : callable
        Gets a line now and then.

    Returns
    -------
    dict
        What ``metrics.json`` holds: ``accuracy, precision, recall, f1`` of the test, ``train_accuracy`` and
        ``val_accuracy`` of the last epoch, the settings, and more.

    Raises
    ------
    ClassificationInterrupted
        Ctrl-C or a termination signal; the same call goes on.
    DatasetError
        The data cannot be had.
    ValueError
        The folder holds another run. Nothing is written.
    """
    require_matplotlib()
    training, test = settings.recipe.load(settings.n_steps)
    loaders = get_dataloaders(
        training,
        test,
        batch_size=settings.batch_size,
        val_ratio=settings.recipe.val_ratio,
        seed=settings.seed,
    )
    fixed = {"format": FORMAT, "settings": settings.as_dict(), "data_sha256": digest(training, test)}
    goes_on = resume and _same_run(out, fixed, settings)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--output-dir: {out} is not a folder")
    out.mkdir(parents=True, exist_ok=True)
    if not goes_on:
        write_json(out / SETTINGS, fixed)
    n_inputs = training.n_inputs if isinstance(training, EventDataset) else math.prod(training.images.shape[1:])
    network = build_classifier(settings, n_inputs, len(training.classes))
    with Interruption() as interruption:
        try:
            curve = train(
                network,
                loaders,
                settings,
                out / CHECKPOINTS,
                interruption,
                start_over=not goes_on,
                bar=bar,
                say=say,
            )
        except Interrupted:
            raise ClassificationInterrupted(
                f"stopped; {out / CHECKPOINTS} holds every whole epoch of {settings.epochs}"
            ) from None
    y_true, y_pred = ClassificationMetrics.compute_y_true_y_pred(network, loaders.test)
    scores = {
        name: getattr(ClassificationMetrics, name)(y_true=y_true, y_pred=y_pred)
        for name in ("accuracy", "precision", "recall", "f1")
    }
    rows = np.asarray(curve.rows)
    found = {
        **scores,
        "train_accuracy": float(rows[-1, 2]),
        "val_accuracy": None if np.isnan(rows[-1, 4]) else float(rows[-1, 4]),
        "hidden_spikes_per_step": float(states_of(network, test.batch(range(min(256, len(test))))[0])[0].mean()),
        "train_samples": len(loaders.train.dataset),  # type: ignore[arg-type]
        "test_samples": len(test),
        "classes": len(training.classes),
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        **settings.as_dict(),
        "seconds": round(curve.seconds, 3),
        "threads": torch.get_num_threads(),
        "version_neurotorch": __version__,
        "version_torch": torch.__version__,
        "version_python": platform.python_version(),
    }
    write_arrays(
        out / PREDICTIONS,
        y_true=y_true,
        y_pred=y_pred,
        confusion_matrix=_confusion(y_true, y_pred, len(training.classes)),
        learning_curve=rows,
    )
    write_json(out / METRICS, found)
    picture = ClassificationPicture(
        _title(settings, found),
        tuple(training.classes),
        rows,
        _confusion(y_true, y_pred, len(training.classes)),
        look_at(network, test, chosen_samples(y_true, y_pred), y_pred),
    )
    with written_whole(out / REPORT) as temporary:
        draw_report(picture, temporary)
    return found


def _same_run(out: Path, fixed: dict[str, Any], settings: ClassifySettings) -> bool:
    """Whether there is a run to go on with; ValueError for one with other settings or data."""
    path = out / SETTINGS
    if not path.is_file():
        if (out / CHECKPOINTS).exists():
            raise ValueError(f"--output-dir: {out} has checkpoints without {SETTINGS}; choose another folder")
        return False
    try:
        stored = json.loads(path.read_text())
        known = stored["format"] == FORMAT
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not the settings of a run ({type(error).__name__})") from error
    other = settings.differences(stored["settings"]) if known else ["format"]
    if not other and stored["data_sha256"] != fixed["data_sha256"]:
        other = ["data"]
    if other:
        raise ValueError(
            f"--output-dir: {out} belongs to a run with another {', '.join(other)}; choose another folder, or "
            "--no-resume to start over"
        )
    return True


def _confusion(y_true: Any, y_pred: Any, n: int) -> Any:
    """Counts ``[n, n]`` of all classes, rows being true ones."""
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (y_true, y_pred), 1)
    return counts


def _title(settings: ClassifySettings, found: dict[str, Any]) -> str:
    law = ", Dale's law" if settings.dale else ""
    what = f"{settings.hidden} {settings.model} neurons{law}, {settings.n_steps} steps, {settings.epochs} epochs"
    score = f"Test accuracy {found['accuracy']:.4f} ({found['test_samples']:,} samples)"
    return f"{settings.task}: {what} by {settings.learning}.   {score}"
