"""The linear recurrent network."""

import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import LinearRNNState, linear_rnn


class TestLinearRNN(LayerTests):
    model = "linear_rnn"


def test_by_hand():
    """The recurrent weight sees the negative value, the output does not show it."""
    x = torch.tensor([-3.0, 0.0, 0.0]).reshape(1, 3, 1)
    out, state = linear_rnn(x, None, torch.tensor([[0.5]]), 1.0, activation="relu", trace=True)
    assert state.v.flatten().tolist() == [-2.0, 0.0, 1.0]
    assert out.flatten().tolist() == [0.0, 0.0, 1.0]


def test_function_is_the_operator():
    case = make_case("linear_rnn", recurrent=True, activation="tanh", trace=True)
    out, state = linear_rnn(
        case.x, case.weight, case.recurrent_weight, *case.constants, tuple(case.state), activation="tanh", trace=True
    )
    expected, traces = case.run(trace=True)
    assert torch.equal(out, expected)
    assert isinstance(state, LinearRNNState)
    assert torch.equal(state.v, traces[0])


def test_gradients_by_finite_differences():
    case = make_case("linear_rnn", 2, 5, 3, 4, recurrent=True)
    given = (case.x, case.weight, case.recurrent_weight, *case.constants, *case.state)
    inputs = [t.requires_grad_() for t in given]

    def run(x, weight, recurrent_weight, bias, v):
        out, state = linear_rnn(x, weight, recurrent_weight, bias, (v,), activation="tanh", recompute_every=2)
        return out, *state

    torch.autograd.gradcheck(run, inputs)
