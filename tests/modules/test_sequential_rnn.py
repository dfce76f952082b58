"""Networks over time: inputs, memories, states, feedback, predictions."""

import copy
import math

import numpy as np
import pytest
import torch

from neurotorch.modules.layers import BaseLayer, LIFLayer, LILayer, Linear, SpyLIFLayer, SpyLIFLayerLPF, SpyLILayer
from neurotorch.modules.sequential_rnn import SequentialRNN
from neurotorch.transforms import ReduceMax

INF = math.inf


def network(foresight=0, **kwargs):
    """4 -> 6 -> 5 -> 4: spiking, spiking with low-pass output, readout without state."""
    layers = [
        LIFLayer(4, 6, name="a", gamma=5.0),
        SpyLIFLayerLPF(6, 5, name="b", gamma=5.0),
        Linear(5, 4, name="c", activation="sigmoid"),
    ]
    return strong(SequentialRNN(layers, foresight, device="cpu", **kwargs).build())


def strong(model):
    """Weights large enough that the neurons spike."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("_forward_weights"):
                p.copy_(torch.randn(p.shape))
    return model


def stepwise(model):
    """A copy with a hook on every layer, so that each runs in Python."""
    model = copy.deepcopy(model)
    for layer in model.get_all_layers():
        layer.register_forward_hook(lambda *_: None)
    return model


def leaves(model, x):
    return [x, *[p for p in model.parameters() if p.requires_grad]]


def assert_same_run(model, x, **kwargs):
    """Fused and step-by-step runs agree in outputs, states and gradients."""
    steps = stepwise(model)
    assert model.plan(x).is_fused
    assert not steps.plan(x).is_fused
    results = []
    for m in (model, steps):
        inputs = {k: v.clone().requires_grad_() for k, v in x.items()} if isinstance(x, dict) else x.clone()
        outputs, hidden = m(inputs if isinstance(x, dict) else inputs.requires_grad_(), **kwargs)
        traces = {f"{name}/{i}": s for name, h in hidden.items() for i, s in enumerate(h) if s is not None}
        coefficients = torch.Generator().manual_seed(1)
        loss = sum((v * torch.randn(v.shape, generator=coefficients)).sum() for v in {**outputs, **traces}.values())
        given = list(inputs.values()) if isinstance(x, dict) else [inputs]
        wanted = [*given, *[p for p in m.parameters() if p.requires_grad]]
        grads = torch.autograd.grad(loss, wanted, allow_unused=True)
        none = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, wanted, strict=True)]
        results.append((outputs, traces, none))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
    return results[0]


@pytest.mark.parametrize("foresight", [0, 1, 6])
@pytest.mark.parametrize("hh_memory_size", [1, 3, INF])
def test_fused_equals_step_by_step(foresight, hh_memory_size):
    outputs, traces, _ = assert_same_run(network(foresight, hh_memory_size=hh_memory_size), torch.randn(3, 5, 4))
    steps = 5 + max(0, foresight - 1)
    assert outputs["c"].shape == (3, steps if foresight == 0 else foresight, 4)
    assert traces["b/3"].shape == (3, min(hh_memory_size, steps), 5)


@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("foresight", [0, 2, 5])
@pytest.mark.parametrize("out_memory", [None, 1, 2, INF])
@pytest.mark.parametrize("hh_memory", [None, 1, 4, INF])
def test_memory_sizes(inputs, foresight, out_memory, hh_memory):
    full = network(foresight, out_memory_size=INF, hh_memory_size=INF)
    model = network(foresight, out_memory_size=out_memory, hh_memory_size=hh_memory)
    model.load_state_dict(full.state_dict())
    x = torch.randn(2, inputs, 4)
    outputs, hidden = model(x)
    all_outputs, all_hidden = full(x)
    steps = inputs + max(0, foresight - 1)
    default = foresight or INF
    n_out = int(min(default if out_memory is None else out_memory, steps))
    n_hidden = int(min(default if hh_memory is None else hh_memory, steps))
    assert all_outputs["c"].shape[1] == steps
    torch.testing.assert_close(outputs["c"], all_outputs["c"][:, -n_out:])
    for name in "ab":
        torch.testing.assert_close(hidden[name], tuple(s[:, -n_hidden:] for s in all_hidden[name]))
    assert hidden["c"] == [None] * n_hidden


def test_call_time_foresight_keeps_the_memory_sizes():
    model = network(5)
    assert model(torch.randn(1, 3, 4), foresight_time_steps=10)[0]["c"].shape[1] == 5
    assert model(torch.randn(1, 8, 4), foresight_time_steps=0)[0]["c"].shape[1] == 5
    model.out_memory_size, model.foresight_time_steps = INF, 2
    assert model(torch.randn(1, 8, 4))[0]["c"].shape[1] == 9


@pytest.mark.parametrize("argument", ["out_memory_size", "hh_memory_size"])
def test_memory_sizes_are_validated(argument):
    for wrong in (0, -1):
        with pytest.raises(AssertionError, match=f"{argument}: expected more than 0 steps, got {wrong}"):
            network(**{argument: wrong})
    model = network(**{argument: 10.0})
    assert isinstance(getattr(model, argument), int)
    with pytest.raises(ValueError, match="expected a whole number of steps"):
        setattr(model, argument, 2.5)
    with pytest.raises(AssertionError):
        setattr(model, argument, None)


def test_negative_foresight_raises():
    with pytest.raises(AssertionError, match="foresight_time_steps: expected 0 or more"):
        network(-1)
    with pytest.raises(AssertionError, match="foresight_time_steps: expected 0 or more"):
        network()(torch.zeros(1, 1, 4), foresight_time_steps=-1)


def test_one_kept_state_asks_for_no_trace():
    asked = []

    class Asking(LIFLayer):
        def forward_sequence(self, x, state=None, *, trace=False, recompute_every=0):
            asked.append(trace)
            return super().forward_sequence(x, state, trace=trace, recompute_every=recompute_every)

    model = SequentialRNN([Asking(4, 3)], device="cpu", hh_memory_size=1).build()
    model(torch.zeros(1, 4, 4))
    model.hh_memory_size = 2
    model(torch.zeros(1, 4, 4))
    assert asked == [False, True]


def test_inputs_in_every_form():
    model, x = network(), torch.randn(2, 5, 4)
    expected = model(x)[0]["c"]
    torch.testing.assert_close(model({"a": x})[0]["c"], expected)
    torch.testing.assert_close(model(x.numpy())[0]["c"], expected)
    torch.testing.assert_close(model({"a": x.numpy()})[0]["c"], expected)
    torch.testing.assert_close(model(x.double())[0]["c"], expected)
    torch.testing.assert_close(model(x.mT.contiguous().mT)[0]["c"], expected)
    with pytest.raises(ValueError, match=r"expected the names \['a'\], got \['b'\]"):
        model({"b": x})


@pytest.mark.parametrize("shape", [(4,), (2, 0, 4), (0, 3, 4)])
def test_wrong_shapes_raise(shape):
    with pytest.raises(ValueError, match=r"inputs 'a': expected shape \[B, T, F\] or \[B, F\], got"):
        network()(torch.zeros(shape))


@pytest.mark.parametrize("foresight", [0, 4])
def test_two_axes_are_one_step_with_gradient(foresight):
    model, x = network(foresight), torch.randn(2, 4, requires_grad=True)
    outputs, _ = model(x)
    torch.testing.assert_close(outputs, model(x.unsqueeze(1))[0])
    assert outputs["c"].shape[1] == max(1, foresight)
    outputs["c"].sum().backward()
    assert bool(x.grad.any())


def test_different_batch_sizes_raise():
    with pytest.raises(ValueError, match=r"inputs: expected one batch size, got \{'i0': 2, 'i1': 1\}"):
        two_inputs()({"i0": torch.zeros(2, 3, 4), "i1": torch.zeros(1, 3, 3)})


def two_inputs(foresight=0, outputs=2):
    """Inputs of 4 and 3 features, outputs of 4, 3 and 2."""
    sizes = [4, 3, 2][:outputs]
    inputs = [LILayer(4, 5, name="i0"), SpyLIFLayer(3, 6, name="i1", gamma=5.0)]
    readouts = [SpyLILayer(11, n, name=f"o{k}") for k, n in enumerate(sizes)]
    return strong(SequentialRNN([inputs, readouts], foresight, device="cpu").build())


def test_short_inputs_are_padded_with_zeros_and_keep_their_gradient():
    model = two_inputs()
    long, short = torch.randn(2, 6, 4), torch.randn(2, 2, 3, requires_grad=True)
    outputs, _ = model({"i0": long, "i1": short})
    padded = torch.cat([short, torch.zeros(2, 4, 3)], dim=1)
    torch.testing.assert_close(outputs, model({"i0": long, "i1": padded})[0])
    sum(o.sum() for o in outputs.values()).backward()
    assert bool(short.grad.any())


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_unequal_numbers_of_inputs_and_outputs_in_closed_loop(outputs):
    model = two_inputs(5, outputs)
    x = {"i0": torch.randn(2, 3, 4), "i1": torch.randn(2, 3, 3)}
    assert_same_run(model, x)


@pytest.mark.parametrize("outputs", [1, 3])
def test_closed_loop_feeds_in_order_zeros_where_none_is_left(outputs):
    model = two_inputs(outputs=outputs)
    x = {"i0": torch.randn(2, 3, 4), "i1": torch.randn(2, 3, 3)}
    model.hh_memory_size = 1
    expected, state = model(x)
    now = {name: trace[:, -1] for name, trace in expected.items()}
    trace = [now]
    for _ in range(3):
        fed = {"i0": now["o0"], "i1": now.get("o1", torch.zeros(2, 3))}
        out, state = model(fed, {name: tuple(s[:, -1] for s in h) for name, h in state.items()})
        now = {name: value[:, -1] for name, value in out.items()}
        trace.append(now)
    forecast, _ = model(x, foresight_time_steps=4)
    for name, value in forecast.items():
        stepped = torch.stack([step[name] for step in trace], dim=1)
        torch.testing.assert_close(value[:, -4:], stepped, rtol=1e-4, atol=1e-3)


def test_fed_back_sizes_are_checked():
    with pytest.raises(
        AssertionError, match="output 'output_0' has 3 features, but feeds input 'input_0', which has 4"
    ):
        SequentialRNN([LILayer(4, 5), Linear(5, 3)], 2, device="cpu").build()
    model = SequentialRNN([LILayer(4, 5), Linear(5, 3)], device="cpu").build()
    with pytest.raises(AssertionError, match="has 3 features"):
        model(torch.zeros(1, 2, 4), foresight_time_steps=2)


@pytest.mark.parametrize("foresight", [0, 5])
def test_model_of_one_layer(foresight):
    model = strong(SequentialRNN([SpyLIFLayerLPF(4, 4, gamma=5.0)], foresight, device="cpu").build())
    assert next(iter(model.state_dict())).startswith("output_layers.output_0.")
    assert_same_run(model, torch.randn(2, 3, 4))


def test_outputs_without_input_layer_are_networks_of_their_own():
    model = strong(SequentialRNN([[LILayer(4, 4, name="p"), LIFLayer(3, 3, name="q")]], 4, device="cpu").build())
    x = {"p": torch.randn(2, 3, 4), "q": torch.randn(2, 3, 3)}
    outputs, _, _ = assert_same_run(model, x)
    alone = SequentialRNN([model["q"]], 4, device="cpu").build()
    torch.testing.assert_close(outputs["q"], alone(x["q"])[0]["q"])


@pytest.mark.parametrize("foresight", [0, 3])
def test_sizes_come_from_the_last_axis(foresight):
    model = SequentialRNN([LILayer(None, 6), Linear(None, 7)], foresight, device="cpu")
    outputs, _ = model(torch.randn(2, 5, 7))
    assert outputs["output_0"].shape[-1] == 7
    assert int(model["input_0"].input_size) == 7
    single = SequentialRNN([LILayer(None, 7)], foresight, device="cpu")
    assert single(torch.randn(2, 7))[0]["output_0"].shape == (2, max(1, foresight), 7)


@pytest.mark.parametrize("foresight", [0, 4])
def test_initial_states_in_every_form(foresight):
    model = SequentialRNN([LILayer(4, 4, name="a"), LILayer(4, 4, name="b")], foresight, device="cpu").build()
    x, h, zero = torch.randn(2, 3, 4), torch.randn(2, 4), torch.zeros(2, 4)
    for given, expected in [
        (h, {"a": (h,), "b": (h,)}),
        ((h,), {"a": (h,), "b": (h,)}),
        ({"a": (h,)}, {"a": (h,), "b": (zero,)}),
        ({"b": h.double()}, {"a": (zero,), "b": (h,)}),
        ({"a": (None,), "b": [h]}, {"a": (zero,), "b": (h,)}),
        (None, {"a": (zero,), "b": (zero,)}),
    ]:
        torch.testing.assert_close(model(x, given)[0], model(x, expected)[0])
    with pytest.raises(ValueError, match="init_hidden_states: expected layer names among"):
        model(x, {"unknown": (h,)})


def test_returned_state_continues_the_sequence():
    model, x = network(), torch.randn(2, 8, 4)
    whole, _ = model(x)
    first, state = model(x[:, :3])
    second, _ = model(x[:, 3:], {name: tuple(s[:, -1] for s in h) for name, h in state.items() if name != "c"})
    torch.testing.assert_close(torch.cat([first["c"], second["c"]], dim=1), whole["c"])


@pytest.mark.parametrize("foresight", [0, 4])
def test_partial_state_is_completed(foresight):
    model, x = network(foresight), torch.randn(2, 3, 4)
    v = torch.rand(2, 6)
    torch.testing.assert_close(
        model(x, {"a": (v, None)})[0], model(x, {"a": (v, torch.zeros(2, 6))})[0], rtol=0, atol=0
    )
    with pytest.raises(ValueError, match=r"init_hidden_states 'a': expected 2 states \('V', 'Z'\), got 3"):
        model(x, {"a": (v, None, None)})


@pytest.mark.parametrize("foresight", [0, 5])
def test_gradients_in_double_are_exact(foresight):
    layers = [LILayer(3, 4, name="a"), SpyLILayer(4, 5, name="b"), Linear(5, 3, name="c", activation="tanh")]
    model = SequentialRNN(layers, foresight, device="cpu").build().double()
    x, h = torch.randn(2, 3, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    names = [name for name, p in model.named_parameters() if p.requires_grad]

    def run(x, h, *values):
        outputs, hidden = torch.func.functional_call(
            model, dict(zip(names, values, strict=True)), (x, {"a": (h,)}), strict=False
        )
        return outputs["c"], hidden["b"][0]

    values = [model.get_parameter(name).detach() for name in names]
    assert run(x, h, *values)[0].dtype is torch.float64
    inputs = [t.requires_grad_() for t in (x, h, *values)]
    assert torch.autograd.gradcheck(run, inputs)


def test_double_inputs_are_not_rounded_on_their_way():
    model = SequentialRNN([Linear(1, 1, use_bias=False)], device="cpu").build().double()
    x = torch.tensor([[[1.0 + 1e-12]]], dtype=torch.float64)
    weight = next(p for p in model.parameters() if p.requires_grad)
    torch.testing.assert_close(model(x)[0]["output_0"], x * weight, rtol=1e-15, atol=0)


class Recorder(BaseLayer):
    """A user's layer without parameters that notes how it is called."""

    def __init__(self, size, calls):
        super().__init__(size, size, device="cpu")
        self.calls = calls

    def forward(self, inputs, state=None, **kwargs):
        self.calls.append(kwargs)
        count = inputs.new_zeros(inputs.shape) if state is None else state[0] + 1
        return inputs, (count,)


