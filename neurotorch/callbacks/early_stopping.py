"""Callbacks that end training; the iteration in which they do is finished, and is the last."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from neurotorch.callbacks.base_callback import BaseCallback


def required_metric(metrics: Mapping[str, Any], name: str) -> float:
    """A metric of the iteration; KeyError that lists those that there are."""
    if name not in metrics:
        raise KeyError(f"metric: expected one of {sorted(metrics)}, got {name!r}")
    return float(metrics[name])


class EarlyStopping(BaseCallback):
    """Ends training when a metric has not become better for some iterations.

    Parameters
    ----------
    patience : int
        Number of iterations without a better value after which training ends.
    tol : float
        How much better than the best value so far a value must be. NaN is never better.
    metric : str
    minimize_metric : bool
        Whether smaller is better.
    **kwargs
        See :class:`BaseCallback`; the priority is 100. The state is the best value and the count.

    Raises
    ------
    ValueError
        `patience` is not positive.
    KeyError
        While training: there is no such metric.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_LOW_PRIORITY

    def __init__(
        self,
        patience: int = 5,
        tol: float = 1e-2,
        *,
        metric: str = "val_loss",
        minimize_metric: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        if patience < 1:
            raise ValueError(f"patience: expected 1 or more, got {patience}")
        self.patience = patience
        self.tol = tol
        self.metric = metric
        self.minimize_metric = minimize_metric
        self.best_loss: float | None = None
        self.counter = 0

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Compare the metric with the best one so far."""
        value = required_metric(trainer.current_training_state.itr_metrics, self.metric)
        sign = 1 if self.minimize_metric else -1
        best = math.inf if self.best_loss is None else sign * self.best_loss
        if sign * value < best - (self.tol if math.isfinite(best) else 0.0):
            self.best_loss, self.counter = value, 0
        else:
            self.counter += 1
        if self.is_over(trainer):
            trainer.update_state_(stop_training_flag=True)

    def is_over(self, trainer: Any) -> bool:
        """Whether patience is at its end."""
        return self.counter >= self.patience

    def get_state(self) -> dict[str, Any]:
        """The best value, and the number of iterations since."""
        return {"best_loss": self.best_loss, "counter": self.counter}

    def extra_repr(self) -> str:
        """The arguments."""
        return f"metric={self.metric}, patience={self.patience}, tol={self.tol}"


class MetricThreshold(BaseCallback):
    """Compares a metric with a threshold at the end of every iteration; subclasses say what follows.

    Parameters
    ----------
    metric : str
    threshold : float
    minimize_metric : bool
        True for below, False for above.
    **kwargs
        See :class:`BaseCallback`.
    """

    def __init__(self, *, metric: str, threshold: float, minimize_metric: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.metric = metric
        self.threshold = threshold
        self.minimize_metric = minimize_metric

    def passed(self, trainer: Any) -> bool:
        """Whether the metric of the iteration is beyond the threshold; KeyError where there is no such metric."""
        value = required_metric(trainer.current_training_state.itr_metrics, self.metric)
        return bool(value < self.threshold if self.minimize_metric else value > self.threshold)

    def extra_repr(self) -> str:
        """The condition."""
        return f"{self.metric} {'<' if self.minimize_metric else '>'} {self.threshold}"


class EarlyStoppingThreshold(MetricThreshold):
    """Ends training when a metric is below a threshold, or above one.

    Parameters
    ----------
    metric : str
    threshold : float
    minimize_metric : bool
        True for below, False for above.
    **kwargs
        See :class:`BaseCallback`. There is no state.

    Raises
    ------
    KeyError
        While training: there is no such metric.
    """

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Compare the metric with the threshold."""
        if self.passed(trainer):
            trainer.update_state_(stop_training_flag=True)

    def is_over(self, trainer: Any) -> bool:
        """Whether the metric, if there is one, is beyond the threshold."""
        return self.metric in trainer.current_training_state.itr_metrics and self.passed(trainer)


class EarlyStoppingOnTimeLimit(BaseCallback):
    """Ends training when its iterations have taken longer than a limit.

    Parameters
    ----------
    delta_seconds : float
        The limit in seconds.
    resume_on_load : bool
        Whether a resumed run counts the time before its checkpoint.
    **kwargs
        See :class:`BaseCallback`. The state is the time so far.
    """

    CURRENT_SECONDS_COUNT_KEY: ClassVar[str] = "current_seconds_count"
    DELTA_SECONDS_KEY: ClassVar[str] = "delta_seconds"

    def __init__(self, *, delta_seconds: float = 600.0, resume_on_load: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.delta_seconds = delta_seconds
        self.resume_on_load = resume_on_load
        self.current_seconds_count = 0.0
        self.start_time: float | None = None
        self.last_time_update = 0.0

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Read the clock."""
        super().start(trainer)
        self.start_time = self.last_time_update = time.perf_counter()

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Add the time of the iteration."""
        now = time.perf_counter()
        self.current_seconds_count += now - self.last_time_update
        self.last_time_update = now
        self.update_flags(trainer)

    def update_flags(self, trainer: Any, **kwargs: Any) -> None:
        """End training when the time is beyond the limit."""
        if self.is_over(trainer):
            trainer.update_state_(stop_training_flag=True)

    def is_over(self, trainer: Any) -> bool:
        """Whether the time is over."""
        return self.current_seconds_count > self.delta_seconds

    def get_state(self) -> dict[str, Any]:
        """The time so far."""
        return {self.CURRENT_SECONDS_COUNT_KEY: self.current_seconds_count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the time, if it is to count; the limit stays that of the constructor."""
        if self.resume_on_load:
            self.current_seconds_count = float(state[self.CURRENT_SECONDS_COUNT_KEY])

    def extra_repr(self) -> str:
        """The limit."""
        return f"delta_seconds={self.delta_seconds}"


class EarlyStoppingOnNaN(BaseCallback):
    """Ends training when a metric is NaN; a metric that is missing does not count.

    Parameters
    ----------
    metric : str
    **kwargs
        See :class:`BaseCallback`; the priority is 100. There is no state.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_LOW_PRIORITY

    def __init__(self, metric: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.metric = metric

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Look at the metric."""
        if self.is_over(trainer):
            trainer.update_state_(stop_training_flag=True)

    def is_over(self, trainer: Any) -> bool:
        """Whether the metric is NaN."""
        return math.isnan(float(trainer.current_training_state.itr_metrics.get(self.metric, 0.0)))

    def extra_repr(self) -> str:
        """The metric."""
        return f"metric={self.metric}"


class EarlyStoppingOnStagnation(BaseCallback):
    """Ends training when the last values of a metric hardly differ from one to the next.

    Parameters
    ----------
    metric : str
        Iterations without it do not count.
    patience : int
        Number of last values; with fewer training goes on.
    tol : float
        Training ends when :meth:`get_value` is below.
    start_with_history : bool
        Whether values that the training history holds when training starts count.
    **kwargs
        See :class:`BaseCallback`; the priority is 100. The state is the last values.

    Raises
    ------
    ValueError
        `patience` is below 2.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_LOW_PRIORITY

    def __init__(
        self, metric: str, patience: int = 10, tol: float = 1e-4, start_with_history: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        if patience < 2:
            raise ValueError(f"patience: expected 2 or more, got {patience}")
        self.metric = metric
        self.patience = patience
        self.tol = tol
        self.start_with_history = start_with_history
        self._memory: list[float] = []

    def get_value(self) -> float:
        """Mean absolute difference between neighbours among the last `patience` values; infinite without any."""
        pairs = list(zip(self._memory, self._memory[1:]))
        return sum(abs(b - a) for a, b in pairs) / len(pairs) if pairs else math.inf

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Begin with the values of the history, or none."""
        super().start(trainer)
        self._memory = []
        if self.start_with_history:
            self._memory = list(trainer.training_history.get(self.metric, []))[-self.patience :]

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Look at the last values."""
        metrics = trainer.current_training_state.itr_metrics
        if self.metric not in metrics:
            return
        self._memory = [*self._memory, float(metrics[self.metric])][-self.patience :]
        if self.is_over(trainer):
            trainer.update_state_(stop_training_flag=True)

    def is_over(self, trainer: Any) -> bool:
        """Whether the last values hardly differ."""
        return len(self._memory) == self.patience and self.get_value() < self.tol

    def get_state(self) -> dict[str, Any]:
        """The last values."""
        return {"memory": self._memory}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from the last values."""
        self._memory = list(state["memory"])

    def extra_repr(self) -> str:
        """The arguments."""
        return f"metric={self.metric}, patience={self.patience}, tol={self.tol}"
