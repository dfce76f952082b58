"""Spectral radius and balance of initial weights."""

import math

import pytest
import torch

from neurotorch import LinearRNN, SpyLIFLayer
from neurotorch.init import dale_, ei_balance_, spectral_radius_


def radius_of(weights):
    return float(torch.linalg.eigvals(weights.detach().double()).abs().max())


@pytest.mark.parametrize("radius", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("size", [1, 2, 30])
@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e30])
def test_spectral_radius_is_the_given_one(radius, size, magnitude):
    weights = torch.randn(size, size, dtype=torch.float64) * magnitude
    before = weights.clone()
    assert spectral_radius_(weights, radius) is weights
    assert radius_of(weights) == pytest.approx(radius, rel=1e-6)
    scale = weights / before
    torch.testing.assert_close(scale, scale[0, 0].expand_as(scale))
    assert scale[0, 0] > 0


def test_spectral_radius_of_known_matrices():
    torch.testing.assert_close(
        spectral_radius_(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])), torch.tensor([[0.0, 1], [-1, 0]])
    )
    diagonal = spectral_radius_(torch.diag(torch.tensor([1.0, -4.0])), 2.0)
    torch.testing.assert_close(diagonal, torch.diag(torch.tensor([0.5, -2.0])))
    assert not spectral_radius_(torch.ones(3, 3), 0.0).any()
    # A cycle of 40 neurons, whose eigenvalues all have the same magnitude, is not nilpotent.
    cycle = torch.roll(torch.eye(40), 1, dims=1) * 3
    assert radius_of(spectral_radius_(cycle, 0.9)) == pytest.approx(0.9, rel=1e-5)


def test_spectral_radius_decides_whether_activity_grows():
    for radius in (0.9, 1.1):
        weights = spectral_radius_(torch.randn(20, 20), radius)
        layer = LinearRNN(3, 20, use_bias=False, recurrent_weights=weights).build()
        with torch.no_grad():
            out, _ = layer.forward_sequence(torch.zeros(1, 300, 3), (torch.randn(1, 20),))
        assert (float(out[0, -1].norm()) > 1e3) == (radius > 1)
        assert (float(out[0, -1].norm()) < 1e-3) == (radius < 1)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(20, 20), (20, 7), (7, 20)])
@pytest.mark.parametrize("dim", [0, 1])
def test_inputs_of_every_neuron_balance(ratio, shape, dim):
    weights = dale_(torch.empty(shape, dtype=torch.float64), inh_ratio=0.4, rho=0.8, inh_first=False)
    weights = weights if dim == 0 else weights.T.contiguous()
    before = weights.clone()
    assert ei_balance_(weights, ratio, dim) is weights
    excitation, inhibition = weights.clamp(min=0).sum(dim), (-weights).clamp(min=0).sum(dim)
    torch.testing.assert_close(inhibition, ratio * excitation)
    torch.testing.assert_close(weights.abs().sum(dim), before.abs().sum(dim))
    assert torch.equal(torch.sign(weights), torch.sign(before))
    # One factor per neuron and sign keeps proportions among the inputs of one sign.
    scale = (weights / before).nan_to_num(0.0)
    for chosen in (before > 0, before < 0):
        high = torch.where(chosen, scale, -math.inf).amax(dim)
        low = torch.where(chosen, scale, math.inf).amin(dim)
        torch.testing.assert_close(high, low)


def test_balance_by_hand_and_without_inputs():
    weights = torch.tensor([[1.0, 3.0, 0.0], [1.0, 0.0, 0.0], [-6.0, -1.0, 0.0]])
    expected = torch.tensor([[2.0, 2.0, 0.0], [2.0, 0.0, 0.0], [-4.0, -2.0, 0.0]])
    torch.testing.assert_close(ei_balance_(weights), expected)


def test_radius_after_balance_keeps_it_in_a_layer_with_dales_law():
    weights = spectral_radius_(ei_balance_(dale_(torch.empty(30, 30), inh_ratio=0.2, rho=0.9)), 0.8)
    signs = torch.sign(weights.sum(1, keepdim=True))
    layer = SpyLIFLayer(4, 30, force_dale_law=True, recurrent_weights=weights.abs(), recurrent_sign=10 * signs).build()
    effective = layer.recurrent_weights
    assert radius_of(effective) == pytest.approx(0.8, rel=1e-4)
    torch.testing.assert_close(effective.sum(0), torch.zeros(30), rtol=0, atol=1e-5)


def test_parameters_and_single_precision():
    for function in (spectral_radius_, ei_balance_):
        parameter = torch.nn.Parameter(dale_(torch.empty(9, 9), seed=3))
        assert function(parameter) is parameter
        assert parameter.is_leaf
        assert parameter.dtype == torch.float32


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"tensor: expected shape \[N, N\], got \[2, 3\]", lambda: spectral_radius_(torch.ones(2, 3))),
        ("radius: expected 0 or more, got -1", lambda: spectral_radius_(torch.ones(2, 2), -1.0)),
        ("tensor: expected finite values", lambda: spectral_radius_(torch.full((2, 2), math.nan))),
        ("tensor: expected an eigenvalue other than 0", lambda: spectral_radius_(torch.ones(9, 9).triu(1))),
        ("tensor: expected an eigenvalue other than 0", lambda: spectral_radius_(torch.zeros(3, 3))),
        ("tensor: expected 2 dimensions, got 1", lambda: ei_balance_(torch.ones(3))),
        ("ratio: expected a positive number, got 0", lambda: ei_balance_(torch.ones(3, 3), 0.0)),
        ("dim: expected 0 or 1, got 2", lambda: ei_balance_(torch.ones(3, 3), dim=2)),
        ("got one sign only for 0, 2", lambda: ei_balance_(torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]))),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(ValueError, match=message):
        call()
