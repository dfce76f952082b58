"""What a library computes in a workload, and how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Candidate:
    """`run` gives outputs [B, T, N], or [T, B, N] if `time_first`, or a loss.

    `transposed`: the weights are those of ``nn.Linear``, (out, in).
    """

    run: Callable[[], Tensor]
    parameters: list[Tensor]
    time_first: bool = False
    transposed: bool = False


class Unavailable(Exception):
    """The library has no such thing."""
