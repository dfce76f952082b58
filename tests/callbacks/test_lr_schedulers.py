"""Learning rates by iteration and by metric."""

import json
import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from scores import make_trainer, train

from neurotorch import BPTT, Trainer
from neurotorch.callbacks import BaseCallback, CheckpointManager
from neurotorch.callbacks.lr_schedulers import LinearLRScheduler, LRSchedulerOnMetric


class Rates(BaseCallback):
    """Rates of the optimiser while and after each iteration, and the step of a scheduler."""

    def __init__(self, scheduler=None):
        super().__init__(priority=99)
        self.scheduler, self.during, self.after, self.steps = scheduler, [], [], []

    def _rates(self, trainer):
        return [group["lr"] for group in trainer.learning_algorithms[0].optimizer.param_groups]

    def on_batch_begin(self, trainer, **kwargs):
        self.during.append(self._rates(trainer))

    def on_iteration_end(self, trainer, **kwargs):
        self.after.append(self._rates(trainer))
        self.steps.append(getattr(self.scheduler, "step", None))


@pytest.mark.parametrize("case", ["asc", "asc_noretain", "desc"])
def test_recorded_rates(case):
    with np.load(GOLDEN / "learning" / "metrics.npz") as file:
        found = {key: file[f"lr_on_metric/{case}/{key}"] for key in ("values", "lr", "step", "kwargs")}
    scheduler = LRSchedulerOnMetric("train_score", **json.loads(str(found["kwargs"])))
    rates = Rates(scheduler)
    train(found["values"].tolist(), scheduler, rates)
    assert rates.steps == found["step"].tolist()
    np.testing.assert_allclose(rates.after, found["lr"], rtol=1e-12)


@pytest.mark.parametrize("priority", [None, 0, 70])
def test_linear_rates_are_those_of_the_iteration(priority):
    scheduler, rates = LinearLRScheduler([1.0, None], 0.002, n_steps=4, priority=priority), Rates()
    trainer = train([0.0] * 6, scheduler, rates, rates=(5.0, 0.01))
    expected = [[1.0, 0.01], [0.7505, 0.008], [0.501, 0.006], [0.2515, 0.004], [0.002, 0.002], [0.002, 0.002]]
    np.testing.assert_allclose(rates.during, expected)
    for group in range(2):
        assert trainer.training_history[f"lr_{group}"] == [during[group] for during in rates.during]


def test_rates_of_the_history_are_those_of_the_iteration():
    scheduler, rates = LRSchedulerOnMetric("train_score", [0.5, 0.1], lr_start=0.9, min_lr=0.0), Rates()
    trainer = train([1.0, 0.4, 0.3, 0.0], scheduler, rates)
    np.testing.assert_allclose(trainer.training_history["lr_1"], [0.9, 0.9, 0.6, 0.6])
    assert trainer.training_history["lr_1"] == [during[1] for during in rates.during]
    silent = train([1.0], LRSchedulerOnMetric("train_score", [0.5, 0.1], log_lr_to_history=False))
    assert "lr_0" not in silent.training_history


def test_default_optimizer_of_the_learning_algorithm_is_found_whatever_the_priority():
    for priority in (0, 10, 60):
        model, rates = torch.nn.Linear(2, 1), Rates()
        scheduler = LRSchedulerOnMetric("train_loss", [0.5, 0.1], lr_start=0.25, priority=priority)
        trainer = Trainer(model, callbacks=[BPTT(), scheduler, rates], verbose=False)
        trainer.train([(torch.ones(3, 2), torch.zeros(3, 1))], n_iterations=1)
        assert rates.during == [[0.25]]
        assert scheduler.optimizer is trainer.learning_algorithms[0].optimizer


def test_one_rate_holds_for_all_groups():
    scheduler = LRSchedulerOnMetric("train_score", [0.5], min_lr=4e-4, lr_decay=3e-4)
    rates = Rates()
    train([0.0, 1.0, 1.0], scheduler, rates)
    np.testing.assert_allclose(rates.after, [[1e-3, 2e-3], [7e-4, 1.7e-3], [7e-4, 1.7e-3]])


def test_nan_leaves_the_rates():
    scheduler = LRSchedulerOnMetric("train_score", [0.5, 1.0])
    train([0.6, math.nan], scheduler)
    assert scheduler.step == 1


def test_resumed_rates_are_those_of_a_run_in_one_go(tmp_path):
    scores = [0.1, 0.5, 0.7, 0.2, 0.3, 0.9]

    def run(folder, scores, n_iterations):
        schedulers = [LRSchedulerOnMetric("train_score", [0.4, 0.6, 0.8]), Rates()]
        manager = CheckpointManager(folder, metric="train_loss")
        train(scores, *schedulers, manager, n_iterations=n_iterations)
        assert schedulers[0].optimizer is not None
        return schedulers[1].during

    whole = run(tmp_path / "whole", scores, 6)
    first = run(tmp_path / "parts", scores[:3], 3)
    assert first + run(tmp_path / "parts", scores[3:], 6) == whole


def test_second_call_of_train_goes_on():
    scheduler, rates = LRSchedulerOnMetric("train_score", [0.4, 0.6]), Rates()
    trainer = make_trainer([0.5, 0.5, 0.9, 0.9], scheduler, rates)
    for n_iterations in (2, 4):
        train(None, trainer=trainer, n_iterations=n_iterations)
    assert scheduler.lr_start == [1e-3, 2e-3]
    np.testing.assert_allclose(rates.after, np.outer([2 / 3, 2 / 3, 1 / 3, 1 / 3], [1e-3, 2e-3]), rtol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"metric_schedule: expected values in ascending or descending order, got \[1"):
        LRSchedulerOnMetric("val_loss", [1, 3, 2])
    with pytest.raises(ValueError, match=r"metric_schedule: expected values .* got \[\]"):
        LRSchedulerOnMetric("val_loss", [])
    with pytest.raises(ValueError, match="metric_schedule: expected descending values for minimize_metric=True"):
        LRSchedulerOnMetric("val_loss", [1, 3], minimize_metric=True)
    with pytest.raises(ValueError, match="n_steps: expected 1 or more, got 0"):
        LinearLRScheduler(1.0, 0.0, 0)
    with pytest.raises(ValueError, match="lr_start: expected 1 rate or one per parameter group, 2, got 3"):
        train([0.0], LinearLRScheduler([1.0, 1.0, 1.0], 0.0, 5))
    with pytest.raises(KeyError, match="metric: expected one of .*'train_score'.* got 'val_loss'"):
        train([0.0], LRSchedulerOnMetric("val_loss", [1.0]))
    with pytest.warns(UserWarning, match="LinearLRScheduler: unknown argument 'log_lr'"):
        LinearLRScheduler(1.0, 0.0, 3, log_lr=True)
