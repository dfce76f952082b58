"""Values from spikes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PAD_MODES = ("left", "right", "both")


class MeanConv(torch.nn.Module):
    """Weighted means over blocks of time, ``activation(alpha sum_k w_k x_{sK + k} / K)`` for block s.

    Parameters
    ----------
    kernel_size : int
        Steps K of a block.
    alpha : float or array-like
        Scale, one for all units or one each ``[N]``.
    learn_alpha, learn_kernel : bool
        Whether `alpha` and the weights w are trained.
    activation : torch.nn.Module, optional
        By default the identity.
    pad_value : float or None
        What fills a number of steps that is no multiple of K up to one; None forbids such numbers.
    pad_mode : {"left", "right", "both"}
        Where it is filled up: before the first step, after the last, or half each, the odd one before.

    Attributes
    ----------
    kernel : Parameter [1, K, 1]
        w, ones at first.

    Raises
    ------
    ValueError
        An argument is out of range.
    """

    def __init__(
        self,
        kernel_size: int,
        alpha: Any = 1.0,
        learn_alpha: bool = True,
        learn_kernel: bool = True,
        activation: torch.nn.Module | None = None,
        pad_value: float | None = 0.0,
        pad_mode: str = "left",
    ) -> None:
        super().__init__()
        if kernel_size < 1:
            raise ValueError(f"kernel_size: expected 1 or more, got {kernel_size}")
        if pad_mode not in _PAD_MODES:
            raise ValueError(f"pad_mode: expected one of {', '.join(_PAD_MODES)}, got {pad_mode!r}")
        self.kernel_size = kernel_size
        self.learn_kernel = learn_kernel
        self.kernel = torch.nn.Parameter(torch.ones(1, kernel_size, 1), requires_grad=learn_kernel)
        self.learn_alpha = learn_alpha
        self.alpha = torch.nn.Parameter(torch.as_tensor(alpha).detach().float().clone(), requires_grad=learn_alpha)
        self.activation = torch.nn.Identity() if activation is None else activation
        self.pad_value = pad_value
        self.pad_mode = pad_mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Means of the blocks.

        Parameters
        ----------
        inputs : Tensor [B, T, N]

        Returns
        -------
        Tensor [B, ceil(T / K), N]

        Raises
        ------
        ValueError
            T is no multiple of K, and `pad_value` is None.
        """
        batch, steps, units = inputs.shape
        missing = -steps % self.kernel_size
        if missing and self.pad_value is None:
            raise ValueError(
                f"inputs: expected a multiple of {self.kernel_size} steps where pad_value is None, got {steps}"
            )
        if missing:
            before = {"left": missing, "right": 0, "both": missing - missing // 2}[self.pad_mode]
            inputs = torch.nn.functional.pad(inputs, (0, 0, before, missing - before), value=self.pad_value)
        blocks = inputs.reshape(batch, -1, self.kernel_size, units)
        means: Tensor = self.activation(self.alpha * (self.kernel * blocks).sum(dim=2) / self.kernel_size)
        return means

    def extra_repr(self) -> str:
        """Kernel and scale."""
        alpha = f"{self.alpha.item():.4g}" if self.alpha.numel() == 1 else f"size={list(self.alpha.shape)}"
        return (
            f"kernel(size={self.kernel_size}, learn={self.learn_kernel}), alpha({alpha}, learn={self.learn_alpha}), "
            f"pad_value={self.pad_value}, pad_mode={self.pad_mode}"
        )
