"""How a loss becomes weight updates."""

from neurotorch.learning_algorithms.bptt import BPTT
from neurotorch.learning_algorithms.learning_algorithm import LearningAlgorithm
from neurotorch.learning_algorithms.rls import RLS
from neurotorch.learning_algorithms.tbptt import TBPTT

__all__ = ["BPTT", "RLS", "TBPTT", "LearningAlgorithm"]
