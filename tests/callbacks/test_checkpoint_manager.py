"""What checkpoints hold, and where and when they are written and found."""

import json
import math
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, CheckpointManager, LoadCheckpointMode, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback, ConvergenceTimeGetter, EarlyStopping
from neurotorch.modules.layers import LILayer, SpyLIFLayer


def train(*callbacks, n_iterations, trainer=None, loader=None, **options):
    """A new small model, or that of a trainer, trained on fixed data; returns the trainer."""
    if trainer is None:
        torch.manual_seed(0)
        model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), LILayer(8, 3)], device="cpu").build()
        metrics = options.pop("metrics", None)
        trainer = Trainer(
            model, predict_method="get_prediction_trace", callbacks=list(callbacks), metrics=metrics, verbose=False
        )
    trainer.train(DataLoader(data(), batch_size=3) if loader is None else loader, n_iterations=n_iterations, **options)
    return trainer


def data():
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.rand(6, 10, 4, generator=generator) * 4, torch.randn(6, 10, 3, generator=generator))


def manager(folder, **options):
    return CheckpointManager(folder, **{"metric": "train_loss", **options})


class State(BaseCallback):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def get_state(self):
        return {"value": self.value}


def test_numbers_and_arrays_of_numpy_are_read_again(tmp_path):
    metrics = [lambda loader: {"r2": np.float64(0.5), "n": np.int64(3)}]
    given = {"array": np.arange(3.0), "flag": np.bool_(True), "nested": [(np.float32(0.5), None, "text")]}
    train(State(given), manager(tmp_path), n_iterations=1, metrics=metrics)
    content = manager(tmp_path).load_checkpoint()
    assert content["metrics"]["train_r2"] == 0.5
    assert content["metrics"]["train_n"] == 3
    restored = State(None)
    trainer = train(restored, manager(tmp_path), n_iterations=2, metrics=metrics)
    assert trainer.training_history["train_r2"] == [0.5, 0.5]
    assert torch.equal(restored.value["array"], torch.arange(3.0, dtype=torch.float64))
    assert restored.value["flag"] is True
    assert restored.value["nested"] == [(0.5, None, "text")]


def test_state_that_could_not_be_read_again_is_refused_when_saving(tmp_path):
    with pytest.raises(TypeError, match=r"state of State\['value'\]\['inner'\]\[1\]: a checkpoint holds .* got object"):
        train(State({"inner": [0, object()]}), manager(tmp_path), n_iterations=1)
    assert list(tmp_path.glob("*")) == []


