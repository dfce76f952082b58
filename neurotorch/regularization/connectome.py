"""Pulls weights and signs towards what is known of a connectome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from neurotorch.regularization.base import BaseRegularization, Parameters
from neurotorch.regularization.dale import DaleLaw, DaleLawL2, ReferenceRegularization, checked_references
from neurotorch.regularization.norms import checked_norm, norm_of

__all__ = [
    "DaleLaw",
    "DaleLawL2",
    "ExcRatioTargetRegularization",
    "InhRatioTargetRegularization",
    "WeightsDistance",
]


class WeightsDistance(ReferenceRegularization):
    """Sum of the p-norms of the differences between parameters and reference weights.

    Parameters
    ----------
    params : iterable or dict of Parameter
    reference_weights : iterable of Tensor
        One per parameter, of its shape.
    Lambda : float
    p : float
        Positive.
    norm : {"entrywise", "induced"}
        See :class:`~neurotorch.regularization.Lp`.
    optimizer, **kwargs
        See :class:`~neurotorch.regularization.BaseRegularization`.

    Raises
    ------
    ValueError
        The references do not fit the parameters, or there is no such norm.
    """

    def __init__(
        self,
        params: Parameters,
        reference_weights: Iterable[Tensor],
        Lambda: float = 1.0,
        p: float = 1,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        norm: str = "entrywise",
        **kwargs: Any,
    ) -> None:
        checked_norm(p, norm)
        super().__init__(params, Lambda, optimizer, **kwargs)
        self._keep_references(checked_references(self.params, reference_weights))
        self.p = p
        self.norm = norm

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sum of the distances; 0 without parameters."""
        pairs = zip(self.params, self.reference_weights, strict=True)
        return sum((norm_of((w - r).abs(), self.p, self.norm) for w, r in pairs), self._zero())


class ExcRatioTargetRegularization(BaseRegularization):
    """``sum_p |mean(f(p)) + 1 - 2 target|``: pulls the fraction of excitatory entries to a target.

    For the stored signs of layers with Dale's law, ``layer.get_sign_parameters()``. f is a smooth sign, so the fraction
    ``(mean(f(p)) + 1) / 2`` is a soft one.

    Parameters
    ----------
    params : iterable or dict of Parameter
    exc_target_ratio : float
        Above 0 and below 1.
    Lambda : float
    sign_func : callable or Module class
        f, by default ``x / (1 + |x|)``.
    optimizer, **kwargs
        See :class:`~neurotorch.regularization.BaseRegularization`.

    Raises
    ------
    AssertionError
        The target is not between 0 and 1.
    """

    def __init__(
        self,
        params: Parameters,
        exc_target_ratio: float = 0.8,
        Lambda: float = 1.0,
        sign_func: Callable[[Tensor], Tensor] | type[torch.nn.Module] = torch.nn.Softsign,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        assert 0.0 < exc_target_ratio < 1.0, (
            f"exc_target_ratio: expected a number above 0 and below 1, got {exc_target_ratio}"
        )
        super().__init__(params, Lambda, optimizer, **kwargs)
        self.exc_target_ratio = exc_target_ratio
        self.sign_func: Callable[[Tensor], Any] = sign_func() if isinstance(sign_func, type) else sign_func

    def _means(self) -> list[Tensor]:
        return [self.sign_func(p).mean() for p in self.params]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sum of the distances from the target; 0 without parameters."""
        return sum(((mean + 1.0 - 2.0 * self.exc_target_ratio).abs() for mean in self._means()), self._zero())

    @torch.no_grad()
    def get_params_exc_ratio(self) -> list[float]:
        """Soft fraction of excitatory entries of each parameter."""
        return [(float(mean) + 1.0) / 2.0 for mean in self._means()]

    @torch.no_grad()
    def get_params_inh_ratio(self) -> list[float]:
        """Soft fraction of inhibitory entries of each parameter."""
        return [(1.0 - float(mean)) / 2.0 for mean in self._means()]

    @torch.no_grad()
    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """Mean soft fraction of excitatory entries, and the loss."""
        ratios = self.get_params_exc_ratio()
        return {"exc_ratio": sum(ratios) / max(1, len(ratios)), "exc_ratio_loss": float(self())}

    def extra_repr(self) -> str:
        """Weight, number of parameters and target."""
        return f"{super().extra_repr()}, exc_target_ratio={self.exc_target_ratio}"


class InhRatioTargetRegularization(ExcRatioTargetRegularization):
    """:class:`ExcRatioTargetRegularization` by the fraction of inhibitory entries.

    Parameters
    ----------
    params, Lambda, sign_func, optimizer, **kwargs
        See :class:`ExcRatioTargetRegularization`.
    inh_target_ratio : float
        Above 0 and below 1.
    """

    def __init__(
        self,
        params: Parameters,
        inh_target_ratio: float = 0.2,
        Lambda: float = 1.0,
        sign_func: Callable[[Tensor], Tensor] | type[torch.nn.Module] = torch.nn.Softsign,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        assert 0.0 < inh_target_ratio < 1.0, (
            f"inh_target_ratio: expected a number above 0 and below 1, got {inh_target_ratio}"
        )
        super().__init__(params, 1.0 - inh_target_ratio, Lambda, sign_func, optimizer, **kwargs)
        self.inh_target_ratio = inh_target_ratio
