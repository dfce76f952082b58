"""Fused whole-sequence kernels for spiking and rate neuron models, under the NeuroTorch API.

Importing this package needs torch and numpy only; names that need more are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurotorch import init, utils
from neurotorch.dimension import Dimension, DimensionLike, DimensionProperty, DimensionsLike, Size, SizeTypes
from neurotorch.modules.layers import (
    ALIFLayer,
    ALIFLayerLPF,
    BellecLIFLayer,
    FiringRateLayer,
    IzhikevichLayer,
    LayerType,
    LIFLayer,
    LIFLayerLPF,
    LILayer,
    Linear,
    LinearJtoI,
    LinearRNN,
    SpyALIFLayer,
    SpyALIFLayerLPF,
    SpyLIFLayer,
    SpyLIFLayerLPF,
    SpyLILayer,
    WilsonCowanCURBDLayer,
    WilsonCowanLayer,
)
from neurotorch.utils import set_seed, to_numpy, to_tensor

if TYPE_CHECKING:
    from neurotorch import functional as functional
    from neurotorch import metrics as metrics
    from neurotorch import regularization as regularization
    from neurotorch.callbacks import CheckpointManager as CheckpointManager
    from neurotorch.callbacks import LoadCheckpointMode as LoadCheckpointMode
    from neurotorch.callbacks import TrainingHistory as TrainingHistory
    from neurotorch.learning_algorithms import BPTT as BPTT
    from neurotorch.learning_algorithms import RLS as RLS
    from neurotorch.learning_algorithms import TBPTT as TBPTT
    from neurotorch.learning_algorithms import Eprop as Eprop
    from neurotorch.metrics import ClassificationMetrics as ClassificationMetrics
    from neurotorch.metrics import RegressionMetrics as RegressionMetrics
    from neurotorch.metrics import losses as losses
    from neurotorch.modules.sequential import Sequential as Sequential
    from neurotorch.modules.sequential_rnn import SequentialRNN as SequentialRNN
    from neurotorch.regularization import L1 as L1
    from neurotorch.regularization import L2 as L2
    from neurotorch.regularization import DaleLaw as DaleLaw
    from neurotorch.regularization import DaleLawL2 as DaleLawL2
    from neurotorch.regularization import RegularizationList as RegularizationList
    from neurotorch.trainers import ClassificationTrainer as ClassificationTrainer
    from neurotorch.trainers import RegressionTrainer as RegressionTrainer
    from neurotorch.trainers import Trainer as Trainer
    from neurotorch.trainers import TrainingState as TrainingState
    from neurotorch.transforms import IdentityTransform as IdentityTransform
    from neurotorch.transforms import ToDevice as ToDevice
    from neurotorch.transforms import ToTensor as ToTensor
    from neurotorch.visualisation import Visualise as Visualise
    from neurotorch.visualisation import VisualiseKMeans as VisualiseKMeans
    from neurotorch.visualisation import VisualisePCA as VisualisePCA
    from neurotorch.visualisation import VisualiseUMAP as VisualiseUMAP

__all__ = [
    "BPTT",
    "L1",
    "L2",
    "RLS",
    "TBPTT",
    "ALIFLayer",
    "ALIFLayerLPF",
    "BellecLIFLayer",
    "CheckpointManager",
    "ClassificationMetrics",
    "ClassificationTrainer",
    "DaleLaw",
    "DaleLawL2",
    "Dimension",
    "DimensionLike",
    "DimensionProperty",
    "DimensionsLike",
    "Eprop",
    "FiringRateLayer",
    "IdentityTransform",
    "IzhikevichLayer",
    "LIFLayer",
    "LIFLayerLPF",
    "LILayer",
    "LayerType",
    "Linear",
    "LinearJtoI",
    "LinearRNN",
    "LoadCheckpointMode",
    "RegressionMetrics",
    "RegressionTrainer",
    "RegularizationList",
    "Sequential",
    "SequentialRNN",
    "Size",
    "SizeTypes",
    "SpyALIFLayer",
    "SpyALIFLayerLPF",
    "SpyLIFLayer",
    "SpyLIFLayerLPF",
    "SpyLILayer",
    "ToDevice",
    "ToTensor",
    "Trainer",
    "TrainingHistory",
    "TrainingState",
    "Visualise",
    "VisualiseKMeans",
    "VisualisePCA",
    "VisualiseUMAP",
    "WilsonCowanCURBDLayer",
    "WilsonCowanLayer",
    "init",
    "losses",
    "set_seed",
    "to_numpy",
    "to_tensor",
    "utils",
]

# Where each name lives that is imported when first used; "" stands for the module of that name itself.
_LAZY = {
    "BPTT": "learning_algorithms",
    "RLS": "learning_algorithms",
    "TBPTT": "learning_algorithms",
    "CheckpointManager": "callbacks",
    "ClassificationMetrics": "metrics",
    "ClassificationTrainer": "trainers",
    "DaleLaw": "regularization",
    "DaleLawL2": "regularization",
    "Eprop": "learning_algorithms",
    "IdentityTransform": "transforms",
    "L1": "regularization",
    "L2": "regularization",
    "LoadCheckpointMode": "callbacks",
    "RegressionMetrics": "metrics",
    "RegressionTrainer": "trainers",
    "RegularizationList": "regularization",
    "Sequential": "modules.sequential",
    "SequentialRNN": "modules.sequential_rnn",
    "ToDevice": "transforms",
    "ToTensor": "transforms",
    "Trainer": "trainers",
    "TrainingHistory": "callbacks",
    "TrainingState": "trainers",
    "Visualise": "visualisation",
    "VisualiseKMeans": "visualisation",
    "VisualisePCA": "visualisation",
    "VisualiseUMAP": "visualisation",
    "callbacks": "",
    "functional": "",
    "learning_algorithms": "",
    "losses": "metrics",
    "metrics": "",
    "modules": "",
    "regularization": "",
    "trainers": "",
    "transforms": "",
    "visualisation": "",
    "__version__": "_version",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_LAZY[name] or name}")
    return getattr(module, name) if _LAZY[name] else module


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
