"""Small modules that change shapes."""

from __future__ import annotations

import torch
from torch import Tensor

from neurotorch.dimension import SizeTypes as SizeTypes

__all__ = ["DimensionsCat"]


class DimensionsCat(torch.nn.Module):
    """Merge the axes from `start_axis` to `end_axis` into one; the batch axis 0 stays.

    Parameters
    ----------
    start_axis, end_axis : int
        First and last axis to merge, counted from the end where negative.

    Raises
    ------
    ValueError
        At once or, for axes counted from the end, in a call: axis 0 is among them, they are in the wrong order, or the
        input has not that many.
    """

    def __init__(self, start_axis: int, end_axis: int = -1) -> None:
        super().__init__()
        if start_axis == 0 or end_axis == 0:
            raise ValueError(f"start_axis, end_axis: axis 0 is that of the batch, got {start_axis} and {end_axis}")
        if (start_axis < 0) == (end_axis < 0) and start_axis > end_axis:
            raise ValueError(f"start_axis, end_axis: expected an ascending pair, got {start_axis} and {end_axis}")
        self.start_axis = start_axis
        self.end_axis = end_axis

    @property
    def axes(self) -> list[int]:
        """First and last axis."""
        return [self.start_axis, self.end_axis]

    def forward(self, inputs: Tensor) -> Tensor:
        """Merge the axes of the input."""
        first, last = (axis + inputs.dim() if axis < 0 else axis for axis in self.axes)
        if not 0 < first <= last < inputs.dim():
            raise ValueError(f"inputs: axes {self.axes} do not fit shape {list(inputs.shape)}")
        return torch.flatten(inputs, first, last)

    def extra_repr(self) -> str:
        """Both axes."""
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"
