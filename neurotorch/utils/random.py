"""Seeds and random matrices."""

from __future__ import annotations

import random
from numbers import Integral
from typing import Any

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
    """Random matrix ``[n, m]`` with orthonormal rows (n <= m) or columns (n > m), uniform among them.

    It is the orthogonal factor of a matrix of standard normal numbers.
    """
    u, _, v = torch.linalg.svd(torch.randn(n, m, generator=generator), full_matrices=False)
    return u @ v  # type: ignore[no-any-return]


def get_random_state() -> dict[str, Any]:
    """States of the global generators of Python, numpy and torch, as plain values and tensors."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *(float(v) for v in rest)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the global generators into the states of :func:`get_random_state`."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
