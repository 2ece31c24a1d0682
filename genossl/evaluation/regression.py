"""Metrics of predicted numbers under weights of the units: R2, rank and linear correlation, root mean squared error."""

# N test rows, U units of resampling, R replicates

from __future__ import annotations

import numpy as np

METRICS = ("r2", "spearman", "pearson", "rmse")
CHUNK = 64  # replicates at once: their weights of 5,000 rows stay in the processor's cache


def replicates(y_N: np.ndarray, said_N: np.ndarray, unit_N: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """The four METRICS under each row of weights: (4, R). Of rmse, less is better.

    R2 is 1 - squared error / squared deviation from the (weighted) mean: 0 for the mean, below 0 for worse. Where the
    truth does not vary, or the prediction does not, there is no correlation to speak of: 0, and R2 is 0 too.
    """
    said_N = np.asarray(said_N, dtype=float)
    centre = float(y_N.mean())  # sums of squares of what is near 0 keep their digits
    y, p = y_N - centre, said_N - centre
    columns_NS = np.stack([np.ones(len(y)), y, p, y * y, p * p, y * p, (y - p) ** 2], axis=1)
    sums_US = np.zeros((weights_RU.shape[1], columns_NS.shape[1]))
    np.add.at(sums_US, unit_N, columns_NS)
    n, y1, p1, yy, pp, yp, error = (weights_RU @ sums_US).T
    vary_y, vary_p = yy - y1**2 / n, pp - p1**2 / n
    flat_y = vary_y <= 1e-12 * yy
    flat_p = vary_p <= 1e-12 * pp
    r2 = np.where(flat_y, 0.0, 1 - error / np.where(flat_y, 1, vary_y))
    pearson = _correlation(yp - y1 * p1 / n, np.where(flat_y, 0, vary_y), np.where(flat_p, 0, vary_p))
    return np.stack([r2, spearman(y_N, said_N, unit_N, weights_RU), pearson, np.sqrt(error / n)])


def _correlation(together: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    both = np.sqrt(np.maximum(one, 0) * np.maximum(two, 0))
    return np.divide(together, both, out=np.zeros_like(both), where=both > 0).clip(-1, 1)


def spearman(y_N: np.ndarray, said_N: np.ndarray, unit_N: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """Rank correlation (R,), ranked anew in every replicate: a row of weight w is w equal rows, ties share a rank."""
    found = np.empty(len(weights_RU))
    one, two = _Order(y_N, unit_N), _Order(said_N, unit_N)
    for start in range(0, len(weights_RU), CHUNK):
        weight_RU = weights_RU[start : start + CHUNK]
        a_RN, b_RN, weight_RN = one.ranks(weight_RU), two.ranks(weight_RU), weight_RU[:, unit_N]
        # the mean rank is (n + 1) / 2, whatever the ties
        middle_R1 = (weight_RN.sum(1, keepdims=True) + 1) / 2
        a_RN, b_RN = a_RN - middle_R1, b_RN - middle_R1
        sums = [np.einsum("rn,rn,rn->r", weight_RN, x, y) for x, y in ((a_RN, b_RN), (a_RN, a_RN), (b_RN, b_RN))]
        found[start : start + CHUNK] = _correlation(*sums)
    return found


class _Order:
    """The order of values, sorted once; weights decide the ranks."""

    def __init__(self, x_N: np.ndarray, unit_N: np.ndarray) -> None:
        order_N = np.argsort(x_N, kind="stable")
        sorted_N = np.asarray(x_N)[order_N]
        self.ends_T = np.flatnonzero(np.append(np.diff(sorted_N) != 0, True))
        self.unit_N = unit_N[order_N]
        self.value_N = np.searchsorted(sorted_N[self.ends_T], x_N)  # which of the T distinct values a row has

    def ranks(self, weight_RU: np.ndarray) -> np.ndarray:
        """(R, N): what is below, and half of what is equal and one."""
        upto_RT = weight_RU[:, self.unit_N].cumsum(1)[:, self.ends_T]
        below_RT = np.concatenate([np.zeros((len(upto_RT), 1)), upto_RT[:, :-1]], axis=1)
        return ((below_RT + upto_RT + 1) / 2)[:, self.value_N]
