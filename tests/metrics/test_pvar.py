"""Every form of explained variance on numbers that can be checked by hand."""

import numpy as np
import pytest
import torch

from neurotorch import metrics

TARGET = np.array([[0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 2.0, 6.0], [2.0, 2.0, 5.0, 7.0]])
PREDICTION = TARGET + np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -2.0, 0.0]])


def test_global_by_hand():
    mean = TARGET.sum() / 12
    variance = ((TARGET - mean) ** 2).sum() / 11
    assert metrics.pvar_global(PREDICTION, TARGET) == pytest.approx(1 - (5 / 12) / (variance + 1e-5), rel=1e-12)


def test_per_step_by_hand():
    steps = metrics.pvar_per_step(PREDICTION, TARGET)
    # Row 1 is 1, 3, 2, 6: mean 3, variance (4 + 0 + 1 + 9) / 3; its mean squared error is 1 / 4.
    np.testing.assert_allclose(steps[:2], [1.0, 1 - 0.25 / (14 / 3)], rtol=1e-7)


def test_per_neuron_by_hand():
    neurons = metrics.pvar_per_neuron(PREDICTION, TARGET)
    # Column 0 is 0, 1, 2 with variance 1, column 2 is 2, 2, 5 with variance 3.
    np.testing.assert_allclose(neurons, [1 - (1 / 3) / 1, 1.0, 1 - (4 / 3) / 3, 1.0], rtol=1e-6)


def test_constant_mean_and_skill():
    means = np.broadcast_to(TARGET.mean(axis=0), TARGET.shape)
    assert metrics.pvar_constant_mean(TARGET) == pytest.approx(metrics.pvar_global(means, TARGET))
    assert metrics.skill(means, TARGET) == pytest.approx(0.0, abs=1e-12)
    assert metrics.skill(TARGET, TARGET) == 1.0
    expected = 1 - np.square(PREDICTION - TARGET).mean() / np.square(means - TARGET).mean()
    assert metrics.skill(PREDICTION, TARGET) == pytest.approx(expected)


def test_skill_is_nan_where_the_means_leave_nothing_open():
    """One time step, or constant neurons: the mean of each neuron is the target itself."""
    for target in (TARGET[:1], np.repeat(TARGET[:1], 4, axis=0)):
        report = metrics.pvar_report(target + 1.0, target)
        assert np.isnan(report["skill"])
        assert report["pvar_constant_mean"] == 1.0


def test_half_precision_tensors():
    half = torch.from_numpy(PREDICTION).bfloat16()
    assert metrics.pvar_global(half, TARGET) == metrics.pvar_global(half.double(), TARGET)


def test_report_of_tensors_with_batch():
    batch = torch.from_numpy(np.stack([PREDICTION, TARGET])).float()
    truth = torch.from_numpy(np.stack([TARGET, TARGET])).float()
    report = metrics.pvar_report(batch, truth)
    assert report["pvar_time_mean"] == pytest.approx(metrics.pvar_per_step(batch, truth).mean())
    assert report["pvar_time_std"] == pytest.approx(metrics.pvar_per_step(batch, truth).std())
    assert report["pvar_neuron_median"] == pytest.approx(np.median(metrics.pvar_per_neuron(batch, truth)))
    single = [metrics.pvar_per_sample(p, t)[0] for p, t in zip(batch, truth, strict=True)]
    assert report["pvar_sample_mean"] == pytest.approx(np.mean(single))


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (TARGET[0], TARGET, r"prediction: expected shape \[T, N\].*\[4\]"),
        (TARGET, TARGET[:2], r"prediction: expected the shape of target, \[1, 2, 4\], got \[1, 3, 4\]"),
        (TARGET, TARGET * np.nan, "target: 12 of 12 values are NaN"),
        (TARGET[:0], TARGET[:0], "prediction: expected shape"),
    ],
)
def test_bad_input_is_named(prediction, target, message):
    with pytest.raises(ValueError, match=message):
        metrics.pvar_report(prediction, target)