class Payload:
    """Leaves a file behind wherever it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    saver = manager(tmp_path / "files")
    train(saver, n_iterations=1)
    path = tmp_path / "files" / saver.get_checkpoint_filename(0)
    torch.save({**torch.load(path, weights_only=True), "more": Payload(tmp_path / "ran")}, path)
    with pytest.raises(pickle.UnpicklingError):
        saver.load_checkpoint()
    with pytest.raises(pickle.UnpicklingError):
        train(manager(tmp_path / "files"), n_iterations=2)
    assert not (tmp_path / "ran").exists()


def test_failed_write_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    train(manager(tmp_path), n_iterations=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def save(content, path):
        path.write_bytes(b"half a file")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(OSError, match="disk full"):
            train(manager(tmp_path), n_iterations=3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(train(manager(tmp_path), n_iterations=3).training_history) == 3


def test_metadata_may_lie_elsewhere(tmp_path):
    where = {"checkpoints_meta_path": tmp_path / "meta" / "list.json"}
    for n_iterations in (2, 4):
        trainer = train(manager(tmp_path / "files", **where), n_iterations=n_iterations)
    whole = train(manager(tmp_path / "whole"), n_iterations=4)
    assert trainer.training_history["train_loss"] == whole.training_history["train_loss"]


def test_missing_checkpoint_file_is_no_fresh_start(tmp_path):
    train(manager(tmp_path), n_iterations=2)
    (tmp_path / "network-itr1.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists network-itr1\.pt"):
        train(manager(tmp_path), n_iterations=3)


def test_best_is_asked_for_where_none_is_marked(tmp_path):
    train(manager(tmp_path, metric="val_loss"), n_iterations=1)
    with pytest.raises(FileNotFoundError, match="no checkpoint is marked"):
        train(manager(tmp_path), n_iterations=2, load_checkpoint_mode=LoadCheckpointMode.BEST_ITR)


def test_goes_on_from_the_best(tmp_path):
    value = iter([3.0, 1.0, 2.0, 5.0, 4.0])
    metrics = [lambda loader: {"score": next(value)}]
    train(manager(tmp_path, metric="train_score"), n_iterations=3, metrics=metrics)
    trainer = train(
        manager(tmp_path, metric="train_score"),
        n_iterations=4,
        metrics=metrics,
        load_checkpoint_mode=LoadCheckpointMode.BEST_ITR,
    )
    assert trainer.training_history["train_score"] == [3.0, 1.0, 5.0, 4.0]


def test_overwriting_starts_at_iteration_0_also_in_a_used_trainer(tmp_path):
    train(manager(tmp_path), n_iterations=2)
    used = manager(tmp_path)
    trainer = train(used, n_iterations=3)
    losses = list(trainer.training_history["train_loss"])
    train(n_iterations=2, trainer=trainer, force_overwrite=True)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["network-itr0.pt", "network-itr1.pt"]
    assert trainer.training_history["train_loss"][0] != losses[0]
    assert used.curr_checkpoint is None


def test_generators_of_the_loader_are_part_of_a_resume(tmp_path):
    def losses(folder, *totals):
        for total in totals:
            generator = torch.Generator().manual_seed(3)
            loader = DataLoader(data(), batch_size=2, shuffle=True, generator=generator)
            trainer = train(BPTT(params_lr=0.01), manager(folder), n_iterations=total, loader=loader)
        return trainer.training_history["train_loss"]

    assert losses(tmp_path / "whole", 5) == losses(tmp_path / "parts", 1, 3, 5)


def test_early_stop_saves_the_last_iteration(tmp_path):
    class Stop(BaseCallback):
        def on_iteration_end(self, trainer, **kwargs):
            trainer.update_state_(stop_training_flag=trainer.state.iteration == 3)

    train(Stop(priority=200), manager(tmp_path, metric="none", save_freq=3), n_iterations=9)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["network-itr0", "network-itr3"]
    train(Stop(priority=200), manager(tmp_path / "later", metric="none", save_freq=0), n_iterations=9)
    assert sorted(path.stem for path in (tmp_path / "later").glob("*.pt")) == ["network-itr3"]


def test_no_end_of_iterations(tmp_path):
    class Stop(BaseCallback):
        def on_iteration_end(self, trainer, **kwargs):
            trainer.update_state_(stop_training_flag=trainer.state.iteration == 2)

    assert len(train(Stop(), manager(tmp_path), n_iterations=None).training_history) == 3


def test_saving_only_the_best_of_a_metric_that_is_not_there_warns(tmp_path):
    with pytest.warns(UserWarning, match=r"metric: expected one of \['train_loss'\], got 'val_loss'"):
        train(CheckpointManager(tmp_path, save_best_only=True), n_iterations=2)


def test_best_metric_is_in_the_metadata_and_in_the_bar(tmp_path):
    saver = manager(tmp_path, save_best_only=True)
    trainer = train(saver, n_iterations=3)
    meta = json.loads((tmp_path / "network-checkpoints.json").read_text())
    assert meta["best_metric"] == trainer.training_history.min("train_loss")
    assert meta["best"] in meta["iterations"].values()
    assert saver.on_pbar_update(trainer) == {"best_train_loss": meta["best_metric"]}


def test_larger_can_be_better(tmp_path):
    value = iter([1.0, 3.0, math.nan, 2.0])
    metrics = [lambda loader: {"score": next(value)}]
    saver = manager(tmp_path, metric="train_score", minimise_metric=False)
    train(saver, n_iterations=4, metrics=metrics)
    assert json.loads((tmp_path / "network-checkpoints.json").read_text())["best"] == "network-itr1.pt"
    assert saver.best_metric == 3.0


def test_names_and_clashes(tmp_path):
    saver = manager(tmp_path, meta_path_prefix="run")
    assert (saver.get_checkpoint_filename(7), saver.get_checkpoint_filename()) == ("run-itr7.pt", "run.pt")
    with pytest.raises(AssertionError, match="'metrics'"):
        saver.save_checkpoint(0, {}, **{"metrics": 1})
    with pytest.warns(UserWarning, match="unknown argument 'save_frq' has no effect; did you mean 'save_freq'"):
        manager(tmp_path, save_frq=2)
    assert list(tmp_path.iterdir()) == []


def scored(folder, values, n_iterations, mode=None, **options):
    """A run whose metric goes through given values; returns the JSON's content."""
    value = iter(values)
    saver = manager(folder, metric="train_score", **options)
    metrics = [lambda loader: {"score": next(value)}]
    trainer = train(saver, n_iterations=n_iterations, metrics=metrics, load_checkpoint_mode=mode)
    return trainer, json.loads((folder / "network-checkpoints.json").read_text())


