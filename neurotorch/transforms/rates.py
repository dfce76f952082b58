"""Spike trains whose rates grow with the values of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.utils import to_tensor


def periodic_spikes(steps: Tensor, first: Tensor, period: Tensor) -> Tensor:
    """Where there are spikes, boolean ``[n, ...]``: at `first` and after every `period` from there on."""
    since = steps.view(-1, *(1,) * period.dim()) - first
    return (since >= 0) & (since % period.clamp(min=1) == 0)


class LinearRateToSpikes(torch.nn.Module):
    """Regular spike trains, the more frequent the greater the value.

    A value is scaled to ``r = (x - min) / (max - min + epsilon)`` and gives a spike every ``floor((1 - r) n_steps)``
    steps, at least every step and at most every `n_steps`. No gradient goes through.

    Parameters
    ----------
    n_steps : int
        Number of time steps n.
    data_min, data_max : float or array-like
        Range of the data.
    epsilon : float
        Keeps the range from being zero.
    running_range : bool
        Widen the range, element by element, with every input that comes: the code of a value depends on the values
        before. All inputs need the same shape then. False keeps the range as it was given.

    Attributes
    ----------
    data_min, data_max : Tensor
        The range so far; with a running range of the shape of the inputs.

    Notes
    -----
    A value whose period is exactly one step has no spike in the first step.
    """

    def __init__(
        self,
        n_steps: int,
        *,
        data_min: Any = 0.0,
        data_max: Any = 1.0,
        epsilon: float = 1e-6,
        running_range: bool = True,
    ) -> None:
        super().__init__()
        if n_steps < 1:
            raise ValueError(f"n_steps: expected 1 or more, got {n_steps}")
        self.n_steps = n_steps
        self.data_min: Tensor = torch.as_tensor(data_min, dtype=torch.float32)
        self.data_max: Tensor = torch.as_tensor(data_max, dtype=torch.float32)
        self.epsilon = epsilon
        self.running_range = running_range

    def firing_periods_to_spikes(self, firing_periods: Any) -> Any:
        """Spike trains with the given numbers of steps from spike to spike.

        Parameters
        ----------
        firing_periods : Tensor or array [...]
            Rounded down and limited to 1 to `n_steps`; a period that is 1 before has no spike in the first step.

        Returns
        -------
        Tensor or array [n_steps, ...]
            0 and 1, time first; an array (float64) for an array, a tensor (float32) for a tensor.
        """
        if not isinstance(firing_periods, Tensor):
            found = self.firing_periods_to_spikes(torch.as_tensor(np.asarray(firing_periods)))
            return found.numpy().astype(np.float64)
        floored = firing_periods.floor() if firing_periods.is_floating_point() else firing_periods
        period = floored.clamp(1, self.n_steps).long()
        spikes = periodic_spikes(torch.arange(1, self.n_steps + 1, device=period.device), period, period)
        spikes[0] &= floored != 1
        return spikes.float()

    def forward(self, x: Any) -> Tensor:
        """Spikes of every value.

        Parameters
        ----------
        x : Tensor, array or number [...]

        Returns
        -------
        Tensor [n_steps, ...]
            Time first, 0 and 1; ``[n_steps]`` for a single number.

        Raises
        ------
        ValueError
            The shape differs from that of the inputs before, with a running range.
        """
        x = to_tensor(x)
        low, high = self.data_min.to(x.device), self.data_max.to(x.device)
        if self.running_range:
            try:
                low, high = torch.minimum(x, low), torch.maximum(x, high)
            except RuntimeError as error:
                raise ValueError(
                    f"x: expected the shape {list(low.shape)} of the running range, got {list(x.shape)}; "
                    "running_range=False takes any shape"
                ) from error
            self.data_min, self.data_max = low.detach(), high.detach()
        rate = (x - low) / (high - low + self.epsilon)
        return self.firing_periods_to_spikes(torch.floor((1 - rate.detach()) * self.n_steps))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The number of steps."""
        return f"n_steps={self.n_steps}, running_range={self.running_range}"
