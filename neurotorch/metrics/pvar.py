"""Proportion of variance explained (pVar), in the forms that are in use; they differ in what the variance is over.

``prediction`` and ``target`` are ``[T, N]`` or ``[B, T, N]``, arrays or tensors, computed in float64. All are 1 for a
perfect prediction and have no lower end. Gince, Drouin, Desrosiers & Hardy (2024), doi:10.1101/2024.12.29.630683.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float64]


def _pair(prediction: Any, target: Any) -> tuple[Array, Array]:
    """Both as ``[B, T, N]`` in float64."""
    made = []
    for name, value in (("prediction", prediction), ("target", target)):
        array = value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise ValueError(f"{name}: expected shape [T, N] or [B, T, N], got {list(array.shape)}")
        array = array.astype(np.float64)
        if np.isnan(array).any():
            raise ValueError(f"{name}: {int(np.isnan(array).sum())} of {array.size} values are NaN")
        made.append(array if array.ndim == 3 else array[None])
    if made[0].shape != made[1].shape:
        raise ValueError(f"prediction: expected the shape of target, {list(made[1].shape)}, got {list(made[0].shape)}")
    return made[0], made[1]


def _variance(values: Array, axis: Any = None) -> Any:
    """Unbiased variance; 0 of a single value."""
    count = values.size if axis is None else np.prod([values.shape[k] for k in np.atleast_1d(axis)])
    return values.var(axis=axis, ddof=1 if count > 1 else 0)


def pvar_global(prediction: Any, target: Any) -> float:
    """``1 - mean((p - y)^2) / (var(y) + 1e-5)`` over all entries, batch, time and neurons together."""
    p, y = _pair(prediction, target)
    return float(1.0 - np.square(p - y).mean() / (_variance(y) + 1e-5))


def pvar_per_sample(prediction: Any, target: Any) -> Array:
    """The global form of every batch element with 1e-12 instead of 1e-5, ``[B]``; its mean is NeuroTorch's metric."""
    p, y = _pair(prediction, target)
    return np.asarray(1.0 - np.square(p - y).mean(axis=(1, 2)) / (_variance(y, (1, 2)) + 1e-12))


def pvar_per_step(prediction: Any, target: Any) -> Array:
    """For every time step the variance across neurons that is explained, ``[B * T]``: "E[pVar]" is its mean."""
    p, y = (array.reshape(-1, array.shape[-1]) for array in _pair(prediction, target))
    return np.asarray(1.0 - np.square(p - y).mean(axis=1) / (_variance(y, 1) + 1e-8))


def pvar_per_neuron(prediction: Any, target: Any) -> Array:
    """For every neuron the variance over time (and batch) that is explained, ``[N]``."""
    p, y = (array.reshape(-1, array.shape[-1]) for array in _pair(prediction, target))
    return np.asarray(1.0 - np.square(p - y).mean(axis=0) / (_variance(y, 0) + 1e-8))


def pvar_constant_mean(target: Any) -> float:
    """Global form of the trivial prediction that holds every neuron at its mean over time (and batch)."""
    _, y = _pair(target, target)
    return pvar_global(np.broadcast_to(y.mean(axis=(0, 1)), y.shape), y)


def skill(prediction: Any, target: Any) -> float:
    """Share that the prediction explains of what the mean of every neuron leaves open.

    ``1 - (1 - pVar) / (1 - pVar of the means)`` with the global forms: 0 for the means themselves, 1 for a perfect
    prediction; NaN where the means leave nothing open, as when every neuron is constant or there is one time step.
    """
    left_open = 1.0 - pvar_constant_mean(target)
    return 1.0 - (1.0 - pvar_global(prediction, target)) / left_open if left_open > 0 else math.nan


def pvar_report(prediction: Any, target: Any) -> dict[str, float]:
    """All forms under flat names.

    Returns
    -------
    dict
        ``pvar_global, pvar_sample_mean, pvar_time_mean, pvar_time_std, pvar_neuron_mean, pvar_neuron_std,
        pvar_neuron_median, pvar_constant_mean, skill``.

    Raises
    ------
    ValueError
        The shapes differ or are not ``[T, N]`` or ``[B, T, N]``, or a value is NaN.
    """
    steps, neurons = pvar_per_step(prediction, target), pvar_per_neuron(prediction, target)
    return {
        "pvar_global": pvar_global(prediction, target),
        "pvar_sample_mean": float(pvar_per_sample(prediction, target).mean()),
        "pvar_time_mean": float(steps.mean()),
        "pvar_time_std": float(steps.std()),
        "pvar_neuron_mean": float(neurons.mean()),
        "pvar_neuron_std": float(neurons.std()),
        "pvar_neuron_median": float(np.median(neurons)),
        "pvar_constant_mean": pvar_constant_mean(target),
        "skill": skill(prediction, target),
    }
