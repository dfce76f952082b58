"""Batches of samples of unequal length: every sample as if it ran alone."""

import pytest
import torch

import neurotorch as nt
from neurotorch.modules import HeavisideSigmoidApprox
from neurotorch.modules.layers import BaseNeuronsLayer, BellecLIFLayer, FiringRateLayer, IzhikevichLayer, LinearRNN

B, T, N = 4, 9, 5
LENGTHS = [9, 3, 1, 6]
LAYERS = [
    nt.LIFLayer,
    nt.ALIFLayer,
    nt.SpyLIFLayer,
    nt.SpyALIFLayer,
    nt.LIFLayerLPF,
    nt.ALIFLayerLPF,
    nt.SpyLIFLayerLPF,
    nt.SpyALIFLayerLPF,
    BellecLIFLayer,
    IzhikevichLayer,
    nt.LILayer,
    nt.SpyLILayer,
    nt.Linear,
    LinearRNN,
    nt.WilsonCowanLayer,
    nt.WilsonCowanCURBDLayer,
    FiringRateLayer,
]


class OwnSpike(HeavisideSigmoidApprox):
    """A spike function that the operators do not know."""


class Accumulator(BaseNeuronsLayer):
    """A layer of a user's own: the running sum of its inputs."""

    def forward(self, inputs, state=None, **kwargs):
        (total,) = self._init_forward_state(state, inputs.shape[0], inputs=inputs)
        total = total + inputs @ self.forward_weights
        return 2 * total + 1, (total,)


def make(cls, **kwargs):
    torch.manual_seed(3)
    if cls in (nt.WilsonCowanLayer, nt.WilsonCowanCURBDLayer, FiringRateLayer):
        kwargs = {"tau": 0.01, "use_recurrent_connection": True, **kwargs}
    elif issubclass(cls, nt.LIFLayer | nt.SpyLIFLayer):
        kwargs = {"gamma": 1.0, **kwargs}
    layer = cls(N, N, **kwargs).build()
    scale = 4000.0 if cls is IzhikevichLayer else 1.0
    layer.forward_weights = torch.rand(N, N) * scale
    return layer.double()


def padded(fill=float("nan")):
    x = torch.rand(B, T, N, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for b, length in enumerate(LENGTHS):
        x[b, length:] = fill
    return x


def parameters(module):
    return [p for p in module.parameters() if p.requires_grad]


def gradients(loss, tensors):
    grads = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, grads, strict=True)]


