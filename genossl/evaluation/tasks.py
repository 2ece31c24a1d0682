"""A labelled table made ready: who teaches, who judges, and which labels are shown, before anything is measured.

The same reads, label draws and bootstrap replicates serve every embedding, so that two of them are compared in pairs.
"""

# N labelled rows, P rows of the pool, M test rows, K classes, U units of resampling, R replicates

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation import scores, splits

ALL = "all"
CLASSES, MULTILABEL, REGRESSION = "classes", "multilabel", "regression"
Kind = Literal["classes", "multilabel", "regression"]
NONE = "-"  # a row of a multilabel task that has none of the names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Which rows teach and which judge; what every verb that learns from labels has in common."""

    kind: Kind = "classes"  # what a label is: a class, names joined by ; (multilabel), a number (regression)
    shots: tuple[int, ...] = (1, 5, 10, 50, 100, 400)  # labels per class (other kinds: in all); "all" is always added
    cap: int = 1000  # training labels per class (other kinds: in all) at most, what "all" means
    draws: int = 5  # draws of the labels at each number of shots
    replicates: int = 1000  # of the bootstrap
    block: int = 20_000  # bases of one contig that are resampled together
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)  # of each class's groups: train, validation, test
    validation_cap: int = 1000  # validation rows per class (other kinds: in all) at most, 0 for all
    test_cap: int = 5000  # test rows per class (other kinds: in all) at most, 0 for all
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
    classes: list[str]  # class names, or the names of a multilabel task; none of a regression
    y_N: np.ndarray  # class numbers (N,), 0 and 1 for each name (N, K), or float64 (N,)
    rows: dict[str, np.ndarray]  # split -> row numbers, after the caps
    draws: dict[str, list[np.ndarray]]  # shots -> training rows of each draw
    pool_P: np.ndarray  # training rows that semi-supervised heads see without labels; none where there is no such head
    group_N: np.ndarray  # number of each row's group or genome, else contig, else its own
    units: splits.Units
    weights_RU: np.ndarray
    notes: list[str]
    kind: Kind = "classes"

    @property
    def outputs(self) -> int:
        """Scores of a row: one per class or name, 1 of a regression."""
        return max(1, len(self.classes))

    def labels_at(self, shots: str) -> float:
        """What a number of shots is on an axis: labels per class on average (other kinds: in all)."""
        return float(np.mean([len(rows) for rows in self.draws[shots]])) / (self.outputs if self.kind == CLASSES else 1)


class Truth(NamedTuple):
    """y_N and classes as in Task; stratum_N: the class within which a row is split, drawn and resampled."""

    classes: list[str]
    y_N: np.ndarray
    stratum_N: np.ndarray
    strata: list[str]


def truth(labels: pd.DataFrame, kind: Kind) -> Truth:
    """Labels as numbers. Rows of a multilabel task or a regression are all of one stratum.

    Raises InputError for a label that is no number, an empty name, or labels that are all the same.
    """
    given_N = labels["label"].to_numpy(dtype=object)
    if kind == CLASSES:
        names, y_N = np.unique(given_N.astype(str), return_inverse=True)
        return Truth(names.tolist(), y_N, y_N, names.tolist())
    if len(set(given_N)) < 2:
        raise InputError(f"all {len(given_N)} rows have the label {given_N[0]!r}; there is nothing to learn")
    one_N = np.zeros(len(given_N), dtype=np.int64)
    if kind == REGRESSION:
        return Truth([], np.array([_number(*row) for row in zip(labels["id"], given_N, strict=True)]), one_N, [""])
    sets = [_names(*row) for row in zip(labels["id"], given_N, strict=True)]
    classes = sorted(set().union(*sets))
    y_NK = np.array([[name in own for name in classes] for own in sets], dtype=np.int64)
    return Truth(classes, y_NK, one_N, [""])


def _number(identity: str, label: str) -> float:
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"id {identity!r}: label {label!r} is no number; expected one in every row of a regression")
    return value


def _names(identity: str, label: str) -> set[str]:
    """ "a;b" -> {"a", "b"}; none for an empty label or "-"."""
    if label.strip() in ("", NONE):
        return set()
    names = [name.strip() for name in label.split(";")]
    if "" in names or NONE in names or len(set(names)) < len(names):
        raise InputError(f"id {identity!r}: label {label!r}; expected different names joined by ;, or - for none")
    return set(names)


