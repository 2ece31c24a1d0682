"""How many times fewer labels for the same score, and from how many labels on a lead is no longer shown.

From curves of scores over label counts with paired bootstrap replicates; arrays in, numbers out.
"""

# S label counts, R curves (the measured one, then replicates)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REACHED, FIRST, NEVER = 0, 1, 2  # within the curve; already above at its first point; at no point
SAME = 1e-12  # scores nearer than this are equal but for rounding
WORDS = ("", ">=", "not reached")


class Ratio(NamedTuple):
    """Labels that the baseline needs over labels that ours needs, with its 95 % interval.

    censored: "" for an estimate; ">=": ours is above the level with the fewest labels measured, so it is at least this;
    "not reached": ours stays below at every count, so it is below this. low is 0 where more than 2.5 % of the
    replicates do not reach the level, high infinite where as many are above it at the first count.
    """

    ratio: float
    low: float
    high: float
    censored: str


def monotone(score_RS: np.ndarray) -> np.ndarray:
    """Each curve's least-squares fit among those that never fall: max over j <= i of min over k >= i of mean(j..k).

    More labels of one task do not make a learner worse in expectation, and label draws are nested, so a fall is noise.
    A running maximum would be monotone too, but takes every upward fluctuation for a gain, and so finds scores reached
    with too few labels. The formula is that of isotonic regression (Barlow et al. 1972).
    """
    n = score_RS.shape[1]
    total = np.concatenate([np.zeros((len(score_RS), 1)), score_RS.cumsum(1)], axis=1)
    mean = np.full((n, n, len(score_RS)), np.inf)  # of counts j to k
    for j in range(n):
        for k in range(j, n):
            mean[j, k] = score_RS[:, j] if j == k else (total[:, k + 1] - total[:, j]) / (k + 1 - j)
    return np.stack([mean[: i + 1, i:].min(1).max(0) for i in range(n)], axis=1)


def passage(fit_RS: np.ndarray, labels_S: np.ndarray, level_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of the first label count at which each monotone curve reaches its level, and how: (R,) each.

    Between counts the score is taken to be linear in the logarithm of the count. What is above at the first count gets
    that count, what never reaches the level the last one.
    """
    x_S, curves = np.log(labels_S), np.arange(len(fit_RS))
    reached_RS = fit_RS >= level_R[:, None] - SAME
    i = reached_RS.argmax(1)
    before = np.maximum(i - 1, 0)
    low, high = fit_RS[curves, before], fit_RS[curves, i]
    part = np.divide(level_R - low, high - low, out=np.ones_like(low), where=high > low).clip(0, 1)
    at = np.where(i > 0, x_S[before] + part * (x_S[i] - x_S[before]), x_S[0])
    how = np.where((i == 0) & (fit_RS[:, 0] > level_R + SAME), FIRST, REACHED)
    never = ~reached_RS.any(1)
    return np.where(never, x_S[-1], at), np.where(never, NEVER, how)


def ratios(ours_RS: np.ndarray, baseline_RS: np.ndarray, labels_S: Sequence[float] | np.ndarray) -> list[Ratio]:
    """For the baseline's score at each label count: how many times fewer labels ours needs. Row 0 is what was measured.

    What the baseline needs is the first count at which its own fit reaches that score, not the count itself: where it
    no longer rises, its surplus labels are not to our credit, and a curve compared with itself gives 1 everywhere.
    """
    labels_S = np.asarray(labels_S, dtype=float)
    ours_RS, baseline_RS = monotone(ours_RS), monotone(baseline_RS)
    found = []
    for level_R in baseline_RS.T:
        theirs_R, _ = passage(baseline_RS, labels_S, level_R)
        ours_R, how_R = passage(ours_RS, labels_S, level_R)
        ratio_R = np.exp(theirs_R - ours_R)
        lows = np.where(how_R == NEVER, 0.0, ratio_R)[1:]
        highs = np.where(how_R == FIRST, np.inf, ratio_R)[1:]
        # order statistics: between two of them there may be an infinity
        low = float(np.percentile(lows, 2.5, method="lower"))
        high = float(np.percentile(highs, 97.5, method="higher"))
        found.append(Ratio(float(ratio_R[0]), low, high, WORDS[int(how_R[0])]))
    return found


def crossover(lows: Sequence[float], shots: Sequence[str]) -> str | None:
    """The smallest label count at which the interval of ours minus baseline is not above zero; None where all are."""
    return next((count for low, count in zip(lows, shots, strict=True) if not low > 0), None)
