"""How a loss becomes weight updates."""

from neurotorch.learning_algorithms.bptt import BPTT
from neurotorch.learning_algorithms.eprop import Eprop
from neurotorch.learning_algorithms.learning_algorithm import LearningAlgorithm

__all__ = ["BPTT", "Eprop", "LearningAlgorithm"]
