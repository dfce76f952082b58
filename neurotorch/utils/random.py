"""Seeds and random matrices."""

from __future__ import annotations

import random
from numbers import Integral

import numpy as np
import torch
from torch import Tensor


def set_seed(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def format_pseudo_rn_seed(seed: int | None = None) -> int:
    """The given seed, or one drawn from torch's global generator.

    Parameters
    ----------
    seed : int, optional
        Any integral type.

    Returns
    -------
    int
        Follows :func:`set_seed` when `seed` is None.

    Raises
    ------
    TypeError
        `seed` is not integral.
    """
    if seed is None:
        return int(torch.randint(2**31 - 1, ()).item())
    if not isinstance(seed, Integral):
        raise TypeError(f"seed: expected an integer or None, got {seed!r}")
    return int(seed)


def unitary_rn_normal_matrix(n: int, m: int, generator: torch.Generator | None = None) -> Tensor:
    """Random matrix ``[n, m]`` with orthonormal rows (n <= m) or columns (n > m)."""
    draw = torch.randn(max(n, m), min(n, m), generator=generator)
    q, r = torch.linalg.qr(draw)
    # Signs of the diagonal fixed, which makes the distribution uniform (Mezzadri, 2007).
    unitary: Tensor = q * torch.sign(torch.diagonal(r))
    return unitary if n >= m else unitary.T
