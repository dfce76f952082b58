"""Figures of series: what is drawn, where it is saved, and what stays as it was."""

import builtins
import importlib
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from neurotorch import Dimension, DimensionProperty, Size
from neurotorch.metrics import pvar_global, pvar_per_neuron
from neurotorch.visualisation import Visualise, VisualiseKMeans

FIGURES = {
    "plot_timeseries": lambda viz, **kw: viz.plot_timeseries(**kw),
    "heatmap": lambda viz, **kw: viz.heatmap(**kw),
    "rigidplot": lambda viz, **kw: viz.rigidplot(**kw),
    "comparison": lambda viz, **kw: viz.plot_timeseries_comparison(viz.timeseries, **kw),
    "report": lambda viz, **kw: viz.plot_timeseries_comparison_report(viz.timeseries, **kw),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_bare_file_names_work_and_other_figures_stay_open(draw, activity, tmp_path):
    mine = plt.figure()
    fig, _ = draw(Visualise(activity), filename="bare.png", dpi=30, close=True)
    assert isinstance(fig, Figure)
    assert plt.get_fignums() == [mine.number]
    assert [p.name for p in tmp_path.iterdir()] == ["bare.png"]
    Image.open("bare.png").verify()


def test_folders_are_made_and_formats_follow_the_name(activity, tmp_path):
    viz = Visualise(activity)
    fig, _ = viz.heatmap(filename=tmp_path / "new" / "name.svg", show=True)  # there is no display: nothing is shown
    viz.heatmap(filename="without_ending", dpi=30)
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"name.svg", "without_ending.png"}
    assert fig.number in plt.get_fignums()


