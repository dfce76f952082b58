"""Leaky integrators."""

import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import LIState, li


class TestLI(LayerTests):
    model = "li"


def test_by_hand():
    x = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1)
    out, state = li(x, bias=1.0, kappa=0.5, activation="relu", state=(torch.full((1, 1), -7.0),))
    assert out.flatten().tolist() == [0.0, 0.25, 1.125]
    assert state.v.item() == 1.125


def test_function_is_the_operator():
    case = make_case("li", activation="tanh", trace=True)
    kappa, bias = case.constants
    out, state = li(case.x, case.weight, bias, tuple(case.state), kappa=kappa, activation="tanh", trace=True)
    expected, traces = case.run(trace=True)
    assert torch.equal(out, expected)
    assert isinstance(state, LIState)
    assert torch.equal(state.v, traces[0])


def test_gradients_by_finite_differences():
    """Without spikes, autograd's own check applies."""
    case = make_case("li", 2, 5, 3, 4, activation="tanh")
    kappa, bias = case.constants
    inputs = [t.requires_grad_() for t in (case.x, case.weight, bias, case.state[0], kappa)]

    def run(x, weight, bias, v, kappa):
        out, state = li(x, weight, bias, (v,), kappa=kappa, activation="tanh", recompute_every=2)
        return out, *state

    torch.autograd.gradcheck(run, inputs)
