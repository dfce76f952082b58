"""Leaky integrate-and-fire neurons and their low-pass variant."""

import pytest
import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import LIFLPFState, LIFState, lif, lif_lpf


class TestLIF(LayerTests):
    model = "lif"


class TestLIFLPF(LayerTests):
    model = "lif_lpf"


def sequence(*values):
    """One sample, one neuron."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


def values(t):
    return t.flatten().tolist()


def test_by_hand():
    """v = 0.5 v + x; a spike at the threshold itself; the next potential is 0 whatever the input."""
    z, (v, last) = lif(sequence(0.75, 0.625, 5.0, 0.5, 0.75), alpha=0.5, trace=True)
    assert values(v) == [0.75, 1.0, 0.0, 0.5, 1.0]
    assert values(z) == values(last) == [0, 1, 0, 0, 1]


def test_recurrent_spikes_arrive_one_step_late():
    x, weight = torch.zeros(1, 3, 2), torch.tensor([[0.0, 0.75], [0.0, 0.0]])
    x[0, 0, 0] = 1.0
    _, state = lif(x, None, weight, alpha=0.0, trace=True)
    assert state.v[0].tolist() == [[1.0, 0.0], [0.0, 0.75], [0.0, 0.0]]


def test_reset_carries_no_gradient():
    """The only way from the initial spikes to the loss is the reset."""
    z0 = torch.zeros(1, 1, requires_grad=True)
    _, state = lif(torch.ones(1, 2, 1), state=(torch.zeros(1, 1), z0), alpha=0.5)
    state.v.sum().backward()
    assert z0.grad is None or not z0.grad.any()


def test_filtered_spikes():
    x = sequence(1.0, 1.0, 1.0, 0.0)
    phi, state = lif_lpf(x, alpha=0.5, lpf_alpha=0.5, trace=True)
    assert values(state.z) == [1, 0, 1, 0]
    assert values(phi) == values(state.phi) == [1.0, 0.5, 1.25, 0.625]


def test_functions_are_the_operators():
    for function, model, kind in ((lif, "lif", LIFState), (lif_lpf, "lif_lpf", LIFLPFState)):
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
        lif(torch.ones(1, 2, 1), alpha=0.5, gamma=gamma)
