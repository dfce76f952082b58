"""The interface of layers: arguments, parameters, Dale's law, freezing, devices, sequences, hooks for subclasses."""

import copy
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from helpers import GOLDEN_LAYERS

import neurotorch as nt
from neurotorch.modules import layers
from neurotorch.modules.layers import (
    ALIFLayer,
    ALIFLayerLPF,
    BaseLayer,
    BaseNeuronsLayer,
    BellecLIFLayer,
    IzhikevichLayer,
    LayerType,
    LayerType2Layer,
    LIFLayer,
    LIFLayerLPF,
    LILayer,
    Linear,
    SpyALIFLayer,
    SpyALIFLayerLPF,
    SpyLIFLayer,
    SpyLIFLayerLPF,
    SpyLILayer,
)
from neurotorch.utils import ConnectivityConvention

SPIKING = [
    LIFLayer,
    SpyLIFLayer,
    LIFLayerLPF,
    SpyLIFLayerLPF,
    ALIFLayer,
    SpyALIFLayer,
    ALIFLayerLPF,
    SpyALIFLayerLPF,
    BellecLIFLayer,
    IzhikevichLayer,
]
READOUTS = [LILayer, SpyLILayer, Linear]
ALL = SPIKING + READOUTS
CONNECTIONS = ["_forward_weights", "_forward_sign", "_recurrent_weights", "rec_mask", "_recurrent_sign"]


def make(cls, f=4, n=5, **kwargs):
    return cls(f, n, device="cpu", **kwargs).build()


# Arguments


POSITIONS = {
    LIFLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask spike_func dt device",
    SpyLIFLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    LIFLayerLPF: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    SpyLIFLayerLPF: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    ALIFLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask spike_func dt device",
    BellecLIFLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask spike_func dt device",
    IzhikevichLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask spike_func dt device",
    SpyALIFLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    ALIFLayerLPF: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    SpyALIFLayerLPF: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
    LILayer: "input_size output_size name dt device",
    SpyLILayer: "input_size output_size name dt device",
    Linear: "input_size output_size name device",
    BaseLayer: "input_size output_size name device",
    BaseNeuronsLayer: "input_size output_size name use_recurrent_connection use_rec_eye_mask dt device",
}


@pytest.mark.parametrize("cls", POSITIONS)
def test_positional_arguments_have_the_order_of_the_reference(cls):
    parameters = inspect.signature(cls).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == POSITIONS[cls].split()


@pytest.mark.parametrize(
    ("cls", "resolved"),
    [
        (LIFLayer, {"tau_m": 0.02, "threshold": 1.0, "gamma": 100.0, "spikes_regularization_factor": 0.0}),
        (LIFLayerLPF, {"tau_m": 0.02, "lpf_alpha": np.exp(-0.1)}),
        (SpyLIFLayer, {"tau_syn": 0.01, "tau_mem": 0.02}),
        (SpyLIFLayerLPF, {"tau_syn": 0.01, "tau_mem": 0.02, "lpf_alpha": np.exp(-0.1)}),
        (
            ALIFLayer,
            {"tau_m": 0.04, "tau_a": 0.4, "beta": 1.6, "learn_beta": False, "threshold": 1.0, "gamma": 100.0},
        ),
        (ALIFLayerLPF, {"tau_m": 0.04, "tau_a": 0.4, "lpf_alpha": np.exp(-0.05)}),
        (SpyALIFLayer, {"tau_syn": 0.01, "tau_mem": 0.02, "tau_a": 0.4, "kappa": 1.6, "learn_kappa": False}),
        (SpyALIFLayerLPF, {"tau_a": 0.4, "kappa": 1.6, "gamma": 100.0, "lpf_alpha": np.exp(-0.1)}),
        (BellecLIFLayer, {"tau_m": 0.02, "threshold": 1.0, "gamma": 1.0}),
        (IzhikevichLayer, {"C": 100.0, "v_rest": -60.0, "v_th": -40.0, "k": 0.7, "a": 0.03, "b": -2.0, "c": -50.0}),
        (IzhikevichLayer, {"d": 100.0, "v_peak": 35.0, "gamma": 1.0, "spikes_regularization_factor": 0.0}),
        (LILayer, {"tau_out": 0.02, "kappa": np.exp(-0.1), "learn_kappa": False, "use_bias": True}),
        (SpyLILayer, {"alpha": np.exp(-0.2), "beta": np.exp(-0.1), "use_bias": False, "activation": "identity"}),
        (LILayer, {"hh_init": "zeros", "force_dale_law": False, "regularize": False, "freeze_weights": False}),
    ],
)
def test_kwargs_hold_the_resolved_arguments(cls, resolved):
    layer = cls(dt=0.002, device="cpu")
    for name, value in resolved.items():
        assert layer.kwargs[name] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("cls", ALL)
def test_unknown_arguments_warn_and_stay_visible(cls):
    with pytest.warns(UserWarning, match=rf"{cls.__name__}: unknown argument 'forward_weight'.*'forward_weights'") as w:
        layer = cls(4, 5, device="cpu", forward_weight=3)
    assert w[0].filename == __file__
    assert layer.kwargs["forward_weight"] == 3
    layer(torch.zeros(2, 4))


def test_nearest_known_argument():
    with pytest.warns(UserWarning, match="'taum'.*'tau_m'"):
        LIFLayer(4, 5, taum=5e-3)


