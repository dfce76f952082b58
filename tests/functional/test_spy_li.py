"""Leaky integrators of a synaptic current."""

import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import SpyLIState, spy_li


class TestSpyLI(LayerTests):
    model = "spy_li"


def test_by_hand():
    """The bias acts on the potential alone."""
    x = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1)
    out, state = spy_li(x, bias=0.5, alpha=0.5, beta=0.5, trace=True)
    assert state.i.flatten().tolist() == [1.0, 0.5, 0.25]
    assert out.flatten().tolist() == state.v.flatten().tolist() == [1.5, 1.75, 1.625]


def test_function_is_the_operator():
    case = make_case("spy_li", activation="sigmoid", trace=True)
    alpha, beta, bias = case.constants
    out, state = spy_li(
        case.x, case.weight, bias, tuple(case.state), alpha=alpha, beta=beta, activation="sigmoid", trace=True
    )
    expected, traces = case.run(trace=True)
    assert torch.equal(out, expected)
    assert isinstance(state, SpyLIState)
    assert all(torch.equal(a, b) for a, b in zip(state, traces, strict=True))


def test_gradients_by_finite_differences():
    case = make_case("spy_li", 2, 5, 3, 4, activation="sigmoid", trace=True)
    alpha, beta, bias = case.constants
    inputs = [t.requires_grad_() for t in (case.x, case.weight, bias, *case.state, alpha, beta)]

    def run(x, weight, bias, v, i, alpha, beta):
        out, state = spy_li(x, weight, bias, (v, i), alpha=alpha, beta=beta, activation="sigmoid", trace=True)
        return out, *state

    torch.autograd.gradcheck(run, inputs)
