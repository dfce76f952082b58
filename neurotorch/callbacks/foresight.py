"""Forecasts as long as the targets of a validation batch."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from neurotorch.callbacks.base_callback import BaseCallback


class ForesightTimeStepUpdaterOnTarget(BaseCallback):
    """Makes a model forecast as many steps in validation as the targets have, and spaces out validation.

    In validation batches ``foresight_time_steps`` and ``out_memory_size`` of the model are the length of the target
    times `time_steps_multiplier`; they are as before at the end of the batch.

    Parameters
    ----------
    time_steps_multiplier : float
    update_val_loss_freq : int
        Validate in every so manieth iteration.
    start_intensive_val_at : float or int
        Iteration, or fraction of all iterations, from which on every iteration validates.
    hh_memory_size_strategy : {"out_memory_size", "foresight_time_steps"} or int
        What ``hh_memory_size`` is in validation batches: as ``out_memory_size``, the length of the target, or a number.
    target_skip_first : bool
        Has no effect, as in NeuroTorch.
    **kwargs
        See :class:`BaseCallback`; the priority is 0. There is no state.

    Raises
    ------
    ValueError
        An argument is out of range; while training: a fraction with no end of iterations, or targets of a dict have
        different lengths.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_HIGH_PRIORITY
    _SIZES = ("hh_memory_size", "out_memory_size", "foresight_time_steps")

    def __init__(
        self,
        *,
        time_steps_multiplier: float = 1,
        update_val_loss_freq: int = 1,
        start_intensive_val_at: float = 0.0,
        hh_memory_size_strategy: str | int = "out_memory_size",
        target_skip_first: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs["save_state"] = False
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        if update_val_loss_freq < 1:
            raise ValueError(f"update_val_loss_freq: expected 1 or more, got {update_val_loss_freq}")
        known = ("out_memory_size", "foresight_time_steps")
        if hh_memory_size_strategy not in known and not isinstance(hh_memory_size_strategy, numbers.Number):
            raise ValueError(
                f"hh_memory_size_strategy: expected {', '.join(known)} or a number, got {hh_memory_size_strategy!r}"
            )
        self.time_steps_multiplier = time_steps_multiplier
        self.update_val_loss_freq = update_val_loss_freq
        self.start_intensive_val_at = start_intensive_val_at
        self.hh_memory_size_strategy = hh_memory_size_strategy
        self.val_dataloader: Any = None
        self._before: dict[str, Any] | None = None

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Remember the validation data."""
        super().start(trainer)
        self.val_dataloader = trainer.current_training_state.objects.get("val_dataloader")

    def on_iteration_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Have the iteration validate, or not."""
        state = trainer.current_training_state
        first = self.start_intensive_val_at
        if isinstance(first, float):
            if first > 0 and state.n_iterations is None:
                raise ValueError(f"start_intensive_val_at: {first} is a fraction, and there is no end of iterations")
            first = int(min(max(first, 0.0), 1.0) * (state.n_iterations or 0))
        due = state.iteration >= first or (state.iteration + 1) % self.update_val_loss_freq == 0
        trainer.update_objects_state_(val_dataloader=self.val_dataloader if due else None)

    def _length(self, y: Any) -> int:
        lengths = {int(part.shape[-2]) for part in (y.values() if isinstance(y, Mapping) else (y,))}
        if len(lengths) != 1:
            raise ValueError(f"y_batch: expected targets of one length, got {sorted(lengths)}")
        return lengths.pop()

    def get_hh_memory_size_from_y_batch(self, y_batch: Any) -> int:
        """How many hidden states the model keeps for targets ``[..., T, N]``, or a dict of them."""
        if isinstance(self.hh_memory_size_strategy, numbers.Number):
            return int(self.hh_memory_size_strategy)
        n_steps = self._length(y_batch)
        whole = self.hh_memory_size_strategy == "out_memory_size"
        return int(n_steps * self.time_steps_multiplier) if whole else n_steps

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Set the sizes of a validation batch."""
        state, model = trainer.current_training_state, trainer.model
        if state.batch_is_train:
            return
        self._before = {name: getattr(model, name) for name in self._SIZES}
        n_steps = self._length(state.y_batch)
        model.foresight_time_steps = model.out_memory_size = int(n_steps * self.time_steps_multiplier)
        model.hh_memory_size = self.get_hh_memory_size_from_y_batch(state.y_batch)

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Set them back."""
        for name, value in (self._before or {}).items():
            setattr(trainer.model, name, value)
        self._before = None

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Set them back also after an error."""
        self.on_batch_end(trainer)
