"""Which path a network takes, and that the fused paths are what they say."""

import functools

import pytest
import torch
from helpers import counted_operators

from neurotorch.modules.layers import IzhikevichLayer, LIFLayer, LILayer, Linear, SpyALIFLayerLPF, SpyLIFLayer
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.modules.spike_funcs import SpikeFunction


class Doubling(LIFLayer):
    """A user's layer."""

    def forward(self, inputs, state=None, **kwargs):
        out, state = super().forward(inputs, state, **kwargs)
        return 2.0 * out, state


def network(foresight=0, hidden=LILayer, activation="identity", **kwargs):
    layers = [LIFLayer(3, 5, name="a"), hidden(5, 4, name="b"), Linear(4, 3, name="c", activation=activation)]
    return SequentialRNN(layers, foresight, device="cpu", **kwargs).build()


def paths(model, **kwargs):
    return [layer.path for layer in model.plan(torch.zeros(2, 3, 3), **kwargs)]


def test_open_and_closed_loop():
    model = network()
    assert paths(model) == ["fused sequence"] * 3
    assert paths(model, foresight_time_steps=1) == ["fused sequence"] * 3
    assert paths(model, foresight_time_steps=2) == ["fused network"] * 3
    plan = model.plan(torch.zeros(2, 3, 3), foresight_time_steps=6)
    assert plan.is_fused
    assert len(plan) == 3
    assert "3 given time steps, then 5 in closed loop, float32" in str(plan)
    assert "a (LIFLayer): fused network" in str(plan)
    with pytest.raises(KeyError):
        plan["unknown"]


def test_plan_builds_an_unbuilt_model_and_runs_nothing():
    model = SequentialRNN([LIFLayer(None, 5)], device="cpu")
    assert model.plan(torch.zeros(2, 3, 7)).is_fused
    assert int(model["output_0"].input_size) == 7


def test_user_layer_steps_alone_in_open_loop_and_takes_the_closed_loop_with_it():
    model = network(hidden=Doubling)
    assert paths(model) == ["fused sequence", "step by step", "fused sequence"]
    plan = model.plan(torch.zeros(2, 3, 3), foresight_time_steps=4)
    assert [layer.path for layer in plan] == ["step by step"] * 3
    assert plan["b"].reason == "Doubling defines its own forward"
    assert plan["a"].reason == "because of b"
    assert not plan.is_fused


def test_user_layer_with_its_own_sequence_is_trusted():
    class Both(Doubling):
        def forward_sequence(self, x, state=None, *, trace=False, recompute_every=0):
            out, state = super().forward_sequence(x, state, trace=trace, recompute_every=recompute_every)
            return 2.0 * out, state

    model = network(hidden=Both)
    x = torch.randn(2, 6, 3)
    assert paths(model)[1] == "fused sequence"
    assert model.plan(x)["b"].reason == "in its own forward_sequence"
    # The fused network operator knows neither of its methods.
    assert model.plan(x, foresight_time_steps=4)["b"].reason == "Both defines its own forward"
    whole, forecast = model(x)[0]["c"], model(x, foresight_time_steps=4)[0]["c"]
    model["b"].register_forward_hook(lambda *_: None)
    torch.testing.assert_close(model(x)[0]["c"], whole)
    torch.testing.assert_close(model(x, foresight_time_steps=4)[0]["c"], forecast)


def test_hooks_and_their_removal():
    model = network()
    handles = [model["b"].register_forward_hook(lambda *_: None), model["c"].register_forward_pre_hook(lambda *_: None)]
    assert paths(model) == ["fused sequence", "step by step", "step by step"]
    assert model.plan(torch.zeros(2, 3, 3))["b"].reason == "it has hooks"
    for handle in handles:
        handle.remove()
    assert paths(model) == ["fused sequence"] * 3


def test_replaced_forward_runs_the_whole_network_in_time_order():
    model, calls = network(), []
    for name in ("a", "c"):
        layer = model[name]

        def patched(*args, forward=layer.forward, name=name, **kwargs):
            calls.append((name, kwargs["t"]))
            return forward(*args, **kwargs)

        layer.forward = patched
    plan = model.plan(torch.zeros(2, 3, 3))
    assert [layer.path for layer in plan] == ["step by step"] * 3
    assert plan["a"].reason == "its forward was replaced"
    assert plan["b"].reason == "because of a, c"
    model(torch.zeros(2, 3, 3))
    assert calls == [(name, t) for t in range(3) for name in ("a", "c")]


def test_activation_outside_the_operators_blocks_only_the_closed_loop():
    model = network(activation="softmax")
    assert paths(model) == ["fused sequence"] * 3
    assert model.plan(torch.zeros(2, 3, 3))["c"].reason == "its activation softmax is applied outside the operator"
    plan = model.plan(torch.zeros(2, 3, 3), foresight_time_steps=3)
    assert plan["c"].path == "step by step"
    assert "softmax" in plan["c"].reason


