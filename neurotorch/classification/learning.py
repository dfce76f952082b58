"""The learning rules that a classifier can be trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from neurotorch.learning_algorithms import BPTT, LearningAlgorithm
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


def _bptt(network: torch.nn.Module, settings: ClassifySettings, n_batches: int) -> LearningAlgorithm:
    """Through the whole sequence; AdamW along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    recipe, total = settings.recipe, settings.epochs * n_batches
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: 0.5 * (1.0 + math.cos(math.pi * min(k / total, 1.0)))
    )
    return BatchwiseBPTT(
        params=parameters,
        optimizer=optimizer,
        lr_scheduler=schedule,
        criterion=NLLLoss(),
        grad_norm_clip_value=recipe.clip,
    )


# By name; each makes the rule of a network for a number of batches per epoch.
LEARNING: dict[str, Callable[[torch.nn.Module, ClassifySettings, int], LearningAlgorithm]] = {"bptt": _bptt}
