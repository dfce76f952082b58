"""What all regularisers have in common, and lists of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.callbacks.base_callback import BaseCallback

Parameters = Iterable[Parameter] | Mapping[str, Parameter] | Parameter | None


class BaseRegularization(torch.nn.Module, BaseCallback):
    """A loss of parameters, and a callback that makes a trainer lower it.

    Give it to ``Trainer(regularization=...)`` or among the callbacks. Without an optimizer of its own the learning
    algorithm adds the loss to its own before each step of its optimiser; with one, a step of that optimizer on this
    loss alone follows each of the trainer's optimisations. A subclass defines ``forward()``.

    Parameters
    ----------
    params : iterable or dict of Parameter
        The parameters themselves; what is computed from them is refused.
    Lambda : float
        Weight of the loss: a call returns ``Lambda * forward()``.
    optimizer : torch.optim.Optimizer, optional
    **kwargs
        See :class:`~neurotorch.callbacks.BaseCallback`; the priority is 10.

    Raises
    ------
    TypeError
        Something in `params` is not a Parameter.
    """

    OPTIMIZER_STATE_DICT_KEY = "optimizer_state_dict"

    def __init__(
        self, params: Parameters, Lambda: float = 1.0, optimizer: torch.optim.Optimizer | None = None, **kwargs: Any
    ) -> None:
        torch.nn.Module.__init__(self)
        BaseCallback.__init__(self, **kwargs)
        self.params = torch.nn.ParameterList(_as_list(params))
        self.Lambda = Lambda
        self.optimizer = optimizer
        self._is_taken = False

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """``Lambda * forward(*args, **kwargs)``."""
        loss: Tensor = self.Lambda * super().__call__(*args, **kwargs)
        return loss

    def _zero(self) -> Tensor:
        """A sum of nothing, where the parameters are."""
        like = next(iter(self.params), None)
        return torch.zeros(()) if like is None else like.new_zeros(())

    def _step_loss(self) -> Tensor:
        """What one step lowers."""
        return self()

    def loss_for_step(self) -> Tensor | None:
        """The loss for the learning algorithm to add; None with an own optimizer or where nothing is trained."""
        self._is_taken = True
        if self.optimizer is not None:
            return None
        loss = self._step_loss()
        return loss if loss.requires_grad else None

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Wait for the learning algorithm to ask for the loss."""
        self._is_taken = False

    def on_optimization_end(self, trainer: Any, **kwargs: Any) -> None:
        """Take a step with the own optimizer; without one, warn if no learning algorithm has asked for the loss."""
        if self.optimizer is not None:
            self._take_step(self.optimizer)
        elif not self._is_taken:
            warnings.warn(
                f"{self.name} has no effect: no learning algorithm calls regularization_loss; give it an optimizer",
                stacklevel=2,
            )

    def _take_step(self, optimizer: torch.optim.Optimizer) -> None:
        loss = self._step_loss()
        if not loss.requires_grad:
            return
        params = [p for group in optimizer.param_groups for p in group["params"]]
        trained = [p for p in params if p.requires_grad]
        before = [p.grad for p in params]  # what a learning algorithm accumulates over batches
        for p in params:
            p.grad = None
        for p, grad in zip(trained, torch.autograd.grad(loss, trained, allow_unused=True), strict=True):
            p.grad = grad
        optimizer.step()
        for p, kept in zip(params, before, strict=True):
            p.grad = kept

    def get_state(self) -> dict[str, Any] | None:
        """State of the own optimizer. The parameters are the model's, whose checkpoint has them."""
        return None if self.optimizer is None else {self.OPTIMIZER_STATE_DICT_KEY: self.optimizer.state_dict()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_state` returned."""
        if self.optimizer is not None and self.OPTIMIZER_STATE_DICT_KEY in state:
            self.optimizer.load_state_dict(state[self.OPTIMIZER_STATE_DICT_KEY])

    def extra_repr(self) -> str:
        """Weight and number of parameters."""
        return f"Lambda={self.Lambda}, params={len(self.params)}"

    def __repr__(self) -> str:
        return BaseCallback.__repr__(self)


class RegularizationList(BaseRegularization):
    """The sum of regularisers, 0 for none.

    Parameters
    ----------
    regularizations : iterable of BaseRegularization, optional
        One with an optimizer of its own takes its steps itself.
    optimizer : torch.optim.Optimizer, optional
        For the others together.
    Lambda, **kwargs
        See :class:`BaseRegularization`.
    """

    def __init__(
        self,
        regularizations: Iterable[BaseRegularization] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        Lambda: float = 1.0,
        **kwargs: Any,
    ) -> None:
        members = list(regularizations or ())
        for member in members:
            if not isinstance(member, BaseRegularization):
                raise TypeError(f"regularizations: expected regularisers, got {type(member).__name__}")
        params = {id(p): p for member in members for p in member.params}
        super().__init__(list(params.values()), Lambda, optimizer, **kwargs)
        self.regularizations = torch.nn.ModuleList(members)

    def __iter__(self) -> Iterator[BaseRegularization]:
        return iter(self.regularizations)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.regularizations)

    def __getitem__(self, index: int) -> BaseRegularization:
        return self.regularizations[index]  # type: ignore[return-value]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sum of the members."""
        return sum((member(*args, **kwargs) for member in self), self._zero())

    def _step_loss(self) -> Tensor:
        return self.Lambda * sum((member._step_loss() for member in self if member.optimizer is None), self._zero())

    def on_optimization_end(self, trainer: Any, **kwargs: Any) -> None:
        """Take the steps of the list and of members with an own optimizer."""
        super().on_optimization_end(trainer, **kwargs)
        for member in self:
            if member.optimizer is not None:
                member.on_optimization_end(trainer, **kwargs)

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """What the members show."""
        return {key: value for member in self for key, value in member.on_pbar_update(trainer, **kwargs).items()}

    def get_state(self) -> dict[str, Any] | None:
        """States of the list and of its members."""
        own, members = super().get_state() or {}, [member.get_state() for member in self]
        return {**own, "members": members} if own or any(members) else None

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_state` returned."""
        super().set_state(state)
        for member, saved in zip(self, state["members"], strict=True):
            if saved is not None:
                member.set_state(saved)


def _as_list(params: Any) -> list[Parameter]:
    found: list[Any] = [params]
    if not isinstance(params, Tensor):
        found = list(params.values()) if isinstance(params, (Mapping, torch.nn.ParameterDict)) else list(params or ())
    for p in found:
        if not isinstance(p, Parameter):
            what = "a tensor computed from one" if isinstance(p, Tensor) and p.grad_fn is not None else type(p).__name__
            raise TypeError(f"params: expected Parameters, got {what}")
    return found
