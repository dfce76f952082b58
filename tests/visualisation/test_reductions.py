"""Principal components, UMAP embeddings, and the pages that show them."""

import importlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from neurotorch import DaleLaw
from neurotorch.visualisation import (
    UMAP_PCA_report,
    Visualise,
    VisualiseKMeans,
    VisualisePCA,
    VisualiseUMAP,
    mix_report,
    visualize_init_final_weights,
)
from neurotorch.visualisation.connectome import visualize_init_final_weights as same_function
from neurotorch.visualisation.report import mix_report as same_report


class Halves:
    """A fitted embedding of a user's own: means of two halves of the units."""

    def transform(self, points):
        return np.stack([points[:, :4].mean(axis=1), points[:, 4:].mean(axis=1)], axis=1)


@pytest.fixture
def no_umap(monkeypatch):
    original = importlib.import_module

    def load(name, *args):
        if name == "umap":
            raise ModuleNotFoundError("No module named 'umap'", name="umap")
        return original(name, *args)

    monkeypatch.setattr(importlib, "import_module", load)


def test_components_are_those_of_the_singular_values(activity):
    viz = VisualisePCA(activity, n_PC=3)
    centred = activity - activity.mean(axis=0)
    u, s, _ = np.linalg.svd(centred.astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(viz.reduced_timeseries), np.abs((u * s)[:, :3]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(viz.params["var_ratio"], (s**2 / (s**2).sum())[:3], rtol=1e-4)
    np.testing.assert_allclose(viz.params["var_ratio_cumsum"], viz.params["var_ratio"].cumsum())


@pytest.mark.parametrize("traces", ["all", "PCA_space", "PCA_wrt_time"])
def test_every_trajectory_of_components(activity, prediction, traces):
    """One axis or three, saved and returned, the target in the space of the prediction."""
    viz, target = VisualisePCA(prediction, dt=0.5), VisualiseKMeans(activity, n_clusters=3)
    fig, axes = viz.trajectory_pca(target, PCs=(2, 1), traces=traces, filename="a.png", dpi=30)
    assert len(axes) == (3 if traces == "all" else 1)
    Image.open("a.png").verify()
    lines = {line.get_label(): line for line in axes[0].lines}
    goal, own = viz.pca_transform.transform(activity), viz.reduced_timeseries
    x = own[:, 1] if traces != "PCA_wrt_time" else np.arange(40) * 0.5
    y = own[:, 0] if traces != "PCA_wrt_time" else own[:, 1]
    np.testing.assert_allclose(lines["Predicted time series"].get_data(), [x, y])
    np.testing.assert_allclose(lines["Real time series"].get_ydata(), goal[:, 1 if traces == "PCA_wrt_time" else 0])
    if traces != "PCA_space":
        assert axes[-1].get_xlabel() == "Time [s]"
        assert "pVar" in axes[-1].get_title(loc="left")
    bare = plt.figure().add_subplot()
    if traces != "all":
        assert viz.trajectory_pca(target, traces=traces, fig=bare.figure, axes=bare)[1] is bare
    assert plt.fignum_exists(fig.number)


def test_reduction_and_smoothing(prediction):
    viz = VisualisePCA(prediction)
    _, axes = viz.trajectory_pca(reduction=4, traces="PCA_wrt_time")
    np.testing.assert_allclose(axes[0].lines[0].get_data(), [np.arange(0, 40, 4), viz.reduced_timeseries[::4, 0]])
    _, axes = viz.trajectory_pca(with_smooth=True, condition=0.0, traces="PCA_wrt_time")
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), viz.reduced_timeseries[:, 0], atol=1e-5)
    _, axes = viz.trajectory_pca(with_smooth=True, degree=3, condition=1e6, traces="PCA_wrt_time")
    cubic = np.polyval(np.polyfit(np.arange(40), viz.reduced_timeseries[:, 0], 3), np.arange(40))
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), cubic, atol=1e-4)


def test_points_have_the_colour_of_time_or_of_a_cluster(activity):
    viz = VisualisePCA(activity, n_PC=3, dt=2.0)
    _, axes = viz.scatter_pca(color_sample=True, filename="a.png", dpi=30)
    np.testing.assert_array_equal(axes.collections[0].get_array(), 2.0 * np.arange(40))
    assert axes.collections[0].colorbar.ax.get_ylabel() == "Time [s]"
    assert viz.with_kmeans(4) is viz
    _, axes = viz.scatter_pca((1, 2, 3))
    np.testing.assert_array_equal(axes.collections[0].get_array(), viz.kmean_label)
    assert axes.get_zlabel() == "PC 3"
    with pytest.raises(ValueError, match="color_sample: points are coloured by k-means clusters already"):
        viz.scatter_pca(color_sample=True)