def test_initial_state_from_an_inner_input_blocks_the_closed_loop():
    layers = [LILayer(3, 4, name="a"), LILayer(4, 4, name="b", hh_init="inputs"), Linear(4, 3, name="c")]
    model = SequentialRNN(layers, 3, device="cpu").build()
    assert "initial state" in model.plan(torch.zeros(2, 3, 3))["b"].reason
    first = SequentialRNN([LILayer(3, 3, name="a", hh_init="inputs"), Linear(3, 3)], 3, device="cpu").build()
    assert first.plan(torch.zeros(2, 3, 3)).is_fused


class Straight(SpikeFunction):
    """A user's surrogate derivative: that of the identity."""

    @staticmethod
    def forward(ctx, v, threshold, gamma):
        return (v >= threshold).to(v.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad, None, None


class Counting(LIFLayer):
    """A user's regularisation, which reads the state of one step."""

    def update_regularization_loss(self, state=None, *args, **kwargs):
        self._regularization_loss = self._regularization_loss + state[0].shape[-1]
        return self._regularization_loss


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (LIFLayer(3, 5, name="a", spike_func=Straight), "the spike function Straight runs in Python"),
        (SpyALIFLayerLPF(3, 5, name="a", spike_func=Straight), "the spike function Straight runs in Python"),
        (IzhikevichLayer(3, 5, name="a", spike_func=Straight), "the spike function Straight runs in Python"),
        (Counting(3, 5, name="a", regularize=True), "Counting defines its own update_regularization_loss"),
    ],
    ids=["lif", "spy_alif_lpf", "izhikevich", "regularisation"],
)
@pytest.mark.parametrize("foresight", [0, 4])
def test_python_parts_of_a_layer_are_reported(layer, reason, foresight):
    model = SequentialRNN([layer, Linear(5, 3, name="c")], device="cpu").build()
    plan = model.plan(torch.zeros(2, 3, 3), foresight_time_steps=foresight)
    assert (plan["a"].path, plan["a"].reason) == ("step by step", reason)
    assert plan["c"].path == ("step by step" if foresight else "fused sequence")
    assert not plan.is_fused
    outputs, _ = model(torch.randn(2, 3, 3), foresight_time_steps=foresight)
    assert outputs["c"].shape == (2, 6 if foresight else 3, 3)


def test_initial_state_of_ones_own_blocks_the_closed_loop_behind_the_inputs():
    class Started(LILayer):
        def create_empty_state(self, batch_size=1, *, inputs=None, **kwargs):
            return (inputs.sum(dim=1, keepdim=True).expand(batch_size, int(self.output_size)),)

    model, x = network(4, hidden=Started), torch.randn(2, 3, 3)
    assert "create_empty_state may read its first input" in model.plan(x)["b"].reason
    assert model(x)[0]["c"].shape == (2, 4, 3)


def test_torch_module_steps():
    model = SequentialRNN([LIFLayer(3, 5), torch.nn.Linear(5, 2)], device="cpu").build()
    plan = model.plan(torch.zeros(2, 3, 3))
    assert plan["output_0"].reason == "Linear is not a layer of this library"
    assert plan["input_0"].path == "fused sequence"


def test_one_operator_per_layer_and_sequence_forward_and_backward():
    layers = [LIFLayer(3, 5), SpyLIFLayer(5, 4), LILayer(4, 2)]
    model = SequentialRNN(layers, device="cpu").build()
    x = torch.randn(2, 20, 3, requires_grad=True)
    counts = counted_operators(lambda: model(x)[0]["output_0"].sum().backward())
    assert counts == {
        f"neurotorch::{name}_{way}": 1 for name in ("lif", "spy_lif", "li") for way in ("forward", "backward")
    }


def test_one_operator_for_the_closed_loop_forward_and_backward():
    model, x = network(foresight=20), torch.randn(2, 3, 3, requires_grad=True)
    counts = counted_operators(lambda: model(x)[0]["c"].sum().backward())
    assert counts == {"neurotorch::network_forward": 1, "neurotorch::network_backward": 1}


def test_a_forward_that_hides_behind_a_decorator_is_found():
    class Constant(LIFLayer):
        @functools.wraps(LIFLayer.forward)
        def forward(self, inputs, state=None, **kwargs):
            out, state = super().forward(inputs, state, **kwargs)
            return out * 0 + 7.0, state

    model = SequentialRNN([Constant(3, 3)], 3, device="cpu").build()
    x = torch.rand(1, 2, 3)
    assert model.plan(x)["output_0"].path == "step by step"
    assert bool((model.get_prediction_trace(x) == 7.0).all())