def test_a_figure_that_cannot_be_written_leaves_the_old_one(activity, tmp_path, monkeypatch):
    viz = Visualise(activity)
    viz.heatmap(filename="a.png", dpi=30)
    before = (tmp_path / "a.png").read_bytes()

    def fail(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        viz.heatmap(filename="a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_unknown_format_is_named(activity, tmp_path):
    with pytest.raises(ValueError, match=r"filename: expected an ending among .*png.*, got 'a\.txt'"):
        Visualise(activity).heatmap(filename="a.txt")
    assert not list(tmp_path.iterdir())


def test_axes_of_a_user_are_drawn_on(activity):
    fig, axes = plt.subplots(1, 2)
    assert Visualise(activity).heatmap(fig=fig, ax=axes[1])[1] is axes[1]
    assert axes[1].images
    assert not axes[0].images
    with pytest.raises(AssertionError, match="fig and axes: expected both or none"):
        Visualise(activity).heatmap(fig=fig)
    with pytest.raises(AssertionError, match="axes: expected 4, got 2"):
        Visualise(activity).plot_timeseries_comparison(activity, fig=fig, axes=axes)


def test_data_are_copied_and_scored(activity):
    activity[:, 3] = 2.0
    before = activity.copy()
    viz = Visualise(activity, apply_zscore=True)
    np.testing.assert_array_equal(activity, before)
    np.testing.assert_allclose(viz.timeseries[:, 3], 0.0)
    others = np.delete(viz.timeseries, 3, axis=1)
    np.testing.assert_allclose(others.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(others.std(axis=0), 1.0, rtol=1e-5)


def test_samples_are_averaged(activity, prediction):
    samples = torch.from_numpy(np.stack([prediction, activity])[None])
    viz = Visualise(samples)
    assert viz.is_mean
    np.testing.assert_allclose(viz.timeseries, (prediction + activity) / 2, rtol=1e-6)
    _, axes = viz.plot_timeseries_comparison(activity, traces_to_show=["error_quad", "best"])
    scores = [pvar_global(prediction, activity), pvar_global(activity, activity)]
    assert f"pVar[2]: {np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f}" in axes[0].get_title(loc="left")
    assert len(axes[1].collections) == 1  # the band of one standard deviation


def test_time_may_be_the_second_axis(activity):
    shape = Size([Dimension(None, name="Neuron"), Dimension(40, DimensionProperty.TIME, "Time [min]")])
    viz = Visualise(activity.T, shape)
    np.testing.assert_array_equal(viz.timeseries, activity)
    assert [d.name for d in shape] == ["Neuron", "Time [min]"]
    _, axes = viz.heatmap()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Time [min]", "Neuron")
    _, axes = viz.plot_timeseries_comparison(activity.T, traces_to_show=["worst"])
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), axes[0].lines[1].get_ydata())


@pytest.mark.parametrize(
    ("name", "unit", "measured"),
    [("Neuron", "Neuron", "Activity [-]"), ("dF/F [%]", "Unit", "dF/F [%]"), (None, "Unit", "Activity [-]")],
)
def test_names_of_dimensions_are_labels_where_they_belong(activity, name, unit, measured):
    viz = Visualise(activity, Size([Dimension(None, DimensionProperty.TIME), Dimension(None, name=name)]))
    _, axes = viz.heatmap()
    assert axes.get_ylabel() == unit
    assert axes.images[0].colorbar.ax.get_ylabel() == measured
    _, axes = viz.plot_timeseries_comparison(activity, traces_to_show=["best"])
    assert axes[0].get_ylabel() == measured


@pytest.mark.parametrize(("dt", "label", "end"), [(None, "Time [steps]", 39), (0.9, "Time [s]", 39 * 0.9)])
def test_time_has_a_unit(activity, dt, label, end):
    viz = Visualise(activity, dt=dt)
    for name in ("plot_timeseries", "heatmap", "rigidplot", "comparison"):
        _, axes = FIGURES[name](viz)
        panel = np.ravel(axes)[-1]
        assert panel.get_xlabel() == label
    assert viz.seconds()[-1] == pytest.approx(end)
    assert panel.lines[0].get_xdata()[-1] == pytest.approx(end)


def test_heatmap_says_where_colours_end(activity):
    _, axes = Visualise(activity).heatmap(v=(-10, 0.5))
    bar = axes.images[0].colorbar
    assert bar.extend == "max"
    assert bar.ax.get_ylabel() == "Activity [-]"
    _, axes = Visualise(activity).heatmap(v=None)
    assert axes.images[0].get_clim() == (activity.min(), activity.max())
    assert axes.images[0].colorbar.extend == "neither"


def test_rigidplot_scales_each_unit(activity):
    activity[:, 2] = 5.0
    _, axes = Visualise(activity).rigidplot(show_axis=True)
    lines = np.stack([line.get_ydata() for line in axes.lines], axis=1)
    np.testing.assert_allclose(lines.min(axis=0), 0.8 * np.arange(9), atol=1e-6)
    np.testing.assert_allclose(np.delete(np.ptp(lines, axis=0), 2), 1.0, rtol=1e-5)
    assert np.ptp(lines[:, 2]) == 0.0


def shown_unit(panel):
    return int(panel.get_title(loc="left").rsplit("unit ", 1)[1])


def test_traces_are_the_ones_that_are_named(activity, prediction):
    scores = pvar_per_neuron(prediction, activity)
    change = np.diff(activity, axis=0).var(axis=0, ddof=1)
    typical = np.argsort(np.abs(scores - pvar_global(prediction, activity)))
    wanted = {
        "worst": scores.argmin(),
        "typical_1": typical[1],
        "best": scores.argmax(),
        "most_var": change.argmax(),
    }
    traces = list(wanted)
    fig, axes = Visualise(prediction).plot_timeseries_comparison(activity[None], traces_to_show=traces)
    assert [shown_unit(panel) for panel in axes] == list(wanted.values())
    assert traces == list(wanted)
    for panel, unit in zip(axes, wanted.values(), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in panel.lines}
        np.testing.assert_array_equal(lines["Real time series"], activity[:, unit])
        label = next(name for name in lines if name.startswith("Prediction (pVar: "))
        assert float(label[len("Prediction (pVar: ") : -1]) == pytest.approx(scores[unit], abs=1e-3)
    assert fig.axes == list(axes)


def test_squared_error_over_time(activity, prediction):
    _, axes = Visualise(prediction).plot_timeseries_comparison(activity, title="Model")
    errors = np.square(prediction - activity).mean(axis=1)
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), errors, rtol=1e-5)
    assert axes[0].get_title(loc="left") == f"Model (pVar: {pvar_global(prediction, activity):.3f})"


