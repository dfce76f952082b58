"""How long training takes to reach a threshold."""

from __future__ import annotations

import math
import time
from typing import Any

from neurotorch.callbacks.early_stopping import MetricThreshold


class ConvergenceTimeGetter(MetricThreshold):
    """Notes when a metric passes a threshold for the first time, and has all checkpoint managers save then.

    Parameters
    ----------
    metric : str
    threshold : float
    minimize_metric : bool
        True for below the threshold, False for above.
    **kwargs
        See :class:`BaseCallback`. The state is the times and the condition; that of another condition is not taken.

    Attributes
    ----------
    threshold_met : bool
    time_convergence, itr_convergence : float
        Seconds from the start to the end of that iteration, and its index; infinite before. A resumed run counts the
        time before its checkpoint.
    training_time : float
        Seconds to the end of training; infinite before.

    Raises
    ------
    KeyError
        While training: there is no such metric.
    """

    def __init__(self, *, metric: str, threshold: float, minimize_metric: bool, **kwargs: Any) -> None:
        super().__init__(metric=metric, threshold=threshold, minimize_metric=minimize_metric, **kwargs)
        self.threshold_met = False
        self.time_convergence = math.inf
        self.itr_convergence = math.inf
        self.training_time = math.inf
        self.start_time: float | None = None

    def _elapsed(self) -> float:
        return 0.0 if self.start_time is None else time.perf_counter() - self.start_time

    def _condition(self) -> dict[str, Any]:
        return {"metric": self.metric, "threshold": self.threshold, "minimize_metric": self.minimize_metric}

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Read the clock; a second call of ``train`` goes on with the time of the first."""
        super().start(trainer)
        before = self.training_time if math.isfinite(self.training_time) else 0.0
        self.start_time = time.perf_counter() - before

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Compare the metric with the threshold."""
        passed = self.passed(trainer)
        if passed and not self.threshold_met:
            self.threshold_met = True
            self.save_on(trainer)

    def save_on(self, trainer: Any, **kwargs: Any) -> None:
        """Note time and iteration, and have the checkpoint managers save at the end of the iteration."""
        self.time_convergence = self._elapsed()
        self.itr_convergence = int(trainer.current_training_state.iteration)
        for manager in trainer.checkpoint_managers:
            manager.request()

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Note the time of training."""
        self.training_time = self._elapsed()

    def get_state(self) -> dict[str, Any]:
        """Condition and times."""
        return {
            **self._condition(),
            "time_convergence": self.time_convergence,
            "itr_convergence": self.itr_convergence,
            "training_time": self._elapsed(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the times, if they are those of the same condition."""
        if all(state.get(name) == value for name, value in self._condition().items()):
            self.start_time = time.perf_counter() - float(state["training_time"])
            self.time_convergence = state["time_convergence"]
            self.itr_convergence = state["itr_convergence"]
            self.threshold_met = math.isfinite(self.time_convergence)

    def extra_repr(self) -> str:
        """Condition and times."""
        return (
            f"{super().extra_repr()}, "
            f"time_convergence={self.time_convergence} s, itr_convergence={self.itr_convergence}, "
            f"training_time={self.training_time} s"
        )
