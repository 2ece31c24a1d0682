"""Does an answer depend on which strand was given? The flip rate and the strand correlation of two sets of scores.

After the reverse-complement robustness measures of RCCR (arXiv 2509.18529): predictions for reads as given are held
against predictions for the same reads given as their reverse complements.
"""

# M test rows, K classes, U units of resampling, R replicates

from __future__ import annotations

import numpy as np


def flips(given_MK: np.ndarray, reverse_MK: np.ndarray) -> np.ndarray:
    """Whether the prediction, the class of the largest score, differs between the strands: bool (M,)."""
    return given_MK.argmax(1) != reverse_MK.argmax(1)


def flip_rate(given_MK: np.ndarray, reverse_MK: np.ndarray) -> float:
    """The share of rows whose prediction changes: 0 for scores that are blind to the strand, at most 1."""
    return float(flips(given_MK, reverse_MK).mean())


def flip_replicates(flips_M: np.ndarray, unit_M: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """The flip rate under each row of weights of the units: (R,)."""
    n_units = weights_RU.shape[1]
    flipped_U = np.bincount(unit_M, weights=flips_M.astype(float), minlength=n_units)
    return weights_RU @ flipped_U / (weights_RU @ np.bincount(unit_M, minlength=n_units))


def correlation(given_MK: np.ndarray, reverse_MK: np.ndarray) -> float:
    """Pearson's correlation over rows between the strands, mean over columns: class scores, or vectors.

    1 for equal numbers, -1 for a score that changes its sign with the strand. A column that is constant on a strand has
    none and is left out; nan where no column is left.
    """
    a, b = (x - x.mean(0) for x in (given_MK.astype(np.float64), reverse_MK.astype(np.float64)))
    size_K = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    varies = size_K > 1e-12 * len(a)
    return float(((a * b).sum(0)[varies] / size_K[varies]).mean()) if varies.any() else float("nan")
