"""What all learning algorithms have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.nn import Parameter

from neurotorch.callbacks.base_callback import BaseCallback


class LearningAlgorithm(BaseCallback):
    """A callback that updates the weights of the trainer's model.

    Parameters
    ----------
    params : iterable of Parameter, optional
        What it updates.
    **kwargs
        See :class:`~neurotorch.callbacks.BaseCallback`; the priority is 50.
    """

    def __init__(self, *, params: Iterable[Parameter] | None = None, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name) for name in ("priority", "name", "save_state", "load_state") if name in kwargs}
        own.setdefault("priority", self.DEFAULT_MEDIUM_PRIORITY)
        super().__init__(**own)
        self.kwargs = kwargs
        self.params: list[Parameter] = [] if params is None else list(params)
