"""Izhikevich's neurons."""

import pytest
import torch
from cases import make_case
from layer_tests import LayerTests

from neurotorch.functional import MODELS, IzhikevichState, izhikevich


class TestIzhikevich(LayerTests):
    model = "izhikevich"

    def quiet_constants(self, names):
        """Zero is a fixed point where both zeros of the parabola are there."""
        return [0.0 if name in ("v_rest", "v_th") else 0.5 for name in names]


def test_by_hand():
    """C = 2, k = 1, v_rest = 0, v_th = 1, a = 0.5, b = 1, dt = 1, reset to -1 with d = 2."""
    x = torch.tensor([4.0, 0.0, 0.0], dtype=torch.float64).reshape(1, 3, 1)
    state = (torch.full((1, 1), 0.5, dtype=torch.float64), torch.ones(1, 1).double(), torch.zeros(1, 1).double())
    constants = {"C": 2.0, "v_rest": 0.0, "v_th": 1.0, "k": 1.0, "a": 0.5, "b": 1.0, "c": -1.0, "d": 2.0}
    z, state = izhikevich(x, None, None, state, v_peak=1.5, trace=True, **constants)
    # 0.5 + (0.5 * -0.5 - 1 + 4) / 2 = 1.875, a spike; then the reset; then -1 + (-1 * -2 - u) / 2
    u = [1 + 0.5 * (0.5 - 1), 0.75 + 0.5 * (1.875 - 0.75) + 2, 3.3125 + 0.5 * (-1 - 3.3125)]
    assert state.u.flatten().tolist() == u
    assert state.v.flatten().tolist() == [1.875, -1.0, -1.0 + (2.0 - 3.3125) / 2]
    assert z.flatten().tolist() == [1, 0, 0]


def test_rest_is_a_fixed_point():
    v_rest = torch.tensor([-60.0, -70.0, -55.0])
    z, state = izhikevich(torch.zeros(2, 50, 3), v_rest=v_rest, trace=True)
    assert torch.equal(state.v, v_rest.expand(2, 50, 3))
    assert not state.u.any()
    assert not z.any()


def test_regular_spiking_neuron_of_the_book():
    """Silent below the rheobase, tonic with growing intervals above it, and faster the stronger the current.

    At the rheobase ``v' = u' = 0`` has a double solution: with these constants at 144 / 2.8 = 51.4 pA.
    """
    current = torch.tensor([40.0, 70.0, 100.0]).expand(1, 1000, 3).double()
    z, state = izhikevich(current, trace=True)
    count = z.sum(dim=(0, 1))
    assert count[0] == 0
    assert 5 <= count[1] < count[2] <= 30
    times = z[0, :, 2].nonzero().flatten()
    intervals = times.diff()
    assert intervals[0] < intervals[-1], "the intervals should grow"
    assert (state.v[0, times[:-1] + 1, 2] == -50).all(), "the reset comes one step after the peak"
    finer, _ = izhikevich(current.repeat_interleave(4, dim=1), dt=0.25)
    assert (finer.sum(dim=(0, 1)) - count).abs().max() <= 2, "the step should not decide about the rate"


def test_starts_at_rest_with_a_gradient_of_the_rest():
    v_rest = torch.tensor([-60.0, -65.0], requires_grad=True)
    _, state = izhikevich(torch.zeros(3, 1, 2), v_rest=v_rest)
    state.v.sum().backward()
    # v_1 = v_0 + dt / C k (v_0 - v_rest) (v_0 - v_th), v_0 = v_rest: the parabola's gradients cancel.
    torch.testing.assert_close(v_rest.grad, torch.full((2,), 3.0))
    weight = torch.ones(4, 2)
    _, state = izhikevich(torch.zeros(3, 1, 4), weight, v_rest=-61.0)
    assert (state.v == -61).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = izhikevich(torch.zeros(3, 1, 2, dtype=torch.bfloat16))
    assert state.v.dtype == torch.float32


def test_only_the_potential_is_kept():
    model = MODELS["izhikevich"]
    assert [s for k, s in enumerate(model.states) if model.saved >> k & 1] == ["v"]
    assert [s for k, s in enumerate(model.states) if model.saved_for_constants >> k & 1] == ["u"]


def test_function_is_the_operator():
    case = make_case("izhikevich", recurrent=True, surrogate="phi")
    constants = dict(zip(case.names[-len(case.constants) :], case.constants, strict=True))
    out, state = izhikevich(
        case.x, case.weight, case.recurrent_weight, tuple(case.state), surrogate="phi", trace=True, **constants
    )
    expected, traces = case.run(trace=True)
    assert torch.equal(out, expected)
    assert isinstance(state, IzhikevichState)
    assert all(torch.equal(a, b) for a, b in zip(state, traces, strict=True))


@pytest.mark.parametrize("name", ["gamma", "dt"])
def test_slope_and_step_take_no_gradient(name):
    with pytest.raises(ValueError, match=f"^{name}"):
        izhikevich(torch.ones(1, 2, 1), **{name: torch.tensor(1.0, requires_grad=True)})
