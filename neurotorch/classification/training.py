"""Trains a classifier, resumably."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from neurotorch.callbacks import BaseCallback, CheckpointManager
from neurotorch.callbacks._checkpoint_list import CheckpointList
from neurotorch.classification.learning import LEARNING
from neurotorch.classification.settings import ClassifySettings
from neurotorch.datasets import DataLoaders
from neurotorch.metrics import ClassificationMetrics
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.trainers import ClassificationTrainer
from neurotorch.utils.interruption import Interruption

Say = Callable[[str], None]


class Interrupted(Exception):
    """Somebody asked for an end; the epoch that was under way is lost."""


class LearningCurve(BaseCallback):
    """Loss and accuracy of every epoch, over the training batches as they came and over the validation part.

    Attributes
    ----------
    rows : list of list of float
        ``[epoch, training loss, training accuracy, validation loss, validation accuracy]`` of every epoch, from 1;
        NaN without a validation part.
    seconds : float
        Training time up to the last whole epoch, over all parts of an interrupted run.
    """

    def __init__(self) -> None:
        super().__init__(name="learning_curve")
        self.rows: list[list[float]] = []
        self.seconds = 0.0
        self._right = self._seen = 0
        self._since = time.monotonic()

    def on_train_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Count from zero."""
        self._right = self._seen = 0
        self._since = time.monotonic()

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Count the right predictions of a training batch."""
        state = trainer.state
        if state.batch_is_train:
            predicted = state.pred_batch
            while not isinstance(predicted, torch.Tensor):
                predicted = next(iter(predicted.values())) if isinstance(predicted, dict) else predicted[0]
            self._right += int((predicted.detach().argmax(dim=-1) == state.y_batch).sum())
            self._seen += len(state.y_batch)

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Add the row of the epoch."""
        found = trainer.state.itr_metrics
        self.seconds += time.monotonic() - self._since
        values = [found["train_loss"], self._right / self._seen]
        values += [found.get("val_loss", math.nan), found.get("val_accuracy", math.nan)]
        self.rows.append([float(trainer.state.iteration + 1), *map(float, values)])

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """Accuracies of the last epoch."""
        return {"accuracy": f"{self._right / max(1, self._seen):.3f}"}

    def get_state(self) -> dict[str, Any]:
        """The curve so far, and the time it took."""
        return {"rows": self.rows, "seconds": self.seconds}


class Stop(BaseCallback):
    """Leaves training after the batch in which somebody asked for it."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__(name="stop", save_state=False)
        self.interruption = interruption

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Raise Interrupted."""
        if self.interruption.requested:
            raise Interrupted


class KeepFew(BaseCallback):
    """Removes all checkpoints of a run but the last and the best, so that long runs do not fill disks."""

    def __init__(self, checkpoints: CheckpointList) -> None:
        super().__init__(priority=BaseCallback.DEFAULT_LOW_PRIORITY + 1, name="keep_few", save_state=False)
        self.checkpoints = checkpoints

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Take them out of the list first, then remove the files."""
        self.checkpoints.keep_last_and_best()


class PlainProgress(BaseCallback):
    """Says a line after each of about twenty epochs, for logs."""

    def __init__(self, curve: LearningCurve, n_epochs: int, say: Say) -> None:
        super().__init__(name="plain_progress", save_state=False)
        self.curve = curve
        self.n_epochs = n_epochs
        self.say = say

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Say where training is."""
        done = trainer.state.iteration + 1
        if done % max(1, self.n_epochs // 20) == 0 or done == self.n_epochs:
            _, loss, accuracy, _, validation = self.curve.rows[-1]
            beside = "" if math.isnan(validation) else f", validation {validation:.4f}"
            left = self.curve.seconds / done * (self.n_epochs - done)
            self.say(
                f"epoch {done} of {self.n_epochs}: loss {loss:.4f}, accuracy {accuracy:.4f}{beside}, "
                f"about {left:.0f} s left"
            )


def train(
    network: SequentialRNN,
    loaders: DataLoaders,
    settings: ClassifySettings,
    folder: Path,
    interruption: Interruption,
    *,
    start_over: bool = False,
    bar: bool = False,
    say: Say = lambda line: None,
) -> LearningCurve:
    """Train a network for the epochs of the settings, those of an interrupted run before counted.

    Parameters
    ----------
    network : SequentialRNN
        From :func:`build_classifier`; trained in place, left with the weights after the last epoch.
    loaders : DataLoaders
    settings : ClassifySettings
    folder : Path
        Of the checkpoints.
    interruption : Interruption
        Asks for an early end.
    start_over : bool
        Remove checkpoints that are there.
    bar : bool
        Show a progress bar instead of saying lines.
    say : callable
        Gets progress lines.

    Returns
    -------
    LearningCurve

    Raises
    ------
    Interrupted
        The end was asked for; a checkpoint holds all whole epochs.
    """
    curve = LearningCurve()
    learning = LEARNING[settings.learning](network, settings, len(loaders.train))
    manager = CheckpointManager(folder, metric="val_loss" if loaders.val is not None else "train_loss")
    checkpoints = CheckpointList(manager.checkpoints_meta_path, manager.checkpoint_folder)
    done = 0 if start_over else checkpoints.last + 1
    if 0 < done < settings.epochs:
        say(f"going on after epoch {done} of {settings.epochs}")
    callbacks: list[BaseCallback] = [learning, curve, Stop(interruption), manager, KeepFew(checkpoints)]
    if not bar:
        callbacks.append(PlainProgress(curve, settings.epochs, say))
    trainer = ClassificationTrainer(
        network, callbacks=callbacks, metrics=[ClassificationMetrics(network, "accuracy")], verbose=bar
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        trainer.train(
            loaders.train,
            loaders.val,
            n_iterations=settings.epochs,
            exec_metrics_on_train=False,
            force_overwrite=start_over,
            desc="classify",
        )
    return curve
