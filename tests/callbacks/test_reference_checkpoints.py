"""Checkpoints that NeuroTorch 0.0.2 wrote: a run of six iterations, of which the third is kept with its objects."""

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, CheckpointManager, SequentialRNN, Trainer
from neurotorch.callbacks import EarlyStoppingOnTimeLimit, LRSchedulerOnMetric
from neurotorch.modules.layers import LILayer, SpyLIFLayer
from neurotorch.utils.checkpoint_files import read_checkpoint

FOLDER = GOLDEN / "checkpoints"
FILE = FOLDER / "network-itr2.pt"


def model():
    return SequentialRNN([SpyLIFLayer(2, 3), LILayer(3, 2)], name="network", device="cpu").build()


def test_torch_refuses_it_and_nothing_of_it_runs_here():
    with pytest.raises(pickle.UnpicklingError):
        torch.load(FILE, weights_only=True)
    assert "torch.optim.adamw.AdamW" in torch.serialization.get_unsafe_globals_in_checkpoint(FILE)
    safe = len(torch.serialization.get_safe_globals())
    content = read_checkpoint(FILE)
    assert content["itr"] == 2
    assert sorted(content) == [
        "BPTT",
        "EarlyStoppingOnTimeLimit",
        "LRSchedulerOnMetric",
        "TrainingHistory",
        "itr",
        "metrics",
        "model_state_dict",
        "optimizer_state_dict",
        "training_history",
    ]
    assert set(content["LRSchedulerOnMetric"]) == {"step"}
    assert type(content["metrics"]["train_loss"]) is float
    assert len(torch.serialization.get_safe_globals()) == safe


def test_run_goes_on_as_there(tmp_path):
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    with np.load(FOLDER / "run.npz") as file:
        x, y, losses = (torch.from_numpy(file[name]) for name in ("x", "y", "train_loss"))
    limit = EarlyStoppingOnTimeLimit(delta_seconds=1000.0)
    scheduler = LRSchedulerOnMetric("train_loss", [0.2, 0.1], log_lr_to_history=False)
    callbacks = [BPTT(params_lr=0.01), CheckpointManager(tmp_path, metric="train_loss"), limit, scheduler]
    trainer = Trainer(model(), predict_method="get_prediction_trace", callbacks=callbacks, verbose=False)
    history = trainer.train(DataLoader(TensorDataset(x, y), batch_size=4), n_iterations=6)
    torch.testing.assert_close(torch.tensor(history["train_loss"]), losses.float(), rtol=1e-5, atol=1e-6)
    assert limit.current_seconds_count > 0.5  # that of the recorded run
    assert history["lr_0"][1] == 0.01


def test_best_metric_is_that_of_the_best_checkpoint(tmp_path):
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    manager = CheckpointManager(tmp_path, metric="train_loss")
    trainer = Trainer(model(), predict_method="get_prediction_trace", callbacks=[manager], verbose=False)
    trainer.train([(torch.rand(1, 6, 2), 100.0 * torch.ones(1, 6, 2))], n_iterations=5)
    assert manager.best_metric == read_checkpoint(FILE)["metrics"]["train_loss"]
    assert manager.load_checkpoint()["itr"] == 2


def test_models_load_it():
    network = model()
    network.load_checkpoint(FOLDER / "network-checkpoints.json", "best", verbose=False)
    expected = read_checkpoint(FILE)["model_state_dict"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name]), name


class Leaves:
    """Leaves a file behind when it is unpickled as pickle does it."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Plain:
    """Of the main module of a script, with a state."""

    def __init__(self):
        self.value = 3


def test_functions_are_refused_and_objects_of_scripts_are_left_out(tmp_path, monkeypatch):
    path = tmp_path / "evil.pt"
    torch.save({"itr": 0, "more": Leaves(tmp_path / "ran")}, path)
    with pytest.raises(pickle.UnpicklingError, match=r"evil\.pt: not loaded, since .*mkdir"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    monkeypatch.setattr(Plain, "__module__", "__main__")
    monkeypatch.setattr("__main__.Plain", Plain, raising=False)
    torch.save({"itr": 1, "Own<0>": {"object": Plain()}, "BPTT<3>": {"optimizer_state_dict": {"state": {}}}}, path)
    monkeypatch.setattr(Plain, "__setstate__", lambda self, state: 1 / 0, raising=False)
    assert read_checkpoint(path) == {
        "itr": 1,
        "training_history": None,
        "BPTT": {"optimizer_state_dict": {"state": {}}},
    }


def test_broken_files_and_others_are_named(tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(pickle.UnpicklingError, match=r"broken\.pt: not loaded"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="expected a checkpoint, a dict, got a list"):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pt")
