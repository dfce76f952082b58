"""The learning rules that a classifier can be trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neurotorch.learning_algorithms import BPTT, Eprop, LearningAlgorithm
from neurotorch.metrics import NLLLoss

if TYPE_CHECKING:
    from neurotorch.classification.settings import ClassifySettings


class BatchwiseBPTT(BPTT):
    """:class:`~neurotorch.BPTT` whose schedule of learning rates goes on after every batch."""

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Take a gradient step, then one of the schedule."""
        super().on_optimization_begin(trainer, **kwargs)
        if self.lr_scheduler is not None:
            self.lr_scheduler.step()

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Nothing: the schedule is where it should be."""


def _half_cosine(progress: float) -> float:
    """From 1 to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def _bptt(network: torch.nn.Module, settings: ClassifySettings, n_batches: int) -> LearningAlgorithm:
    """Through the whole sequence; AdamW along half a cosine."""
    recipe, total = settings.recipe, settings.epochs * n_batches
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: _half_cosine(k / total))
    return BatchwiseBPTT(
        params=parameters,
        optimizer=optimizer,
        lr_scheduler=schedule,
        criterion=NLLLoss(),
        grad_norm_clip_value=recipe.clip,
    )


def _eprop(network: torch.nn.Module, settings: ClassifySettings, n_batches: int) -> LearningAlgorithm:
    """E-prop with symmetric feedback, one step per batch; rates as for backpropagation, changed once per epoch.

    The error of the outputs at a step is the gradient of the negative log likelihood with respect to them.
    """
    recipe = settings.recipe

    def errors(outputs: dict[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        found = {}
        for name, out in outputs.items():
            with torch.enable_grad():
                leaf = out.detach().requires_grad_()
                voltages = leaf.mean(dim=1) if recipe.readout == "mean" else leaf.max(dim=1).values
                loss = torch.nn.functional.cross_entropy(voltages, classes)
                (found[name],) = torch.autograd.grad(loss, leaf)
        return found

    return Eprop(
        eligibility="published",
        feedback="symmetric",
        update="sequence",
        criterion=NLLLoss(),
        errors=errors,
        params_lr=settings.learning_rate,
        output_params_lr=settings.learning_rate,
        weight_decay=recipe.weight_decay,
        grad_norm_clip_value=recipe.clip,
        seed=settings.seed,
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda k: _half_cosine(k / settings.epochs)
        ),
    )


# By name; each makes the rule of a network for a number of batches per epoch.
LEARNING: dict[str, Callable[[torch.nn.Module, ClassifySettings, int], LearningAlgorithm]] = {
    "bptt": _bptt,
    "eprop": _eprop,
}