def test_time_constants_of_the_low_pass_filter():
    assert LIFLayerLPF(4, 5, tau_m=0.005).lpf_alpha == pytest.approx(np.exp(-0.2))
    assert LIFLayerLPF(4, 5, tau_mem=0.005).lpf_alpha == pytest.approx(np.exp(-0.2))
    assert LIFLayerLPF(4, 5, lpf_alpha=0.3).lpf_alpha == 0.3
    assert SpyLIFLayerLPF(4, 5, tau_mem=0.005).lpf_alpha == pytest.approx(np.exp(-0.2))
    assert ALIFLayerLPF(4, 5, tau_m=0.005).lpf_alpha == pytest.approx(np.exp(-0.2))
    assert ALIFLayerLPF(4, 5, tau_mem=0.005, tau_m=0.1).lpf_alpha == pytest.approx(np.exp(-0.2))
    assert SpyALIFLayerLPF(4, 5, tau_mem=0.005).lpf_alpha == pytest.approx(np.exp(-0.2))


@pytest.mark.parametrize("cls", READOUTS)
def test_readouts_are_never_recurrent(cls):
    with pytest.raises(TypeError, match="use_recurrent_connection"):
        cls(4, 5, use_recurrent_connection=True)


def test_unknown_activation():
    with pytest.raises(ValueError, match="activation"):
        LILayer(4, 5, activation="swish")


def test_connectivity_convention():
    assert LIFLayer().connectivity_convention is ConnectivityConvention.ItoJ
    assert LIFLayer(connectivity_convention="j->i").connectivity_convention is ConnectivityConvention.JtoI
    for text in ("itoj", "i_to_j", "i-to-j", "I->J"):
        assert ConnectivityConvention.from_other(text) is ConnectivityConvention.ItoJ
    assert [str(c) for c in ConnectivityConvention] == ["i->j", "j->i"]
    with pytest.raises(ValueError, match="convention"):
        ConnectivityConvention.from_str("ij")


def test_layer_types():
    for name in ("LIF", "LayerType.LIF", LayerType.LIF):
        assert LayerType.from_str(name) is LayerType.LIF
    assert LayerType.from_str("unknown") is None
    assert LayerType2Layer.keys() == set(LayerType)
    for kind, cls in LayerType2Layer.items():
        assert cls.__name__ == f"{kind.name}Layer"


# Parameters


@pytest.mark.parametrize(
    ("cls", "kwargs", "keys"),
    [
        (LIFLayer, {}, "alpha threshold gamma _forward_weights _recurrent_weights rec_mask"),
        (LIFLayer, {"use_recurrent_connection": False}, "alpha threshold gamma _forward_weights"),
        (LIFLayerLPF, {"force_dale_law": True}, " ".join(["alpha threshold gamma", *CONNECTIONS])),
        (SpyLIFLayer, {"force_dale_law": True}, " ".join(["alpha beta threshold gamma", *CONNECTIONS])),
        (SpyLIFLayerLPF, {}, "alpha beta threshold gamma _forward_weights _recurrent_weights rec_mask"),
        (ALIFLayer, {"force_dale_law": True}, " ".join(["alpha threshold gamma beta rho", *CONNECTIONS])),
        (ALIFLayerLPF, {}, "alpha threshold gamma beta rho _forward_weights _recurrent_weights rec_mask"),
        (SpyALIFLayer, {"use_recurrent_connection": False}, "alpha beta threshold gamma kappa rho _forward_weights"),
        (
            SpyALIFLayerLPF,
            {"force_dale_law": True},
            " ".join(["alpha beta threshold gamma kappa rho", *CONNECTIONS]),
        ),
        (BellecLIFLayer, {}, "alpha threshold gamma _forward_weights _recurrent_weights rec_mask"),
        (
            IzhikevichLayer,
            {},
            "C v_rest v_th k a b c d v_peak gamma _forward_weights _recurrent_weights rec_mask",
        ),
        (LILayer, {}, "kappa bias_weights _forward_weights"),
        (LILayer, {"use_bias": False, "force_dale_law": True}, "kappa _forward_weights _forward_sign"),
        (SpyLILayer, {"use_bias": True}, "alpha beta _forward_weights bias_weights"),
        (SpyLILayer, {}, "alpha beta _forward_weights"),
        (Linear, {}, "bias_weights _forward_weights"),
        (Linear, {"activation": "prelu"}, "bias_weights _forward_weights activation.weight"),
    ],
)
def test_checkpoint_keys(cls, kwargs, keys):
    layer = make(cls, **kwargs)
    if "activation" in kwargs:
        assert sorted(layer.state_dict()) == sorted(keys.split())
    else:
        assert list(layer.state_dict()) == keys.split()
    assert all(isinstance(p, torch.nn.Parameter) for p in layer.state_dict(keep_vars=True).values())
    other = make(cls, **kwargs)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)


def test_shapes_and_values_before_and_after_building():
    layer = LIFLayer(4, 5, force_dale_law=True, use_rec_eye_mask=True, device="cpu")
    for name in CONNECTIONS:
        assert getattr(layer, name) is None
    assert layer.forward_weights is layer.recurrent_weights is layer.forward_sign is layer.recurrent_sign is None
    assert (layer.get_weights_parameters(), layer.get_sign_parameters()) == ([], [])
    layer.build()
    shapes = [tuple(getattr(layer, name).shape) for name in CONNECTIONS]
    assert shapes == [(4, 5), (4, 1), (5, 5), (5, 5), (5, 1)]
    assert torch.equal(layer.rec_mask, 1 - torch.eye(5))
    assert float(layer.alpha) == np.float32(np.exp(-0.1))
    assert layer.alpha.shape == layer.threshold.shape == layer.gamma.shape == ()


def test_recurrent_weights_without_recurrence_are_none():
    layer = make(LIFLayer, use_recurrent_connection=False, force_dale_law=True)
    assert layer.recurrent_weights is layer.recurrent_sign is layer.rec_mask is None
    assert layer.get_weights_parameters() == [layer._forward_weights]
    assert layer.get_sign_parameters() == [layer._forward_sign]