@pytest.mark.parametrize("foresight", [0, 3])
def test_steps_pass_time_and_forecast(foresight):
    calls = []
    model = SequentialRNN([LILayer(2, 2), Recorder(2, calls), Linear(2, 2)], foresight, device="cpu").build()
    _, hidden = model(torch.zeros(1, 2, 2))
    expected = [{"t": 0}, {"t": 1}]
    if foresight:
        expected += [{"t": 2, "forecasting": True, "tau": 0}, {"t": 3, "forecasting": True, "tau": 1}]
    assert calls == expected
    kept = 3 if foresight else 2
    assert hidden["hidden_0"][0][0, :, 0].tolist() == [float(k) for k in range(len(expected))][-kept:]
    assert hidden["output_0"] == [None] * kept


@pytest.mark.parametrize("foresight", [0, 3])
def test_initial_state_reaches_a_layer_that_names_no_states(foresight):
    model = SequentialRNN([LILayer(2, 2), Recorder(2, []), Linear(2, 2)], foresight, device="cpu").build()
    _, hidden = model(torch.zeros(1, 2, 2), {"hidden_0": (torch.full((1, 2), 10.0),)})
    assert hidden["hidden_0"][0][0, -1, 0] == (14 if foresight else 12)


def test_layer_returning_nonsense_raises():
    class Wrong(BaseLayer):
        def forward(self, inputs, state=None, **kwargs):
            return "text"

    with pytest.raises((TypeError, ValueError)):
        SequentialRNN([LILayer(2, 2), Wrong(2, 2, device="cpu")], device="cpu")(torch.zeros(1, 2, 2))


