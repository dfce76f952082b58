"""Runs a training script again and again in processes of its own, which are forked ready to train and may be killed.

Reads lines ``folder n_iterations kill_at seconds`` from standard input and answers with a line for each: ``killed`` or
``done``. A process kills itself at its `kill_at`-th step of writing, or is killed after the given time, 0 for never.
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, CheckpointManager, SequentialRNN, Trainer
from neurotorch.callbacks import (
    BaseCallback,
    ConvergenceTimeGetter,
    EarlyStopping,
    EarlyStoppingOnStagnation,
    EventOnMetricThreshold,
    LRSchedulerOnMetric,
)
from neurotorch.modules.layers import LILayer, SpyLIFLayer
from neurotorch.regularization import L1


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class KillWhileWriting:
    """Kills the process at its n-th step of writing files: in the middle of a file, before and after each rename."""

    def __init__(self, number):
        self.left = number
        self._replace(os, "replace")
        self._replace(os, "fsync")
        self._replace(os, "unlink")
        write, save = pathlib.Path.write_text, torch.save

        def write_text(path, text, **kwargs):
            if self._is_over():
                write(path, text[: len(text) // 2], **kwargs)
                die()
            return write(path, text, **kwargs)

        def save_half(content, path):
            save(content, path)
            if self._is_over():
                os.truncate(path, os.path.getsize(path) // 2)
                die()

        pathlib.Path.write_text, torch.save = write_text, save_half

    def _is_over(self):
        self.left -= 1
        return self.left == 0

    def _replace(self, module, name):
        original = getattr(module, name)

        def call(*args, **kwargs):
            if self._is_over():
                die()
            result = original(*args, **kwargs)
            if self._is_over():
                die()
            return result

        setattr(module, name, call)


class Noise(BaseCallback):
    """Draws from all global generators, so that the weights depend on them."""

    def on_batch_begin(self, trainer, **kwargs):
        state = trainer.state
        if state.batch_is_train:
            scale = 1.0 + 0.1 * random.random() + 0.1 * np.random.rand()
            trainer.update_state_(y_batch=scale * state.y_batch + 0.1 * torch.randn_like(state.y_batch))


class Perturbed(BPTT):
    """Learns the perturbed targets."""

    def on_optimization_begin(self, trainer, **kwargs):
        super().on_optimization_begin(trainer, **{**kwargs, "y": trainer.state.y_batch})


class Recent(BaseCallback):
    """Runs after the default priority of checkpoint managers, and feeds what it counts back into training."""

    def __init__(self):
        super().__init__(priority=200)
        self.total = 0.0

    def on_iteration_end(self, trainer, **kwargs):
        self.total += trainer.state.train_loss
        trainer.update_itr_metrics_state_(total=self.total)

    def get_state(self):
        return {"total": self.total}


def train(folder, n_iterations):
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), LILayer(8, 3)], device="cpu").build()
    weights = model.input_layers["input_0"].get_weights_parameters()
    generator = torch.Generator().manual_seed(5)
    data = TensorDataset(torch.rand(6, 6, 4, generator=generator) * 4, torch.randn(6, 6, 3, generator=generator))
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    own = torch.optim.SGD(weights, lr=1e-4, momentum=0.9)
    trainer = Trainer(
        model,
        predict_method="get_prediction_trace",
        callbacks=[
            # Before callbacks of the same priority, and saved by convergence in between.
            CheckpointManager(folder, metric="train_loss", save_freq=2),
            EarlyStopping(patience=10_000, tol=0.0, metric="val_loss"),
            EarlyStoppingOnStagnation("train_loss", patience=5, tol=0.0),
            ConvergenceTimeGetter(metric="train_loss", threshold=1.0, minimize_metric=True),
            EventOnMetricThreshold("train_loss", 1.2, event=lambda trainer: None, do_once=True),
            LRSchedulerOnMetric("val_loss", [1.4, 1.2, 1.0], optimizer=own, log_lr_to_history=False),
            Perturbed(optimizer=optimizer, lr_scheduler=schedule(optimizer, patience=2, factor=0.7)),
            Noise(),
            Recent(),
        ],
        regularization=L1(weights, optimizer=own),
        verbose=False,
    )
    loader = DataLoader(data, batch_size=2, shuffle=True)
    shuffled = DataLoader(data, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(9))
    trainer.train(loader, shuffled, n_iterations=n_iterations)


def run(folder, n_iterations, kill_at, seconds):
    """Whether the run came to its end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if kill_at > 0:
                KillWhileWriting(kill_at)
            train(folder, n_iterations)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    if seconds > 0:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        return "failed"
    return "done" if os.WIFEXITED(status) else "killed"


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        train(folder, 1)  # imports what training imports, once for all processes
    for line in sys.stdin:
        folder, n_iterations, kill_at, seconds = line.split()
        print(run(folder, int(n_iterations), int(kill_at), float(seconds)), flush=True)


if __name__ == "__main__":
    main()
