"""Leaky integrate-and-fire neurons with subtractive reset."""

import pytest
import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import BellecLIFState, bellec_lif


class TestBellecLIF(LayerTests):
    model = "bellec_lif"


def test_by_hand():
    """v = 0.5 v + x - z threshold: what exceeds the threshold stays, and a neuron may spike at every step."""
    x = torch.tensor([0.5, 1.0, 1.5, 0.5, 0.0]).reshape(1, 5, 1)
    z, state = bellec_lif(x, alpha=0.5, threshold=0.75, trace=True)
    assert state.v.flatten().tolist() == [0.5, 1.25, 1.375, 0.4375, 0.21875]
    assert z.flatten().tolist() == [0, 1, 1, 0, 0]


def test_reset_carries_no_gradient_of_the_spike_but_one_of_the_threshold():
    z0, threshold = torch.ones(1, 1, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    _, state = bellec_lif(torch.ones(1, 1, 1), state=(torch.zeros(1, 1), z0), alpha=0.5, threshold=threshold)
    state.v.sum().backward()
    assert z0.grad is None or not z0.grad.any()
    assert threshold.grad.item() == -1.0


def test_function_is_the_operator():
    case = make_case("bellec_lif", recurrent=True, surrogate="phi")
    constants = dict(zip(case.names[-len(case.constants) :], case.constants, strict=True))
    out, state = bellec_lif(case.x, case.weight, case.recurrent_weight, tuple(case.state), trace=True, **constants)
    expected, traces = case.run(trace=True)
    assert torch.equal(out, expected)
    assert isinstance(state, BellecLIFState)
    assert all(torch.equal(a, b) for a, b in zip(state, traces, strict=True))


def test_slope_of_the_surrogate_takes_no_gradient():
    gamma = torch.tensor(5.0, requires_grad=True)
    with pytest.raises(ValueError, match="^gamma"):
        bellec_lif(torch.ones(1, 2, 1), alpha=0.5, gamma=gamma)
