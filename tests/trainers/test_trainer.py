"""The training loop: order of events, resuming, and what callbacks may do."""

import contextlib
import pickle
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import (
    BPTT,
    CheckpointManager,
    LoadCheckpointMode,
    SequentialRNN,
    Trainer,
    TrainingHistory,
    TrainingState,
)
from neurotorch.callbacks import BaseCallback, CallbacksList, TeacherForcing
from neurotorch.modules.layers import LILayer, SpyLIFLayer

EVENTS = [name for name in vars(BaseCallback) if name.startswith("on_") and name != "on_trajectory_end"]


class Log(BaseCallback):
    """Names of events, in order."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []
        for event in ("start", "close", *EVENTS):
            setattr(self, event, self._logger(event))

    def _logger(self, event):
        def log(trainer, **kwargs):
            self.seen.append(event)

        return log


def setting(seed=0):
    torch.manual_seed(seed)
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), LILayer(8, 3)], device="cpu").build()
    generator = torch.Generator().manual_seed(5)
    data = TensorDataset(torch.rand(6, 10, 4, generator=generator) * 4, torch.randn(6, 10, 3, generator=generator))
    return model, data


def make_trainer(model, *callbacks, **options):
    return Trainer(model, predict_method="get_prediction_trace", callbacks=list(callbacks), verbose=False, **options)


def test_order_of_events():
    model, data = setting()
    log = Log()
    loader = DataLoader(data, batch_size=3)
    make_trainer(model, log).train(loader, DataLoader(data, batch_size=6), n_iterations=1, n_epochs=2)
    batch = ["on_batch_begin", "on_optimization_begin", "on_optimization_end", "on_batch_end"]
    epoch = ["on_epoch_begin", *batch, *batch, "on_epoch_end"]
    check = ["on_batch_begin", "on_validation_batch_begin", "on_validation_batch_end", "on_batch_end"]
    assert log.seen == [
        "start",
        "on_iteration_begin",
        "on_train_begin",
        *epoch,
        *epoch,
        "on_train_end",
        "on_validation_begin",
        "on_epoch_begin",
        *check,
        "on_epoch_end",
        "on_validation_end",
        "on_pbar_update",
        "on_iteration_end",
        "close",
    ]


def test_callbacks_are_sorted_closed_after_errors_and_the_list_is_left_alone():
    class Fails(Log):
        def on_train_end(self, trainer, **kwargs):
            raise RuntimeError("on purpose")

    model, data = setting()
    log, fails = Log(priority=5), Log(priority=3)
    fails.on_train_end = lambda trainer, **kwargs: (_ for _ in ()).throw(RuntimeError("on purpose"))
    given = [log, fails]
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=given, verbose=False)
    assert given == [log, fails]
    assert [type(c) for c in trainer.callbacks] == [TrainingHistory, Log, Log, BPTT]
    assert [c.priority for c in trainer.callbacks] == [0, 3, 5, 50]
    assert [c.name for c in trainer.callbacks] == ["TrainingHistory", "Log_1", "Log", "BPTT"]
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.train(DataLoader(data, batch_size=3), n_iterations=1)
    assert log.seen[-1] == fails.seen[-1] == "close"


@pytest.mark.parametrize("collect", [tuple, list, iter, CallbacksList, lambda callbacks: callbacks[0]])
def test_callbacks_in_every_form(collect):
    model, _ = setting()
    log = Log()
    trainer = Trainer(model, callbacks=collect([log]), verbose=False)
    assert [c for c in trainer.callbacks if c is log] == [log]


def test_losses_metrics_and_history():
    model, data = setting()
    loader = DataLoader(data, batch_size=2)
    metric = lambda loader: {"count": len(loader)}  # noqa: E731
    trainer = make_trainer(model, metrics=[metric])
    history = trainer.train(loader, loader, n_iterations=3)
    assert sorted(history.keys()) == ["train_count", "train_loss", "val_count", "val_loss"]
    assert len(history) == 3
    assert history["train_count"] == [3.0, 3.0, 3.0]
    assert history["train_loss"][2] < history["train_loss"][0]
    assert model.training


def test_a_model_that_is_not_built_is_built_before_its_parameters_are_collected():
    _, data = setting()
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), LILayer(8, 3)], device="cpu")
    trainer = make_trainer(model, BPTT(params_lr=0.1))
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    trainer.train(DataLoader(data, batch_size=6), n_iterations=3)
    after = [p for p in model.parameters() if p.requires_grad]
    assert before
    assert all(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_no_old_validation_loss_is_recorded_as_new():
    model, data = setting()
    trainer = make_trainer(model)
    trainer.train(DataLoader(data, batch_size=6), DataLoader(data, batch_size=6), n_iterations=1)
    history = trainer.train(DataLoader(data, batch_size=6), n_iterations=2)
    assert history["val_loss"][0] > 0
    assert history["val_loss"][1] != history["val_loss"][1]


def test_a_callback_can_stop():
    class Stop(BaseCallback):
        def on_iteration_end(self, trainer, **kwargs):
            trainer.update_state_(stop_training_flag=trainer.state.iteration == 1)

    model, data = setting()
    history = make_trainer(model, Stop()).train(DataLoader(data, batch_size=6), n_iterations=9)
    assert len(history) == 2


def test_hidden_states_of_batches_reach_the_model():
    model, data = setting()
    x, y = data.tensors
    state = {"input_0": tuple(torch.rand(6, 8) for _ in range(3))}
    trainer = make_trainer(model)
    trainer.train([(x, state, y)], n_iterations=1)
    expected = make_trainer(model).get_pred_batch(x, state)
    torch.testing.assert_close(expected, model.get_prediction_trace(x, init_hidden_states=state))
    assert not torch.equal(expected, model.get_prediction_trace(x))


def test_regularization_becomes_a_callback():
    model, data = setting()
    log = Log()
    make_trainer(model, regularization=log).train(DataLoader(data, batch_size=6), n_iterations=1)
    assert "on_optimization_begin" in log.seen


def test_regularization_optimizer_goes_to_regularisers_without_one():
    model, _ = setting()
    optimizer, other = (torch.optim.SGD(model.parameters(), lr=lr) for lr in (0.1, 0.2))
    bare, owning = Log(), Log()
    owning.optimizer = other
    make_trainer(model, regularization=[bare, owning], regularization_optimizer=optimizer)
    assert bare.optimizer is optimizer
    assert owning.optimizer is other


def test_learning_algorithm_given_twice_acts_once():
    model, _ = setting()
    algorithm = BPTT()
    trainer = make_trainer(model, algorithm, learning_algorithm=algorithm)
    assert [c for c in trainer.callbacks if c is algorithm] == [algorithm]


def test_metrics_run_in_eval_mode_without_gradient():
    model, data = setting()
    seen = []
    look = lambda loader: seen.append((model.training, torch.is_grad_enabled())) or 0.0  # noqa: E731
    make_trainer(model, metrics=[look]).train(DataLoader(data, batch_size=6), n_iterations=1)
    assert seen == [(False, False)]
    assert model.training


def test_unknown_arguments_warn_with_the_nearest():
    model, data = setting()
    with pytest.warns(UserWarning, match="Trainer: unknown argument 'metric' has no effect; did you mean 'metrics'"):
        trainer = make_trainer(model, metric=[])
    with pytest.warns(UserWarning, match="'n_iteration' has no effect; did you mean 'n_iterations'"):
        trainer.train(DataLoader(data, batch_size=6), n_iterations=1, n_iteration=5)


def test_deprecated_arguments_warn_and_work():
    model, data = setting()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(DeprecationWarning, match="learning algorithm"):
        trainer = make_trainer(model, optimizer=optimizer, criterion=torch.nn.L1Loss())
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert trainer.learning_algorithms[0].optimizer is optimizer
    assert isinstance(trainer.learning_algorithms[0].criterion, torch.nn.L1Loss)


def test_bad_arguments_are_named():
    model, _ = setting()
    with pytest.raises(AssertionError, match="predict_method.*'guess'"):
        Trainer(model, predict_method="guess")
    with pytest.raises(ValueError, match="train_dataloader.*got a Tensor"):
        make_trainer(model).train([torch.rand(2, 3, 4)], n_iterations=1)
    good = (torch.rand(2, 3, 4), torch.rand(2, 3, 3))
    with pytest.raises(ValueError, match="val_dataloader"):
        make_trainer(model).train([good], [torch.rand(2, 3, 4)], n_iterations=1)
    with pytest.raises(ValueError, match="two are named"):
        CallbacksList([Log(name="a"), Log(name="a")])
    with pytest.raises(AssertionError, match="unknown fields"):
        TrainingState().update(itr=3)


def test_state_pickles_without_objects():
    state = TrainingState(iteration=3, objects={"loader": lambda: 0}, itr_metrics={"loss": 1.0})
    again = pickle.loads(pickle.dumps(state))
    assert (again.iteration, again.itr_metrics, again.objects) == (3, {"loss": 1.0}, {})


def trained(folder, n_iterations, interrupt_at=None, mode=None, **manager):
    """Weights and history of a run with shuffled data, dropout-like noise and momentum."""
    model, data = setting()
    torch.manual_seed(7)

    class Interrupt(BaseCallback):
        def on_iteration_end(self, trainer, **kwargs):
            if trainer.state.iteration == interrupt_at:
                raise KeyboardInterrupt

    callbacks = [
        BPTT(params_lr=1e-2),
        CheckpointManager(folder, metric="train_loss", **manager),
        Interrupt(priority=200),
    ]
    loader = DataLoader(data, batch_size=2, shuffle=True)
    trainer = make_trainer(model, *callbacks)
    with contextlib.suppress(KeyboardInterrupt):
        trainer.train(loader, n_iterations=n_iterations, load_checkpoint_mode=mode)
    return model.state_dict(), dict(trainer.training_history.items())


def test_resumed_run_is_bit_identical(tmp_path):
    whole = trained(tmp_path / "whole", 8)
    torch.manual_seed(99)
    trained(tmp_path / "parts", 8, interrupt_at=2)
    torch.manual_seed(123)
    trained(tmp_path / "parts", 8, interrupt_at=5)
    resumed = trained(tmp_path / "parts", 8)
    assert resumed[1] == whole[1]
    for name, value in whole[0].items():
        assert torch.equal(value, resumed[0][name]), name


def test_checkpoint_files_and_modes(tmp_path):
    trained(tmp_path, 5, save_freq=2)
    manager = CheckpointManager(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir())[:1] == ["network-checkpoints.json"]
    last = manager.load_checkpoint(load_checkpoint_mode=LoadCheckpointMode.LAST_ITR)
    assert last["itr"] == 4
    assert set(last) >= {"model_state_dict", "optimizer_state_dict", "metrics", "training_history", "BPTT"}
    assert set(last["BPTT"]) == {"optimizer_state_dict"}
    best = manager.load_checkpoint()
    losses = last["training_history"]["_container"]["train_loss"]
    assert best["metrics"]["train_loss"] == min(losses)
    assert LoadCheckpointMode.from_str("Best_itr") is LoadCheckpointMode.BEST_ITR
    assert str(LoadCheckpointMode.LAST_ITR) == "last_itr"
    with pytest.raises(AssertionError, match="'newest'"):
        LoadCheckpointMode.from_str("newest")
    model, _ = setting(seed=3)
    model.checkpoint_folder = str(tmp_path)
    model.load_checkpoint(manager.checkpoints_meta_path, LoadCheckpointMode.LAST_ITR, verbose=False)
    for name, value in last["model_state_dict"].items():
        assert torch.equal(model.state_dict()[name], value)


def test_best_is_remembered_over_a_resume(tmp_path):
    trained(tmp_path, 3)
    before = CheckpointManager(tmp_path)._meta()["best_metric"]
    model, data = setting()
    manager = CheckpointManager(tmp_path, metric="train_loss")
    make_trainer(model, BPTT(params_lr=0.0), manager).train(DataLoader(data, batch_size=2), n_iterations=4)
    assert manager.best_metric <= before


def test_force_overwrite_removes_only_its_own_files(tmp_path):
    trained(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("mine")
    model, data = setting()
    manager = CheckpointManager(tmp_path, metric="train_loss", meta_path_prefix="network")
    make_trainer(model, manager).train(DataLoader(data, batch_size=6), n_iterations=1, force_overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.glob("network-itr*")) == ["network-itr0.pt"]


def test_save_best_only_and_start(tmp_path):
    trained(tmp_path, 6, save_best_only=True, start_save_at=2)
    itrs = sorted(int(p.stem.removeprefix("network-itr")) for p in tmp_path.glob("*.pt"))
    assert itrs
    assert itrs[0] == 2


def test_missing_state_of_a_callback_warns(tmp_path):
    class Counter(BaseCallback):
        def get_state(self):
            return {"count": 1}

    trained(tmp_path, 1)
    model, data = setting()
    with pytest.warns(UserWarning, match="no state of callback 'Counter'"):
        make_trainer(model, Counter(), CheckpointManager(tmp_path, metric="train_loss")).train(
            DataLoader(data, batch_size=6), n_iterations=2
        )


def test_history_table():
    history = TrainingHistory({"a": [3.0, 1.0, 2.0]})
    history.insert(4, {"b": 7.0})
    assert len(history) == 5
    assert history["a"][:3] == [3.0, 1.0, 2.0]
    assert all(v != v for v in history["a"][3:])
    assert (history.min("a"), history.max("a"), history.min(), history.min("c", 9.0)) == (1.0, 3.0, 1.0, 9.0)
    assert history.min_item("a")["a"] == 1.0
    assert "c" not in history
    with pytest.raises(KeyError):
        history["c"]
    assert history.keys() == ["a", "b"]
    with pytest.raises(ValueError, match="'c'"):
        history.max_item("c")
    with pytest.raises(NotImplementedError):
        history.insert(0, {"a": [1.0]})
    history.concat({"a": [5.0]})
    assert history.get_item_at(-1)["a"] == 5.0


def test_history_is_drawn(tmp_path):
    history = TrainingHistory({"train_loss": [3.0, 1.0], "val_loss": [4.0, 2.0], "val_acc": [0.1, 0.2]})
    figure, axes, lines = history.create_plot(figsize=(4, 3), dpi=50)
    assert sorted(axes) == ["acc", "losses"]
    assert sorted(lines) == ["train_loss", "val_acc", "val_loss"]
    history.plot(tmp_path / "new" / "history.png", figsize=(4, 3), dpi=50)
    assert (tmp_path / "new" / "history.png").stat().st_size > 1000
    del figure


def test_teacher_forcing_falls_and_leaves_validation_alone():
    torch.manual_seed(0)
    model = SequentialRNN([LILayer(3, 3)], foresight_time_steps=5, device="cpu").build()
    x, y = torch.rand(2, 1, 3), torch.rand(2, 5, 3)
    teacher = TeacherForcing(1.0, 0.2, 4)
    assert [teacher.weight(k) for k in (0, 2, 4, 40)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    seen = []

    class Watch(BaseCallback):
        def on_optimization_begin(self, trainer, pred, **kwargs):
            seen.append((trainer.model.teaching, pred.detach()))

        def on_validation_batch_begin(self, trainer, **kwargs):
            seen.append(trainer.model.teaching)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_trainer(model, teacher, Watch(), BPTT(params_lr=0.0)).train([(x, y)], [(x, y)], n_iterations=1)
    (taught, weight), prediction = seen[0]
    assert weight == 1.0
    assert torch.equal(taught, torch.cat([x, y[:, :-1]], 1))
    torch.testing.assert_close(prediction, model.get_prediction_trace(taught, foresight_time_steps=0))
    assert seen[1] is None
    assert model.teaching is None
    for bad in ({"start": 1.5}, {"end": -0.1}, {"n_iterations": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            TeacherForcing(**bad)


def test_number_of_epochs_may_be_given_to_the_constructor():
    model, data = setting()
    log = Log()
    trainer = make_trainer(model, log, n_epochs=3)
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert (log.seen.count("on_epoch_begin"), trainer.state.n_epochs) == (3, 3)
    log.seen.clear()
    trainer.train(DataLoader(data, batch_size=6), n_iterations=2, n_epochs=1)
    assert log.seen.count("on_epoch_begin") == 1


class StopAt(BaseCallback):
    def __init__(self, *iterations):
        super().__init__()
        self.iterations, self.seen = iterations, []

    def on_iteration_end(self, trainer, **kwargs):
        self.seen.append(trainer.state.iteration)
        if trainer.state.iteration in self.iterations:
            trainer.update_state_(stop_training_flag=True)


def test_training_after_a_stop_goes_on_with_the_next_iteration(tmp_path):
    model, data = setting()
    stop = StopAt(1, 4)
    trainer = make_trainer(model, stop)
    for n_iterations in (4, 9, 9):
        trainer.train(DataLoader(data, batch_size=6), n_iterations=n_iterations)
    assert stop.seen == list(range(9))
    assert len(trainer.training_history) == 9
    # The same by a checkpoint, in a trainer that has trained and in a new one.
    model, _ = setting()
    resumed = StopAt(1)
    trainer = make_trainer(model, resumed, CheckpointManager(tmp_path, metric="train_loss"))
    for _ in range(2):
        trainer.train(DataLoader(data, batch_size=6), n_iterations=3)
    assert resumed.seen == [0, 1, 2]


def test_training_after_an_error_repeats_the_iteration():
    model, data = setting()

    class Fail(StopAt):
        def on_train_end(self, trainer, **kwargs):
            if len(self.seen) == 1 and "failed" not in trainer.state.info:
                trainer.update_info_state_(failed=True)
                trainer.update_state_(stop_training_flag=True)
                raise RuntimeError("on purpose")

    fail = Fail()
    trainer = make_trainer(model, fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.train(DataLoader(data, batch_size=6), n_iterations=3)
    trainer.train(DataLoader(data, batch_size=6), n_iterations=3)
    assert fail.seen == [0, 1, 2]


def test_loaders_without_batches_raise():
    model, data = setting()
    batches = list(DataLoader(data, batch_size=3))
    assert len(make_trainer(model).train(iter(batches), n_iterations=1)) == 1
    for options in ({"n_iterations": 2}, {"n_iterations": 1, "n_epochs": 2}):
        with pytest.raises(ValueError, match="train_dataloader: .* got a list_iterator, which has been gone through"):
            make_trainer(model).train(iter(batches), **options)
    with pytest.raises(ValueError, match="val_dataloader: expected batches, got a list without any"):
        make_trainer(model).train(batches, [], n_iterations=1)


def test_callback_given_twice_acts_once():
    model, data = setting()
    log = Log()
    trainer = make_trainer(model, log, log)
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert log.seen.count("on_batch_begin") == 1
    assert [c.name for c in trainer.callbacks].count("Log") == 1


def test_metrics_by_output_stand_beside_each_other():
    model, data = setting()
    metric = lambda loader: {"mse": {"a": 1.0, "b": 2.0}}  # noqa: E731
    history = make_trainer(model, metrics=[metric]).train(DataLoader(data, batch_size=6), n_iterations=1)
    assert (history["train_mse_a"], history["train_mse_b"]) == ([1.0], [2.0])


def test_the_null_state_is_that_of_a_new_trainer():
    model, _ = setting()
    null = TrainingState.get_null_state()
    assert make_trainer(model).state == null
    assert (null.iteration, null.stop_training_flag, null.itr_metrics, null.objects) == (None, False, {}, {})
    assert TrainingState.get_null_state().objects is not null.objects


def test_defaults_of_a_subclass_that_nothing_calls_warn():
    class Own(Trainer):
        def _set_default_metrics(self):
            raise AssertionError

    with pytest.warns(UserWarning, match="Own: its own _set_default_metrics is not called; give it as an argument"):
        Own(SequentialRNN([LILayer(3, 2)]).build())
