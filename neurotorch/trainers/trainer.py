"""Trains models."""

from __future__ import annotations

import inspect
import signal
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from neurotorch.callbacks import BaseCallback, CallbacksList, LoadCheckpointMode, TrainingHistory
from neurotorch.learning_algorithms import BPTT, LearningAlgorithm
from neurotorch.learning_algorithms._features import AMP, PROCESSES, SCALING
from neurotorch.trainers._loop import TrainingLoop
from neurotorch.trainers._model import Precision, predictor, unwrapped
from neurotorch.trainers._progress import Progress
from neurotorch.trainers.training_state import CurrentTrainingState
from neurotorch.trainers.training_state import TrainingState as TrainingState
from neurotorch.transforms import ToTensor
from neurotorch.utils.arguments import warn_uncalled, warn_unknown
from neurotorch.utils.interruption import Interruption


def _as_callbacks(given: Any) -> list[BaseCallback]:
    if given is None:
        return []
    return [given] if isinstance(given, BaseCallback) else list(given)


# Methods of NeuroTorch that set what was not given.
_UNCALLED = tuple(
    f"_set_default_{what}"
    for what in [
        "kwargs",
        "optimizer",
        "reg_optimizer",
        "metrics",
        "criterion",
        "regularization",
        "device",
        "callbacks",
    ]
)


