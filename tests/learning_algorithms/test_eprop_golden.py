"""E-prop against recorded training runs of NeuroTorch."""

import ast
import json

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import Eprop, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.modules import layers as layer_classes

# Recorded with a decay per layer; test_eprop.py has it.
# NeuroTorch drops the tail; test_windows_drop_no_tail has it.
LEFT_OUT = {"eprop_two_hidden", "eprop_backward2_optim2_tail"}
CASES = sorted(path.stem for path in (GOLDEN / "learning").glob("eprop_*.npz") if path.stem not in LEFT_OUT)


class Record(BaseCallback):
    """Predictions and losses."""

    def __init__(self):
        super().__init__(priority=60, save_state=False)
        self.predictions, self.losses = [], []

    def on_optimization_begin(self, trainer, **kwargs):
        self.predictions.append(kwargs["pred"].detach().clone())

    def on_iteration_end(self, trainer, **kwargs):
        self.losses.append(trainer.state.train_loss)


def read_case(case):
    with np.load(GOLDEN / "learning" / f"{case}.npz", allow_pickle=False) as file:
        archive = {key: file[key] for key in file.files}
    return archive, json.loads(str(archive.pop("meta")))


def recorded_model(archive, meta):
    made = []
    for spec in meta["layers"]:
        is_readout = spec is meta["layers"][-1]
        own = {} if is_readout else dict(meta["layer_kwargs"])
        if is_readout and f"output_layers.{spec['name']}.bias_weights" not in meta["trainable"]:
            own["use_bias"] = False
        if is_readout and spec["cls"] == "Linear":
            own["activation"] = "sigmoid"
        if meta["trainable"].get(f"input_layers.{spec['name']}.beta"):
            own["learn_beta"] = True
        made.append(getattr(layer_classes, spec["cls"])(spec["n_in"], spec["n_out"], name=spec["name"], **own))
    layers = [{made[0].name: made[0]}, *made[1:-1], {made[-1].name: made[-1]}]
    model = SequentialRNN(layers, foresight_time_steps=meta["foresight_time_steps"], device="cpu").build()
    model.load_state_dict({k.removeprefix("init/"): torch.from_numpy(v) for k, v in archive.items() if "init/" in k})
    return model


def recorded_rule(archive, meta, **changes):
    arguments = {}
    for name, text in meta["kwargs"].items():
        is_class = text.startswith("<class")
        arguments[name] = getattr(torch.optim, meta["optimizer"]["cls"]) if is_class else _literal(text)
    rule = Eprop(batch_reduction="mean_error", **{**arguments, **changes})
    rule.feedback_weights = {
        "default_key": [torch.from_numpy(archive[f"feedback/{name}"].copy()) for name in meta["params"]]
    }
    return rule


def _literal(text):
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text


def train(model, rule, archive, meta):
    record = Record()
    x, y = torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, record], verbose=False)
    trainer.train(DataLoader(TensorDataset(x, y), batch_size=len(x)), n_iterations=meta["n_iterations"])
    return record


def own_class(kind, frozen=()):
    """A subclass of an optimiser, which the driver leaves to torch; its steps also decay the frozen parameters."""

    class Own(kind):
        @torch.no_grad()
        def step(self, closure=None):
            super().step(closure)
            for number, p in frozen:
                group = self.param_groups[number]
                p.mul_(1 - group["lr"] * group["weight_decay"])

    return Own


def frozen_parameters(model):
    return [(int(name.startswith("output_layers")), p) for name, p in model.named_parameters() if not p.requires_grad]


def test_windows_drop_no_tail():
    """NeuroTorch leaves the seventh of seven steps out of its windows of two."""
    archive, meta = read_case("eprop_backward2_optim2_tail")
    found = []
    for steps in (6, 7):
        model = recorded_model(archive, meta)
        kind = getattr(torch.optim, meta["optimizer"]["cls"])
        rule = recorded_rule(archive, meta, default_optimizer_cls=own_class(kind, frozen_parameters(model)))
        record = train(model, rule, {**archive, "x": archive["x"][:, :steps], "y": archive["y"][:, :steps]}, meta)
        np.testing.assert_allclose(record.predictions[0], archive["pred"][0][:, :steps], rtol=1e-5, atol=2e-6)
        assert rule.engine == "step by step: its windows have 2 steps"
        found.append({name: p.detach().numpy() for name, p in model.named_parameters()})
    for name, without_tail in found[0].items():
        np.testing.assert_allclose(without_tail, archive[f"final/{name}"], rtol=1e-5, atol=2e-6, err_msg=name)
    assert any(np.abs(found[0][name] - whole).max() > 1e-5 for name, whole in found[1].items())


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_run(case):
    """NeuroTorch's optimiser also decays what is frozen, so this test's does too."""
    archive, meta = read_case(case)
    model = recorded_model(archive, meta)
    kind = getattr(torch.optim, meta["optimizer"]["cls"])
    rule = recorded_rule(archive, meta, default_optimizer_cls=own_class(kind, frozen_parameters(model)))
    record = train(model, rule, archive, meta)
    np.testing.assert_allclose(torch.stack(record.predictions), archive["pred"], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(record.losses, archive["train_loss"], rtol=1e-5)
    for name, p in model.named_parameters():
        first, last = archive[f"init/{name}"], archive[f"final/{name}"]
        moved = np.abs(last - first).max()
        # NeuroTorch's trace of tau_sqrt remembers d(dt / tau)/d(tau_sqrt) of earlier steps; here it is one of dt / tau.
        share = 2e-3 if name.endswith("tau_sqrt") else 2e-4
        np.testing.assert_allclose(p.detach(), last, rtol=1e-6, atol=1e-6 + share * moved, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_driver_and_torch_agree_and_frozen_parameters_stay(case):
    archive, meta = read_case(case)
    kind = getattr(torch.optim, meta["optimizer"]["cls"])
    models, records = [], []
    for change in ({}, {"default_optimizer_cls": own_class(kind)}):
        models.append(recorded_model(archive, meta))
        records.append(train(models[-1], recorded_rule(archive, meta, **change), archive, meta))
    torch.testing.assert_close(torch.stack(records[0].predictions), torch.stack(records[1].predictions))
    other = dict(models[1].named_parameters())
    for name, p in models[0].named_parameters():
        first = torch.from_numpy(archive[f"init/{name}"])
        if not p.requires_grad:
            assert torch.equal(p, first), name
            continue
        torch.testing.assert_close(p, other[name], rtol=1e-6, atol=1e-6 + 2e-4 * (p - first).abs().max().item())


def test_seeded_feedback_is_the_recorded_one():
    archive, meta = read_case("eprop_lif_li_clips")
    rule = recorded_rule(archive, meta)
    drawn, rule.feedback_weights = rule.feedback_weights, None
    train(recorded_model(archive, meta), rule, archive, meta)
    for own, recorded in zip(rule.feedback_weights["default_key"], drawn["default_key"], strict=True):
        torch.testing.assert_close(own, recorded)