@pytest.mark.parametrize("foresight", [0, 4])
def test_plain_modules_get_the_tensor_only(foresight):
    layers = [LIFLayer(4, 6), torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU()), torch.nn.Linear(5, 4)]
    model = SequentialRNN(layers, foresight, device="cpu").build()
    x = torch.randn(2, 3, 4)
    outputs, hidden = model(x)
    assert hidden["output_0"] == [None] * (foresight or 3)
    if foresight == 0:
        spikes = model["input_0"].forward_sequence(x)[0]
        torch.testing.assert_close(outputs["output_0"], layers[2](layers[1](spikes)))
    outputs["output_0"].sum().backward()
    assert layers[1][0].weight.grad is not None


@pytest.mark.parametrize("foresight", [0, 3])
def test_hooks_of_plain_modules_fire_at_every_step(foresight):
    model, seen = SequentialRNN([LILayer(2, 2), torch.nn.Linear(2, 2)], foresight, device="cpu").build(), []
    model["output_0"].register_forward_hook(lambda module, args, out: seen.append(out))
    out = model(torch.randn(1, 2, 2))[0]["output_0"]
    torch.testing.assert_close(torch.stack(seen, dim=1)[:, -out.shape[1] :], out)
    assert len(seen) == (4 if foresight else 2)


