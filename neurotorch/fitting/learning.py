"""The learning rules that a fit can train with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms import BPTT, TBPTT, Eprop, LearningAlgorithm

if TYPE_CHECKING:
    from neurotorch.fitting.settings import FitSettings


@dataclass(frozen=True)
class Task:
    """What a learning rule of a fit is made for.

    Attributes
    ----------
    parameters : list of Parameter
        The trainable ones of the network.
    criterion : callable
        Loss of prediction and target.
    settings : FitSettings
    """

    parameters: list[Parameter]
    criterion: Callable[[Tensor, Tensor], Tensor]
    settings: FitSettings

    def cosine(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        """Learning rates that fall to 0 along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
        total = self.settings.iterations
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 * (1.0 + math.cos(math.pi * k / total)))

    def gradient_arguments(self, rate: float = 1.0) -> dict[str, Any]:
        """Arguments of rules by gradients: AdamW along half a cosine.

        Parameters
        ----------
        rate : float
            Times the learning rate of the model's recipe.
        """
        recipe = self.settings.recipe
        first = rate * recipe.learning_rate
        optimizer = torch.optim.AdamW(self.parameters, lr=first, weight_decay=recipe.weight_decay, fused=True)
        return {
            "params": self.parameters,
            "optimizer": optimizer,
            "lr_scheduler": self.cosine(optimizer),
            "criterion": self.criterion,
            "grad_norm_clip_value": recipe.clip,
        }


def _bptt(task: Task) -> LearningAlgorithm:
    """Through the whole closed loop."""
    return BPTT(**task.gradient_arguments())


def _tbptt(task: Task) -> LearningAlgorithm:
    """Through windows of a tenth of the frames, a step after each."""
    return TBPTT(**task.gradient_arguments())


def _eprop(task: Task) -> LearningAlgorithm:
    """E-prop along the closed loop, whose feedback carries no gradient: one step per run."""
    recipe = task.settings.recipe
    return Eprop(
        eligibility="published",
        feedback="symmetric",
        update="sequence",
        criterion=task.criterion,
        params_lr=recipe.learning_rate,
        output_params_lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        grad_norm_clip_value=recipe.clip,
        seed=task.settings.seed,
        lr_scheduler=task.cosine,
    )


# By name; each makes the rule of a task.
LEARNING: dict[str, Callable[[Task], LearningAlgorithm]] = {"bptt": _bptt, "tbptt": _tbptt, "eprop": _eprop}
