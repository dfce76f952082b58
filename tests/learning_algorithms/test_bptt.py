"""BPTT against recorded training runs, and its options."""

import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset
from training_runs import Record, load, optimizer_arguments, run_again

from neurotorch import BPTT, CheckpointManager, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.learning_algorithms.bptt import NonFiniteError
from neurotorch.modules.layers import LILayer, SpyLIFLayer, SpyLILayer

CASES = sorted(path.stem for path in (GOLDEN / "learning").glob("bptt_*.npz"))


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_run(case):
    archive, meta = load(case)
    cls, arguments = optimizer_arguments(meta)
    model, record = run_again(archive, meta, BPTT(default_optimizer_cls=cls, default_optim_kwargs=arguments))

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
    algorithm = BPTT(grad_norm_clip_value=1e-2, maximize=False)
    record = Record(algorithm)
    run(model, loader, algorithm, record)
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


def test_finite_gradients_whose_squares_overflow_are_clipped():
    model, loader = setting()
    huge = lambda pred, y: (pred - y).square().mean() * 1e25  # noqa: E731
    algorithm = BPTT(criterion=huge, grad_norm_clip_value=1.0)
    record = Record(algorithm)
    run(model, loader, algorithm, record, n_iterations=1)
    for grads in record.grads:
        assert math.sqrt(sum(float(g.square().sum()) for g in grads.values())) == pytest.approx(1.0, rel=1e-3)


def test_non_finite_gradient_names_the_parameter_and_leaves_the_weights():
    model, loader = setting()
    before = {name: p.clone() for name, p in model.named_parameters()}
    model.get_layer("output_0")._forward_weights.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(NonFiniteError, match=r"norm of the gradients.*gradients output_layers\.output_0\._forward_wei"):
        run(model, loader, BPTT())
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])


def test_non_finite_prediction_says_where():
    model = SequentialRNN([LILayer(4, 3)], device="cpu").build()
    x, y = torch.rand(2, 12, 4), torch.rand(2, 12, 3)
    x[1, 7] = math.nan
    trainer = Trainer(model, predict_method="get_prediction_trace", verbose=False)
    with pytest.raises(
        NonFiniteError, match="all parameters are finite; the prediction is not finite from time step 7"
    ):
        trainer.train([(x, y)], n_iterations=1)


def test_first_of_a_tuple_of_predictions_counts():
    """A call of a recurrent model returns outputs and hidden states, both dicts."""
    losses = []
    for method in ("__call__", "get_prediction_trace"):
        model, loader = setting()
        trainer = Trainer(model, predict_method=method, verbose=False)
        losses.append(trainer.train(loader, n_iterations=2)["train_loss"])
    assert losses[0] == losses[1]


def test_outputs_without_a_target_or_criterion_are_named():
    pred = {"a": torch.rand(3), "b": torch.rand(3)}
    with pytest.raises(ValueError, match="y_batch: expected a dict with a target for a, b"):
        BPTT().apply_criterion(pred, torch.rand(3))
    criterion = dict.fromkeys("abc", torch.nn.MSELoss())
    with pytest.raises(AssertionError, match="pred_batch: expected a, b, c, got none for c"):
        BPTT(criterion=criterion).apply_criterion(pred, torch.rand(3))


def test_unknown_argument_warns_with_the_nearest():
    with pytest.warns(UserWarning, match="BPTT: unknown argument 'param_lr' has no effect; did you mean 'params_lr'"):
        BPTT(param_lr=1e-2)


def rates_of(algorithm, n_iterations, val=None):
    class Rates(BaseCallback):
        def on_iteration_begin(self, trainer, **kwargs):
            seen.append(algorithm.optimizer.param_groups[0]["lr"])

    seen = []
    model, loader = setting()
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[algorithm, Rates()], verbose=False)
    trainer.train(loader, val, n_iterations=n_iterations)
    return seen


def test_schedule_is_stepped_every_iteration():
    algorithm = BPTT(params_lr=0.1, lr_scheduler=lambda optimizer: StepLR(optimizer, 2, gamma=0.5))
    assert rates_of(algorithm, 5) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])


def test_schedule_on_a_plateau_follows_the_loss():
    make = lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, threshold=10.0, threshold_mode="abs")  # noqa: E731
    _, loader = setting()
    for val in (None, loader):
        assert rates_of(BPTT(params_lr=0.1, lr_scheduler=make), 3, val) == pytest.approx([0.1, 0.1, 0.01])


def test_given_schedule_brings_its_optimizer():
    parameter = torch.nn.Parameter(torch.zeros(1))
    schedule = LambdaLR(torch.optim.SGD([parameter], lr=0.1), lambda k: 1.0)
    algorithm = BPTT(lr_scheduler=schedule)
    assert algorithm.optimizer is schedule.optimizer
    with pytest.raises(ValueError, match="lr_scheduler: expected a schedule of the given optimizer"):
        BPTT(lr_scheduler=schedule, optimizer=torch.optim.SGD([parameter], lr=0.1))


def test_schedule_goes_on_after_a_resume(tmp_path):
    def weights(folder, *totals):
        for total in totals:
            model, loader = setting()
            algorithm = BPTT(params_lr=0.05, lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 6))
            run(model, loader, algorithm, CheckpointManager(folder, metric="train_loss"), n_iterations=total)
        return model.state_dict(), algorithm.optimizer.param_groups[0]["lr"]

    whole, parts = weights(tmp_path / "whole", 6), weights(tmp_path / "parts", 2, 3, 6)
    assert whole[1] == parts[1] == pytest.approx(0.0)
    for name, value in whole[0].items():
        assert torch.equal(value, parts[0][name]), name


@pytest.mark.parametrize(
    ("options", "written", "restored"),
    [({}, True, True), ({"load_state": False}, True, False), ({"save_state": False}, False, False)],
)
def test_optimizer_state_goes_by_the_flags(options, written, restored):
    model, loader = setting()
    saved = BPTT(**options)
    state = saved.get_checkpoint_state(run(model, loader, saved))
    assert (state is not None) == written
    loaded = BPTT(**options)
    trainer = run(model, loader, loaded, n_iterations=0)
    steps = BPTT.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY
    content = {loaded.name: state or {steps: saved.optimizer.state_dict()}}
    loaded.load_checkpoint_state(trainer, content)
    assert bool(loaded.optimizer.state_dict()["state"]) == restored