def test_building_twice_or_without_sizes():
    layer = make(LIFLayer)
    with pytest.raises(ValueError, match="built already"):
        layer.build()
    for sizes in ((None, 5), (4, None)):
        with pytest.raises(ValueError, match="must be known"):
            LIFLayer(*sizes).build()


@pytest.mark.parametrize("cls", ALL)
def test_weights_are_initialised_once(cls):
    class Counting(cls):
        calls = 0

        def initialize_weights_(self):
            super().initialize_weights_()
            self.calls += 1

    layer = make(Counting)
    layer(torch.zeros(2, 3, 4))
    assert layer.calls == 1


@pytest.mark.parametrize("cls", ALL)
def test_sizes_may_come_from_the_first_input(cls):
    layer = cls(output_size=5, device="cpu")
    assert not layer.is_ready_to_build
    assert layer(torch.zeros(2, 3, 4))[0].shape[-1] == 5
    assert layer.is_built
    assert int(layer.input_size) == 4
    with pytest.raises(ValueError, match="output_size"):
        cls(4, device="cpu")(torch.zeros(2, 4))
    lazily = cls(device="cpu")
    lazily.output_size = 5
    assert lazily.forward_sequence(torch.zeros(2, 3, 4))[0].shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("cls", "std_f", "std_r"),
    [
        (LIFLayer, 2 / 700, 1 / 400),
        (SpyLIFLayer, 0.04 / 300, 0.04 / 400),
        (ALIFLayerLPF, 2 / 700, 1 / 400),
        (SpyALIFLayer, 0.04 / 300, 0.04 / 400),
        (BellecLIFLayer, 2 / 700, 1 / 400),
        (IzhikevichLayer, 2 / 700 * 2000**2, 1 / 400 * 2000**2),  # 100 pF (-40 mV + 60 mV) / 1 ms = 2000 pA
    ],
)
@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("sign", [None, 0.3, "array"])
def test_initial_weights_have_the_typical_size_of_the_layer(cls, std_f, std_r, dale, sign):
    signs = {} if sign is None else {"forward_sign": sign, "recurrent_sign": sign}
    if sign == "array":
        signs = {"forward_sign": 0.2 * np.random.randn(300, 1), "recurrent_sign": 3 * np.random.randn(400, 1)}
    layer = make(cls, 300, 400, force_dale_law=dale, **(signs if dale else {}))
    for weights, variance in ((layer.forward_weights, std_f), (layer.recurrent_weights, std_r)):
        assert weights.square().mean().sqrt().item() == pytest.approx(variance**0.5, rel=0.1)


@pytest.mark.parametrize("cls", [SpyLILayer, LILayer, Linear])
def test_initial_weights_and_bias_of_readouts(cls):
    layer = make(cls, 300, 400, use_bias=True, bias_weights=np.arange(400))
    std = 0.2 / 300**0.5 if cls is SpyLILayer else (2 / 700) ** 0.5
    assert layer.forward_weights.std().item() == pytest.approx(std, rel=0.05)
    assert torch.equal(layer.bias_weights, torch.arange(400.0))
    assert not make(cls, use_bias=True).bias_weights.any()


@pytest.mark.parametrize("cls", READOUTS)
def test_without_bias_there_is_none(cls):
    layer = make(cls, use_bias=False, bias_weights=np.ones(5))
    assert not layer.bias_weights.any()
    assert "bias_weights" not in layer.state_dict()
    assert "bias_weights" not in dict(layer.named_parameters())
    assert layer.double().bias_weights.dtype == torch.float64


@pytest.mark.parametrize(
    ("argument", "shape"),
    [("forward_weights", (4, 5)), ("recurrent_weights", (5, 5)), ("forward_sign", (4, 1)), ("recurrent_sign", (5, 1))],
)
def test_shapes_of_given_values_are_checked(argument, shape):
    wrong = np.ones((shape[0] + 1, shape[1]))
    message = rf"{argument}: expected shape \[{shape[0]}, {shape[1]}\]"
    with pytest.raises(ValueError, match=message):
        make(LIFLayer, force_dale_law=True, **{argument: wrong})
    layer = make(LIFLayer, force_dale_law=True)
    for value in (wrong, torch.ones(wrong.shape), torch.nn.Parameter(torch.ones(wrong.shape))):
        with pytest.raises(ValueError, match=message):
            setattr(layer, argument, value)
    if "weights" in argument:
        with pytest.raises(ValueError, match=message):
            getattr(layer, f"set_{argument}_data")(wrong)
    with pytest.raises(ValueError, match=message):
        getattr(layer, f"set_{argument}_parameter")(torch.nn.Parameter(torch.ones(wrong.shape)))


def test_shape_of_a_given_bias_is_checked():
    with pytest.raises(ValueError, match=r"bias_weights: expected shape \[5\], got \[4\]"):
        make(Linear, bias_weights=np.ones(4))


def test_a_failed_build_can_be_repaired():
    layer = LIFLayer(4, 5, forward_weights=np.ones((5, 4)), device="cpu")
    with pytest.raises(ValueError, match="forward_weights"):
        layer.build()
    layer.kwargs["forward_weights"] = np.ones((4, 5))
    assert torch.equal(layer.build().forward_weights, torch.ones(4, 5))


@pytest.mark.parametrize("as_parameter", [False, True])
@pytest.mark.parametrize("kind", ["forward_weights", "recurrent_weights", "forward_sign", "recurrent_sign"])
def test_values_assigned_before_the_build_stay(kind, as_parameter):
    layer = LIFLayer(4, 5, force_dale_law=True)
    shape = {"forward_weights": (4, 5), "recurrent_weights": (5, 5), "forward_sign": (4, 1), "recurrent_sign": (5, 1)}
    value = torch.full(shape[kind], 0.25)
    setattr(layer, kind, torch.nn.Parameter(value) if as_parameter else value)
    before = getattr(layer, f"get_{kind}_parameter")()
    layer.build()
    assert getattr(layer, f"get_{kind}_parameter")() is before
    assert torch.equal(before, value)
    assert list(layer.state_dict()) == list(make(LIFLayer, force_dale_law=True).state_dict())
    unsized = LIFLayer(output_size=5)
    unsized.forward_weights = torch.ones(3, 5)
    with pytest.raises(ValueError, match=r"forward_weights: expected shape \[4, 5\], got \[3, 5\]"):
        unsized(torch.ones(1, 4))