def test_plain_module_that_takes_a_state_gets_it():
    class Counter(torch.nn.Module):
        def forward(self, inputs, state=None, **kwargs):
            count = 0 if state is None else state[0]
            return inputs + count, (count + torch.ones_like(inputs),)

    model = SequentialRNN([Counter(), Linear(2, 2)], device="cpu")
    _, hidden = model(torch.zeros(1, 3, 2))
    assert hidden["input_0"][0][0, :, 0].tolist() == [1, 2, 3]


def test_recurrent_torch_module_is_not_taken_for_a_layer_with_state():
    model = SequentialRNN([torch.nn.GRUCell(2, 3), Linear(3, 2)], device="cpu")
    _, hidden = model(torch.zeros(1, 3, 2))
    assert hidden["input_0"] == [None] * 3


def test_activation_outside_the_operators():
    layers = [LILayer(4, 5), Linear(5, 4, activation="softmax")]
    model, x = SequentialRNN(layers, 3, device="cpu").build(), torch.randn(2, 3, 4)
    out = model(x)[0]["output_0"]
    torch.testing.assert_close(out.sum(-1), torch.ones(2, 3))
    torch.testing.assert_close(stepwise(model)(x)[0]["output_0"], out)


def test_output_transform_gets_the_stacked_trace():
    model, x = network(output_transform=ReduceMax(dim=1)), torch.randn(2, 5, 4)
    plain = network()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x)[0]["c"], plain(x)[0]["c"].amax(1))
    assert model(x)[1]["a"][0].shape == (2, 5, 6)


