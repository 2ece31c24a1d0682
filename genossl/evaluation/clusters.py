"""Clusters in embeddings, found without a label: k-means, and HDBSCAN, which may leave rows out as noise.

Both see every embedding through the same eyes: see `view`.
"""

# N rows, D dimensions, P principal axes

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eigh
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_samples

NOISE = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How clusters are looked for; no setting may be chosen by labels."""

    starts: int = 10  # of k-means, from centres drawn anew; the tightest is kept
    axes: int = 10  # principal axes that HDBSCAN sees
    smallest: tuple[int, ...] = (5, 10, 20, 40)  # rows of the smallest cluster of HDBSCAN, chosen by silhouette
    neighbours: int = 5  # rows that make a place dense: min_samples of HDBSCAN
    silhouette_rows: int = 2000  # rows at most on which the silhouette is measured
    seed: int = 0  # of the starts of k-means, the silhouette's rows, the cap and the bootstrap

    def __post_init__(self) -> None:
        if min(self.starts, self.axes, self.neighbours) < 1 or self.silhouette_rows < 2:
            raise ValueError("starts, axes and neighbours must be at least 1, silhouette_rows at least 2")
        if not self.smallest or min(self.smallest) < 2 or list(self.smallest) != sorted(set(self.smallest)):
            raise ValueError("smallest must be ascending whole numbers from 2 on")


@dataclasses.dataclass(frozen=True)
class Found:
    """cluster_N: number of each row's cluster, the largest cluster is 0, and NOISE; about: what was chosen, and why."""

    cluster_N: np.ndarray
    about: dict[str, Any]


def numbered(cluster_N: np.ndarray) -> np.ndarray:
    """The same clusters, numbered by size, of equals the one that is met first; anything negative is NOISE."""
    names, first, sizes = np.unique(cluster_N[cluster_N >= 0], return_index=True, return_counts=True)
    number = {int(names[i]): n for n, i in enumerate(np.lexsort((first, -sizes)))}
    return np.array([number.get(int(c), NOISE) for c in cluster_N], dtype=np.int64)


def view(x_ND: np.ndarray) -> np.ndarray:
    """Each dimension centred and scaled over the rows, then each row made of length 1: float64 (N, D).

    So no dimension counts for its unit, and two rows are as close as their directions. A dimension that is constant
    becomes 0. One dimension has no directions: it stays as scaled.
    """
    x_ND = np.asarray(x_ND, dtype=np.float64)
    mean_D, scale_D = x_ND.mean(0), x_ND.std(0)
    scale_D = np.where(scale_D > 1e-6 * np.maximum(np.abs(mean_D), 1e-6), scale_D, np.inf)
    return _unit_length((x_ND - mean_D) / scale_D)


def _unit_length(x_ND: np.ndarray) -> np.ndarray:
    if x_ND.shape[1] == 1:
        return x_ND
    return x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)


def principal(x_ND: np.ndarray, axes: int) -> np.ndarray:
    """The first principal axes of the rows, fewer where there are not so many: (N, P)."""
    centred_ND = x_ND - x_ND.mean(0)
    most = min(axes, x_ND.shape[1], len(x_ND) - 1)
    if x_ND.shape[1] <= len(x_ND):  # the smaller of the two products; equal spaces, whichever is taken
        _, axes_DP = _largest(centred_ND.T @ centred_ND, most)
        return centred_ND @ axes_DP
    spread_P, rows_NP = _largest(centred_ND @ centred_ND.T, most)
    return rows_NP * np.sqrt(np.maximum(spread_P, 0))


def _largest(symmetric_DD: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest eigenvalues, descending, and their vectors as columns."""
    size = len(symmetric_DD)
    value_P, vector_DP = eigh(symmetric_DD, subset_by_index=(size - n, size - 1))
    return value_P[::-1], vector_DP[:, ::-1]


def kmeans(x_ND: np.ndarray, n_clusters: int, settings: Settings) -> Found:
    """scikit-learn's k-means on the view of the embedding; every row gets a cluster."""
    model = KMeans(n_clusters, n_init=settings.starts, random_state=settings.seed)  # type: ignore
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        cluster_N = numbered(model.fit_predict(view(x_ND)))
    about = {"clusters": int(cluster_N.max()) + 1, "unclustered": 0, "inertia": float(model.inertia_ or 0)}
    return Found(cluster_N, about)


def hdbscan(x_ND: np.ndarray, n_clusters: int, settings: Settings) -> Found:
    """scikit-learn's HDBSCAN (Campello, Moulavi & Sander 2013) on principal axes of the view, of length 1 again.

    Of the sizes of the smallest cluster the one with the best silhouette is taken, the smaller of equals. Nothing of
    it is chosen by labels, and `n_clusters`, which comes from them, is not used.
    """
    low_NP = _unit_length(principal(view(x_ND), settings.axes))
    rng = np.random.default_rng([settings.seed, 3])
    judged = np.sort(rng.permutation(len(low_NP))[: settings.silhouette_rows])
    neighbours = min(settings.neighbours, len(low_NP))
    tried: dict[int, tuple[float, np.ndarray]] = {}
    for smallest in settings.smallest:
        if 2 * smallest <= len(low_NP):  # two clusters at least
            model = HDBSCAN(min_cluster_size=smallest, min_samples=neighbours, copy=True)  # type: ignore
            cluster_N = model.fit_predict(low_NP)
            tried[smallest] = silhouette(low_NP[judged], cluster_N[judged]), cluster_N
    if not tried:
        nothing = np.full(len(low_NP), NOISE, dtype=np.int64)
        return Found(nothing, {"clusters": 0, "unclustered": len(low_NP), "note": f"{len(low_NP)} rows are too few"})
    best = max(tried, key=lambda size: (tried[size][0], -size))
    cluster_N = numbered(tried[best][1])
    about = {
        "clusters": int(cluster_N.max()) + 1,
        "unclustered": int((cluster_N == NOISE).sum()),
        "axes": low_NP.shape[1],
        "smallest": best,
        "silhouette": {str(size): score for size, (score, _) in tried.items()},
    }
    return Found(cluster_N, about)


def silhouette(x_NP: np.ndarray, cluster_N: np.ndarray) -> float:
    """Mean silhouette over all rows (Rousseeuw 1987), 0 for one that no cluster took; -1 without two clusters.

    Rows left out lower the mean, as they do in the density-based validity of Moulavi et al. 2014: else the best
    clustering would be the one that takes the fewest rows.
    """
    taken = cluster_N != NOISE
    names = np.unique(cluster_N[taken])
    if not 2 <= len(names) < taken.sum():
        return -1.0
    return float(np.asarray(silhouette_samples(x_NP[taken], cluster_N[taken])).sum() / len(cluster_N))


ALGORITHMS: dict[str, Callable[[np.ndarray, int, Settings], Found]] = {"kmeans": kmeans, "hdbscan": hdbscan}
