"""Losses and scores."""

from neurotorch.metrics import losses
from neurotorch.metrics.losses import NLLLoss, PVarianceLoss, RMSELoss, SMSEloss
from neurotorch.metrics.pvar import (
    pvar_constant_mean,
    pvar_global,
    pvar_per_neuron,
    pvar_per_sample,
    pvar_per_step,
    pvar_report,
    skill,
)

__all__ = [
    "NLLLoss",
    "PVarianceLoss",
    "RMSELoss",
    "SMSEloss",
    "losses",
    "pvar_constant_mean",
    "pvar_global",
    "pvar_per_neuron",
    "pvar_per_sample",
    "pvar_per_step",
    "pvar_report",
    "skill",
]
