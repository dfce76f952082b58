"""Recordings from files: which array, which axis is time, and what is refused."""

import h5py
import numpy as np
import pytest

from neurotorch.datasets import RecordingError, load_recording, read_recording


@pytest.fixture
def activity():
    """Smooth activity [T, N] of 30 units over 50 frames, with very different baselines."""
    generator = np.random.default_rng(0)
    phase, speed = generator.uniform(0, 6, 30), generator.uniform(0.1, 0.4, 30)
    waves = np.sin(speed * np.arange(50)[:, None] + phase)
    return waves + 20 * np.sort(generator.random(30)) + 0.1 * generator.normal(size=(50, 30))


def test_npy_either_way_round(tmp_path, activity):
    for name, array, axes in (("tn", activity, "time,units"), ("nt", activity.T, "units,time")):
        np.save(tmp_path / f"{name}.npy", array)
        recording = read_recording(tmp_path / f"{name}.npy")
        assert axes in recording.origin
        assert "guessed" in recording.origin
        assert recording.name == name
        np.testing.assert_array_equal(recording.activity, activity)


def test_guess_does_not_depend_on_which_axis_is_longer(tmp_path, activity):
    np.save(tmp_path / "short.npy", activity[:20].T)
    assert read_recording(tmp_path / "short.npy").activity.shape == (20, 30)


def test_guess_without_smoothness_takes_the_longer_axis(tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(30, 200)))
    recording = read_recording(tmp_path / "noise.npy")
    assert recording.activity.shape == (200, 30)
    assert "longer" in recording.origin


def test_axes_overrule_the_guess(tmp_path, activity):
    np.save(tmp_path / "a.npy", activity)
    recording = read_recording(tmp_path / "a.npy", axes="units,time")
    assert recording.activity.shape == (30, 50)
    assert "as given" in recording.origin


def test_npz_and_hdf5_with_and_without_key(tmp_path, activity):
    np.savez(tmp_path / "a.npz", calcium=activity, rate=3.0, names=np.arange(30))
    np.savez(tmp_path / "b.npz", calcium=activity, other=activity[:, ::-1])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["imaging/calcium"] = activity[None]
        file["imaging/times"] = np.arange(50.0)
    np.testing.assert_array_equal(read_recording(tmp_path / "a.npz").activity, activity)
    np.testing.assert_array_equal(read_recording(tmp_path / "a.h5").activity, activity)
    np.testing.assert_array_equal(read_recording(tmp_path / "a.h5", key="/imaging/calcium").activity, activity)
    np.testing.assert_array_equal(read_recording(tmp_path / "b.npz", key="other").activity, activity[:, ::-1])
    with pytest.raises(RecordingError, match=r"--key.*calcium \[50, 30\], other \[50, 30\]"):
        read_recording(tmp_path / "b.npz")
    with pytest.raises(RecordingError, match="--key: no array 'fluorescence'.*calcium"):
        read_recording(tmp_path / "b.npz", key="fluorescence")


def spoiled(activity, what):
    bad = activity.copy()
    if what == "nan":
        bad[3, 4] = np.nan
    elif what == "infinite":
        bad[0, 0] = np.inf
    elif what == "constant":
        bad[:, 7] = 2.0
    elif what == "complex":
        bad = bad * 1j
    elif what == "text":
        bad = bad.astype(str)
    elif what == "vector":
        bad = bad[0]
    elif what == "cube":
        bad = np.stack([bad, bad])
    elif what == "short":
        bad = bad[:5]
    elif what == "empty":
        bad = bad[:0]
    return bad


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", r"1 of 1500 values are NaN or infinite, the first at index \[3, 4\]"),
        ("infinite", "NaN or infinite"),
        ("constant", r"1 of 30 units never change \(units 7\).*--drop-constant"),
        ("complex", "real numbers"),
        ("text", "real numbers"),
        ("vector", "2-D"),
        ("cube", "2-D"),
        ("short", "at least 10 frames, got 5"),
        ("empty", "2-D"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, activity, what, message):
    np.save(tmp_path / "bad.npy", spoiled(activity, what))
    with pytest.raises(RecordingError, match=message) as caught:
        read_recording(tmp_path / "bad.npy", axes="time,units")
    assert "bad.npy" in str(caught.value)


def test_constant_units_can_be_left_out(tmp_path, activity):
    np.save(tmp_path / "a.npy", spoiled(activity, "constant"))
    recording = read_recording(tmp_path / "a.npy", axes="time,units", drop_constant=True)
    np.testing.assert_array_equal(recording.activity, np.delete(activity, 7, axis=1))


def test_bad_files_are_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"not an array")
    (tmp_path / "a.csv").write_text("1,2")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(RecordingError, match=r"a\.npy: cannot be read"):
        load_recording(str(tmp_path / "a.npy"))
    with pytest.raises(RecordingError, match=r"objects\.npy: cannot be read"):
        load_recording(str(tmp_path / "objects.npy"))
    with pytest.raises(RecordingError, match=r"expected a \.npy, \.npz or \.h5 file"):
        load_recording(str(tmp_path / "a.csv"))
    with pytest.raises(RecordingError, match="no such file.*demo, zebrafish-darkflash"):
        load_recording("demoo")
    with pytest.raises(RecordingError, match="--axes"):
        load_recording(str(tmp_path / "a.npy"), axes="units")