def test_last_after_best_is_that_of_the_new_branch(tmp_path):
    scored(tmp_path, [3.0, 1.0, 2.0, 5.0, 4.0, 6.0], 6)
    # Asking for the best one without training leaves everything as it is.
    before = (tmp_path / "network-checkpoints.json").read_text()
    scored(tmp_path, [], 2, LoadCheckpointMode.BEST_ITR)
    assert (tmp_path / "network-checkpoints.json").read_text() == before
    _, meta = scored(tmp_path, [7.0, 8.0], 4, LoadCheckpointMode.BEST_ITR, save_freq=3)
    assert meta["iterations"] == {str(k): f"network-itr{k}.pt" for k in (0, 1, 3)}
    assert meta["abandoned"] == {str(k): f"network-itr{k}.pt" for k in (2, 4, 5)}
    assert meta["best"] == "network-itr1.pt"
    trainer, meta = scored(tmp_path, [0.5], 5)
    assert trainer.training_history["train_score"] == [3.0, 1.0, 7.0, 8.0, 0.5]
    assert (meta["best"], list(meta["abandoned"])) == ("network-itr4.pt", ["2", "5"])
    train(manager(tmp_path), n_iterations=1, force_overwrite=True)
    assert [path.name for path in tmp_path.glob("*.pt")] == ["network-itr0.pt"]


def test_killed_before_the_first_save_of_a_new_branch_it_is_not_left(tmp_path, monkeypatch):
    scored(tmp_path, [3.0, 1.0, 2.0, 5.0], 4)

    def fail(content, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.raises(KeyboardInterrupt):
            scored(tmp_path, [7.0], 3, LoadCheckpointMode.BEST_ITR)
    trainer, _ = scored(tmp_path, [9.0], 3)
    assert trainer.training_history["train_score"] == [3.0, 1.0, 9.0]


def test_what_ended_training_ends_it_again_after_a_resume(tmp_path):
    def run(patience, n_iterations=9):
        stop = EarlyStopping(patience=patience, tol=0.0, metric="train_one")
        metrics = [lambda loader: {"one": 1.0}]
        trainer = train(manager(tmp_path), stop, n_iterations=n_iterations, metrics=metrics)
        return len(trainer.training_history)

    assert run(3) == 4
    assert run(3) == 4
    assert run(5) == 6


def test_callbacks_of_any_priority_are_saved_as_they_are_at_the_end(tmp_path):
    class Late(State):
        def on_iteration_end(self, trainer, **kwargs):
            self.value += 1
            trainer.update_itr_metrics_state_(late=float(self.value))

    late = Late(0)
    late.priority = 200
    saver = manager(tmp_path)
    condition = {"metric": "train_loss", "threshold": 100.0, "minimize_metric": True}
    train(ConvergenceTimeGetter(**condition), saver, late, n_iterations=2)
    content = saver.load_checkpoint(load_checkpoint_mode=LoadCheckpointMode.LAST_ITR)
    assert content["Late"] == {"value": 2}
    assert content["metrics"]["late"] == 2.0


def test_a_save_amid_an_iteration_is_made_whole_at_its_end(tmp_path):
    class Saves(State):
        def on_train_end(self, trainer, **kwargs):
            if trainer.state.iteration == 1:
                for saver in trainer.checkpoint_managers:
                    assert saver.save_on(trainer).endswith("network-itr1.pt")
            self.value = trainer.state.iteration

        def on_iteration_end(self, trainer, **kwargs):
            self.value += 10

    train(Saves(0), manager(tmp_path, metric="none", save_freq=0), n_iterations=3)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["network-itr1", "network-itr2"]
    assert torch.load(tmp_path / "network-itr1.pt", weights_only=True)["Saves"] == {"value": 11}


def test_other_extension(tmp_path, monkeypatch):
    monkeypatch.setattr(CheckpointManager, "SAVE_EXT", ".pth")
    train(manager(tmp_path), n_iterations=1)
    assert (tmp_path / "network-itr0.pth").exists()
    assert len(train(manager(tmp_path), n_iterations=2).training_history) == 2


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    for name in (".network-itr3.pt.77.tmp", ".network-checkpoints.json.77.tmp", ".other-itr3.pt.77.tmp"):
        (tmp_path / name).write_text("half")
    train(manager(tmp_path), n_iterations=1)
    assert [path.name for path in tmp_path.glob(".*")] == [".other-itr3.pt.77.tmp"]


def test_metadata_is_merged_and_may_move(tmp_path):
    checkpoints = manager(tmp_path, meta_path_prefix="net")
    assert checkpoints.checkpoints_meta_path == str(tmp_path / "net-checkpoints.json")
    checkpoints.save_checkpoints_meta({"iterations": {"0": "a"}, "best": "a"})
    checkpoints.save_checkpoints_meta({"iterations": {"1": "b"}})
    written = json.loads((tmp_path / "net-checkpoints.json").read_text())
    assert written == {"iterations": {"0": "a", "1": "b"}, "best": "a"}
    checkpoints.checkpoints_meta_path = tmp_path / "elsewhere" / "meta.json"
    checkpoints.save_checkpoints_meta({"best": "c"})
    assert json.loads((tmp_path / "elsewhere" / "meta.json").read_text()) == {"best": "c"}
    checkpoints.checkpoints_meta_path = None
    assert checkpoints.checkpoints_meta_path == str(tmp_path / "net-checkpoints.json")
