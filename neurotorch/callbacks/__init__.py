"""What a trainer calls while it trains."""

from neurotorch.callbacks import checkpoints_manager as checkpoints_manager
from neurotorch.callbacks.base_callback import BaseCallback, CallbacksList
from neurotorch.callbacks.checkpoint_manager import CheckpointManager, LoadCheckpointMode
from neurotorch.callbacks.convergence import ConvergenceTimeGetter
from neurotorch.callbacks.early_stopping import (
    EarlyStopping,
    EarlyStoppingOnNaN,
    EarlyStoppingOnStagnation,
    EarlyStoppingOnTimeLimit,
    EarlyStoppingThreshold,
)
from neurotorch.callbacks.events import EventOnMetricThreshold
from neurotorch.callbacks.foresight import ForesightTimeStepUpdaterOnTarget
from neurotorch.callbacks.history import TrainingHistory
from neurotorch.callbacks.lr_schedulers import LinearLRScheduler, LRSchedulerOnMetric
from neurotorch.callbacks.teacher_forcing import TeacherForcing
from neurotorch.callbacks.tensorboard import TensorBoardLogger
from neurotorch.callbacks.training_visualization import TrainingHistoryVisualizationCallback

__all__ = [
    "BaseCallback",
    "CallbacksList",
    "CheckpointManager",
    "ConvergenceTimeGetter",
    "EarlyStopping",
    "EarlyStoppingOnNaN",
    "EarlyStoppingOnStagnation",
    "EarlyStoppingOnTimeLimit",
    "EarlyStoppingThreshold",
    "EventOnMetricThreshold",
    "ForesightTimeStepUpdaterOnTarget",
    "LRSchedulerOnMetric",
    "LinearLRScheduler",
    "LoadCheckpointMode",
    "TeacherForcing",
    "TensorBoardLogger",
    "TrainingHistory",
    "TrainingHistoryVisualizationCallback",
]
