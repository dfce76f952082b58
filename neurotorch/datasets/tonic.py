"""Data sets of events as the package tonic gives them, without the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurotorch.datasets.events import EventBins, EventDataset, Events

Array = npt.NDArray[Any]


class TonicEvents(EventDataset):
    """A data set whose samples are ``(events, class)``, the events a structured array with fields ``t, x, p`` or more.

    Those of the package tonic are such data sets, and any sequence of such pairs. Events are read and binned when they
    are asked for.

    Parameters
    ----------
    dataset : sequence of (array, int)
        Fields ``t`` in units of `tick`, ``x``, and where there are such ``y`` and the polarity ``p`` (0 and 1, or
        False and True).
    sensor_size : tuple (width, height, polarities)
        As tonic gives it; ``(700, 1, 1)`` for SHD.
    bins : EventBins
    polarity : {"separate", "merge", "off", "on"}
        Units of their own for each polarity (all of the first, then all of the second), one for both, or only events
        with p = 0 or p = 1. Within a polarity the units are row by row, ``y * width + x``.
    tick : float
        Seconds per unit of ``t``; microseconds by default.
    targets : sequence of int, optional
        Classes of all samples, else ``dataset.targets``; without either, every sample is read for its class.
    classes : sequence of str, optional
        Their names, by default ``dataset.classes``, else numbers.

    Raises
    ------
    ValueError
        An argument is not one of these, or (when a sample is read) its array has no field ``t`` or ``x``, or
        coordinates outside of the sensor.
    """

    POLARITIES: ClassVar = ("separate", "merge", "off", "on")

    def __init__(
        self,
        dataset: Any,
        sensor_size: tuple[int, int, int],
        bins: EventBins,
        *,
        polarity: str = "separate",
        tick: float = 1e-6,
        targets: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        if polarity not in self.POLARITIES:
            raise ValueError(f"polarity: expected one of {', '.join(self.POLARITIES)}, got {polarity!r}")
        if len(sensor_size) != 3 or any(int(n) < 1 for n in sensor_size):
            raise ValueError(f"sensor_size: expected (width, height, polarities), got {sensor_size!r}")
        if not tick > 0:
            raise ValueError(f"tick: expected a positive number of seconds, got {tick}")
        self.dataset, self.bins, self.polarity, self.tick = dataset, bins, polarity, tick
        self.width, self.height, self.n_polarities = (int(n) for n in sensor_size)
        self.n_units = self.width * self.height * (self.n_polarities if polarity == "separate" else 1)
        if targets is None:
            targets = getattr(dataset, "targets", None)
        if targets is None:
            targets = [int(dataset[i][1]) for i in range(len(dataset))]
        self._targets = torch.as_tensor(np.asarray(targets).astype(np.int64))
        if len(self._targets) != len(dataset):
            raise ValueError(f"targets: expected {len(dataset)}, one per sample, got {len(self._targets)}")
        names = classes if classes is not None else getattr(dataset, "classes", None)
        n_classes = int(self._targets.max()) + 1 if len(self._targets) else 0
        self.classes = tuple(map(str, names if names is not None else range(n_classes)))

    @property
    def targets(self) -> Tensor:
        """Class numbers ``[n]``, int64."""
        return self._targets

    def events(self, index: int) -> Events:
        """The events of a sample, those of the wanted polarity."""
        array = np.asarray(self.dataset[index][0])
        fields = array.dtype.names or ()
        missing = [name for name in ("t", "x") if name not in fields]
        if missing:
            raise ValueError(f"dataset: expected events with fields t and x, got {list(fields) or array.dtype}")
        x = array["x"].astype(np.int64)
        y = array["y"].astype(np.int64) if "y" in fields else np.zeros_like(x)
        p = array["p"].astype(np.int64) if "p" in fields and self.n_polarities > 1 else np.zeros_like(x)
        for name, values, size in (("x", x, self.width), ("y", y, self.height), ("p", p, self.n_polarities)):
            if len(values) and not (values.min() >= 0 and values.max() < size):
                span = f"{values.min()} to {values.max()}"
                raise ValueError(f"dataset: sample {index} has {name} from {span}, expected 0 to {size - 1}")
        units = y * self.width + x
        if self.polarity == "separate":
            units += p * self.width * self.height
        only = {"off": 0, "on": 1}.get(self.polarity)
        chosen = slice(None) if only is None else p == only
        return Events(array["t"][chosen] * np.float64(self.tick), units[chosen])
