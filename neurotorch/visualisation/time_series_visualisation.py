"""The names of NeuroTorch's module of this name."""

from neurotorch.dimension import DimensionProperty, DimensionsLike, Size
from neurotorch.metrics.losses import PVarianceLoss
from neurotorch.utils.conversion import to_numpy, to_tensor
from neurotorch.visualisation.clusters import VisualiseDBSCAN, VisualiseKMeans
from neurotorch.visualisation.reductions import VisualisePCA, VisualiseUMAP
from neurotorch.visualisation.series import Visualise

__all__ = [
    "DimensionProperty",
    "DimensionsLike",
    "PVarianceLoss",
    "Size",
    "Visualise",
    "VisualiseDBSCAN",
    "VisualiseKMeans",
    "VisualisePCA",
    "VisualiseUMAP",
    "to_numpy",
    "to_tensor",
]
