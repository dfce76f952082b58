import re

import numpy as np
import pytest
import torch
from eager.surrogates import DERIVATIVES
from helpers import GOLDEN_LAYERS

from neurotorch import (
    ALIFLayer,
    ALIFLayerLPF,
    BellecLIFLayer,
    IzhikevichLayer,
    LIFLayer,
    LIFLayerLPF,
    SpyALIFLayer,
    SpyALIFLayerLPF,
    SpyLIFLayer,
)
from neurotorch.functional import MODELS, SURROGATES
from neurotorch.modules import (
    HeavisideBoxcarApprox,
    HeavisidePhiApprox,
    HeavisideSigmoidApprox,
    HeavisideTriangleApprox,
    SpikeFunction,
    SpikeFuncType,
    SpikeFuncType2Func,
)

CLASSES = {"HeavisideSigmoidApprox": HeavisideSigmoidApprox, "HeavisidePhiApprox": HeavisidePhiApprox}


def recorded():
    with np.load(GOLDEN_LAYERS / "spike_functions.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "meta_json"}
    settings = sorted({key.rpartition("/")[0] for key in arrays if key.partition("/")[0] in CLASSES})
    return arrays, settings


ARRAYS, SETTINGS = recorded()
NAMES = dict(zip(SpikeFuncType, DERIVATIVES, strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
def test_recorded_values_and_gradients(setting):
    name, gamma, theta = re.fullmatch(r"(\w+)/gamma([\d.]+)_thr([\d.]+)", setting).groups()
    v = ARRAYS["V"].clone().requires_grad_()
    threshold = torch.full_like(ARRAYS["V"], float(theta)).requires_grad_()
    out = CLASSES[name].apply(v, threshold, torch.tensor(float(gamma), dtype=v.dtype))
    grads = torch.autograd.grad(out, [v, threshold], ARRAYS[f"{setting}/grad_out"])
    torch.testing.assert_close(out, ARRAYS[f"{setting}/out"], rtol=0, atol=0)
    for grad, key in zip(grads, ("grad_V", "grad_thr"), strict=True):
        expected = ARRAYS[f"{setting}/{key}"]
        assert (grad - expected).abs().max() <= 1e-10 * (1 + expected.abs().max())


@pytest.mark.parametrize("function", SpikeFuncType2Func.values())
def test_scalar_threshold_and_gamma(function, dtype):
    v = torch.randn(3, 4, dtype=dtype, requires_grad=True)
    v.data[0, 0] = 0.5
    v.data[0, 1] = float("nan")
    threshold, gamma = torch.tensor(0.5, dtype=dtype, requires_grad=True), torch.tensor(2.0, dtype=dtype)
    z = function.apply(v, threshold, gamma)
    assert z.dtype == dtype
    assert (z[0, 0], z[0, 1]) == (1, 0)
    v.data[0, 1] = 0.0
    z = function.apply(v, threshold, gamma)
    grad_v, grad_threshold = torch.autograd.grad(z.sum(), [v, threshold])
    assert grad_threshold.shape == ()
    torch.testing.assert_close(grad_threshold, -grad_v.sum())
    peaks = {HeavisideSigmoidApprox: 1, HeavisidePhiApprox: 2 / (0.5 + 1e-5)}
    assert grad_v[0, 0] == pytest.approx(peaks.get(function, 2))


def derivative(kind, v, threshold, gamma):
    """What autograd sees of a spike function."""
    v = v.clone().requires_grad_()
    z = SpikeFuncType2Func[kind].apply(v, torch.tensor(threshold).to(v), torch.tensor(gamma).to(v))
    return torch.autograd.grad(z.sum(), v)[0]


@pytest.mark.parametrize("gamma", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("threshold", [0.4, 1.0])
@pytest.mark.parametrize("kind", SpikeFuncType)
def test_derivatives_are_those_of_the_publications(kind, threshold, gamma):
    v = torch.linspace(-4, 5, 1001, dtype=torch.float64)
    expected = DERIVATIVES[NAMES[kind]](v, torch.tensor(threshold).double(), torch.tensor(gamma).double())
    torch.testing.assert_close(derivative(kind, v, threshold, gamma), expected)


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        (SpikeFuncType.Boxcar, 1.0),
        (SpikeFuncType.Triangle, 1.0),
        (SpikeFuncType.ArcTan, 1.0),
        (SpikeFuncType.SuperSpike, 2.0),
        (SpikeFuncType.Gaussian, 1.0),
    ],
)
@pytest.mark.parametrize("gamma", [0.5, 4.0])
def test_peak_is_gamma_and_the_area_that_of_a_step(kind, area, gamma):
    v = torch.linspace(-999, 1001, 4_000_001, dtype=torch.float64)
    psi = derivative(kind, v, 1.0, gamma)
    assert psi.max().item() == pytest.approx(gamma)
    assert torch.trapezoid(psi, v).item() == pytest.approx(area, abs=5e-3)
    torch.testing.assert_close(psi, psi.flip(0))


@pytest.mark.parametrize("kind", SpikeFuncType)
def test_support(kind):
    """Exactly zero outside where the derivative is compact, nowhere zero elsewhere."""
    widths = {SpikeFuncType.Phi: 1.0 + 1e-5, SpikeFuncType.Boxcar: 0.25, SpikeFuncType.Triangle: 0.5}
    v = torch.linspace(-1, 3, 401, dtype=torch.float64)
    psi = derivative(kind, v, 1.0, 2.0)
    assert torch.equal(psi != 0, (v - 1).abs() < widths.get(kind, 10.0))
    assert HeavisideBoxcarApprox.pseudo_derivative(v, torch.tensor(1.0), torch.tensor(2.0)).unique().tolist() == [0, 2]
    assert HeavisideTriangleApprox.pseudo_derivative(v, torch.tensor(1.0), torch.tensor(2.0)).max() == 2


def test_names_are_those_of_the_operators():
    assert list(SURROGATES) == list(DERIVATIVES)
    assert list(SURROGATES.values()) == [kind.value for kind in SpikeFuncType]


def test_pseudo_derivative_is_public():
    v = torch.linspace(-1, 3, 9)
    psi = HeavisidePhiApprox.pseudo_derivative(v, torch.tensor(1.0), torch.tensor(0.3))
    torch.testing.assert_close(psi, 0.3 * torch.relu(1 - (v - 1).abs()), rtol=1e-4, atol=1e-5)


def test_the_base_has_no_derivative():
    v = torch.zeros(3, requires_grad=True)
    z = SpikeFunction.apply(v, torch.tensor(0.0), torch.tensor(1.0))
    assert z.tolist() == [1, 1, 1]
    with pytest.raises(NotImplementedError):
        z.sum().backward()


@pytest.mark.parametrize("kind", SpikeFuncType)
def test_layers_take_the_name_or_the_class(kind):
    named, given = LIFLayer(2, 3, spike_func=kind, device="cpu"), LIFLayer(2, 3, spike_func=SpikeFuncType2Func[kind])
    assert named.spike_func is given.spike_func is SpikeFuncType2Func[kind]
    assert float(named.gamma) == (100 if kind is SpikeFuncType.FastSigmoid else 1)
    named.build()
    assert named.fused_call().surrogate == NAMES[kind]


@pytest.mark.parametrize(
    ("cls", "gammas"),
    [
        (SpyLIFLayer, (100, 1, 1)),
        (ALIFLayer, (100, 0.3, 1)),
        (ALIFLayerLPF, (100, 0.3, 1)),
        (SpyALIFLayer, (100, 1, 1)),
        (BellecLIFLayer, (100, 1, 1)),
        (IzhikevichLayer, (1, 1, 1)),
    ],
)
def test_default_slopes(cls, gammas):
    for kind, gamma in zip((SpikeFuncType.FastSigmoid, SpikeFuncType.Phi, SpikeFuncType.Gaussian), gammas, strict=True):
        assert float(cls(2, 3, spike_func=kind).gamma) == np.float32(gamma)


class Own(HeavisideSigmoidApprox):
    """The same derivative, but a class that the operators do not know."""


@pytest.mark.parametrize("kwargs", [{}, {"force_dale_law": True}, {"use_recurrent_connection": False}])
@pytest.mark.parametrize(
    "cls",
    [
        LIFLayer,
        LIFLayerLPF,
        SpyLIFLayer,
        ALIFLayer,
        ALIFLayerLPF,
        SpyALIFLayer,
        SpyALIFLayerLPF,
        BellecLIFLayer,
        IzhikevichLayer,
    ],
)
def test_a_spike_function_of_ones_own_runs_in_python(cls, kwargs):
    kwargs = {"gamma": 5.0, "device": "cpu", **kwargs}
    fused = cls(3, 4, spike_func=HeavisideSigmoidApprox, **kwargs).build().double()
    own = cls(3, 4, spike_func=Own, **kwargs).build().double()
    own.load_state_dict(fused.state_dict())
    assert own.spike_func is Own
    assert own.fused_call() is None
    assert "Own" in own.fused_reason()
    x = 2 * torch.randn(2, 29, 3, dtype=torch.float64)
    assert fused(x)[0].any()
    results = []
    for layer in (fused, own):
        for trace in (False, True):
            out, state = layer.forward_sequence(x, trace=trace)
            loss = out.sum() + sum((s.sin()).sum() for s in state)
            results.append((out, state, torch.autograd.grad(loss, layer.get_weights_parameters())))
    for a, b in zip(results[:2], results[2:], strict=True):
        torch.testing.assert_close(a, b)
    assert len(results[0][1]) == len(MODELS[cls.model].states)
    torch.testing.assert_close(own(x[:, 0])[0], results[0][0][:, 0])
    with pytest.raises(ValueError, match="recompute_every"):
        own.forward_sequence(x, recompute_every=2)
