"""Events of many units, such as spikes, and how they become the input of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

Array = npt.NDArray[Any]


class Events(NamedTuple):
    """Events of one sample: ``times`` [n] in seconds, and ``units`` [n], 0 to N - 1, of the same length."""

    times: Array
    units: Array


@dataclass(frozen=True)
class EventBins:
    """How events become the steps of a sequence.

    Step k holds the events from ``start + k dt`` up to, and without, ``start + (k + 1) dt``. What lies before the
    first or after the last step is left out. Times that differ from an edge by less than a millionth of a step count
    as on it.

    Parameters
    ----------
    n_steps : int
        Number of steps T.
    dt : float
        Seconds per step.
    start : float
        Time in seconds of the first edge.
    binary : bool
        1 where there are events, however many; otherwise their number.
    pool : int
        So many neighbouring units share an input.

    Raises
    ------
    ValueError
        A number is out of range.
    """

    n_steps: int = 100
    dt: float = 0.014
    start: float = 0.0
    binary: bool = True
    pool: int = 1

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ValueError(f"n_steps: expected 1 or more, got {self.n_steps}")
        if not 0.0 < self.dt < np.inf:
            raise ValueError(f"dt: expected a positive number of seconds, got {self.dt}")
        if not np.isfinite(self.start):
            raise ValueError(f"start: expected a time in seconds, got {self.start}")
        if self.pool < 1:
            raise ValueError(f"pool: expected 1 or more units, got {self.pool}")

    def n_inputs(self, n_units: int) -> int:
        """Number of inputs F that so many units make."""
        return -(-n_units // self.pool)

    def places(self, times: Array, units: Array, n_units: int) -> tuple[Array, Array]:
        """Places ``step * F + input`` of the events, and which of them lie in the window (their indices)."""
        steps = np.floor((np.asarray(times, dtype=np.float64) - self.start) / self.dt + 1e-6)
        inside = np.flatnonzero((steps >= 0) & (steps < self.n_steps))
        inputs = np.asarray(units)[inside].astype(np.int64) // self.pool
        return steps[inside].astype(np.int64) * self.n_inputs(n_units) + inputs, inside

    def counts(self, places: Array) -> tuple[Array, Array]:
        """Places that occur, ascending, and the value of each."""
        found, numbers = np.unique(places, return_counts=True)
        return found, np.ones(len(found), np.float32) if self.binary else numbers.astype(np.float32)


class EventDataset(Dataset[tuple[Tensor, int]]):
    """Samples that are events, with a class each; a sequence of binned inputs for whoever indexes it.

    ``dataset[i]`` is ``(x, y)``: a dense sequence ``[T, F]``, float32, and the class number. :meth:`batch` makes a
    sparse batch, which :func:`~neurotorch.datasets.get_dataloaders` uses. A subclass has :meth:`events` and
    :attr:`targets`.

    Attributes
    ----------
    bins : EventBins
    n_units : int
        Units before pooling.
    classes : tuple of str
        Names of the classes.
    """

    bins: EventBins
    n_units: int
    classes: tuple[str, ...]

    @property
    def targets(self) -> Tensor:
        """Class numbers ``[n]``, int64."""
        raise NotImplementedError(f"{type(self).__name__} defines no targets")

    def events(self, index: int) -> Events:
        """The events of a sample, as they were recorded."""
        raise NotImplementedError(f"{type(self).__name__} defines no events")

    @property
    def n_inputs(self) -> int:
        """Inputs F per step."""
        return self.bins.n_inputs(self.n_units)

    def binned(self, index: int) -> tuple[Array, Array]:
        """Places ``step * F + input`` of a sample's inputs that are not zero, ascending, and their values."""
        times, units = self.events(index)
        return self.bins.counts(self.bins.places(times, units, self.n_units)[0])

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Samples as ``(x, y)``: x ``[B, T, F]`` a coalesced sparse COO tensor of float32, y ``[B]`` int64."""
        found = [self.binned(int(i)) for i in indices]
        places = np.concatenate([place for place, _ in found]).astype(np.int64, copy=False)
        sample = np.repeat(np.arange(len(found)), [len(place) for place, _ in found])
        step, unit = np.divmod(places, self.n_inputs)
        x = torch.sparse_coo_tensor(
            torch.from_numpy(np.stack([sample, step, unit])),
            torch.from_numpy(np.concatenate([value for _, value in found])),
            (len(found), self.bins.n_steps, self.n_inputs),
            is_coalesced=True,
            check_invariants=False,
        )
        return x, self.targets[torch.as_tensor(indices, dtype=torch.long)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        index = range(len(self))[index]
        places, values = self.binned(index)
        x = torch.zeros(self.bins.n_steps * self.n_inputs)
        x[torch.from_numpy(places.astype(np.int64, copy=False))] = torch.from_numpy(values)
        return x.view(self.bins.n_steps, self.n_inputs), int(self.targets[index])

    def __repr__(self) -> str:
        shape = f"{self.bins.n_steps} steps x {self.n_inputs} inputs"
        return f"{type(self).__name__}({len(self)} samples, {shape}, {len(self.classes)} classes)"


class StoredEvents(EventDataset):
    """Events that are all in memory, one sample behind the other.

    Parameters
    ----------
    times : array [S]
        In units of `tick`, of any real dtype, which stays.
    units : array [S] of int
        0 to ``n_units - 1``.
    offsets : array [n + 1] of int
        The events of sample i are ``offsets[i]:offsets[i + 1]``.
    targets : array [n] of int
        Class numbers.
    n_units : int
    bins : EventBins
    classes : sequence of str, optional
        By default the numbers.
    tick : float
        Seconds per unit of `times`.

    Raises
    ------
    ValueError
        The arrays do not fit together, or a number is out of range.
    """

    _AT_ONCE = 512  # samples, whose binning takes some temporary memory

    def __init__(
        self,
        times: Array,
        units: Array,
        offsets: Array,
        targets: Array,
        n_units: int,
        bins: EventBins,
        classes: Sequence[str] | None = None,
        tick: float = 1.0,
    ) -> None:
        offsets = np.asarray(offsets, dtype=np.int64)
        if len(times) != len(units):
            raise ValueError(f"units: expected as many as times ({len(times)}), got {len(units)}")
        if len(offsets) != len(targets) + 1:
            raise ValueError(f"offsets: expected {len(targets) + 1} for {len(targets)} targets, got {len(offsets)}")
        if offsets[0] != 0 or offsets[-1] != len(times) or (np.diff(offsets) < 0).any():
            raise ValueError(f"offsets: expected an ascent from 0 to the number of events, {len(times)}")
        if len(units) and not (int(units.min()) >= 0 and int(units.max()) < n_units):
            raise ValueError(f"units: expected 0 to {n_units - 1}, got {units.min()} to {units.max()}")
        numbers = torch.as_tensor(np.asarray(targets).astype(np.int64))
        n_classes = len(classes) if classes is not None else int(numbers.max()) + 1 if len(numbers) else 0
        wrong = numbers[(numbers < 0) | (numbers >= n_classes)]
        if len(wrong):
            raise ValueError(f"targets: expected 0 to {n_classes - 1}, got {int(wrong[0])}")
        self._times, self._units, self._offsets, self._targets = times, units, offsets, numbers
        self._tick = tick
        self.n_units = n_units
        self.bins = bins
        self.classes = tuple(classes) if classes is not None else tuple(map(str, range(n_classes)))
        self._bin_all()

    def _bin_all(self) -> None:
        """Bin every sample once, a few hundred at a time."""
        size = self.bins.n_steps * self.n_inputs
        places, values, ends = [], [], [0]
        for first in range(0, len(self), self._AT_ONCE):
            edges = self._offsets[first : min(first + self._AT_ONCE, len(self)) + 1]
            part = slice(int(edges[0]), int(edges[-1]))
            times = self._times[part] * np.float64(self._tick)
            place, inside = self.bins.places(times, self._units[part], self.n_units)
            sample = np.repeat(np.arange(len(edges) - 1), np.diff(edges))[inside]
            found, value = self.bins.counts(sample * size + place)
            owner, found = np.divmod(found, size)
            places.append(found.astype(np.int32 if size <= np.iinfo(np.int32).max else np.int64))
            values.append(value)
            ends.extend(ends[-1] + np.cumsum(np.bincount(owner, minlength=len(edges) - 1)))
        self._places = np.concatenate(places) if places else np.zeros(0, np.int32)
        self._values = None if self.bins.binary else np.concatenate(values)
        self._ends = np.asarray(ends)

    @property
    def targets(self) -> Tensor:
        """Class numbers ``[n]``, int64."""
        return self._targets

    def events(self, index: int) -> Events:
        """The events of a sample, as they were recorded."""
        index = range(len(self))[index]
        part = slice(int(self._offsets[index]), int(self._offsets[index + 1]))
        return Events(self._times[part] * np.float64(self._tick), self._units[part])

    def binned(self, index: int) -> tuple[Array, Array]:
        """Places ``step * F + input`` of a sample's inputs that are not zero, ascending, and their values."""
        part = slice(int(self._ends[index]), int(self._ends[index + 1]))
        places = self._places[part]
        return places, np.ones(len(places), np.float32) if self._values is None else self._values[part]