@pytest.mark.parametrize("kind", ["forward_weights", "recurrent_weights", "forward_sign", "recurrent_sign"])
def test_assigning_stores_raw_values(kind):
    layer = make(LIFLayer, force_dale_law=True)
    before = getattr(layer, f"get_{kind}_parameter")()
    shape = before.shape
    setattr(layer, kind, np.full(shape, 2.0))
    assert getattr(layer, f"_{kind}") is before
    assert torch.equal(before, torch.full(shape, 2.0))
    given = torch.nn.Parameter(torch.full(shape, 3.0))
    setattr(layer, kind, given)
    assert getattr(layer, f"get_{kind}_parameter")() is given
    assert dict(layer.named_parameters())[f"_{kind}"] is given
    getattr(layer, f"set_{kind}_parameter")(before)
    assert getattr(layer, f"_{kind}") is before
    if "weights" in kind:
        getattr(layer, f"set_{kind}_data")(torch.full(shape, 4, dtype=torch.int64))
        assert torch.equal(getattr(layer, f"get_{kind}_data")(), torch.full(shape, 4.0))
        assert before.requires_grad


# Constants of the spiking layers


@pytest.mark.parametrize("cls", SPIKING)
def test_import_paths_of_the_reference(cls):
    module = layers.spiking_lpf if cls.__name__.endswith("LPF") else layers.spiking
    for place in (nt, nt.modules, layers, module):
        assert getattr(place, cls.__name__) is cls


@pytest.mark.parametrize(
    ("cls", "name"), [(ALIFLayer, "beta"), (ALIFLayerLPF, "beta"), (SpyALIFLayer, "kappa"), (SpyALIFLayerLPF, "kappa")]
)
def test_adaptation_strength_can_be_learned(cls, name):
    layer = make(cls, **{f"learn_{name}": True, name: 0.5}, gamma=5.0, freeze_weights=True)
    assert [key for key, p in layer.named_parameters() if p.requires_grad] == [name]
    layer(torch.randn(2, 30, 4) * 20)[0].sum().backward()
    assert getattr(layer, name).grad < 0  # a stronger adaptation has fewer spikes
    layer.freeze_weights = False
    assert not layer.rho.requires_grad
    fixed = make(cls)
    assert not getattr(fixed, name).requires_grad
    assert float(getattr(fixed, name)) == np.float32(1.6)


def test_constants_of_the_adaptive_layers():
    layer = make(ALIFLayer, dt=0.002, tau_a=0.1)
    assert float(layer.rho) == np.float32(np.exp(-0.02))
    assert float(layer.alpha) == np.float32(np.exp(-0.05))
    spy = make(SpyALIFLayer, tau_syn=0.01, tau_mem=0.02, tau_a=0.05)
    assert [float(c) for c in (spy.alpha, spy.beta, spy.rho)] == [np.float32(np.exp(-x)) for x in (0.1, 0.05, 0.02)]
    assert make(ALIFLayer, beta=np.full(5, 0.2)).beta.shape == (5,)


def test_adaptation_makes_regular_input_spike_less_and_less():
    x = torch.ones(1, 400, 1)
    kwargs = {"forward_weights": [[0.3]], "use_recurrent_connection": False, "device": "cpu"}
    z = ALIFLayer(1, 1, beta=0.3, **kwargs).build()(x)[0].flatten()
    intervals = z.nonzero().flatten().diff()
    assert len(intervals) > 3
    assert intervals[0] < intervals[-1]


def test_bellec_lif_has_its_own_defaults():
    layer = make(BellecLIFLayer)
    assert layer.spike_func is nt.modules.HeavisidePhiApprox
    assert torch.equal(layer.rec_mask, 1 - torch.eye(5))
    assert isinstance(layer, LIFLayer)
    assert torch.equal(make(BellecLIFLayer, use_rec_eye_mask=False).rec_mask, torch.ones(5, 5))


def test_izhikevich_takes_seconds_and_has_milliseconds_inside():
    weights = {"forward_weights": [[100.0]], "use_recurrent_connection": False, "device": "cpu"}
    coarse, fine = (IzhikevichLayer(1, 1, dt=dt, **weights).build() for dt in (1e-3, 2.5e-4))
    rates = [layer(torch.ones(1, n, 1))[0].sum().item() for layer, n in ((coarse, 1000), (fine, 4000))]
    assert 8 <= rates[0] <= 20
    assert abs(rates[0] - rates[1]) <= 2
    expected, _ = nt.functional.izhikevich(torch.full((1, 1000, 1), 100.0))
    assert torch.equal(coarse(torch.ones(1, 1000, 1))[0], expected)


def test_izhikevich_learns_from_rest():
    """From rest a forward pass without spikes still has a gradient, with the default surrogate and weights."""
    layer = make(IzhikevichLayer, 20, 30)
    out, _ = layer((torch.rand(4, 60, 20) < 0.1).float())
    assert out.any()
    out.sum().backward()
    assert layer._forward_weights.grad.any()
    assert layer._recurrent_weights.grad.any()


@pytest.mark.parametrize("cls", SPIKING)
def test_every_surrogate_reaches_the_operator(cls):
    for kind, function in nt.modules.SpikeFuncType2Func.items():
        layer = make(cls, spike_func=kind)
        assert layer.spike_func is function
        assert layer.fused_call().surrogate == layer._surrogate
        assert layer.fused_reason() is None
    assert {make(cls, spike_func=kind)._surrogate for kind in nt.modules.SpikeFuncType} == set(nt.functional.SURROGATES)


