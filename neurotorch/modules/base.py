"""Modules with a name and with sizes."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import torch

from neurotorch.dimension import Dimension, DimensionProperty, SizeTypes
from neurotorch.dimension import DimensionLike as DimensionLike


class NamedModule(torch.nn.Module):
    """A module with a name.

    Parameters
    ----------
    name : str, optional
        By default the name of the class.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        self._name = name

    @property
    def name(self) -> str:
        """The given name, or that of the class."""
        return type(self).__name__ if self._name is None else self._name

    @name.setter
    def name(self, name: str) -> None:
        assert isinstance(name, str), f"name: expected a string, got {type(name).__name__}"
        self._name = name

    def requires_grad_(self, requires_grad: bool = True) -> NamedModule:
        """Train all parameters, or none; constants of neurons that were not asked to be learned stay constants.

        Parameters
        ----------
        requires_grad : bool
            False for none, which concerns constants too.
        """
        fixed: set[int] = set()
        if requires_grad:
            for module in self.modules():
                if callable(constants := getattr(module, "fixed_parameters", None)):
                    fixed.update(id(p) for p in constants())
        for p in self.parameters():
            if id(p) not in fixed:
                p.requires_grad_(requires_grad)
        return self

    @property
    def name_is_set(self) -> bool:
        """Whether a name was given."""
        return self._name is not None


class SizedModule(NamedModule):
    """A module that knows the number of its input and output features.

    Parameters
    ----------
    input_size, output_size : int, Dimension, Size or iterable, optional
        Number of features. An iterable holds one dimension of features and at most one of time, which is dropped.
    name : str, optional
        By default the name of the class.

    Raises
    ------
    AssertionError
        A size has another type, or several dimensions of time.
    ValueError
        A size has no or several dimensions of features.
    """

    def __init__(
        self, input_size: SizeTypes | None = None, output_size: SizeTypes | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self._input_size = self._format_size(input_size)
        self._output_size = self._format_size(output_size)

    @property
    def input_size(self) -> Dimension | None:
        """Number of input features; None when unknown."""
        return self._input_size

    @input_size.setter
    def input_size(self, size: SizeTypes | None) -> None:
        self._input_size = self._format_size(size)

    @property
    def output_size(self) -> Dimension | None:
        """Number of output features; None when unknown."""
        return self._output_size

    @output_size.setter
    def output_size(self, size: SizeTypes | None) -> None:
        self._output_size = self._format_size(size)

    def _format_size(self, size: SizeTypes | None, **kwargs: Any) -> Dimension | None:
        if size is None:
            return None
        if isinstance(size, (Integral, Dimension)):
            return Dimension.from_int_or_dimension(size)
        assert isinstance(size, Iterable) and not isinstance(size, str), (
            f"size: expected an integer, a Dimension or an iterable of them, got {size!r}"
        )
        entries = list(size)
        assert all(isinstance(d, (Integral, Dimension)) for d in entries), (
            f"size: expected integers and Dimensions, got {entries}"
        )
        dimensions = [Dimension.from_int_or_dimension(d) for d in entries]
        features = [d for d in dimensions if d.dtype is not DimensionProperty.TIME]
        assert len(dimensions) - len(features) <= 1, f"size: expected at most one dimension of time, got {dimensions}"
        if len(features) != 1:
            raise ValueError(f"size: expected one dimension of features, got {dimensions}")
        return features[0]


from neurotorch.modules.base_model import BaseModel  # noqa: E402  (base_model needs the classes above)

__all__ = ["BaseModel", "NamedModule", "SizedModule"]
