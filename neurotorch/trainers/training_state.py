"""Where a trainer is."""

from __future__ import annotations

from typing import Any, NamedTuple


class CurrentTrainingState(NamedTuple):
    """Where a trainer is. Immutable: :meth:`update` makes a changed copy.

    Attributes
    ----------
    n_iterations, iteration, n_epochs, epoch : int or None
        Planned numbers and current indices, from 0.
    epoch_loss, batch_loss, train_loss, val_loss : float or None
        Mean loss of the current epoch, loss of the batch, and losses of the iteration.
    batch : int or None
        Index of the batch in its loader; `batch_is_train` says of which.
    x_batch, hh_batch, y_batch, pred_batch
        Inputs, hidden states, targets and predictions.
    train_metrics, val_metrics
        Results of the metrics.
    itr_metrics : dict of str to float
        All metrics of the iteration, with their prefixes.
    stop_training_flag : bool
        A callback sets this to end training after the iteration.
    info, objects : dict
        For callbacks; ``objects`` holds ``train_dataloader`` and ``val_dataloader``.
    """

    n_iterations: int | None = None
    iteration: int | None = None
    n_epochs: int = 1
    epoch: int | None = None
    epoch_loss: float | None = None
    batch: int | None = None
    x_batch: Any = None
    hh_batch: Any = None
    y_batch: Any = None
    pred_batch: Any = None
    batch_loss: Any = None
    batch_is_train: bool | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    train_metrics: Any = None
    val_metrics: Any = None
    itr_metrics: dict[str, Any] = {}  # noqa: RUF012 (replaced, never changed)
    stop_training_flag: bool = False
    info: dict[str, Any] = {}  # noqa: RUF012
    objects: dict[str, Any] = {}  # noqa: RUF012

    @staticmethod
    def get_null_state() -> CurrentTrainingState:
        """The state before training."""
        return CurrentTrainingState(itr_metrics={}, info={}, objects={})

    def update(self, **kwargs: Any) -> CurrentTrainingState:
        """A copy with other values. AssertionError for an unknown name."""
        unknown = sorted(set(kwargs) - set(self._fields))
        assert not unknown, f"unknown fields {unknown}; expected some of {list(self._fields)}"
        return self._replace(**kwargs)

    def __reduce__(self) -> Any:
        # Objects and info may hold what cannot be pickled.
        return CurrentTrainingState, tuple(self._replace(info={}, objects={}))


TrainingState = CurrentTrainingState
