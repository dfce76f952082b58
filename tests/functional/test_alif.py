"""Leaky integrate-and-fire neurons with an adaptive threshold, and their low-pass variant."""

import pytest
import torch
from cases import make_case, outcome
from layer_tests import LayerTests

from neurotorch.functional import MODELS, ALIFLPFState, ALIFState, alif, alif_lpf, lif


class TestALIF(LayerTests):
    model = "alif"


class TestALIFLPF(LayerTests):
    model = "alif_lpf"


def sequence(*values):
    """One sample, one neuron."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


def values(t):
    return t.flatten().tolist()


def test_by_hand():
    """The spike at step 1 raises the threshold to 2 at step 2 and 1.5 at step 3; a spike at the threshold itself."""
    z, state = alif(sequence(1.0, 5.0, 1.25, 0.875, 0.0), alpha=0.5, rho=0.5, beta=1.0, trace=True)
    assert values(state.v) == [1.0, 0.0, 1.25, 1.5, 0.0]
    assert values(state.a) == [0.0, 1.0, 0.5, 0.25, 1.125]
    assert values(z) == values(state.z) == [1, 0, 0, 1, 0]


def test_without_adaptation_it_is_lif():
    case = make_case("alif", recurrent=True)
    alpha, threshold, gamma, _, rho = case.constants
    v, _, spikes = case.state
    expected, (v_last, z_last) = lif(
        case.x, case.weight, case.recurrent_weight, (v, spikes), alpha=alpha, threshold=threshold, gamma=gamma
    )
    out, state = alif(
        case.x,
        case.weight,
        case.recurrent_weight,
        tuple(case.state),
        alpha=alpha,
        threshold=threshold,
        gamma=gamma,
        rho=rho,
        beta=0.0,
    )
    assert torch.equal(out, expected)
    assert torch.equal(state.v, v_last)
    assert torch.equal(state.z, z_last)


def test_initial_spikes_have_a_gradient_through_the_adaptation():
    """Without recurrence this is the only way: the threshold rises with beta, so the spike pays psi beta."""
    z0 = torch.zeros(1, 1, requires_grad=True)
    out, _ = alif(torch.ones(1, 1, 1), state=(torch.zeros(1, 1), torch.zeros(1, 1), z0), alpha=0.5, rho=0.5, beta=0.25)
    out.sum().backward()
    assert z0.grad.item() == -0.25  # psi is 1 at the threshold


def test_only_potential_and_adaptation_are_kept():
    for name in ("alif", "alif_lpf"):
        states = MODELS[name].states
        assert {s for k, s in enumerate(states) if MODELS[name].saved >> k & 1} == {"v", "a"}
    case = make_case("alif", steps=20, recurrent=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t) or t, lambda t: t):
        outcome(case, lambda c: c.run())
    traces = [t for t in sizes if t.dim() == 3 and t.shape[1] == 20 and t.shape[2] == 7]
    assert len(traces) == 2


def test_functions_are_the_operators():
    for function, model, kind in ((alif, "alif", ALIFState), (alif_lpf, "alif_lpf", ALIFLPFState)):
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
        alif(torch.ones(1, 2, 1), alpha=0.5, rho=0.5, gamma=gamma)
