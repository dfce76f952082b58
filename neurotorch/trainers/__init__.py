"""Training loops."""

from neurotorch.trainers.trainer import Trainer
from neurotorch.trainers.training_state import CurrentTrainingState, TrainingState

__all__ = ["CurrentTrainingState", "Trainer", "TrainingState"]
