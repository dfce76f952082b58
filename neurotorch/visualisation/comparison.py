"""Figures that put units beside their targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurotorch.visualisation import _comparison
from neurotorch.visualisation._figures import begin, finish, number_axes


class ComparisonFigures:
    """The comparisons of :class:`neurotorch.visualisation.Visualise`."""

    @property
    def _viz(self) -> Any:
        return self

    def plot_single_timeseries_comparison(
        self,
        feature_index: int,
        ax: Any,
        target: Any,
        spikes: Any = None,
        n_spikes_steps: int | None = None,
        title: str = "",
        desc: str = "Predicted time series",
        **kwargs: Any,
    ) -> Any:
        """One unit beside its target.

        Parameters
        ----------
        feature_index : int
            Which unit, in the given order.
        ax : Axes
        target : array or Tensor [T]
        spikes : array or Tensor [T, n_spikes_steps], optional
            Latent spikes of the unit, drawn as ticks above; their values are opacities.
        n_spikes_steps : int, optional
            Spike steps per step of the series; that of `spikes` by default.
        title, desc : str
            Of the panel and of the prediction.
        **kwargs
            ``linewidth``, ``box_aspect``, ``ylabel``, ``legend_loc``, ``legend_bbox_to_anchor``.

        Returns
        -------
        The axes
        """
        return _comparison.draw_unit(
            self._viz, feature_index, ax, target, spikes, n_spikes_steps, title, desc, **kwargs
        )

    def plot_timeseries_comparison(
        self,
        target: Any,
        spikes: Any = None,
        n_spikes_steps: int | None = None,
        title: str = "",
        desc: str = "Prediction",
        filename: str | Path | None = None,
        show: bool = False,
        fig: Any = None,
        axes: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Chosen units beside their targets.

        Parameters
        ----------
        target : array or Tensor [T, N]
            Axes of size 1 before these are dropped.
        spikes : array or Tensor [T, n_spikes_steps, N], optional
        n_spikes_steps, title, desc
            See :meth:`plot_single_timeseries_comparison`; `title` stands above all, with the explained variance.
        filename, show, fig, axes, **kwargs
            See the class; one axis per trace. ``traces_to_show`` lists panels: ``error_quad`` (squared error over
            time: mean of the units and the range from the 10th to the 90th percentile), ``best`` and ``worst`` (by
            explained variance), ``most_var`` (the target that changes most from step to step), ``typical_0``,
            ``typical_1``, ... (explained variance nearest to that of the whole); by default the four first.
            ``traces_to_show_names`` are their titles, ``numbered`` numbers the panels.

        Returns
        -------
        figure, axes

        Raises
        ------
        ValueError
            A trace is unknown, or the target has another shape.
        """
        traces = [t.lower() for t in kwargs.get("traces_to_show", ("error_quad", "best", "most_var", "worst"))]
        picked = _comparison.pick(self._viz, target, traces, kwargs.get("traces_to_show_names"))
        _comparison.check_spikes(self._viz, spikes, n_spikes_steps)
        height = 1.0 + 1.9 * len(traces)
        fig, panels = begin(fig, axes, len(traces), 1, figsize=kwargs.get("figsize", (9.0, height)))
        _comparison.draw(self._viz, panels[:, 0], picked, target, spikes, n_spikes_steps, title, desc, **kwargs)
        finish(fig, filename, show, **kwargs)
        return fig, panels[:, 0] if axes is None else axes

    def plot_timeseries_comparison_report(
        self,
        target: Any,
        spikes: Any = None,
        n_spikes_steps: int | None = None,
        title: str = "",
        desc: str = "Prediction",
        filename: str | Path | None = None,
        show: bool = False,
        fig: Any = None,
        axes: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """One page: squared error, best, most variable and worst unit, and three typical ones.

        Parameters
        ----------
        target, spikes, n_spikes_steps, title, desc
            See :meth:`plot_timeseries_comparison`.
        filename, show, fig, axes, **kwargs
            See the class; axes ``[4, 2]`` of one grid, whose first row becomes one panel. Keywords of
            :meth:`number_axes` and of :meth:`plot_single_timeseries_comparison`.

        Returns
        -------
        figure, axes
            ``[4, 2]``; the two of the first row are one.
        """
        columns = [
            _comparison.pick(self._viz, target, traces, titles)
            for traces, titles in (
                (["error_quad"], ["Squared error [-]"]),
                (["best", "most_var", "worst"], None),
                ([f"typical_{k}" for k in range(3)], [f"Typical ({k + 1})" for k in range(3)]),
            )
        ]
        _comparison.check_spikes(self._viz, spikes, n_spikes_steps)
        fig, panels = begin(fig, axes, 4, 2, figsize=kwargs.get("figsize", (13.0, 9.0)))
        place = panels[0, 0].get_gridspec()
        for panel in panels[0]:
            panel.remove()
        panels[0, :] = fig.add_subplot(place[0, :])
        rest = {k: value for k, value in kwargs.items() if k not in ("numbered", "traces_to_show_names")}
        for picked, axes_of in zip(columns, (panels[0, :1], panels[1:, 0], panels[1:, 1]), strict=True):
            title = title if picked is columns[0] else ""
            _comparison.draw(self._viz, axes_of, picked, target, spikes, n_spikes_steps, title, desc, **rest)
        number_axes([panels[0, 0], *panels[1:].ravel()], **{"x": -0.08, "y": 1.16, **kwargs})
        finish(fig, filename, show, **kwargs)
        return fig, panels