class Trainer(TrainingLoop):
    """Trains a model: iterations of batches, and callbacks that do the work at fixed events.

    Parameters
    ----------
    model : torch.nn.Module
        One of ``torch.compile`` runs compiled. One in ``DistributedDataParallel`` is trained by all processes of its
        group: see Notes. :attr:`model` is the module inside either way, so that names in checkpoints stay the same.
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
    p_bar_metrics : sequence of str, optional
        Metrics that the progress bar shows, in this order; all by default.
    amp : bool, "bfloat16", "float16" or torch.dtype
        Mixed precision: predictions and losses are computed under :func:`torch.autocast`. True for bfloat16 on the CPU
        and float16 on CUDA; with float16 the loss is scaled (:class:`torch.amp.GradScaler`). The operators of neuron
        models compute in the dtype of their weights. Metrics run without.
    x_transform, y_transform : callable, optional
        Applied to the inputs and targets of every batch; by default conversion to float32.
    n_epochs : int
        Of :meth:`train`, where that is not told.
    exec_metrics_on_train : bool
        Whether metrics run on the training data too.
    reuse_val_predictions : bool
        Compute :class:`~neurotorch.metrics.RegressionMetrics` and
        :class:`~neurotorch.metrics.ClassificationMetrics` of the validation data from the predictions of the
        validation part, instead of running the model again. The numbers are the same unless the loader, the model or a
        callback gives something else each time, or there is mixed precision.
    lr, reg_lr, weight_decay, batch_size
        Kept in ``self.kwargs``, without effect.

    Raises
    ------
    AssertionError
        The model has no such method, or a number is out of range.
    ValueError
        `amp` is none of the above.

    Notes
    -----
    With ``DistributedDataParallel`` every process goes through its own batches, equally many in all. Gradients are
    averaged by one exchange before each step of the optimiser, losses and metrics that are numbers are the means over
    the processes, all stop together, and the first one writes checkpoints and shows progress.
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
        p_bar_metrics: Sequence[str] | None = None,
        amp: bool | str | torch.dtype = False,
        reuse_val_predictions: bool = False,
        x_transform: Callable[[Any], Any] | None = None,
        y_transform: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        model, compiled, self.processes = unwrapped(model)
        predict_method = self._predict_method if predict_method is None else predict_method
        assert callable(getattr(model, predict_method, None)), (
            f"predict_method: {type(model).__name__} has no method {predict_method!r}"
        )
        for name, value in (("criterion", criterion), ("optimizer", optimizer)):
            if value is not None:
                warnings.warn(f"{name}: give it to the learning algorithm", DeprecationWarning, stacklevel=2)
        defaults = {"n_epochs": 1, "lr": 1e-3, "reg_lr": 1e-2, "weight_decay": 0.0, "batch_size": 256}
        self._warn_unknown(kwargs, Trainer.__init__, stacklevel=4)
        warn_uncalled(self, Trainer, _UNCALLED, "give it as an argument")
        self.kwargs: dict[str, Any] = {**defaults, "exec_metrics_on_train": True, **kwargs}
        assert self.kwargs["batch_size"] > 0, f"batch_size: expected a positive number, got {self.kwargs['batch_size']}"
        self.model = model
        self.predict_method = predict_method
        self._predict = None if compiled is None else predictor(model, compiled, predict_method)
        Precision(amp, torch.device("cpu"))  # what is wrong shows now
        self.amp = amp
        self.reuse_val_predictions = reuse_val_predictions
        self._collected = {}
        self.p_bar_metrics = None if p_bar_metrics is None else list(p_bar_metrics)
        self.criterion = self._default_criterion() if criterion is None else criterion
        self.optimizer = optimizer
        self.regularization = regularization
        self.regularization_optimizer = regularization_optimizer
        self.metrics = self._default_metrics() if metrics is None else list(metrics)
        self.verbose = verbose
        self.x_transform = ToTensor() if x_transform is None else x_transform
        self.y_transform = self._default_y_transform() if y_transform is None else y_transform
        self._device = None if device is None else torch.device(device)
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
    def device(self) -> torch.device:  # type: ignore[override]
        """Where batches go."""
        if self._device is None:
            self._device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        return self._device

    def sort_callbacks_(self, reverse: bool = False) -> Trainer:
        """Sort the callbacks by priority."""
        self.callbacks.sort_callbacks_(reverse)
        return self

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
            Total number, those before a loaded checkpoint and of former calls counted; None for no end. A resumed run
            that a callback had ended goes no further, see :meth:`~neurotorch.callbacks.BaseCallback.is_over`.
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
            A loader has no batches, or something else than batches, or not equally many in all processes; a learning
            algorithm cannot use mixed precision or several processes.
        KeyboardInterrupt
            Ctrl-C: after the iteration, which checkpoint managers save as the last one. A second ctrl-C interrupts at
            once.
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
        if self._precision is None:
            self._precision = Precision(self.amp, self.device)
        self._check_algorithms()
        interruption = self._interruption()
        try:
            with interruption:
                self.callbacks.start(self)  # type: ignore[attr-defined]
                history = self.training_history
                self.update_state_(itr_metrics=history.get_item_at(-1) if len(history) else {})
                self.load_state()
                if self.state.iteration is None:
                    self.update_state_(iteration=0)
                if val_dataloader is None:
                    metrics = self.state.itr_metrics.items()
                    kept = {name: value for name, value in metrics if not name.startswith("val_")}
                    self.update_state_(val_loss=None, val_metrics=None, itr_metrics=kept)
                if not self.processes.any(self._was_over()):
                    self._iterate(self._progress(p_bar_position, p_bar_leave), interruption)
        except Exception as error:
            if interruption.requested:
                raise KeyboardInterrupt from error  # what a worker of a data loader did with it, say
            raise
        finally:
            self.callbacks.close(self)
        if interruption.requested:
            raise KeyboardInterrupt
        return self.training_history

    def _check_algorithms(self) -> None:
        used = {PROCESSES: self.processes.size > 1, AMP: bool(self.amp), SCALING: self.grad_scaler is not None}
        for algorithm in self.learning_algorithms:
            assert isinstance(algorithm, LearningAlgorithm)
            for feature, is_used in used.items():
                if is_used and feature in algorithm.UNSUPPORTED:
                    raise ValueError(f"{type(algorithm).__name__} does not work with {feature}")

    def _interruption(self) -> Interruption:
        # Where somebody else handles ctrl-C it is theirs.
        own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        message = "stopping at the end of this iteration; ctrl-C again stops at once" if self.verbose else None
        return Interruption((signal.SIGINT,) if own else (), message)

    def _progress(self, position: int | None, leave: bool | None) -> Progress:
        return Progress(
            self.verbose and self.processes.rank == 0,
            self.state.n_iterations,
            self._iteration(),
            metrics=self.p_bar_metrics,
            desc=self.kwargs.get("desc", "Training"),
            position=position,
            leave=leave,
        )

    def apply_criterion_on_batch(self, x_batch: Any, y_batch: Any, pred_batch: Any) -> Tensor:
        """Loss of a batch by the first learning algorithm that has a criterion, else the trainer's."""
        algorithm = self.learning_algorithms[0]
        if isinstance(algorithm, BPTT):
            return algorithm.apply_criterion(pred_batch, y_batch)
        return BPTT(criterion=self.criterion).apply_criterion(pred_batch, y_batch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={type(self.model).__name__}, predict_method={self.predict_method!r})"
