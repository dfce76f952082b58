"""What all learning algorithms have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.callbacks.base_callback import BaseCallback
from neurotorch.learning_algorithms._features import PROCESSES, SCALING


def modules_of(given: torch.nn.Module | Iterable[torch.nn.Module] | None) -> list[torch.nn.Module]:
    """One module or several as a list; None for none."""
    return [given] if isinstance(given, torch.nn.Module) else list(given or ())


def merged_parameters(params: Iterable[Parameter], modules: Iterable[torch.nn.Module]) -> list[Parameter]:
    """The parameters, and behind them those of the modules that are not among them."""
    merged = list(params)
    known = {id(p) for p in merged}
    for module in modules:
        own = [p for p in module.parameters() if id(p) not in known]
        merged += own
        known |= {id(p) for p in own}
    return merged


class LearningAlgorithm(BaseCallback):
    """A callback that updates the weights of the trainer's model.

    Parameters
    ----------
    params : iterable of Parameter, optional
        What it updates.
    **kwargs
        See :class:`~neurotorch.callbacks.BaseCallback`; the priority is 50.

    Notes
    -----
    ``UNSUPPORTED`` names what of the trainer the class cannot use. A subclass that averages its gradients over
    ``trainer.processes``, or scales its loss with ``trainer.grad_scaler``, says so by another value.
    """

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({PROCESSES, SCALING})
    DEFAULT_PRIORITY = BaseCallback.DEFAULT_MEDIUM_PRIORITY

    def __init__(self, *, params: Iterable[Parameter] | None = None, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name) for name in ("priority", "name", "save_state", "load_state") if name in kwargs}
        super().__init__(**own)
        self.kwargs = kwargs
        self.params: list[Parameter] = [] if params is None else list(params)

    def regularization_loss(self, trainer: Any) -> Tensor | None:
        """Sum of the regularisers of the trainer that leave the step to the learning algorithm; None without any.

        Every rule adds this to the loss, or its gradient to the gradients, of each step of its optimiser.
        """
        callbacks = getattr(trainer, "callbacks", ())
        losses = [loss for callback in callbacks if (loss := callback.loss_for_step()) is not None]
        return sum((loss.to(losses[0]) for loss in losses[1:]), losses[0]) if losses else None