def test_fed_back_values_are_not_transformed():
    model = network(4, input_transform=lambda x: 2 * x, output_transform=lambda x: -x)
    plain, x = network(4), torch.randn(2, 3, 4)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x)[0]["c"], -plain(2 * x)[0]["c"])


@pytest.mark.parametrize("foresight", [0, 3])
def test_memory_device_is_honoured(foresight):
    model, x = network(foresight, memory_device="meta"), torch.randn(2, 3, 4)
    outputs, hidden = model(x)
    assert outputs["c"].device.type == "meta"
    assert {s.device.type for s in hidden["b"]} == {"meta"}
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    model.memory_device = None
    assert model(x)[0]["c"].device.type == "cpu"


def test_prediction_helpers():
    model, x = network(), torch.randn(2, 5, 4)
    outputs, hidden = model(x)
    trace = outputs["c"]
    torch.testing.assert_close(model.get_prediction_trace(x), trace)
    torch.testing.assert_close(model.get_prediction_trace(x.numpy(), trunc_time_steps=2), trace[:, -2:])
    kept, states = model.get_prediction_trace({"a": x}, return_hidden_states=True, trunc_time_steps=2)
    torch.testing.assert_close(kept, trace[:, -2:])
    torch.testing.assert_close(states["b"], tuple(s[:, -2:] for s in hidden["b"]))
    assert states["c"] == [None, None]
    assert model.get_prediction_trace(x, foresight_time_steps=3).shape[1] == 7

    torch.testing.assert_close(model.get_raw_prediction(x)[0], outputs)
    torch.testing.assert_close(model.get_raw_prediction(x, re_hidden_states=False), outputs)
    assert model.get_raw_prediction(x, re_outputs_trace=False).keys() == hidden.keys()
    assert model.get_raw_prediction(x, False, False) is None

    last, again, states = model.get_last_prediction(x)
    torch.testing.assert_close(last["c"], trace[:, -1])
    torch.testing.assert_close(again, outputs)
    assert states.keys() == hidden.keys()
    for method, expected in {
        "get_fmt_prediction": trace[:, -1],
        "get_max_prediction": trace.amax(1),
        "get_mean_prediction": trace.mean(1),
        "get_prediction_proba": trace.amax(1).softmax(-1),
        "get_prediction_log_proba": trace.amax(1).log_softmax(-1),
    }.items():
        value = getattr(model, method)(x, re_outputs_trace=False, re_hidden_states=False)
        torch.testing.assert_close(value["c"], expected)


