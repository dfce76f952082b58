"""Rate layers and linear layers: arguments, learned constants, initial values, activations, closed loop."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest
import torch
from helpers import GOLDEN_LAYERS

import neurotorch as nt
from neurotorch.functional import run_sequence
from neurotorch.modules import SequentialRNN
from neurotorch.modules.layers import (
    FiringRateLayer,
    Linear,
    LinearJtoI,
    LinearRNN,
    WilsonCowanCURBDLayer,
    WilsonCowanLayer,
)

RATES = [WilsonCowanLayer, WilsonCowanCURBDLayer, FiringRateLayer]
RECURRENT = [*RATES, LinearRNN]


def make(cls, f=4, n=4, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*that the equations do not use")
        return cls(f, n, device="cpu", **kwargs).build()


# Arguments


@pytest.mark.parametrize("cls", RATES)
def test_arguments_of_rate_layers(cls):
    parameters = inspect.signature(cls).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["input_size", "output_size", "dt", "use_recurrent_connection", "device"]
    layer = cls(4, 4, 0.5, name="rates", use_rec_eye_mask=True)
    assert (layer.dt, layer.name, layer.use_recurrent_connection) == (0.5, "rates", False)
    expected = {"std_weight": 1.0, "mu": 0.0, "tau": 1.0, "r": 0.0, "mean_mu": 2.0, "std_mu": 0.0}
    expected |= {"mean_r": 2.0, "std_r": 0.0, "learn_mu": False, "learn_r": False, "learn_tau": False}
    expected |= {"hh_init": "inputs", "activation": "sigmoid"}
    assert {key: layer.kwargs[key] for key in expected} == expected


def test_arguments_of_linear_layers():
    for cls, names in ((LinearRNN, "use_recurrent_connection device"), (LinearJtoI, "device")):
        parameters = inspect.signature(cls).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == f"input_size output_size name {names}".split()
    assert LinearRNN(4, 5).use_recurrent_connection


@pytest.mark.parametrize("cls", [*RECURRENT, LinearJtoI])
def test_unknown_arguments_warn(cls):
    with pytest.warns(UserWarning, match="'std_weights'|'forward_weight'") as w:
        cls(4, 4, device="cpu", **{"forward_weight" if cls in (LinearRNN, LinearJtoI) else "std_weights": 3})
    assert w[0].filename == __file__


@pytest.mark.parametrize("name", ["tau", "r"])
def test_negative_constants_are_refused(name):
    for value in (-0.5, np.array([0.5, -0.5])):
        with pytest.raises(ValueError, match=f"^{name}: expected 0 or more"):
            WilsonCowanLayer(2, 2, **{name: value})


@pytest.mark.parametrize("name", ["mu", "tau", "r"])
def test_constants_are_scalars_or_one_per_neuron(name):
    with pytest.raises(ValueError, match=rf"^{name}: expected a scalar or shape \[4\]"):
        make(WilsonCowanLayer, **{name: np.ones(3)})
    values = np.array([0.5, 0.25, 0.75, 1.0])
    for shape in ((4,), (1, 4)):
        layer = make(WilsonCowanLayer, dt=0.1, **{name: values.reshape(shape)}).double()
        x = torch.randn(2, 3, 4, dtype=torch.float64)
        out = layer(x)[0]
        for j in range(4):
            one = make(WilsonCowanLayer, dt=0.1, **{name: values[j]}).double()
            one.load_state_dict({**one.state_dict(), "_forward_weights": layer._forward_weights.data})
            torch.testing.assert_close(one(x)[0][..., j], out[..., j], rtol=1e-6, atol=1e-6)


# Constants that are learned


@pytest.mark.parametrize("cls", RATES)
def test_given_values_are_the_initial_ones(cls):
    layer = make(cls, mu=0.3, r=0.1, tau=0.2, learn_mu=True, learn_r=True, learn_tau=True, mean_mu=9.0, mean_r=9.0)
    torch.testing.assert_close(layer.mu.data, torch.full((1, 4), 0.3))
    torch.testing.assert_close(layer.r.detach(), torch.full((1, 4), 0.1))
    torch.testing.assert_close(layer.tau.detach(), torch.tensor(0.2))
    assert [key for key, p in layer.named_parameters() if p.requires_grad] == [
        "mu",
        "tau_sqrt",
        "r_sqrt",
        "_forward_weights",
    ]
    zero = make(cls, mu=0.0, r=0.0, learn_mu=True, learn_r=True)
    assert not zero.mu.any()
    assert not zero.r_sqrt.any()


def test_values_that_were_not_given_are_drawn():
    layer = make(
        WilsonCowanLayer, 2000, 2000, learn_mu=True, learn_r=True, mean_mu=1.0, std_mu=0.5, mean_r=-3.0, std_r=0.1
    )
    assert layer.mu.mean().item() == pytest.approx(1.0, abs=0.05)
    assert layer.mu.std().item() == pytest.approx(0.5, rel=0.1)
    assert layer.r.mean().item() == pytest.approx(3.0, rel=0.01)
    assert layer.r.std().item() == pytest.approx(0.1, rel=0.1)
    fixed = make(WilsonCowanLayer, learn_mu=True, learn_r=True)
    torch.testing.assert_close(fixed.mu.data, torch.full((1, 4), 2.0))
    torch.testing.assert_close(fixed.r.detach(), torch.full((1, 4), 2.0))


def test_an_optimizer_made_before_the_build_holds_the_living_parameters():
    layer = WilsonCowanLayer(4, 4, learn_mu=True, learn_r=True, learn_tau=True, device="cpu")
    before = dict(layer.named_parameters())
    layer.build()
    after = dict(layer.named_parameters())
    assert all(after[key] is before[key] for key in ("mu", "tau_sqrt", "r_sqrt"))
    layer(torch.rand(2, 3, 4))[0].sum().backward()
    assert all(after[key].grad.any() for key in ("mu", "tau_sqrt", "r_sqrt"))


@pytest.mark.parametrize("cls", RATES)
def test_containers_do_not_touch_built_layers(cls):
    layer = make(cls, learn_mu=True, std_mu=1.0, learn_r=True, std_r=1.0, learn_tau=True)
    before = {key: (p, p.detach().clone()) for key, p in layer.named_parameters()}
    SequentialRNN([layer], device="cpu").build()
    for key, p in layer.named_parameters():
        assert p is before[key][0]
        assert torch.equal(p, before[key][1])


def test_freezing_concerns_weights_and_learned_constants():
    layer = make(WilsonCowanLayer, learn_mu=True, learn_tau=True, freeze_weights=True, force_dale_law=True)
    assert [key for key, p in layer.named_parameters() if p.requires_grad] == ["_forward_sign"]
    layer.freeze_weights = False
    assert {key for key, p in layer.named_parameters() if p.requires_grad} == {
        "_forward_sign",
        "_forward_weights",
        "mu",
        "tau_sqrt",
    }


@pytest.mark.parametrize("learn", [False, True])
def test_setters(learn):
    layer = make(WilsonCowanLayer, r=0.25, learn_mu=learn, learn_r=learn, learn_tau=learn)
    parameters = [layer.mu, layer.tau_sqrt, layer.r_sqrt]
    layer.mu, layer.tau, layer.r = 0.5, -4.0, torch.tensor(-9.0)
    assert all(a is b for a, b in zip(parameters, [layer.mu, layer.tau_sqrt, layer.r_sqrt], strict=True))
    assert torch.equal(layer.mu.detach(), torch.full(layer.mu.shape, 0.5))
    assert torch.equal(layer.tau.detach(), torch.full(layer.tau.shape, 4.0))
    assert torch.equal(layer.r_sqrt.detach(), torch.full(layer.r.shape, 3.0))
    assert layer.mu.shape == ((1, 4) if learn else ())
    layer.mu = layer.r = np.arange(4)
    assert torch.equal(layer.mu.flatten().detach(), torch.arange(4.0))
    torch.testing.assert_close(layer.r.flatten().detach(), torch.arange(4.0))
    given = torch.nn.Parameter(torch.ones(()))
    layer.mu = given
    assert layer.mu is given
    layer(torch.zeros(2, 4))
    for name in ("mu", "tau", "r"):
        with pytest.raises(ValueError, match=rf"^{name}: expected a scalar or shape \[4\], got \[3\]"):
            setattr(layer, name, np.ones(3))


@pytest.mark.parametrize(("cls", "names"), [(WilsonCowanCURBDLayer, ("mu", "r")), (FiringRateLayer, ("tau",))])
def test_constants_that_the_equations_do_not_use_warn(cls, names):
    for name in names:
        with pytest.warns(UserWarning, match=f"learn_{name} makes a parameter") as w:
            layer = cls(4, 4, device="cpu", **{f"learn_{name}": True})
        assert w[0].filename == __file__
        parameter = getattr(layer, "mu" if name == "mu" else f"{name}_sqrt")
        layer(torch.rand(2, 3, 4))[0].sum().backward()
        assert parameter.requires_grad
        assert parameter.grad is None


# Initial weights and states


@pytest.mark.parametrize("cls", RATES)
@pytest.mark.parametrize("dale", [False, True])
def test_initial_weights(cls, dale):
    layer = make(cls, 300, 300, std_weight=0.7, use_recurrent_connection=True, force_dale_law=dale)
    assert layer.forward_weights.square().mean().sqrt().item() == pytest.approx(0.7, rel=0.1)
    assert layer.recurrent_weights.square().mean().sqrt().item() == pytest.approx(300**-0.5, rel=0.1)


def test_recorded_dale_initialisation():
    """One rule for all layers. The reference stores given forward weights of this layer without root."""
    with np.load(GOLDEN_LAYERS / "dale_layer_init.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta_json"}
    given = {"forward_weights": arrays["W"], "recurrent_weights": arrays["R"]}
    signs = {key: arrays[key] for key in ("forward_sign", "recurrent_sign")}
    f, n = arrays["W"].shape
    layer = make(WilsonCowanLayer, f, n, use_recurrent_connection=True, force_dale_law=True, **given, **signs)
    start = "WilsonCowanLayer/signs"
    torch.testing.assert_close(layer.recurrent_weights.detach(), arrays[f"{start}/effective_recurrent"])
    expected = arrays["W"].abs() * torch.tanh(arrays["forward_sign"])
    torch.testing.assert_close(layer.forward_weights.detach(), expected)
    torch.testing.assert_close(arrays[f"{start}/effective_forward"], arrays["W"].abs() * expected)


@pytest.mark.parametrize("cls", RATES)
def test_random_states_are_the_same_at_every_call(cls):
    layer = make(cls, hh_init="random")
    first = layer.create_empty_state(2)[0]
    assert torch.equal(layer.create_empty_state(2)[0], first)
    assert torch.equal(make(cls, hh_init="random", hh_init_seed=0).create_empty_state(2)[0], first)
    assert not torch.equal(make(cls, hh_init="random", hh_init_seed=1).create_empty_state(2)[0], first)


@pytest.mark.parametrize("cls", RATES)
def test_initial_activity_is_the_first_input(cls):
    layer, x = make(cls, dt=0.1, use_recurrent_connection=True), torch.rand(2, 3, 4, requires_grad=True)
    out, _ = layer(x)
    torch.testing.assert_close(out, layer(x, (x[:, 0],))[0])
    grad = torch.autograd.grad(out.sum(), x)[0]
    separate = torch.autograd.grad(layer(x, (x[:, 0].detach(),))[0].sum(), x)[0]
    assert not torch.equal(grad[:, 0], separate[:, 0])
    assert torch.equal(grad[:, 1:], separate[:, 1:])
    if cls is not FiringRateLayer:
        with pytest.raises(AssertionError, match="inputs"):
            make(cls, 3, 4)(torch.zeros(2, 3))
        make(cls, 3, 4, hh_init="zeros")(torch.zeros(2, 3))
        make(cls, 3, 4, hh_init="given", h0=(torch.ones(1, 4),))(torch.zeros(2, 3))


def test_firing_rate_needs_as_many_inputs_as_neurons():
    with pytest.raises(ValueError, match="^input_size: FiringRateLayer"):
        make(FiringRateLayer, 3, 4)


# Equations


@pytest.mark.parametrize("cls", [WilsonCowanLayer, WilsonCowanCURBDLayer])
@pytest.mark.parametrize("recurrent", [False, True])
def test_other_activations_run_in_python(cls, recurrent):
    """The same numbers as the operator, with an activation that it does not know by this name."""

    class Own(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x)

    kwargs = {"dt": 0.1, "use_recurrent_connection": recurrent, "mu": 0.3, "r": 0.2}
    kwargs |= {"learn_mu": True, "learn_r": True, "learn_tau": True}
    own, fused = make(cls, activation=Own(), **kwargs).double(), make(cls, activation="tanh", **kwargs).double()
    fused.load_state_dict(own.state_dict())
    x = torch.rand(2, 6, 4, dtype=torch.float64)
    results = []
    for layer in (own, fused):
        for trace in (False, True):
            out, (h,) = layer.forward_sequence(x, trace=trace)
            loss = out.square().sum() + h.square().sum()
            learned = [p for p in layer.parameters() if p.requires_grad]
            results.append((out, h, torch.autograd.grad(loss, learned, allow_unused=True)))
    torch.testing.assert_close(results[0], results[2])
    torch.testing.assert_close(results[1], results[3])
    assert own.fused_call() is None
    assert "own runs in Python" in own.fused_reason()
    plan = SequentialRNN([own], device="cpu").build().plan(x.float())
    assert plan[own.name].path == "step by step"
    assert "own runs in Python" in plan[own.name].reason
    with pytest.raises(ValueError, match="recompute_every"):
        own.forward_sequence(x, recompute_every=2)


@pytest.mark.parametrize("activation", ["softmax", "elu", torch.sin])
@pytest.mark.parametrize("cls", [FiringRateLayer, LinearRNN])
def test_other_activations_beside_the_operator(cls, activation):
    layer = make(cls, activation=activation, use_recurrent_connection=True)
    x, h = torch.randn(2, 5, 4), torch.randn(2, 4)
    state = h
    for t in range(5):
        recurrent = state @ layer.recurrent_weights
        if cls is LinearRNN:
            state = recurrent + x[:, t] @ layer.forward_weights
            out = layer.activation(state)
        else:
            out = state = recurrent + layer.activation(x[:, t]) @ layer.forward_weights + x[:, t]
    actual, (final,) = layer(x, (h,))
    torch.testing.assert_close(actual[:, -1], out)
    torch.testing.assert_close(final, state)
    plan = SequentialRNN([layer], device="cpu").build().plan(x)
    assert plan[layer.name].path == "fused sequence"
    assert "applied outside the operator" in plan[layer.name].reason


@pytest.mark.parametrize("cls", RECURRENT)
def test_fused_call_is_the_layer(cls):
    kwargs = {} if cls is LinearRNN else {"mu": 0.3, "r": 0.2, "dt": 0.1}
    layer = make(cls, use_recurrent_connection=True, force_dale_law=True, use_rec_eye_mask=True, **kwargs)
    x, h = torch.rand(2, 6, 4), torch.rand(2, 4)
    out, (final,) = run_sequence(layer.fused_call(), x, (h,))
    torch.testing.assert_close(layer(x, (h,)), (out, (final,)))


def test_linear_j_to_i():
    layer = make(LinearJtoI, 3, 5, bias_weights=np.arange(5), activation="sigmoid")
    assert layer._forward_weights.shape == (5, 3)
    for shape in ((3,), (6, 3), (2, 4, 3)):
        x = torch.randn(shape)
        expected = torch.nn.functional.linear(x, layer._forward_weights, torch.arange(5.0)).sigmoid()
        torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(
        make(LinearJtoI, 3, 5, forward_weights=np.ones((5, 3))).forward_weights.data, torch.ones(5, 3)
    )
    with pytest.raises(ValueError, match=r"forward_weights: expected shape \[5, 3\]"):
        make(LinearJtoI, 3, 5, forward_weights=np.ones((3, 5)))


def test_dale_of_linear_j_to_i_is_that_of_the_inputs():
    m, sigma = np.abs(np.random.default_rng(0).normal(size=(3, 5))), np.array([[1.0], [-2.0], [0.5]])
    kwargs = {"force_dale_law": True, "forward_sign": sigma}
    transposed, plain = (
        make(LinearJtoI, 3, 5, forward_weights=m.T, **kwargs),
        make(Linear, 3, 5, forward_weights=m, **kwargs),
    )
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(transposed(x), plain(x))


# Sequences, closed loop, copies


@pytest.mark.parametrize("cls", RECURRENT)
def test_a_sequence_is_its_steps(cls):
    layer, x = make(cls, use_recurrent_connection=True, force_dale_law=True), torch.rand(3, 6, 4)
    out, (h,) = layer(x)
    state, outs = None, []
    for t in range(6):
        step, state = layer(x[:, t], state)
        outs.append(step)
    torch.testing.assert_close(torch.stack(outs, 1), out)
    torch.testing.assert_close(state[0], h)


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("cls", RECURRENT)
def test_closed_loop_is_fused_and_equals_the_steps(cls, dale):
    kwargs = {"force_dale_law": dale, "use_recurrent_connection": True, "use_rec_eye_mask": True, "activation": "tanh"}
    if cls is not LinearRNN:
        kwargs |= {"dt": 0.1, "r": 0.3, "mu": 0.1, "learn_mu": True, "learn_r": True, "learn_tau": True}
    for readout in (False, True):
        layers = [make(cls, name="rates", **kwargs)]
        if readout:
            layers += [make(cls, name="hidden", **kwargs, hh_init="zeros"), make(Linear, 4, 4, name="out")]
        model = SequentialRNN(layers, foresight_time_steps=7, device="cpu").build()
        # Weights small enough that the loop does not amplify rounding.
        for key, p in model.named_parameters():
            if "weights" in key:
                p.data.mul_(0.5)
        x = torch.rand(3, 4, 4)
        results = []
        for path in ("fused network", "step by step"):
            leaf = x.clone().requires_grad_()
            assert {row.path for row in model.plan(leaf)} == {path}
            outs, hidden = model(leaf)
            loss = sum(out.square().sum() for out in outs.values())
            loss = loss + sum(h.sum() for state in hidden.values() for h in state if h is not None)
            learned = [p for p in model.parameters() if p.requires_grad]
            grads = torch.autograd.grad(loss, [leaf, *learned], allow_unused=True)
            results.append([*outs.values(), *[g if g is not None else torch.zeros(()) for g in grads]])
            for layer in model.get_all_layers():
                layer.register_forward_hook(lambda *_: None)
        for fused, steps in zip(*results, strict=True):
            torch.testing.assert_close(fused, steps, rtol=1e-4, atol=1e-4)
        assert results[0][1].any()


@pytest.mark.parametrize("cls", [*RECURRENT, LinearJtoI])
def test_compiles_as_one_graph(cls):
    torch._dynamo.reset()
    layer, x = make(cls, force_dale_law=True), torch.rand(2, 6, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    expected = layer(x)
    torch.testing.assert_close(compiled, expected)
    losses = [r.sum() if isinstance(r, torch.Tensor) else r[0].sum() for r in (compiled, expected)]
    torch.testing.assert_close(*[torch.autograd.grad(loss, layer._forward_sign) for loss in losses])


@pytest.mark.parametrize("cls", [*RECURRENT, LinearJtoI])
def test_copies_text_and_pickles(cls):
    layer, x = make(cls, force_dale_law=True), torch.rand(2, 3, 4)
    assert repr(layer).startswith(f"{cls.__name__}<{cls.__name__}>[Dale](4")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)


def test_exports():
    assert nt.WilsonCowanLayer is WilsonCowanLayer
    assert nt.WilsonCowanCURBDLayer is WilsonCowanCURBDLayer


def test_arguments_are_attributes():
    layer = WilsonCowanLayer(2, 2, std_weight=0.5, learn_mu=True, mean_mu=1.0, std_mu=0.25, mean_r=3.0)
    assert (layer.std_weight, layer.learn_mu, layer.learn_r, layer.learn_tau) == (0.5, True, False, False)
    assert (layer.mean_mu, layer.std_mu, layer.mean_r, layer.std_r) == (1.0, 0.25, 3.0, 0.0)
