"""Functions that are called when a metric reaches a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neurotorch.callbacks.base_callback import BaseCallback


class EventOnMetricThreshold(BaseCallback):
    """Calls a function at the end of every iteration in which a metric has reached a threshold.

    Parameters
    ----------
    metric_name : str
        Iterations without this metric do not count.
    threshold : float
    event : callable
        Called as ``event(trainer, *event_args, **event_kwargs)``. What it returned last is shown in the progress bar,
        unless it is None.
    event_args : tuple, optional
    event_kwargs : mapping of str, optional
    minimize_metric : bool
        Whether the metric reaches the threshold from above; values equal to it count.
    do_once : bool
        Only the first time.
    **kwargs
        See :class:`BaseCallback`. The state is whether the function was called.
    """

    def __init__(
        self,
        metric_name: str,
        threshold: float,
        *,
        event: Callable[..., Any],
        event_args: tuple[Any, ...] | None = None,
        event_kwargs: Mapping[str, Any] | None = None,
        minimize_metric: bool = True,
        do_once: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.metric_name = metric_name
        self.threshold = threshold
        self.event = event
        self.event_args = event_args or ()
        self.event_kwargs = event_kwargs or {}
        self.minimize_metric = minimize_metric
        self.do_once = do_once
        self.has_triggered = False
        self._output: Any = None

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Compare the metric with the threshold."""
        value = trainer.current_training_state.itr_metrics.get(self.metric_name)
        if value is None or (self.do_once and self.has_triggered):
            return
        if value <= self.threshold if self.minimize_metric else value >= self.threshold:
            self.has_triggered = True
            self._output = self.event(trainer, *self.event_args, **self.event_kwargs)

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """What the function returned last."""
        return {} if self._output is None else {self.name: self._output}

    def get_state(self) -> dict[str, Any]:
        """Whether the function was called."""
        return {"has_triggered": self.has_triggered}

    def extra_repr(self) -> str:
        """The condition."""
        return f"{self.metric_name} {'<=' if self.minimize_metric else '>='} {self.threshold}"