def test_trace_of_several_outputs_and_hidden_of_one_layer():
    assert set(two_inputs().get_prediction_trace({"i0": torch.zeros(1, 2, 4), "i1": torch.zeros(1, 2, 3)})) == {
        "o0",
        "o1",
    }
    single = SequentialRNN([LILayer(3, 2)], device="cpu")
    trace, hidden = single.get_prediction_trace(torch.zeros(1, 4, 3), return_hidden_states=True)
    assert trace.shape == hidden[0].shape == (1, 4, 2)


@pytest.mark.parametrize("foresight", [0, 5])
@pytest.mark.parametrize("hh_memory_size", [1, INF])
def test_regularization_loss_is_that_of_the_steps(foresight, hh_memory_size):
    model = network(foresight, hh_memory_size=hh_memory_size)
    for name in "ab":
        model[name].regularize = True
        model[name].kwargs["spikes_regularization_factor"] = 0.5
    x, losses, grads = torch.randn(2, 3, 4), [], []
    for m in (model, stepwise(model)):
        m(torch.randn(2, 3, 4))  # the loss starts anew with every sequence
        m(x)
        losses.append(m.get_and_reset_regularization_loss())
        grads.append(torch.autograd.grad(losses[-1], m["a"].get_forward_weights_parameter())[0])
        assert m.get_and_reset_regularization_loss() == 0
    assert losses[0] > 0
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [False, True])
def test_teacher_is_mixed_into_the_feedback(steps):
    model, x = network(4), torch.randn(2, 3, 4)
    model = stepwise(model) if steps else model
    teacher = torch.randn(2, 6, 4)
    forced = model(x, teacher=teacher, teacher_weight=1.0)[0]["c"]
    open_loop = model(torch.cat([x, teacher[:, 3:]], dim=1), foresight_time_steps=0)[0]["c"]
    torch.testing.assert_close(forced, open_loop)
    torch.testing.assert_close(model(x, teacher=teacher)[0], model(x)[0])
    mixed = model(x, teacher={"a": teacher}, teacher_weight=0.25)[0]["c"]
    outputs, state = model(x, foresight_time_steps=0)
    for t in range(3, 6):
        now = 0.75 * outputs["c"][:, -1] + 0.25 * teacher[:, t]
        outputs, state = model(now, {k: tuple(s[:, -1] for s in state[k]) for k in "ab"}, foresight_time_steps=0)
        torch.testing.assert_close(mixed[:, t - 2], outputs["c"][:, -1])


