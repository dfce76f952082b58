"""Wilson-Cowan rate neurons and those of CURBD."""

import pytest
import torch
from cases import ACTIVATIONS, make_case
from layer_tests import LayerTests

from neurotorch.functional import RateState, wilson_cowan, wilson_cowan_curbd


class TestWilsonCowan(LayerTests):
    model = "wilson_cowan"


class TestWilsonCowanCURBD(LayerTests):
    model = "wilson_cowan_curbd"
    lag = 1


def sequence(*values):
    """One sample, one neuron."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


def test_by_hand():
    """q = 0.5: h = 0.5 h + 0.5 (1 - 0.5 h) relu(x - 1)."""
    h, state = wilson_cowan(
        sequence(3.0, 0.0, 5.0), state=(sequence(1.0)[0],), dt=0.25, tau=0.5, mu=1.0, r=0.5, activation="relu"
    )
    assert h.flatten().tolist() == [1.0, 0.5, 1.75]
    assert state.h.item() == 1.75


def test_recurrence_sees_the_activity_of_the_step_before():
    x, weight = torch.zeros(1, 3, 2), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    x[0, 0, 0] = 4.0
    h, _ = wilson_cowan(x, None, weight, dt=1.0, tau=2.0, activation="identity")
    assert h[0].tolist() == [[2.0, 0.0], [1.0, 1.0], [0.5, 1.0]]


def test_output_of_curbd_lags():
    """q = 0.5, two neurons, the first drives the second through its relu."""
    weight = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    x = torch.zeros(1, 4, 2)
    x[0, 0, 0], x[0, 1, 0] = 4.0, -8.0
    s, state = wilson_cowan_curbd(x, None, weight, dt=1.0, tau=2.0, activation="relu", trace=True)
    assert state.h[0].tolist() == [[2.0, 0.0], [-3.0, 1.0], [-1.5, 0.5], [-0.75, 0.25]]
    assert s[0].tolist() == [[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.5]]


def test_last_input_never_reaches_the_output_of_curbd():
    case = make_case("wilson_cowan_curbd", recurrent=True, activation="tanh")
    case.x.requires_grad_()
    grad = torch.autograd.grad(case.run()[0].sum(), case.x)[0]
    assert not grad[:, -1].any()
    assert grad[:, -2].any()


@pytest.mark.parametrize(("function", "names"), [(wilson_cowan, ("r", "mu")), (wilson_cowan_curbd, ())])
def test_functions_are_the_operators(function, names):
    case = make_case(function.__name__, recurrent=True, activation="tanh", trace=True)
    q, *others = case.constants
    out, state = function(
        case.x,
        case.weight,
        case.recurrent_weight,
        tuple(case.state),
        dt=0.25,
        tau=0.25 / q,
        activation="tanh",
        trace=True,
        **dict(zip(names, others, strict=True)),
    )
    expected, traces = case.run(trace=True)
    torch.testing.assert_close(out, expected, rtol=1e-14, atol=1e-14)
    assert isinstance(state, RateState)
    torch.testing.assert_close(state.h, traces[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("recompute_every", [0, 2])
@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a != "relu"])
@pytest.mark.parametrize("function", [wilson_cowan, wilson_cowan_curbd])
def test_gradients_by_finite_differences(function, activation, recompute_every):
    case = make_case(function.__name__, 2, 5, 3, 4, recurrent=True)
    names = ("tau", "r", "mu")[: len(case.constants)]
    constants = [case.constants[0] + 0.5, *case.constants[1:]]
    inputs = [t.requires_grad_() for t in (case.x, case.weight, case.recurrent_weight, case.state[0], *constants)]

    def run(x, weight, recurrent_weight, h, *constants):
        given = dict(zip(names, constants, strict=True))
        options = {"dt": 0.3, "activation": activation, "recompute_every": recompute_every}
        out, state = function(x, weight, recurrent_weight, (h,), **given, **options)
        return out, *state

    torch.autograd.gradcheck(run, inputs)


def test_traces_by_finite_differences():
    for function in (wilson_cowan, wilson_cowan_curbd):
        case = make_case(function.__name__, 2, 5, 3, 4, recurrent=True)
        inputs = [
            t.requires_grad_() for t in (case.x, case.recurrent_weight[:3, :3].clone(), case.state[0][:, :3].clone())
        ]

        def run(x, recurrent_weight, h, function=function):
            out, state = function(x, None, recurrent_weight, (h,), dt=0.3, trace=True)
            return out, *state

        torch.autograd.gradcheck(run, inputs)
