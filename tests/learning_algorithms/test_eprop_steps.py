"""E-prop step by step: subclasses with their own parts of the rule, layers of a user's own."""

import pytest
import torch
from test_eprop import SGD, build, data, train, values
from test_eprop_golden import CASES, read_case, recorded_model, recorded_rule
from test_eprop_golden import train as train_recorded

from neurotorch import Eprop, SequentialRNN
from neurotorch.modules.layers import BaseNeuronsLayer, LIFLayer, LILayer


class Steps(Eprop):
    """The rule as it is, in steps."""

    def compute_learning_signals(self, errors):
        return super().compute_learning_signals(errors)


@pytest.mark.parametrize("case", CASES)
def test_steps_are_what_the_driver_does(case):
    archive, meta = read_case(case)
    models, records = [], []
    for kind in (Eprop, Steps):
        models.append(recorded_model(archive, meta))
        rule = recorded_rule(archive, meta)
        rule.__class__ = kind
        records.append(train_recorded(models[-1], rule, archive, meta))
    assert rule.engine == "step by step: Steps defines its own compute_learning_signals"
    torch.testing.assert_close(
        torch.stack(records[1].predictions), torch.stack(records[0].predictions), rtol=1e-5, atol=2e-6
    )
    for (name, p), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        moved = (p - torch.from_numpy(archive[f"init/{name}"])).abs().max().item()
        share = 2e-3 if name.endswith("tau_sqrt") else 2e-4  # see test_eprop_golden.py
        torch.testing.assert_close(other, p, rtol=1e-6, atol=1e-6 + share * moved, msg=name)


@pytest.mark.parametrize("update", [1, 3, "sequence"])
def test_updates_of_steps(update):
    x, y = data(8)
    made = []
    for kind in (Eprop, Steps):
        model = build("SpyLIFLayer", two=True)
        train(model, kind(update=update, batch_reduction="mean_error", gamma=0.3, alpha=0.2, **SGD), x, y)
        made.append(values(model))
    for name, value in made[0].items():
        torch.testing.assert_close(made[1][name], value, msg=name)


def test_hooks_get_what_neurotorch_gives_them():
    x, y = data(5, batch=1)
    seen = []

    class Recording(Eprop):
        def _hidden_backward_at_t(self, t, backward_t, layer_name):
            seen.append((t, backward_t, layer_name))
            super()._hidden_backward_at_t(t, backward_t, layer_name)

        def compute_errors(self, pred_batch, y_batch):
            return {"default_key": 0.0 * next(iter(super().compute_errors(pred_batch, y_batch).values()))}

    model = build("LIFLayer")
    first = values(model)
    train(model, Recording(default_optimizer_cls=torch.optim.SGD, default_optim_kwargs={"lr": 0.1}), x, y)
    assert seen == [(t, 1, "h") for t in range(5)]
    changed = {name for name, value in values(model).items() if not torch.equal(value, first[name])}
    assert changed == {"output_layers.o._forward_weights", "output_layers.o.bias_weights"}


def test_a_replaced_method_of_the_object_counts():
    x, y = data(3, batch=1)
    rule = Eprop()
    calls = []
    rule.update_grads = calls.append
    train(build("LIFLayer"), rule, x, y)
    assert len(calls) == 3
    assert rule.engine == "step by step: Eprop defines its own update_grads"


class Squares(BaseNeuronsLayer):
    """A layer that the library does not know."""

    def forward(self, inputs, state=None, **kwargs):
        h = torch.zeros(len(inputs), int(self.output_size)).to(inputs) if state is None else state[0]
        h = 0.5 * h + (inputs @ self.forward_weights) ** 2
        return h, (h,)


def test_layers_of_ones_own_learn():
    x, y = data(6, batch=1)
    model = SequentialRNN([Squares(5, 6, name="h"), LILayer(6, 3, name="o")], device="cpu").build().double()
    weight = model.input_layers["h"].get_forward_weights_parameter()
    first, rule = weight.detach().clone(), Eprop(gamma=0.0, update="sequence", **{**SGD, "output_params_lr": 0.0})
    train(model, rule, x, y)
    assert rule.engine == "step by step: layer 'h': Squares is not a neuron layer of this library"
    # The gradient by hand: the derivative of the square, the state before held constant.
    expected, h, state = torch.zeros_like(first), x.new_zeros(1, 6), None
    names = [n for n, _ in model.input_layers["h"].named_parameters()]
    feedback = rule.feedback_weights["default_key"][names.index("_forward_weights")]
    for t in range(6):
        u = x[:, t] @ first
        h = 0.5 * h + u**2
        out, state = model.output_layers["o"](h, state)
        signal = (out.detach() - y[:, t]) @ feedback
        expected += x[:, t].T @ (2 * u * signal)
    torch.testing.assert_close(first - 0.1 * (expected + 0.01 * first), weight.detach())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eligibility": "published"}, "eligibility: expected 'instantaneous' step by step"),
        ({"feedback": "symmetric"}, "feedback: expected 'random' step by step"),
        ({}, 'batch_reduction: expected "mean_error" step by step'),
    ],
)
def test_what_steps_do_not_have(arguments, message):
    x, y = data(3)
    with pytest.raises(NotImplementedError, match=message):
        train(build("LIFLayer"), Steps(**arguments), x, y)
    model = SequentialRNN([LIFLayer(5, 6, name="h"), LILayer(6, 3, name="o")], device="cpu").build().double()
    assert model.online_rule is None
