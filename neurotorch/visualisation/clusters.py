"""Units in the order of their clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.dimension import DimensionsLike
from neurotorch.utils.extras import require
from neurotorch.visualisation.series import Visualise

Array = npt.NDArray[Any]


def kmeans_labels(points: Array, n_clusters: int, random_state: int | None) -> Array:
    """Cluster of every row of `points`, by scikit-learn.

    Raises
    ------
    ValueError
        There are fewer rows than clusters.
    """
    if not 1 <= n_clusters <= len(points):
        raise ValueError(f"n_clusters: expected 1 to {len(points)}, the number of points, got {n_clusters}")
    cluster = require("sklearn.cluster", "scikit-learn", "finds clusters", "vis")
    return np.asarray(cluster.KMeans(n_clusters=n_clusters, random_state=random_state).fit(points).labels_)


class _Clustered(Visualise):
    """Units sorted by a label; those of one label keep their order.

    Comparisons with a target stay in the given order of units.
    """

    labels: Array
    cluster_labels: Array
    order: Array

    def _sort(self, labels: Array) -> None:
        self.labels, self.cluster_labels = labels, np.unique(labels)
        last = labels.max() + 1
        self.order = np.argsort(np.where(labels < 0, last, labels), kind="stable")
        self.timeseries = self.permute_timeseries(self._unsorted)

    def permute_timeseries(self, timeseries: Any) -> Array:
        """Another series ``[..., N]`` of the same units in the same order, such as a prediction beside its data.

        Raises
        ------
        ValueError
            The number of units is another.
        """
        values = np.asarray(timeseries)
        if values.shape[-1:] != self.order.shape:
            raise ValueError(f"timeseries: expected {len(self.order)} units, got shape {list(values.shape)}")
        return values[..., self.order]

    @property
    def unit_label(self) -> str:
        """Label of axes of units."""
        return f"{super().unit_label}, sorted by cluster"

    def _mark_groups(self, panel: Any) -> None:
        for edge in np.flatnonzero(np.diff(self.labels[self.order])):
            panel.axhline(edge + 0.5, color="black", linewidth=0.8)


class VisualiseKMeans(_Clustered):
    """Figures of a series whose units are sorted by k-means clusters of their activity (needs scikit-learn).

    Parameters
    ----------
    timeseries, shape, apply_zscore, dt
        See :class:`Visualise`.
    n_clusters : int
    random_state : int

    Attributes
    ----------
    labels : array [N]
        Cluster of each unit, in the given order.
    cluster_labels : array
        The clusters that occur.
    order : array [N]
        Units in the order in which they are drawn.

    Raises
    ------
    ValueError
        There are fewer units than clusters.
    """

    def __init__(
        self,
        timeseries: Any,
        shape: DimensionsLike | None = None,
        apply_zscore: bool = False,
        n_clusters: int = 13,
        random_state: int = 0,
        *,
        dt: float | None = None,
    ) -> None:
        super().__init__(timeseries, shape, apply_zscore, dt=dt)
        self.n_clusters = n_clusters
        self.random_state = random_state
        self._sort(kmeans_labels(self._unsorted.T, n_clusters, random_state))


class VisualiseDBSCAN(_Clustered):
    """Figures of a series whose units are sorted by DBSCAN clusters of their activity (needs scikit-learn).

    Units that belong to no cluster come last.

    Parameters
    ----------
    timeseries, shape, apply_zscore, dt
        See :class:`Visualise`; here z-scores are the default.
    eps : float
        Distance, over all steps, within which units are neighbours. Two units of z-scores with correlation r are
        ``sqrt(2 T (1 - r))`` apart.
    min_samples : int
        Units that a dense neighbourhood has.

    Attributes
    ----------
    labels : array [N]
        Cluster of each unit, in the given order; -1 for none.
    cluster_labels, order
        See :class:`VisualiseKMeans`.
    """

    def __init__(
        self,
        timeseries: Any,
        shape: DimensionsLike | None = None,
        apply_zscore: bool = True,
        eps: float = 25,
        min_samples: int = 3,
        *,
        dt: float | None = None,
    ) -> None:
        super().__init__(timeseries, shape, apply_zscore, dt=dt)
        self.eps = eps
        self.min_samples = min_samples
        cluster = require("sklearn.cluster", "scikit-learn", "finds clusters", "vis")
        self._sort(np.asarray(cluster.DBSCAN(eps=eps, min_samples=min_samples).fit(self._unsorted.T).labels_))
