"""Layers of spiking neurons under constant currents."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN, counted_operators

from neurotorch import ALIFLayer, LIFLayer, SpyLIFLayer, SpyLIFLayerLPF
from neurotorch.transforms import ALIFEncoder, LIFEncoder, SpikesEncoder, SpyLIFEncoder

ENCODERS = [LIFEncoder, SpyLIFEncoder, ALIFEncoder]


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "transforms.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if "Encoder" in key or key == "enc_x"}


def stepped(layer, x, n_steps):
    """The encoder as a loop over steps."""
    out, state = [], None
    for t in range(n_steps):
        spikes, state = layer(x if x.dim() == 2 else x[:, t % x.shape[1]], state)
        out.append(spikes)
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("as_array", [True, False])
def test_matches_recorded_spikes(recorded, encoder, as_array):
    name, x = encoder.__name__, recorded["enc_x"]
    n_steps, n_units = recorded[f"{name}/spikes"].shape[1:]
    identity = encoder(n_steps, n_units)
    assert torch.equal(identity(x.numpy() if as_array else x), recorded[f"{name}/spikes"])
    weighted = encoder(n_steps, n_units, spikes_layer_kwargs={"forward_weights": recorded[f"{name}/W"]})
    assert torch.equal(weighted(x), recorded[f"{name}/spikes_W"])


# Number of spikes in 100 steps of a pixel, as published scripts encode images.
CURRENTS = {-0.42: 0, 0.0: 0, 0.05: 16, 0.1: 32, 0.5: 50, 1.0: 50, 2.8: 50}


def test_spikes_of_pixels():
    spikes = SpyLIFEncoder(100, len(CURRENTS), dt=1e-3)(torch.tensor([list(CURRENTS)]))
    assert dict(zip(CURRENTS, spikes[0].sum(dim=0).int().tolist())) == CURRENTS
    # Bright pixels differ in the step of their first spike alone.
    assert [int(train.argmax()) for train in spikes[0].T[-3:]] == [1, 0, 0]


@pytest.mark.parametrize("layer_type", [LIFLayer, SpyLIFLayer, ALIFLayer, SpyLIFLayerLPF])
@pytest.mark.parametrize("recurrent", [False, True])
def test_equals_its_layer_step_by_step(layer_type, recurrent):
    encoder = SpikesEncoder(30, 6, layer_type, forward_weights=torch.randn(6, 6), use_recurrent_connection=recurrent)
    x = torch.rand(4, 6)
    expected = stepped(encoder.spikes_layer, x, 30)
    assert expected.mean() > 0
    torch.testing.assert_close(encoder(x), expected)
    torch.testing.assert_close(encoder(x.unsqueeze(1)), expected)


def test_gradients_equal_those_of_steps():
    encoder = SpikesEncoder(20, 5, SpyLIFLayer, forward_weights=torch.randn(5, 5), gamma=1.0, hh_init="zeros")
    weight = encoder.spikes_layer.get_forward_weights_parameter()
    x, factors = torch.rand(3, 5, requires_grad=True), torch.randn(3, 20, 5)
    found = torch.autograd.grad((encoder(x) * factors).sum(), [x, weight])
    expected = torch.autograd.grad((stepped(encoder.spikes_layer, x, 20) * factors).sum(), [x, weight])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert all(g.abs().max() > 0 for g in found)


@pytest.mark.parametrize("steps", [3, 8, 11])
def test_sequences_are_repeated_up_to_the_number_of_steps(steps):
    encoder, x = SpyLIFEncoder(8, 4), torch.rand(2, steps, 4)
    torch.testing.assert_close(encoder(x), stepped(encoder.spikes_layer, x, 8))


def test_one_operator_for_the_whole_sequence_forward_and_backward():
    encoder, x = SpyLIFEncoder(100, 6), torch.rand(3, 6, requires_grad=True)
    counts = counted_operators(lambda: encoder(x).sum().backward())
    assert counts == {"neurotorch::spy_lif_forward": 1, "neurotorch::spy_lif_backward": 1}


def test_weights_multiply_a_constant_current_once(monkeypatch):
    encoder, seen = SpyLIFEncoder(50, 6), []
    product = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: (seen.append(a.shape), product(a, b))[1])
    encoder(torch.rand(3, 6))
    assert seen == [(3, 6)]


def test_hooks_of_the_layer_are_respected():
    encoder, calls = LIFEncoder(7, 3), []
    encoder.spikes_layer.register_forward_hook(lambda *_: calls.append(1))
    encoder(torch.rand(2, 3))
    assert len(calls) == 7


def test_arguments_reach_the_layer():
    encoder = LIFEncoder(3, 4, dt=2e-3, spikes_layer_kwargs={"threshold": 0.5, "name": "mine"})
    assert (encoder.dt, encoder.spikes_layer.dt, encoder.spikes_layer.name) == (2e-3, 2e-3, "mine")
    assert float(encoder.spikes_layer.threshold) == 0.5
    assert not encoder.spikes_layer.use_recurrent_connection
    assert torch.equal(encoder.spikes_layer.forward_weights.detach(), torch.eye(4))
    with pytest.raises(AssertionError, match="dt"):
        LIFEncoder(3, 4, spikes_layer_kwargs={"dt": 1e-3})
    with pytest.raises(ValueError, match="n_steps"):
        LIFEncoder(0, 4)
    with pytest.raises(ValueError, match=r"expected shape \[B, 4\]"):
        encoder(torch.rand(2, 5))


def test_double_precision_and_regularisation():
    encoder = SpyLIFEncoder(
        9, 4, spikes_layer_kwargs={"regularize": True, "spikes_regularization_factor": 1.0}
    ).double()
    spikes = encoder(torch.rand(2, 4, dtype=torch.float64))
    assert spikes.dtype == torch.float64
    assert float(encoder.get_and_reset_regularization_loss().detach()) > 0
    assert float(encoder.get_and_reset_regularization_loss().detach()) == 0
