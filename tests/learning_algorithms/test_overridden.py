"""Methods and attributes of the learning algorithms that subclasses override and call."""

import math

import pytest
import torch

from neurotorch import BPTT, TBPTT, Eprop, LILayer, SequentialRNN, SpyLIFLayer, Trainer
from neurotorch.callbacks import BaseCallback

SGD = {"default_optimizer_cls": torch.optim.SGD, "default_optim_kwargs": {"lr": 0.1}}


def network():
    torch.manual_seed(1)
    hidden, readout = SpyLIFLayer(3, 5, name="h", gamma=1.0), LILayer(5, 2, name="o")
    return SequentialRNN([hidden, readout], device="cpu").build()


def train(rule, *callbacks, model=None, n_iterations=1):
    """A small model after a batch of two samples and ten steps per iteration; returns the trainer."""
    model = network() if model is None else model
    torch.manual_seed(2)
    batches = [(3 * torch.rand(2, 10, 3), torch.randn(2, 10, 2))]
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, *callbacks], verbose=False)
    trainer.train(batches, n_iterations=n_iterations)
    return trainer


def values(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("rule", [BPTT, TBPTT, Eprop])
def test_class_of_the_default_optimizer(rule):
    assert rule.DEFAULT_OPTIMIZER_CLS is torch.optim.AdamW

    class Plain(rule):
        DEFAULT_OPTIMIZER_CLS = torch.optim.SGD

    made = Plain(default_optim_kwargs={"lr": 0.1})
    train(made)
    assert type(made.optimizer) is torch.optim.SGD
    assert type(rule(**SGD).default_optimizer_cls) is type


def test_groups_of_parameters_may_be_ones_own():
    class Halves(BPTT):
        def initialize_param_groups(self):
            super().initialize_param_groups()
            whole = self.param_groups[self.OPTIMIZER_PARAMS_GROUP_IDX]["params"]
            self.param_groups = [{"params": whole[:2], "lr": 0.5}, {"params": whole[2:], "lr": 0.25}]
            return self.param_groups

    rule = Halves(**SGD)
    train(rule)
    assert [group["lr"] for group in rule.optimizer.param_groups] == [0.5, 0.25]

    rule = Eprop(params_lr=0.5, output_params_lr=0.25)
    train(rule)
    groups = rule.param_groups
    assert groups[rule.OPTIMIZER_PARAMS_GROUP_IDX]["lr"] == 0.5
    assert groups[rule.OPTIMIZER_OUTPUT_PARAMS_GROUP_IDX]["params"] == [
        p for p in rule.output_params if p.requires_grad
    ]


def test_step_of_bptt_may_be_ones_own():
    calls = []

    class Own(BPTT):
        def _make_optim_step(self, pred_batch, y_batch, retain_graph=False):
            calls.append((pred_batch.shape, y_batch.shape))
            return super()._make_optim_step(pred_batch, y_batch, retain_graph=True) + 1

    own, plain = train(Own(**SGD)), train(BPTT(**SGD))
    assert calls == [((2, 10, 2), (2, 10, 2))]
    assert torch.equal(values(own.model), values(plain.model))
    assert own.state.batch_loss == plain.state.batch_loss + 1


@pytest.mark.parametrize("rule", [TBPTT, Eprop])
def test_layers_of_the_model_are_found(rule):
    made, model = rule(**SGD), network()
    train(made, model=model)
    assert made.layers == [model.get_layer("h")]
    assert made.output_layers == [model.get_layer("o")]


@pytest.mark.parametrize("rule", [TBPTT, Eprop])
def test_the_model_is_taken_over_in_training_batches_only(rule):
    seen = []

    class Look(BaseCallback):
        def on_batch_begin(self, trainer, **kwargs):
            seen.append(trainer.model.online_rule)

        def on_batch_end(self, trainer, **kwargs):
            seen.append(trainer.model.online_rule)

    made = rule(**SGD)
    trainer = train(made, Look(priority=made.priority + 1))
    assert seen == [made, None]
    made.decorate_forwards()
    assert trainer.model.online_rule is made
    made.undecorate_forwards()
    assert trainer.model.online_rule is None


def test_a_rule_gives_back_only_what_it_has_taken():
    first, second = TBPTT(**SGD), TBPTT(**SGD)
    trainer = train(first)
    second.trainer = trainer
    first.decorate_forwards()
    second.undecorate_forwards()
    assert trainer.model.online_rule is first
    TBPTT().undecorate_forwards()


def test_windows_may_be_ones_own():
    seen = []

    class Own(TBPTT):
        def _maybe_update_time_steps(self):
            super()._maybe_update_time_steps()
            seen.append((self._data_n_time_steps, self.backward_time_steps, self.optim_time_steps))
            self.backward_time_steps, self.optim_time_steps = 4, 8

        def _backward_at_t(self, t, backward_t, layer_name):
            seen.append((t, backward_t))
            super()._backward_at_t(t, backward_t, layer_name)

    train(Own(auto_backward_time_steps_ratio=0.2, **SGD))
    assert seen == [(10, 2, 2), (3, 4), (7, 4), (9, 2)]
    rule, y, x = TBPTT(), torch.zeros(2, 7, 3), torch.zeros(2, 5, 3)
    assert rule._get_data_time_steps_from_y_batch(y, x) == 7
    assert rule._get_data_time_steps_from_y_batch({"a": y}, x) == 7
    assert rule._get_data_time_steps_from_y_batch(torch.zeros(2), x) == 5


def test_parts_of_a_window_may_be_ones_own():
    calls = []

    class Own(TBPTT):
        def _compute_decay_grads_(self, batch_loss):
            calls.append("decay")
            super()._compute_decay_grads_(batch_loss)

        def _apply_grads(self):
            calls.append("apply")
            super()._apply_grads()

        def _clip_grads(self):
            calls.append("clip")
            super()._clip_grads()

        def _grads_zeros_(self):
            calls.append("zeros")
            super()._grads_zeros_()

    options = {"backward_time_steps": 5, "optim_time_steps": 10, **SGD}
    own, plain = train(Own(alpha=0.5, **options)), train(TBPTT(alpha=0.5, **options))
    assert calls == ["zeros", *["decay", "apply", "clip"] * 2]
    assert torch.equal(values(own.model), values(plain.model))
    calls.clear()
    train(Own(alpha=0.0, **options))
    assert calls == ["zeros", "clip", "clip"]


def test_feedback_may_be_ones_own(monkeypatch):
    class Halved(Eprop):
        def make_feedback_weights(self, *args, **kwargs):
            return 0.5 * super().make_feedback_weights(*args, **kwargs)

    rule, plain = Halved(**SGD), Eprop(**SGD)
    train(rule)
    train(plain)
    assert rule.engine == plain.engine == "native driver"
    for halved, matrix in zip(rule.feedback_weights["default_key"], plain.feedback_weights["default_key"], strict=True):
        torch.testing.assert_close(halved, 0.5 * matrix)

    def counted(n_out, n, *, generator):
        return torch.arange(float(n_out * n)).reshape(n_out, n)

    monkeypatch.setitem(Eprop.FEEDBACKS_GEN_FUNCS, "counted", counted)
    rule = Eprop(feedbacks_gen_strategy="Counted", feedback_weights_norm_clip_value=2.0, **SGD)
    train(rule)
    matrix = next(m for m in rule.feedback_weights[Eprop.DEFAULT_Y_KEY] if m.shape == (2, 5))
    drawn = counted(2, 5, generator=None)
    torch.testing.assert_close(matrix, 2.0 * drawn / drawn.norm())
    with pytest.raises(NotImplementedError, match="expected one of randn, .*counted, got 'none'"):
        train(Eprop(feedbacks_gen_strategy="none"))


def test_numbers_of_steps_are_attributes():
    assert (Eprop().backward_time_steps, Eprop().optim_time_steps) == (1, 1)
    assert (Eprop(update=3).optim_time_steps, Eprop(update="sequence").optim_time_steps) == (3, None)


def test_feedback_is_drawn_again_from_the_seed():
    rule = Eprop(seed=3, **SGD)
    train(rule)
    first = rule.feedback_weights["default_key"]
    again = rule.initialize_feedback_weights(torch.zeros(1, 2))["default_key"]
    assert rule.feedback_weights["default_key"] is again
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = rule.initialize_feedback_weights({"a": torch.zeros(1, 4)})
    assert [m.shape for m in other["a"]] == [(4, m.shape[1]) for m in first]
    assert Eprop.DEFAULT_FEEDBACKS_STR_NORM_CLIP_VALUE["ones"] == 1.0
    assert Eprop.DEFAULT_FEEDBACKS_STR_NORM_CLIP_VALUE[Eprop.DEFAULT_FEEDBACKS_GEN_STRATEGY] == math.inf


def test_given_parameters_stay_the_given_ones():
    model = network()
    weight, readout = model.get_layer("h").get_forward_weights_parameter(), model.get_layer("o").bias_weights
    rule = Eprop(params=[weight], output_params=[readout], **SGD)
    before = values(model)
    train(rule, model=model)
    assert (rule.params, rule.output_params) == ([weight], [readout])
    assert int((values(model) != before).sum()) <= weight.numel() + readout.numel()
    rule = Eprop(params=[weight], layers=model.get_layer("h"), **SGD)
    train(rule, model=model)
    assert rule.params[0] is weight
    assert len(rule.params) == len(list(model.get_layer("h").parameters()))


def test_traces_are_zeros_before_each_batch():
    calls = []

    class Own(Eprop):
        def eligibility_traces_zeros_(self):
            super().eligibility_traces_zeros_()
            calls.append([int(t.count_nonzero()) for t in (*self.eligibility_traces, *self.output_eligibility_traces)])

    rule = Own(batch_reduction="mean_error", **SGD)
    train(rule, n_iterations=2)
    assert rule.engine == "step by step: Own defines its own eligibility_traces_zeros_"
    assert len(calls) == 2
    assert not any(map(sum, calls))
    assert any(bool(t.any()) for t in rule.eligibility_traces)


class Wrapping(TBPTT):
    """Wraps the layers as subclasses written for NeuroTorch do."""

    def start(self, trainer, **kwargs):
        BPTT.start(self, trainer, **kwargs)
        self.initialize_output_layers(trainer)
        self.initialize_layers(trainer)
        self._initialize_original_forwards()

    def decorate_forwards(self):
        if not self._forwards_decorated:
            self._initialize_original_forwards()
        for layer in self.layers:
            self._hidden_layer_names.append(layer.name)
            layer.forward = self._decorate_hidden_forward(layer.forward, layer.name)
        for layer in self.output_layers:
            layer.forward = self._decorate_forward(layer.forward, layer.name)
        self._forwards_decorated = True


@pytest.mark.parametrize("options", [{}, {"alpha": 0.5}, {"grad_norm_clip_value": 0.1}])
@pytest.mark.parametrize(("backward", "optim"), [(1, 1), (2, 4), (5, 5), (3, 3), (10, 10)])
def test_wrapped_layers_learn_what_windows_learn(options, backward, optim):
    options = {"backward_time_steps": backward, "optim_time_steps": optim, **SGD, **options}
    wrapping = Wrapping(**options)
    wrapped, windows = train(wrapping, n_iterations=2), train(TBPTT(hidden_truncation=1, **options), n_iterations=2)
    torch.testing.assert_close(values(wrapped.model), values(windows.model), rtol=1e-5, atol=1e-6)
    assert (values(wrapped.model) - values(network())).abs().max() > 1e-3
    torch.testing.assert_close(wrapped.state.batch_loss, windows.state.batch_loss)
    # The layers are as they were, and run fused again.
    assert all("forward" not in layer.__dict__ for layer in wrapped.model.get_all_layers())
    assert wrapped.model.plan(torch.zeros(1, 2, 3))["h"].path == "fused sequence"
    assert wrapping._hidden_layer_names == ["h", "h"]


def test_wrapped_layers_get_their_own_targets():
    rule = Wrapping(**SGD)
    rule.trainer = train(TBPTT(**SGD))
    y = torch.randn(2, 10, 2)
    for batch, name, expected in (
        (y, "o", y[:, 3:5]),
        ({"o": y}, "o", y[:, 3:5]),
        ({"o": y}, None, {"o": y[:, 3:5]}),
        (y[:, 0], "o", torch.stack([y[:, 0], y[:, 0]], dim=1)),
    ):
        rule.trainer.update_state_(y_batch=batch)
        torch.testing.assert_close(rule._get_y_batch_slice_from_trainer(3, 5, name), expected)


def test_wrapped_layers_are_put_back_after_an_error():
    class Failing(Wrapping):
        def _backward_at_t(self, t, backward_t, layer_name):
            raise KeyError("on purpose")

    model = network()
    own = model.get_layer("h").forward = model.get_layer("h").forward
    with pytest.raises(KeyError, match="on purpose"):
        train(Failing(**SGD), model=model)
    assert "forward" not in model.get_layer("o").__dict__
    assert model.get_layer("h").forward in (own, type(model.get_layer("h")).forward.__get__(model.get_layer("h")))
