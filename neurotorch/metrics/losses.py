"""Losses as modules ``loss(prediction, target)``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def _check_reduction(reduction: str, allowed: tuple[str, ...]) -> None:
    assert reduction in allowed, f"reduction: expected one of {', '.join(allowed)}, got {reduction!r}"


class PVarianceLoss(torch.nn.Module):
    """Proportion of explained variance, ``1 - MSE / (Var(y) + epsilon)``; larger is better.

    Parameters
    ----------
    negative : bool
        Flip the sign, for a loss that is minimised.
    reduction : {"mean", "feature", "none"}
        One value over all elements, one per feature of the last axis, or the squared error of every element over the
        variance of all.
    epsilon : float
        Added to the variance, which is unbiased.

    Raises
    ------
    AssertionError
        The reduction is unknown.
    """

    def __init__(self, negative: bool = False, reduction: str = "mean", epsilon: float = 1e-5) -> None:
        super().__init__()
        _check_reduction(reduction, ("mean", "feature", "none"))
        self.negative = negative
        self.reduction = reduction
        self.epsilon = epsilon

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Explained variance of the prediction `x` of the target `y`, of the same shape."""
        y = y.to(x.device)
        if self.reduction == "feature":
            x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
            value = 1.0 - (x - y).square().mean(dim=0) / (y.var(dim=0) + self.epsilon)
        elif self.reduction == "none":
            value = 1.0 - (x - y).square() / (y.var() + self.epsilon)
        else:
            value = 1.0 - (x - y).square().mean() / (y.var() + self.epsilon)
        return -value if self.negative else value

    def mean_std_over_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over the first axis of the explained variance over the others."""
        values = self._per_sample(x, y)
        return values.mean(), values.std()

    def _per_sample(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = x.flatten(1), y.to(x.device).flatten(1)
        value = 1.0 - (x - y).square().mean(dim=1) / (y.var(dim=1) + self.epsilon)
        return -value if self.negative else value


class RMSELoss(torch.nn.Module):
    """Root of the mean squared error, ``sqrt(MSE + 1e-8)``."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss of the prediction `x` of the target `y`."""
        return ((x - y.to(x.device)).square().mean() + 1e-8).sqrt()


class SMSEloss(torch.nn.Module):
    """Mean squared error over the variance of the target, ``MSE / (Var(y) + epsilon)``.

    Parameters
    ----------
    reduction : {"mean", "feature", "none"}
        As in :class:`PVarianceLoss`.
    epsilon : float
        Added to the variance.

    Raises
    ------
    AssertionError
        The reduction is unknown.
    """

    def __init__(self, reduction: str = "mean", epsilon: float = 1e-5) -> None:
        super().__init__()
        self.reduction = reduction
        self.epsilon = epsilon
        self._explained = PVarianceLoss(reduction=reduction, epsilon=epsilon)

    def forward(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Loss of the prediction `inputs` of the target `target`."""
        explained: Tensor = self._explained(inputs, target)
        return 1.0 - explained


class NLLLoss(torch.nn.NLLLoss):
    """Negative log likelihood of targets of any shape.

    Parameters
    ----------
    target_as_one_hot : bool
        Targets are one-hot vectors ``[..., C]`` instead of class numbers ``[...]``.
    **kwargs
        See :class:`torch.nn.NLLLoss`.
    """

    def __init__(self, target_as_one_hot: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_as_one_hot = target_as_one_hot

    def forward(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Loss of log probabilities `inputs` ``[..., C]``."""
        target = target.to(inputs.device)
        if self.target_as_one_hot:
            target = target.argmax(dim=-1)
        return super().forward(inputs.reshape(-1, inputs.shape[-1]), target.reshape(-1).long())
