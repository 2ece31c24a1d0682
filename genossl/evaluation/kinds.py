"""What is measured, by the kind of a task. The first metric of a kind is its primary one."""

# M judged rows, K classes, names or 1, U units of resampling, R replicates

from __future__ import annotations

import numpy as np

from genossl.evaluation import multilabel, regression, scores
from genossl.evaluation.tasks import CLASSES, MULTILABEL, REGRESSION

METRICS: dict[str, tuple[str, ...]] = {
    CLASSES: scores.METRICS,
    MULTILABEL: multilabel.METRICS,
    REGRESSION: regression.METRICS,
}


def replicates(
    kind: str, y_M: np.ndarray, said_MK: np.ndarray, unit_M: np.ndarray, class_U: np.ndarray, weights_RU: np.ndarray,
    threshold_K: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Every metric of the kind under each row of weights: (metrics, R). threshold_K: of multilabel, else 0.5."""
    if kind == CLASSES:
        return scores.replicates(y_M, said_MK, unit_M, class_U, weights_RU)
    if kind == MULTILABEL:
        threshold_K = np.full(said_MK.shape[1], 0.5) if threshold_K is None else threshold_K
        return multilabel.replicates(y_M, said_MK, unit_M, weights_RU, threshold_K)
    return regression.replicates(y_M, said_MK[:, 0], unit_M, weights_RU)


def primary(
    kind: str, y_M: np.ndarray, said_MK: np.ndarray, unit_M: np.ndarray | None = None,
    weights_RU: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The primary metric alone: (R,), or (1,) of the rows as they are."""
    if unit_M is None or weights_RU is None:
        unit_M, weights_RU = np.zeros(len(y_M), dtype=np.int64), np.ones((1, 1))
    if kind == CLASSES:
        counts_UKK = scores.unit_confusions(y_M, said_MK.argmax(1), unit_M, said_MK.shape[1])
        return scores.balanced_accuracy(scores.weighted(weights_RU, counts_UKK))
    if kind == MULTILABEL:
        each = np.stack(
            [multilabel.areas(y_M[:, k], said_MK[:, k], unit_M, weights_RU)[0] for k in range(y_M.shape[1])]
        )
        judged = ~np.isnan(each)
        return np.where(judged, each, 0).sum(0) / np.maximum(judged.sum(0), 1)
    return regression.replicates(y_M, said_MK[:, 0], unit_M, weights_RU)[0]
