"""When training ends early."""

import math

import pytest
from scores import make_trainer, train

from neurotorch.callbacks import CheckpointManager, early_stopping
from neurotorch.callbacks.early_stopping import (
    EarlyStopping,
    EarlyStoppingOnNaN,
    EarlyStoppingOnStagnation,
    EarlyStoppingOnTimeLimit,
    EarlyStoppingThreshold,
)


def iterations(scores, *callbacks, **options):
    """Number of iterations that were run."""
    return len(train(scores, *callbacks, **options).training_history)


def test_without_improvement():
    assert iterations([3, 2, 1.995, 2.5, 1, 0], EarlyStopping(2, metric="train_score")) == 4
    assert iterations([3, 2, 1.9, 1.8, 1, 0], EarlyStopping(2, metric="train_score")) == 6
    rising = EarlyStopping(2, tol=0.5, metric="train_score", minimize_metric=False)
    assert iterations([1, 2, 2.4, 2.5, 9], rising) == 4
    assert (rising.best_loss, rising.counter) == (2, 2)
    assert iterations([math.nan] * 4, EarlyStopping(3, metric="train_score")) == 3


@pytest.mark.parametrize(("minimize", "expected"), [(True, 3), (False, 1)])
def test_threshold(minimize, expected):
    condition = {"metric": "train_score", "threshold": 0.5, "minimize_metric": minimize}
    assert iterations([0.9, 0.5, 0.4, 0.1], EarlyStoppingThreshold(**condition)) == expected


def test_nan():
    assert iterations([1.0, math.nan, 1.0], EarlyStoppingOnNaN("train_score")) == 2
    assert iterations([1.0, math.nan, 1.0], EarlyStoppingOnNaN("val_score")) == 3


def test_stagnation_looks_at_the_last_values():
    stop = EarlyStoppingOnStagnation("train_score", patience=3, tol=0.1)
    assert stop.get_value() == math.inf
    assert iterations([5.0, 1.0, 1.05, 1.1, 1.1, 1.1], stop) == 4
    assert stop.get_value() == pytest.approx(0.05)
    assert iterations([5.0, 1.0, 1.0, 1.0], EarlyStoppingOnStagnation("train_score", patience=2)) == 3
    assert iterations([1.0] * 12, EarlyStoppingOnStagnation("train_score")) == 10
    # A metric that is not there stays away from the history.
    trainer = train([1.0] * 4, EarlyStoppingOnStagnation("val_score", patience=2))
    assert len(trainer.training_history) == 4
    assert "val_score" not in trainer.training_history


@pytest.mark.parametrize(("with_history", "expected"), [(True, 3), (False, 5)])
def test_stagnation_may_start_with_the_history(with_history, expected):
    trainer = make_trainer([1.0] * 6)
    train(None, trainer=trainer, n_iterations=2)
    trainer.callbacks.append(
        EarlyStoppingOnStagnation("train_score", patience=3, start_with_history=with_history, priority=100)
    )
    assert iterations(None, trainer=trainer, n_iterations=6) == expected


def test_time_limit():
    limit = EarlyStoppingOnTimeLimit(delta_seconds=0.0)
    assert iterations([0.0] * 3, limit) == 1
    assert 0 < limit.current_seconds_count < 60
    assert iterations([0.0] * 3, EarlyStoppingOnTimeLimit()) == 3


@pytest.mark.parametrize(("resume", "expected"), [(True, 2), (False, 5)])
def test_resumed_time_limit(tmp_path, resume, expected):
    limit = EarlyStoppingOnTimeLimit(delta_seconds=100.0)
    limit.current_seconds_count = 99.0
    train([0.0] * 2, limit, CheckpointManager(tmp_path, metric="train_loss"))
    limit = EarlyStoppingOnTimeLimit(delta_seconds=50.0, resume_on_load=resume)
    manager = CheckpointManager(tmp_path, metric="train_loss")
    assert iterations([0.0] * 3, limit, manager, n_iterations=5) == expected
    assert limit.delta_seconds == 50.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(4, metric="train_score"),
        lambda: EarlyStoppingOnStagnation("train_score", patience=5, start_with_history=False),
    ],
)
def test_resumed_run_ends_where_a_run_in_one_go_does(tmp_path, make):
    scores = [3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    whole = iterations(scores, make())
    train(scores[:3], make(), CheckpointManager(tmp_path, metric="train_loss"))
    assert iterations(scores[3:], make(), CheckpointManager(tmp_path, metric="train_loss"), n_iterations=8) == whole


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="patience: expected 1 or more, got 0"):
        EarlyStopping(0)
    with pytest.raises(ValueError, match="patience: expected 2 or more, got 1"):
        EarlyStoppingOnStagnation("val_loss", patience=1)
    for stop in (EarlyStopping(), EarlyStoppingThreshold(metric="val_loss", threshold=0.0, minimize_metric=True)):
        with pytest.raises(KeyError, match="metric: expected one of .*'train_score'.* got 'val_loss'"):
            train([1.0], stop)
    with pytest.warns(UserWarning, match="EarlyStopping: unknown argument 'tolerance'"):
        EarlyStopping(tolerance=1.0)


def test_texts():
    condition = {"metric": "val_loss", "threshold": 0.5, "minimize_metric": True}
    assert "val_loss < 0.5" in repr(early_stopping.EarlyStoppingThreshold(**condition))
    assert "metric=val_loss, patience=5, tol=0.01" in repr(EarlyStopping())
    assert "delta_seconds=600.0" in repr(EarlyStoppingOnTimeLimit())
    assert "metric=val_loss)" in repr(EarlyStoppingOnNaN("val_loss"))
    assert "patience=10" in repr(EarlyStoppingOnStagnation("val_loss"))
