"""Sizes of inputs and outputs, with the meaning of each axis."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import TypeAlias


class DimensionProperty(enum.Enum):
    """What an axis stands for."""

    NONE = 0
    TIME = 1
    SPATIAL = 2


class Dimension:
    """One axis: its size and what it stands for.

    Parameters
    ----------
    size : int, optional
        Number of entries; None when unknown.
    dtype : DimensionProperty
        Meaning of the axis.
    name : str, optional
        By default the name of `dtype`. Not part of equality.

    Raises
    ------
    TypeError
        `size` is not integral.
    """

    def __init__(
        self, size: int | None = None, dtype: DimensionProperty = DimensionProperty.NONE, name: str | None = None
    ) -> None:
        if size is not None and not isinstance(size, Integral):
            raise TypeError(f"size: expected an integer or None, got {size!r}")
        self.size = None if size is None else int(size)
        self.dtype = dtype
        self.name = dtype.name if name is None else name

    def __eq__(self, other: object) -> bool:
        if other is None:
            return False
        if isinstance(other, Integral):
            other = Dimension(int(other))
        if not isinstance(other, Dimension):
            return NotImplemented
        return self.size == other.size and self.dtype == other.dtype

    def __hash__(self) -> int:
        # A dimension without a meaning equals its plain size, so it must hash like it.
        return hash(self.size) if self.dtype is DimensionProperty.NONE else hash((self.size, self.dtype))

    def __int__(self) -> int:
        if self.size is None:
            raise TypeError(f"dimension {self.name!r} has no size")
        return self.size

    def __str__(self) -> str:
        return f"{self.name}:[{self.size}, {self.dtype.name}]"

    __repr__ = __str__

    @staticmethod
    def from_int(size: int | None) -> Dimension:
        """A dimension without a meaning."""
        return Dimension(size)

    @staticmethod
    def from_int_or_dimension(dimension: int | Dimension | None) -> Dimension:
        """The dimension itself, or one of the given size."""
        return dimension if isinstance(dimension, Dimension) else Dimension(dimension)


class Size:
    """A list of dimensions.

    Parameters
    ----------
    dimensions : int, Dimension or iterable of them
        The axes in order.
    """

    def __init__(self, dimensions: SizeTypes) -> None:
        entries = [dimensions] if isinstance(dimensions, (Integral, Dimension)) else list(dimensions)  # type: ignore[arg-type]
        self.dimensions: list[Dimension] = [Dimension.from_int_or_dimension(d) for d in entries]

    def __str__(self) -> str:
        return f"Size[{', '.join(f'{k}:{d}' for k, d in enumerate(self.dimensions))}]"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return self.dimensions == other.dimensions if isinstance(other, Size) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.dimensions))

    def __getitem__(self, item: int) -> Dimension:
        return self.dimensions[item]

    def __len__(self) -> int:
        return len(self.dimensions)

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)


DimensionLike: TypeAlias = int | Dimension
SizeTypes: TypeAlias = int | Dimension | Iterable[int | Dimension] | Size
DimensionsLike: TypeAlias = Dimension | Iterable[Dimension] | Size
