"""Backpropagation through time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from neurotorch.learning_algorithms._criterion import Criterion, criterion_loss, number_of_samples
from neurotorch.learning_algorithms._features import ACCUMULATION
from neurotorch.learning_algorithms._non_finite import (
    NonFiniteError,
    first_wrong_layer,
    wrong_parameters,
    wrong_prediction,
)
from neurotorch.learning_algorithms.learning_algorithm import LearningAlgorithm, merged_parameters, modules_of

__all__ = ["BPTT", "Criterion", "NonFiniteError"]


class BPTT(LearningAlgorithm):
    """Backpropagation through time: one gradient step per batch, through the whole sequence.

    Parameters
    ----------
    params : iterable of Parameter, optional
        What to update; by default the parameters of `optimizer`, else all of the model.
    layers : Module or sequence of Module, optional
        Modules whose parameters are updated too.
    optimizer : torch.optim.Optimizer, optional
        By default ``default_optimizer_cls(params, **default_optim_kwargs)``.
    criterion : callable or dict of callable by output, optional
        Loss of ``(prediction, target)``; by default that of the trainer, else the mean squared error.
    params_lr : float
        Learning rate of the default optimiser.
    weight_decay : float
        Its decoupled weight decay.
    default_optimizer_cls : type, optional
        Its class, by default the ``DEFAULT_OPTIMIZER_CLS`` of this class, AdamW.
    default_optim_kwargs : dict, optional
        All its arguments, in place of the two above and `maximize`.
    maximize : bool
        Climb instead of descend.
    grad_norm_clip_value : float
        Largest joint norm of the gradients; infinite for no clipping.
    accumulate_grad_batches : int
        Step the optimiser after so many batches, and at the end of an epoch, with the gradient of their mean loss, each
        batch counting by its number of samples: as one batch of all of them would.
    regularize_layers : bool
        Add the regularisation losses of layers with ``regularize=True`` to the loss.
    lr_scheduler : torch.optim.lr_scheduler.LRScheduler or callable, optional
        Schedule of the learning rates, or a function that makes one for the optimiser it is given, for instance
        ``lambda optimizer: CosineAnnealingLR(optimizer, 100)``. Stepped at the end of every iteration, with the
        validation loss (the training loss where there is none) if it is a ``ReduceLROnPlateau``. Its state goes into
        checkpoints.
    **kwargs
        See :class:`~neurotorch.callbacks.BaseCallback`. Unknown ones warn.

    Raises
    ------
    ValueError
        A number is not positive, or the schedule is one of another optimiser.
    NonFiniteError
        While training: the loss or a gradient is not finite.
    """

    CHECKPOINT_OPTIMIZER_STATE_DICT_KEY = "optimizer_state_dict"
    LR_SCHEDULER_STATE_DICT_KEY = "lr_scheduler_state_dict"
    GRAD_SCALER_STATE_DICT_KEY = "grad_scaler_state_dict"
    UNSUPPORTED = frozenset()
    OPTIMIZER_PARAMS_GROUP_IDX = 0
    DEFAULT_OPTIMIZER_CLS: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW

    def __init__(
        self,
        *,
        params: Iterable[Parameter] | None = None,
        layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        criterion: Criterion | Mapping[str, Criterion] | torch.nn.Module | None = None,
        params_lr: float = 2e-4,
        weight_decay: float = 1e-2,
        default_optimizer_cls: Callable[..., torch.optim.Optimizer] | None = None,
        default_optim_kwargs: dict[str, Any] | None = None,
        maximize: bool = False,
        grad_norm_clip_value: float = math.inf,
        accumulate_grad_batches: int = 1,
        regularize_layers: bool = False,
        lr_scheduler: LRScheduler | Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(params=params, **kwargs)
        self._warn_unknown(self.kwargs)
        if not grad_norm_clip_value > 0:
            raise ValueError(f"grad_norm_clip_value: expected a positive number, got {grad_norm_clip_value}")
        if accumulate_grad_batches < 1:
            raise ValueError(f"accumulate_grad_batches: expected 1 or more, got {accumulate_grad_batches}")
        if accumulate_grad_batches > 1 and ACCUMULATION in self.UNSUPPORTED:
            raise ValueError(f"accumulate_grad_batches: {type(self).__name__} steps its optimiser in every batch")
        self.accumulate_grad_batches = int(accumulate_grad_batches)
        self._batches = self._samples = 0
        self.layers = modules_of(layers)
        self.params = merged_parameters(self.params, self.layers)
        if isinstance(lr_scheduler, LRScheduler):
            optimizer = lr_scheduler.optimizer if optimizer is None else optimizer
            if lr_scheduler.optimizer is not optimizer:
                raise ValueError("lr_scheduler: expected a schedule of the given optimizer, got one of another")
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler if isinstance(lr_scheduler, LRScheduler) else None
        self._make_lr_scheduler = None if isinstance(lr_scheduler, LRScheduler) else lr_scheduler
        self.criterion = criterion
        self.params_lr = params_lr
        self.weight_decay = weight_decay
        self.maximize = maximize
        self.default_optimizer_cls = (
            self.DEFAULT_OPTIMIZER_CLS if default_optimizer_cls is None else default_optimizer_cls
        )
        self.default_optim_kwargs = (
            {"lr": params_lr, "weight_decay": weight_decay, "maximize": maximize}
            if default_optim_kwargs is None
            else default_optim_kwargs
        )
        self.grad_norm_clip_value = grad_norm_clip_value
        self.regularize_layers = regularize_layers
        self.param_groups: list[dict[str, Any]] = []

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Find the parameters, the optimiser, its schedule and the criterion."""
        super().start(trainer)
        if self.optimizer is None:
            self.params = self.params or list(trainer.model.parameters())
            self.optimizer = self.create_default_optimizer()
        elif not self.params:
            self.params = [p for group in self.optimizer.param_groups for p in group["params"]]
        if self.lr_scheduler is None and self._make_lr_scheduler is not None:
            self.lr_scheduler = self._make_lr_scheduler(self.optimizer)
        if self.criterion is None and getattr(trainer, "criterion", None) is not None:
            self.criterion = trainer.criterion

    def initialize_param_groups(self) -> list[dict[str, Any]]:
        """Set and return ``param_groups``, what the default optimiser is made for."""
        self.param_groups = [{"params": self.params, "lr": self.default_optim_kwargs.get("lr", self.params_lr)}]
        return self.param_groups

    def create_default_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser when none is given."""
        return self.default_optimizer_cls(self.initialize_param_groups(), **self.default_optim_kwargs)

    def get_checkpoint_state(self, trainer: Any, **kwargs: Any) -> dict[str, Any] | None:
        """State of the optimiser, of its schedule and of the scale of gradients, where there are such."""
        if not self.save_state or self.optimizer is None:
            return None
        state = {self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY: self.optimizer.state_dict()}
        if self.lr_scheduler is not None:
            state[self.LR_SCHEDULER_STATE_DICT_KEY] = self.lr_scheduler.state_dict()
        if (scaler := getattr(trainer, "grad_scaler", None)) is not None:
            state[self.GRAD_SCALER_STATE_DICT_KEY] = scaler.state_dict()
        return state

    def load_checkpoint_state(self, trainer: Any, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Restore the optimiser and its schedule."""
        state = checkpoint.get(self.name)
        if self.load_state and state and self.optimizer is not None:
            self.optimizer.load_state_dict(state[self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY])
            if self.lr_scheduler is not None and self.LR_SCHEDULER_STATE_DICT_KEY in state:
                self.lr_scheduler.load_state_dict(state[self.LR_SCHEDULER_STATE_DICT_KEY])
            scaler, scale = getattr(trainer, "grad_scaler", None), state.get(self.GRAD_SCALER_STATE_DICT_KEY)
            if scaler is not None and scale:
                scaler.load_state_dict(scale)

    def apply_criterion(self, pred_batch: Any, y_batch: Any, criterion: Any = None) -> Tensor:
        """Loss of predictions: the criterion's, or the sum over the outputs of a dict of criteria.

        Of a tuple of predictions the first counts: the outputs of a model that also returns its hidden states.

        Raises
        ------
        AssertionError
            Predictions and targets of a dict of criteria are not by the same names.
        ValueError
            There is no criterion, and several predictions have one target.
        """
        return criterion_loss(self.criterion if criterion is None else criterion, pred_batch, y_batch)

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Compute the loss and its gradients, and take a step when it is due."""
        self.trainer = trainer
        trainer.update_state_(batch_loss=self._make_optim_step(kwargs["pred"], kwargs["y"]))

    def _make_optim_step(self, pred_batch: Any, y_batch: Any, retain_graph: bool = False) -> Tensor:
        """Take a step with the gradients of the loss, if one is due, and return the loss of the predictions alone."""
        assert self.optimizer is not None, "start was not called"
        trainer = self.trainer
        if self._batches == 0:
            self.optimizer.zero_grad()
        loss = self._loss(trainer, pred_batch, y_batch)
        layers, regularization = self._layers_regularization(trainer.model), self.regularization_loss(trainer)
        total = self._sum_of_losses(loss, layers, regularization)
        self._check_loss(total, trainer.model, pred_batch)
        if self.accumulate_grad_batches > 1:
            samples = number_of_samples(y_batch)
            self._samples += samples
            total = total * samples
        scaler = getattr(trainer, "grad_scaler", None)
        total = total if scaler is None else scaler.scale(total)
        total.backward(retain_graph=retain_graph)
        self._batches += 1
        if self._batches >= self.accumulate_grad_batches:
            self._take_step(trainer)
        return loss.detach()

    def _loss(self, trainer: Any, pred: Any, y: Any) -> Tensor:
        """The criterion's, in mixed precision where the trainer says so."""
        with trainer.autocast() if hasattr(trainer, "autocast") else contextlib.nullcontext():
            return self.apply_criterion(pred, y)

    def _take_step(self, trainer: Any) -> None:
        """Step the optimiser with the gradients so far."""
        assert self.optimizer is not None
        if self.accumulate_grad_batches > 1:
            for p in self.params:
                if p.grad is not None:
                    p.grad /= self._samples
        self._average_gradients(trainer)
        scaler = getattr(trainer, "grad_scaler", None)
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        self._check_gradients(trainer.model)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
        self._batches = self._samples = 0

    def _average_gradients(self, trainer: Any) -> None:
        """Replace the gradients by their means over the processes of the trainer."""
        processes = getattr(trainer, "processes", None)
        if processes is None or processes.size == 1:
            return
        trained = [p for p in self.params if p.requires_grad]
        used = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
        processes.average_([used])
        for p, share in zip(trained, used.tolist(), strict=True):
            if share > 0 and p.grad is None:
                p.grad = torch.zeros_like(p)
        processes.average_([p.grad for p in trained if p.grad is not None])

    def _layers_regularization(self, model: torch.nn.Module) -> Tensor | None:
        """Sum of what the layers accumulated, which they then forget; None where they do not count."""
        layers = [layer for layer in model.modules() if getattr(layer, "regularize", False)]
        if not self.regularize_layers or not layers:
            return None
        losses = [layer.get_and_reset_regularization_loss() for layer in layers]  # type: ignore[operator]
        return torch.stack(losses).sum()

    @staticmethod
    def _sum_of_losses(loss: Tensor, *others: Tensor | None) -> Tensor:
        for other in others:
            loss = loss if other is None else loss + other.to(loss.device)
        return loss

    def _check_loss(self, loss: Tensor, model: torch.nn.Module, pred: Any, first_step: int = 0) -> None:
        """Raise when the loss of predictions from a step on is not finite."""
        if not math.isfinite(loss.item()):
            where = wrong_parameters(model, "value") + wrong_prediction(pred, first_step) + self._wrong_layer()
            raise NonFiniteError(f"the loss is {loss.item()}; {where}")

    def _wrong_layer(self) -> str:
        return "" if self.trainer is None else first_wrong_layer(self.trainer)

    def _check_gradients(self, model: torch.nn.Module) -> None:
        """Clip the gradients, and raise when they are not finite."""
        params = [p for p in self.params if p.grad is not None]
        grads = [p.grad for p in params if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if not math.isfinite(norm.item()):
            if not all(bool(torch.isfinite(grad).all()) for grad in grads):
                if getattr(self.trainer, "grad_scaler", None) is not None:
                    return  # the scale was too large; the scaler leaves the step out and lowers it
                where = wrong_parameters(model, "gradient") + self._wrong_layer()
                raise NonFiniteError(f"the norm of the gradients is {norm.item()}; {where}")
            # Finite gradients whose squares overflow, as long closed loops give.
            norm = torch.nn.utils.get_total_norm([grad.double() for grad in grads])
        if self.grad_norm_clip_value < math.inf:
            torch.nn.utils.clip_grads_with_norm_(params, self.grad_norm_clip_value, norm)

    def on_optimization_end(self, trainer: Any, **kwargs: Any) -> None:
        """Forget the gradients, unless more batches add to them."""
        if self.optimizer is not None and self._batches == 0:
            self.optimizer.zero_grad()

    def on_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Take the step of batches that are fewer than `accumulate_grad_batches`."""
        if self._batches > 0 and trainer.current_training_state.batch_is_train:
            self._take_step(trainer)
            self.on_optimization_end(trainer)

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Forget gradients that an error has left."""
        if self._batches > 0:
            self._batches = self._samples = 0
            self.on_optimization_end(trainer)

    def on_validation_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Compute the loss."""
        trainer.update_state_(batch_loss=self._loss(trainer, kwargs["pred"], kwargs["y"]).detach())

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Step the schedule."""
        if isinstance(self.lr_scheduler, ReduceLROnPlateau):
            state = trainer.current_training_state
            self.lr_scheduler.step(state.train_loss if state.val_loss is None else state.val_loss)
        elif self.lr_scheduler is not None:
            self.lr_scheduler.step()

    def extra_repr(self) -> str:
        """Class of the optimiser."""
        return f"optimizer={type(self.optimizer).__name__}"
