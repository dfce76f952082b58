"""Functions that are called by the value of a metric."""

import pytest
from scores import train

from neurotorch.callbacks import CheckpointManager
from neurotorch.callbacks.events import EventOnMetricThreshold


def event(trainer, *args, seen, **kwargs):
    seen.append((trainer.state.iteration, args, kwargs))
    return len(seen)


def make(seen, threshold=0.5, **options):
    return EventOnMetricThreshold("train_score", threshold, event=event, event_kwargs={"seen": seen}, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, [1, 2, 3]), ({"do_once": True}, [1]), ({"minimize_metric": False}, [0, 1])],
)
def test_condition(options, expected):
    seen = []
    train([0.9, 0.5, 0.4, 0.1], make(seen, **options))
    assert [iteration for iteration, *_ in seen] == expected


def test_arguments_and_what_is_shown():
    seen = []
    call = make(seen, event_args=(1, 2))
    call.event_kwargs = {"seen": seen, "more": 3}
    assert call.on_pbar_update(None) == {}
    train([0.1], call)
    assert seen == [(0, (1, 2), {"more": 3})]
    assert call.on_pbar_update(None) == {"EventOnMetricThreshold": 1}
    assert "train_score <= 0.5" in repr(call)


def test_missing_metric_does_not_count():
    seen = []
    call = make(seen)
    call.metric_name = "val_score"
    train([0.1], call)
    assert seen == []


def test_once_also_over_a_resume(tmp_path):
    seen = []
    for n_iterations in (1, 2):
        train(
            [0.1], make(seen, do_once=True), CheckpointManager(tmp_path, metric="train_loss"), n_iterations=n_iterations
        )
    assert len(seen) == 1