def assert_as_alone(layer, **options):
    """Outputs, states, traces and gradients of a padded batch against those of each sample."""
    x = padded().requires_grad_()
    tensors = [x, *parameters(layer)]
    coefficients = torch.rand(B, T, N, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    out, state = layer.forward_sequence(x, lengths=LENGTHS, **options)
    loss = (out * coefficients).sum() + sum((s * coefficients[:, 0]).sum() for s in state)
    found = gradients(loss, tensors)
    _, traces = layer.forward_sequence(x, lengths=LENGTHS, trace=True, **options)
    expected = [torch.zeros_like(t) for t in tensors]
    for b, length in enumerate(LENGTHS):
        alone = x[b : b + 1, :length]
        out_b, state_b = layer.forward_sequence(alone, **options)
        _, traces_b = layer.forward_sequence(alone, trace=True, **options)
        assert (out[b, length:] == 0).all()
        torch.testing.assert_close(out[b : b + 1, :length], out_b)
        for s, s_b, trace, trace_b in zip(state, state_b, traces, traces_b, strict=True):
            torch.testing.assert_close(s[b : b + 1], s_b)
            torch.testing.assert_close(trace[b : b + 1, :length], trace_b)
            assert (trace[b, length:] == trace[b, length - 1]).all()
        loss = (out_b * coefficients[b, :length]).sum() + sum((s * coefficients[b, 0]).sum() for s in state_b)
        for total, part in zip(expected, gradients(loss, tensors), strict=True):
            total += part
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("recompute_every", [0, 4])
@pytest.mark.parametrize("cls", LAYERS)
def test_layers(cls, recompute_every):
    assert_as_alone(make(cls), recompute_every=recompute_every)


@pytest.mark.parametrize("cls", [nt.SpyALIFLayerLPF, nt.ALIFLayer])
def test_layers_with_a_spike_function_in_python(cls):
    assert_as_alone(make(cls, spike_func=OwnSpike))


def test_layers_of_a_users_own():
    assert_as_alone(make(Accumulator))


def test_call_of_a_layer():
    layer = make(nt.SpyLIFLayer)
    out, state = layer(padded(), lengths=torch.tensor(LENGTHS))
    expected, expected_state = layer.forward_sequence(padded(), lengths=LENGTHS)
    assert torch.equal(out, expected)
    assert all(torch.equal(a, b) for a, b in zip(state, expected_state, strict=True))


def test_spikes_after_the_end_are_not_regularised():
    layer = make(nt.LIFLayer, regularize=True, spikes_regularization_factor=1.0)
    out, _ = layer.forward_sequence(padded(), lengths=LENGTHS)
    assert out.sum() > 5
    torch.testing.assert_close(layer.get_regularization_loss(), out.sum())


def network(*layers, **kwargs):
    return nt.SequentialRNN(list(layers), **kwargs).build().double()


def assert_network_as_alone(model, foresight=0, **options):
    x = padded(0.3 if "teacher" in options else float("nan")).requires_grad_()
    tensors = [x, *parameters(model)]
    out, hidden = model(x, lengths=LENGTHS, foresight_time_steps=foresight, **options)
    (name, out) = next(iter(out.items()))
    extra = max(0, foresight - 1)
    assert out.shape[1] == T + extra
    found = gradients(out.square().sum(), tensors)
    expected = [torch.zeros_like(t) for t in tensors]
    for b, length in enumerate(LENGTHS):
        if "teacher" in options:
            options["teacher"] = TEACHER[b : b + 1, : length + extra]
        alone, hidden_b = model(x[b : b + 1, :length], foresight_time_steps=foresight, **options)
        torch.testing.assert_close(out[b : b + 1, : length + extra], alone[name])
        assert (out[b, length + extra :] == 0).all()
        for layer, states in hidden.items():
            if isinstance(states, list):
                continue
            for s, s_b in zip(states, hidden_b[layer], strict=True):
                torch.testing.assert_close(s[b, -1], s_b[0, -1])
        for total, part in zip(expected, gradients(alone[name].square().sum(), tensors), strict=True):
            total += part
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


TEACHER = torch.rand(B, T + 3, N, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def torch_layer():
    torch.manual_seed(4)
    return torch.nn.Linear(N, N)


@pytest.mark.parametrize("hh_memory_size", [1, 2, 100])
def test_networks_in_open_loop(hh_memory_size):
    model = network(make(nt.SpyLIFLayerLPF), make(nt.ALIFLayer), make(nt.LILayer), hh_memory_size=hh_memory_size)
    assert model.plan(padded(0.0)).is_fused
    assert_network_as_alone(model)
    assert_network_as_alone(network(make(nt.LIFLayer), torch_layer(), make(Accumulator), make(nt.LILayer)))


@pytest.mark.parametrize("hh_memory_size", [1, 2, 100])
def test_networks_in_closed_loop(hh_memory_size):
    model = network(make(nt.SpyLIFLayerLPF), make(nt.LILayer, activation="sigmoid"), hh_memory_size=hh_memory_size)
    model.out_memory_size = 100
    assert model.plan(padded(0.0), foresight_time_steps=4).is_fused
    assert_network_as_alone(model, foresight=4)
    assert_network_as_alone(model, foresight=4, teacher=TEACHER, teacher_weight=0.5)


def test_networks_step_by_step():
    layers = make(nt.SpyLIFLayer), make(nt.LILayer)
    step = layers[0].forward
    layers[0].forward = lambda *args, **kwargs: step(*args, **kwargs)
    model = network(*layers, out_memory_size=100)
    assert not model.plan(padded(0.0)).is_fused
    assert_network_as_alone(model)
    assert_network_as_alone(model, foresight=4)


def test_regularisation_adds_up_over_a_forecast():
    layer = make(nt.LIFLayer, regularize=True, spikes_regularization_factor=1.0)
    model = network(layer, out_memory_size=100)
    out, _ = model(padded(), lengths=LENGTHS, foresight_time_steps=3)
    torch.testing.assert_close(layer.get_regularization_loss(), next(iter(out.values())).sum())


def test_one_row_per_sample_keeps_its_place():
    model = network(make(nt.LILayer), hh_memory_size=1)
    x, states = padded(), torch.rand(B, N, dtype=torch.float64)
    out, hidden = model(x, init_hidden_states=(states,), lengths=LENGTHS, foresight_time_steps=2)
    for b, length in enumerate(LENGTHS):
        alone, hidden_b = model(x[b : b + 1, :length], init_hidden_states=(states[b : b + 1],), foresight_time_steps=2)
        torch.testing.assert_close(out["output_0"][b : b + 1, : length + 1], alone["output_0"])
        torch.testing.assert_close(hidden["output_0"][0][b], hidden_b["output_0"][0][0])


@pytest.mark.parametrize("out_memory_size", [float("inf"), 7])
def test_predictions_see_the_steps_of_each_sample(out_memory_size):
    model = network(make(nt.LILayer), out_memory_size=out_memory_size)
    model["output_0"].bias_weights.data -= 3.0  # all outputs are negative, so that silence would win
    x, lengths = padded(), [9, 3, 4, 6]
    first = 0 if out_memory_size > T else T - out_memory_size
    for name, reduce in (
        ("get_last_prediction", lambda y: y[-1]),
        ("get_max_prediction", lambda y: y.max(dim=0).values),
        ("get_mean_prediction", lambda y: y.mean(dim=0)),
        ("get_prediction_proba", lambda y: y.max(dim=0).values.softmax(dim=-1)),
        ("get_prediction_log_proba", lambda y: y.max(dim=0).values.log_softmax(dim=-1)),
    ):
        found = getattr(model, name)(torch.nan_to_num(x), False, False, lengths=lengths)["output_0"]
        for b, length in enumerate(lengths):
            out, _ = model["output_0"].forward_sequence(torch.nan_to_num(x)[b : b + 1, :length])
            torch.testing.assert_close(found[b], reduce(out[0, first:]))
    trace = model.get_prediction_trace(x, lengths=LENGTHS)
    assert torch.isfinite(trace).all()
    outputs, _ = model.get_raw_prediction(x, lengths=LENGTHS)
    assert torch.equal(outputs["output_0"], trace)


def test_compiles_without_a_break():
    layer = make(nt.SpyLIFLayer)
    lengths = torch.tensor(LENGTHS)
    compiled = torch.compile(lambda x, n: layer.forward_sequence(x, lengths=n)[0], fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(padded(), lengths), layer.forward_sequence(padded(), lengths=lengths)[0])


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([9, 3, 1], ValueError, r"lengths: expected shape \[4\]"),
        ([9, 3, 0, 6], ValueError, "lengths: expected 1 to 9 steps, got 0 to 9"),
        ([10, 3, 1, 6], ValueError, "lengths: expected 1 to 9 steps, got 1 to 10"),
        ([9.0, 3.0, 1.0, 6.0], TypeError, "lengths: expected whole numbers of steps, got float32"),
    ],
)
def test_errors(lengths, error, message):
    layer = make(nt.LIFLayer)
    for run in (layer.forward_sequence, make(Accumulator).forward_sequence, network(layer)):
        with pytest.raises(error, match=message):
            run(padded(), lengths=lengths)


def test_learning_rules_that_run_the_network_refuse_lengths():
    model = network(make(nt.LILayer))
    model.online_rule = torch.nn.Identity()
    with pytest.raises(ValueError, match="lengths: Identity learns from whole sequences only"):
        model(padded(), lengths=LENGTHS)


def test_truncation_keeps_at_least_one_step():
    model = network(make(nt.LILayer))
    assert model.get_prediction_trace(padded(0.0), trunc_time_steps=2).shape[1] == 2
    with pytest.raises(ValueError, match="trunc_time_steps: expected 1 or more, got 0"):
        model.get_prediction_trace(padded(0.0), trunc_time_steps=0)
