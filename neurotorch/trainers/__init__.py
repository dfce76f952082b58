"""Training loops."""

from neurotorch.trainers.classification import ClassificationTrainer
from neurotorch.trainers.regression import RegressionTrainer
from neurotorch.trainers.trainer import Trainer
from neurotorch.trainers.training_state import CurrentTrainingState, TrainingState

__all__ = ["ClassificationTrainer", "CurrentTrainingState", "RegressionTrainer", "Trainer", "TrainingState"]