# Dale's law


def test_recorded_dale_initialisation():
    with np.load(GOLDEN_LAYERS / "dale_layer_init.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta_json"}
    given = {"forward_weights": arrays["W"], "recurrent_weights": arrays["R"]}
    signs = {key: arrays[key] for key in ("forward_sign", "recurrent_sign")}
    recorded = {key.partition("/")[0] for key in arrays if "Layer/" in key}
    spiking = [cls for cls in SPIKING if cls.__name__ in recorded]
    assert {LIFLayer, SpyLIFLayer} <= set(spiking)
    for cls in [*spiking, layers.LinearRNN]:
        layer = make(cls, force_dale_law=True, **given, **signs)
        start = f"{cls.__name__}/signs"
        torch.testing.assert_close(layer._forward_weights.data, arrays[f"{start}/_forward_weights"])
        torch.testing.assert_close(layer._recurrent_weights.data, arrays[f"{start}/_recurrent_weights"])
        torch.testing.assert_close(layer.forward_weights.detach(), arrays[f"{start}/effective_forward"])
        torch.testing.assert_close(layer.recurrent_weights.detach(), arrays[f"{start}/effective_recurrent"])
        # The reference stores given weights without root where no signs are given: W_eff would be M^2 tanh(sigma).
        without = make(cls, force_dale_law=True, **given)
        torch.testing.assert_close(without._forward_weights.data, arrays["W"].abs().sqrt())
        torch.testing.assert_close(without._recurrent_weights.data, arrays["R"].abs().sqrt())


@pytest.mark.parametrize("cls", ALL)
def test_given_weights_are_magnitudes(cls):
    m, sigma = torch.randn(4, 5), torch.randn(4, 1)
    layer = make(cls, force_dale_law=True, forward_weights=m.tolist(), forward_sign=sigma.numpy())
    torch.testing.assert_close(layer.forward_weights, m.abs() * torch.tanh(sigma))
    torch.testing.assert_close(layer.forward_sign, torch.tanh(sigma))


@pytest.mark.parametrize("p", [0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), torch.tensor(0.25)])
def test_fraction_of_inhibitory_neurons(p):
    layer = make(LIFLayer, 8, 20, force_dale_law=True, forward_sign=p, recurrent_sign=p)
    assert ((layer.forward_weights <= 0).all(dim=1)).sum() == 2
    assert ((layer.recurrent_weights <= 0).all(dim=1)).sum() == 5
    assert ((layer.recurrent_weights >= 0).all(dim=1)).sum() == 15


@pytest.mark.parametrize(("p", "n"), [(0, 0), (1, 5), (0.5, 2), (np.int64(1), 5)])
def test_fractions_of_any_number_type(p, n):
    assert (make(LIFLayer, force_dale_law=True, recurrent_sign=p).recurrent_sign < 0).sum() == n


def test_fractions_out_of_range():
    for p in (-0.1, 1.5, 2):
        with pytest.raises(ValueError, match="recurrent_sign"):
            make(LIFLayer, force_dale_law=True, recurrent_sign=p)


def test_another_initialisation_keeps_the_drawn_signs():
    layer = make(LIFLayer, force_dale_law=True, forward_sign=0.5)
    sign, weights = layer.forward_sign.detach().clone(), layer._forward_weights.detach().clone()
    assert layer.kwargs["forward_sign"].shape == (4, 1)
    layer.initialize_weights_()
    torch.testing.assert_close(layer.forward_sign, sign)
    assert not torch.equal(layer._forward_weights, weights)


def test_signs_have_the_same_distribution_for_forward_and_recurrent_weights():
    layer = make(LIFLayer, 3000, 3000, force_dale_law=True)
    for sign in layer.get_sign_parameters():
        assert sign.std().item() == pytest.approx(1, abs=0.05)
        assert abs(sign.mean().item()) < 0.06


def test_gradients_go_through_squares_and_signs():
    layer = make(SpyLIFLayer, force_dale_law=True, use_rec_eye_mask=True, gamma=5.0).double()
    x = torch.randn(3, 20, 4, dtype=torch.float64) * 10
    call = layer.fused_call()
    weight, recurrent = (t.detach().requires_grad_() for t in (call.weight, call.recurrent_weight))
    out, _ = nt.functional.run_sequence(call._replace(weight=weight, recurrent_weight=recurrent), x)
    c = torch.randn_like(out)
    g_w, g_r = torch.autograd.grad((out * c).sum(), [weight, recurrent])
    g_r = g_r * layer.rec_mask
    got = torch.autograd.grad((layer(x)[0] * c).sum(), layer.get_weights_parameters() + layer.get_sign_parameters())
    pairs = zip((g_w, g_r), layer.get_weights_parameters(), layer.get_sign_parameters(), got[:2], got[2:], strict=True)
    for g, w, sigma, got_w, got_sigma in pairs:
        s = torch.tanh(sigma)
        torch.testing.assert_close(got_w, 2 * w * s * g)
        torch.testing.assert_close(got_sigma, (g * w**2).sum(1, keepdim=True) * (1 - s**2))
        assert got_w.any()


def test_sign_activation_of_ones_own():
    layer = make(LILayer, 100, 100, force_dale_law=True, sign_activation=torch.sign)
    assert set(layer.forward_sign.unique().tolist()) == {-1.0, 1.0}
    assert layer.forward_weights.std().item() == pytest.approx(0.1, rel=0.1)


# Freezing


