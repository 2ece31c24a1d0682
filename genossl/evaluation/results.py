"""What predictions got: metrics with their bootstrap replicates, by draw; also on subsets; their calibration.

Whoever predicted is the same here: heads on frozen embeddings, networks trained end to end.
"""

# D label draws, M test rows, V validation rows, K classes, U units of resampling, R replicates, S metrics

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from genossl.evaluation import calibration, kinds, multilabel, scores, splits
from genossl.evaluation.calibration import Calibration
from genossl.evaluation.subsets import Subset
from genossl.evaluation.tasks import CLASSES, MULTILABEL, Task

END_TO_END = "end_to_end"  # the head of networks that have learnt from the labels as a whole


@dataclasses.dataclass(frozen=True)
class Result:
    """What one embedding (or network) got, for one head and number of shots."""

    head: str
    shots: str
    chosen: float | int | None
    validation: dict[str, float]  # mean primary metric over draws, for each value of the grid
    values: np.ndarray  # (D, S): the metrics of kinds.METRICS
    replicates: np.ndarray  # (D, S, R)
    confusion_KK: np.ndarray  # counts summed over draws; (0, 0) where there are no classes
    undecided: int  # draws in which every test row got the same answer
    subsets: dict[str, tuple[np.ndarray, np.ndarray]]  # the primary metric (D,) and its replicates (D, R)
    calibration: Calibration | None


def measure(
    head: str, shots: str, chosen: Any, validation: dict[str, float], said_DMK: Sequence[np.ndarray], task: Task,
    subsets: Sequence[Subset] = (), validation_DVK: Sequence[np.ndarray] | None = None,
) -> Result:  # fmt: skip
    """Score the test rows of each draw. validation_DVK: scores of validation rows, which set the thresholds of names.

    Without these a name is said from 0.5 on.
    """
    y_test, y_validation = task.y_N[task.rows[splits.TEST]], task.y_N[task.rows[splits.VALIDATION]]
    weights_RU = np.concatenate([np.ones((1, len(task.units.class_U))), task.weights_RU])
    values, replicates, undecided = [], [], 0
    part_values: dict[str, list[np.ndarray]] = {part.name: [] for part in subsets}
    n_classes = len(task.classes) if task.kind == CLASSES else 0
    confusion_KK = np.zeros((n_classes, n_classes), dtype=np.int64)
    for d, said_MK in enumerate(said_DMK):
        threshold_K = None
        if task.kind == MULTILABEL and validation_DVK is not None:
            threshold_K = multilabel.thresholds(y_validation, validation_DVK[d])
        measured = kinds.replicates(
            task.kind, y_test, said_MK, task.units.unit_N, task.units.class_U, weights_RU, threshold_K
        )
        values.append(measured[:, 0])
        replicates.append(measured[:, 1:])
        for part in subsets:
            rows, weights = part.row_M, np.concatenate([np.ones((1, part.weights_RU.shape[1])), part.weights_RU])
            part_values[part.name].append(kinds.primary(task.kind, y_test[rows], said_MK[rows], part.unit_M, weights))
        if n_classes:
            np.add.at(confusion_KK, (y_test, said_MK.argmax(1)), 1)
        undecided += bool((said_MK == said_MK[0]).all())
    parts = {name: np.stack(found) for name, found in part_values.items()}
    return Result(
        head, shots, chosen, validation, np.stack(values), np.stack(replicates), confusion_KK, undecided,
        {name: (found[:, 0], found[:, 1:]) for name, found in parts.items()},
        calibration.measure(y_test, said_DMK) if n_classes else None,
    )  # fmt: skip


def over_draws(replicates: np.ndarray, seed: int) -> np.ndarray:
    """(..., R): the mean over draws (D, ..., R), the draws resampled too; the same for all at this number of draws."""
    n_draws, n_replicates = len(replicates), replicates.shape[-1]
    weights_RD = scores.resample_draws(n_draws, n_replicates, np.random.default_rng([seed, 2, n_draws]))
    return np.einsum("rd,d...r->...r", weights_RD, replicates)


def p_values(differences: np.ndarray) -> np.ndarray:
    """Two-sided bootstrap p values of differences (..., R): twice the smaller share on one side of zero, at most 1.

    A replicate of exactly zero counts on both sides, so that twins get 1; one is added to each count and to R, since no
    number of replicates shows that a side is empty.
    """
    below, above = (differences <= 0).sum(-1), (differences >= 0).sum(-1)
    return np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (differences.shape[-1] + 1))
