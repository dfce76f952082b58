"""TBPTT against recorded training runs, against BPTT, and against gradients written out by hand."""

import math

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.utils.data import DataLoader, TensorDataset
from training_runs import Record, load, optimizer_arguments, run_again

from neurotorch import BPTT, TBPTT, CheckpointManager, LILayer, Linear, SequentialRNN, SpyLIFLayer, SpyLILayer, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.callbacks.teacher_forcing import TeacherForcing
from neurotorch.learning_algorithms.bptt import NonFiniteError
from neurotorch.metrics import NLLLoss
from neurotorch.modules.layers import BaseLayer, LIFLayer, WilsonCowanLayer

CASES = sorted(path.stem for path in (GOLDEN / "learning").glob("tbptt_*.npz"))
# Arguments that the recorded description leaves out, and steps that NeuroTorch drops at the end of a sequence.
LEFT_OUT = {"tbptt_k3_wilsoncowan_forecast": {"backward_time_steps": 3, "optim_time_steps": 3}}
DROPPED = {"tbptt_k3_tail_spylif_spyli": 1}

# An optimiser that leaves the weights.
STILL = {"default_optimizer_cls": torch.optim.SGD, "default_optim_kwargs": {"lr": 0.0}}


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_run(case):
    archive, meta = load(case)
    cls, arguments = optimizer_arguments(meta)
    own = {
        name: float(value) if name in ("alpha", "grad_norm_clip_value") else int(value)
        for name, value in meta["kwargs"].items()
        if name not in ("default_optimizer_cls", "default_optim_kwargs", "params_lr")
    }
    own.update(LEFT_OUT.get(case, {}))
    algorithm = TBPTT(default_optimizer_cls=cls, default_optim_kwargs=arguments, hidden_truncation=1, **own)
    _, record = run_again(archive, meta, algorithm, drift=True)

    np.testing.assert_allclose(torch.stack(record.predictions), archive["pred"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(record.losses, archive["train_loss"], rtol=1e-5)
    trainable = [name for name, is_trainable in meta["trainable"].items() if is_trainable]
    steps = len(archive[f"grad/{trainable[0]}"])
    assert len(record.grads) == steps + DROPPED.get(case, 0)
    for name in trainable:
        for step in range(steps):
            expected = archive[f"grad/{name}"][step]
            np.testing.assert_allclose(record.grads[step][name], expected, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(record.after[step][name], archive[f"after/{name}"][step], rtol=1e-5, atol=1e-6)
    # NeuroTorch decays frozen constants, and so did the run above; on its own the rule leaves them.
    algorithm = TBPTT(default_optimizer_cls=cls, default_optim_kwargs=arguments, hidden_truncation=1, **own)
    model, _ = run_again(archive, meta, algorithm)
    for name, p in model.named_parameters():
        if name not in trainable:
            assert torch.equal(p.detach(), torch.as_tensor(archive[f"init/{name}"])), name


def network(*, foresight=0, layers=None, n_out=3, **options):
    torch.manual_seed(1)
    layers = [SpyLIFLayer(4, 8, gamma=1.0), SpyLILayer(8, n_out)] if layers is None else layers
    return SequentialRNN(layers, foresight_time_steps=foresight, device="cpu", **options).build()


def closed_loop():
    torch.manual_seed(1)
    hidden = [WilsonCowanLayer(4, 6, dt=0.1, hh_init="zeros"), WilsonCowanLayer(6, 5, dt=0.1, hh_init="zeros")]
    return network(layers=[*hidden, Linear(5, 4, activation="sigmoid")], foresight=10)


def two_outputs():
    return network(layers=[LIFLayer(4, 8, gamma=1.0), {"a": LILayer(8, 3), "b": SpyLILayer(8, 2)}])


def data(model=None, *, steps=12, n_out=3, batches=2, given=None):
    generator = torch.Generator().manual_seed(7)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    loader = []
    for _ in range(batches):
        x = rand(3, steps if given is None else given, 4) * (4 if given is None else 1)
        outputs = {} if model is None else {name: layer.output_size.size for name, layer in model.output_layers.items()}
        y = {name: rand(3, steps, size) for name, size in outputs.items()}
        loader.append((x, y if len(y) > 1 else rand(3, steps, n_out)))
    return loader


def train(model, loader, *callbacks, n_iterations=2, method="get_prediction_trace", **options):
    trainer = Trainer(model, predict_method=method, callbacks=list(callbacks), verbose=False, **options)
    trainer.train(loader, n_iterations=n_iterations)
    return trainer


def assert_same_weights(model, other):
    for (name, value), expected in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, expected), name


SETTINGS = {
    "open loop": (network, lambda: data()),
    "closed loop": (closed_loop, lambda: data(steps=10, n_out=4, given=1)),
    "closed loop after given steps": (closed_loop, lambda: data(steps=10, n_out=4, given=5)),
    "two outputs": (two_outputs, lambda: data(two_outputs())),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_one_window_is_bptt_bit_for_bit(name):
    make, batches = SETTINGS[name]
    found = []
    for cls, options in ((BPTT, {}), (TBPTT, {"backward_time_steps": 14})):
        model = make()
        trainer = train(model, batches(), cls(params_lr=1e-2, grad_norm_clip_value=0.3, **options), n_iterations=3)
        found.append((model, list(trainer.training_history["train_loss"])))
    assert found[0][1] == found[1][1]
    assert_same_weights(found[0][0], found[1][0])
    moved = [not torch.equal(v, w) for v, w in zip(make().state_dict().values(), found[0][0].state_dict().values())]
    assert any(moved)


def gradients_by_hand(model, x, y, windows, foresight=False):
    """Sum over windows of the gradients of their losses; states and outputs that are fed back start as constants."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in named.items()}
    layers, states, out = model.get_all_layers(), [None] * len(model.get_all_layers()), None
    for start, stop in windows:
        states = [None if s is None else tuple(t.detach() for t in s) for s in states]
        out, outs = None if out is None else out.detach(), []
        for t in range(start, stop):
            current = x[:, t] if t < x.shape[1] else out
            for k, layer in enumerate(layers):
                result = layer(current, states[k])
                current, states[k] = result if isinstance(result, tuple) else (result, None)
            out = current
            outs.append(out)
        loss = (torch.stack(outs, 1) - y[:, start:stop]).square().mean()
        grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        for name, grad in zip(named, grads, strict=True):
            total[name] += 0 if grad is None else grad
    return total


@pytest.mark.parametrize("name", ["open loop", "closed loop"])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_truncates_after_k_steps(name, k):
    make, batches = SETTINGS[name]
    (x, y), *_ = batches()
    steps = y.shape[1]
    windows = [(start, min(start + k, steps)) for start in range(0, steps, k)]
    expected = gradients_by_hand(make(), x, y, windows)
    # One optimiser step at the end, of the sum over windows.
    algorithm = TBPTT(backward_time_steps=k, optim_time_steps=steps, **STILL)
    record = Record(algorithm)
    train(make(), [(x, y)], algorithm, record, n_iterations=1)
    assert len(record.grads) == 1
    for parameter, grad in record.grads[0].items():
        torch.testing.assert_close(grad, expected[parameter], rtol=1e-4, atol=1e-6)
    assert sum(float(g.abs().sum()) for g in record.grads[0].values()) > 0.1
    whole = gradients_by_hand(make(), x, y, [(0, steps)])
    assert any(not torch.allclose(whole[n], g, rtol=1e-2, atol=1e-4) for n, g in record.grads[0].items())


@pytest.mark.parametrize("steps", [12, 13, 25])
def test_steps_when_due_and_at_the_end_in_every_batch(steps):
    algorithm = TBPTT(backward_time_steps=3, optim_time_steps=5)
    record = Record(algorithm)
    seen = []
    original = algorithm._backward_at_t
    algorithm._backward_at_t = lambda t, backward_t, name: (seen.append((t, backward_t)), original(t, backward_t, name))
    train(network(), data(steps=steps, batches=3), algorithm, record, n_iterations=2)
    ends = [t for t, _ in seen[: len(seen) // 6]]
    assert [t for t, _ in seen] == ends * 6
    assert ends[:4] == [2, 4, 7, 9]
    assert ends[-1] == steps - 1
    assert sum(backward_t for _, backward_t in seen) == steps * 6
    assert len(record.grads) == 6 * math.ceil(steps / 5)


@pytest.mark.parametrize(("steps", "expected"), [(25, (2, 2)), (5, (1, 1)), (100, (10, 10))])
def test_automatic_steps_follow_the_target(steps, expected):
    algorithm = TBPTT()
    train(network(), data(steps=steps), algorithm, n_iterations=2)
    assert (algorithm.backward_time_steps, algorithm.optim_time_steps) == expected


def test_automatic_steps_fit_the_given_ones():
    algorithm = TBPTT(optim_time_steps=1)
    train(network(), data(steps=40), algorithm, n_iterations=1)
    assert (algorithm.backward_time_steps, algorithm.optim_time_steps) == (1, 1)
    algorithm = TBPTT(backward_time_steps=2, auto_optim_time_steps_ratio=0.5)
    train(network(), data(steps=40), algorithm, n_iterations=1)
    assert (algorithm.backward_time_steps, algorithm.optim_time_steps) == (2, 20)


def test_targets_belong_to_the_last_steps_of_the_run():
    """Five given steps and nine more, of which the last ten are returned: four have no target."""
    model = closed_loop()
    (x, y), *_ = data(steps=10, n_out=4, given=5)
    seen = []

    class Window(TBPTT):
        def _backward_at_t(self, t, backward_t, layer_name):
            pred = self._get_pred_batch_from_buffer(layer_name)
            target = self._get_y_batch_slice_from_trainer(t + 1 - backward_t, t + 1, layer_name)
            seen.append((t, backward_t, tuple(pred.shape), target))
            super()._backward_at_t(t, backward_t, layer_name)

    rule = Window(backward_time_steps=3, **STILL)
    with torch.no_grad():
        expected = model.get_prediction_trace(x)
    trainer = train(model, [(x, y)], rule, n_iterations=1)
    assert [(t, n) for t, n, *_ in seen] == [(5, 2), (8, 3), (11, 3), (13, 2)]
    assert torch.equal(torch.cat([target for *_, target in seen], 1), y)
    torch.testing.assert_close(trainer.state.pred_batch, expected)
    assert not trainer.state.pred_batch.requires_grad


@pytest.mark.parametrize("memory", [1, 4, 12])
def test_returns_what_a_run_returns(memory):
    kinds = [network, lambda **o: network(layers=[WilsonCowanLayer(4, 5, hh_init="zeros"), Linear(5, 3)], **o)]
    for make in kinds:
        model, (x, y) = make(hh_memory_size=memory, out_memory_size=memory), data()[0]
        outs, hidden = model(x)
        rule = TBPTT(backward_time_steps=5, **STILL)
        trainer = train(model, [(x, y[:, -memory:])], rule, n_iterations=1, method="__call__")
        found, states = trainer.state.pred_batch
        for name in outs:
            torch.testing.assert_close(found[name], outs[name])
        for name, entry in hidden.items():
            assert len(states[name]) == len(entry)
            for value, expected in zip(states[name], entry, strict=True):
                if expected is not None:
                    torch.testing.assert_close(value, expected)


def test_target_without_time_is_that_of_every_step():
    losses = []
    y = torch.rand(3, 3)
    for target in (y, y.unsqueeze(1).repeat(1, 12, 1)):
        model, (x, _) = network(), data()[0]
        trainer = train(model, [(x, target)], TBPTT(backward_time_steps=4, params_lr=1e-2), n_iterations=2)
        losses.append((trainer.training_history["train_loss"], model))
    assert list(losses[0][0]) == list(losses[1][0])
    assert_same_weights(losses[0][1], losses[1][1])


@pytest.mark.parametrize("over_time", [False, True])
def test_classes_are_targets_too(over_time):
    """One class per sequence, or per step: with one window as in BPTT, with several the same loss to begin with."""
    labels = torch.randint(0, 3, (3, 12) if over_time else (3,))
    found = []
    for rule in (BPTT(params_lr=1e-2), TBPTT(params_lr=1e-2, backward_time_steps=12), TBPTT(backward_time_steps=5)):
        model, (x, _) = network(output_transform=lambda out: torch.log_softmax(out, -1)), data()[0]
        rule.criterion = NLLLoss()
        y = labels if over_time or isinstance(rule, TBPTT) else labels.unsqueeze(1).repeat(1, 12)
        trainer = train(model, [(x, y)], rule, n_iterations=2)
        found.append((model, trainer.training_history["train_loss"]))
    assert_same_weights(found[0][0], found[1][0])
    assert list(found[0][1]) == list(found[1][1])
    assert found[2][1][0] == pytest.approx(found[0][1][0], rel=1e-2)


def test_frozen_parameters_stay():
    model = network()
    model.get_layer().freeze_weights = True
    before = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert any(name.endswith("_forward_weights") for name in before)
    rule = TBPTT(params_lr=0.1, weight_decay=0.5, alpha=0.3)
    record = Record(rule)
    train(model, data(), rule, record, n_iterations=3)
    for name, value in before.items():
        assert torch.equal(dict(model.named_parameters())[name], value), name
        assert all(name not in grads for grads in record.grads)


def test_alpha_keeps_a_part_of_the_gradients_before():
    found = {}
    for alpha in (0.0, 0.5):
        rule = TBPTT(alpha=alpha, backward_time_steps=4, **STILL)
        found[alpha] = Record(rule)
        train(network(), data(batches=1), rule, found[alpha], n_iterations=2)
    plain, kept = found[0.0].grads, found[0.5].grads
    assert len(plain) == len(kept) == 6
    for start in (0, 3):  # nothing is kept from batch to batch
        expected = None
        for step in range(start, start + 3):
            now = plain[step]
            expected = now if expected is None else {n: 0.5 * expected[n] + g for n, g in now.items()}
            for name, grad in kept[step].items():
                torch.testing.assert_close(grad, expected[name])


def test_clips_after_every_window():
    rule = TBPTT(grad_norm_clip_value=1e-2)
    record = Record(rule)
    train(network(), data(), rule, record)
    for grads in record.grads:
        assert math.sqrt(sum(float(g.square().sum()) for g in grads.values())) == pytest.approx(1e-2, rel=1e-3)


class Stacked(torch.nn.Module):
    """A recurrent module of a user's own, whose state is one tensor."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 5)
        self.times = []

    def forward(self, x, state=None, **kwargs):
        self.times.append((kwargs.get("t"), kwargs.get("tau")))
        assert state is None or isinstance(state, torch.Tensor)
        now = torch.tanh(self.linear(x) + (0 if state is None else state))
        return now, now


@pytest.mark.parametrize("foresight", [0, 4])
def test_layers_of_a_users_own_run_on_through_windows(foresight):
    found = []
    for steps in (12, 5):
        torch.manual_seed(1)
        own = Stacked()
        model = network(layers=[own, LILayer(5, 4)], foresight=foresight)
        x, y = data(n_out=4, batches=1)[0]
        if foresight:
            x, y = x[:, :6] / 4, y[:, :4]
        rule = TBPTT(backward_time_steps=steps, **STILL)
        trainer = train(model, [(x, y)], rule, n_iterations=1)
        found.append((trainer.state.pred_batch, own.times[-(x.shape[1] + max(0, foresight - 1)) :]))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[0][1][-1] == ((8, 2) if foresight else (11, None))


def test_teacher_is_the_one_of_the_same_step():
    series = torch.rand(1, 11, 4)
    found = []
    for steps in (10, 3):
        model = closed_loop()
        rule = TBPTT(backward_time_steps=steps, **STILL)
        trainer = train(model, [(series[:, :1], series[:, 1:])], rule, TeacherForcing(0.7, 0.7), n_iterations=1)
        found.append(trainer.state.pred_batch)
    torch.testing.assert_close(found[0], found[1])


def test_output_transform_acts_on_the_loss_and_counts_once():
    found = []
    for cls, options in ((BPTT, {}), (TBPTT, {"backward_time_steps": 12})):
        model = network(output_transform=lambda x: torch.sigmoid(3 * x))
        train(model, data(), cls(params_lr=1e-2, **options))
        found.append(model)
    assert_same_weights(*found)


def test_only_the_given_output_layers_count():
    model = two_outputs()
    before = {name: p.clone() for name, p in model.named_parameters()}
    rule = TBPTT(output_layers=model.get_layer("a"), default_optimizer_cls=torch.optim.SGD, params_lr=0.1,
                 default_optim_kwargs={"lr": 0.1})  # fmt: skip
    train(model, data(model), rule)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert "output_layers.a._forward_weights" in changed
    assert not any(name.startswith("output_layers.b") for name in changed)


def test_validation_does_not_learn():
    model, loader = network(), data()
    rule = TBPTT(params_lr=0.0, weight_decay=0.0)
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
    steps = []
    original = rule._make_optim_step
    rule._make_optim_step = lambda **kwargs: (steps.append(trainer.state.batch_is_train), original(**kwargs))
    trainer.train(loader, loader, n_iterations=1)
    assert steps
    assert all(steps)
    history = trainer.training_history
    assert history["train_loss"][0] == pytest.approx(history["val_loss"][0])


def test_leaves_the_model_after_the_run_and_after_an_error():
    model, seen = network(), []

    class Watch(BaseCallback):
        def on_batch_begin(self, trainer, **kwargs):
            seen.append(model.online_rule)

        def on_optimization_begin(self, trainer, **kwargs):
            seen.append(model.online_rule)

    rule = TBPTT()
    train(model, data(batches=1), rule, Watch(priority=99), n_iterations=1)
    assert seen == [rule, None]
    assert model.online_rule is None

    def fail(pred, y):
        raise RuntimeError("broken criterion")

    with pytest.raises(RuntimeError, match="broken criterion"):
        train(model, data(), TBPTT(criterion=fail))
    assert model.online_rule is None

    class Early(BaseCallback):
        def on_batch_begin(self, trainer, **kwargs):
            raise RuntimeError("before the run")

    with pytest.raises(RuntimeError, match="before the run"):
        train(model, data(), TBPTT(), Early(priority=99))
    assert model.online_rule is None
    assert all("forward" not in layer.__dict__ for layer in model.get_all_layers())


def test_overridden_hooks_are_called():
    calls = []

    class Own(TBPTT):
        def _backward_at_t(self, t, backward_t, layer_name):
            calls.append(("backward", t, layer_name))
            super()._backward_at_t(t, backward_t, layer_name)

        def _make_optim_step(self, **kwargs):
            calls.append(("step",))
            super()._make_optim_step(**kwargs)

        def apply_criterion(self, pred_batch, y_batch, criterion=None):
            calls.append(("loss", tuple(pred_batch.shape)))
            return super().apply_criterion(pred_batch, y_batch, criterion)

    model = network()
    train(model, data(batches=1, steps=6), Own(backward_time_steps=3), n_iterations=1)
    window = lambda t: [("backward", t, "output_0"), ("loss", (3, 3, 3)), ("step",)]  # noqa: E731
    assert calls == [*window(2), *window(5), ("loss", (3, 6, 3))]


def test_own_gradients_of_a_window_are_stepped():
    class Own(TBPTT):
        def _backward_at_t(self, t, backward_t, layer_name):
            for p in self.params:
                p.grad = torch.ones_like(p) if p.requires_grad else None

    model = network()
    before = model.get_layer()._forward_weights.detach().clone()
    rule = Own(backward_time_steps=3, default_optimizer_cls=torch.optim.SGD, default_optim_kwargs={"lr": 1.0})
    train(model, data(batches=1, steps=6), rule, n_iterations=1)
    torch.testing.assert_close(model.get_layer()._forward_weights.detach(), before - 2)


def test_resume_gives_the_same_bits(tmp_path):
    def weights(folder, *totals):
        for total in totals:
            model = network()
            rule = TBPTT(params_lr=0.05, alpha=0.2, backward_time_steps=5)
            train(model, data(), rule, CheckpointManager(folder, metric="train_loss"), n_iterations=total)
        return model

    assert_same_weights(weights(tmp_path / "whole", 5), weights(tmp_path / "parts", 1, 3, 5))


def test_layer_regularisation_is_that_of_every_step():
    def grads(**options):
        torch.manual_seed(1)
        layer = SpyLIFLayer(4, 8, gamma=1.0, regularize=True, spikes_regularization_factor=0.1)
        rule = TBPTT(criterion=lambda pred, y: 0 * pred.sum(), optim_time_steps=12, **STILL, **options)
        record = Record(rule)
        train(network(layers=[layer, LILayer(8, 3)]), data(batches=1), rule, record, n_iterations=1)
        return record.grads[0]["input_layers.input_0._forward_weights"]

    assert float(grads(backward_time_steps=6).abs().max()) == 0.0
    cut = grads(backward_time_steps=2, regularize_layers=True)
    assert float(cut.abs().max()) > 0.0
    torch.testing.assert_close(grads(backward_time_steps=6, hidden_truncation=2, regularize_layers=True), cut)


def test_non_finite_loss_leaves_the_weights():
    model, loader = network(), data()
    loader[0][1][:, 6:] = math.nan
    rule = TBPTT(backward_time_steps=12)
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        train(model, loader, rule)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    loader[0][0][:, 7] = math.nan
    with pytest.raises(NonFiniteError, match="the prediction 'output_0' is not finite from time step 7 on"):
        train(network(layers=[LILayer(4, 3)]), loader, TBPTT(backward_time_steps=3))


def test_inputs_that_need_a_gradient_warn():
    model = network(input_transform=torch.nn.Linear(4, 4))
    with pytest.warns(UserWarning, match="what makes the inputs gets no gradient"):
        train(model, data(batches=1), TBPTT(), n_iterations=1)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (NotImplementedError, r"backward_time_steps: expected at most the 2 optim_time_steps, got 3",
         {"backward_time_steps": 3, "optim_time_steps": 2}),
        (ValueError, "backward_time_steps: expected a whole number of 1 or more, got 0", {"backward_time_steps": 0}),
        (ValueError, "hidden_truncation: expected a whole number", {"hidden_truncation": 1.5}),
        (AssertionError, "auto_backward_time_steps_ratio: expected a number between 0 and 1, got 1.5",
         {"auto_backward_time_steps_ratio": 1.5}),
        (AssertionError, "auto_optim_time_steps_ratio", {"auto_optim_time_steps_ratio": -0.1}),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(error, message, options):
    with pytest.raises(error, match=message):
        TBPTT(**options)


def test_models_and_layers_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="model: TBPTT needs a SequentialRNN, got Linear"):
        train(torch.nn.Linear(4, 3), data(), TBPTT(), method="__call__")
    model = network()
    with pytest.raises(ValueError, match="output_layers: expected some of output_0, got input_0"):
        train(model, data(), TBPTT(output_layers=[model.get_layer()]))
    with pytest.raises(ValueError, match="output_layers: expected some of output_0, got none"):
        train(model, data(), TBPTT(output_layers=[]))
    with pytest.raises(ValueError, match="y: expected at most 12 time steps, as many as the model runs, got 13"):
        train(model, [(torch.rand(2, 12, 4), torch.rand(2, 13, 3))], TBPTT())

    class Own(SequentialRNN):
        def get_prediction_trace(self, inputs, **kwargs):
            return torch.zeros(3, 12, 3)

    with pytest.raises(RuntimeError, match="without a run of the model"):
        train(Own([LILayer(4, 3)], device="cpu").build(), data(), TBPTT())


def test_own_layers_with_their_own_forward_learn():
    class Own(BaseLayer):
        def build(self):
            super().build()
            self.weight = torch.nn.Parameter(torch.rand(4, 5))
            return self

        def create_empty_state(self, batch_size=1, **kwargs):
            return (torch.zeros(batch_size, 5),)

        def forward(self, inputs, state=None, **kwargs):
            (h,) = self._init_forward_state(state, len(inputs))
            h = torch.tanh(inputs @ self.weight + h)
            return h, (h,)

    torch.manual_seed(1)
    layer = Own(4, 5)
    model = network(layers=[layer, LILayer(5, 3)])
    before = layer.weight.detach().clone()
    train(model, data(), TBPTT(backward_time_steps=3))
    assert not torch.equal(before, layer.weight)


def test_extra_repr_and_exports():
    import neurotorch
    from neurotorch.learning_algorithms import TBPTT as exported

    assert neurotorch.TBPTT is exported
    assert "backward_time_steps=3" in repr(TBPTT(backward_time_steps=3))


def test_dataloader_with_a_short_last_batch():
    x, y = torch.rand(5, 12, 4) * 4, torch.rand(5, 12, 3)
    trainer = train(network(), DataLoader(TensorDataset(x, y), batch_size=2), TBPTT(params_lr=1e-2), n_iterations=3)
    losses = list(trainer.training_history["train_loss"])
    assert losses[-1] < losses[0]