@pytest.mark.parametrize("cls", ALL)
def test_freezing_concerns_genuine_weights_only(cls):
    kwargs = {"force_dale_law": True}
    if cls in (LILayer, SpyLILayer):
        kwargs |= {"learn_kappa": True} if cls is LILayer else {"learn_alpha": True}
    learned = {"kappa", "alpha"} if cls in (LILayer, SpyLILayer) else set()
    weights = {"_forward_weights", "_recurrent_weights", "bias_weights"}
    signs = {"_forward_sign", "_recurrent_sign"}

    def trainable(layer):
        return {name for name, p in layer.named_parameters() if p.requires_grad}

    frozen, free = make(cls, freeze_weights=True, **kwargs), make(cls, **kwargs)
    names = set(dict(free.named_parameters()))
    assert (frozen.requires_grad, free.requires_grad) == (False, True)
    assert trainable(frozen) == (signs | learned) & names
    assert trainable(free) == (signs | learned | weights) & names
    frozen.freeze_weights, free.freeze_weights = False, True
    assert trainable(frozen) == (signs | learned | weights) & names
    assert trainable(free) == (signs | learned) & names


# Device and dtype


def test_device_is_the_one_that_was_given():
    for device in ("cpu", torch.device("cpu")):
        layer = make(LIFLayer).__class__(4, 5, device=device)
        assert layer.device is device
        layer.build().to(torch.float64)
        assert layer.device is device
    assert BaseLayer(device="cpu").device == "cpu"


def test_without_a_device_layers_are_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert BaseLayer().device == torch.device("cpu")
    assert nt.SequentialRNN([make(LIFLayer)]).device == torch.device("cpu")


def test_moving_a_layer_moves_its_parameters():
    for layer in (LIFLayer(4, 5, device="cpu"), BaseLayer(device="cpu"), make(LILayer, use_bias=False)):
        assert layer.to("meta") is layer
        assert layer.device == torch.device("meta")
        assert all(t.device.type == "meta" for t in [*layer.parameters(), *layer.buffers()])
    model = torch.nn.ModuleList([make(LIFLayer)]).to("meta")
    assert model[0].device == torch.device("meta")
    layer = make(LIFLayer)
    layer.device = "meta"
    assert layer.device == "meta"
    assert layer._forward_weights.device.type == "meta"


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("built", [False, True])
def test_double_precision(cls, built):
    layer = make(cls) if built else cls(4, 5, device="cpu")
    layer = layer.double()
    for x in (torch.randn(2, 3, 4), torch.randn(2, 3, 4, dtype=torch.float64), torch.ones(2, 3, 4, dtype=torch.bool)):
        out, state = layer.forward_sequence(x)
        assert out.dtype == torch.float64
        assert all(s.dtype == torch.float64 for s in state)
    assert all(s.dtype == torch.float64 for s in layer.create_empty_state(2))
    single = layer(torch.zeros(2, 4), tuple(s.float() for s in layer.create_empty_state(2)))
    assert (single if cls is Linear else single[0]).dtype == torch.float64


def test_half_precision_inputs_under_autocast():
    layer = make(SpyLIFLayer)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = layer(torch.randn(2, 3, 4, dtype=torch.bfloat16))
    assert out.dtype == torch.float32


# Calls


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("kwargs", [{}, {"force_dale_law": True}])
def test_a_sequence_equals_its_steps(cls, kwargs):
    layer = make(cls, **kwargs).double()
    x = torch.randn(3, 7, 4, dtype=torch.float64) * 3
    out, traces = layer.forward_sequence(x, trace=True)
    final = layer.forward_sequence(x)[1]
    state, called = None, layer(x)
    torch.testing.assert_close(called, out if cls is Linear else (out, final))
    for t in range(7):
        step = layer(x[:, t], state, t=t, forecasting=True, tau=3)
        step, state = (step, None) if cls is Linear else step
        torch.testing.assert_close(step, out[:, t])
        for s, trace in zip(state or (), traces, strict=True):
            torch.testing.assert_close(s, trace[:, t])
    torch.testing.assert_close(final, tuple(trace[:, -1] for trace in traces))
    recomputed = layer.forward_sequence(x, recompute_every=3)
    torch.testing.assert_close(recomputed, (out, final))


def test_linear_takes_any_leading_dimensions():
    layer = make(Linear, activation="tanh")
    expected = torch.tanh(torch.arange(24.0).view(2, 3, 4) @ layer.forward_weights + layer.bias_weights)
    x = torch.arange(24.0)
    for shape in ((4,), (6, 4), (2, 3, 4), (1, 2, 3, 4)):
        flat = x[: int(np.prod(shape))].view(shape)
        out = layer(flat)
        assert out.shape == (*shape[:-1], 5)
        torch.testing.assert_close(out.reshape(-1, 5), expected.reshape(-1, 5)[: out.numel() // 5])


@pytest.mark.parametrize("cls", SPIKING + READOUTS[:2])
def test_inputs_of_a_wrong_shape(cls):
    layer = make(cls)
    for shape in ((4,), (2, 3, 6, 4)):
        with pytest.raises(AssertionError, match="inputs: expected shape"):
            layer(torch.zeros(shape))
    with pytest.raises(ValueError, match="at least one step"):
        layer(torch.zeros(2, 0, 4))
    with pytest.raises(ValueError, match="x: expected shape"):
        layer.forward_sequence(torch.zeros(2, 4))
    with pytest.raises(ValueError):
        layer(torch.zeros(2, 3))


@pytest.mark.parametrize("activation", ["softmax", "ELU", "leaky_relu", "logsigmoid", torch.sin, torch.nn.PReLU()])
@pytest.mark.parametrize("cls", READOUTS)
def test_other_activations_are_applied_beside_the_operator(cls, activation):
    layer = make(cls, activation=activation)
    plain = make(cls)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if not k.startswith("activation")})
    x = torch.randn(2, 3, 4)
    out, state = layer.forward_sequence(x)
    expected, expected_state = plain.forward_sequence(x)
    torch.testing.assert_close(out, layer.activation(expected))
    torch.testing.assert_close(state, expected_state)
    assert layer.fused_call() is None
    assert "activation" in layer.fused_reason()
    assert layer.stepwise_reason() is None


