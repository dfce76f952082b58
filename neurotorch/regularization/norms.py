"""Norms of weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurotorch.regularization.base import BaseRegularization, Parameters

NORMS = ("entrywise", "induced")


def checked_norm(p: float, norm: str) -> None:
    """Raises ValueError where there is no such norm."""
    if not p > 0:
        raise ValueError(f"p: expected a positive number, got {p}")
    if norm not in NORMS:
        raise ValueError(f"norm: expected one of {', '.join(NORMS)}, got {norm!r}")


def norm_of(weights: Tensor, p: float, norm: str) -> Tensor:
    """``(sum |w|^p)^(1/p)``, or for matrices the norm of the linear map; for vectors they are the same."""
    found: Tensor = torch.linalg.vector_norm(weights, p) if norm == "entrywise" else torch.linalg.norm(weights, p)
    return found


class Lp(BaseRegularization):
    """Sum of the p-norms ``(sum |w|^p)^(1/p)`` of parameters.

    Parameters
    ----------
    params : iterable or dict of Parameter
        Frozen parameters and scalars do not count.
    Lambda : float
    p : float
        Positive.
    norm : {"entrywise", "induced"}
        "induced" is NeuroTorch's: of matrices the norm as linear maps, which is the largest column sum of magnitudes
        for p = 1 and the largest singular value for p = 2. It reaches few weights at a time, and takes no tensors of 3
        or more dimensions.
    optimizer, **kwargs
        See :class:`BaseRegularization`.

    Raises
    ------
    ValueError
        `p` or `norm` is none of these.
    """

    def __init__(
        self,
        params: Parameters,
        Lambda: float = 1.0,
        p: float = 1,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        norm: str = "entrywise",
        **kwargs: Any,
    ) -> None:
        checked_norm(p, norm)
        super().__init__(params, Lambda, optimizer, **kwargs)
        self.p = p
        self.norm = norm

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sum of the norms; 0 without parameters that count."""
        counted = [p for p in self.params if p.requires_grad and p.dim() > 0]
        return sum((norm_of(p, self.p, self.norm) for p in counted), self._zero())


class L1(Lp):
    """:class:`Lp` with p = 1: the sum of magnitudes."""

    def __init__(
        self, params: Parameters, Lambda: float = 1.0, optimizer: torch.optim.Optimizer | None = None, **kwargs: Any
    ) -> None:
        super().__init__(params, Lambda, 1, optimizer, **kwargs)


class L2(Lp):
    """:class:`Lp` with p = 2: the root of the sum of squares, of each parameter."""

    def __init__(
        self, params: Parameters, Lambda: float = 1.0, optimizer: torch.optim.Optimizer | None = None, **kwargs: Any
    ) -> None:
        super().__init__(params, Lambda, 2, optimizer, **kwargs)
