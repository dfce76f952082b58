"""The part of a trainer that says where it is and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurotorch.callbacks import CallbacksList, CheckpointManager, LoadCheckpointMode, TrainingHistory
from neurotorch.learning_algorithms import LearningAlgorithm
from neurotorch.trainers.training_state import CurrentTrainingState


class TrainerState:
    """State and callbacks of a trainer."""

    callbacks: CallbacksList
    current_training_state: CurrentTrainingState
    _load_checkpoint_mode: LoadCheckpointMode | None = None
    _force_overwrite = False

    @property
    def state(self) -> CurrentTrainingState:
        """Where the trainer is."""
        return self.current_training_state

    @property
    def load_checkpoint_mode(self) -> LoadCheckpointMode | None:
        """Which checkpoint to start from; None for the last one."""
        return self._load_checkpoint_mode

    @load_checkpoint_mode.setter
    def load_checkpoint_mode(self, mode: LoadCheckpointMode | None) -> None:
        self._load_checkpoint_mode = mode

    @property
    def force_overwrite(self) -> bool:
        """Whether checkpoint managers start over instead of loading."""
        return self._force_overwrite

    @property
    def training_histories(self) -> CallbacksList:
        """The histories among the callbacks."""
        return self.callbacks.of_type(TrainingHistory)

    @property
    def training_history(self) -> TrainingHistory:
        """The first history."""
        history = self.training_histories[0]
        assert isinstance(history, TrainingHistory)
        return history

    @property
    def checkpoint_managers(self) -> CallbacksList:
        """The checkpoint managers among the callbacks."""
        return self.callbacks.of_type(CheckpointManager)

    @property
    def learning_algorithms(self) -> CallbacksList:
        """The learning algorithms among the callbacks."""
        return self.callbacks.of_type(LearningAlgorithm)

    def update_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Change fields of :attr:`state`."""
        self.current_training_state = self.current_training_state.update(**kwargs)
        return self.current_training_state

    def _merge(self, field: str, values: Mapping[str, Any]) -> CurrentTrainingState:
        return self.update_state_(**{field: {**getattr(self.current_training_state, field), **values}})

    def update_objects_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.objects``."""
        return self._merge("objects", kwargs)

    def update_info_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.info``."""
        return self._merge("info", kwargs)

    def update_itr_metrics_state_(self, **kwargs: Any) -> CurrentTrainingState:
        """Add entries to ``state.itr_metrics``."""
        return self._merge("itr_metrics", kwargs)

    def _iteration(self) -> int:
        return int(self.state.iteration or 0)

    def _goes_on(self) -> bool:
        # Read again each time: callbacks may change it.
        n_iterations = self.state.n_iterations
        return n_iterations is None or self._iteration() < n_iterations

    def load_state(self) -> None:
        """Restore callbacks, metrics and random generators from what the first checkpoint manager loaded."""
        managers = self.checkpoint_managers
        manager = managers[0] if len(managers) else None
        if isinstance(manager, CheckpointManager) and manager.curr_checkpoint is not None:
            self.callbacks.load_checkpoint_state(self, manager.curr_checkpoint)
            metrics = dict(manager.curr_checkpoint.get(CheckpointManager.CHECKPOINT_METRICS_KEY) or {})
            losses = {name: metrics.get(name) for name in ("train_loss", "val_loss")}
            self.update_state_(itr_metrics=metrics, **losses)
            manager.restore_random_state()

    def _was_over(self) -> bool:
        """Whether a checkpoint was loaded, and a callback had ended training with it."""
        loaded = any(getattr(manager, "curr_checkpoint", None) is not None for manager in self.checkpoint_managers)
        return loaded and any(callback.is_over(self) for callback in self.callbacks)
