"""Linear heads, each over its whole grid of penalties at once: logistic regression, one for each name, ridge.

All go by C, the inverse of the penalty: least of |w|^2 / 2 + C * loss. See heads.py for what a head takes and gives.
"""

# N drawn training rows, M queries, D dimensions, K classes or names, G values of the grid

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression


def logistic(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float],
    pool: Any = None,
) -> np.ndarray:  # fmt: skip
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


def one_vs_rest(
    train_ND: np.ndarray, y_NK: np.ndarray, query_MD: np.ndarray, n_names: int, grid: Sequence[float], pool: Any = None
) -> np.ndarray:
    """(G, M, K): a logistic regression for each name by itself; its share where all drawn rows agree on it."""
    said_GMK = np.empty((len(grid), len(query_MD), n_names))
    train_ND, query_MD = in_the_span(train_ND, query_MD)
    for k, y_N in enumerate(y_NK.T):
        both = 0 < y_N.sum() < len(y_N)
        said_GMK[..., k] = logistic(train_ND, y_N, query_MD, 2, grid)[..., 1] if both else y_N.mean()
    return said_GMK


def ridge(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_outputs: int, grid: Sequence[float], pool: Any = None
) -> np.ndarray:
    """(G, M, 1): linear regression with the penalty |w|^2 / C, as scikit-learn's Ridge(alpha=1 / C), all C at once.

    With the singular values s of the centred rows, weights are V s / (s^2 + 1 / C) U^T y. The intercept is not
    penalised.
    """
    mean_D, mean = train_ND.mean(0, dtype=np.float64), float(y_N.mean())
    u_NR, s_R, v_RD = np.linalg.svd(train_ND - mean_D, full_matrices=False)
    turned_MR, along_R = (query_MD - mean_D) @ v_RD.T, u_NR.T @ (y_N - mean)
    weight_GR = along_R * s_R / (s_R**2 + 1 / np.asarray(grid, dtype=float)[:, None])
    return (mean + weight_GR @ turned_MR.T)[..., None]
