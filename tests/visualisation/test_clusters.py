"""Units sorted by clusters."""

import numpy as np
import pytest

from neurotorch.visualisation import VisualiseDBSCAN, VisualiseKMeans
from neurotorch.visualisation.time_series_visualisation import VisualiseDBSCAN as SameDBSCAN

KINDS = [0, 2, 1, 1, 0, 2, 2, 0, 1]


def assert_kinds_are_together(viz):
    kinds = np.array(KINDS)[viz.order]
    assert np.count_nonzero(np.diff(kinds)) == 2
    for kind in range(3):
        members = viz.order[kinds == kind]
        assert list(members) == sorted(members)  # the given order inside a cluster


def test_kmeans_puts_like_units_together(activity):
    viz = VisualiseKMeans(activity, n_clusters=3)
    assert_kinds_are_together(viz)
    assert list(viz.cluster_labels) == [0, 1, 2]
    np.testing.assert_array_equal(viz.timeseries, activity[:, viz.order])
    np.testing.assert_array_equal(viz.permute_timeseries(activity[None]), activity[None][..., viz.order])
    _, axes = viz.heatmap()
    assert axes.get_ylabel() == "Unit, sorted by cluster"
    np.testing.assert_array_equal(axes.images[0].get_array(), activity[:, viz.order].T)
    assert [line.get_ydata()[0] for line in axes.lines] == [2.5, 5.5]


def test_comparisons_keep_the_given_order(activity):
    _, axes = VisualiseKMeans(activity, n_clusters=3).plot_timeseries_comparison(
        activity, traces_to_show=["error_quad"]
    )
    assert not axes[0].lines[0].get_ydata().any()


def test_dbscan_puts_what_belongs_nowhere_last(activity):
    assert SameDBSCAN is VisualiseDBSCAN
    activity[:, 4] = np.random.default_rng(0).normal(size=40)
    viz = VisualiseDBSCAN(activity, eps=2.0, min_samples=2)
    assert list(viz.cluster_labels) == [-1, 0, 1, 2]
    assert viz.labels[4] == -1
    assert viz.order[-1] == 4
    assert np.count_nonzero(np.diff(np.array(KINDS)[viz.order[:-1]])) == 2
    np.testing.assert_allclose(viz.timeseries.std(axis=0), 1.0, rtol=1e-4)  # z-scores, sorted
    np.testing.assert_allclose(np.corrcoef(viz.timeseries.T, activity[:, viz.order].T).diagonal(9), 1.0, rtol=1e-4)


def test_bad_arguments_are_named(activity):
    with pytest.raises(ValueError, match="n_clusters: expected 1 to 9, the number of points, got 13"):
        VisualiseKMeans(activity)
    with pytest.raises(ValueError, match=r"timeseries: expected 9 units, got shape \[40, 3\]"):
        VisualiseKMeans(activity, n_clusters=3).permute_timeseries(activity[:, :3])
