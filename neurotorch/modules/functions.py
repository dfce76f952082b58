"""Activations with parameters of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import Parameter

__all__ = ["PSigmoid", "WeirdTanh"]


class PSigmoid(torch.nn.Module):
    """Sigmoid ``1 / (1 + exp(-p x))`` whose slope is ``p / 4`` at zero.

    Parameters
    ----------
    p : float
        Steepness, not negative. Stored as its root ``p_sqrt``, so that training keeps its sign.
    learn_p : bool
        Whether it is trained.

    Raises
    ------
    ValueError
        `p` is negative.
    """

    def __init__(self, p: float = 1.0, learn_p: bool = True) -> None:
        super().__init__()
        if not p >= 0.0:
            raise ValueError(f"p: expected 0 or more, got {p}")
        self.p_sqrt = Parameter(torch.tensor(math.sqrt(p), dtype=torch.float32), requires_grad=learn_p)

    @property
    def p(self) -> Tensor:
        """The steepness, differentiable."""
        return self.p_sqrt.square()

    def forward(self, x: Tensor) -> Tensor:
        """Apply it element by element."""
        return torch.sigmoid(self.p * x)

    def extra_repr(self) -> str:
        """The steepness."""
        return f"p={self.p.item():.4g}"


class WeirdTanh(torch.nn.Module):
    """``(a exp(alpha x) - b exp(-beta x)) / (c exp(gamma x) + d exp(-delta x))``; the hyperbolic tangent by default.

    Parameters
    ----------
    a, b, c, d : float
        Weights of the exponentials.
    alpha, beta, gamma, delta : float
        Their rates.
    """

    def __init__(
        self,
        a: float = 1.0,
        b: float = 1.0,
        c: float = 1.0,
        d: float = 1.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 1.0,
        delta: float = 1.0,
    ) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = a, b, c, d
        self.alpha, self.beta, self.gamma, self.delta = alpha, beta, gamma, delta

    def forward(self, x: Tensor) -> Tensor:
        """Apply it element by element, without overflow wherever the quotient has none."""
        exponents = (self.alpha * x, -self.beta * x, self.gamma * x, -self.delta * x)
        # The quotient does not depend on this common factor, neither does its gradient.
        largest = torch.stack(exponents).max(dim=0).values.detach()
        e_a, e_b, e_c, e_d = (torch.exp(e - largest) for e in exponents)
        return (self.a * e_a - self.b * e_b) / (self.c * e_c + self.d * e_d)

    def extra_repr(self) -> str:
        """All constants."""
        names = ("a", "b", "c", "d", "alpha", "beta", "gamma", "delta")
        return ", ".join(f"{name}={getattr(self, name):g}" for name in names)
