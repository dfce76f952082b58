"""The loop of a trainer: iterations, epochs and batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from neurotorch.metrics.base import BaseMetrics, Collected
from neurotorch.trainers._model import Precision
from neurotorch.trainers._progress import Progress
from neurotorch.trainers._state import TrainerState
from neurotorch.transforms.base import move_to
from neurotorch.utils import unpack_x_hh_y
from neurotorch.utils.interruption import Interruption
from neurotorch.utils.processes import Processes


class TrainingLoop(TrainerState):
    """Goes through the data and calls the callbacks."""

    model: torch.nn.Module
    predict_method: str
    kwargs: dict[str, Any]
    metrics: list[Callable[[Any], Any]]
    x_transform: Callable[[Any], Any]
    y_transform: Callable[[Any], Any]
    processes: Processes
    reuse_val_predictions: bool
    device: torch.device
    _predict: Callable[..., Any] | None = None
    _precision: Precision | None = None
    _finished: int | None = None
    _collected: dict[int, Collected]

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context of mixed precision in which the model and the criterion run."""
        return contextlib.nullcontext() if self._precision is None else self._precision.autocast()

    @property
    def grad_scaler(self) -> torch.amp.GradScaler | None:
        """What scales losses in mixed precision with float16; None otherwise."""
        return None if self._precision is None else self._precision.scaler

    def _iterate(self, progress: Progress, interruption: Interruption) -> None:
        try:
            while self._goes_on():
                self.callbacks.on_iteration_begin(self)  # type: ignore[attr-defined]
                self._exec_iteration()
                shown = dict(self.callbacks.on_pbar_update(self))
                self.callbacks.on_iteration_end(self)  # type: ignore[attr-defined]
                self._finished = self._iteration()
                progress.update(shown, self.state.itr_metrics)
                if self.processes.any(self.state.stop_training_flag or interruption.requested):
                    self.update_state_(stop_training_flag=True)
                    break
                self.update_state_(iteration=self._iteration() + 1)
        finally:
            progress.close()

    def _exec_iteration(self) -> None:
        loaders = self.state.objects
        train_loader, val_loader = loaders["train_dataloader"], loaders["val_dataloader"]
        training = self.model.training
        self.model.train()
        self.callbacks.on_train_begin(self)  # type: ignore[attr-defined]
        losses = []
        for epoch in range(self.state.n_epochs):
            self.update_state_(epoch=epoch)
            self._shuffle(train_loader)
            losses.append(self._exec_epoch(train_loader, is_train=True))
        self.update_state_(train_loss=sum(losses) / max(1, len(losses)))
        self.callbacks.on_train_end(self)  # type: ignore[attr-defined]
        found: dict[str, Any] = {"train_loss": self.state.train_loss}
        self._collected = {}
        if val_loader is not None:
            self._collected = self._collectors()
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

    def _shuffle(self, loader: Any) -> None:
        """Tell samplers that ask for it (``DistributedSampler``) which epoch it is, counted over iterations."""
        number = self._iteration() * self.state.n_epochs + int(self.state.epoch or 0)
        for sampler in (getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
            if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                set_epoch(number)

    def _exec_metrics(self, train_loader: Any, val_loader: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for prefix, loader in (("train", train_loader), ("val", val_loader)):
            wanted = loader is not None and (prefix == "val" or self.kwargs["exec_metrics_on_train"])
            results = self._run_metrics(loader, self._collected if prefix == "val" else {}) if wanted else {}
            self.update_state_(**{f"{prefix}_metrics": results})
            found.update({f"{prefix}_{name}": value for name, value in results.items()})
        return found

    def _collectors(self) -> dict[int, Collected]:
        """What the validation part collects for metrics that are to reuse its predictions, by their place."""
        return {
            number: metric.collector()
            for number, metric in enumerate(self.metrics)
            if self.reuse_val_predictions
            and isinstance(metric, BaseMetrics)
            and metric.model is self.model
            and self.predict_method in metric.predict_methods
        }

    def _run_metrics(self, loader: Any, collected: Mapping[int, Collected]) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for number, metric in enumerate(self.metrics):
            if number in collected:
                assert isinstance(metric, BaseMetrics)
                value = metric.of_predictions(collected[number])
            else:
                value = metric(loader)
            name = getattr(metric, "__name__", type(metric).__name__)
            for key, entry in (value if isinstance(value, Mapping) else {name: value}).items():
                by_output = entry.items() if isinstance(entry, Mapping) else None
                results.update({key: entry} if by_output is None else {f"{key}_{out}": v for out, v in by_output})
        return self.processes.mean(results) if results else results

    def _exec_epoch(self, loader: Any, is_train: bool) -> float:
        """Mean loss over the batches of a loader, and over the processes."""
        self.callbacks.on_epoch_begin(self)  # type: ignore[attr-defined]
        losses: list[Any] = []
        for number, batch in enumerate(self._batches(loader, is_train)):
            self.update_state_(batch=number, batch_is_train=is_train)
            losses.append(self._exec_batch(batch, is_train))
        if not losses:
            used = ", which has been gone through and cannot be again; give a list or a DataLoader"
            what = f"{type(loader).__name__}{used if isinstance(loader, Iterator) else ' without any'}"
            raise ValueError(f"{self._name(is_train)}: expected batches, got a {what}")
        # One synchronisation per epoch.
        values = [float(loss) for loss in losses]
        self.update_state_(epoch_loss=self.processes.mean({"loss": sum(values) / len(values)})["loss"])
        self.callbacks.on_epoch_end(self)  # type: ignore[attr-defined]
        assert self.state.epoch_loss is not None
        return self.state.epoch_loss

    @staticmethod
    def _name(is_train: bool) -> str:
        return "train_dataloader" if is_train else "val_dataloader"

    def _batches(self, loader: Any, is_train: bool) -> Iterator[Any]:
        """The batches of a loader; all processes must have as many."""
        end = object()
        batches = iter(loader)
        while True:
            batch = next(batches, end)
            if not self.processes.same(batch is end):
                raise ValueError(f"{self._name(is_train)}: expected as many batches in all processes")
            if batch is end:
                return
            yield batch

    def _exec_batch(self, batch: Any, is_train: bool) -> Any:
        x, hh, y = self._unpack(batch)
        self.update_state_(x_batch=x, hh_batch=hh, y_batch=y, pred_batch=None, batch_loss=None)
        self.callbacks.on_batch_begin(self)  # type: ignore[attr-defined]
        with self.autocast():
            pred = self.get_pred_batch(x, hh)
        self.update_state_(pred_batch=pred)
        events = ("on_optimization_begin", "on_optimization_end")
        if not is_train:
            events = ("on_validation_batch_begin", "on_validation_batch_end")
        getattr(self.callbacks, events[0])(self, x=x, hh_batch=hh, y=y, pred=pred)
        getattr(self.callbacks, events[1])(self, x=x, hh_batch=hh, y=y, pred=pred)
        if not is_train:
            for collected in self._collected.values():
                collected.add(pred[0] if isinstance(pred, (tuple, list)) else pred, y)
        self.callbacks.on_batch_end(self)  # type: ignore[attr-defined]
        return 0.0 if self.state.batch_loss is None else self.state.batch_loss

    def _unpack(self, batch: Any) -> tuple[Any, Any, Any]:
        """Inputs, hidden states and targets of a batch, transformed and on the device."""
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            name = self._name(bool(self.state.batch_is_train))
            raise ValueError(f"{name}: expected batches (x, y) or (x, hidden states, y), got a {type(batch).__name__}")
        x, hh, y = unpack_x_hh_y(batch)

        def dense(part: Any) -> Any:
            return part.to_dense() if isinstance(part, Tensor) and part.layout != torch.strided else part

        return (
            move_to(self.x_transform(dense(x)), self.device),
            None if hh is None else move_to(hh, self.device),
            move_to(self.y_transform(dense(y)), self.device),
        )

    def get_pred_batch(self, x_batch: Any, hh_batch: Any = None) -> Any:
        """Predictions of the model; hidden states go in as ``init_hidden_states`` where the model knows that."""
        predict = getattr(self.model, self.predict_method) if self._predict is None else self._predict
        if hh_batch is None:
            return predict(x_batch)
        if self.predict_method in ("__call__", "forward"):
            return predict(x_batch, hh_batch)
        return predict(x_batch, init_hidden_states=hh_batch)
