"""Resumed runs have the bits of runs in one go, whatever learns and wherever the data come from."""

import os

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from neurotorch import BPTT, RLS, TBPTT, CheckpointManager, Eprop, SequentialRNN, Trainer
from neurotorch.callbacks import (
    BaseCallback,
    EarlyStoppingOnTimeLimit,
    ForesightTimeStepUpdaterOnTarget,
    LinearLRScheduler,
    TeacherForcing,
    TrainingHistory,
)
from neurotorch.modules.layers import LILayer, SpyLIFLayer
from neurotorch.regularization import L2, RegularizationList
from neurotorch.utils.files import written_whole

RULES = {
    "bptt": lambda: BPTT(params_lr=1e-2, accumulate_grad_batches=2),
    "bptt schedule": lambda: BPTT(
        params_lr=1e-2, lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    ),
    "tbptt": lambda: TBPTT(backward_time_steps=3, optim_time_steps=6, alpha=0.5, params_lr=1e-2),
    "eprop": lambda: Eprop(params_lr=1e-2, output_params_lr=1e-2),
    "eprop adaptive": lambda: Eprop(params_lr=1e-2, feedback="adaptive", eligibility="published", update="sequence"),
    "rls": lambda: RLS(strategy="grad", is_recurrent=True),
}


def data():
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.rand(6, 1, 3, generator=generator), torch.rand(6, 8, 3, generator=generator))


def shuffled(**options):
    return DataLoader(data(), shuffle=True, **{"batch_size": 2, **options})


def run(folder, totals, make_rule, make_loader=shuffled, callbacks=list):
    for number, total in enumerate(totals):
        torch.manual_seed(0)
        layers = [SpyLIFLayer(3, 6, gamma=5.0, hh_init="random", name="cells"), LILayer(6, 3)]
        model = SequentialRNN(layers, foresight_time_steps=8, device="cpu").build()
        rule = make_rule()
        if isinstance(rule, RLS):
            rule.params = [model.get_layer("cells").get_forward_weights_parameter()]
        torch.manual_seed(number)
        manager = CheckpointManager(folder, metric="val_loss")
        trainer = Trainer(
            model,
            predict_method="get_prediction_trace",
            callbacks=[manager, *callbacks(), rule],
            regularization=RegularizationList([L2(model.get_layer("cells").get_weights_parameters(), 1e-3)]),
            verbose=False,
        )
        trainer.train(make_loader(), DataLoader(data(), batch_size=6), n_iterations=total)
    return model.state_dict(), dict(trainer.training_history.items())


def assert_same_bits(tmp_path, *args, **options):
    whole = run(tmp_path / "whole", [5], *args, **options)
    parts = run(tmp_path / "parts", [1, 3, 5], *args, **options)
    assert str(parts[1]) == str(whole[1])
    for name, value in whole[0].items():
        assert torch.equal(parts[0][name], value), name
    assert len(whole[1]["train_loss"]) == 5
    assert whole[1]["train_loss"][4] != whole[1]["train_loss"][0]


@pytest.mark.parametrize("rule", RULES)
def test_by_rule(tmp_path, rule):
    assert_same_bits(tmp_path, RULES[rule])


class Extra(BaseCallback):
    """Puts what is no number of the history into the metrics."""

    def on_train_end(self, trainer, **kwargs):
        trainer.update_itr_metrics_state_(extra=float(trainer.state.train_loss) * 2)


def test_by_callback(tmp_path):
    def callbacks():
        return [
            Extra(priority=150),
            TrainingHistory(name="late", priority=160),
            LinearLRScheduler(1e-2, 1e-3, n_steps=4),
            TeacherForcing(1.0, 0.2, n_iterations=4),
            ForesightTimeStepUpdaterOnTarget(update_val_loss_freq=2, start_intensive_val_at=4),
            EarlyStoppingOnTimeLimit(delta_seconds=1e9),
        ]

    def plateau():
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau
        return BPTT(params_lr=1e-2, lr_scheduler=lambda optimizer: schedule(optimizer, patience=0))

    assert_same_bits(tmp_path, plateau, callbacks=callbacks)


LOADERS = {
    "workers": lambda: shuffled(num_workers=1),
    "generator of a sampler": lambda: DataLoader(
        data(), batch_size=2, sampler=RandomSampler(data(), generator=torch.Generator().manual_seed(7))
    ),
    "generator of a batch sampler": lambda: DataLoader(
        data(), batch_sampler=BatchSampler(RandomSampler(data(), generator=torch.Generator().manual_seed(7)), 2, False)
    ),
    "list": lambda: list(DataLoader(data(), batch_size=2)),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_by_loader(tmp_path, loader):
    assert_same_bits(tmp_path, RULES["bptt"], LOADERS[loader])


def test_files_are_synced_before_they_get_their_name(tmp_path, monkeypatch):
    seen = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, original=original: (seen.append(name), original(*args)))
    with written_whole(tmp_path / "file") as temporary:
        temporary.write_text("text")
    assert seen == ["fsync", "replace", "fsync"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
