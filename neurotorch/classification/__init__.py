"""Trains networks to classify images and events: the job of ``neurotorch classify``."""

from neurotorch.classification.classify import ClassificationInterrupted, classify
from neurotorch.classification.network import build_classifier
from neurotorch.classification.settings import MODELS, ClassifySettings
from neurotorch.classification.tasks import TASKS, Task

__all__ = [
    "MODELS",
    "TASKS",
    "ClassificationInterrupted",
    "ClassifySettings",
    "Task",
    "build_classifier",
    "classify",
]
