"""Variations of samples, drawn anew for every sample and every time it is seen in training."""

from __future__ import annotations

import torch
from torch import Tensor

from neurotorch.functional._events import dense


class Shifts(torch.nn.Module):
    """Sequences a few steps earlier or later and a few inputs up or down, with zeros where nothing is known.

    Words spoken sooner or later, by higher or lower voices. Both shifts are uniform over the whole numbers up to the
    largest, in both directions. Nothing changes outside of training. Random numbers are torch's.

    Parameters
    ----------
    inputs, steps : int
        Largest shifts.
    """

    def __init__(self, inputs: int, steps: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """The shifted sequences ``[B, T, F]``."""
        if not self.training or (self.inputs == 0 and self.steps == 0):
            return x
        x = dense(x)
        batch, steps, inputs = x.shape
        padded = torch.nn.functional.pad(x, (self.inputs, self.inputs, self.steps, self.steps))
        first_step = torch.randint(0, 2 * self.steps + 1, (batch, 1))
        first_input = torch.randint(0, 2 * self.inputs + 1, (batch, 1))
        sample = torch.arange(batch)[:, None, None]
        step = (first_step + torch.arange(steps))[:, :, None]
        column = (first_input + torch.arange(inputs))[:, None, :]
        return padded[sample, step, column]
