"""The training loop and its events."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.callbacks import BaseCallback, CallbacksList, CheckpointManager, LoadCheckpointMode, TrainingHistory
from neurotorch.learning_algorithms import BPTT, LearningAlgorithm
from neurotorch.trainers.training_state import CurrentTrainingState
from neurotorch.transforms import ToTensor
from neurotorch.transforms.base import move_to
from neurotorch.utils.arguments import warn_unknown


def _as_callbacks(given: Any) -> list[BaseCallback]:
    if given is None:
        return []
    return [given] if isinstance(given, BaseCallback) else list(given)


class Trainer:
    """Trains a model: iterations of batches, and callbacks that do the work at fixed events.

    Parameters
    ----------
    model : torch.nn.Module
    predict_method : str, optional
        Method of the model that makes predictions from inputs, ``"__call__"`` by default; ``"get_prediction_trace"``
        for time series.
    criterion, optimizer
        Deprecated: of the :class:`~neurotorch.BPTT` that is made when no learning algorithm is given. Learning
        algorithms without a criterion take this one.
    regularization : BaseCallback or iterable of them, optional
        Regularisers, see :class:`neurotorch.regularization.BaseRegularization`; they become callbacks.
    learning_algorithm : LearningAlgorithm, optional
        By default :class:`~neurotorch.BPTT`.
    regularization_optimizer
        Optimiser for the regularisers, handed to those that have none.
    metrics : iterable of callable, optional
        Each takes a data loader and returns a dict or a value; called without gradient, with the model in eval mode.
        A dict in a dict, of values by output, gives one entry for each: ``train_mse_out``.
    callbacks : callback or iterable of callbacks, optional
        The iterable stays as it is; a :class:`~neurotorch.TrainingHistory` is added when there is none. One that is
        there twice is taken once.
    device : torch.device, optional
        Where batches go; by default the device of the model's parameters.
    verbose : bool
        Show a progress bar when standard error is a terminal and tqdm is installed.
    x_transform, y_transform : callable, optional
        Applied to the inputs and targets of every batch; by default conversion to float32.
    n_epochs : int
        Of :meth:`train`, where that is not told.
    exec_metrics_on_train : bool
        Whether metrics run on the training data too.
    lr, reg_lr, weight_decay, batch_size
        Kept in ``self.kwargs``, without effect.

    Raises
    ------
    AssertionError
        The model has no such method, or a number is out of range.
    """

    _predict_method = "__call__"
    _keywords = (
        "n_epochs",
        "lr",
        "reg_lr",
        "weight_decay",
        "batch_size",
        "exec_metrics_on_train",
        "desc",
        "foresight_time_steps",
    )

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        predict_method: str | None = None,
        criterion: Any = None,
        regularization: Any = None,
        optimizer: torch.optim.Optimizer | None = None,
        learning_algorithm: LearningAlgorithm | None = None,
        regularization_optimizer: torch.optim.Optimizer | None = None,
        metrics: Iterable[Callable[[Any], Any]] | None = None,
        callbacks: Any = None,
        device: torch.device | str | None = None,
        verbose: bool = True,
        x_transform: Callable[[Any], Any] | None = None,
        y_transform: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        predict_method = self._predict_method if predict_method is None else predict_method
        assert callable(getattr(model, predict_method, None)), (
            f"predict_method: {type(model).__name__} has no method {predict_method!r}"
        )
        for name, value in (("criterion", criterion), ("optimizer", optimizer)):
            if value is not None:
                warnings.warn(f"{name}: give it to the learning algorithm", DeprecationWarning, stacklevel=2)
        defaults = {"n_epochs": 1, "lr": 1e-3, "reg_lr": 1e-2, "weight_decay": 0.0, "batch_size": 256}
        self._warn_unknown(kwargs, Trainer.__init__, stacklevel=4)
        self.kwargs: dict[str, Any] = {**defaults, "exec_metrics_on_train": True, **kwargs}
        assert self.kwargs["batch_size"] > 0, f"batch_size: expected a positive number, got {self.kwargs['batch_size']}"
        self.model = model
        self.predict_method = predict_method
        self.criterion = self._default_criterion() if criterion is None else criterion
        self.optimizer = optimizer
        self.regularization = regularization
        self.regularization_optimizer = regularization_optimizer
        self.metrics = self._default_metrics() if metrics is None else list(metrics)
        self.verbose = verbose
        self.x_transform = ToTensor() if x_transform is None else x_transform
        self.y_transform = self._default_y_transform() if y_transform is None else y_transform
        self._device = None if device is None else torch.device(device)
        self._load_checkpoint_mode: LoadCheckpointMode | None = None
        self._force_overwrite = False
        self._finished: int | None = None
        self.current_training_state = CurrentTrainingState.get_null_state()
        regularizers = _as_callbacks(regularization)
        if regularization_optimizer is not None:
            for regularizer in regularizers:
                if getattr(regularizer, "optimizer", None) is None:
                    regularizer.optimizer = regularization_optimizer  # type: ignore[attr-defined]
        self.callbacks = CallbacksList([*_as_callbacks(callbacks), *regularizers])
        if learning_algorithm is not None:
            self.callbacks.append(learning_algorithm)
        elif len(self.learning_algorithms) == 0:
            self.callbacks.append(self._default_algorithm())
        if len(self.training_histories) == 0:
            self.callbacks.append(TrainingHistory())
        self.sort_callbacks_()

    def _default_criterion(self) -> Any:
        return None

    def _default_metrics(self) -> list[Callable[[Any], Any]]:
        return []

    def _default_y_transform(self) -> Callable[[Any], Any]:
        return ToTensor()

    def _default_algorithm(self) -> LearningAlgorithm:
        return BPTT(optimizer=self.optimizer, criterion=self.criterion)

    def _warn_unknown(self, given: Iterable[str], function: Callable[..., Any], stacklevel: int) -> None:
        known = {*self._keywords, *inspect.signature(function).parameters} - {"self", "kwargs"}
        warn_unknown(type(self).__name__, given, known, stacklevel=stacklevel)

    @property
    def network(self) -> torch.nn.Module:
        """The model."""
        return self.model

    @property
    def state(self) -> CurrentTrainingState:
        """Where the trainer is."""
        return self.current_training_state

    @property
    def device(self) -> torch.device:
        """Where batches go."""
        if self._device is None:
            self._device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        return self._device

    @property
    def load_checkpoint_mode(self) -> LoadCheckpointMode | None:
        """Which checkpoint to start from; None for the last one."""
        return self._load_checkpoint_mode

    @load_checkpoint_mode.setter
    def load_checkpoint_mode(self, mode: LoadCheckpointMode | None) -> None:
        self._load_checkpoint_mode = mode

    @property
    def force_overwrite(self) -> bool:
        """Whether checkpoint managers start over instead of loading."""
        return self._force_overwrite

    @property
    def training_histories(self) -> CallbacksList:
        """The histories among the callbacks."""
        return self.callbacks.of_type(TrainingHistory)

    @property
    def training_history(self) -> TrainingHistory:
        """The first history."""
        history = self.training_histories[0]
        assert isinstance(history, TrainingHistory)
        return history

    @property
    def checkpoint_managers(self) -> CallbacksList:
        """The checkpoint managers among the callbacks."""
        return self.callbacks.of_type(CheckpointManager)

    @property
    def learning_algorithms(self) -> CallbacksList:
        """The learning algorithms among the callbacks."""
        return self.callbacks.of_type(LearningAlgorithm)

    def update_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Change fields of :attr:`state`."""
        self.current_training_state = self.current_training_state.update(**kwargs)
        return self.current_training_state

    def _merge(self, field: str, values: Mapping[str, Any]) -> CurrentTrainingState:
        return self.update_state_(**{field: {**getattr(self.current_training_state, field), **values}})

    def update_objects_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.objects``."""
        return self._merge("objects", kwargs)

    def update_info_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.info``."""
        return self._merge("info", kwargs)

    def update_itr_metrics_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.itr_metrics``."""
        return self._merge("itr_metrics", kwargs)

    def sort_callbacks_(self, reverse: bool = False) -> Trainer:
        """Sort the callbacks by priority."""
        self.callbacks.sort_callbacks_(reverse)
        return self

    def load_state(self) -> None:
        """Restore callbacks, metrics and random generators from what the first checkpoint manager loaded."""
        managers = self.checkpoint_managers
        manager = managers[0] if len(managers) else None
        if isinstance(manager, CheckpointManager) and manager.curr_checkpoint is not None:
            self.callbacks.load_checkpoint_state(self, manager.curr_checkpoint)
            metrics = dict(manager.curr_checkpoint.get(CheckpointManager.CHECKPOINT_METRICS_KEY) or {})
            losses = {name: metrics.get(name) for name in ("train_loss", "val_loss")}
            self.update_state_(itr_metrics=metrics, **losses)
            manager.restore_random_state()

    def train(
        self,
        train_dataloader: Any,
        val_dataloader: Any = None,
        n_iterations: int | None = None,
        *,
        n_epochs: int | None = None,
        load_checkpoint_mode: LoadCheckpointMode | None = None,
        force_overwrite: bool = False,
        p_bar_position: int | None = None,
        p_bar_leave: bool | None = None,
        **kwargs: Any,
    ) -> TrainingHistory:
        """Train until the given number of iterations is done, or a callback stops.

        An iteration is `n_epochs` passes over the training batches and one over the validation batches. Events, in
        order: ``start``; per iteration ``on_iteration_begin``, ``on_train_begin``, per epoch ``on_epoch_begin``, per
        batch ``on_batch_begin``, prediction, ``on_optimization_begin``, ``on_optimization_end``, ``on_batch_end``,
        then ``on_epoch_end`` and ``on_train_end``; for validation ``on_validation_begin``, ``on_epoch_begin``, per
        batch ``on_batch_begin``, prediction, ``on_validation_batch_begin``, ``on_validation_batch_end``,
        ``on_batch_end``, then ``on_epoch_end`` and ``on_validation_end``; ``on_pbar_update``, ``on_iteration_end``;
        at last ``close``, also after an error.

        Parameters
        ----------
        train_dataloader, val_dataloader : iterable
            Batches ``(x, y)``, ``(x, hidden states, y)`` or longer. They are gone through in every epoch, so a
            generator, which is used up by the first, is too short for a second.
        n_iterations : int, optional
            Total number, those before a loaded checkpoint and of former calls counted; None for no end.
        n_epochs : int, optional
            By default that of the constructor, 1.
        load_checkpoint_mode : LoadCheckpointMode, optional
            Which checkpoint to start from; by default the last.
        force_overwrite : bool
            Start over: checkpoint managers remove their files.
        p_bar_position, p_bar_leave
            Of the progress bar, see tqdm.
        **kwargs
            Added to ``trainer.kwargs``: ``exec_metrics_on_train``, ``desc``.

        Returns
        -------
        TrainingHistory

        Raises
        ------
        ValueError
            A loader has no batches, or something else than batches.
        """
        self._warn_unknown(kwargs, Trainer.train, stacklevel=4)
        self.kwargs.update(kwargs)
        self._load_checkpoint_mode = load_checkpoint_mode
        self._force_overwrite = force_overwrite
        if self._finished is not None and self._finished == self.state.iteration:
            self.update_state_(iteration=self._finished + 1)
        self._finished = None
        n_epochs = int(self.kwargs["n_epochs"]) if n_epochs is None else n_epochs
        self.update_state_(n_iterations=n_iterations, n_epochs=n_epochs, stop_training_flag=False)
        self.update_objects_state_(train_dataloader=train_dataloader, val_dataloader=val_dataloader)
        self.sort_callbacks_()
        if getattr(self.model, "is_built", True) is False:
            # Parameters that the first call makes would come too late for optimisers and checkpoints.
            self.model.build()  # type: ignore[operator]
        try:
            self.callbacks.start(self)  # type: ignore[attr-defined]
            history = self.training_history
            self.update_state_(itr_metrics=history.get_item_at(-1) if len(history) else {})
            self.load_state()
            if self.state.iteration is None:
                self.update_state_(iteration=0)
            if val_dataloader is None:
                kept = {name: value for name, value in self.state.itr_metrics.items() if not name.startswith("val_")}
                self.update_state_(val_loss=None, val_metrics=None, itr_metrics=kept)
            if not (self._has_loaded() and any(callback.is_over(self) for callback in self.callbacks)):
                self._iterate(p_bar_position, p_bar_leave)
        finally:
            self.callbacks.close(self)
        return self.training_history

    def _has_loaded(self) -> bool:
        return any(getattr(manager, "curr_checkpoint", None) is not None for manager in self.checkpoint_managers)

    def _iterate(self, position: int | None, leave: bool | None) -> None:
        bar = self._progress_bar(position, leave)
        try:
            while self._goes_on():
                self.callbacks.on_iteration_begin(self)  # type: ignore[attr-defined]
                self._exec_iteration()
                # What callbacks show comes first: a narrow terminal cuts the end off.
                shown = dict(self.callbacks.on_pbar_update(self))
                shown.update({name: self._shown(value) for name, value in self.state.itr_metrics.items()})
                self.callbacks.on_iteration_end(self)  # type: ignore[attr-defined]
                self._finished = self._iteration()
                if bar is not None:
                    bar.set_postfix(shown, refresh=False)
                    bar.update()
                if self.state.stop_training_flag:
                    break
                self.update_state_(iteration=self._iteration() + 1)
        finally:
            if bar is not None:
                bar.close()

    def _iteration(self) -> int:
        return int(self.state.iteration or 0)

    def _goes_on(self) -> bool:
        # Read again each time: callbacks may change it.
        n_iterations = self.state.n_iterations
        return n_iterations is None or self._iteration() < n_iterations

    @staticmethod
    def _shown(value: Any) -> Any:
        return f"{value:.5e}" if isinstance(value, (int, float)) else value

    def _progress_bar(self, position: int | None, leave: bool | None) -> Any:
        if not self.verbose or not sys.stderr.isatty():
            return None
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        return tqdm(
            total=self.state.n_iterations,
            initial=self._iteration(),
            desc=self.kwargs.get("desc", "Training"),
            position=position,
            leave=leave,
            unit="itr",
            dynamic_ncols=True,
        )

    def _exec_iteration(self) -> None:
        loaders = self.state.objects
        train_loader, val_loader = loaders["train_dataloader"], loaders["val_dataloader"]
        training = self.model.training
        self.model.train()
        self.callbacks.on_train_begin(self)  # type: ignore[attr-defined]
        losses = []
        for epoch in range(self.state.n_epochs):
            self.update_state_(epoch=epoch)
            losses.append(self._exec_epoch(train_loader, is_train=True))
        self.update_state_(train_loss=sum(losses) / max(1, len(losses)))
        self.callbacks.on_train_end(self)  # type: ignore[attr-defined]
        found: dict[str, Any] = {"train_loss": self.state.train_loss}
        if val_loader is not None:
            self.model.eval()
            with torch.no_grad():
                self.callbacks.on_validation_begin(self)  # type: ignore[attr-defined]
                self.update_state_(epoch=0)
                self.update_state_(val_loss=self._exec_epoch(val_loader, is_train=False))
                self.callbacks.on_validation_end(self)  # type: ignore[attr-defined]
            found["val_loss"] = self.state.val_loss
        self.model.eval()
        with torch.no_grad():
            found.update(self._exec_metrics(train_loader, val_loader))
        self.model.train(training)
        self.update_itr_metrics_state_(**found)

    def _exec_metrics(self, train_loader: Any, val_loader: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for prefix, loader in (("train", train_loader), ("val", val_loader)):
            wanted = loader is not None and (prefix == "val" or self.kwargs["exec_metrics_on_train"])
            results = self._run_metrics(loader) if wanted else {}
            self.update_state_(**{f"{prefix}_metrics": results})
            found.update({f"{prefix}_{name}": value for name, value in results.items()})
        return found

    def _run_metrics(self, loader: Any) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric(loader)
            name = getattr(metric, "__name__", type(metric).__name__)
            for key, entry in (value if isinstance(value, Mapping) else {name: value}).items():
                by_output = entry.items() if isinstance(entry, Mapping) else None
                results.update({key: entry} if by_output is None else {f"{key}_{out}": v for out, v in by_output})
        return results

    def _exec_epoch(self, loader: Any, is_train: bool) -> float:
        """Mean loss over the batches of a loader."""
        self.callbacks.on_epoch_begin(self)  # type: ignore[attr-defined]
        losses: list[Any] = []
        for number, batch in enumerate(loader):
            self.update_state_(batch=number, batch_is_train=is_train)
            losses.append(self._exec_batch(batch, is_train))
        if not losses:
            name = "train_dataloader" if is_train else "val_dataloader"
            used = ", which has been gone through and cannot be again; give a list or a DataLoader"
            what = f"{type(loader).__name__}{used if isinstance(loader, Iterator) else ' without any'}"
            raise ValueError(f"{name}: expected batches, got a {what}")
        # One synchronisation per epoch.
        values = [float(loss) for loss in losses]
        self.update_state_(epoch_loss=sum(values) / len(values))
        self.callbacks.on_epoch_end(self)  # type: ignore[attr-defined]
        assert self.state.epoch_loss is not None
        return self.state.epoch_loss

    def _exec_batch(self, batch: Any, is_train: bool) -> Any:
        x, hh, y = self._unpack(batch)
        self.update_state_(x_batch=x, hh_batch=hh, y_batch=y, pred_batch=None, batch_loss=None)
        self.callbacks.on_batch_begin(self)  # type: ignore[attr-defined]
        pred = self.get_pred_batch(x, hh)
        self.update_state_(pred_batch=pred)
        events = ("on_optimization_begin", "on_optimization_end")
        if not is_train:
            events = ("on_validation_batch_begin", "on_validation_batch_end")
        getattr(self.callbacks, events[0])(self, x=x, hh_batch=hh, y=y, pred=pred)
        getattr(self.callbacks, events[1])(self, x=x, hh_batch=hh, y=y, pred=pred)
        self.callbacks.on_batch_end(self)  # type: ignore[attr-defined]
        return 0.0 if self.state.batch_loss is None else self.state.batch_loss

    def _unpack(self, batch: Any) -> tuple[Any, Any, Any]:
        """Inputs, hidden states and targets of a batch, transformed and on the device."""
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            name = "train_dataloader" if self.state.batch_is_train else "val_dataloader"
            raise ValueError(f"{name}: expected batches (x, y) or (x, hidden states, y), got a {type(batch).__name__}")
        x, y = batch[0], batch[-1]
        hh = None if len(batch) == 2 else batch[1] if len(batch) == 3 else list(batch[1:-1])

        def dense(part: Any) -> Any:
            return part.to_dense() if isinstance(part, Tensor) and part.layout != torch.strided else part

        return (
            move_to(self.x_transform(dense(x)), self.device),
            None if hh is None else move_to(hh, self.device),
            move_to(self.y_transform(dense(y)), self.device),
        )

    def get_pred_batch(self, x_batch: Any, hh_batch: Any = None) -> Any:
        """Predictions of the model; hidden states go in as ``init_hidden_states`` where the model knows that."""
        predict = getattr(self.model, self.predict_method)
        if hh_batch is None:
            return predict(x_batch)
        if self.predict_method in ("__call__", "forward"):
            return predict(x_batch, hh_batch)
        return predict(x_batch, init_hidden_states=hh_batch)

    def apply_criterion_on_batch(self, x_batch: Any, y_batch: Any, pred_batch: Any) -> Tensor:
        """Loss of a batch by the first learning algorithm that has a criterion, else the trainer's."""
        algorithm = self.learning_algorithms[0]
        if isinstance(algorithm, BPTT):
            return algorithm.apply_criterion(pred_batch, y_batch)
        return BPTT(criterion=self.criterion).apply_criterion(pred_batch, y_batch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={type(self.model).__name__}, predict_method={self.predict_method!r})"
