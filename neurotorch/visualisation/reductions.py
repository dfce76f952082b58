"""Series in a plane or space of few dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurotorch.dimension import DimensionsLike
from neurotorch.utils.conversion import to_numpy
from neurotorch.utils.extras import require
from neurotorch.visualisation import _embedding
from neurotorch.visualisation._embedding import Embedding, check_axes
from neurotorch.visualisation.clusters import kmeans_labels
from neurotorch.visualisation.series import Visualise

Array = npt.NDArray[Any]


class _Reduced(Visualise):
    """A series with the same series in fewer dimensions."""

    _space, _axis = "", ""
    reduced_timeseries: Array

    def reduce_timeseries(self, timeseries: Any) -> Array:
        """A series ``[T, N]`` of the same units in the reduced space, ``[T, K]``."""
        raise NotImplementedError

    def _embedding(self, target: Any) -> Embedding:
        goal = None
        if target is not None:
            viz = target if isinstance(target, Visualise) else Visualise(target)
            if viz._unsorted.shape != self._unsorted.shape:
                raise ValueError(
                    f"target: expected the shape of the series, {list(self._unsorted.shape)}, "
                    f"got {list(viz._unsorted.shape)}"
                )
            goal = self.reduce_timeseries(viz._unsorted)
        return Embedding(self._space, self._axis, self.reduced_timeseries, goal, self.seconds(), self.time_label)

    def _trajectory(
        self,
        embedding: Embedding,
        name: str,
        chosen: Any,
        reduction: int,
        traces: str,
        prefix: str,
        *rest: Any,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        kinds = {"all": "all", f"{prefix}_space": "space", f"{prefix}_wrt_time": "wrt_time"}
        if traces not in kinds:
            raise ValueError(f"traces: expected {', '.join(kinds)}, got {traces!r}")
        first, second = check_axes(name, chosen, self.reduced_timeseries.shape[1], (2,))
        return _embedding.trajectory(embedding.every(reduction), (first, second), kinds[traces], *rest, **kwargs)


class VisualisePCA(_Reduced):
    """Figures of a series in the space of its principal components (needs scikit-learn); time steps are the points.

    Parameters
    ----------
    timeseries, shape, apply_zscore, dt
        See :class:`Visualise`.
    n_PC : int
        Number of components.
    pca_transform : sklearn.decomposition.PCA, optional
        A fitted one, such as that of the data for a prediction; by default one is fitted to the series.

    Attributes
    ----------
    reduced_timeseries : array [T, n_PC]
    params : dict
        ``var_ratio`` and ``var_ratio_cumsum``, shares of the variance.
    pca_transform : sklearn.decomposition.PCA
    kmean_label : array [T] or None
        Cluster of every step after :meth:`with_kmeans`.

    Raises
    ------
    ValueError
        `n_PC` is larger than the number of steps or units.
    """

    _space, _axis = "PCA", "PC"

    def __init__(
        self,
        timeseries: Any,
        shape: DimensionsLike | None = None,
        apply_zscore: bool = False,
        n_PC: int = 2,
        *,
        pca_transform: Any = None,
        dt: float | None = None,
    ) -> None:
        super().__init__(timeseries, shape, apply_zscore, dt=dt)
        if pca_transform is None:
            if not 1 <= n_PC <= min(self._unsorted.shape):
                raise ValueError(f"n_PC: expected 1 to {min(self._unsorted.shape)}, got {n_PC}")
            decomposition = require("sklearn.decomposition", "scikit-learn", "finds principal components", "vis")
            pca_transform = decomposition.PCA(n_components=n_PC).fit(self._unsorted)
        self.pca_transform = pca_transform
        self.reduced_timeseries = self.reduce_timeseries(self._unsorted)
        self.n_PC = self.reduced_timeseries.shape[1]
        ratio = np.asarray(pca_transform.explained_variance_ratio_)
        self.params: dict[str, Array] = {"var_ratio": ratio, "var_ratio_cumsum": ratio.cumsum()}
        self.kmean_label: Array | None = None

    def reduce_timeseries(self, timeseries: Any) -> Array:
        """A series ``[T, N]`` of the same units in the space of the components, ``[T, n_PC]``."""
        return np.asarray(self.pca_transform.transform(np.asarray(to_numpy(timeseries))))

    def with_kmeans(self, n_clusters: int = 13, random_state: int = 0) -> VisualisePCA:
        """Colour points by k-means clusters in the space of the components; returns the object itself."""
        self.kmean_label = kmeans_labels(self.reduced_timeseries, n_clusters, random_state)
        return self

    def scatter_pca(
        self,
        PCs: tuple[int, ...] = (1, 2),
        color_sample: bool = False,
        *,
        filename: str | Path | None = None,
        show: bool = True,
        fig: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """A point per time step in two or three components.

        Parameters
        ----------
        PCs : tuple of int
            Two or three components, counted from 1.
        color_sample : bool
            Colour by time.
        filename, show, fig, ax, **kwargs
            See :class:`Visualise`.

        Returns
        -------
        figure, axes

        Raises
        ------
        ValueError
            A component is not there, or points have two colours.
        """
        chosen = check_axes("PCs", PCs, self.n_PC, (2, 3))
        space = self._embedding(None)
        return _embedding.scatter(space, chosen, self.kmean_label, color_sample, filename, show, fig, ax, **kwargs)

    def trajectory_pca(
        self,
        target: Any = None,
        PCs: tuple[int, int] = (1, 2),
        with_smooth: bool = False,
        degree: int = 5,
        condition: float = 5,
        reduction: int = 1,
        traces: str = "all",
        fig: Any = None,
        axes: Any = None,
        filename: str | Path | None = None,
        show: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """The path of the series in the plane of two components, and the components over time.

        Parameters
        ----------
        target : Visualise or array [T, N], optional
            Drawn in the same plane; titles say how much of it is explained.
        PCs : (int, int)
        with_smooth : bool
            Draw smoothing splines of `degree`, from which points may be `condition` away (sum of squares), instead of
            lines through the points.
        degree, condition
        reduction : int
            Draw each k-th step.
        traces : {"all", "PCA_space", "PCA_wrt_time"}
            Three panels, the plane alone, or the first component over time alone.
        fig, axes, filename, show, **kwargs
            See :class:`Visualise`; also ``box_aspect``.

        Returns
        -------
        figure, axes

        Raises
        ------
        ValueError
            An argument is none of these, or the target has another shape.
        """
        space = self._embedding(target)
        if with_smooth:
            goal = None if space.target is None else _embedding.smoothed(space.target, degree, condition)
            space = space._replace(points=_embedding.smoothed(space.points, degree, condition), target=goal)
        return self._trajectory(space, "PCs", PCs, reduction, traces, "PCA", filename, show, fig, axes, **kwargs)


class VisualiseUMAP(_Reduced):
    """Figures of a series in a UMAP embedding of its time steps (needs umap-learn).

    Parameters
    ----------
    timeseries, shape, apply_zscore, dt
        See :class:`Visualise`.
    n_neighbors, min_dist, n_components
        Of ``umap.UMAP``.
    umap_transform : object, optional
        A fitted embedding, such as that of the data for a prediction; anything with ``transform([T, N]) -> [T, K]``.
        By default one is fitted to the series.
    random_state : int, optional

    Attributes
    ----------
    reduced_timeseries : array [T, n_components]
    umap_transform : object
    kmeans_label : array [T] or None
        Cluster of every step after :meth:`with_kmeans`.

    Raises
    ------
    ImportError
        umap-learn is needed and not installed.
    """

    _space, _axis = "UMAP", "UMAP"

    def __init__(
        self,
        timeseries: Any,
        shape: DimensionsLike | None = None,
        apply_zscore: bool = False,
        n_neighbors: int = 10,
        min_dist: float = 0.5,
        n_components: int = 2,
        umap_transform: Any = None,
        random_state: int | None = None,
        *,
        dt: float | None = None,
    ) -> None:
        super().__init__(timeseries, shape, apply_zscore, dt=dt)
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.n_components = n_components
        self.random_state = random_state
        self.kmeans_label: Array | None = None
        self.umap_transform = umap_transform
        self.reduced_timeseries = self.reduce_timeseries(self._unsorted)

    def compute_umap_transform(self, data: Any = None) -> Any:
        """Fit an embedding to the series, or to other `data` ``[T, N]``, and keep it."""
        umap = require("umap", "umap-learn", "computes UMAP embeddings", "umap")
        points = self._unsorted if data is None else np.asarray(to_numpy(data))
        embedding = umap.UMAP(
            n_neighbors=self.n_neighbors,
            min_dist=self.min_dist,
            n_components=self.n_components,
            metric="euclidean",
            random_state=self.random_state,
            n_jobs=-1 if self.random_state is None else 1,
        )
        self.umap_transform = embedding.fit(points)
        return self.umap_transform

    def reduce_timeseries(self, timeseries: Any) -> Array:
        """A series ``[T, N]`` of the same units in the embedding, ``[T, n_components]``."""
        if self.umap_transform is None:
            self.compute_umap_transform()
        return np.asarray(self.umap_transform.transform(np.asarray(to_numpy(timeseries))))

    def with_kmeans(self, n_clusters: int = 13, random_state: int = 0) -> VisualiseUMAP:
        """Colour points by k-means clusters in the embedding; returns the object itself."""
        self.kmeans_label = kmeans_labels(self.reduced_timeseries, n_clusters, random_state)
        return self

    def scatter_umap(
        self,
        UMAPs: tuple[int, ...] = (1, 2),
        color_sample: bool = False,
        *,
        filename: str | Path | None = None,
        show: bool = True,
        fig: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """A point per time step in two or three axes of the embedding; see :meth:`VisualisePCA.scatter_pca`."""
        chosen = check_axes("UMAPs", UMAPs, self.reduced_timeseries.shape[1], (2, 3))
        space = self._embedding(None)
        return _embedding.scatter(space, chosen, self.kmeans_label, color_sample, filename, show, fig, ax, **kwargs)

    def trajectory_umap(
        self,
        target: Any = None,
        UMAPs: tuple[int, int] = (1, 2),
        reduction: int = 1,
        traces: str = "all",
        fig: Any = None,
        axes: Any = None,
        filename: str | Path | None = None,
        show: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """The path of the series in the plane of two axes of the embedding, and these over time.

        Parameters
        ----------
        target, reduction, fig, axes, filename, show, **kwargs
            See :meth:`VisualisePCA.trajectory_pca`.
        UMAPs : (int, int)
        traces : {"all", "UMAP_space", "UMAP_wrt_time"}

        Returns
        -------
        figure, axes

        Raises
        ------
        ValueError
            An argument is none of these, or the target has another shape.
        """
        space = self._embedding(target)
        return self._trajectory(space, "UMAPs", UMAPs, reduction, traces, "UMAP", filename, show, fig, axes, **kwargs)
