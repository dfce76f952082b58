"""Losses of weights, which act inside training."""

from neurotorch.regularization import connectome
from neurotorch.regularization.base import BaseRegularization, RegularizationList
from neurotorch.regularization.dale import DaleLaw, DaleLawL2
from neurotorch.regularization.norms import L1, L2, Lp

__all__ = [
    "L1",
    "L2",
    "BaseRegularization",
    "DaleLaw",
    "DaleLawL2",
    "Lp",
    "RegularizationList",
    "connectome",
]
