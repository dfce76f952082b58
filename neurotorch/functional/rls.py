"""Recursive least squares."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurotorch import _library

_library.load()


class RlsRule(NamedTuple):
    """How gain and inverse correlation follow from ``k = P phi`` and ``s = phi^T k``.

    ``h = 1 / (gain + kappa s)``, the weights lose ``rate h k e^T``, and ``P`` becomes ``keep P - take h k k^T``.
    """

    gain: float = 1.0
    kappa: float = 1.0
    keep: float = 1.0
    take: float = 1.0

    @classmethod
    def forgetting(cls, factor: float) -> RlsRule:
        """Exponential forgetting: errors of n steps before count `factor` to the power of n (Haykin 2002)."""
        return cls(gain=factor, keep=1.0 / factor, take=1.0 / factor)


_WITHOUT_FORGETTING = RlsRule()


def rls_update_(
    inverse: Tensor,
    weight: Tensor,
    regressor: Tensor,
    error: Tensor,
    *,
    rule: RlsRule = _WITHOUT_FORGETTING,
    rate: float = 1.0,
) -> Tensor:
    """One step of recursive least squares, in place and in one operator.

    Parameters
    ----------
    inverse : Tensor [n, n]
        P, symmetric; afterwards exactly symmetric again. Contiguous.
    weight : Tensor [n, m]
        Weights of the prediction ``phi W``; rows with adjacent entries.
    regressor : Tensor [n]
        phi.
    error : Tensor [m]
        Prediction minus target.
    rule : RlsRule
        By default the one without forgetting.
    rate : float
        Factor of the change of the weights, 1 for the least squares solution.

    Returns
    -------
    Tensor [n]
        ``P phi`` before the step.

    Raises
    ------
    ValueError
        Shapes, dtypes or devices do not fit.
    NotImplementedError
        The tensors are not on the CPU.

    References
    ----------
    Sussillo & Abbott (2009), doi:10.1016/j.neuron.2009.07.018; Haykin (2002), Adaptive Filter Theory, chapter 9.
    """
    with torch.no_grad():
        found: Tensor = torch.ops.neurotorch.rls_update(
            inverse, weight, regressor, error, rule.gain, rule.kappa, rule.keep, rule.take, rate
        )
    return found
