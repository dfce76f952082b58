"""Curves that are drawn during training, and pictures of histories."""

import copy
import multiprocessing
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import neurotorch.visualisation._figures as figures
from neurotorch import BPTT, CheckpointManager, Trainer, TrainingHistory
from neurotorch.callbacks.training_visualization import TrainingHistoryVisualizationCallback


@pytest.fixture(autouse=True)
def headless(monkeypatch, tmp_path):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    plt.close("all")
    yield
    plt.close("all")


def train(callbacks, n_iterations=3):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    data = [(torch.rand(4, 2), torch.rand(4, 1))]
    trainer = Trainer(
        model, callbacks=[*callbacks, BPTT(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))], verbose=False
    )
    return trainer.train(data, data, n_iterations=n_iterations)


def count_pictures(monkeypatch):
    seen, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda *args, **kwargs: (seen.append(1), save(*args, **kwargs))[1])
    return seen


def test_headless_training_leaves_a_picture_in_the_home_folder(tmp_path, monkeypatch):
    seen = count_pictures(monkeypatch)
    callback = TrainingHistoryVisualizationCallback()
    assert not (tmp_path / "home").exists()
    train([callback], n_iterations=4)
    assert not (tmp_path / "~").exists()
    assert [p.name for p in (tmp_path / "home" / "temp").iterdir()] == [callback.path.name]
    Image.open(callback.path).verify()
    assert len(seen) == 2  # the first iteration, and the end: the others came within a second
    assert not multiprocessing.active_children()
    assert not plt.get_fignums()


def test_drawing_takes_a_share_of_the_time(monkeypatch):
    """With a clock that stands still but for drawing, which takes a second, there is one picture in ten seconds."""
    clock = [0.0]
    monkeypatch.setattr("neurotorch.callbacks.training_visualization.time.monotonic", lambda: clock[0])
    callback = TrainingHistoryVisualizationCallback("pictures", update_dt=0.0)
    monkeypatch.setattr(callback, "_update", lambda history: clock.__setitem__(0, clock[0] + 1.0))
    drawn = []
    for _ in range(40):
        before = clock[0]
        callback.on_iteration_end(type("Trainer", (), {"training_history": None}))
        drawn.append(clock[0] > before)
        clock[0] += 0.5
    assert np.flatnonzero(drawn).tolist() == [0, 18, 36]


def test_a_checkpoint_holds_nothing_of_it_and_it_can_be_copied(tmp_path):
    callback = TrainingHistoryVisualizationCallback("pictures")
    manager = CheckpointManager("checkpoints")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train([callback, manager], n_iterations=2)
        again = train(
            [TrainingHistoryVisualizationCallback("pictures"), CheckpointManager("checkpoints")], n_iterations=3
        )
    assert len(again) == 3
    checkpoint = torch.load(next((tmp_path / "checkpoints").glob("*itr2.pt")), weights_only=True)
    assert callback.name not in checkpoint
    assert callback.get_checkpoint_state(None) is None
    copy.deepcopy(callback)


def test_training_goes_on_without_a_picture_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    callback = TrainingHistoryVisualizationCallback(tmp_path / "file" / "folder", update_dt=0.0)
    with pytest.warns(UserWarning, match="training goes on without this picture") as caught:
        history = train([callback])
    assert len(history) == 3
    assert len(caught) == 1


def test_a_window_is_updated_and_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "has_display", lambda: True)
    monkeypatch.setattr(figures, "is_window", lambda figure: True)
    open_windows = []

    class Look(TrainingHistoryVisualizationCallback):
        def on_iteration_end(self, trainer, **kwargs):
            super().on_iteration_end(trainer, **kwargs)
            open_windows.append((plt.get_fignums(), len(self._drawing.lines["train_loss"].get_xdata())))

    mine = plt.figure()
    train([Look("pictures", update_dt=0.0, priority=20)])
    assert [len(numbers) for numbers, _ in open_windows] == [2, 2, 2]
    assert open_windows[0][1] == 1
    assert plt.get_fignums() == [mine.number]
    assert not (tmp_path / "pictures").exists()


def test_a_notebook_gets_a_picture(monkeypatch):
    """Its figures show, but are no windows: they would appear after the training, and empty."""
    monkeypatch.setattr(figures, "has_display", lambda: True)
    callback = TrainingHistoryVisualizationCallback("pictures")
    train([callback])
    assert callback.path.is_file()
    assert not plt.get_fignums()


def test_columns_that_come_later_are_drawn():
    trainer = type("Trainer", (), {"training_history": TrainingHistory({"train_loss": [1.0]})})
    callback = TrainingHistoryVisualizationCallback("pictures", update_dt=0.0)
    callback._draw(trainer)
    trainer.training_history.insert(1, {"train_loss": 0.5, "val_accuracy": 0.25})
    callback._draw(trainer)
    assert set(callback._drawing.axes) == {"losses", "accuracy"}
    np.testing.assert_array_equal(callback._drawing.lines["val_accuracy"].get_data(), [[1], [0.25]])


def test_plot_of_a_history_saves_and_closes_its_own_figure(tmp_path):
    history = TrainingHistory(
        {"train_loss": [3.0, 2.0, 1.0], "val_loss": [float("nan"), 2.5, float("nan")], "lr": [1, 1, 1]}
    )
    mine = plt.figure()
    figure, axes, lines = history.plot("bare.png", show=True, figsize=(4, 3), dpi=40)
    assert plt.get_fignums() == [mine.number]
    assert [p.name for p in tmp_path.iterdir() if p.suffix] == ["bare.png"]
    with Image.open("bare.png") as picture:
        assert picture.size == (160, 120)
    assert set(axes) == {"losses", "lr"}
    np.testing.assert_array_equal(lines["val_loss"].get_data(), [[1], [2.5]])  # alone, and so with a marker
    assert lines["val_loss"].get_marker() == "o"
    history.insert(3, {"train_loss": 0.5, "val_loss": 2.0})
    history.update_fig(figure, axes, lines)
    np.testing.assert_array_equal(lines["train_loss"].get_data(), [[0, 1, 2, 3], [3, 2, 1, 0.5]])
    assert axes["losses"].get_xlim()[1] >= 3