@pytest.mark.parametrize("activation", ["identity", "ReLU", "tanh", "sigmoid", torch.tanh, torch.nn.Sigmoid()])
def test_fused_activations(activation):
    layer = make(LILayer, activation=activation)
    assert layer.fused_reason() is None
    v = layer.forward_sequence(torch.ones(2, 3, 4), trace=True)
    torch.testing.assert_close(v[0], layer.activation(v[1][0]))


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("entry", ["call", "forward_sequence"])
def test_compiles_as_one_graph(cls, entry):
    torch._dynamo.reset()
    kwargs = {"activation": "softmax"} if cls in READOUTS else {"regularize": True}
    layer = make(cls, force_dale_law=True, **kwargs)
    function = layer.forward_sequence if entry == "forward_sequence" else layer
    x = torch.randn(2, 6, 4) * 3
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(compiled, function(x))
    loss = (compiled[0] if isinstance(compiled, tuple) else compiled).square().sum()
    expected = function(x)
    expected = (expected[0] if isinstance(expected, tuple) else expected).square().sum()
    torch.testing.assert_close(
        torch.autograd.grad(loss, layer._forward_sign), torch.autograd.grad(expected, layer._forward_sign)
    )


# Regularisation


@pytest.mark.parametrize("cls", SPIKING)
def test_regularisation_counts_spikes(cls):
    layer = make(cls, regularize=True, spikes_regularization_factor=0.3, gamma=5.0).double()
    x = torch.randn(2, 9, 4, dtype=torch.float64) * 10
    z = layer.forward_sequence(x, trace=True)[1][-1]
    assert z.any()
    weights = layer._forward_weights
    losses, grads, state = [], [], None
    for run in (layer, layer.forward_sequence):
        run(x)
        losses.append(layer.get_regularization_loss())
        grads.append(torch.autograd.grad(losses[-1], weights)[0])
    for t in range(9):
        _, state = layer(x[:, t], state)
    losses.append(layer.get_and_reset_regularization_loss())
    grads.append(torch.autograd.grad(losses[-1], weights)[0])
    assert layer.get_regularization_loss() == 0
    for loss, grad in zip(losses, grads, strict=True):
        torch.testing.assert_close(loss, 0.3 * z.sum())
        torch.testing.assert_close(grad, grads[0])
    assert grads[0].any()


@pytest.mark.parametrize("cls", SPIKING)
def test_regularisation_starts_anew_with_each_sequence(cls):
    layer = make(cls, regularize=True, spikes_regularization_factor=1.0)
    x = torch.randn(2, 5, 4) * 10
    for _ in range(2):
        layer(x)[0].sum().backward(retain_graph=True)
        first = layer.get_regularization_loss()
        first.backward()
    given = tuple(s.detach() for s in layer(x)[1])
    for state in (None, None, given, given):
        for t in range(5):
            _, state = layer(x[:, t], state, t=t)
        layer.get_regularization_loss().backward()
    layer(x)
    torch.testing.assert_close(layer.get_regularization_loss(), first)
    copy.deepcopy(layer)(x)
    pickle.loads(pickle.dumps(layer))(x)


def test_regularisation_can_be_switched():
    layer = make(LIFLayer, spikes_regularization_factor=1.0)
    layer.regularize = True
    layer(torch.randn(2, 5, 4) * 100)
    assert layer.regularize
    assert layer.get_regularization_loss() > 0


# Text, copies


@pytest.mark.parametrize("cls", ALL)
def test_repr(cls):
    arrow = "<->" if cls in SPIKING else "->"
    assert repr(cls(name="a", device="cpu")).startswith(f"{cls.__name__}<a>(?{arrow}?")
    text = repr(make(cls, force_dale_law=True, freeze_weights=True))
    assert text.startswith(f"{cls.__name__}<{cls.__name__}>[Dale](4{arrow}5")
    assert text.endswith(", activation:Identity(), sign_activation:Tanh())[frozen]@cpu")


@pytest.mark.parametrize("cls", ALL)
def test_copies_and_pickles(cls):
    layer = make(cls, force_dale_law=True, h0=(torch.zeros(1, 5),))
    x = torch.randn(2, 3, 4)
    expected = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert twin.kwargs.keys() == layer.kwargs.keys()
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)
        twin._forward_weights.data.zero_()
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)


# Layers of one's own


class Counter(BaseNeuronsLayer):
    """Counts its inputs, with a keyword of its own and every hook."""

    state_names = ("count",)

    def __init__(self, input_size=None, output_size=None, name=None, device=None, **kwargs):
        super().__init__(input_size, output_size, name, use_recurrent_connection=False, device=device, **kwargs)
        self.step = self.kwargs["step"]
        self.late = self.kwargs.get("late", 0)

    def _set_default_kwargs(self):
        self.kwargs.setdefault("step", 10 * self.dt)
        self.kwargs.setdefault("hh_init", "random")

    def _init_activation(self, activation="identity"):
        return torch.neg if activation == "neg" else super()._init_activation(activation)

    def initialize_weights_(self):
        super().initialize_weights_()
        self._forward_weights.data.fill_(1.0)

    def create_empty_state(self, batch_size=1, **kwargs):
        return (torch.full((batch_size, 5), 100.0),)

    def forward(self, inputs, state=None, **kwargs):
        assert inputs.dim() == 2
        (count,) = self._init_forward_state(state, inputs.shape[0], inputs=inputs)
        count = count + self.step * (inputs @ self.forward_weights)
        return self.activation(count), (count,)


