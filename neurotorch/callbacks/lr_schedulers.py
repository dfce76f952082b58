"""Learning rates that change from iteration to iteration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch

from neurotorch.callbacks.base_callback import BaseCallback
from neurotorch.callbacks.early_stopping import required_metric

Rates = float | Sequence[float | None] | None


def _as_list(rates: Rates) -> list[float | None]:
    return [rates] if rates is None or not isinstance(rates, Iterable) else list(rates)


def _per_group(name: str, rates: list[float | None], defaults: Sequence[float]) -> list[float]:
    """One rate per parameter group; a single one holds for all, None stands for the default."""
    if len(rates) == 1:
        rates = rates * len(defaults)
    if len(rates) != len(defaults):
        raise ValueError(f"{name}: expected 1 rate or one per parameter group, {len(defaults)}, got {len(rates)}")
    return [default if rate is None else float(rate) for rate, default in zip(rates, defaults, strict=True)]


class _LRScheduler(BaseCallback):
    """Sets the learning rates of an optimiser; subclasses say to what in :meth:`_rates`."""

    DEFAULT_LR_START: ClassVar[float] = 1e-3
    DEFAULT_MIN_LR: ClassVar[float] = 1e-12

    def __init__(
        self, optimizer: torch.optim.Optimizer | None, log_lr_to_history: bool, lr_start: Rates, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.optimizer = optimizer
        self.log_lr_to_history = log_lr_to_history
        self.lr_start: list[Any] = _as_list(lr_start)
        self.lr: list[Any] = self.lr_start
        self._resolved = False

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Find the optimiser, unless its learning algorithm starts later than this callback."""
        super().start(trainer)
        self._resolve(trainer)

    def load_checkpoint_state(self, trainer: Any, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Restore the state; rates that the optimiser had before are read first."""
        self._resolve(trainer)
        super().load_checkpoint_state(trainer, checkpoint, **kwargs)

    def _resolve(self, trainer: Any) -> None:
        if self._resolved:
            return
        if self.optimizer is None:
            optimizers = (getattr(algorithm, "optimizer", None) for algorithm in trainer.learning_algorithms)
            self.optimizer = next((found for found in optimizers if found is not None), None)
        if self.optimizer is not None:
            groups = [float(group.get("lr", self.DEFAULT_LR_START)) for group in self.optimizer.param_groups]
            self.lr_start = _per_group("lr_start", self.lr_start, groups)
            self._resolve_rates()
            self._resolved = True

    def _resolve_rates(self) -> None:
        """Complete what needs the first rates."""

    def _rates(self, trainer: Any) -> list[float]:
        raise NotImplementedError

    def _set_rates(self, trainer: Any) -> None:
        self._resolve(trainer)
        if self.optimizer is None:
            raise ValueError("optimizer: expected one, or a learning algorithm with one, got neither")
        self.lr = self._rates(trainer)
        for group, rate in zip(self.optimizer.param_groups, self.lr, strict=True):
            group["lr"] = rate

    def on_iteration_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Set the rates of the iteration, and add them to its metrics as ``lr_<group>``."""
        self._set_rates(trainer)
        if self.log_lr_to_history:
            trainer.update_itr_metrics_state_(**{f"lr_{k}": rate for k, rate in enumerate(self.lr)})


class LinearLRScheduler(_LRScheduler):
    """Learning rates that fall linearly over iterations, and then stay.

    Iteration i runs with ``lr_start - min(i, n_steps) / n_steps * (lr_start - lr_end)``.

    Parameters
    ----------
    lr_start, lr_end : float or sequence of float
        First and last rate, one for all parameter groups of the optimiser or one for each. A first rate of None is
        the one that the optimiser has, a last one 1e-12.
    n_steps : int
        Number of iterations between them.
    optimizer : torch.optim.Optimizer, optional
        By default that of the first learning algorithm that has one.
    log_lr_to_history : bool
        Add the rates to the metrics of the iteration, as ``lr_0, lr_1, ...``.
    **kwargs
        See :class:`BaseCallback`. There is no state: the iteration says it all.

    Raises
    ------
    ValueError
        `n_steps` is not positive; when training starts: the rates are of another number than the groups, or there is
        no optimiser.
    """

    def __init__(
        self,
        lr_start: Rates,
        lr_end: Rates,
        n_steps: int,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        log_lr_to_history: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(optimizer, log_lr_to_history, lr_start, **kwargs)
        if n_steps < 1:
            raise ValueError(f"n_steps: expected 1 or more, got {n_steps}")
        self.lr_end: list[Any] = _as_list(lr_end)
        self.n_steps = n_steps
        self.lr_decay: list[float] = []

    def _resolve_rates(self) -> None:
        self.lr_end = _per_group("lr_end", self.lr_end, [self.DEFAULT_MIN_LR] * len(self.lr_start))
        self.lr_decay = [(first - last) / self.n_steps for first, last in zip(self.lr_start, self.lr_end, strict=True)]

    def _rates(self, trainer: Any) -> list[float]:
        done = min(int(trainer.current_training_state.iteration or 0), self.n_steps)
        if done == self.n_steps:
            return list(self.lr_end)
        return [first - done * decay for first, decay in zip(self.lr_start, self.lr_decay, strict=True)]

    def extra_repr(self) -> str:
        """First and last rate, and the steps between them."""
        return f"lr_start={self.lr_start}, lr_end={self.lr_end}, n_steps={self.n_steps}"


class LRSchedulerOnMetric(_LRScheduler):
    """Learning rates that fall by one step for each value of a schedule that a metric reaches.

    After k values the rate is ``max(lr_start - k * lr_decay, min_lr)``. A metric that is NaN changes nothing.

    Parameters
    ----------
    metric : str
        Name of the metric, for instance ``"val_loss"``.
    metric_schedule : iterable of float
        Values to reach, n of them, in the order in which they are.
    minimize_metric : bool, optional
        Whether the metric falls; by default as the schedule does. A schedule of one value is taken to be rising.
    lr_decay : float or sequence of float, optional
        What is subtracted at each step, by default ``(lr_start - min_lr) / (n + 1)``; like the others one for all
        parameter groups of the optimiser or one for each.
    min_lr : float or sequence of float, optional
        Smallest rate, 1e-12 by default.
    lr_start : float or sequence of float, optional
        First rate; by default the one that the optimiser has.
    retain_progress : bool
        Whether steps are kept when the metric gets worse again.
    optimizer, log_lr_to_history, **kwargs
        See :class:`LinearLRScheduler`. The state is the number of steps.

    Raises
    ------
    ValueError
        The schedule is empty, not monotone, or goes against `minimize_metric`; when training starts, as for
        :class:`LinearLRScheduler`.
    KeyError
        While training: there is no such metric.
    """

    def __init__(
        self,
        metric: str,
        metric_schedule: Iterable[float],
        *,
        minimize_metric: bool | None = None,
        lr_decay: Rates = None,
        min_lr: Rates = None,
        lr_start: Rates = None,
        retain_progress: bool = True,
        optimizer: torch.optim.Optimizer | None = None,
        log_lr_to_history: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(optimizer, log_lr_to_history, lr_start, **kwargs)
        self.metric = metric
        self.metric_schedule = [float(value) for value in metric_schedule]
        falls = self._check_schedule(minimize_metric)
        self.minimize_metric = falls if minimize_metric is None else minimize_metric
        self.lr_decay: list[Any] = _as_list(lr_decay)
        self.min_lr: list[Any] = _as_list(min_lr)
        self.retain_progress = retain_progress
        self.step = 0

    def _check_schedule(self, minimize: bool | None) -> bool:
        """Whether the schedule falls."""
        values = self.metric_schedule
        rises, falls = values == sorted(values), values == sorted(values, reverse=True)
        if not values or not (rises or falls):
            raise ValueError(f"metric_schedule: expected values in ascending or descending order, got {values}")
        if minimize is not None and not (falls if minimize else rises):
            order = "descending" if minimize else "ascending"
            raise ValueError(f"metric_schedule: expected {order} values for minimize_metric={minimize}, got {values}")
        return falls and not rises

    def _resolve_rates(self) -> None:
        self.min_lr = _per_group("min_lr", self.min_lr, [self.DEFAULT_MIN_LR] * len(self.lr_start))
        parts = len(self.metric_schedule) + 1
        decays = [(first - last) / parts for first, last in zip(self.lr_start, self.min_lr, strict=True)]
        self.lr_decay = _per_group("lr_decay", self.lr_decay, decays)

    def _rates(self, trainer: Any) -> list[float]:
        groups = zip(self.lr_start, self.lr_decay, self.min_lr, strict=True)
        return [max(first - self.step * decay, last) for first, decay, last in groups]

    def update_step(self, last_metric: float) -> int:
        """Count the values of the schedule that a metric has reached, and return the number."""
        if math.isnan(last_metric):
            return self.step
        reached = [last_metric <= s if self.minimize_metric else last_metric >= s for s in self.metric_schedule]
        self.step = max(self.step, sum(reached)) if self.retain_progress else sum(reached)
        return self.step

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Look at the metric, and set the rates of the next iteration."""
        self.update_step(required_metric(trainer.current_training_state.itr_metrics, self.metric))
        self._set_rates(trainer)

    def get_state(self) -> dict[str, Any]:
        """The number of steps."""
        return {"step": self.step}

    def extra_repr(self) -> str:
        """The metric and its direction."""
        return f"metric={self.metric}, minimize={self.minimize_metric}"
