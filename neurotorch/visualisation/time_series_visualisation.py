"""The names of NeuroTorch's module of this name."""

from neurotorch.dimension import DimensionsLike as DimensionsLike
from neurotorch.visualisation.clusters import VisualiseDBSCAN, VisualiseKMeans
from neurotorch.visualisation.reductions import VisualisePCA, VisualiseUMAP
from neurotorch.visualisation.series import Visualise

__all__ = ["Visualise", "VisualiseDBSCAN", "VisualiseKMeans", "VisualisePCA", "VisualiseUMAP"]
