"""A labelled table made ready: who teaches, who judges, and which labels are shown, before anything is measured.

The same reads, label draws and bootstrap replicates serve every embedding, so that two of them are compared in pairs.
"""

# N labelled rows, P rows of the pool, M test rows, K classes, U units of resampling, R replicates

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from genossl.evaluation import scores, splits

ALL = "all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Which rows teach and which judge; what every verb that learns from labels has in common."""

    shots: tuple[int, ...] = (1, 5, 10, 50, 100, 400)  # labels per class; "all" is always measured too
    cap: int = 1000  # training labels per class at most, what "all" means
    draws: int = 5  # draws of the labels at each number of shots
    replicates: int = 1000  # of the bootstrap
    block: int = 20_000  # bases of one contig that are resampled together
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)  # of each class's groups: train, validation, test
    validation_cap: int = 1000  # validation rows per class at most, 0 for all
    test_cap: int = 5000  # test rows per class at most, 0 for all
    seed: int = 0  # of label draws, caps and bootstrap

    def __post_init__(self) -> None:
        if not self.shots or min(self.shots) < 1 or list(self.shots) != sorted(set(self.shots)):
            raise ValueError("shots must be ascending whole numbers from 1 on")
        if min(self.cap, self.draws, self.block) < 1 or min(self.validation_cap, self.test_cap) < 0:
            raise ValueError("cap, draws and block must be at least 1, validation_cap and test_cap at least 0")
        if self.replicates < 100:
            raise ValueError("replicates must be at least 100: an interval is read from its tails")
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("fractions must be above 0 and sum to 1")


@dataclasses.dataclass(frozen=True)
class Task:
    """One labelled table made ready: everything that is the same for every embedding."""

    labels: pd.DataFrame  # ordered by id, so that the order of the file does not matter
    classes: list[str]
    y_N: np.ndarray
    rows: dict[str, np.ndarray]  # split -> row numbers, after the caps
    draws: dict[str, list[np.ndarray]]  # shots -> training rows of each draw
    pool_P: np.ndarray  # training rows that semi-supervised heads see without labels; none where there is no such head
    group_N: np.ndarray  # number of each row's group or genome, else contig, else its own
    units: splits.Units
    weights_RU: np.ndarray
    notes: list[str]


def prepare(labels: pd.DataFrame, settings: Settings, unlabelled: int = 0) -> Task:
    """Split the rows, draw the labels and the bootstrap weights; nothing here has seen an embedding.

    unlabelled: train rows at most that are seen without labels. Raises InputError for labels that cannot be split.
    """
    labels = labels.sort_values("id", kind="stable").reset_index(drop=True)
    split = splits.assign(labels, settings.fractions, settings.block)
    classes, y_N = np.unique(labels["label"].to_numpy(dtype=str), return_inverse=True)
    notes = list(split.notes)

    def pools(side: str, draw: int) -> list[np.ndarray]:
        rows = [np.flatnonzero((split.split_N == side) & (y_N == k)) for k in range(len(classes))]
        return [splits.permutation(r, name, settings.seed, draw) for r, name in zip(rows, classes, strict=True)]

    rows = {splits.TRAIN: np.flatnonzero(split.split_N == splits.TRAIN)}
    for side, cap in ((splits.VALIDATION, settings.validation_cap), (splits.TEST, settings.test_cap)):
        full = pools(side, draw=0)
        if cap and max(map(len, full)) > cap:
            notes.append(f"{side} rows capped at {cap} per class")
        rows[side] = np.sort(np.concatenate([pool[: cap or None] for pool in full]))
    pool = [pools(splits.TRAIN, draw) for draw in range(settings.draws)]
    available = [len(x) for x in pool[0]]
    kept = [n for n in settings.shots if n <= min(*available, settings.cap)]
    if dropped := [str(n) for n in settings.shots if n not in kept]:
        least = min(*available, settings.cap)
        notes.append(f"shots {', '.join(dropped)} left out: {least} training rows in the smallest class, or as capped")
    draws = {str(n): [np.concatenate([x[:n] for x in drawn]) for drawn in pool] for n in kept}
    if max(available) > settings.cap:
        draws[ALL] = [np.concatenate([x[: settings.cap] for x in drawn]) for drawn in pool]
        notes.append(f"all: {settings.cap} training rows per class at most")
    else:
        draws[ALL] = [rows[splits.TRAIN]]  # every row, so there is one draw
    pool = rows[splits.TRAIN] if unlabelled else np.array([], dtype=np.int64)
    if len(pool) > unlabelled:
        notes.append(f"semi-supervised heads: {unlabelled} of {len(pool)} train rows seen without labels")
        pool = np.sort(splits.permutation(pool, "unlabelled", settings.seed, 0)[:unlabelled])
    test = rows[splits.TEST]
    units = splits.units(labels.iloc[test], y_N[test], settings.block, len(classes))
    if single := [str(name) for k, name in enumerate(classes) if (units.class_U == k).sum() < 2]:
        notes.append(f"one unit of resampling in class {', '.join(single)}: intervals leave out how that class varies")
    weights_RU = scores.resample(units.class_U, settings.replicates, np.random.default_rng([settings.seed, 1]))
    return Task(labels, classes.tolist(), y_N, rows, draws, pool, _groups(labels), units, weights_RU, notes)


def _groups(labels: pd.DataFrame) -> np.ndarray:
    """For one sense per genome: the number of each row's group or genome, else contig, else its own."""
    names = splits.group_names(labels)
    if names is None:
        names = labels["contig" if "contig" in labels else "id"].to_numpy(dtype=object)
    return np.unique(names.astype(str), return_inverse=True)[1]
