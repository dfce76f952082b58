"""Windows of a run, and the targets of a batch along its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor


def is_over_time(y: Tensor, pred: Tensor, steps: int) -> bool:
    """Whether the second axis of a target is time.

    So it is in ``[B, T, ...]``, and in ``[B, T]`` where T is the number of steps and not that of features: one class
    per step. Any other target is that of every step.
    """
    return y.dim() > 2 or (y.dim() == 2 and y.shape[1] == steps != pred.shape[-1])


def _of_every_step(y: Tensor, pred: Tensor) -> Tensor:
    return y if pred.dim() < 3 else y.unsqueeze(1).expand(y.shape[0], pred.shape[1], *y.shape[1:])


def _repeated(y: Tensor, pred: Tensor) -> Tensor:
    return y if pred.dim() < 3 or is_over_time(y, pred, pred.shape[1]) else _of_every_step(y, pred)


def repeated(y: Any, pred: Any) -> Any:
    """Targets, or a dict of them, those without time repeated for every step of the predictions."""
    if isinstance(y, Mapping):
        return {name: _repeated(t, _of(pred, name)) for name, t in y.items()}
    return _repeated(y, _of(pred))


def time_steps(batch: Any) -> int:
    """Most steps of a tensor ``[B, T, ...]`` or of a dict of them; 0 for tensors of at most 2 dimensions."""
    tensors = batch.values() if isinstance(batch, Mapping) else [batch]
    return max((int(t.shape[1]) for t in tensors if isinstance(t, Tensor) and t.dim() > 2), default=0)


def whole_steps(argument: str, steps: int | None) -> int | None:
    """A number of steps, None for none; ValueError where it is not a positive whole number."""
    if steps is not None and (steps < 1 or steps != int(steps)):
        raise ValueError(f"{argument}: expected a whole number of 1 or more, got {steps}")
    return None if steps is None else int(steps)


class WindowSteps(NamedTuple):
    """Steps of a window and of an optimiser period as they were given, None for a fraction of the sequence."""

    backward: int | None
    optim: int | None
    backward_ratio: float
    optim_ratio: float

    def for_sequence(self, steps: int) -> tuple[int, int]:
        """Both for a sequence; what is not given keeps windows within optimiser periods."""
        backward = max(1, int(self.backward_ratio * steps)) if self.backward is None else self.backward
        if self.optim is None:
            return backward, max(backward, int(self.optim_ratio * steps))
        return min(backward, self.optim), self.optim


def windows(n_steps: int, backward: int, optim: int) -> Iterator[tuple[int, bool]]:
    """End of every window of a run, and whether the optimiser steps there; no window reaches over such a step."""
    start = 0
    while start < n_steps:
        due = min(n_steps, (start // optim + 1) * optim)
        start = min(start + backward, due)
        yield start, start == due


class Targets:
    """Targets of the last steps of a run.

    Parameters
    ----------
    y : Tensor or dict of Tensor
        For the last T steps, or for every step; see :func:`is_over_time`.
    total, kept : int
        Steps of the run, and of the predictions that it returns.

    Attributes
    ----------
    first : int
        First step of the run that has a target.

    Raises
    ------
    ValueError
        The targets have more steps than the run, or different numbers.
    """

    def __init__(self, y: Any, total: int, kept: int) -> None:
        self.y = y
        self.total = total
        self._kept = kept
        tensors = y.values() if isinstance(y, Mapping) else [y]
        lengths = sorted({int(t.shape[1]) if t.dim() > 2 else kept for t in tensors})
        if len(lengths) > 1:
            raise ValueError(f"y: expected targets of one length, got {', '.join(map(str, lengths))} time steps")
        steps = lengths[0] if lengths else kept
        if steps > total:
            raise ValueError(f"y: expected at most {total} time steps, as many as the model runs, got {steps}")
        self.first = total - steps

    def window(self, start: int, stop: int, pred: Any) -> Any:
        """Those of the steps from `start` to before `stop` of the run, for predictions `pred` of these steps."""
        if isinstance(self.y, Mapping):
            return {name: self._sliced(t, _of(pred, name), start, stop) for name, t in self.y.items()}
        return self._sliced(self.y, _of(pred), start, stop)

    def _sliced(self, y: Tensor, pred: Tensor, start: int, stop: int) -> Tensor:
        if not is_over_time(y, pred, self._kept):
            return _of_every_step(y, pred)
        offset = self.total - y.shape[1]
        return y[:, start - offset : stop - offset]


def _of(pred: Any, name: str | None = None) -> Tensor:
    """The prediction of a name, or any one where there is none: they have the same number of dimensions."""
    if isinstance(pred, Mapping):
        found: Tensor = pred[name] if name in pred else next(iter(pred.values()))
        return found
    tensor: Tensor = pred
    return tensor
