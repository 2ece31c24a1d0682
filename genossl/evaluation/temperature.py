"""Whether a probability means what it says, and one number that mends it: temperature scaling.

Guo et al., On calibration of modern neural networks, ICML 2017, https://arxiv.org/abs/1706.04599.
"""

# N rows, K classes, U units of resampling, R replicates, B bins

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import log_softmax, softmax

BINS = 15  # of equal width, as in the paper
MOST = 1e3  # the hottest temperature, where logits say nothing; 1 / MOST is the coldest


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Rows, mean confidence and accuracy in each bin of confidence; the errors with an interval where asked."""

    ece: float  # expected calibration error: |accuracy - confidence|, mean over rows by bin (equation 3)
    nll: float  # mean negative log-likelihood, nats
    n_B: np.ndarray
    confidence_B: np.ndarray  # not a number in an empty bin
    accuracy_B: np.ndarray
    ece_R: np.ndarray  # under each row of weights
    nll_R: np.ndarray


def temperature(logits_NK: np.ndarray, y_N: np.ndarray) -> float:
    """The T above 0 that minimises the mean negative log-likelihood of softmax(logits / T).

    In b = 1 / T the likelihood is convex, its slope mean(E_p[z] - z_y) rises, and T is where it crosses 0. Dividing by
    T never changes which class is largest. Where every row is right there is no crossing (the colder, the better) and
    the rows say nothing about how often the head errs: 1. Where the logits are no better than none: MOST.
    """
    z_NK = np.asarray(logits_NK, dtype=np.float64)
    truth_N = np.take_along_axis(z_NK, y_N[:, None], 1)[:, 0]

    def slope(log_b: float) -> float:
        return float(((softmax(np.exp(log_b) * z_NK, axis=1) * z_NK).sum(1) - truth_N).mean())

    if (truth_N >= z_NK.max(1)).all():
        return 1.0
    coldest, hottest = np.log(MOST), -np.log(MOST)
    if slope(coldest) <= 0:
        return 1 / MOST
    if slope(hottest) >= 0:
        return MOST
    return float(np.exp(-root_scalar(slope, bracket=(hottest, coldest), method="brentq", xtol=1e-12).root))


def calibration(
    logits_NK: np.ndarray, y_N: np.ndarray, unit_N: np.ndarray | None = None, weights_RU: np.ndarray | None = None
) -> Calibration:
    """Calibration of softmax(logits): the confidence of a row is the probability of its likeliest class.

    unit_N, weights_RU: the unit of each row and the units' weights, for bootstrap replicates of the errors.
    """
    z_NK = np.asarray(logits_NK, dtype=np.float64)
    log_NK = log_softmax(z_NK, axis=1)
    said_N = log_NK.argmax(1)
    sure_N, lost_N = np.exp(log_NK.max(1)), -np.take_along_axis(log_NK, y_N[:, None], 1)[:, 0]
    unit_N = np.zeros(len(z_NK), dtype=np.int64) if unit_N is None else unit_N
    weights_RU = np.zeros((0, int(unit_N.max()) + 1)) if weights_RU is None else weights_RU
    bin_N = np.minimum((sure_N * BINS).astype(np.int64), BINS - 1)
    n_units = weights_RU.shape[1]

    def summed(value_N: np.ndarray) -> np.ndarray:
        return np.bincount(unit_N * BINS + bin_N, value_N, n_units * BINS).reshape(n_units, BINS)

    n_UB, sure_UB, right_UB = (summed(v) for v in (np.ones(len(z_NK)), sure_N, (said_N == y_N).astype(float)))
    all_RU = np.concatenate([np.ones((1, n_units)), weights_RU])
    total_R = all_RU @ n_UB.sum(1)
    ece_R = np.abs(all_RU @ (right_UB - sure_UB)).sum(1) / total_R
    nll_R = all_RU @ np.bincount(unit_N, lost_N, n_units) / total_R
    n_B = n_UB.sum(0)
    with np.errstate(invalid="ignore"):
        confidence_B, accuracy_B = sure_UB.sum(0) / n_B, right_UB.sum(0) / n_B
    return Calibration(
        float(ece_R[0]), float(nll_R[0]), n_B.astype(np.int64), confidence_B, accuracy_B, ece_R[1:], nll_R[1:]
    )


def two_classes(logits_N: np.ndarray) -> np.ndarray:
    """Log-odds (N,) as logits (N, 2) of no and yes, so that a sigmoid is a softmax."""
    return np.stack([-logits_N / 2, logits_N / 2], 1)
