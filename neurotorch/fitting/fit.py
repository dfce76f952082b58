"""From a recording to the folder of a fit, and from the folder back to its prediction."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurotorch._version import __version__
from neurotorch.datasets import Recording, preprocess
from neurotorch.fitting.files import FORMAT, read_checkpoint, write_arrays, write_json
from neurotorch.fitting.network import build_network, free_run
from neurotorch.fitting.report import FitPicture, draw_report, require_matplotlib
from neurotorch.fitting.results import balance_metrics, effective_weights, pvar_metrics
from neurotorch.fitting.settings import FitSettings
from neurotorch.fitting.training import FreeRunScore, train
from neurotorch.metrics import pvar_per_neuron
from neurotorch.utils.files import written_whole
from neurotorch.utils.interruption import Interruption

Array = npt.NDArray[Any]
Say = Callable[[str], None]

CHECKPOINT, METRICS, PREDICTION, REPORT = "checkpoint", "metrics.json", "prediction.npz", "report.png"


class FitInterrupted(Exception):
    """A fit was asked to stop; what it has learned is in its checkpoint."""


def fit(
    recording: Recording, settings: FitSettings, out: Path, *, bar: bool = False, say: Say = lambda line: None
) -> dict[str, Any]:
    """Fit a network to a recording, and write checkpoint, metrics, prediction and report into a folder.

    A folder with an unfinished fit of the same recording and settings is gone on with, to the same result.

    Parameters
    ----------
    recording : Recording
        From :func:`neurotorch.datasets.load_recording`.
    settings : FitSettings
    out : Path
        Folder; made if it is not there. Other files in it stay.
    bar : bool
        Show a progress bar.
    say : callable
        Gets a line now and then.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    FitInterrupted
        Ctrl-C or a termination signal; the same call goes on.
    ValueError
        Recording and settings do not go together, or the folder holds another fit. Nothing is written.
    """
    require_matplotlib()
    train_frames = settings.train_frames(len(recording.activity))
    _check_train_part(recording, train_frames)
    target = preprocess(
        recording.activity, normalise=settings.normalise, sigma=settings.sigma, train_frames=train_frames
    )
    path = out / CHECKPOINT
    fixed: dict[str, Any] = {
        "format": FORMAT,
        "settings": settings.as_dict(),
        "recording": recording.name,
        "recording_sha256": hashlib.sha256(target.tobytes()).hexdigest(),
        "first_frame": torch.from_numpy(target[0].copy()),
        "frames": len(target),
    }
    resume = _resumable(path, settings, fixed["recording_sha256"]) if path.exists() else None
    if resume is not None and resume["iteration"] > 0:
        say(f"going on after iteration {resume['iteration']} of {settings.iterations}, from {path}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is not a folder")
    out.mkdir(parents=True, exist_ok=True)
    network = build_network(settings, target.shape[1])
    with Interruption() as interruption:
        score, seconds = train(
            network, target[:train_frames], settings, path, fixed, interruption, resume=resume, bar=bar, say=say
        )
        done = int(score.done)
        if done < settings.iterations:
            raise FitInterrupted(f"stopped after iteration {done} of {settings.iterations}; {path} holds everything")
    prediction = free_run(network, target[0], len(target))
    found = {
        **pvar_metrics(prediction, target, train_frames),
        **balance_metrics(network),
        "recording": recording.name,
        "units": target.shape[1],
        "frames": len(target),
        "train_frames": train_frames,
        **settings.as_dict(),
        "best_iteration": score.best_iteration,
        "seconds": round(seconds, 3),
        "version_neurotorch": __version__,
        "version_torch": torch.__version__,
        "version_python": platform.python_version(),
    }
    write_arrays(out / PREDICTION, prediction=prediction, target=target)
    write_json(out / METRICS, found)
    _draw(out / REPORT, recording.name, settings, target, prediction, train_frames, found, network, score)
    return found


def _check_train_part(recording: Recording, train_frames: int) -> None:
    """ValueError for units that change in held-out frames only, whose scale training cannot know."""
    constant = np.flatnonzero(np.ptp(recording.activity[:train_frames], axis=0) == 0)
    if len(constant):
        shown = ", ".join(map(str, constant[:10]))
        raise ValueError(
            f"holdout: {len(constant)} units never change in the {train_frames} frames to train on (units {shown}); "
            "hold out less, or remove them"
        )


def _resumable(path: Path, settings: FitSettings, digest: str) -> dict[str, Any]:
    content = read_checkpoint(path)
    other = settings.differences(content["settings"])
    if content["recording_sha256"] != digest and not other:
        other = ["recording"]
    if other:
        raise ValueError(
            f"--out: {path} belongs to a fit with another {', '.join(other)}; choose another folder or remove that file"
        )
    return content


def _draw(
    path: Path,
    name: str,
    settings: FitSettings,
    target: Array,
    prediction: Array,
    train_frames: int,
    found: dict[str, Any],
    network: Any,
    score: FreeRunScore,
) -> None:
    law = "Dale's law" if settings.dale else "free signs"
    title = (
        f"{name}: {settings.model}, {law}, {target.shape[1]} neurons x {len(target)} frames.   "
        f"pVar {found['pvar_global']:.4f} (mean of each neuron {found['pvar_constant_mean']:.3f}, "
        f"skill {found['skill']:.3f})"
    )
    if train_frames < len(target):
        title += f"   held out: {found['holdout_pvar_global']:.3f}"
    picture = FitPicture(
        title,
        target,
        prediction,
        train_frames,
        np.asarray(pvar_per_neuron(prediction[:train_frames], target[:train_frames])),
        found["pvar_constant_mean"],
        effective_weights(network),
        np.asarray(score.curve),
    )
    with written_whole(path) as temporary:
        draw_report(picture, temporary)


def predict(folder: Path, *, out: Path | None = None) -> tuple[Array, float | None]:
    """Regenerate the prediction of a fit from its checkpoint, which holds the first frame, and nothing else.

    Parameters
    ----------
    folder : Path
        Of a fit.
    out : Path, optional
        Where to write the prediction (``.npz`` with the key ``prediction``). By default ``prediction.npz`` in the
        folder where that is missing, and nowhere else.

    Returns
    -------
    prediction : array [T, N]
    difference : float or None
        Largest difference from the stored prediction; None where none is stored.

    Raises
    ------
    ValueError
        The folder holds no checkpoint of a fit.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ValueError(f"{folder}: no file {CHECKPOINT!r} in there; expected the folder of a fit")
    content = read_checkpoint(path)
    settings = FitSettings(**content["settings"])
    network = build_network(settings, len(content["first_frame"]))
    network.load_state_dict(content["model_state_dict"])
    prediction = free_run(network, content["first_frame"], content["frames"])
    difference: float | None = None
    stored = folder / PREDICTION
    if stored.is_file():
        with np.load(stored, allow_pickle=False) as archive:
            difference = float(np.abs(archive["prediction"] - prediction).max())
    if out is not None or not stored.is_file():
        write_arrays(out or stored, prediction=prediction)
    return prediction, difference
