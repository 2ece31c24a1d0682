"""How well predictions agree with the truth, and how sure that is: metrics from confusion counts, a block bootstrap.

Everything is batched over leading dimensions, so that a thousand bootstrap replicates cost one matrix product.
"""

# N test rows, K classes, U units of resampling (each within one class), R replicates, D label draws

from __future__ import annotations

import numpy as np

METRICS = ("balanced_accuracy", "macro_f1", "mcc", "auroc")


def unit_confusions(y_N: np.ndarray, predicted_N: np.ndarray, unit_N: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts (U, K, K) of [truth, prediction] within each unit; weights_RU @ them are weighted confusion matrices."""
    n_units = int(unit_N.max()) + 1
    cell_N = (unit_N * n_classes + y_N) * n_classes + predicted_N
    return np.bincount(cell_N, minlength=n_units * n_classes**2).reshape(n_units, n_classes, n_classes).astype(float)


def weighted(weights_RU: np.ndarray, counts_UKK: np.ndarray) -> np.ndarray:
    """Confusion matrices (R, K, K) under weights of the units."""
    return np.tensordot(weights_RU, counts_UKK, axes=1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)


def balanced_accuracy(confusion_KK: np.ndarray) -> np.ndarray:
    """The mean recall of the classes that occur; 1 / K for a guess. Any leading shape; [truth, prediction]."""
    true_K = confusion_KK.sum(-1)
    return _ratio(_ratio(np.einsum("...kk->...k", confusion_KK), true_K).sum(-1), (true_K > 0).sum(-1))


def macro_f1(confusion_KK: np.ndarray) -> np.ndarray:
    """The mean over all K classes of 2 TP / (2 TP + FP + FN), 0 for a class that neither occurs nor is predicted."""
    hits_K = np.einsum("...kk->...k", confusion_KK)
    return _ratio(2 * hits_K, confusion_KK.sum(-1) + confusion_KK.sum(-2)).mean(-1)


def mcc(confusion_KK: np.ndarray) -> np.ndarray:
    """Matthews correlation for K classes (R_K; Gorodkin 2004): 1 perfect, 0 for a constant prediction."""
    true_K, said_K = confusion_KK.sum(-1), confusion_KK.sum(-2)
    n, hits = true_K.sum(-1), np.einsum("...kk->...", confusion_KK)
    spread = (n**2 - (true_K**2).sum(-1)) * (n**2 - (said_K**2).sum(-1))
    return _ratio(hits * n - (true_K * said_K).sum(-1), np.sqrt(np.maximum(spread, 0)))


def unit_wins(y_N: np.ndarray, scores_NK: np.ndarray, unit_N: np.ndarray, class_U: np.ndarray) -> np.ndarray:
    """(U, U): pairs of a row of unit u and a row of unit v, of another class, in which u's scores higher for u's class.

    A tie counts one half. AUROC is then a ratio of two sums over pairs of units, whatever the units' weights.
    """
    n_units = len(class_U)
    wins_UU = np.zeros((n_units, n_units))
    for k in range(scores_NK.shape[1]):
        own_U = np.flatnonzero(class_U == k)
        other_U = np.flatnonzero(class_U != k)
        ours, theirs = y_N == k, y_N != k
        theirs_sorted = np.argsort(scores_NK[theirs, k], kind="stable")
        sorted_scores = scores_NK[theirs, k][theirs_sorted]
        column = np.searchsorted(other_U, unit_N[theirs][theirs_sorted])
        below = np.zeros((len(column) + 1, len(other_U)), dtype=np.float32)  # exact for counts to 16 million
        below[np.arange(len(column)) + 1, column] = 1
        np.cumsum(below, axis=0, out=below)
        mine = scores_NK[ours, k]
        first, last = (np.searchsorted(sorted_scores, mine, side) for side in ("left", "right"))
        pairs = below[first] + below[last]
        belongs = (unit_N[ours][None, :] == own_U[:, None]).astype(np.float32)
        wins_UU[np.ix_(own_U, other_U)] = (belongs @ pairs) / 2
    return wins_UU


def auroc_of_wins(wins_UU: np.ndarray, rows_U: np.ndarray, class_U: np.ndarray, weights_RU: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, one class against the rest, mean over classes: (R,)."""
    total = np.zeros(len(weights_RU))
    weight_RU = weights_RU * rows_U
    classes = np.unique(class_U)
    for k in classes:
        own, other = np.flatnonzero(class_U == k), np.flatnonzero(class_U != k)
        won = ((weights_RU[:, own] @ wins_UU[np.ix_(own, other)]) * weights_RU[:, other]).sum(1)
        total += _ratio(won, weight_RU[:, own].sum(1) * weight_RU[:, other].sum(1))
    return total / len(classes)


def auroc(y_N: np.ndarray, scores_NK: np.ndarray, weights_RN: np.ndarray | None = None) -> np.ndarray:
    """One-versus-rest macro AUROC with a weight per row: (R,), with R = 1 and weights 1 where none are given."""
    rows = np.arange(len(y_N))
    weights_RN = np.ones((1, len(y_N))) if weights_RN is None else np.atleast_2d(weights_RN)
    return auroc_of_wins(unit_wins(y_N, scores_NK, rows, y_N), np.ones(len(y_N)), y_N, weights_RN)


def replicates(
    y_N: np.ndarray, scores_NK: np.ndarray, unit_N: np.ndarray, class_U: np.ndarray, weights_RU: np.ndarray
) -> np.ndarray:
    """The four METRICS of one set of predictions under each row of weights: (4, R). The largest score predicts."""
    counts_UKK = unit_confusions(y_N, scores_NK.argmax(1), unit_N, scores_NK.shape[1])
    confusion_RKK = weighted(weights_RU, counts_UKK)
    wins_UU = unit_wins(y_N, scores_NK, unit_N, class_U)
    area_R = auroc_of_wins(wins_UU, counts_UKK.sum((1, 2)), class_U, weights_RU)
    return np.stack([balanced_accuracy(confusion_RKK), macro_f1(confusion_RKK), mcc(confusion_RKK), area_R])


def resample(class_U: np.ndarray, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each unit occurs in each replicate, units drawn with replacement within their class: (R, U).

    Each class keeps its number of units. A class of one unit has no spread to show: its weight is always 1.
    """
    weights_RU = np.zeros((n_replicates, len(class_U)))
    for k in np.unique(class_U):
        own = np.flatnonzero(class_U == k)
        weights_RU[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=n_replicates)
    return weights_RU


def resample_draws(n_draws: int, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the label draws in each replicate, summing to 1: (R, D)."""
    return rng.multinomial(n_draws, np.full(n_draws, 1 / n_draws), size=n_replicates) / n_draws


def interval(values_R: np.ndarray) -> tuple[float, float]:
    """The percentiles 2.5 and 97.5 of the replicates."""
    low, high = np.percentile(values_R, [2.5, 97.5])
    return float(low), float(high)