@pytest.mark.parametrize("steps", [False, True])
def test_teacher_is_differentiable_through_the_feedback_only(steps):
    model = stepwise(network(4)) if steps else network(4)
    x, teacher = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 6, 4, requires_grad=True)
    model.get_prediction_trace(x, teacher=teacher, teacher_weight=0.5).sum().backward()
    assert bool(x.grad.any())
    assert teacher.grad is None


def test_teacher_equals_steps_also_for_inputs_that_nothing_feeds():
    x = {"i0": torch.randn(2, 3, 4), "i1": torch.randn(2, 3, 3)}
    teacher = {"i0": torch.randn(2, 7, 4), "i1": torch.randn(2, 7, 3)}
    for outputs in (1, 2):
        assert_same_run(two_inputs(5, outputs), x, teacher=teacher, teacher_weight=0.5)
    unfed = {"i1": teacher["i1"]}
    model = two_inputs(5, 1)
    taught, plain = (model(x, teacher=unfed, teacher_weight=w)[0]["o0"] for w in (1.0, 0.0))
    assert not torch.allclose(taught[:, -1], plain[:, -1])


@pytest.mark.parametrize("steps", [False, True])
def test_wrong_teachers_raise(steps):
    model, x = stepwise(network(4)) if steps else network(4), torch.randn(2, 3, 4)
    for shape in [(2, 3, 4), (2, 6, 1), (1, 6, 4), (6, 4)]:
        with pytest.raises(ValueError, match=r"teacher 'a': expected shape \[2, 6, 4\], got"):
            model(x, teacher=torch.zeros(shape), teacher_weight=0.5)
    with pytest.raises(ValueError, match=r"teacher: expected input names among \['a'\], got \['b'\]"):
        model(x, teacher={"b": torch.zeros(2, 6, 4)}, teacher_weight=0.5)
    for weight in (-0.1, 1.5):
        with pytest.raises(ValueError, match="teacher_weight: expected 0 to 1, got"):
            model(x, teacher=torch.zeros(2, 6, 4), teacher_weight=weight)


def test_online_rule_is_reserved():
    assert network().online_rule is None


def test_model_can_be_copied_and_moved():
    model, x = network(3), torch.randn(2, 3, 4)
    torch.testing.assert_close(copy.deepcopy(model)(x)[0], model(x)[0])
    assert model.to("cpu").device == torch.device("cpu")
    assert model.double()(np.zeros((1, 2, 4)))[0]["c"].dtype is torch.float64


@pytest.mark.parametrize("foresight", [0, 5])
def test_compiles_as_one_graph(foresight):
    model, x = network(foresight), torch.randn(2, 3, 4, requires_grad=True)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected, actual = model(x), compiled(x)
    torch.testing.assert_close(actual, expected)
    wanted = leaves(model, x)
    torch.testing.assert_close(
        torch.autograd.grad(actual[0]["c"].sum(), wanted), torch.autograd.grad(expected[0]["c"].sum(), wanted)
    )


def test_methods_of_a_subclass_that_nothing_calls_warn():
    class Own(SequentialRNN):
        def _integrate_inputs_(self, *args, **kwargs):
            raise AssertionError

        def _pop_memory_(self, *args, **kwargs):
            raise AssertionError

    with pytest.warns(UserWarning, match=r"Own: its own _integrate_inputs_, _pop_memory_ are not called; .* plan"):
        model = Own([LILayer(3, 2)])
    assert model(torch.zeros(1, 4, 3))[0]["output_0"].shape == (1, 4, 2)

    class Harmless(SequentialRNN):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)

    Harmless([LILayer(3, 2)])
