"""Activity over time, and the figures that need no other algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.dimension import Dimension, DimensionProperty, DimensionsLike, Size
from neurotorch.utils.conversion import to_numpy
from neurotorch.visualisation._animation import animate
from neurotorch.visualisation._figures import begin, finish, number_axes, tidy
from neurotorch.visualisation.comparison import ComparisonFigures

Array = npt.NDArray[Any]

_UNNAMED = frozenset({"NONE", "TIME", "SPATIAL", "Time Steps", "Features"})


class Visualise(ComparisonFigures):
    """Figures of a time series.

    Methods that draw take a figure with its axes, or make a new one of pyplot; they return both, save to `filename`
    where one is given (the folder is made, the file is there whole or not at all), and show the figure if `show`.
    Further keywords of all: ``figsize``, ``dpi`` (300) and ``close``, which closes the figure after saving.

    Parameters
    ----------
    timeseries : array or Tensor [T, N] or [..., T, N]
        Several samples are averaged; comparisons show their standard deviation.
    shape : Size or dimensions, optional
        Meaning and names of the two axes, without the batch. Data whose second axis is time are transposed. Names of
        dimensions become labels, such as ``Dimension(None, DimensionProperty.TIME, "Time [s]")``. That of the second
        axis says what units are, as in "Neuron", or with brackets what is measured, as in "Fluorescence [-]".
    apply_zscore : bool
        Every unit gets mean 0 and standard deviation 1; a constant one becomes 0.
    dt : float, optional
        Seconds per step; axes of time are in seconds then, otherwise in steps.

    Attributes
    ----------
    timeseries : array [T, N]
    shape : Size
        Of `timeseries`, time first.
    is_mean : bool
        Whether samples were averaged.

    Raises
    ------
    ValueError
        The series has fewer than two axes, or other sizes than `shape` says.
    """

    def __init__(
        self,
        timeseries: Any,
        shape: DimensionsLike | None = None,
        apply_zscore: bool = False,
        *,
        dt: float | None = None,
    ) -> None:
        given = np.array(to_numpy(timeseries))
        if given.ndim < 2 or 0 in given.shape:
            raise ValueError(f"timeseries: expected shape [T, N] or [..., T, N], got {list(given.shape)}")
        self.dt = dt
        self.apply_zscore = apply_zscore
        self.is_mean = given.ndim > 2
        self.shape, self._is_transposed = _sized(shape, given.shape[-2:])
        samples = given.reshape(-1, *given.shape[-2:])
        samples = samples.swapaxes(1, 2) if self._is_transposed else samples
        self._given_timeseries = samples
        self._mean_given_timeseries = samples.mean(axis=0)
        self._std_given_timeseries = samples.std(axis=0)
        # The order of units is the given one here; subclasses sort `timeseries`.
        self._unsorted = _zscored(self._mean_given_timeseries) if apply_zscore else self._mean_given_timeseries
        self.timeseries: Array = self._unsorted.copy()

    @staticmethod
    def number_axes(axes: Any, **kwargs: Any) -> Any:
        """Number axes: (a), (b), ...

        Parameters
        ----------
        axes : sequence of Axes
        num_type : {"alpha", "numeric"}
        start : int
            The first number, counted from 0.
        method : {"text", "title", "set_title"}
            A text beside the axes, before their title, or in place of it.
        x, y : float
            Place of a text, in units of the axes; 0 and 1.2.
        fontsize, fontweight, loc
            12, bold and left.

        Returns
        -------
        The axes

        Raises
        ------
        ValueError
            `num_type` or `method` is unknown.
        """
        return number_axes(axes, **kwargs)

    def seconds(self, n: int | None = None) -> Array:
        """Times of the first n steps, all by default; steps where ``dt`` is not known."""
        return np.arange(len(self.timeseries) if n is None else n) * (1.0 if self.dt is None else self.dt)

    @property
    def time_label(self) -> str:
        """Label of axes of time."""
        name = self.shape[0].name
        if name not in _UNNAMED:
            return name
        return "Time [steps]" if self.dt is None else "Time [s]"

    @property
    def unit_label(self) -> str:
        """Label of axes of units."""
        name = self.shape[1].name
        return "Unit" if name in _UNNAMED or "[" in name else name

    @property
    def activity_label(self) -> str:
        """Label of axes of activity."""
        name = self.shape[1].name
        return name if "[" in name else "Activity [-]"

    def animate(
        self,
        weights: Any,
        dt: float = 1.0,
        step: int = 1,
        time_interval: float = 1.0,
        node_size: float = 50,
        alpha: float | None = None,
        filename: str | Path | None = None,
        file_extension: str | None = None,
        show: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Activity on a graph of the connections, drawn by forces (needs networkx).

        Parameters
        ----------
        weights : array or Tensor [N, N]
            Connections; magnitudes attract.
        dt : float
            Seconds per step, for the time that is shown.
        step : int
            Steps between two frames.
        time_interval : float
            Milliseconds between two frames on the screen.
        node_size, alpha : float
            Size of nodes and opacity of edges; by default one over the root of the number of entries of `weights`.
        filename : str, optional
            Ends with ``.gif`` or, where ffmpeg is installed, ``.mp4``; or `file_extension` says which.
        file_extension : {"gif", "mp4"}, optional
        show : bool
        **kwargs
            ``fps`` (30), ``writer`` (of matplotlib), ``figsize``, ``dpi`` (100), ``seed`` of the layout (0),
            ``max_edges`` (2000): the strongest ones are drawn.

        Returns
        -------
        matplotlib.animation.FuncAnimation

        Raises
        ------
        ValueError
            `weights` has another shape, or the file another ending.
        """
        return animate(
            self.timeseries,
            weights,
            dt,
            step,
            time_interval,
            node_size,
            alpha,
            filename,
            file_extension,
            show,
            **kwargs,
        )

    def plot_timeseries(
        self, filename: str | Path | None = None, show: bool = False, fig: Any = None, ax: Any = None, **kwargs: Any
    ) -> tuple[Any, Any]:
        """All units in one panel, coloured by their index, and their mean.

        Returns
        -------
        figure, axes
        """
        fig, axes = begin(fig, ax, figsize=kwargs.get("figsize", (9.0, 5.5)))
        panel, n = axes[0, 0], self.timeseries.shape[1]
        import matplotlib

        colours = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.95, n))
        for values, colour in zip(self.timeseries.T, colours, strict=True):
            panel.plot(self.seconds(), values, color=colour, alpha=float(np.clip(30.0 / n, 0.2, 0.9)), linewidth=0.8)
        if n > 1:
            panel.plot(
                self.seconds(), self.timeseries.mean(axis=1), color="black", linewidth=2.5, label="mean of units"
            )
            panel.legend(frameon=False)
        panel.set_xlabel(self.time_label)
        panel.set_ylabel(self.activity_label)
        panel.set_title(kwargs.get("title", ""))
        panel.margins(x=0)
        tidy(panel)
        finish(fig, filename, show, **kwargs)
        return fig, panel

    def heatmap(
        self,
        show_axis: bool = True,
        interpolation: str = "nearest",
        cmap: str = "RdBu_r",
        v: tuple[float, float] | None = (0.0, 1.0),
        filename: str | Path | None = None,
        show: bool = False,
        fig: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Units over time as colours.

        Parameters
        ----------
        show_axis : bool
        interpolation, cmap : str
            Of ``imshow``.
        v : (float, float) or None
            Range of the colours, by default that of normalised activity; None for that of the data. The colour bar ends
            in arrows where data lie outside.
        filename, show, fig, ax, **kwargs
            See the class; also ``title``, ``colorbar`` (True).

        Returns
        -------
        figure, axes
        """
        fig, axes = begin(fig, ax, figsize=kwargs.get("figsize", (9.0, 5.5)))
        panel = axes[0, 0]
        low, high = float(self.timeseries.min()), float(self.timeseries.max())
        shown = (low, high) if v is None else v
        steps, units = self.timeseries.shape
        image = panel.imshow(
            self.timeseries.T,
            interpolation=interpolation,
            aspect="auto",
            cmap=cmap,
            vmin=shown[0],
            vmax=shown[1],
            extent=(0.0, steps * (1.0 if self.dt is None else self.dt), units - 0.5, -0.5),
        )
        panel.set_xlabel(self.time_label)
        panel.set_ylabel(self.unit_label)
        panel.set_title(kwargs.get("title", ""))
        if not show_axis:
            panel.axis("off")
        if kwargs.get("colorbar", True):
            extend = ("neither", "min", "max", "both")[int(low < shown[0]) + 2 * int(high > shown[1])]
            fig.colorbar(image, ax=panel, extend=extend, pad=0.02).set_label(self._colour_label)
        self._mark_groups(panel)
        finish(fig, filename, show, **kwargs)
        return fig, panel

    @property
    def _colour_label(self) -> str:
        return "Activity [z-score]" if self.apply_zscore else self.activity_label

    def _mark_groups(self, panel: Any) -> None:
        """Lines between groups of units, where there are some."""

    def rigidplot(
        self,
        show_axis: bool = False,
        filename: str | Path | None = None,
        show: bool = False,
        fig: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Units as lines above each other, each scaled to its own range.

        Returns
        -------
        figure, axes
        """
        count = self.timeseries.shape[1]
        fig, axes = begin(fig, ax, figsize=kwargs.get("figsize", (9.0, float(np.clip(0.12 * count, 4.0, 12.0)))))
        panel = axes[0, 0]
        low, size = self.timeseries.min(axis=0), np.ptp(self.timeseries, axis=0)
        scaled = (self.timeseries - low) / np.where(size > 0, size, 1.0)
        panel.plot(
            self.seconds(),
            scaled + 0.8 * np.arange(count),
            color="black",
            alpha=0.9,
            linewidth=float(np.clip(60.0 / count, 0.3, 1.0)),
        )
        panel.set_xlabel(self.time_label)
        panel.set_ylabel(self.unit_label)
        ticks = np.unique(np.linspace(0, count - 1, min(count, 6)).astype(int))
        panel.set_yticks(0.8 * ticks, ticks.tolist())
        panel.margins(x=0, y=0.01)
        tidy(panel)
        panel.set_title(kwargs.get("title", ""))
        if not show_axis:
            panel.axis("off")
        finish(fig, filename, show, **kwargs)
        return fig, panel


def _sized(shape: DimensionsLike | None, found: tuple[int, ...]) -> tuple[Size, bool]:
    """Time and units with their sizes, and whether the data must be transposed."""
    dimensions = list(Size(found if shape is None else shape))
    if len(dimensions) != 2:
        raise ValueError(f"shape: expected two dimensions, time and units without the batch, got {len(dimensions)}")
    for k, (dimension, size) in enumerate(zip(dimensions, found, strict=True)):
        if dimension.size not in (None, size):
            raise ValueError(f"shape: expected {size} for dimension {k}, the size of timeseries, got {dimension.size}")
    if all(d.dtype == DimensionProperty.NONE for d in dimensions):
        made = [Dimension(found[0], DimensionProperty.TIME, "Time Steps"), Dimension(found[1], name="Features")]
        for new, old in zip(made, dimensions, strict=True):
            new.name = new.name if old.name in _UNNAMED else old.name
        return Size(made), False
    copies = [Dimension(size, d.dtype, d.name) for d, size in zip(dimensions, found, strict=True)]
    transposed = copies[0].dtype != DimensionProperty.TIME and copies[1].dtype == DimensionProperty.TIME
    return Size(copies[::-1] if transposed else copies), transposed


def _zscored(values: Array) -> Array:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
