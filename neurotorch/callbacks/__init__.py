"""What a trainer calls while it trains."""

from neurotorch.callbacks.base_callback import BaseCallback, CallbacksList
from neurotorch.callbacks.checkpoint_manager import CheckpointManager, LoadCheckpointMode
from neurotorch.callbacks.history import TrainingHistory
from neurotorch.callbacks.teacher_forcing import TeacherForcing

__all__ = [
    "BaseCallback",
    "CallbacksList",
    "CheckpointManager",
    "LoadCheckpointMode",
    "TeacherForcing",
    "TrainingHistory",
]
