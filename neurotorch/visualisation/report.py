"""Pages that put several figures of a prediction beside each other."""

from __future__ import annotations

from typing import Any

from neurotorch.visualisation._comparison import explained
from neurotorch.visualisation._figures import begin, finish, number_axes
from neurotorch.visualisation.reductions import VisualisePCA, VisualiseUMAP
from neurotorch.visualisation.series import Visualise


def _reduced(viz: Visualise, kind: str, fitted_to: Visualise, given: Any, random_state: int | None) -> Any:
    """The series of `viz` in the space that another one defines, or in a given one."""
    options: dict[str, Any] = {"shape": viz.shape, "dt": viz.dt}
    if kind == "PCA":
        given = VisualisePCA(fitted_to._unsorted).pca_transform if given is None else given
        return VisualisePCA(viz._unsorted, pca_transform=given, **options)
    if given is None:
        given = VisualiseUMAP(fitted_to._unsorted, random_state=random_state).umap_transform
    return VisualiseUMAP(viz._unsorted, umap_transform=given, random_state=random_state, **options)


def _fitted_to(pred_viz: Visualise, target_viz: Visualise, **kwargs: Any) -> Visualise:
    choice = kwargs.get("fit_on", "prediction")
    if choice not in ("prediction", "target"):
        raise ValueError(f"fit_on: expected 'prediction' or 'target', got {choice!r}")
    return target_viz if choice == "target" else pred_viz


def UMAP_PCA_report(pred_viz: Visualise, target_viz: Visualise, **kwargs: Any) -> tuple[Any, Any]:
    """Trajectories of prediction and target in a UMAP embedding (left) and in two principal components (right).

    Parameters
    ----------
    pred_viz, target_viz : Visualise
    fit_on : {"prediction", "target"}
        The series that defines both spaces. With the target, pages of several models have the same axes.
    umap_transform, pca_transform : object, optional
        Fitted spaces instead, see :class:`VisualiseUMAP` and :class:`VisualisePCA`.
    random_state : int, optional
        Of UMAP.
    filename, show, figsize, dpi, close
        See :class:`Visualise`; `show` is on by default.

    Returns
    -------
    figure, axes [3, 2]

    Raises
    ------
    ImportError
        umap-learn is needed and not installed.
    """
    basis, seed = _fitted_to(pred_viz, target_viz, **kwargs), kwargs.get("random_state")
    # Everything that may fail comes before the figure.
    umap = _reduced(pred_viz, "UMAP", basis, kwargs.get("umap_transform"), seed)
    pca = _reduced(pred_viz, "PCA", basis, kwargs.get("pca_transform"), seed)
    fig, axes = begin(None, None, 3, 2, kwargs.get("figsize", (13.0, 9.0)), height_ratios=[1.6, 1.0, 1.0])
    umap.trajectory_umap(target=target_viz, fig=fig, axes=axes[:, 0], show=False)
    pca.trajectory_pca(target=target_viz, fig=fig, axes=axes[:, 1], show=False)
    number_axes(axes, x=-0.1, y=1.12)
    finish(fig, kwargs.pop("filename", None), kwargs.pop("show", True), **kwargs)
    return fig, axes


def mix_report(pred_viz: Visualise, target_viz: Visualise, **kwargs: Any) -> tuple[Any, Any]:
    """Three units beside their targets (left), and the trajectory of the whole (right).

    Parameters
    ----------
    pred_viz, target_viz : Visualise
        The space of a :class:`VisualiseUMAP` or :class:`VisualisePCA` is used as it is.
    space : {"UMAP", "PCA"}
        Where `pred_viz` has none.
    traces_to_show, traces_to_show_names, desc, spikes, n_spikes_steps
        See :meth:`Visualise.plot_timeseries_comparison`; three traces, by default best, most variable and typical.
    fontsize : float
        Of the title, 14.
    fit_on, umap_transform, pca_transform, random_state, filename, show, figsize, dpi, close
        See :func:`UMAP_PCA_report`.

    Returns
    -------
    figure, axes [3, 2]

    Raises
    ------
    ValueError
        `space` is unknown.
    """
    space = kwargs.get("space", "UMAP")
    if space not in ("UMAP", "PCA"):
        raise ValueError(f"space: expected 'UMAP' or 'PCA', got {space!r}")
    reduced: Any = pred_viz
    if not isinstance(pred_viz, (VisualiseUMAP, VisualisePCA)):
        given = kwargs.get(f"{space.lower()}_transform")
        basis = _fitted_to(pred_viz, target_viz, **kwargs)
        reduced = _reduced(pred_viz, space, basis, given, kwargs.get("random_state"))
    target = target_viz._mean_given_timeseries
    score = float(explained(pred_viz._mean_given_timeseries, target))
    fig, axes = begin(None, None, 3, 2, kwargs.get("figsize", (13.0, 9.0)))
    fig.suptitle(f"Network prediction (pVar: {score:.3f})", fontsize=kwargs.get("fontsize", 14))
    pred_viz.plot_timeseries_comparison(
        target,
        kwargs.get("spikes"),
        n_spikes_steps=kwargs.get("n_spikes_steps"),
        desc=kwargs.get("desc", "Prediction"),
        fig=fig,
        axes=axes[:, 0],
        traces_to_show=kwargs.get("traces_to_show", ["best", "most_var", "typical_0"]),
        traces_to_show_names=kwargs.get("traces_to_show_names", ["Best", "Most variable", "Typical"]),
    )
    draw = reduced.trajectory_pca if isinstance(reduced, VisualisePCA) else reduced.trajectory_umap
    draw(target=target_viz, fig=fig, axes=axes[:, 1], show=False)
    number_axes(axes, x=-0.1, y=1.14)
    finish(fig, kwargs.pop("filename", None), kwargs.pop("show", True), **kwargs)
    return fig, axes
