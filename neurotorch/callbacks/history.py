"""Metrics of every iteration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurotorch.callbacks._history_plot import draw_history, update_history
from neurotorch.callbacks.base_callback import BaseCallback


def _as_number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise NotImplementedError(f"{key}: expected a number, got {type(value).__name__} {value!r}") from error


class TrainingHistory(BaseCallback):
    """A table with a row per iteration and a column per metric; holes hold a default value.

    Parameters
    ----------
    container : mapping of str to sequence of float, optional
        Columns of equal length to start with.
    default_value : float
        Value where a metric was not measured.
    **kwargs
        See :class:`BaseCallback`; the priority is 0.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_HIGH_PRIORITY

    def __init__(
        self, container: Mapping[str, Sequence[float]] | None = None, default_value: float = math.nan, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.default_value = default_value
        self._container: dict[str, list[float]] = {}
        self._length = 0
        for key, values in (container or {}).items():
            self[key] = list(values)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self._container)

    def __contains__(self, key: object) -> bool:
        return key in self._container

    def __getitem__(self, key: str) -> list[float]:
        return self._container[key]

    def __setitem__(self, key: str, values: Sequence[float]) -> None:
        assert not self._container or len(values) == self._length, (
            f"{key}: expected {self._length} values, got {len(values)}"
        )
        self._container[key] = list(values)
        self._length = len(values)

    def keys(self) -> list[str]:
        """Names of the columns."""
        return list(self._container)

    def items(self) -> list[tuple[str, list[float]]]:
        """Columns with their names."""
        return list(self._container.items())

    def get(self, key: str, default: Any = None) -> Any:
        """A column, or the default."""
        return self._container.get(key, default)

    def get_item_at(self, idx: int = -1) -> dict[str, float]:
        """A row."""
        return {key: values[idx] for key, values in self._container.items()}

    def insert(self, index: int, other: Mapping[str, float]) -> None:
        """Set values of row `index`; the table grows as needed."""
        values = {key: _as_number(key, value) for key, value in other.items()}
        for key in values:
            self._container.setdefault(key, [self.default_value] * self._length)
        self._grow(index + 1)
        for key, value in values.items():
            self._container[key][index] = value

    def _grow(self, length: int) -> None:
        self._length = max(self._length, length)
        for values in self._container.values():
            values.extend([self.default_value] * (self._length - len(values)))

    def append(self, key: str, value: float) -> None:
        """Add a row with one value."""
        self.insert(self._length, {key: value})

    def concat(self, other: TrainingHistory | Mapping[str, Sequence[float]]) -> None:
        """Add the rows of another table."""
        columns = dict(other.items())
        start, added = self._length, max((len(values) for values in columns.values()), default=0)
        for k in range(added):
            self.insert(start + k, {key: values[k] for key, values in columns.items() if k < len(values)})

    def _best(self, key: str | None, default: float, sign: int) -> float:
        key = next(iter(self._container), None) if key is None else key
        values = [v for v in self._container.get(key or "", []) if not math.isnan(v)]
        return sign * min((sign * v for v in values), default=sign * default)

    def min(self, key: str | None = None, default: float = math.inf) -> float:
        """Smallest value of a column (the first one by default), NaN left out."""
        return self._best(key, default, 1)

    def max(self, key: str | None = None, default: float = -math.inf) -> float:
        """Largest value of a column (the first one by default), NaN left out."""
        return self._best(key, default, -1)

    def _item(self, key: str, best: float) -> dict[str, float]:
        if key not in self._container:
            raise ValueError(f"key: expected one of {self.keys()}, got {key!r}")
        return self.get_item_at(self._container[key].index(best))

    def min_item(self, key: str) -> dict[str, float]:
        """The row where a metric is smallest."""
        return self._item(key, self.min(key))

    def max_item(self, key: str) -> dict[str, float]:
        """The row where a metric is largest."""
        return self._item(key, self.max(key))

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Add the metrics of the iteration."""
        state = trainer.current_training_state
        self.insert(int(state.iteration), state.itr_metrics)

    def get_state(self) -> dict[str, Any]:
        """The table."""
        return {
            "_container": {key: list(values) for key, values in self._container.items()},
            "_length": self._length,
            "default_value": self.default_value,
        }

    def create_plot(
        self, figsize: tuple[float, float] = (16, 12), fontsize: int = 18, linewidth: float = 4, dpi: int = 300
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Curves over iterations: one axis for all losses and one per other metric, train and validation together.

        Parameters
        ----------
        figsize : (float, float)
            Inches.
        fontsize, linewidth : float
            Points.
        dpi : int

        Returns
        -------
        figure, axes by metric, lines by column
        """
        from neurotorch.visualisation._figures import pyplot

        figure = pyplot().figure(figsize=figsize, dpi=dpi, layout="constrained")
        return (figure, *draw_history(self, figure, fontsize, linewidth))

    def plot(
        self,
        save_path: str | Path | None = None,
        show: bool = False,
        block: bool = True,
        close: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """:meth:`create_plot`, saved whole to a file where `save_path` names one, and shown if there is a display.

        The figure is closed then unless `close` is off; it can still be saved. Others stay open.

        Returns
        -------
        figure, axes by metric, lines by column
        """
        from neurotorch.visualisation._figures import finish

        figure, axes, lines = self.create_plot(**kwargs)
        finish(figure, save_path, show, block=block, close=close, dpi=kwargs.get("dpi", 300))
        return figure, axes, lines

    def update_fig(
        self, fig: Any, axes: dict[str, Any], lines: dict[str, Any], **kwargs: Any
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Bring a figure of :meth:`create_plot` up to date; columns that it does not have are left out.

        Returns
        -------
        figure, axes by metric, lines by column
        """
        update_history(self, axes, lines)
        fig.canvas.draw_idle()
        fig.canvas.flush_events()
        return fig, axes, lines

    def extra_repr(self) -> str:
        """What ``repr`` shows besides priority and flags."""
        return f"n={len(self)}, metrics={self.keys()}"