def test_bad_arguments_are_named(activity):
    viz = VisualisePCA(activity)
    with pytest.raises(ValueError, match=r"PCs: expected axes from 1 to 2, got \(1, 3\)"):
        viz.trajectory_pca(PCs=(1, 3))
    with pytest.raises(ValueError, match=r"PCs: expected 2 or 3 axes, got \(1,\)"):
        viz.scatter_pca((1,))
    with pytest.raises(ValueError, match="traces: expected all, PCA_space, PCA_wrt_time, got 'UMAP_space'"):
        viz.trajectory_pca(traces="UMAP_space")
    with pytest.raises(ValueError, match="n_PC: expected 1 to 9, got 10"):
        VisualisePCA(activity, n_PC=10)
    with pytest.raises(ValueError, match="reduction: expected at least 1, got 0"):
        viz.trajectory_pca(reduction=0)
    with pytest.raises(ValueError, match=r"target: expected the shape of the series, \[40, 9\], got \[39, 9\]"):
        viz.trajectory_pca(activity[1:])
    assert not plt.get_fignums()


def test_a_given_embedding_needs_no_umap(activity, prediction, no_umap):
    viz = VisualiseUMAP(prediction, umap_transform=Halves())
    for traces, count in (("all", 3), ("UMAP_space", 1), ("UMAP_wrt_time", 1)):
        _, axes = viz.trajectory_umap(Visualise(activity), traces=traces, filename=f"{traces}.png", dpi=30, close=True)
        assert len(axes) == count
        lines = {line.get_label(): line.get_ydata() for line in axes[0].lines}
        part = activity[:, :4] if traces == "UMAP_wrt_time" else activity[:, 4:]
        np.testing.assert_allclose(lines["Real time series"], part.mean(axis=1), rtol=1e-5)
    _, axes = viz.with_kmeans(3).scatter_umap()
    assert axes.get_xlabel() == "UMAP 1"
    np.testing.assert_array_equal(axes.collections[0].get_array(), viz.kmeans_label)
    _, axes = VisualiseUMAP(prediction, umap_transform=Halves()).scatter_umap(color_sample=True)
    np.testing.assert_array_equal(axes.collections[0].get_array(), np.arange(40))


def test_without_umap_there_is_one_sentence(activity, no_umap):
    sentence = r'^umap-learn is not installed, and it computes UMAP embeddings; pip install "neurotorch\[umap\]"$'
    with pytest.raises(ImportError, match=sentence):
        VisualiseUMAP(activity)
    with pytest.raises(ImportError, match=sentence):
        UMAP_PCA_report(Visualise(activity), Visualise(activity))
    assert not plt.get_fignums()


def test_pages(activity, prediction):
    assert same_report is mix_report
    pred, target = Visualise(prediction, dt=0.9), Visualise(activity, dt=0.9)
    fig, axes = UMAP_PCA_report(pred, target, umap_transform=Halves())
    assert [panel.get_title(loc="left") for panel in axes[0]] == ["Trajectory in UMAP space", "Trajectory in PCA space"]
    for viz, options in (
        (pred, {"space": "PCA"}),
        (VisualisePCA(prediction), {}),
        (VisualiseUMAP(prediction, umap_transform=Halves()), {}),
    ):
        fig, axes = mix_report(viz, target, close=True, **options)
        assert not plt.fignum_exists(fig.number)
        assert "pVar" in fig.get_suptitle()
        assert axes.shape == (3, 2)
        assert all(panel.lines for panel in axes.ravel())
    with pytest.raises(ValueError, match="space: expected 'UMAP' or 'PCA', got 'tSNE'"):
        mix_report(pred, target, space="tSNE")


def test_spaces_may_be_those_of_the_target(activity, prediction):
    _, axes = mix_report(
        Visualise(prediction), Visualise(activity), space="PCA", fit_on="target", filename="a.svg", figsize=(6, 5)
    )
    assert Path("a.svg").read_text().startswith("<?xml")
    lines = {line.get_label(): line.get_ydata() for line in axes[1, 1].lines}
    np.testing.assert_allclose(lines["Real time series"], VisualisePCA(activity).reduced_timeseries[:, 0], rtol=1e-5)


def test_both_heat_maps_of_weights_have_the_same_colours():
    assert same_function is visualize_init_final_weights
    initial, final = torch.nn.Parameter(0.1 * torch.randn(5, 5)), torch.randn(5, 5)
    options = {"inh_ratio": 0.4, "seed": 3}
    fig, axes = visualize_init_final_weights(initial, final, "w.png", dale_law_kwargs=options, dpi=30)
    first, second = (panel.images[0] for panel in axes)
    size = float(max(initial.abs().max(), final.abs().max()))
    assert first.get_clim() == second.get_clim() == pytest.approx((-size, size))
    assert options == {"inh_ratio": 0.4, "seed": 3}
    loss = float(DaleLaw([torch.nn.Parameter(final)], **options)().detach())
    assert axes[1].get_title(loc="left") == f"Final weights (Dale loss = {loss:.3f})"
    assert len(fig.axes) == 3
    _, axes = visualize_init_final_weights(initial, final, cmp_zero_center=False, fig=fig, axes=axes)
    assert axes[0].images[-1].get_clim() == axes[1].images[-1].get_clim()
    with pytest.raises(
        ValueError, match=r"final_weights: expected a matrix of the shape of the other, got shape \[5, 4\]"
    ):
        visualize_init_final_weights(initial, final[:, :4])
