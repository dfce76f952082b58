"""Truncated backpropagation through time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._features import ACCUMULATION, SCALING
from neurotorch.learning_algorithms._windows import Targets, WindowSteps, repeated, time_steps, whole_steps, windows
from neurotorch.learning_algorithms._wrapping import WrappedForwards
from neurotorch.learning_algorithms.learning_algorithm import modules_of
from neurotorch.modules._engine import Network, Result, Schedule, State
from neurotorch.modules._pieces import PiecewiseRun


class TBPTT(WrappedForwards):
    """Truncated backpropagation through time: gradients through windows of a few steps, and steps meanwhile.

    Williams & Peng 1990 (doi:10.1162/neco.1990.2.4.490). The model runs window by window. After each window the loss
    of its steps is differentiated through its steps alone: states, and outputs that a forecast feeds back, are
    constants of the next one. The optimiser steps after every `optim_time_steps` steps of the run and at its end, so
    the weights change while a sequence runs. A window that reaches over such a step ends there.

    The loss of a window is that of its outputs, after the output transform, and of the targets of the same steps: the
    last target belongs to the last step of the run. Windows before the first target run without gradient. A target of
    at most 2 dimensions is that of every step, unless it is ``[B, T]``, T being the number of predicted steps and not
    that of features: one class per step.

    Parameters
    ----------
    params, optimizer, criterion
        See :class:`BPTT`.
    layers : Module or sequence of Module, optional
        Modules whose parameters are updated too.
    output_layers : Module or sequence of Module, optional
        Output layers of the model whose outputs count; by default all.
    backward_time_steps : int, optional
        Steps of a window; by default ``max(1, int(auto_backward_time_steps_ratio * T))`` for T steps of the target.
    optim_time_steps : int, optional
        Steps of the run from one optimiser step to the next; by default from the ratio in the same way, and at least
        `backward_time_steps`.
    auto_backward_time_steps_ratio, auto_optim_time_steps_ratio : float
        Between 0 and 1; by default 0.1, and the first one.
    alpha : float
        The gradient of a window is added to `alpha` times that of the windows before, instead of to the sum of those
        since the last step. 0 for the sum.
    hidden_truncation : int, optional
        Cut the states of input and hidden layers after so many steps already; those of output layers and what is fed
        back still count over the window. 1 is what NeuroTorch does, whatever the window. By default they are not cut.
    nan, posinf, neginf, use_hooks
        Without effect here: the first three are for subclasses, and layers are not wrapped in either way. A subclass
        that overrides ``decorate_forwards`` may wrap them with ``_decorate_hidden_forward`` and ``_decorate_forward``.
    **kwargs
        See :class:`BPTT`. `grad_norm_clip_value` clips after every window; batches cannot be accumulated.

    Raises
    ------
    AssertionError
        A ratio is not between 0 and 1.
    NotImplementedError
        `backward_time_steps` is larger than `optim_time_steps`.
    ValueError
        A number of steps is not positive; or, when training starts, the model is not a
        :class:`~neurotorch.SequentialRNN` or lacks the given output layers.
    NonFiniteError
        While training: the loss or a gradient is not finite. The weights are those before the window.
    """

    UNSUPPORTED = frozenset({ACCUMULATION, SCALING})

    def __init__(
        self,
        *,
        params: Iterable[Parameter] | None = None,
        layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        output_layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        criterion: Any = None,
        backward_time_steps: int | None = None,
        optim_time_steps: int | None = None,
        auto_backward_time_steps_ratio: float = 0.1,
        auto_optim_time_steps_ratio: float | None = None,
        alpha: float = 0.0,
        hidden_truncation: int | None = None,
        nan: float = 0.0,
        posinf: float = 1.0,
        neginf: float = -1.0,
        use_hooks: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(params=params, layers=layers, optimizer=optimizer, criterion=criterion, **kwargs)
        self.auto_backward_time_steps_ratio = self.auto_optim_time_steps_ratio = auto_backward_time_steps_ratio
        if auto_optim_time_steps_ratio is not None:
            self.auto_optim_time_steps_ratio = auto_optim_time_steps_ratio
        for name in ("auto_backward_time_steps_ratio", "auto_optim_time_steps_ratio"):
            value = getattr(self, name)
            assert 0.0 <= value <= 1.0, f"{name}: expected a number between 0 and 1, got {value}"
        self.backward_time_steps = whole_steps("backward_time_steps", backward_time_steps)
        self.optim_time_steps = whole_steps("optim_time_steps", optim_time_steps)
        self.hidden_truncation = whole_steps("hidden_truncation", hidden_truncation)
        ratios = self.auto_backward_time_steps_ratio, self.auto_optim_time_steps_ratio
        self._given_steps = WindowSteps(self.backward_time_steps, self.optim_time_steps, *ratios)
        if backward_time_steps is not None and optim_time_steps is not None and backward_time_steps > optim_time_steps:
            raise NotImplementedError(
                f"backward_time_steps: expected at most the {optim_time_steps} optim_time_steps, "
                f"got {backward_time_steps}"
            )
        self.output_layers = None if output_layers is None else modules_of(output_layers)
        self.alpha = alpha
        self.nan, self.posinf, self.neginf = nan, posinf, neginf
        self.use_hooks = use_hooks
        self._names: list[str] = []
        self._grads: dict[int, Tensor] = {}
        self._targets: Targets | None = None
        self._layer_loss: Tensor | None = None
        self._step_is_due = self._has_gradient = False
        self._data_n_time_steps = 0

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Find the parameters, the optimiser, the criterion, and the outputs that count."""
        super().start(trainer, **kwargs)
        model = trainer.model
        if not hasattr(model, "online_rule"):
            raise ValueError(f"model: {type(self).__name__} needs a SequentialRNN, got {type(model).__name__}")
        self.initialize_output_layers(trainer)
        self.initialize_layers(trainer)

    def initialize_output_layers(self, trainer: Any) -> None:
        """Set ``output_layers`` to those of the model, unless some were given.

        Raises
        ------
        ValueError
            There are none, or a given one is not the model's.
        """
        super().initialize_output_layers(trainer)
        outputs = {id(layer): name for name, layer in trainer.model.output_layers.items()}
        for layer in self.output_layers or ():
            if id(layer) not in outputs:
                found = getattr(layer, "name", type(layer).__name__)
                raise ValueError(f"output_layers: expected some of {', '.join(outputs.values())}, got {found}")
        self._names = [outputs[id(layer)] for layer in self.output_layers or ()]

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Take over the run of the model in a training batch."""
        if not trainer.current_training_state.batch_is_train:
            return
        assert self.optimizer is not None, "start was not called"
        self.trainer = trainer
        state = trainer.current_training_state
        self._data_n_time_steps = self._get_data_time_steps_from_y_batch(state.y_batch, state.x_batch)
        self._maybe_update_time_steps()
        self.optimizer.zero_grad()
        self._grads_zeros_()
        self._targets = self._layer_loss = None
        self._layers_buffer.clear()
        self._optim_counter = 0
        self.decorate_forwards()

    def _get_data_time_steps_from_y_batch(self, y_batch: Any, x_batch: Any) -> int:
        """Steps of the target, or of the inputs where the target has no time axis."""
        return time_steps(y_batch) or time_steps(x_batch) or 1

    def _maybe_update_time_steps(self) -> None:
        """Set the steps of windows and of the optimiser that were not given, from the steps of the batch."""
        self.backward_time_steps, self.optim_time_steps = self._given_steps.for_sequence(self._data_n_time_steps)

    def _grads_zeros_(self) -> None:
        """Forget the gradients of former windows, which `alpha` would add."""
        self._grads.clear()

    def run_online(self, network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
        """Run the network window by window and learn meanwhile; what :func:`neurotorch.modules._engine.run` returns."""
        if any(x_k.requires_grad for x_k in x):
            warnings.warn(f"{type(self).__name__}: what makes the inputs gets no gradient", stacklevel=2)
        try:
            self._learn(run := PiecewiseRun(network, x, states, schedule))
        finally:
            self._layers_buffer.clear()
            self.undecorate_forwards()
        return run.result()

    def _learn(self, run: PiecewiseRun) -> None:
        total, y = run.schedule.total, self._counted(self.trainer.current_training_state.y_batch)
        self._targets = Targets(y, total, run.schedule.keep_outputs)
        name = self._names[0] if len(self._names) == 1 else None
        self._has_gradient = False
        assert self.backward_time_steps is not None and self.optim_time_steps is not None
        for stop, is_due in windows(total, self.backward_time_steps, self.optim_time_steps):
            self._step_is_due = is_due
            if stop <= self._targets.first:
                with torch.no_grad():
                    run.advance(stop)
            else:
                n_scored = stop - max(run.done, self._targets.first)
                self._buffer_outputs(self._run_window(run, stop), n_scored)
                self._backward_at_t(stop - 1, n_scored, name)
                self._has_gradient = True
            run.detach()
            if is_due and self._has_gradient:
                self._make_optim_step()
                self._has_gradient = False

    def _run_window(self, run: PiecewiseRun, stop: int) -> list[Tensor]:
        pieces = []
        self._layer_loss = None
        while run.done < stop:
            if self.hidden_truncation is not None:
                run.detach(hidden_only=True)
            pieces.append(run.advance(min(stop, run.done + (self.hidden_truncation or stop))))
            loss = self._layers_regularization(self.trainer.model)
            self._layer_loss = loss if self._layer_loss is None or loss is None else self._layer_loss + loss
        return pieces[0] if len(pieces) == 1 else [torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True)]

    def _buffer_outputs(self, outs: list[Tensor], n_scored: int) -> None:
        model = self.trainer.model
        last = {name: out[:, -n_scored:] for name, out in zip(model.output_layers, outs, strict=True)}
        self._layers_buffer.clear()
        self._layers_buffer.update(self._counted(model.apply_output_transform(last)))

    def _counted(self, named: Any) -> Any:
        """Without the outputs that do not count, where `named` is by output."""
        if not isinstance(named, Mapping):
            return named
        ignored = set(self.trainer.model.output_layers) - set(self._names)
        return {name: value for name, value in named.items() if name not in ignored}

    def _get_pred_batch_from_buffer(self, layer_name: str | None = None) -> Any:
        """Outputs ``[B, steps, N]`` of the window: of one output layer, or of all that count, by name."""
        if layer_name is None:
            return dict(self._layers_buffer)
        steps = self._layers_buffer[layer_name]
        return torch.stack(steps, dim=1) if isinstance(steps, list) else steps

    def _get_y_batch_slice_from_trainer(self, t_first: int, t_last: int, layer_name: str | None = None) -> Any:
        """Targets of the steps from `t_first` to before `t_last` of the run, as the criterion gets them."""
        if self._targets is None:
            y = self.trainer.current_training_state.y_batch
            y = y[layer_name] if isinstance(y, Mapping) and layer_name is not None else y
            if isinstance(y, Mapping):
                return {name: self._steps_of(one, t_first, t_last) for name, one in y.items()}
            return self._steps_of(y, t_first, t_last)
        return self._targets.window(t_first, t_last, self._get_pred_batch_from_buffer(layer_name))

    def _backward_at_t(self, t: int, backward_t: int, layer_name: str | None) -> None:
        """Differentiate the loss of the window that ends with step `t`.

        Parameters
        ----------
        t : int
            Step of the run, from 0.
        backward_t : int
            Steps of the window that have targets.
        layer_name : str or None
            The output layer; None for several, whose loss is one.
        """
        y = self._get_y_batch_slice_from_trainer(t + 1 - backward_t, t + 1, layer_name)
        pred = self._get_pred_batch_from_buffer(layer_name)
        loss = self.apply_criterion(pred, y)
        # Once per optimiser step, as in BPTT.
        regularization = self.regularization_loss(self.trainer) if self._step_is_due else None
        total = self._sum_of_losses(loss, self._layer_loss, regularization)
        named = pred if layer_name is None else {layer_name: pred}
        self._check_loss(total, self.trainer.model, named, first_step=t + 1 - backward_t)
        self._backward(total)
        if layer_name is not None and isinstance(self._layers_buffer[layer_name], list):
            self._layers_buffer[layer_name].clear()

    def _backward(self, loss: Tensor) -> None:
        if not loss.requires_grad:
            warnings.warn(f"{type(self).__name__}: nothing that requires a gradient acts on the loss", stacklevel=2)
            return
        if math.isclose(self.alpha, 0.0, abs_tol=1e-8):
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._compute_decay_grads_(loss)
            self._apply_grads()
        self._average_gradients(self.trainer)
        self._clip_grads()

    def _compute_decay_grads_(self, batch_loss: Tensor) -> None:
        """Add the gradients of a window to `alpha` times those of the windows before."""
        params = [p for p in self.params if p.requires_grad]
        for p in params:
            p.grad = None
        batch_loss.backward()  # type: ignore[no-untyped-call]
        for p in params:
            before = self._grads.get(id(p))
            grad = torch.zeros_like(p) if p.grad is None else p.grad
            self._grads[id(p)] = grad if before is None else before.mul_(self.alpha).add_(grad)

    def _apply_grads(self) -> None:
        """Give the parameters what :meth:`_compute_decay_grads_` computed."""
        for p in self.params:
            p.grad = self._grads.get(id(p), p.grad)

    def _clip_grads(self) -> None:
        """Clip the joint norm of the gradients, and refuse those that are not finite."""
        self._check_gradients(self.trainer.model)

    def _make_optim_step(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Take a step of the optimiser, and forget the gradients."""
        assert self.optimizer is not None
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._optim_counter = 0

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Report the loss of the whole prediction; the steps are taken.

        Raises
        ------
        RuntimeError
            The model was not run, or runs otherwise than a :class:`~neurotorch.SequentialRNN`.
        """
        if self._forwards_decorated:
            self._learn_from_the_rest(self._data_n_time_steps - 1)
        elif self._targets is None:
            self.undecorate_forwards()
            raise RuntimeError(f"{type(self).__name__}: the prediction was made without a run of the model")
        self.undecorate_forwards()
        self.on_validation_batch_begin(trainer, **kwargs)

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Leave the model."""
        self.undecorate_forwards()

    def on_validation_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Compute the loss."""
        pred = kwargs["pred"][0] if isinstance(kwargs["pred"], (tuple, list)) else kwargs["pred"]
        pred = self._counted(pred)
        with torch.no_grad():
            loss = self.apply_criterion(pred, repeated(self._counted(kwargs["y"]), pred))
        trainer.update_state_(batch_loss=loss)

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Leave the model also after an error."""
        super().close(trainer, **kwargs)
        self.undecorate_forwards()

    def extra_repr(self) -> str:
        """Steps of windows and of the optimiser, accumulation and clipping."""
        return (
            f"{super().extra_repr()}, backward_time_steps={self.backward_time_steps}, "
            f"optim_time_steps={self.optim_time_steps}, alpha={self.alpha}, "
            f"grad_norm_clip_value={self.grad_norm_clip_value}"
        )
