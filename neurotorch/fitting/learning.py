"""The learning rules that a fit can train with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms import BPTT, RLS, TBPTT, Eprop, LearningAlgorithm
from neurotorch.modules.layers import Linear

if TYPE_CHECKING:
    from neurotorch.fitting.settings import FitSettings
    from neurotorch.modules.sequential_rnn import SequentialRNN


@dataclass(frozen=True)
class Task:
    """What a learning rule of a fit is made for.

    Attributes
    ----------
    network : SequentialRNN
        From :func:`neurotorch.fitting.network.build_network`.
    criterion : callable
        Loss of prediction and target.
    settings : FitSettings
    """

    network: SequentialRNN
    criterion: Callable[[Tensor, Tensor], Tensor]
    settings: FitSettings

    @property
    def parameters(self) -> list[Parameter]:
        """The trainable ones of the network."""
        return [p for p in self.network.parameters() if p.requires_grad]

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


def _rls(task: Task) -> LearningAlgorithm:
    """FORCE: the readout alone learns, by least squares at every frame, while the network runs on its own outputs.

    A sigmoid is at most 1/4 steep; the rate makes up for that.
    """
    readout = task.network.get_layer("readout")
    assert isinstance(readout, Linear)
    weights = readout.get_forward_weights_parameter()
    assert weights is not None
    return RLS(
        params=[weights],
        strategy="presynaptic",
        is_recurrent=True,
        params_lr=4.0,
        criterion=task.criterion,
    )


@dataclass(frozen=True)
class LearningRule:
    """A learning rule as a fit uses it.

    Attributes
    ----------
    make : callable
        The learning algorithm of a task.
    iterations : int or None
        Passes where nothing else is asked for; None for those of the model's recipe.
    uses_teacher : bool
        Whether true frames are mixed into the feedback while training, as gradients through a closed loop need it.
    """

    make: Callable[[Task], LearningAlgorithm]
    iterations: int | None = None
    uses_teacher: bool = True


LEARNING: dict[str, LearningRule] = {
    "bptt": LearningRule(_bptt),
    "tbptt": LearningRule(_tbptt),
    "eprop": LearningRule(_eprop),
    "rls": LearningRule(_rls, iterations=300, uses_teacher=False),
}
