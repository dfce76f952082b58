"""Leaky integrate-and-fire neurons with synaptic current and adaptive threshold, and their low-pass variant."""

import pytest
import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import MODELS, SpyALIFLPFState, SpyALIFState, spy_alif, spy_alif_lpf


class TestSpyALIF(LayerTests):
    model = "spy_alif"


class TestSpyALIFLPF(LayerTests):
    model = "spy_alif_lpf"


def test_by_hand():
    """i = 0.5 i + x, v = 0.5 v + i, a = 0.5 a + z: the spike at step 1 raises the threshold to 2 one step later."""
    x = torch.tensor([1.0, 0.25, 0.625, 0.5]).reshape(1, 4, 1)
    z, state = spy_alif(x, alpha=0.5, beta=0.5, rho=0.5, kappa=1.0, trace=True)
    assert state.i.flatten().tolist() == [1.0, 0.75, 1.0, 1.0]
    assert state.v.flatten().tolist() == [1.0, 0.0, 1.0, 1.5]
    assert state.a.flatten().tolist() == [0.0, 1.0, 0.5, 0.25]
    assert z.flatten().tolist() == [1, 0, 0, 1]


def test_potential_and_adaptation_suffice_for_the_adjoint():
    for name in ("spy_alif", "spy_alif_lpf"):
        states = MODELS[name].states
        assert {s for k, s in enumerate(states) if MODELS[name].saved >> k & 1} == {"v", "a"}
        further = {s for k, s in enumerate(states) if MODELS[name].saved_for_constants >> k & 1}
        assert further == ({"i", "phi"} if name.endswith("lpf") else {"i"})


def test_functions_are_the_operators():
    for function, model, kind in (
        (spy_alif, "spy_alif", SpyALIFState),
        (spy_alif_lpf, "spy_alif_lpf", SpyALIFLPFState),
    ):
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
        spy_alif(torch.ones(1, 2, 1), alpha=0.5, beta=0.5, rho=0.5, gamma=gamma)
