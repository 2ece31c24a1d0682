"""What is put on frozen embeddings: logistic regression and nearest neighbours, each over its whole grid at once.

A head takes (train_ND, y_N, query_MD, n_classes, grid) and returns scores (grid, M, K); the largest is the prediction.
"""

# N drawn training rows, M queries, D dimensions, K classes, G values of the grid

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

LARGEST_ROTATION = 4096  # dimensions; beyond, the eigenvectors cost more than they save
LARGEST_REDUCTION = 1000  # rows; beyond, the same


@dataclasses.dataclass(frozen=True)
class Lines:
    """Softmax regressions along a grid of C: log-odds are x @ weights_GDK[g] + bias_GK[g]."""

    weights_GDK: np.ndarray
    bias_GK: np.ndarray
    iterations: int


def standardise(train_ND: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`others`, centred and scaled by the mean and deviation of the train rows, then turned to their principal axes.

    Labels play no part, so all rows of the train split may be used, drawn or not: the five rows of a one-shot draw
    have no deviation worth the name. The rotation changes neither head (both know angles and lengths only); it makes
    the optimiser's diagonal preconditioner a good one. A feature that is constant in train becomes 0.
    """
    mean_D = train_ND.mean(0, dtype=np.float64)
    scale_D = train_ND.std(0, dtype=np.float64)
    scale_D = np.where(scale_D > 1e-6 * np.maximum(np.abs(mean_D), 1e-6), scale_D, np.inf)
    scaled = [((x - mean_D) / scale_D).astype(np.float32) for x in (train_ND, *others)]
    if not 1 < train_ND.shape[1] <= LARGEST_ROTATION:
        return scaled[1:]
    _, axes_DD = np.linalg.eigh((scaled[0].T @ scaled[0]).astype(np.float64))
    return [x @ axes_DD.astype(np.float32) for x in scaled[1:]]


def fit_lines(
    x_ND: np.ndarray,
    y_N: np.ndarray,
    n_classes: int,
    grid: Sequence[float],
    tolerance: float = 1e-5,  # 99.98 % of predictions are then those of the exact solution
    reduce: bool = True,
) -> Lines:
    """Minimise C * sum(log loss) + |weights|^2 / 2 for each C of an ascending grid, each started from the last.

    The bias is not penalised. For K > 2 this is scikit-learn's LogisticRegression; for K = 2 the softmax has two
    opposite weight vectors, which equals scikit-learn's single one at 2 C. With fewer rows than dimensions the
    solution lies in the span of the rows, so it is sought there: the same answer from an N x N problem.
    """
    basis_DP = None
    if reduce and len(x_ND) <= min(x_ND.shape[1], LARGEST_REDUCTION):
        x = x_ND.astype(np.float64)
        square_P, left_NP = np.linalg.eigh(x @ x.T)
        kept = square_P > max(square_P[-1], 1e-30) * 1e-12
        length_P, left_NP = np.sqrt(square_P[kept]), left_NP[:, kept]
        basis_DP, x_ND = x.T @ (left_NP / length_P), left_NP * length_P
    lines = _descend(x_ND, y_N, n_classes, grid, tolerance)
    return lines if basis_DP is None else dataclasses.replace(lines, weights_GDK=basis_DP @ lines.weights_GDK)


def _descend(x_ND: np.ndarray, y_N: np.ndarray, n_classes: int, grid: Sequence[float], tolerance: float) -> Lines:
    """L-BFGS in coordinates in which the curvature at zero is near one, so that every C takes few steps."""
    n, d = x_ND.shape
    onehot_NK = np.eye(n_classes)[y_N]
    second_D = np.einsum("nd,nd->d", x_ND, x_ND, dtype=np.float64) / n
    curvature = (1 - 1 / n_classes) / n_classes
    weights_DK, bias_K = np.zeros((d, n_classes)), np.zeros(n_classes)
    weights_GDK, bias_GK, iterations = [], [], 0
    for c in grid:
        penalty = 1 / (c * n)
        step_D1 = 1 / np.sqrt(curvature * second_D + penalty)[:, None]

        def loss(flat: np.ndarray, step_D1: np.ndarray = step_D1, penalty: float = penalty) -> tuple[float, np.ndarray]:
            w_DK, b_K = step_D1 * flat[:-n_classes].reshape(d, n_classes), flat[-n_classes:]
            log_p_NK = log_softmax((x_ND @ w_DK.astype(x_ND.dtype)).astype(np.float64) + b_K, axis=1)
            error_NK = (np.exp(log_p_NK) - onehot_NK) / n
            slope_DK = (x_ND.T @ error_NK.astype(x_ND.dtype)).astype(np.float64) + penalty * w_DK
            value = -log_p_NK[np.arange(n), y_N].mean() + penalty / 2 * (w_DK * w_DK).sum()
            return value, np.concatenate([(step_D1 * slope_DK).ravel(), error_NK.sum(0)])

        start = np.concatenate([(weights_DK / step_D1).ravel(), bias_K])
        options = {"gtol": tolerance, "ftol": 1e-12, "maxiter": 300}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        weights_DK, bias_K = step_D1 * found.x[:-n_classes].reshape(d, n_classes), found.x[-n_classes:]
        weights_GDK.append(weights_DK)
        bias_GK.append(bias_K)
        iterations += found.nit
    return Lines(np.stack(weights_GDK), np.stack(bias_GK), iterations)


def logistic(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float]
) -> np.ndarray:
    """Class probabilities of a logistic regression for each C of the grid."""
    lines = fit_lines(train_ND, y_N, n_classes, grid)
    flat_DZ = np.moveaxis(lines.weights_GDK, 0, 1).reshape(query_MD.shape[1], -1).astype(query_MD.dtype)
    logits_MGK = (query_MD @ flat_DZ).astype(np.float64).reshape(len(query_MD), len(grid), n_classes) + lines.bias_GK
    return softmax(np.moveaxis(logits_MGK, 1, 0), axis=2)


def nearest(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[int]
) -> np.ndarray:
    """Shares of the votes of the k nearest rows by cosine, for each k of the grid; a tie goes to the closer class.

    k is at most the number of rows. Closeness adds up to 0.001 of a vote, so it decides ties and nothing else.
    In one dimension there are no angles: a distance d there counts as a cosine of (1 - d) / (1 + d).
    """
    most = min(max(grid), len(train_ND))
    parts = np.array_split(query_MD, len(query_MD) // 2000 + 1)  # 40 MB of cosines at 5000 training rows
    total_MPK = np.concatenate([_votes(part, train_ND, y_N, n_classes, most) for part in parts])
    return np.stack([total_MPK[:, min(k, most) - 1] / min(k, most) for k in grid])


def _votes(query_MD: np.ndarray, train_ND: np.ndarray, y_N: np.ndarray, n_classes: int, most: int) -> np.ndarray:
    """Votes (M, most, K) of the first 1, 2, ... neighbours."""
    if query_MD.shape[1] == 1:
        distance_MN = np.abs(query_MD - train_ND.T)
        cosine_MN = (1 - distance_MN) / (1 + distance_MN)
    else:
        cosine_MN = _unit(query_MD) @ _unit(train_ND).T
    near_MP = np.argpartition(-cosine_MN, most - 1, axis=1)[:, :most]
    close_MP = np.take_along_axis(cosine_MN, near_MP, axis=1)
    order_MP = np.argsort(-close_MP, axis=1, kind="stable")
    near_MP = np.take_along_axis(near_MP, order_MP, axis=1)
    close_MP = np.take_along_axis(close_MP, order_MP, axis=1)
    votes_MPK = np.eye(n_classes)[y_N[near_MP]] * (1 + (close_MP[..., None] + 1) * (5e-4 / most))
    return votes_MPK.cumsum(1)


def _unit(x_ND: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x_ND, axis=1, keepdims=True)
    return x_ND / np.where(length > 0, length, 1)


HEADS = {"logistic": logistic, "knn": nearest}
