"""Conversions and reductions as modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.transforms.rates import LinearRateToSpikes as LinearRateToSpikes
from neurotorch.utils import maybe_apply_softmax
from neurotorch.utils import to_numpy as to_numpy
from neurotorch.utils import to_tensor as to_tensor


def to_dense(x: Any) -> Any:
    """Sparse tensors, also in dicts, with their zeros filled in; anything else as it is."""
    if isinstance(x, Mapping):
        return {name: to_dense(value) for name, value in x.items()}
    return x.to_dense() if isinstance(x, Tensor) and x.layout != torch.strided else x


def move_to(x: Any, device: torch.device, non_blocking: bool = True) -> Any:
    """Tensors, also those in dicts, lists and tuples, on a device; anything else as it is."""
    if isinstance(x, Tensor):
        return x.to(device, non_blocking=non_blocking)
    if isinstance(x, dict):
        return {key: move_to(value, device, non_blocking) for key, value in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*[move_to(value, device, non_blocking) for value in x])
    if isinstance(x, (list, tuple)):
        return type(x)(move_to(value, device, non_blocking) for value in x)
    return x


class ToDevice(torch.nn.Module):
    """Move tensors to a device, inside dicts, lists and tuples too; anything else passes unchanged.

    Moving the model that holds this module does not change its device; calling its own :meth:`to` does.

    Parameters
    ----------
    device : torch.device or str
        Where to.
    non_blocking : bool
        Let copies from pinned memory overlap with computation.
    """

    def __init__(self, device: torch.device | str, non_blocking: bool = True) -> None:
        super().__init__()
        self.device = device
        self.non_blocking = non_blocking

    @property
    def device(self) -> torch.device:
        """Where tensors are moved to."""
        return self._device

    @device.setter
    def device(self, device: torch.device | str) -> None:
        self._device = torch.device(device)

    def to(  # type: ignore[override]
        self, device: torch.device | str | None = None, non_blocking: bool | None = None
    ) -> ToDevice:
        """Change the device."""
        if device is not None:
            self.device = device
        if non_blocking is not None:
            self.non_blocking = non_blocking
        return self

    def forward(self, x: Any) -> Any:
        """The same structure with every tensor on :attr:`device`."""
        return move_to(x, self.device, self.non_blocking)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.device}, async={self.non_blocking})"


class ToTensor(torch.nn.Module):
    """Convert arrays, numbers and containers of them to tensors.

    Parameters
    ----------
    dtype : torch.dtype or None
        Wanted dtype; None keeps the one that a tensor or an array has.
    device : torch.device or str, optional
        Wanted device; by default tensors stay where they are.
    """

    def __init__(self, dtype: torch.dtype | None = torch.float32, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.dtype = dtype
        self.device = None if device is None else torch.device(device)

    def forward(self, x: Any) -> Any:
        """``x`` as a tensor, or the same container of tensors."""
        x = _as_tensors(x) if self.dtype is None else to_tensor(x, dtype=self.dtype)
        return x if self.device is None else move_to(x, self.device)

    def extra_repr(self) -> str:
        """Dtype and device."""
        return f"dtype={self.dtype}, device={self.device}"


def _as_tensors(x: Any) -> Any:
    """Tensors out of whatever stands in a container, each in the dtype it has."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, dict):
        return {key: _as_tensors(value) for key, value in x.items()}
    return torch.as_tensor(x)


class IdentityTransform(torch.nn.Module):
    """Return the argument unchanged."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """``x``."""
        return x


class ConstantValuesTransform(torch.nn.Module):
    """Repeat values along a new time axis.

    Parameters
    ----------
    n_steps : int
        Number of time steps.
    batch_wise : bool
        True: ``[B, F]`` becomes ``[B, n_steps, F]``, and ``[B, T, F]`` is repeated to ``[B, n_steps * T, F]``.
        False: ``[F]`` becomes ``[n_steps, F]``, and ``[T, F]`` is repeated to ``[n_steps * T, F]``.
    """

    def __init__(self, n_steps: int, batch_wise: bool = True) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.batch_wise = batch_wise

    def forward(self, x: Any) -> Tensor:
        """The repeated values, float32."""
        x = to_tensor(x)
        if not self.batch_wise:
            x = x.reshape(1, -1) if x.dim() < 2 else x
            return x.repeat(self.n_steps, *(1,) * (x.dim() - 1))  # type: ignore[no-any-return]
        if x.dim() < 2:
            raise ValueError(f"x: expected shape [B, F] or [B, T, F], got {list(x.shape)}")
        if x.dim() == 2:
            x = x.unsqueeze(1)
        return x.repeat(1, self.n_steps, *(1,) * (x.dim() - 2))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The arguments."""
        return f"n_steps={self.n_steps}, batch_wise={self.batch_wise}"


class MaybeSoftmax(torch.nn.Module):
    """Softmax, unless the values are probabilities already: none negative, sums within 1e-6 of one.

    Parameters
    ----------
    dim : int
        Axis over which probabilities sum to one.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Tensor:
        """Probabilities of the same shape as ``x``; see :func:`neurotorch.utils.maybe_apply_softmax`."""
        return maybe_apply_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class _Reduce(torch.nn.Module):
    """Reduce the time axis of an output, of the first entry of ``(output, state)``, or of a dict of outputs."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def reduce(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        """The reduced output, or a dict of reduced outputs."""
        if isinstance(x, (tuple, list)):
            x = x[0]
        if isinstance(x, dict):
            return {key: self.reduce(value) for key, value in x.items()}
        return self.reduce(x)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class ReduceMax(_Reduce):
    """Largest value over time.

    Parameters
    ----------
    dim : int
        The time axis.
    """

    def reduce(self, x: Tensor) -> Tensor:
        """Maximum of a tensor; ties send their gradient to one position only."""
        return torch.max(x, dim=self.dim).values


class ReduceMean(_Reduce):
    """Mean over time.

    Parameters
    ----------
    dim : int
        The time axis.
    """

    def reduce(self, x: Tensor) -> Tensor:
        """Mean of a tensor."""
        return torch.mean(x, dim=self.dim)


class ReduceSum(_Reduce):
    """Sum over time.

    Parameters
    ----------
    dim : int
        The time axis.
    """

    def reduce(self, x: Tensor) -> Tensor:
        """Sum of a tensor."""
        return torch.sum(x, dim=self.dim)


class ReduceFuncTanh(torch.nn.Module):
    """``tanh`` of a reduction.

    Parameters
    ----------
    reduce_func : callable
        Takes what the model returns and gives a tensor or a dict of tensors, for instance :class:`ReduceMax`.
    """

    def __init__(self, reduce_func: Callable[[Any], Any]) -> None:
        super().__init__()
        self.reduce_func = reduce_func

    def forward(self, x: Any) -> Any:
        """Tensor, or dict of tensors, in (-1, 1)."""
        reduced = self.reduce_func(x)
        if isinstance(reduced, dict):
            return {key: torch.tanh(value) for key, value in reduced.items()}
        return torch.tanh(reduced)
