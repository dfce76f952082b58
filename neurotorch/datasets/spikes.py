"""Spoken words as spikes of a cochlea: the Heidelberg data and the free spoken digits."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.datasets.events import EventBins, Events, StoredEvents
from neurotorch.datasets.files import DatasetError, data_folder, download_folder, fetch, find_file, missing_extra
from neurotorch.utils.files import written_whole

Array = npt.NDArray[Any]

COCHLEA_UNITS = 700
_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_COMMANDS = (
    "yes no up down left right on off stop go backward bed bird cat dog eight five follow forward four happy house "
    "learn marvin nine one seven sheila six three tree two visual wow zero"
)
_URL = "https://zenkelab.org/datasets/"
_MD5 = {
    "shd_train": "f3252aeb598ac776c1b526422d90eecb",
    "shd_test": "1503a5064faa34311c398fb0a1ed0a6f",
    "ssc_train": "d102be95e7144fcc0553d1f45ba94170",
    "ssc_valid": "b4eee3516a4a90dd0c71a6ac23a8ae43",
    "ssc_test": "a35ff1e9cffdd02a20eb850c17c37748",
}


class _Heidelberg(StoredEvents):
    """A file of the Heidelberg format: vlen arrays ``spikes/times`` (seconds) and ``spikes/units``, and ``labels``."""

    def __init__(
        self, name: str, root: str | Path | None, bins: EventBins, classes: Sequence[str] | None, download: bool
    ) -> None:
        path = find_file(root, f"{name}.h5")
        if path is None and not download:
            raise DatasetError(f"{name}: no {name}.h5 there, and download is False")
        path = _unpacked(name, root) if path is None else path
        times, units, offsets, labels, self.speakers = _read_heidelberg(path)
        try:
            super().__init__(times, units, offsets, labels, COCHLEA_UNITS, bins, classes)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error


class SHD(_Heidelberg):
    """Spiking Heidelberg Digits: spoken digits in English and German as spikes of 700 channels, 20 classes.

    Read from ``shd_train.h5`` and ``shd_test.h5`` in the folder, otherwise downloaded (about 170 MB) and unpacked.
    Two of the twelve speakers occur in the test only.

    Parameters
    ----------
    root : str or Path, optional
        Folder of the data, by default the one that ``NEUROTORCH_DATA`` names, else the user's cache.
    train : bool
        Training or test file.
    bins : EventBins
        By default 100 steps on the first 1.4 s, binary, in both files.
    download : bool
        Whether to download what is not there.

    Attributes
    ----------
    speakers : array [n] of int, or None where the file does not tell

    Raises
    ------
    DatasetError
        The file cannot be had or read.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke (2022), doi:10.1109/TNNLS.2020.3044364.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        train: bool = True,
        bins: EventBins = EventBins(100, 0.014),  # noqa: B008 (immutable)
        download: bool = True,
    ) -> None:
        super().__init__(f"shd_{'train' if train else 'test'}", root, bins, (*_ENGLISH, *_GERMAN), download)


class SSC(_Heidelberg):
    """Spiking Speech Commands: 35 words as spikes of 700 channels.

    Read from ``ssc_train.h5``, ``ssc_valid.h5`` and ``ssc_test.h5``; see :class:`SHD`. All spikes of a part are kept in
    memory, about 4 bytes each before and 4 after binning: some gigabytes for the training part.

    Parameters
    ----------
    root : str or Path, optional
    split : {"train", "valid", "test"}
    bins : EventBins
        By default 100 steps on the first second, binary.
    download : bool

    Raises
    ------
    ValueError
        There is no such split.
    DatasetError
        The file cannot be had or read.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        split: str = "train",
        bins: EventBins = EventBins(100, 0.01),  # noqa: B008
        download: bool = True,
    ) -> None:
        if split not in ("train", "valid", "test"):
            raise ValueError(f"split: expected train, valid or test, got {split!r}")
        super().__init__(f"ssc_{split}", root, bins, _COMMANDS.split(), download)


class SpokenDigits(StoredEvents):
    """Free spoken digits (English, six speakers) as spikes of 700 cochlear channels, 10 classes.

    1,200 samples for training and 300 for the test, from recordings that are not in the other part; all speakers are in
    both. The audio has nothing above 4 kHz, so the first channels are nearly silent. Read from ``fsdd_spikes.npz`` in
    the folder; there is no address to download it from. It is **not** SHD, though the cochlea is the same model.

    Parameters
    ----------
    root : str or Path, optional
        Folder of the data, by default the one that ``NEUROTORCH_DATA`` names.
    train : bool
    bins : EventBins
        By default 100 steps on the first 0.7 s, binary.

    Attributes
    ----------
    speakers, recordings : array [n] of int
    durations : array [n]
        Seconds.

    Raises
    ------
    DatasetError
        The file is not there or cannot be read.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        train: bool = True,
        bins: EventBins = EventBins(100, 0.007),  # noqa: B008
    ) -> None:
        path = find_file(root, "fsdd_spikes.npz")
        if path is None:
            where = data_folder(root) or "NEUROTORCH_DATA, which is not set"
            raise DatasetError(
                f"spoken-digits: no fsdd_spikes.npz in {where}; it has no address to be downloaded from, set "
                "NEUROTORCH_DATA to the folder with it"
            )
        split = "train" if train else "test"
        try:
            with np.load(path, allow_pickle=False) as archive:
                keys = ("times", "units", "offsets", "labels", "speakers", "recordings", "durations")
                found = {key: archive[f"{split}_{key}"] for key in keys}
                tick, n_units = float(archive["time_step_s"]), int(archive["n_units"])
            super().__init__(
                found["times"], found["units"], found["offsets"], found["labels"], n_units, bins, _ENGLISH, tick
            )
        except Exception as error:  # whatever numpy raises on foreign or broken files
            raise DatasetError(f"spoken-digits: {path} cannot be read ({type(error).__name__}: {error})") from error
        self.speakers, self.recordings, self.durations = (found[key] for key in ("speakers", "recordings", "durations"))


