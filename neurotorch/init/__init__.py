"""Initial values of weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurotorch.init._recurrent import ei_balance_, spectral_radius_

__all__ = ["dale_", "ei_balance_", "spectral_radius_"]


def dale_(
    tensor: Tensor, inh_ratio: float = 0.5, rho: float = 0.99, inh_first: bool = True, seed: int | None = None
) -> Tensor:
    """Fill a weight matrix in place with sparse weights that obey Dale's law, and return it.

    Each row (presynaptic neuron) has one sign. Magnitudes come from a normal distribution of standard deviation
    ``1 / sqrt(N rho (1 - rho))`` with N the number of columns, and a fraction ``1 - rho`` of them is zero.

    Parameters
    ----------
    tensor : Tensor [M, N]
        Weights, rows presynaptic. Rectangular ones are allowed.
    inh_ratio : float
        Fraction of inhibitory rows, between 0 and 1.
    rho : float
        Fraction of connections that exist, at least 0 and below 1.
    inh_first : bool
        Whether the inhibitory rows are the first ones or random ones.
    seed : int, optional
        By default the draws follow torch's global generator.

    Returns
    -------
    Tensor
        `tensor`.

    Raises
    ------
    AssertionError
        The tensor is not 2-D, or a ratio is not between 0 and 1.
    ValueError
        `rho` is 1, where the standard deviation is infinite.
    """
    assert tensor.dim() == 2, f"tensor: expected 2 dimensions, got {tensor.dim()}"
    assert 0.0 <= inh_ratio <= 1.0, f"inh_ratio: expected a number between 0 and 1, got {inh_ratio}"
    assert 0.0 <= rho <= 1.0, f"rho: expected a number between 0 and 1, got {rho}"
    if rho == 1.0:
        raise ValueError("rho: expected a number below 1, got 1: the standard deviation would be infinite")
    generator = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
    rows, columns = tensor.shape
    # Without connections every entry is zero whatever the standard deviation.
    std = 1.0 / math.sqrt(columns * rho * (1.0 - rho)) if rho > 0.0 and columns > 0 else 0.0

    def draw(n: int) -> Tensor:
        n_zeros = int((1.0 - rho) * n)
        return torch.cat([torch.zeros(n_zeros), torch.empty(n - n_zeros).normal_(0.0, std, generator=generator)])

    # The diagonal belongs to both triangles and the lower one is written last, column by column.
    upper, lower = torch.triu_indices(rows, columns), torch.triu_indices(columns, rows).flip(0)
    values = [draw(upper.shape[1]), draw(lower.shape[1])]
    weights = torch.zeros(rows, columns)
    for (i, j), drawn in zip((upper, lower), values, strict=True):
        weights[i, j] = drawn[torch.randperm(len(drawn), generator=generator)]
    weights.abs_()
    n_inhibitory = int(rows * inh_ratio)
    order = torch.arange(rows) if inh_first else torch.randperm(rows, generator=generator)
    weights[order[:n_inhibitory]] *= -1.0
    with torch.no_grad():
        return tensor.copy_(weights)
