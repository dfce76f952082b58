"""NeuroTorch's name of :mod:`neurotorch.callbacks.checkpoint_manager`."""

from neurotorch.callbacks.checkpoint_manager import CheckpointManager, LoadCheckpointMode

__all__ = ["CheckpointManager", "LoadCheckpointMode"]
