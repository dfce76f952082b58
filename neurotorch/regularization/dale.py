"""Pulls weights towards signs that obey Dale's law."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from neurotorch.init import dale_
from neurotorch.regularization.base import BaseRegularization, Parameters

_CALLBACK_KEYWORDS = ("priority", "name", "save_state", "load_state")


def checked_references(params: Iterable[Tensor], references: Iterable[Tensor]) -> list[Tensor]:
    """Copies of reference weights, one per parameter and of its shape; ValueError where they are not."""
    params, found = list(params), [torch.as_tensor(r).detach().clone() for r in references]
    if len(found) != len(params):
        raise ValueError(f"reference_weights: expected {len(params)}, one per parameter, got {len(found)}")
    for p, reference in zip(params, found, strict=True):
        if reference.shape != p.shape:
            raise ValueError(f"reference_weights: expected shape {list(p.shape)}, got {list(reference.shape)}")
    return found


class ReferenceRegularization(BaseRegularization):
    """A regulariser with a fixed tensor beside each parameter, which checkpoints keep."""

    def _keep_references(self, references: Iterable[Tensor]) -> None:
        # Buffers follow moves of the module. Its own state has them, not that of a model.
        for k, reference in enumerate(references):
            self.register_buffer(f"_reference_{k}", reference, persistent=False)

    @property
    def reference_weights(self) -> list[Tensor]:
        """One per parameter, where it is."""
        stored = [getattr(self, f"_reference_{k}") for k in range(len(self.params))]
        return [reference.to(p) for reference, p in zip(stored, self.params, strict=True)]

    def get_state(self) -> dict[str, Any] | None:
        """References, and the state of the own optimizer."""
        return {**(super().get_state() or {}), "reference_weights": [r.cpu() for r in self.reference_weights]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_state` returned."""
        super().set_state(state)
        self._keep_references(checked_references(self.params, state["reference_weights"]))


class DaleLawL2(ReferenceRegularization):
    """``sum(alpha w^2 - (1 - alpha) w s)``: weights w decay, and are pulled to the signs s of Dale's law.

    Parameters
    ----------
    params : iterable or dict of Parameter [M, N]
        Rows presynaptic.
    alpha : float
        Between 0 (signs alone, see :class:`DaleLaw`) and 1 (decay alone).
    reference_weights : iterable of Tensor [M, N], optional
        Their signs are s; by default those of :func:`neurotorch.init.dale_`.
    Lambda, optimizer
        See :class:`BaseRegularization`.
    **dale_kwargs
        Of :func:`~neurotorch.init.dale_`: ``inh_ratio, rho, inh_first, seed``. Arguments of
        :class:`~neurotorch.callbacks.BaseCallback` too.

    Raises
    ------
    ValueError
        `alpha` is not between 0 and 1, or the references do not fit the parameters.
    """

    def __init__(
        self,
        params: Parameters,
        alpha: float = 0.8,
        reference_weights: Iterable[Tensor] | None = None,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
        **dale_kwargs: Any,
    ) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha: expected a number between 0 and 1, got {alpha}")
        own = {name: dale_kwargs.pop(name) for name in _CALLBACK_KEYWORDS if name in dale_kwargs}
        super().__init__(params, Lambda, optimizer, **own)
        self.alpha = alpha
        self.dale_kwargs = dale_kwargs
        if reference_weights is None:
            reference_weights = [dale_(torch.empty_like(p), **dale_kwargs) for p in self.params]
        references = checked_references(self.params, reference_weights)
        self._keep_references([torch.sign(reference) for reference in references])

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The loss; 0 without parameters."""
        alpha, total = self.alpha, self._zero()
        for w, sign in zip(self.params, self.reference_weights, strict=True):
            total = total + (w * (alpha * w - (1.0 - alpha) * sign)).sum()
        return total

    def extra_repr(self) -> str:
        """Weight, number of parameters and alpha."""
        return f"{super().extra_repr()}, alpha={self.alpha}"


class DaleLaw(DaleLawL2):
    """``-sum(w s)``: :class:`DaleLawL2` with alpha = 0, which has no minimum; weights need another bound.

    Parameters
    ----------
    params, reference_weights, Lambda, optimizer, **dale_kwargs
        See :class:`DaleLawL2`.
    """

    def __init__(
        self,
        params: Parameters,
        reference_weights: Iterable[Tensor] | None = None,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
        **dale_kwargs: Any,
    ) -> None:
        super().__init__(params, 0.0, reference_weights, Lambda, optimizer, **dale_kwargs)
