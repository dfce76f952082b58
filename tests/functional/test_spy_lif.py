"""Leaky integrate-and-fire neurons with synaptic current, and their low-pass variant."""

import pytest
import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import SpyLIFLPFState, SpyLIFState, spy_lif, spy_lif_lpf


class TestSpyLIF(LayerTests):
    model = "spy_lif"


class TestSpyLIFLPF(LayerTests):
    model = "spy_lif_lpf"


def test_by_hand():
    """i = 0.5 i + x, v = 0.5 v + i: the reset holds the potential at 0 for a step and leaves the current alone."""
    x = torch.tensor([0.75, 0.25, 1.0, 0.0]).reshape(1, 4, 1)
    z, state = spy_lif(x, alpha=0.5, beta=0.5, trace=True)
    assert state.i.flatten().tolist() == [0.75, 0.625, 1.3125, 0.65625]
    assert state.v.flatten().tolist() == [0.75, 1.0, 0.0, 0.65625]
    assert z.flatten().tolist() == [0, 1, 0, 0]


def test_current_flows_through_the_reset():
    """A neuron at rest after its spike still passes on the gradient of its synaptic current."""
    i0 = torch.ones(1, 1, requires_grad=True)
    v0, z0 = torch.zeros(1, 1), torch.ones(1, 1)
    _, state = spy_lif(torch.zeros(1, 2, 1), state=(v0, i0, z0), alpha=0.5, beta=0.5)
    state.v.sum().backward()
    assert i0.grad.item() == 0.25


def test_functions_are_the_operators():
    for function, model, kind in ((spy_lif, "spy_lif", SpyLIFState), (spy_lif_lpf, "spy_lif_lpf", SpyLIFLPFState)):
        case = make_case(model, recurrent=True, surrogate="phi")
        constants = dict(zip(case.names[-len(case.constants) :], case.constants, strict=True))
        out, state = function(
            case.x, case.weight, case.recurrent_weight, tuple(case.state), surrogate="phi", trace=True, **constants
        )
        expected, traces = case.run(trace=True)
        assert torch.equal(out, expected)
        assert isinstance(state, kind)
        assert all(torch.equal(a, b) for a, b in zip(state, traces, strict=True))


def test_slope_of_the_surrogate_takes_no_gradient():
    gamma = torch.tensor(5.0, requires_grad=True)
    with pytest.raises(ValueError, match="^gamma"):
        spy_lif(torch.ones(1, 2, 1), alpha=0.5, beta=0.5, gamma=gamma)
