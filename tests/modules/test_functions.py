"""Activations with parameters, and modules that change shapes."""

import importlib

import numpy as np
import pytest
import torch
from helpers import GOLDEN_LAYERS

import neurotorch as nt
from neurotorch.modules import DimensionsCat, PSigmoid, WeirdTanh
from neurotorch.utils import ravel_compose_transforms


def recorded():
    return np.load(GOLDEN_LAYERS / "spike_functions.npz")


def test_recorded_sigmoid():
    data = recorded()
    x = torch.from_numpy(data["PSigmoid/x"]).requires_grad_()
    p_sqrt = float(data["PSigmoid/p_sqrt"])
    module = PSigmoid(p_sqrt**2).to(x.dtype)
    module.p_sqrt.data.fill_(p_sqrt)
    y = module(x)
    y.sum().backward()
    for found, name in ((y.detach(), "y"), (x.grad, "grad_x"), (module.p_sqrt.grad, "grad_p_sqrt")):
        torch.testing.assert_close(found, torch.from_numpy(data[f"PSigmoid/{name}"]).to(x.dtype), rtol=1e-5, atol=1e-6)


def test_sigmoid_is_trained_or_not():
    assert [p.requires_grad for p in PSigmoid(2.0, learn_p=False).parameters()] == [False]
    assert list(PSigmoid(2.0).state_dict()) == ["p_sqrt"]
    torch.testing.assert_close(PSigmoid(2.0).p, torch.tensor(2.0))
    with pytest.raises(ValueError, match="p: expected 0 or more, got -1"):
        PSigmoid(-1.0)


def test_sigmoid_as_the_activation_of_a_layer():
    layer = nt.LILayer(3, 4, activation=PSigmoid(2.0)).build()
    out, _ = layer(torch.rand(2, 5, 3))
    out.sum().backward()
    assert layer.activation.p_sqrt.grad != 0
    assert "activation.p_sqrt" in layer.state_dict()


def test_recorded_weird_tanh():
    data = recorded()
    x = torch.from_numpy(data["PSigmoid/x"])
    y = WeirdTanh(*[float(a) for a in data["WeirdTanh/args"]])(x)
    torch.testing.assert_close(y, torch.from_numpy(data["WeirdTanh/y"]), rtol=1e-5, atol=1e-6)


def test_weird_tanh_does_not_overflow():
    x = torch.tensor([-1e4, -100.0, -0.5, 0.0, 0.5, 100.0, 1e4], requires_grad=True)
    torch.testing.assert_close(WeirdTanh()(x), torch.tanh(x))
    WeirdTanh()(x).sum().backward()
    torch.testing.assert_close(x.grad, 1 - torch.tanh(x.detach()).square())
    inputs = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(WeirdTanh(1.2, 0.7, 0.9, 1.1, 1.3, 0.8, 1.4, 0.6), inputs)


def test_merged_axes():
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(DimensionsCat(1)(x), x.flatten(1))
    assert torch.equal(DimensionsCat(1, 2)(x), x.flatten(1, 2))
    assert torch.equal(DimensionsCat(-2)(x), x.flatten(2))
    assert DimensionsCat(1, 2).axes == [1, 2]
    for axes in ((0,), (3, 2), (-1, -2)):
        with pytest.raises(ValueError, match="start_axis, end_axis"):
            DimensionsCat(*axes)
    for axes in ((-4,), (1, 4), (3, -3)):
        with pytest.raises(ValueError, match="do not fit shape"):
            DimensionsCat(*axes)(x)


def test_transforms_are_ravelled():
    class Compose:
        def __init__(self, *transforms):
            self.transforms = transforms

        def __call__(self, x):
            raise AssertionError("its parts are called")

    a, b, c, d = torch.relu, torch.nn.Tanh(), abs, torch.nn.ReLU()
    nested = Compose(a, torch.nn.Sequential(b, d), [c, (a, Compose(b))])
    assert ravel_compose_transforms(nested) == [a, b, d, c, a, b]
    assert ravel_compose_transforms(c) == [c]
    with pytest.raises(ValueError, match="transform: expected a callable or a sequence of them, got 3"):
        ravel_compose_transforms([a, 3])


@pytest.mark.parametrize(
    "path",
    [
        "neurotorch.modules.functions.WeirdTanh",
        "neurotorch.modules.functions.PSigmoid",
        "neurotorch.modules.PSigmoid",
        "neurotorch.modules.utils.DimensionsCat",
        "neurotorch.modules.layers.spiking.BellecLIFLayer",
        "neurotorch.modules.layers.spiking.IzhikevichLayer",
        "neurotorch.modules.layers.spiking_lpf.ALIFLayerLPF",
        "neurotorch.modules.layers.leaky_integrate.SpyLILayer",
        "neurotorch.modules.layers.classical.LinearRNN",
        "neurotorch.modules.layers.wilson_cowan.WilsonCowanCURBDLayer",
        "neurotorch.modules.layers.base.BaseNeuronsLayer",
        "neurotorch.modules.layers.LayerType2Layer",
        "neurotorch.modules.base.BaseModel",
        "neurotorch.modules.base.NamedModule",
        "neurotorch.modules.base.SizedModule",
        "neurotorch.modules.sequential.Sequential",
        "neurotorch.modules.sequential_rnn.SequentialRNN",
        "neurotorch.modules.spike_funcs.SpikeFuncType2Func",
        "neurotorch.modules.wrappers.NamedModuleWrapper",
        "neurotorch.modules.wrappers.SizedModuleWrapper",
        "neurotorch.dimension.DimensionProperty",
        "neurotorch.init.dale_",
        "neurotorch.utils.ravel_compose_transforms",
        "neurotorch.utils.ConnectivityConvention",
    ],
)
def test_recorded_paths_resolve(path):
    module, name = path.rsplit(".", 1)
    assert hasattr(importlib.import_module(module), name)
