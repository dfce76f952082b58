"""Backpropagation through time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from neurotorch.learning_algorithms.learning_algorithm import LearningAlgorithm, merged_parameters, modules_of

Criterion = Callable[[Any, Any], Tensor]


class NonFiniteError(RuntimeError):
    """A loss or a gradient is NaN or infinite; the weights are as they were before the batch."""


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
        The clip value is not positive, or the schedule is one of another optimiser.
    NonFiniteError
        While training: the loss or a gradient is not finite.
    """

    CHECKPOINT_OPTIMIZER_STATE_DICT_KEY = "optimizer_state_dict"
    LR_SCHEDULER_STATE_DICT_KEY = "lr_scheduler_state_dict"
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
        regularize_layers: bool = False,
        lr_scheduler: LRScheduler | Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(params=params, **kwargs)
        self._warn_unknown(self.kwargs)
        if not grad_norm_clip_value > 0:
            raise ValueError(f"grad_norm_clip_value: expected a positive number, got {grad_norm_clip_value}")
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
        """State of the optimiser, and of its schedule where there is one."""
        if not self.save_state or self.optimizer is None:
            return None
        state = {self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY: self.optimizer.state_dict()}
        if self.lr_scheduler is not None:
            state[self.LR_SCHEDULER_STATE_DICT_KEY] = self.lr_scheduler.state_dict()
        return state

    def load_checkpoint_state(self, trainer: Any, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Restore the optimiser and its schedule."""
        state = checkpoint.get(self.name)
        if self.load_state and state and self.optimizer is not None:
            self.optimizer.load_state_dict(state[self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY])
            if self.lr_scheduler is not None and self.LR_SCHEDULER_STATE_DICT_KEY in state:
                self.lr_scheduler.load_state_dict(state[self.LR_SCHEDULER_STATE_DICT_KEY])

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
        if isinstance(pred_batch, (tuple, list)):
            pred_batch = pred_batch[0]
        criterion = self.criterion if criterion is None else criterion
        if criterion is None:
            mse = torch.nn.functional.mse_loss
            if isinstance(pred_batch, Mapping) and len(pred_batch) > 1 and not isinstance(y_batch, Mapping):
                raise ValueError(f"y_batch: expected a dict with a target for {', '.join(pred_batch)}, got one target")
            criterion = dict.fromkeys(y_batch, mse) if isinstance(y_batch, Mapping) else mse
        if isinstance(criterion, Mapping):
            pred = dict.fromkeys(criterion, pred_batch) if isinstance(pred_batch, Tensor) else pred_batch
            y = dict.fromkeys(criterion, y_batch) if isinstance(y_batch, Tensor) else y_batch
            assert isinstance(pred, Mapping), f"pred_batch: expected a tensor or a dict, got {type(pred).__name__}"
            assert isinstance(y, Mapping), f"y_batch: expected a tensor or a dict, got {type(y).__name__}"
            for argument, named in (("pred_batch", pred), ("y_batch", y)):
                missing = [name for name in criterion if name not in named]
                assert not missing, f"{argument}: expected {', '.join(criterion)}, got none for {', '.join(missing)}"
            losses = [c(pred[name], y[name].to(pred[name].device)) for name, c in criterion.items()]
            return torch.stack(losses).sum()
        if isinstance(pred_batch, Mapping) and len(pred_batch) == 1:
            pred_batch = next(iter(pred_batch.values()))
        if isinstance(y_batch, Mapping) and len(y_batch) == 1:
            y_batch = next(iter(y_batch.values()))
        if isinstance(y_batch, Tensor) and isinstance(pred_batch, Tensor):
            y_batch = y_batch.to(pred_batch.device)
        loss: Tensor = criterion(pred_batch, y_batch)
        return loss

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Compute the loss and its gradients, and take a step."""
        self.trainer = trainer
        trainer.update_state_(batch_loss=self._make_optim_step(kwargs["pred"], kwargs["y"]))

    def _make_optim_step(self, pred_batch: Any, y_batch: Any, retain_graph: bool = False) -> Tensor:
        """Take a step with the gradients of the loss, and return the loss of the predictions alone."""
        assert self.optimizer is not None, "start was not called"
        model = self.trainer.model
        self.optimizer.zero_grad()
        loss = self.apply_criterion(pred_batch, y_batch)
        layers, regularization = self._layers_regularization(model), self.regularization_loss(self.trainer)
        total = self._sum_of_losses(loss, layers, regularization)
        self._check_loss(total, model, pred_batch)
        total.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        self._check_gradients(model)
        self.optimizer.step()
        return loss.detach()

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
            where = self._non_finite(model, "value") + self._non_finite_prediction(pred, first_step)
            raise NonFiniteError(f"the loss is {loss.item()}; {where}")

    def _check_gradients(self, model: torch.nn.Module) -> None:
        """Clip the gradients, and raise when they are not finite."""
        params = [p for p in self.params if p.grad is not None]
        grads = [p.grad for p in params if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if not math.isfinite(norm.item()):
            if not all(bool(torch.isfinite(grad).all()) for grad in grads):
                where = self._non_finite(model, "gradient")
                raise NonFiniteError(f"the norm of the gradients is {norm.item()}; {where}")
            # Finite gradients whose squares overflow, as long closed loops give.
            norm = torch.nn.utils.get_total_norm([grad.double() for grad in grads])
        if self.grad_norm_clip_value < math.inf:
            torch.nn.utils.clip_grads_with_norm_(params, self.grad_norm_clip_value, norm)

    @staticmethod
    def _non_finite(model: torch.nn.Module, what: str) -> str:
        """Which parameters have a value or gradient that is not finite."""
        found = [
            name
            for name, p in model.named_parameters()
            if (tensor := p if what == "value" else p.grad) is not None and not bool(torch.isfinite(tensor).all())
        ]
        plural = "parameters" if what == "value" else "gradients"
        return f"not finite are the {plural} {', '.join(found)}" if found else f"all {plural} are finite"

    @staticmethod
    def _non_finite_prediction(pred: Any, first_step: int = 0) -> str:
        """From which time step on which prediction is not finite; nothing where all are."""
        pred = pred[0] if isinstance(pred, (tuple, list)) else pred
        for name, value in pred.items() if isinstance(pred, Mapping) else (("", pred),):
            wrong = ~torch.isfinite(value)
            if bool(wrong.any()):
                what = f"; the prediction{f' {name!r}' if name else ''} is not finite"
                if wrong.dim() < 3:
                    return what
                step = first_step + int(wrong.transpose(0, 1).flatten(1).any(dim=1).nonzero()[0])
                return f"{what} from time step {step} on"
        return ""

    def on_optimization_end(self, trainer: Any, **kwargs: Any) -> None:
        """Forget the gradients."""
        if self.optimizer is not None:
            self.optimizer.zero_grad()

    def on_validation_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Compute the loss."""
        loss = self.apply_criterion(kwargs["pred"], kwargs["y"])
        trainer.update_state_(batch_loss=loss.detach())

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
