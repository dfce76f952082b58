"""Figures of activity, predictions and weights, with the names of NeuroTorch.

Needs ``pip install "neurotorch[vis]"`` (matplotlib, scikit-learn, networkx); each package is imported when it is used.
:class:`VisualiseUMAP` needs ``"neurotorch[umap]"`` besides.
"""

from neurotorch.visualisation import time_series_visualisation as time_series_visualisation
from neurotorch.visualisation.clusters import VisualiseDBSCAN, VisualiseKMeans
from neurotorch.visualisation.connectome import visualize_init_final_weights
from neurotorch.visualisation.reductions import VisualisePCA, VisualiseUMAP
from neurotorch.visualisation.report import UMAP_PCA_report, mix_report
from neurotorch.visualisation.series import Visualise

__all__ = [
    "UMAP_PCA_report",
    "Visualise",
    "VisualiseDBSCAN",
    "VisualiseKMeans",
    "VisualisePCA",
    "VisualiseUMAP",
    "mix_report",
    "visualize_init_final_weights",
]
