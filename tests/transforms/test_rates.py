"""Spike trains by rate and by latency."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN

from neurotorch.transforms import ImgToSpikes, LinearRateToSpikes


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN / "learning" / "transforms.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if key.startswith(("rate", "img"))}


def test_rates_match_recorded(recorded):
    assert torch.equal(LinearRateToSpikes(10)(recorded["rate_x"]), recorded["rate_spikes"])


def test_running_range_matches_recorded(recorded):
    transform = LinearRateToSpikes(8)
    for x, spikes in zip(recorded["rate_seq_x"], recorded["rate_seq_spikes"], strict=True):
        assert torch.equal(transform(x), spikes)
    assert torch.equal(transform.data_min, recorded["rate_seq_min"])
    assert torch.equal(transform.data_max, recorded["rate_seq_max"])
    with pytest.raises(ValueError, match=r"shape \[4\] of the running range, got \[3\]"):
        transform(torch.zeros(3))


def test_fixed_range_does_not_remember():
    transform = LinearRateToSpikes(8, data_min=-1.0, data_max=1.0, running_range=False)
    x = torch.linspace(-1, 1, 5)
    first = transform(x)
    transform(100 * x)
    assert torch.equal(transform(x), first)
    assert transform(torch.zeros(2, 3)).shape == (8, 2, 3)
    # Values beyond the range fire as those at its ends.
    assert torch.equal(transform(torch.tensor([-5.0])), transform(torch.tensor([-1.0])))


def test_numbers_and_periods():
    transform = LinearRateToSpikes(6)
    assert transform(0.5).tolist() == [0, 0, 1, 0, 0, 1]
    assert transform.firing_periods_to_spikes(np.array([2.9, 1.0, 0.0, 99.0])).T.tolist() == [
        [0, 1, 0, 1, 0, 1],
        [0, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 1],
    ]
    assert "n_steps=6" in repr(transform)
    with pytest.raises(ValueError, match="n_steps"):
        LinearRateToSpikes(0)


@pytest.mark.parametrize(
    ("case", "kwargs"),
    [("default", {}), ("tau10", {"tau": 10.0}), ("tau10_periods", {"tau": 10.0, "use_periods": True})],
)
def test_images_match_recorded(recorded, case, kwargs):
    x, expected = recorded["img_x"], recorded[f"img/{case}"]
    transform = ImgToSpikes(len(expected), **kwargs)
    spikes = transform(x)
    assert spikes.dtype == torch.float64
    assert torch.equal(spikes, expected)
    assert torch.equal(transform(x.numpy()), expected)
    # Images need not be flattened.
    assert torch.equal(transform(x.reshape(4, 5)), expected.reshape(-1, 4, 5))


def test_periods_by_hand():
    transform = ImgToSpikes(6)
    periods = np.array([0, 2, 9])
    assert transform.firing_periods_to_spikes(periods).T.tolist() == [
        [0, 1, 1, 1, 1, 1],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert transform.firing_periods_to_spikes_clip(periods).T.tolist() == [
        [1, 1, 1, 1, 1, 1],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert transform.firing_times_to_spikes(periods).sum(axis=0).tolist() == [1, 1, 0]
    assert periods.tolist() == [0, 2, 9]
    late = ImgToSpikes(6, t_max=3.0)
    assert late.pixels_to_firing_periods(np.array([0.1, 0.3])).tolist() == [3, 0]
    with pytest.raises(ValueError, match="n_steps"):
        ImgToSpikes(0)
