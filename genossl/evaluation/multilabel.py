"""Metrics of rows that have any of K names: average precision, AUROC and F1 of each name, under weights of the units.

A name that no row or every row has (in a replicate: by weight) has none of them, and is left out of that mean.
"""

# N test rows, K names, U units of resampling, R replicates

from __future__ import annotations

import warnings

import numpy as np

METRICS = ("average_precision", "auroc", "macro_f1")
CHUNK = 64  # replicates at once: their weights of 5,000 rows stay in the processor's cache


def replicates(
    y_NK: np.ndarray, scores_NK: np.ndarray, unit_N: np.ndarray, weights_RU: np.ndarray, threshold_K: np.ndarray
) -> np.ndarray:
    """The three METRICS, each the mean over names, under each row of weights: (3, R)."""
    each_KMR = np.stack([
        np.concatenate([
            areas(y_NK[:, k], scores_NK[:, k], unit_N, weights_RU),
            f1(y_NK[:, k], scores_NK[:, k] >= threshold_K[k], unit_N, weights_RU)[None],
        ])
        for k in range(y_NK.shape[1])
    ])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a replicate without any name that can be judged: NaN
        return np.nanmean(each_KMR, axis=0)


def areas(y_N: np.ndarray, scores_N: np.ndarray, unit_N: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """Average precision and area under the ROC curve of one name: (2, R); NaN where all weight is on one side.

    AP is the sum over thresholds of (recall gained) * precision, without interpolation; rows of one score pass
    together. AUROC is the trapezoid over the same thresholds, so a tie counts one half.
    """
    order_N = np.argsort(-scores_N, kind="stable")
    sorted_N, unit_N, hit_P = scores_N[order_N], unit_N[order_N], np.flatnonzero(y_N[order_N])
    # recall is gained at T scores, those of rows that have the name: rows first_T to end_T have one of these scores
    gained_T, ends_P = np.unique(-sorted_N[hit_P], return_inverse=True)
    first_T, end_T = (np.searchsorted(-sorted_N, gained_T, side) for side in ("left", "right"))
    last_T = np.searchsorted(ends_P, np.arange(len(gained_T)), "right") - 1
    found = np.full((2, len(weights_RU)), np.nan)
    for start in range(0, len(weights_RU), CHUNK):
        # float32 is exact for sums of whole numbers below 2**24
        weights = weights_RU[start : start + CHUNK].astype(np.float32)
        passed_RN = np.zeros((len(weights), len(unit_N) + 1), dtype=np.float32)
        np.cumsum(weights[:, unit_N], axis=1, out=passed_RN[:, 1:])
        hits_RT = weights[:, unit_N[hit_P]].cumsum(1)[:, last_T]
        gain_RT = np.diff(hits_RT, axis=1, prepend=0)
        before_RT, passed_RT = passed_RN[:, first_T], passed_RN[:, end_T]
        hits_R = gain_RT.sum(1, dtype=float)
        misses_R = passed_RN[:, -1] - hits_R
        precision_RT = np.divide(hits_RT, passed_RT, out=np.zeros_like(hits_RT), where=passed_RT > 0)
        precision_R = np.einsum("rt,rt->r", gain_RT, precision_RT, dtype=float)
        # rows without the name that score higher, and half of those that score the same
        higher_RT = (before_RT - (hits_RT - gain_RT) + passed_RT - hits_RT) / 2
        lost_R = np.einsum("rt,rt->r", gain_RT, higher_RT, dtype=float)
        ok = (hits_R > 0) & (misses_R > 0)
        part = slice(start, start + CHUNK)
        found[0, part][ok] = precision_R[ok] / hits_R[ok]
        found[1, part][ok] = 1 - lost_R[ok] / (hits_R * misses_R)[ok]
    return found


def f1(y_N: np.ndarray, said_N: np.ndarray, unit_N: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of one name: (R,); NaN where all weight is on one side."""
    n_units = weights_RU.shape[1]
    rows, true, said, both = (
        weights_RU @ np.bincount(unit_N, x, minlength=n_units) for x in (np.ones(len(y_N)), y_N, said_N, y_N * said_N)
    )
    one_sided = (true == 0) | (true == rows)
    return np.where(one_sided, np.nan, 2 * both / np.maximum(true + said, 1e-12))


def thresholds(y_NK: np.ndarray, scores_NK: np.ndarray) -> np.ndarray:
    """(K,): the score from which on a name is said so that F1 is largest on these (validation) rows; 0.5 without one.

    The highest of equals. Rows of one score are said together.
    """
    found = np.full(y_NK.shape[1], 0.5)
    for k in range(y_NK.shape[1]):
        order_N = np.argsort(-scores_NK[:, k], kind="stable")
        sorted_N, hits_N = scores_NK[order_N, k], y_NK[order_N, k].cumsum()
        if not hits_N[-1]:
            continue
        ends = np.flatnonzero(np.append(np.diff(sorted_N) != 0, True))
        f1_T = 2 * hits_N[ends] / (ends + 1 + hits_N[-1])
        found[k] = sorted_N[ends[f1_T.argmax()]]
    return found
