"""Whether probabilities mean what they say: expected calibration error and Brier score of class probabilities."""

# D label draws, M test rows, K classes, N = D * M predictions, B bins

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

BINS = 15  # Guo et al., On calibration of modern neural networks, ICML 2017; theirs are of equal width
COLUMNS = ("ece", "brier", "bin", "confidence", "accuracy", "n")


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Bins of predictions of about equal numbers, by the probability of the predicted class."""

    ece: float
    brier: float
    confidence_B: np.ndarray
    accuracy_B: np.ndarray
    n_B: np.ndarray

    def lines(self) -> list[tuple[float, float, int, float, float, int]]:
        """One per bin, in COLUMNS."""
        bins = zip(self.confidence_B.tolist(), self.accuracy_B.tolist(), self.n_B.tolist(), strict=True)
        return [(self.ece, self.brier, i, *found) for i, found in enumerate(bins, 1)]


def measure(y_M: np.ndarray, said_DMK: Sequence[np.ndarray]) -> Calibration | None:
    """Of all draws' predictions together; None where scores are no probabilities (below 0, or sums far from 1).

    Votes of neighbours sum to 1 but for their tie-breaks; each row is divided by its sum. ECE is the mean over
    predictions of |accuracy - mean confidence| of their bin; the Brier score the mean of sum_k (p_k - [k is true])^2,
    0 to 2, as Brier (1950) has it: twice scikit-learn's for two classes.
    """
    said_NK = np.concatenate(said_DMK).astype(np.float64)
    sums_N1 = said_NK.sum(1, keepdims=True)
    if (said_NK < 0).any() or (np.abs(sums_N1 - 1) > 0.01).any():
        return None
    said_NK = said_NK / sums_N1
    y_N = np.tile(y_M, len(said_DMK))
    true_NK = np.eye(said_NK.shape[1])[y_N]
    # rounded, or the last digit of a division decides which are equal
    confidence_N, hit_N = said_NK.max(1).round(12), said_NK.argmax(1) == y_N
    bin_N = equal_mass(confidence_N, BINS)
    n_B = np.bincount(bin_N)
    mean_B, accuracy_B = (np.bincount(bin_N, x) / n_B for x in (confidence_N, hit_N))
    ece = float((n_B * np.abs(accuracy_B - mean_B)).sum() / len(y_N))
    brier = float(((said_NK - true_NK) ** 2).sum(1).mean())
    return Calibration(ece, brier, mean_B, accuracy_B, n_B)


def equal_mass(x_N: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin of each value, from 0 on without gaps: n_bins of equal numbers, but equal values share a bin.

    Cutting through equal values would make bins by the order of rows, and an error where there is none.
    """
    first_N = np.searchsorted(np.sort(x_N), x_N, side="left")
    return np.unique(first_N * n_bins // len(x_N), return_inverse=True)[1]
