"""Losses and scores."""

from neurotorch.metrics import losses
from neurotorch.metrics.base import BaseMetrics
from neurotorch.metrics.classification import ClassificationMetrics
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
from neurotorch.metrics.regression import RegressionMetrics

__all__ = [
    "BaseMetrics",
    "ClassificationMetrics",
    "NLLLoss",
    "PVarianceLoss",
    "RMSELoss",
    "RegressionMetrics",
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
