"""What is put on frozen embeddings: logistic regression and nearest neighbours, each over its whole grid at once.

A head takes (train_ND, y_N, query_MD, n_classes, grid) and returns scores (grid, M, K); the largest is the prediction.
"""

# N drawn training rows, M queries, D dimensions, K classes, G values of the grid

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

LARGEST_ROTATION = 4096  # dimensions; beyond, the eigenvectors cost more than they save


def standardise(train_ND: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`others`, centred and scaled by the mean and deviation of the train rows, then turned to their principal axes.

    Labels play no part, so all rows of the train split may be used, drawn or not: the five rows of a one-shot draw
    have no deviation worth the name. The rotation changes neither head: both know angles and lengths only. A feature
    that is constant in train becomes 0.
    """
    mean_D = train_ND.mean(0, dtype=np.float64)
    scale_D = train_ND.std(0, dtype=np.float64)
    scale_D = np.where(scale_D > 1e-6 * np.maximum(np.abs(mean_D), 1e-6), scale_D, np.inf)
    scaled = [((x - mean_D) / scale_D).astype(np.float32) for x in (train_ND, *others)]
    if not 1 < train_ND.shape[1] <= LARGEST_ROTATION:
        return scaled[1:]
    _, axes_DD = np.linalg.eigh((scaled[0].T @ scaled[0]).astype(np.float64))
    return [x @ axes_DD.astype(np.float32) for x in scaled[1:]]


def logistic(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float]
) -> np.ndarray:
    """Class probabilities of scikit-learn's logistic regression for each C of the grid, each started from the last."""
    train_ND, query_MD = in_the_span(train_ND, query_MD)
    model = LogisticRegression(warm_start=True, max_iter=300)
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps settle all but a few of 10,000 predictions
        for c in grid:
            said.append(model.set_params(C=c).fit(train_ND, y_N).predict_proba(query_MD))
    return np.stack(said)


def in_the_span(train_ND: np.ndarray, query_MD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in coordinates of the space that fewer rows than dimensions span.

    The weights of an L2-penalised regression lie in that space, so the answer is the same from N dimensions as from D.
    """
    n, d = train_ND.shape
    if n >= d:
        return train_ND, query_MD
    basis_DN, _ = np.linalg.qr(train_ND.T)
    return train_ND @ basis_DN, query_MD @ basis_DN


def nearest(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[int]
) -> np.ndarray:
    """Shares of the votes of the k nearest rows by cosine, for each k of the grid; a tie goes to the closer class.

    k is at most the number of rows. Closeness adds up to 0.001 of a vote, so it decides ties and nothing else.
    In one dimension there are no angles: a distance d there counts as a cosine of (1 - d) / (1 + d).
    """
    most = min(max(grid), len(train_ND))
    metric = "cosine" if train_ND.shape[1] > 1 else "euclidean"
    far_MP, near_MP = NearestNeighbors(n_neighbors=most, metric=metric).fit(train_ND).kneighbors(query_MD)
    close_MP = 1 - far_MP if metric == "cosine" else (1 - far_MP) / (1 + far_MP)
    votes_MPK = np.eye(n_classes)[y_N[near_MP]] * (1 + (close_MP[..., None] + 1) * (5e-4 / most))
    total_MPK = votes_MPK.cumsum(1)
    return np.stack([total_MPK[:, min(k, most) - 1] / min(k, most) for k in grid])


HEADS = {"logistic": logistic, "knn": nearest}
