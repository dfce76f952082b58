"""Means over blocks of spikes, and values to spikes and back."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch import LIFLayer, SpyLIFLayer
from neurotorch.transforms import LIFEncoder, MeanConv, SpikesAutoEncoder


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "transforms.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if key.startswith("mc")}


@pytest.mark.parametrize("mode", ["left", "right", "both"])
def test_means_match_recorded(recorded, mode):
    conv = MeanConv(4, alpha=1.7, pad_mode=mode)
    with torch.no_grad():
        conv.kernel.copy_(recorded["mc_kernel"])
    torch.testing.assert_close(conv(recorded["mc_x"]).detach(), recorded[f"mc/{mode}"])


def test_means_learn_and_scale_units():
    conv = MeanConv(3, alpha=[1.0, 2.0], activation=torch.nn.Tanh())
    x = torch.randn(2, 6, 2)
    expected = torch.tanh(torch.tensor([1.0, 2.0]) * torch.stack([x[:, :3].mean(1), x[:, 3:].mean(1)], dim=1))
    torch.testing.assert_close(conv(x).detach(), expected)
    conv(x).sum().backward()
    assert conv.kernel.grad.abs().min() > 0
    assert conv.alpha.grad.abs().min() > 0
    fixed = MeanConv(3, learn_alpha=False, learn_kernel=False)
    assert not any(p.requires_grad for p in fixed.parameters())
    assert list(fixed.state_dict()) == ["kernel", "alpha"]
    assert "size=3" in repr(fixed)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="multiple of 3 steps where pad_value is None, got 4"):
        MeanConv(3, pad_value=None)(torch.zeros(1, 4, 2))
    assert MeanConv(3, pad_value=None)(torch.zeros(1, 6, 2)).shape == (1, 2, 2)
    with pytest.raises(ValueError, match="pad_mode"):
        MeanConv(3, pad_mode="centre")
    with pytest.raises(ValueError, match="kernel_size"):
        MeanConv(0)
    assert MeanConv(3, pad_value=6.0)(torch.zeros(1, 2, 1)).item() == 2.0


def test_values_come_back():
    model = SpikesAutoEncoder(5, 40)
    assert model.encoder_type is SpyLIFLayer
    assert model.name == "SpikesAutoEncoder"
    x = torch.linspace(0, 1, 5).repeat(3, 1)
    out = model(x)
    assert out.shape == (3, 1, 5)
    torch.testing.assert_close(out, model.decode(model.encode(x)))
    assert bool((out[0, 0].diff() >= 0).all())
    assert torch.equal(model.get_prediction_trace(x), out)
    assert torch.equal(model.get_raw_prediction(x), out)
    assert float(model.get_and_reset_regularization_loss()) == 0


def test_arguments_go_where_they_belong():
    model = SpikesAutoEncoder(4, 8, LIFLayer, dt=2e-3, threshold=0.5, name="auto", **{"hard_tanh.max_val": 0.5})
    layer = model.spikes_encoder.spikes_layer
    assert (type(layer), layer.dt, float(layer.threshold)) == (LIFLayer, 2e-3, 0.5)
    assert model.name == "auto"
    assert model(torch.ones(1, 4)).max().item() == 0.5
    with pytest.raises(ValueError, match="got both"):
        SpikesAutoEncoder(4, 8, LIFLayer, spikes_encoder=torch.nn.Identity())
    with pytest.warns(UserWarning, match="threshold"):
        SpikesAutoEncoder(4, 8, spikes_encoder=LIFEncoder(8, 4), threshold=0.5)
    given = SpikesAutoEncoder(4, 8, spikes_encoder=LIFEncoder(8, 4), spikes_decoder=torch.nn.Identity())
    assert given(torch.ones(1, 4)).shape == (1, 8, 4)


def test_regularisation_of_the_encoder_counts():
    model = SpikesAutoEncoder(4, 8, regularize=True, spikes_regularization_factor=1.0)
    model(torch.ones(1, 4))
    assert float(model.get_and_reset_regularization_loss().detach()) > 0
