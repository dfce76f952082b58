"""Time to a threshold."""

import math

import pytest
from scores import make_trainer, train

from neurotorch.callbacks import CheckpointManager
from neurotorch.callbacks.convergence import ConvergenceTimeGetter


def getter(**options):
    return ConvergenceTimeGetter(**{"metric": "train_score", "threshold": 0.5, "minimize_metric": True, **options})


def test_first_iteration_below():
    convergence = getter()
    train([0.9, 0.5, 0.4, 0.9, 0.1], convergence)
    assert convergence.threshold_met
    assert convergence.itr_convergence == 2
    assert 0 < convergence.time_convergence < convergence.training_time < 60
    rising = getter(minimize_metric=False)
    train([0.1, 0.6], rising)
    assert rising.itr_convergence == 1


def test_never_reached():
    convergence = getter(threshold=0.0)
    train([0.9, 0.5], convergence)
    assert not convergence.threshold_met
    assert convergence.time_convergence == convergence.itr_convergence == math.inf
    assert "train_score < 0.0, time_convergence=inf s" in repr(convergence)


def test_checkpoint_managers_save_then(tmp_path):
    train([0.9, 0.4, 0.3, 0.2], getter(), CheckpointManager(tmp_path, metric="val_loss", save_freq=100))
    assert (tmp_path / "network-itr1.pt").exists()
    assert not (tmp_path / "network-itr2.pt").exists()


def test_resumed_run_counts_the_time_before(tmp_path):
    first = getter()
    first.start_time = None
    train([0.9, 0.8], first, CheckpointManager(tmp_path, metric="train_loss"))
    state = CheckpointManager(tmp_path).load_checkpoint()
    assert state["ConvergenceTimeGetter"]["training_time"] > 0
    resumed = getter()
    resumed.set_state({**resumed.get_state(), "training_time": 1000.0})
    assert not resumed.threshold_met
    assert 1000.0 < resumed.get_state()["training_time"] < 1060.0
    again = getter()
    train([0.4, 0.3], again, CheckpointManager(tmp_path, metric="train_loss"), n_iterations=4)
    assert again.itr_convergence == 2
    assert again.time_convergence > state["ConvergenceTimeGetter"]["training_time"]
    last = getter()
    train([0.1], last, CheckpointManager(tmp_path, metric="train_loss"), n_iterations=5)
    assert (last.itr_convergence, last.time_convergence) == (2, again.time_convergence)


def test_times_of_another_condition_are_left():
    other = getter()
    for change in ({"threshold": 0.4}, {"metric": "val_loss"}, {"minimize_metric": False}):
        other.set_state({**getter(**change).get_state(), "time_convergence": 1.0, "itr_convergence": 3})
        assert not other.threshold_met


def test_second_call_of_train_goes_on_with_the_time():
    convergence = getter()
    trainer = make_trainer([0.9, 0.4], convergence)
    train(None, trainer=trainer, n_iterations=1)
    convergence.training_time = 500.0
    train(None, trainer=trainer, n_iterations=2)
    assert 500.0 < convergence.time_convergence < 560.0


def test_unknown_metric_is_named():
    with pytest.raises(KeyError, match="metric: expected one of .* got 'val_loss'"):
        train([1.0], getter(metric="val_loss"))