def load_rat_linear_track(root: str | Path | None = None) -> Events:
    """Sorted spikes of 31 units of a rat, 15 minutes on a linear track and 15 of rest.

    Read from ``rat_linear_track_spikes.npz`` in the folder; see :class:`SpokenDigits`. Times are those of the
    recording, 4,397 to 6,365 s. Data of the nelpy project (MIT).

    Raises
    ------
    DatasetError
        The file is not there or cannot be read.
    """
    path = find_file(root, "rat_linear_track_spikes.npz")
    if path is None:
        where = data_folder(root) or "NEUROTORCH_DATA, which is not set"
        raise DatasetError(f"rat-linear-track: no rat_linear_track_spikes.npz in {where}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return Events(archive["times"], archive["units"])
    except Exception as error:  # whatever numpy raises on foreign or broken files
        raise DatasetError(f"rat-linear-track: {path} cannot be read ({type(error).__name__}: {error})") from error


def _unpacked(name: str, root: str | Path | None) -> Path:
    """The HDF5 file out of the published archive, unpacked beside it once."""
    path = download_folder(name, root) / f"{name}.h5"
    if not path.is_file():
        archive = fetch(name, f"{_URL}{name}.h5.zip", f"{name}.h5.zip", f"md5:{_MD5[name]}", root)
        try:
            with (
                zipfile.ZipFile(archive) as content,
                content.open(f"{name}.h5") as packed,
                written_whole(path) as temporary,
                open(temporary, "wb") as file,
            ):
                shutil.copyfileobj(packed, file, 1 << 22)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise DatasetError(f"{name}: {archive} cannot be unpacked ({error})") from error
        archive.unlink()
    return path


def _read_heidelberg(path: Path, at_once: int = 1024) -> tuple[Array, Array, Array, Array, Array | None]:
    """Times, units, offsets, labels and speakers of a file, in its own dtypes."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("h5py", "reads .h5 files") from error
    try:
        with h5py.File(path, "r") as file:
            labels = np.asarray(file["labels"])
            speakers = np.asarray(file["extra/speaker"]) if "extra/speaker" in file else None
            parts: dict[str, list[Array]] = {"times": [], "units": []}
            lengths: dict[str, list[int]] = {"times": [], "units": []}
            for key in parts:
                rows = file[f"spikes/{key}"]
                for first in range(0, len(rows), at_once):
                    some = rows[first : first + at_once]
                    lengths[key].extend(map(len, some))
                    parts[key].append(np.concatenate(some) if len(some) else np.zeros(0))
    except Exception as error:  # whatever h5py raises on foreign or broken files
        raise DatasetError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    if lengths["times"] != lengths["units"] or len(labels) != len(lengths["times"]):
        raise DatasetError(f"{path}: times, units and labels are not of the same samples")
    times, units = (np.concatenate(parts[key]) if parts[key] else np.zeros(0, np.int64) for key in ("times", "units"))
    return times, units, np.concatenate([[0], np.cumsum(lengths["times"])]), labels, speakers
