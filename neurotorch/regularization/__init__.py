"""Losses of weights, which act inside training."""

from neurotorch.callbacks.base_callback import BaseCallback
from neurotorch.regularization import connectome
from neurotorch.regularization.base import BaseRegularization, RegularizationList
from neurotorch.regularization.dale import DaleLaw, DaleLawL2
from neurotorch.regularization.norms import L1, L2, Lp
from neurotorch.utils import filter_parameters

__all__ = [
    "L1",
    "L2",
    "BaseCallback",
    "BaseRegularization",
    "DaleLaw",
    "DaleLawL2",
    "Lp",
    "RegularizationList",
    "connectome",
    "filter_parameters",
]
