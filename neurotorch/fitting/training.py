"""Trains the network of a fit in closed loop, resumably."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurotorch.callbacks import BaseCallback
from neurotorch.callbacks.teacher_forcing import TeacherForcing
from neurotorch.fitting.files import write_checkpoint
from neurotorch.fitting.learning import LEARNING, Task
from neurotorch.fitting.network import free_run, set_length
from neurotorch.fitting.settings import FitSettings
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.trainers import Trainer
from neurotorch.utils.interruption import Interruption

EVALUATE_EVERY = 25
SAVE_EVERY_SECONDS = 20.0


class FreeRunScore(BaseCallback):
    """Scores clean free runs (first frame alone, no teacher) while training, and keeps the weights of the best.

    Attributes
    ----------
    best, current : float
        Global pVar of the best and of the last free run.
    done, best_iteration : int
        Gradient steps so far, and before the best free run.
    curve : list of list of float
        ``[iteration, loss, pVar]`` of every evaluation.
    """

    def __init__(self, network: SequentialRNN, target: npt.NDArray[Any], n_iterations: int) -> None:
        super().__init__(name="free_run")
        self.network = network
        self.target = target
        self.n_iterations = n_iterations
        self.best = self.current = -math.inf
        self.best_iteration = 0
        self.done = 0
        self.best_weights: dict[str, Tensor] = {}
        self.curve: list[list[float]] = []

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Evaluate after every 25th gradient step and the last one."""
        done = self.done = trainer.state.iteration + 1
        if done % EVALUATE_EVERY == 0 or done == self.n_iterations:
            self.evaluate(done, float(trainer.state.itr_metrics["train_loss"]))

    def evaluate(self, done: int, loss: float) -> None:
        """Score the network as it is."""
        wrong = free_run(self.network, self.target[0], len(self.target)).astype(np.float64) - self.target
        self.current = float(1.0 - np.square(wrong).mean() / self.target.var(dtype=np.float64, ddof=1))
        self.curve.append([float(done), loss, self.current])
        if self.current > self.best:
            self.best, self.best_iteration = self.current, done
            self.best_weights = {name: value.clone() for name, value in self.network.state_dict().items()}

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """Explained variance of the last and of the best free run."""
        return {"pVar": f"{self.current:.4f}", "best": f"{self.best:.4f}"}

    def get_state(self) -> dict[str, Any]:
        """Scores so far, and the best weights."""
        return {
            "best": self.best,
            "current": self.current,
            "done": self.done,
            "best_iteration": self.best_iteration,
            "best_weights": self.best_weights,
            "curve": self.curve,
        }


