"""Spikes from the latency of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurotorch.transforms.rates import periodic_spikes
from neurotorch.utils import to_numpy


class ImgToSpikes:
    """Spikes of pixels at the time a leaky neuron needs to charge: bright pixels fire first.

    A pixel x of at least `thr` fires at step ``T = int(tau log(x / (x - thr)))``, the time a leaky integrator under the
    current x takes to the threshold; darker ones at `t_max`, which by default is too late.

    Parameters
    ----------
    n_steps : int
        Number of time steps n.
    t_max : float, optional
        Time of pixels below the threshold, in steps; by default `n_steps`.
    tau : float
        Time constant in steps, not in seconds: with the default every pixel above the threshold fires at step 0.
    thr : float
        Threshold, in units of the pixels.
    use_periods : bool
        False: one spike per pixel, at step T, none where T is `n_steps` or more. True: spikes at T, 2T, 3T, ..., with T
        limited to 1 to ``n_steps - 1``.
    epsilon : float
        Least distance of a pixel from the threshold.
    """

    def __init__(
        self,
        n_steps: int,
        t_max: float | None = None,
        tau: float = 0.02,
        thr: float = 0.2,
        use_periods: bool = False,
        epsilon: float = 1e-7,
    ) -> None:
        if n_steps < 1:
            raise ValueError(f"n_steps: expected 1 or more, got {n_steps}")
        self.n_steps = n_steps
        self.t_max = n_steps if t_max is None else t_max
        self.tau = tau
        self.thr = thr
        self.epsilon = epsilon
        self.use_periods = use_periods

    def pixels_to_firing_periods(self, x: Any) -> np.ndarray:
        """T of every pixel, in whole steps.

        Parameters
        ----------
        x : array [...]
            Pixels, usually from 0 to 1.

        Returns
        -------
        array of int [...]
        """
        x = np.asarray(x)
        charged = np.clip(x, self.thr + self.epsilon, None)
        times = np.where(x < self.thr, self.t_max, self.tau * np.log(charged / (charged - self.thr)))
        return times.astype(int)

    def _spikes(self, first: np.ndarray, periods: np.ndarray) -> np.ndarray:
        spikes = periodic_spikes(torch.arange(self.n_steps), torch.from_numpy(first), torch.from_numpy(periods))
        return spikes.numpy().astype(np.float64)

    def firing_periods_to_spikes(self, firing_periods: Any) -> np.ndarray:
        """Spikes at T, 2T, 3T, ...

        Parameters
        ----------
        firing_periods : array of int [...]
            T, limited to 1 to ``n_steps - 1``.

        Returns
        -------
        array [n_steps, ...]
            0 and 1.
        """
        periods = np.clip(np.asarray(firing_periods, dtype=int), 1, max(self.n_steps - 1, 1))
        return self._spikes(periods, periods)

    def firing_periods_to_spikes_clip(self, firing_periods: Any) -> np.ndarray:
        """Spikes at T and after every T steps from there on; the first at ``n_steps - 1`` at the latest.

        Parameters
        ----------
        firing_periods : array of int [...]
            T; a period of 0 spikes at every step.

        Returns
        -------
        array [n_steps, ...]
            0 and 1.
        """
        periods = np.asarray(firing_periods, dtype=int)
        return self._spikes(np.clip(periods, 0, self.n_steps - 1), periods)

    firing_periods_to_spikes_loop = firing_periods_to_spikes_clip

    def firing_times_to_spikes(self, firing_times: Any) -> np.ndarray:
        """One spike at T.

        Parameters
        ----------
        firing_times : array of int [...]
            T; there is no spike where it is `n_steps` or more.

        Returns
        -------
        array [n_steps, ...]
            0 and 1.
        """
        steps = np.arange(self.n_steps).reshape(-1, *(1,) * np.ndim(firing_times))
        return np.asarray(steps == np.asarray(firing_times), dtype=np.float64)

    @property
    def spikes_gen_func(self) -> Any:
        """The method that makes spikes of T."""
        return self.firing_periods_to_spikes if self.use_periods else self.firing_times_to_spikes

    def __call__(self, x: Any) -> Tensor:
        """Spikes of an image.

        Parameters
        ----------
        x : Tensor or array [...]
            Pixels, usually from 0 to 1.

        Returns
        -------
        Tensor of float64 [n_steps, ...]
            0 and 1, time first.
        """
        found = self.spikes_gen_func(self.pixels_to_firing_periods(to_numpy(x, np.float64)))
        return torch.from_numpy(found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_steps={self.n_steps}, tau={self.tau}, thr={self.thr})"
