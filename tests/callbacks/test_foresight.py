"""Validation over as many steps as the target has."""

import pytest
import torch

from neurotorch import SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback, ForesightTimeStepUpdaterOnTarget
from neurotorch.modules.layers import LILayer, SpyLIFLayer


class Log(BaseCallback):
    def __init__(self):
        super().__init__(priority=99)
        self.seen, self.validated = [], []

    def on_optimization_begin(self, trainer, **kwargs):
        self.seen.append(("train", kwargs["pred"].shape[1], trainer.model.hh_memory_size))

    def on_validation_batch_begin(self, trainer, **kwargs):
        self.seen.append(("val", kwargs["pred"].shape[1], trainer.model.hh_memory_size))
        self.validated.append(trainer.state.iteration)


def run(n_iterations=1, length=7, **options):
    model = SequentialRNN([SpyLIFLayer(2, 4), LILayer(4, 2)], foresight_time_steps=3, device="cpu").build()
    log = Log()
    callbacks = [ForesightTimeStepUpdaterOnTarget(**options), log]
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=callbacks, verbose=False)
    training = [(torch.rand(2, 1, 2), torch.rand(2, 3, 2))]
    validation = [(torch.rand(2, 1, 2), torch.rand(2, length, 2))]
    trainer.train(training, validation, n_iterations=n_iterations)
    assert (model.foresight_time_steps, model.out_memory_size, model.hh_memory_size) == (3, 3, 3)
    return log


@pytest.mark.parametrize(("strategy", "memory"), [("out_memory_size", 7), ("foresight_time_steps", 7), (2, 2)])
def test_validation_is_as_long_as_the_target(strategy, memory):
    assert run(hh_memory_size_strategy=strategy).seen == [("train", 3, 3), ("val", 7, memory)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"update_val_loss_freq": 3, "start_intensive_val_at": 100}, [2, 5]),
        ({"update_val_loss_freq": 2, "start_intensive_val_at": 4}, [1, 3, 4, 5]),
        ({"update_val_loss_freq": 10, "start_intensive_val_at": 0.5}, [3, 4, 5]),
    ],
)
def test_iterations_that_validate(options, expected):
    assert run(n_iterations=6, **options).validated == expected


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="update_val_loss_freq: expected 1 or more, got 0"):
        run(update_val_loss_freq=0)
    with pytest.raises(ValueError, match="hh_memory_size_strategy: expected out_memory_size, .* got 'all'"):
        run(hh_memory_size_strategy="all")
    with pytest.raises(ValueError, match="start_intensive_val_at: 0.5 is a fraction, and there is no end"):
        run(n_iterations=None, start_intensive_val_at=0.5)


@pytest.mark.parametrize(("strategy", "size"), [("out_memory_size", 14), ("foresight_time_steps", 7), (3, 3)])
def test_number_of_hidden_states_for_targets(strategy, size):
    updater = ForesightTimeStepUpdaterOnTarget(time_steps_multiplier=2, hh_memory_size_strategy=strategy)
    assert updater.get_hh_memory_size_from_y_batch(torch.zeros(2, 7, 3)) == size
    assert updater.get_hh_memory_size_from_y_batch({"a": torch.zeros(2, 7, 3)}) == size
