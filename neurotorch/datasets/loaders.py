"""Data loaders of data sets that make whole batches, with a split that a seed decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, SubsetRandomSampler


class BatchDataset(Protocol):
    """A data set that makes whole batches."""

    def batch(self, indices: Sequence[int]) -> tuple[Any, Any]:
        """Inputs and targets of these samples."""

    def __len__(self) -> int: ...


class DataLoaders(NamedTuple):
    """Loaders of the parts; those that were not asked for are None."""

    train: DataLoader[Any]
    val: DataLoader[Any] | None
    test: DataLoader[Any] | None


class _Batches(Dataset[Any]):
    """Whole batches by lists of positions in a part of a data set."""

    def __init__(self, dataset: BatchDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: list[int]) -> tuple[Any, Any]:
        return self.dataset.batch([self.indices[k] for k in positions])


def split_indices(n: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers 0 to n - 1 in two parts, each ascending; the second has the given fraction, rounded, chosen by the seed.

    Raises
    ------
    ValueError
        The fraction is not from 0 to below 1, or leaves one of the parts empty though it should not be.
    """
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"val_ratio: expected a fraction from 0 to below 1, got {fraction}")
    second = round(fraction * n)
    if second == n or (fraction > 0 and second == 0):
        raise ValueError(f"val_ratio: {fraction} of {n} samples leaves {n - second} for training, {second} beside")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[second:].sort().values.tolist(), order[:second].sort().values.tolist()


def get_dataloaders(
    train: BatchDataset,
    test: BatchDataset | None = None,
    *,
    batch_size: int = 256,
    val_ratio: float = 0.0,
    seed: int = 0,
    drop_last: bool = False,
) -> DataLoaders:
    """Loaders for training, validation and test, of batches that the data sets make whole.

    Training batches come in a new order in every pass, by a generator of their own with the given seed, whose position
    :class:`~neurotorch.CheckpointManager` keeps. Everything else is in the order of the data set.

    Parameters
    ----------
    train, test : data set with a method ``batch``
        Those of :mod:`neurotorch.datasets`.
    batch_size : int
    val_ratio : float
        Fraction of the training samples that is kept for validation, chosen by `seed`; 0 for none.
    seed : int
        Of the split and of the order.
    drop_last : bool
        Leave out a last training batch that is not full.

    Returns
    -------
    DataLoaders
        ``train, val, test``; event data give sparse batches, see :meth:`EventDataset.batch`.

    Raises
    ------
    ValueError
        A number is out of range, or there are fewer training samples than one batch with `drop_last`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected 1 or more, got {batch_size}")
    first, second = split_indices(len(train), val_ratio, seed)
    if drop_last and len(first) < batch_size:
        raise ValueError(f"batch_size: {batch_size} with drop_last leaves no batch of {len(first)} training samples")
    generator = torch.Generator().manual_seed(seed)
    order = SubsetRandomSampler(range(len(first)), generator=generator)

    def loader(dataset: BatchDataset, indices: Sequence[int], sampler: Any = None) -> DataLoader[Any]:
        part = _Batches(dataset, indices)
        batches = BatchSampler(
            SequentialSampler(part) if sampler is None else sampler, batch_size, drop_last and sampler is not None
        )
        # Loaders draw a number in every pass; without a generator of their own it is one of the global one's.
        own = torch.Generator().manual_seed(seed) if sampler is None else generator
        return DataLoader(part, batch_size=None, sampler=batches, generator=own)

    return DataLoaders(
        loader(train, first, order),
        loader(train, second) if second else None,
        None if test is None else loader(test, range(len(test))),
    )
