"""Metrics for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurotorch.callbacks.base_callback import BaseCallback
from neurotorch.utils.extras import require


class TensorBoardLogger(BaseCallback):
    """Writes the metrics of every iteration into event files, which ``tensorboard --logdir FOLDER`` shows.

    Tags are the names of the metrics (``train_loss``, ``val_loss``, ``lr_0``, ...), steps are iterations. A resumed run
    goes on in the same folder; what was logged after its checkpoint is dropped there. Of several processes the first
    one writes.

    Parameters
    ----------
    log_folder : str or Path
        Made when training starts.
    metrics : sequence of str, optional
        Which metrics; by default all that are numbers.
    histogram_freq : int
        Also write histograms of the model's parameters every so many iterations; 0 for never.
    **kwargs
        See :class:`BaseCallback`; the priority is 100. There is no state.

    Raises
    ------
    ValueError
        `histogram_freq` is negative.
    ImportError
        When training starts: tensorboard is not installed.
    """

    def __init__(
        self,
        log_folder: str | Path = "./runs",
        *,
        metrics: Sequence[str] | None = None,
        histogram_freq: int = 0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("priority", self.DEFAULT_LOW_PRIORITY)
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        if histogram_freq < 0:
            raise ValueError(f"histogram_freq: expected 0 or more, got {histogram_freq}")
        self.log_folder = str(log_folder)
        self.metrics = None if metrics is None else list(metrics)
        self.histogram_freq = histogram_freq
        self._writer: Any = None

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Look for tensorboard."""
        super().start(trainer)
        require("tensorboard", "tensorboard", "writes event files", "tensorboard")

    def on_iteration_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Open the event file in the first iteration, whose number a checkpoint has decided."""
        if self._writer is None and trainer.processes.rank == 0:
            from torch.utils.tensorboard import SummaryWriter

            step = int(trainer.state.iteration)
            self._writer = SummaryWriter(self.log_folder, purge_step=step or None)

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Write the metrics."""
        if self._writer is None:
            return
        state = trainer.current_training_state
        for name, value in state.itr_metrics.items():
            is_wanted = self.metrics is None or name in self.metrics
            if is_wanted and isinstance(value, (int, float)) and not math.isnan(value):
                self._writer.add_scalar(name, value, state.iteration)
        if self.histogram_freq > 0 and state.iteration % self.histogram_freq == 0:
            for name, parameter in trainer.model.named_parameters():
                self._writer.add_histogram(name, parameter.detach(), state.iteration)
        self._writer.flush()

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def extra_repr(self) -> str:
        """The folder."""
        return f"log_folder={self.log_folder}"
