"""BPTT against recorded training runs, and its options."""

import json
import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.learning_algorithms.bptt import NonFiniteError
from neurotorch.modules import layers as layer_classes
from neurotorch.modules.layers import LILayer, SpyLIFLayer, SpyLILayer

CASES = sorted(path.stem for path in (GOLDEN / "learning").glob("bptt_*.npz"))


class Record(BaseCallback):
    """Gradients and parameters around every step, predictions and losses."""

    def __init__(self):
        super().__init__(priority=60, save_state=False)
        self.grads, self.predictions, self.losses, self.after = [], [], [], []

    def on_optimization_begin(self, trainer, **kwargs):
        named = dict(trainer.model.named_parameters())
        self.grads.append({name: p.grad.clone() for name, p in named.items() if p.grad is not None})
        self.predictions.append(kwargs["pred"].detach().clone())
        self.after.append({name: p.detach().clone() for name, p in named.items()})

    def on_iteration_end(self, trainer, **kwargs):
        self.losses.append(trainer.state.train_loss)


def recorded_model(archive, meta):
    made = []
    for spec in meta["layers"]:
        own = meta["layer_kwargs"] if spec is not meta["layers"][-1] or len(meta["layers"]) == 1 else {}
        made.append(getattr(layer_classes, spec["cls"])(spec["n_in"], spec["n_out"], name=spec["name"], **own))
    model = SequentialRNN(
        [{layer.name: layer} for layer in made],
        foresight_time_steps=meta["foresight_time_steps"],
        device="cpu",
    ).build()
    first = {k.removeprefix("init/"): torch.from_numpy(v) for k, v in archive.items() if k.startswith("init/")}
    model.load_state_dict(first)
    return model


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_run(case):
    with np.load(GOLDEN / "learning" / f"{case}.npz", allow_pickle=False) as file:
        archive = {key: file[key] for key in file.files}
    meta = json.loads(str(archive.pop("meta")))
    if not all(hasattr(layer_classes, spec["cls"]) for spec in meta["layers"]):
        pytest.skip("later model")
    model = recorded_model(archive, meta)
    optimizer = getattr(torch.optim, meta["optimizer"]["cls"])
    group = meta["optimizer"]["groups"][0]
    arguments = {name: group[name] for name in ("lr", "weight_decay", "momentum") if name in group}
    record = Record()
    algorithm = BPTT(default_optimizer_cls=optimizer, default_optim_kwargs=arguments)
    x, y = torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[algorithm, record], verbose=False)
    trainer.train(DataLoader(TensorDataset(x, y), batch_size=len(x)), n_iterations=meta["n_iterations"])

    np.testing.assert_allclose(torch.stack(record.predictions), archive["pred"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(record.losses, archive["train_loss"], rtol=1e-5)
    compared = 0
    for name, trainable in meta["trainable"].items():
        for step in range(meta["n_iterations"]):
            if trainable:
                expected = archive[f"grad/{name}"][step]
                np.testing.assert_allclose(record.grads[step][name], expected, rtol=1e-4, atol=1e-6)
                compared += 1
            np.testing.assert_allclose(record.after[step][name], archive[f"after/{name}"][step], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dict(model.named_parameters())[name].detach(), archive[f"final/{name}"], atol=1e-6)
    assert compared >= 4


def setting(n_out=3, **layer):
    torch.manual_seed(1)
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=5.0), SpyLILayer(8, n_out, **layer)], device="cpu").build()
    x, y = torch.rand(6, 12, 4) * 4, torch.randn(6, 12, n_out)
    return model, DataLoader(TensorDataset(x, y), batch_size=3)


def run(model, loader, *callbacks, n_iterations=2, **options):
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=list(callbacks), verbose=False, **options)
    trainer.train(loader, n_iterations=n_iterations)
    return trainer


def test_clips_the_joint_norm():
    model, loader = setting()
    record = Record()
    run(model, loader, BPTT(grad_norm_clip_value=1e-2, maximize=False), record)
    for grads in record.grads:
        norm = math.sqrt(sum(float(g.square().sum()) for g in grads.values()))
        assert norm == pytest.approx(1e-2, rel=1e-3)


def test_frozen_constants_do_not_drift():
    model, loader = setting()
    before = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert before
    run(model, loader, BPTT(params_lr=0.1, weight_decay=0.5), n_iterations=5)
    for name, value in before.items():
        assert torch.equal(dict(model.named_parameters())[name], value)


def test_parameters_of_layers_beside_others():
    model, _ = setting()
    layer = model.get_layer()
    extra = torch.nn.Parameter(torch.zeros(2))
    algorithm = BPTT(params=[extra, *layer.parameters()], layers=[layer, model.get_layer("output_0")])
    assert len(algorithm.params) == len({id(p) for p in algorithm.params})
    assert {id(p) for p in model.parameters()} <= {id(p) for p in algorithm.params}


def test_criterion_of_several_outputs_is_the_sum():
    mse, mae = torch.nn.MSELoss(), torch.nn.L1Loss()
    algorithm = BPTT(criterion={"a": mse, "b": mae})
    pred, y = {"a": torch.rand(3), "b": torch.rand(4)}, {"a": torch.rand(3), "b": torch.rand(4)}
    torch.testing.assert_close(algorithm.apply_criterion(pred, y), mse(pred["a"], y["a"]) + mae(pred["b"], y["b"]))
    both = torch.rand(5), torch.rand(5)
    torch.testing.assert_close(algorithm.apply_criterion(*both), mse(*both) + mae(*both))
    plain = BPTT()
    torch.testing.assert_close(plain.apply_criterion({"a": both[0]}, both[1]), mse(*both))
    torch.testing.assert_close(plain.apply_criterion({"a": both[0]}, {"a": both[1]}), mse(*both))


def test_layer_regularisation_acts_when_asked():
    def weights(**options):
        torch.manual_seed(1)
        layer = SpyLIFLayer(4, 8, gamma=5.0, regularize=True, spikes_regularization_factor=0.1)
        model = SequentialRNN([layer, LILayer(8, 3)], device="cpu").build()
        x, y = torch.rand(6, 12, 4) * 8, torch.zeros(6, 12, 3)
        run(model, DataLoader(TensorDataset(x, y), batch_size=3), BPTT(params_lr=1e-2, **options), n_iterations=3)
        return layer.forward_weights.detach()

    assert not torch.equal(weights(), weights(regularize_layers=True))


def test_non_finite_loss_names_the_layer_and_leaves_the_weights():
    model, loader = setting()
    with torch.no_grad():
        model.get_layer("output_0")._forward_weights.fill_(math.nan)
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(NonFiniteError, match=r"loss is nan.*output_layers\.output_0\._forward_weights"):
        run(model, loader, BPTT())
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) or name.endswith("output_0._forward_weights")


def test_bad_clip_is_named():
    with pytest.raises(ValueError, match="grad_norm_clip_value"):
        BPTT(grad_norm_clip_value=0.0)
