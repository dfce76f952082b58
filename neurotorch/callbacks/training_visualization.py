"""Curves of metrics that are drawn while training goes on."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from neurotorch.callbacks._history_plot import draw_history, update_history
from neurotorch.callbacks.base_callback import BaseCallback


class _Drawing(NamedTuple):
    """A figure, and whether it is a window."""

    figure: Any
    axes: dict[str, Any]
    lines: dict[str, Any]
    is_window: bool


class TrainingHistoryVisualizationCallback(BaseCallback):
    """Shows the training history while training goes on.

    Where matplotlib opens windows, in one, which is closed at the end; otherwise, as without a display or in a
    notebook, as a picture that is replaced, whole, now and then. Drawing takes at most about a tenth of the time. No
    other process is started, and the callback has no state in checkpoints.

    Parameters
    ----------
    temp_folder : str or Path
        Folder of the picture, ``~`` is the home folder. It is made when the first picture is.
    update_dt : float
        Seconds between two drawings, at least.
    **kwargs
        See :class:`BaseCallback`.

    Attributes
    ----------
    path : Path
        The picture. It stays, with the final curves.
    """

    UNPICKEABLE_ATTRIBUTES: ClassVar[list[str]] = [*BaseCallback.UNPICKEABLE_ATTRIBUTES, "_drawing"]
    FIGSIZE, FONTSIZE, LINEWIDTH, DPI = (10.0, 7.0), 12, 2.0, 100
    SHARE = 0.1

    def __init__(self, temp_folder: str | Path = "~/temp/", update_dt: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.update_dt = update_dt
        self.path = Path(temp_folder).expanduser() / f"training_visualization{time.time_ns()}.png"
        self._drawing: _Drawing | None = None
        self._next = 0.0
        self._is_current = True
        self._failed = False

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Training starts; ImportError where matplotlib is not installed."""
        from neurotorch.visualisation._figures import pyplot

        pyplot()
        super().start(trainer, **kwargs)
        self._next, self._failed = 0.0, False

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Draw, unless the last drawing was a moment ago."""
        self._is_current = False
        if time.monotonic() >= self._next:
            self._draw(trainer)

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Draw what is not drawn yet, and close the window."""
        if not self._is_current:
            self._draw(trainer)
        drawing, self._drawing = self._drawing, None
        if drawing is not None and drawing.is_window:
            from neurotorch.visualisation._figures import pyplot

            pyplot().close(drawing.figure)

    def _draw(self, trainer: Any) -> None:
        if self._failed:
            return
        began = time.monotonic()
        try:
            self._update(trainer.training_history)
            self._is_current = True
        except OSError as error:
            self._failed = True
            warnings.warn(f"{self.path}: training goes on without this picture ({error})", stacklevel=2)
        took = time.monotonic() - began
        self._next = began + max(self.update_dt, took / self.SHARE)

    def _update(self, history: Any) -> None:
        from neurotorch.visualisation._figures import save

        drawing = self._drawing
        if drawing is None or set(history.keys()) - set(drawing.lines):
            drawing = self._drawing = self._begin(history)
        update_history(history, drawing.axes, drawing.lines)
        if drawing.is_window:
            drawing.figure.canvas.draw_idle()
            drawing.figure.canvas.flush_events()
        else:
            save(drawing.figure, self.path, dpi=self.DPI)

    def _begin(self, history: Any) -> _Drawing:
        """A figure for all columns, in the window of before where there is one."""
        if self._drawing is not None:
            figure, in_window = self._drawing.figure, self._drawing.is_window
            figure.clear()
        else:
            figure, in_window = self._new_figure()
        return _Drawing(figure, *draw_history(history, figure, self.FONTSIZE, self.LINEWIDTH), in_window)

    def _new_figure(self) -> tuple[Any, bool]:
        """A window, or a figure that pyplot does not know."""
        from neurotorch.visualisation._figures import has_display, is_window, pyplot

        if has_display():
            figure = pyplot().figure(figsize=self.FIGSIZE, layout="constrained")
            if is_window(figure):
                figure.show(warn=False)
                return figure, True
            pyplot().close(figure)
        from matplotlib.figure import Figure

        return Figure(figsize=self.FIGSIZE, layout="constrained"), False
