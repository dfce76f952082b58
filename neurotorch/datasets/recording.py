"""Recordings from files and by name, checked before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.datasets.files import DatasetError, missing_extra

Array = npt.NDArray[Any]

AXES = ("time,units", "units,time")
NAMES = ("demo", "zebrafish-darkflash")
MIN_FRAMES = 10


class RecordingError(DatasetError):
    """A recording cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Recording:
    """Activity of units over time.

    Attributes
    ----------
    name : str
        The name, or that of the file without its ending.
    activity : array [T, N] of float64
    origin : str
        Where it comes from, its size, and which axis is time and why.
    sigma : float
        Width in frames of the smoothing that is usual for it; 0 for none.
    """

    name: str
    activity: Array
    origin: str
    sigma: float = 0.0


def load_recording(
    source: str, *, key: str | None = None, axes: str | None = None, drop_constant: bool = False
) -> Recording:
    """A recording by name or from a file.

    Parameters
    ----------
    source : str
        ``demo``, ``zebrafish-darkflash``, or the path of a ``.npy``, ``.npz`` or ``.h5`` file with one 2-D array.
    key : str, optional
        Which array of an ``.npz`` or ``.h5`` file; not needed where there is one 2-D array.
    axes : {"time,units", "units,time"}, optional
        Meaning of the axes of a file's array; guessed where omitted, see :func:`read_recording`.
    drop_constant : bool
        Leave out units that never change instead of refusing them.

    Raises
    ------
    RecordingError
        There is no such recording, or it is not fit for a fit.
    """
    if source == "demo":
        from neurotorch.datasets.demo import simulate_demo

        activity = simulate_demo().activity
        return Recording("demo", activity, f"demo: simulated, {_size(activity)}")
    if source == "zebrafish-darkflash":
        from neurotorch.datasets.zebrafish import load_zebrafish_darkflash

        activity = load_zebrafish_darkflash()
        return Recording(source, activity, f"zebrafish-darkflash: {_size(activity)}", sigma=10.0)
    return read_recording(source, key=key, axes=axes, drop_constant=drop_constant)


def read_recording(
    path: str | Path, *, key: str | None = None, axes: str | None = None, drop_constant: bool = False
) -> Recording:
    """A recording from a file; see :func:`load_recording`.

    Without `axes`, time is the axis along which neighbours are most alike; where both are about the same, the longer
    one.
    """
    path = Path(path)
    if axes is not None and axes not in AXES:
        raise RecordingError(f"--axes: expected {' or '.join(AXES)}, got {axes!r}")
    array = _as_matrix(_read(path, key), path)
    if axes is None:
        axes, reason = guess_axes(array)
        reason = f"guessed: {reason}; --axes says otherwise"
    else:
        reason = "as given"
    activity = np.ascontiguousarray(array if axes == "time,units" else array.T)
    activity = _without_constant(activity, path, drop_constant)
    if activity.shape[0] < MIN_FRAMES:
        raise RecordingError(
            f"{path}: expected at least {MIN_FRAMES} frames, got {activity.shape[0]} ({axes}, {reason})"
        )
    return Recording(path.stem, activity, f"{path}: {_size(activity)}, axes {axes} ({reason})")


def guess_axes(array: Array) -> tuple[str, str]:
    """Which axis of ``[T, N]`` or ``[N, T]`` is time, and why."""
    rough = [_roughness(array), _roughness(array.T)]
    if min(rough) < 0.8 * max(rough):
        return AXES[int(np.argmin(rough))], "neighbours along time are more alike than neighbouring units"
    return AXES[0 if array.shape[0] >= array.shape[1] else 1], "the longer axis is time"


def _roughness(array: Array) -> float:
    """How little neighbouring rows are alike: about 2 for shuffled ones, near 0 for smooth columns.

    The median over columns of the mean squared difference of neighbouring rows, relative to the variance, after the
    columns are standardised and what all columns share is taken out, so that baselines do not count.
    """
    spread = array.std(axis=0)
    columns = array[:, spread > 0]
    if array.shape[0] < 2 or columns.shape[1] == 0:
        return np.inf
    columns = (columns - columns.mean(axis=0)) / spread[spread > 0]
    if columns.shape[1] > 1:
        columns = columns - columns.mean(axis=1, keepdims=True)
    variance = columns.var(axis=0)
    steps = np.square(np.diff(columns, axis=0)).mean(axis=0)
    return float(np.median(steps[variance > 0] / variance[variance > 0])) if (variance > 0).any() else np.inf


def _size(activity: Array) -> str:
    return f"{activity.shape[1]} units x {activity.shape[0]} frames"


def _read(path: Path, key: str | None) -> Array:
    if not path.is_file():
        names = ", ".join(NAMES)
        raise RecordingError(f"{path}: no such file, and no recording of that name (names: {names})")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return np.asarray(_choose({name: archive[name] for name in archive.files}, key, path))
        if path.suffix in (".h5", ".hdf5", ".nwb"):
            return _read_hdf5(path, key)
    except RecordingError:
        raise
    except Exception as error:  # whatever the readers raise on broken files
        raise RecordingError(f"{path}: cannot be read as {path.suffix} ({error})") from error
    raise RecordingError(f"{path}: expected a .npy, .npz or .h5 file, got the ending {path.suffix or 'of none'!r}")


def _read_hdf5(path: Path, key: str | None) -> Array:
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("h5py", f"reads {path.suffix} files", RecordingError) from error
    with h5py.File(path, "r") as file:
        found: dict[str, Any] = {}
        file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        return np.asarray(_choose(found, None if key is None else key.strip("/"), path))


def _choose(found: dict[str, Any], key: str | None, path: Path) -> Any:
    described = ", ".join(f"{name} {list(np.shape(value))}" for name, value in found.items()) or "no array"
    if key is not None:
        if key not in found:
            raise RecordingError(f"{path}: --key: no array {key!r}; the file holds {described}")
        return found[key]
    matrices = [name for name, value in found.items() if sum(n != 1 for n in np.shape(value)) == 2]
    if len(matrices) != 1:
        raise RecordingError(f"{path}: choose an array with --key; the file holds {described}")
    return found[matrices[0]]


def _as_matrix(array: Array, path: Path) -> Array:
    array = np.asarray(array)
    shape = list(array.shape)
    if array.ndim > 2:
        array = np.squeeze(array)
    if array.ndim != 2 or 0 in array.shape:
        raise RecordingError(f"{path}: expected a 2-D array (time and units), got shape {shape}")
    if array.dtype.kind not in "fiub":
        raise RecordingError(f"{path}: expected real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise RecordingError(
            f"{path}: {len(bad)} of {array.size} values are NaN or infinite, the first at index {bad[0].tolist()}; "
            "interpolate them or leave those units or frames out"
        )
    return array


def _without_constant(activity: Array, path: Path, drop: bool) -> Array:
    constant = np.flatnonzero(np.ptp(activity, axis=0) == 0)
    if not len(constant):
        return activity
    if drop and len(constant) < activity.shape[1]:
        return np.delete(activity, constant, axis=1)
    shown = ", ".join(map(str, constant[:10])) + (", ..." if len(constant) > 10 else "")
    raise RecordingError(
        f"{path}: {len(constant)} of {activity.shape[1]} units never change (units {shown}); "
        "remove them, leave them out with --drop-constant, or swap the axes with --axes"
    )