class FitCheckpoint(BaseCallback):
    """Keeps the one checkpoint file of a fit up to date: every 20 s, at the end, and when it should stop early.

    It comes last, after the other callbacks have ended the iteration, so that the file always holds a whole number of
    gradient steps and a run that goes on from it computes the same bits as one that was never interrupted.
    """

    def __init__(
        self,
        path: Path,
        fixed: dict[str, Any],
        score: FreeRunScore,
        interruption: Interruption,
        resume: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(priority=BaseCallback.DEFAULT_LOW_PRIORITY, name="fit_checkpoint", save_state=False)
        self.path = path
        self.fixed = fixed
        self.score = score
        self.interruption = interruption
        self.resume = resume
        self.seconds_before = 0.0 if resume is None else float(resume["seconds"])
        self.saved_at = self.started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time so far, over all parts of an interrupted run."""
        return self.seconds_before + time.monotonic() - self.started_at

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Go on where the content of a checkpoint left off; the other callbacks are ready for their states."""
        super().start(trainer)
        if self.resume is not None:
            training = self.resume["training"]
            trainer.model.load_state_dict(training["model_state_dict"])
            trainer.callbacks.load_checkpoint_state(trainer, training)
            trainer.update_state_(iteration=int(self.resume["iteration"]))

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Save when that is due; stop the trainer when somebody asked for it."""
        done = trainer.state.iteration + 1
        stop = self.interruption.requested
        if stop or done == trainer.state.n_iterations or time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS:
            self.save(trainer, done)
        if stop:
            trainer.update_state_(stop_training_flag=True)

    def save(self, trainer: Any, done: int) -> None:
        """Write the file, whole or not at all."""
        weights = trainer.model.state_dict()
        content = {
            **self.fixed,
            "iteration": done,
            "seconds": self.seconds,
            "model_state_dict": self.score.best_weights or weights,
            "training": {"model_state_dict": weights, **trainer.callbacks.get_checkpoint_state(trainer)},
        }
        write_checkpoint(self.path, content)
        self.saved_at = time.monotonic()


class PlainProgress(BaseCallback):
    """Prints a line now and then, for logs."""

    def __init__(self, score: FreeRunScore, checkpoint: FitCheckpoint, say: Callable[[str], None]) -> None:
        super().__init__(name="plain_progress", save_state=False)
        self.score = score
        self.checkpoint = checkpoint
        self.say = say

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Say where training is, about twenty times."""
        done, total = trainer.state.iteration + 1, self.score.n_iterations
        every = max(1, total // 20)
        if done % every == 0 or done == total:
            left = self.checkpoint.seconds / done * (total - done)
            self.say(
                f"iteration {done} of {total}: free-run pVar {self.score.current:.4f}, best {self.score.best:.4f}, "
                f"about {left:.0f} s left"
            )


def train(
    network: SequentialRNN,
    target: npt.NDArray[Any],
    settings: FitSettings,
    path: Path,
    fixed: dict[str, Any],
    interruption: Interruption,
    *,
    resume: dict[str, Any] | None = None,
    bar: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[FreeRunScore, float]:
    """Train a network to run freely along a target, and leave it with the weights of its best clean free run.

    Learns by ``settings.learning``, in closed loop. With rules that follow gradients through it, true frames are mixed
    into the feedback with a weight that falls but stays positive (Hess, Monfared, Brenner & Durstewitz 2023,
    arXiv:2306.04406), which keeps gradients from growing without bound along irregular trajectories; scores come from
    free runs without them.

    Parameters
    ----------
    network : SequentialRNN
        From :func:`build_network`; trained in place.
    target : array [T, N] of float32
    settings : FitSettings
    path : Path
        The checkpoint file.
    fixed : dict
        What the file says besides the state of training.
    interruption : Interruption
        Asks for an early end.
    resume : dict, optional
        Content of a checkpoint to go on from.
    bar : bool
        Show a progress bar instead of saying lines.
    say : callable
        Gets progress lines.

    Returns
    -------
    score : FreeRunScore
    seconds : float
        Training time, over all parts of an interrupted run.
    """
    recipe, total = settings.recipe, settings.iterations
    score = FreeRunScore(network, target, total)
    checkpoint = FitCheckpoint(path, fixed, score, interruption, resume)
    series = torch.from_numpy(target)[None]
    scale = float(target.var(dtype=np.float64, ddof=1))

    def unexplained(prediction: Tensor, truth: Tensor) -> Tensor:
        return (prediction - truth).square().mean() / scale

    rule = LEARNING[settings.learning]
    callbacks: list[BaseCallback] = [rule.make(Task(network, unexplained, settings)), score, checkpoint]
    if rule.uses_teacher:
        fall = max(1, int(recipe.teacher_fall * total))
        callbacks.insert(0, TeacherForcing(recipe.teacher_start, recipe.teacher_end, fall))
    if not bar:
        callbacks.append(PlainProgress(score, checkpoint, say))
    trainer = Trainer(network, predict_method="get_prediction_trace", callbacks=callbacks, metrics=[], verbose=bar)
    set_length(network, len(target))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(series[:, :1], series[:, 1:]), batch_size=1)
    trainer.train(loader, n_iterations=total, exec_metrics_on_train=False, desc="fit")
    if score.best_weights:
        network.load_state_dict(score.best_weights)
    return score, checkpoint.seconds