def prepare(labels: pd.DataFrame, settings: Settings, unlabelled: int = 0, kind: Kind | None = None) -> Task:
    """Split the rows, draw the labels and the bootstrap weights; nothing here has seen an embedding.

    unlabelled: train rows at most that are seen without labels; kind: in place of the settings' own.
    Raises InputError for labels that cannot be split.
    """
    kind = kind or settings.kind
    labels = labels.sort_values("id", kind="stable").reset_index(drop=True)
    classes, y_N, stratum_N, strata = truth(labels, kind)
    split = splits.assign(labels, settings.fractions, settings.block, stratified=kind == CLASSES)
    notes, per = list(split.notes), " per class" if kind == CLASSES else ""

    def pools(side: str, draw: int) -> list[np.ndarray]:
        rows = [np.flatnonzero((split.split_N == side) & (stratum_N == k)) for k in range(len(strata))]
        return [splits.permutation(r, name, settings.seed, draw) for r, name in zip(rows, strata, strict=True)]

    rows = {splits.TRAIN: np.flatnonzero(split.split_N == splits.TRAIN)}
    for side, cap in ((splits.VALIDATION, settings.validation_cap), (splits.TEST, settings.test_cap)):
        full = pools(side, draw=0)
        if cap and max(map(len, full)) > cap:
            notes.append(f"{side} rows capped at {cap}{per}")
        rows[side] = np.sort(np.concatenate([pool[: cap or None] for pool in full]))
    draws = _draws([pools(splits.TRAIN, draw) for draw in range(settings.draws)], rows[splits.TRAIN], settings, notes)
    if kind != CLASSES:
        notes += _poor(y_N, classes, rows)
    pool = rows[splits.TRAIN] if unlabelled else np.array([], dtype=np.int64)
    if len(pool) > unlabelled > 0:
        notes.append(f"semi-supervised heads: {unlabelled} of {len(pool)} train rows seen without labels")
        pool = np.sort(splits.permutation(pool, "unlabelled", settings.seed, 0)[:unlabelled])
    test = rows[splits.TEST]
    units = splits.units(labels.iloc[test], stratum_N[test], settings.block, len(strata))
    if single := [str(name) for k, name in enumerate(strata) if (units.class_U == k).sum() < 2]:
        whose = f" in class {', '.join(single)}" if kind == CLASSES else ""
        what = "that class varies" if whose else "the task varies"
        notes.append(f"one unit of resampling{whose}: intervals leave out how {what}")
    weights_RU = scores.resample(units.class_U, settings.replicates, np.random.default_rng([settings.seed, 1]))
    return Task(labels, classes, y_N, rows, draws, pool, _groups(labels), units, weights_RU, notes, kind)


def _draws(
    pool: list[list[np.ndarray]], train: np.ndarray, settings: Settings, notes: list[str]
) -> dict[str, list[np.ndarray]]:
    """Shots -> rows of each draw, from each draw's order of every stratum's train rows; what was left out is noted."""
    available = [len(rows) for rows in pool[0]]
    least = min(*available, settings.cap)
    kept = [n for n in settings.shots if n <= least]
    if dropped := [str(n) for n in settings.shots if n not in kept]:
        where = " in the smallest class" if len(available) > 1 else ""
        notes.append(f"shots {', '.join(dropped)} left out: {least} training rows{where}, or as capped")
    draws = {str(n): [np.concatenate([rows[:n] for rows in drawn]) for drawn in pool] for n in kept}
    if max(available) > settings.cap:
        draws[ALL] = [np.concatenate([rows[: settings.cap] for rows in drawn]) for drawn in pool]
        notes.append(f"all: {settings.cap} training rows{' per class' if len(available) > 1 else ''} at most")
    else:
        draws[ALL] = [train]  # every row, so there is one draw
    return draws


def _poor(y_N: np.ndarray, classes: list[str], rows: dict[str, np.ndarray]) -> list[str]:
    """Notes on names that cannot be learnt or judged. Raises InputError where nothing can be judged."""
    test = y_N[rows[splits.TEST]]
    if not classes:
        if test.min() == test.max():
            raise InputError(f"all {len(test)} test rows have the label {test[0]:g}; there is nothing to judge by")
        return []
    notes = []
    both_K = np.atleast_1d(test.any(0) & ~test.all(0))
    if not both_K.any():
        raise InputError("no name has both test rows with it and test rows without it; there is nothing to judge by")
    if not both_K.all():
        left = [name for name, both in zip(classes, both_K, strict=True) if not both]
        notes.append(f"names that no test row or every test row has, left out of all means: {', '.join(left)}")
    if never := [name for name, k in zip(classes, np.atleast_1d(y_N[rows[splits.TRAIN]].any(0)), strict=True) if not k]:
        notes.append(f"names that no train row has, so that they cannot be learnt: {', '.join(never)}")
    return notes


def _groups(labels: pd.DataFrame) -> np.ndarray:
    """For one sense per genome: the number of each row's group or genome, else contig, else its own."""
    names = splits.group_names(labels)
    if names is None:
        names = labels["contig" if "contig" in labels else "id"].to_numpy(dtype=object)
    return np.unique(names.astype(str), return_inverse=True)[1]
