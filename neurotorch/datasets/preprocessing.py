"""From raw activity to what a network is fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NORMALISATIONS = ("global", "unit")


def preprocess(
    activity: npt.NDArray[Any], *, normalise: str = "global", sigma: float = 0.0, train_frames: int | None = None
) -> npt.NDArray[np.float32]:
    """Scale activity to 0..1, then smooth it along time.

    Parameters
    ----------
    activity : array [T, N]
        Any unit.
    normalise : {"global", "unit"}
        One minimum and one maximum for all, or for each unit (its maximum after the shift plus 1e-5, so that the
        largest value stays just below 1).
    sigma : float
        Standard deviation in frames of the Gaussian filter along time, with the first and last frames repeated beyond
        the ends; 0 leaves it out.
    train_frames : int, optional
        Nothing of the frames from this one on reaches those before: they are scaled like them, to values that may leave
        0..1, and smoothed apart. By default all frames belong together.

    Returns
    -------
    array [T, N] of float32

    Raises
    ------
    ValueError
        An argument is not one of these.
    """
    if normalise not in NORMALISATIONS:
        raise ValueError(f"normalise: expected one of {', '.join(NORMALISATIONS)}, got {normalise!r}")
    if not 0.0 <= sigma < np.inf:
        raise ValueError(f"sigma: expected 0 or more frames, got {sigma}")
    values = np.asarray(activity, dtype=np.float64)
    seen = values[:train_frames]
    if normalise == "global":
        scaled = (values - seen.min()) / (seen.max() - seen.min())
    else:
        low = seen.min(axis=0, keepdims=True)
        scaled = (values - low) / ((seen - low).max(axis=0, keepdims=True) + 1e-5)
    if sigma > 0.0:
        from scipy.ndimage import gaussian_filter1d

        parts = [scaled[:train_frames], scaled[len(seen) :]]
        scaled = np.concatenate([gaussian_filter1d(p, sigma, axis=0, mode="nearest") for p in parts if len(p)])
    return np.ascontiguousarray(scaled, dtype=np.float32)
