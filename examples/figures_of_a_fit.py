"""All figures of a fit: activity, units beside their data, trajectories, weights.

    neurotorch fit demo && python examples/figures_of_a_fit.py runs/demo
    python examples/figures_of_a_fit.py                  # makes a short fit of the demo recording itself

Reads what `neurotorch fit` wrote into a folder, and puts the figures beside it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neurotorch.datasets import load_recording
from neurotorch.fitting import FitSettings, fit
from neurotorch.metrics import pvar_per_neuron
from neurotorch.visualisation import UMAP_PCA_report, Visualise, VisualiseKMeans, VisualisePCA, mix_report


def heat_maps(data: np.ndarray, prediction: np.ndarray, dt: float | None, filename: Path) -> None:
    """Data and prediction beside each other, units in the order of k-means clusters of the data."""
    clusters = VisualiseKMeans(data, n_clusters=min(13, data.shape[1]), dt=dt)
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", sharey=True)
    clusters.heatmap(fig=fig, ax=left, title="Recording", v=None, cmap="cividis", colorbar=False)
    same_order = Visualise(clusters.permute_timeseries(prediction), dt=dt)
    limits = float(data.min()), float(data.max())
    same_order.heatmap(fig=fig, ax=right, title="Model, free run", v=limits, cmap="cividis")
    right.set_ylabel("")
    fig.savefig(filename, dpi=120)
    plt.close(fig)


def main(argv: list[str] | None = None) -> list[str]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=None, help="that neurotorch fit wrote to")
    parser.add_argument("--dt", type=float, default=None, help="seconds per frame, such as 0.9 for zebrafish-darkflash")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"), help="for the short fit, without a folder")
    parser.add_argument("--tiny", action="store_true", help="an even shorter fit, to see that it runs")
    args = parser.parse_args(argv)

    folder = args.folder
    if folder is None:
        folder = args.out
        recording = load_recording("demo")
        if args.tiny:
            recording = replace(recording, activity=recording.activity[:50, :20])
        fit(recording, FitSettings(iterations=3 if args.tiny else 300), folder)
    with np.load(folder / "prediction.npz") as file:
        data, prediction = file["target"], file["prediction"]

    target, viz = Visualise(data, dt=args.dt), Visualise(prediction, dt=args.dt)
    save = {"dpi": 120, "close": True, "show": False}
    heat_maps(data, prediction, args.dt, folder / "heat_maps.png")
    viz.plot_timeseries_comparison_report(data, title="Free run", filename=folder / "units.png", **save)
    VisualisePCA(prediction, pca_transform=VisualisePCA(data).pca_transform, dt=args.dt).trajectory_pca(
        target, filename=folder / "trajectory.png", **save
    )
    mix_report(viz, target, space="PCA", fit_on="target", filename=folder / "page.png", **save)
    try:
        UMAP_PCA_report(viz, target, fit_on="target", random_state=42, filename=folder / "umap.png", **save)
    except ImportError as error:
        print(f"no umap.png: {error}")

    scores = pvar_per_neuron(prediction, data)
    made = sorted(path.name for path in folder.glob("*.png"))
    low, middle, high = np.quantile(scores, (0, 0.5, 1))
    print(f"{data.shape[1]} units: pVar of a unit {middle:.3f} (median), {low:.3f} to {high:.3f}")
    print(f"in {folder}: {', '.join(made)}")
    return made


if __name__ == "__main__":
    main()