def test_comparisons_name_what_is_wrong(activity, prediction):
    viz = Visualise(prediction)
    with pytest.raises(ValueError, match="traces_to_show: expected error_quad, best, .*typical_8, got 'typical_9'"):
        viz.plot_timeseries_comparison(activity, traces_to_show=["typical_9"])
    with pytest.raises(ValueError, match="traces_to_show_names: expected 2, one per trace, got 1"):
        viz.plot_timeseries_comparison(activity, traces_to_show=["best", "worst"], traces_to_show_names=["x"])
    with pytest.raises(ValueError, match=r"target: expected the shape of the prediction, \[40, 9\], got \[39, 9\]"):
        viz.plot_timeseries_comparison(activity[1:])
    with pytest.raises(ValueError, match=r"spikes: expected shape \[40, 3, 9\], got \[40, 2, 9\]"):
        viz.plot_timeseries_comparison(activity, np.zeros((40, 2, 9)), 3)
    with pytest.raises(ValueError, match=r"timeseries: expected shape \[T, N\]"):
        Visualise(activity[:, 0])
    with pytest.raises(ValueError, match="shape: expected 9 for dimension 1, the size of timeseries, got 8"):
        Visualise(activity, Size([40, 8]))
    assert not plt.get_fignums()


def test_spikes_stand_where_they_happened(activity):
    spikes = np.zeros((40, 4, 9))
    spikes[10, 2, 5], spikes[11, 0, 5], spikes[3, 0, 1] = 1.0, 0.5, 1.0
    _, panel = plt.subplots()
    Visualise(activity, dt=0.5).plot_single_timeseries_comparison(5, panel, activity[:, 5], spikes[:, :, 5], 4)
    np.testing.assert_allclose(panel.collections[0].get_offsets()[:, 0], [5.25, 5.5])
    np.testing.assert_allclose(panel.collections[0].get_alpha(), [1.0, 0.5])


def test_report_has_seven_panels(activity, prediction):
    fig, axes = Visualise(prediction).plot_timeseries_comparison_report(activity, title="Fit", desc="Model")
    assert axes.shape == (4, 2)
    assert axes[0, 0] is axes[0, 1]
    assert len(fig.axes) == 7
    assert [text.get_text() for panel in np.ravel(axes)[1:] for text in panel.texts] == [f"({c})" for c in "abcdefg"]
    fig, grid = plt.subplots(4, 2)
    assert Visualise(prediction).plot_timeseries_comparison_report(activity, fig=fig, axes=grid)[0] is fig
    assert len(fig.axes) == 7


def test_numbers_of_axes():
    _, axes = plt.subplots(4, 7)
    Visualise.number_axes(axes)
    assert [panel.texts[0].get_text() for panel in axes.ravel()[[0, 25, 26, 27]]] == ["(a)", "(z)", "(aa)", "(ab)"]
    axes[0, 0].set_title("Title")
    Visualise.number_axes(axes[0], num_type="numeric", method="title", start=2)
    assert [panel.get_title(loc="left") for panel in axes[0][:2]] == ["(3) Title", "(4)"]
    with pytest.raises(ValueError, match="num_type: expected 'alpha' or 'numeric', got 'roman'"):
        Visualise.number_axes(axes, num_type="roman")


def test_animation_has_a_frame_per_step(activity, tmp_path):
    weights = torch.randn(9, 9)
    folder = tmp_path / "with.dot"
    made = Visualise(activity).animate(
        weights, dt=0.1, step=10, filename=folder / "a", figsize=(3, 2), dpi=40, close=True
    )
    assert made is not None
    with Image.open(folder / "a.gif") as film:
        assert film.n_frames == 4
    assert [p.name for p in folder.iterdir()] == ["a.gif"]
    with pytest.raises(ValueError, match=r"weights: expected shape \[9, 9\], got \[9, 8\]"):
        Visualise(activity).animate(weights[:, :8])
    with pytest.raises(ValueError, match="file_extension: expected gif or mp4, got 'avi'"):
        Visualise(activity).animate(weights, filename="a.avi")
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("package", "name", "extra", "use"),
    [
        ("matplotlib", "matplotlib", "vis", lambda x: Visualise(x).heatmap()),
        ("sklearn", "scikit-learn", "vis", lambda x: VisualiseKMeans(x, n_clusters=2)),
        ("networkx", "networkx", "vis", lambda x: Visualise(x).animate(np.eye(9))),
    ],
)
def test_missing_package_is_one_sentence(package, name, extra, use, activity, monkeypatch):
    original = builtins.__import__
    for loaded in [m for m in sys.modules if m.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(importlib, "import_module", _refusing(importlib.import_module, package))
    monkeypatch.setattr(builtins, "__import__", _refusing(original, package))
    with pytest.raises(
        ImportError, match=rf'^{name} is not installed, and it .*; pip install "neurotorch\[{extra}\]"$'
    ):
        use(activity)


def _refusing(original, package):
    def load(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=package)
        return original(name, *args, **kwargs)

    return load