def test_a_layer_of_ones_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = Counter(4, 5, device="cpu", step=2.0, late=3, activation="neg").build()
    assert (layer.step, layer.late, Counter().step, layer.hh_init) == (2.0, 3, 0.01, "random")
    assert layer.fused_call() is None
    assert "Counter" in layer.fused_reason()
    out, (traces,) = layer.forward_sequence(torch.ones(2, 3, 4), trace=True)
    torch.testing.assert_close(traces[0, :, 0], torch.tensor([108.0, 116.0, 124.0]))
    torch.testing.assert_close(out, -traces)
    torch.testing.assert_close(layer.forward_sequence(torch.ones(2, 3, 4))[1][0], traces[:, -1])
    torch.testing.assert_close(layer(torch.ones(2, 4), (torch.zeros(2, 5),))[0], torch.full((2, 5), -8.0))
    with pytest.raises(ValueError, match="recompute_every"):
        layer.forward_sequence(torch.ones(2, 3, 4), recompute_every=2)
    with pytest.raises(ValueError, match="x: expected shape"):
        layer.forward_sequence(torch.ones(2, 4))
    with pytest.warns(UserWarning, match="'stepp'"):
        Counter(4, 5, stepp=3)


def test_a_library_layer_with_another_forward():
    class Doubled(LIFLayer):
        def _set_default_kwargs(self):
            self.kwargs.setdefault("tau_m", 3 * self.dt)
            super()._set_default_kwargs()

        def forward(self, inputs, state=None, **kwargs):
            out, state = super().forward(inputs, state, **kwargs)
            return 2 * out, state

    layer = make(Doubled)
    assert float(layer.alpha) == pytest.approx(np.exp(-1 / 3))
    x = torch.randn(2, 6, 4) * 3
    out, _ = layer.forward_sequence(x)
    plain = make(LIFLayer)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(out, 2 * plain(x)[0])
    assert layer.fused_call() is None
    assert layer.fused_reason() == "Doubled defines its own forward"


def test_another_initial_state_is_used_by_the_fused_path():
    class Charged(LIFLayer):
        def create_empty_state(self, batch_size=1, **kwargs):
            v, z = super().create_empty_state(batch_size, **kwargs)
            return v + 0.5, z

    layer = make(Charged)
    x = torch.randn(2, 6, 4)
    assert layer.fused_reason() is None
    torch.testing.assert_close(layer(x), layer(x, (torch.full((2, 5), 0.5), torch.zeros(2, 5))))


def test_hooks_and_replaced_forwards_are_called_at_every_step():
    layer = make(LIFLayer)
    x = torch.randn(2, 6, 4)
    expected = layer.forward_sequence(x)
    calls = []
    handle = layer.register_forward_hook(lambda module, args, out: calls.append(args[0].shape))
    torch.testing.assert_close(layer.forward_sequence(x), expected)
    assert calls == [(2, 4)] * 6
    assert layer.fused_reason() == "it has hooks"
    handle.remove()
    original = layer.forward
    layer.forward = lambda inputs, state=None, **kwargs: (calls.append(kwargs["t"]), original(inputs, state))[1]
    torch.testing.assert_close(layer.forward_sequence(x), expected)
    assert calls[6:] == list(range(6))
    assert "replaced" in layer.fused_reason()
    del layer.forward
    assert layer.fused_reason() is None


def test_an_own_regularisation_sees_every_step():
    class Mine(LIFLayer):
        def update_regularization_loss(self, state=None, *args, **kwargs):
            self._regularization_loss = self._regularization_loss + state[0].shape[0] ** 2
            return self._regularization_loss

    layer = make(Mine, regularize=True)
    layer.forward_sequence(torch.zeros(3, 4, 4))
    assert layer.get_regularization_loss() == 4 * 9
    assert "update_regularization_loss" in layer.fused_reason()


def test_a_plain_layer_of_ones_own():
    class Identity(BaseLayer):
        def forward(self, inputs, state=None, **kwargs):
            return inputs

    class Wrong(BaseLayer):
        def forward(self, inputs, state=None, **kwargs):
            return inputs, None, None

    layer, x = Identity(3, 3, device="cpu", regularize=True), torch.randn(2, 4, 3)
    out, state = layer.forward_sequence(x, trace=True)
    torch.testing.assert_close(out, x)
    assert state == ()
    assert layer.get_regularization_loss() == 0
    with pytest.raises(ValueError, match="forward must return"):
        Wrong(3, 3, device="cpu")(x)
    for missing in (BaseLayer(3, 3, device="cpu").create_empty_state, lambda: BaseLayer(3, 3, device="cpu")(x)):
        with pytest.raises(NotImplementedError):
            missing()


def test_exports():
    for name in layers.__all__:
        assert getattr(layers, name) is getattr(nt.modules, name)
    for name in (
        "SequentialRNN",
        "Sequential",
        "init",
        "utils",
        "set_seed",
        "to_tensor",
        "to_numpy",
        "Dimension",
        "Size",
    ):
        assert hasattr(nt, name)
    assert nt.__version__
    assert "SequentialRNN" in dir(nt)
    with pytest.raises(AttributeError, match="nothing"):
        _ = nt.nothing


def test_import_needs_torch_and_numpy_only():
    """What the extras install is looked for when it is used, never on import."""
    program = """
import sys
for name in ("h5py", "matplotlib", "PIL", "pooch", "scipy", "sklearn", "torchmetrics", "torchvision", "tqdm"):
    sys.modules[name] = None
import neurotorch
from neurotorch import callbacks, functional, learning_algorithms, metrics, modules, trainers, transforms
print(neurotorch.__version__, neurotorch.Trainer.__name__, neurotorch.SequentialRNN.__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [nt.__version__, "Trainer", "SequentialRNN"]
