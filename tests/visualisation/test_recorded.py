"""What NeuroTorch 0.0.2 printed for the same series and the same calls."""

import numpy as np
import pytest

from neurotorch import Dimension, DimensionProperty, Size
from neurotorch.visualisation import Visualise, VisualisePCA

TRACES = {"best": "0.979", "typical_0": "0.970", "worst": "0.515", "most_var": "0.868"}


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(60, 40)).cumsum(0).astype("f4")
    return target, target + rng.normal(size=target.shape).astype("f4")


def test_explained_variance_of_the_chosen_units(series):
    target, prediction = series
    shape = Size(
        [Dimension(None, DimensionProperty.TIME, "Time [s]"), Dimension(None, DimensionProperty.NONE, "Activity [-]")]
    )
    viz = Visualise(prediction, shape=shape)
    _, axes = viz.plot_timeseries_comparison(target, title="P", traces_to_show=list(TRACES), figsize=(4, 6))
    labels = [text for panel in axes for text in panel.get_legend_handles_labels()[1] if "pVar" in text]
    assert labels == [f"Prediction (pVar: {value})" for value in TRACES.values()]
    assert {(panel.get_xlabel(), panel.get_ylabel()) for panel in axes} == {("Time [s]", "Activity [-]")}


def test_components_and_scores(series):
    target, prediction = series
    viz = VisualisePCA(prediction, n_PC=3)
    np.testing.assert_allclose(viz.params["var_ratio"], [0.6301, 0.1078, 0.0579], atol=5e-5)
    assert np.abs(viz.reduced_timeseries[:3]).sum() == pytest.approx(125.0676, abs=1e-3)
    assert np.abs(Visualise(target, apply_zscore=True).timeseries).sum() == pytest.approx(2010.071, abs=1e-2)
