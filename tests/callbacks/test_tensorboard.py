"""Event files of TensorBoard."""

import math
import sys

import pytest
from scores import make_trainer, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from neurotorch import CheckpointManager
from neurotorch.callbacks import TensorBoardLogger


def events_in(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    return events


def logged(folder, tag):
    return {event.step: event.value for event in events_in(folder).Scalars(tag)}


def test_metrics_of_every_iteration(tmp_path):
    trainer = train([3.0, math.nan, 1.0], TensorBoardLogger(tmp_path, histogram_freq=2))
    losses = trainer.training_history["train_loss"]
    assert logged(tmp_path, "train_loss") == pytest.approx(dict(enumerate(losses)))
    assert logged(tmp_path, "train_score") == {0: 3.0, 2: 1.0}
    events = events_in(tmp_path)
    assert events.Tags()["histograms"] == ["weight", "bias"]
    assert [event.step for event in events.Histograms("weight")] == [0, 2]


def test_chosen_metrics_and_a_resume(tmp_path):
    options = {"metrics": ["train_score"]}
    for scores, save_freq, total in (([1.0, 2.0, 3.0, 4.0], 2, 4), ([7.0, 8.0], 1, 5)):
        manager = CheckpointManager(tmp_path / "files", metric="none", save_freq=save_freq)
        trainer = make_trainer(scores, TensorBoardLogger(tmp_path / "log", **options), manager)
        if total == 4:
            trainer.callbacks.append(Fail())
            with pytest.raises(RuntimeError, match="on purpose"):
                train(None, trainer=trainer, n_iterations=total)
        else:
            train(None, trainer=trainer, n_iterations=total)
    # The last checkpoint was that of iteration 2.
    assert logged(tmp_path / "log", "train_score") == {0: 1.0, 1: 2.0, 2: 3.0, 3: 7.0, 4: 8.0}
    assert events_in(tmp_path / "log").Tags()["scalars"] == ["train_score"]


class Fail(TensorBoardLogger):
    def __init__(self):
        super().__init__(priority=500)

    def start(self, trainer, **kwargs):
        pass

    def on_iteration_begin(self, trainer, **kwargs):
        pass

    def on_iteration_end(self, trainer, **kwargs):
        if trainer.state.iteration == 3:
            raise RuntimeError("on purpose")


def test_without_tensorboard_it_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r'tensorboard is not installed.*pip install "neurotorch\[tensorboard\]"'):
        train([1.0], TensorBoardLogger(tmp_path / "log"))
    assert not (tmp_path / "log").exists()
    with pytest.raises(ValueError, match="histogram_freq: expected 0 or more, got -1"):
        TensorBoardLogger(tmp_path, histogram_freq=-1)
