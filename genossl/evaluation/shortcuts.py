"""What one number of a sequence (its GC content, its length) tells of the label: a rule learnt on train, asked on test.

A shortcut needs no DNA language: where it alone separates the classes, a high score of an encoder says little
(Geirhos et al. 2020, Nature Machine Intelligence 2:665).
"""

# N train rows, M test rows, K classes or names

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

BINS = 20  # of the rule, equally filled


@dataclass(frozen=True)
class Finding:
    """value: macro AUROC, or Spearman's rho; error: its standard deviation where the number tells nothing."""

    value: float
    error: float


def auroc(positive_M: np.ndarray, score_M: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties one half (Mann-Whitney); nan where one is missing."""
    n = int(positive_M.sum())
    rest = len(positive_M) - n
    if not n or not rest:
        return float("nan")
    return float((rankdata(score_M)[positive_M].sum() - n * (n + 1) / 2) / (n * rest))


def rule(x_N: np.ndarray, positive_N: np.ndarray, x_M: np.ndarray, bins: int = BINS) -> np.ndarray:
    """log P(bin | positive) - log P(bin | negative) of each x_M, from a histogram of the train rows.

    Bins hold equal shares of the two classes together, each weighted the same; one is added to each count (Laplace).
    """
    at = np.linspace(0, 1, 201)
    both = np.concatenate([np.quantile(x_N[side], at) for side in (positive_N, ~positive_N)])
    edges = np.unique(np.quantile(both, np.linspace(0, 1, bins + 1)[1:-1]))
    at_N = np.searchsorted(edges, x_N)
    counts = [np.bincount(at_N[side], minlength=len(edges) + 1) for side in (positive_N, ~positive_N)]
    share = [np.log((c + 1) / (c.sum() + len(c))) for c in counts]
    return (share[0] - share[1])[np.searchsorted(edges, x_M)]


def of_classes(x_N: np.ndarray, has_NK: np.ndarray, x_M: np.ndarray, has_MK: np.ndarray) -> Finding:
    """Mean AUROC over classes or names, each against the rest, of those with both sides in train and in test.

    The error is that of an AUROC without information, sqrt((n + m + 1) / (12 n m)), mean over classes.
    """
    values, errors = [], []
    for own_N, own_M in zip(has_NK.T.astype(bool), has_MK.T.astype(bool), strict=True):
        n, m = int(own_M.sum()), int((~own_M).sum())
        if n and m and own_N.any() and not own_N.all():
            values.append(auroc(own_M, rule(x_N, own_N, x_M)))
            errors.append(((n + m + 1) / (12 * n * m)) ** 0.5)
    if not values:
        return Finding(0.5, 0.0)
    return Finding(float(np.mean(values)), float(np.mean(errors)))


def of_numbers(x_M: np.ndarray, y_M: np.ndarray) -> Finding:
    """Spearman's rank correlation on the test rows, 0 where one of the two is constant; error 1 / sqrt(M - 1)."""
    if len(x_M) < 2 or np.ptp(x_M) == 0 or np.ptp(y_M) == 0:
        return Finding(0.0, 0.0)
    return Finding(float(np.corrcoef(rankdata(x_M), rankdata(y_M))[0, 1]), 1 / (len(x_M) - 1) ** 0.5)
