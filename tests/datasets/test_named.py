"""The recordings that have a name."""

import sys

import numpy as np
import pytest

from neurotorch.datasets import RecordingError, load_recording, load_zebrafish_darkflash, preprocess, simulate_demo
from neurotorch.datasets import zebrafish as zebrafish_module


def components_for(activity, share):
    variances = np.linalg.svd(activity - activity.mean(0), compute_uv=False) ** 2
    return int(np.searchsorted(np.cumsum(variances) / variances.sum(), share) + 1)


def constant_mean(activity):
    return 1 - np.square(activity - activity.mean(0)).mean() / activity.var()


def test_demo_is_what_it_says():
    activity, weights, inhibitory = simulate_demo()
    assert activity.shape == (400, 120)
    scaled = preprocess(activity)
    assert components_for(scaled, 0.95) == 8
    assert constant_mean(scaled) < 0.5
    assert scaled.std(0).min() > 0.05
    assert (weights[inhibitory] <= 0).all()
    assert (weights[~inhibitory] >= 0).all()
    np.testing.assert_allclose(weights.sum(0), 0.0, atol=1e-12)
    assert load_recording("demo").activity.shape == (400, 120)


def test_demo_follows_its_seed_alone():
    np.random.seed(5)
    first, again, other = simulate_demo().activity, simulate_demo().activity, simulate_demo(seed=2).activity
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_preprocessing_by_hand():
    activity = np.array([[1.0, 10.0], [3.0, 20.0], [2.0, 50.0]])
    np.testing.assert_allclose(preprocess(activity), (activity - 1) / 49, rtol=1e-6)
    unit = (activity - activity.min(0)) / (np.array([2.0, 40.0]) + 1e-5)
    np.testing.assert_allclose(preprocess(activity, normalise="unit"), unit, rtol=1e-6)
    step = np.repeat([[0.0], [1.0]], 40, axis=0)
    smooth = preprocess(step, sigma=3.0)
    weights = np.exp(-0.5 * (np.arange(-12, 13) / 3.0) ** 2)
    padded = np.concatenate([np.zeros(12), step[:, 0], np.ones(12)])
    np.testing.assert_allclose(smooth[:, 0], np.convolve(padded, weights / weights.sum(), "valid"), atol=1e-6)
    np.testing.assert_allclose(preprocess(activity + 1e9), preprocess(activity), atol=1e-6)
    with pytest.raises(ValueError, match="normalise.*'max'"):
        preprocess(activity, normalise="max")
    with pytest.raises(ValueError, match="sigma"):
        preprocess(activity, sigma=-1.0)


def test_held_out_frames_leave_the_others_alone():
    waves = np.sin(np.arange(200)[:, None] / 10 + np.arange(5))
    louder = waves.copy()
    louder[150:] *= 3
    for normalise in ("global", "unit"):
        options = {"normalise": normalise, "sigma": 10.0, "train_frames": 150}
        one, other = preprocess(waves, **options), preprocess(louder, **options)
        np.testing.assert_array_equal(one[:150], other[:150])
        np.testing.assert_array_equal(one[:150], preprocess(waves[:150], normalise=normalise, sigma=10.0))
        assert np.abs(one[150:] - other[150:]).max() > 0.5


def test_zebrafish_and_its_trivial_predictor(data_folder):
    recording = load_recording("zebrafish-darkflash")
    assert recording.activity.shape == (620, 522)
    assert recording.sigma == 10.0
    for normalise, expected in (("global", 0.845), ("unit", 0.617)):
        assert abs(constant_mean(preprocess(recording.activity, normalise=normalise, sigma=10.0)) - expected) < 0.02


def test_zebrafish_of_other_content_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    np.savez(tmp_path / "zebrafish_darkflash.npz", activity=np.zeros((522, 620)))
    with pytest.raises(RecordingError, match=r"zebrafish_darkflash\.npz is not the published array"):
        load_zebrafish_darkflash()


def test_zebrafish_without_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    monkeypatch.setattr(zebrafish_module, "_URL", "http://127.0.0.1:9/none.npy")
    with pytest.raises(RecordingError, match="download failed.*NEUROTORCH_DATA"):
        load_zebrafish_darkflash()
    assert not list(tmp_path.iterdir())


def test_missing_extra_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROTORCH_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(RecordingError, match=r'pooch is not installed.*pip install "neurotorch\[fit\]"'):
        load_zebrafish_darkflash()
