"""Whole-brain activity of a larval zebrafish under dark flashes."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.datasets.files import fetch, find_file
from neurotorch.datasets.recording import RecordingError

SHA256 = "adca8f2f83e8d78e926539b09b698b526b69e42907bd10cd97e97142ccabf5b8"
_FILE = "Stimulus_data_2022_02_23_fish3_1.npy"
_URL = (
    "https://raw.githubusercontent.com/NeuroTorch/NeuroTorch_PaperWithCode/47cded1dfd1e3aba8b5ddaa3e4356e74610a5b77/"
    f"neuronal_time_series_reproduction/data/ts/{_FILE}"
)


def load_zebrafish_darkflash() -> npt.NDArray[Any]:
    """Raw fluorescence of 522 neurons over 620 frames (9.3 minutes), float64 ``[T, N]``.

    Read from the folder that the environment variable ``NEUROTORCH_DATA`` names (the published array, or
    ``zebrafish_darkflash.npz`` with the key ``activity``), otherwise downloaded once to the user's cache; either way
    the checksum of the published file must agree. Data of the De Koninck and Desrosiers groups, published with Gince,
    Drouin, Desrosiers & Hardy (2024), doi:10.1101/2024.12.29.630683.

    Raises
    ------
    RecordingError
        The array cannot be had, or is not the published one.
    """
    path = find_file(None, _FILE, "zebrafish_darkflash.npz")
    if path is None:
        path = fetch("zebrafish-darkflash", _URL, _FILE, f"sha256:{SHA256}", kind=RecordingError)
    found = np.load(path, allow_pickle=False)
    return _checked(found if path.suffix == ".npy" else found["activity"], str(path))


def _checked(array: npt.NDArray[Any], source: str) -> npt.NDArray[Any]:
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array))
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    if digest != SHA256:
        raise RecordingError(f"zebrafish-darkflash: {source} is not the published array (SHA-256 {digest})")
    return np.asarray(array.T)
