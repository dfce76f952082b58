"""TBPTT through wrapped ``forward`` methods, for subclasses that wrap layers as NeuroTorch does.

:class:`~neurotorch.TBPTT` itself wraps nothing. A subclass may override ``decorate_forwards`` and put what
``_decorate_hidden_forward`` and ``_decorate_forward`` return in the place of ``layer.forward``; the model then runs
step by step in Python, and learns in these calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neurotorch.learning_algorithms._rule import ModelRule
from neurotorch.utils.autograd import recursive_detach
from neurotorch.utils.collections import list_insert_replace_at, unpack_out_hh

Forward = Callable[..., Any]


class WrappedForwards(ModelRule):
    """What wrapped layers do at a step, and how they are put back."""

    backward_time_steps: int | None
    optim_time_steps: int | None
    _step_is_due: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Outputs of the window by output layer: a list of steps, or all of them in one tensor.
        self._layers_buffer: dict[str, Any] = defaultdict(list)
        self._original_forwards: dict[str, tuple[torch.nn.Module, Forward]] = {}
        self._hidden_layer_names: list[str] = []
        self._forwards_decorated = False
        self._optim_counter = 0

    def _initialize_original_forwards(self) -> None:
        """Remember the ``forward`` of every layer, for :meth:`undecorate_forwards`."""
        for layer in self.trainer.model.get_all_layers():
            self._original_forwards[layer.name] = layer, layer.forward

    def undecorate_forwards(self) -> None:
        """Put every remembered ``forward`` back, and give the model back."""
        super().undecorate_forwards()
        for layer, forward in self._original_forwards.values():
            if getattr(forward, "__func__", None) is type(layer).forward:
                layer.__dict__.pop("forward", None)
            else:
                layer.forward = forward
        self._forwards_decorated = False

    def _decorate_hidden_forward(self, forward: Forward, layer_name: str) -> Forward:
        """A ``forward`` that detaches the state after every step of a network."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return self._after_hidden_step(forward(*args, **kwargs), kwargs.get("t"))

        return wrapped

    def _decorate_forward(self, forward: Forward, layer_name: str) -> Forward:
        """A ``forward`` of an output layer that learns when a window is full."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return self._after_output_step(forward(*args, **kwargs), kwargs.get("t"), layer_name)

        return wrapped

    @staticmethod
    def _after_hidden_step(out: Any, t: int | None) -> Any:
        tensor, state = unpack_out_hh(out)
        return out if t is None or state is None else (tensor, recursive_detach(state))

    def _after_output_step(self, out: Any, t: int | None, layer_name: str) -> Any:
        if t is None:
            return out
        assert self.backward_time_steps is not None and self.optim_time_steps is not None
        steps = self._layers_buffer[layer_name]
        list_insert_replace_at(steps, t % self.backward_time_steps, unpack_out_hh(out)[0])
        self._optim_counter += 1
        self._step_is_due = self._optim_counter >= self.optim_time_steps
        if len(steps) == self.backward_time_steps:
            self._backward_at_t(t, self.backward_time_steps, layer_name)
            out = recursive_detach(out)
        if self._step_is_due:
            self._make_optim_step()  # type: ignore[call-arg]
        return out

    def _learn_from_the_rest(self, last_step: int) -> None:
        """Learn from a window that was not full at the end of the sequence, and take a last step."""
        begun = [name for name, steps in self._layers_buffer.items() if isinstance(steps, list) and steps]
        self._step_is_due = True
        for name in begun:
            self._backward_at_t(last_step, len(self._layers_buffer[name]), name)
        if begun or self._optim_counter:
            self._make_optim_step()  # type: ignore[call-arg]

    def _backward_at_t(self, t: int, backward_t: int, layer_name: str | None) -> None:
        """Differentiate the loss of the window that ends with step `t`."""
        raise NotImplementedError

    @staticmethod
    def _steps_of(y: Tensor, first: int, last: int) -> Tensor:
        """Targets of steps, those without a time axis repeated."""
        return y[:, first:last] if y.dim() > 2 else y.unsqueeze(1).expand(y.shape[0], last - first, *y.shape[1:])
