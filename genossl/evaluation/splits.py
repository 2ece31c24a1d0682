"""Who is on which side: splits by group, label draws, and the units that a bootstrap resamples.

A group (a genome, a cluster of genomes) is what must not be on both sides of a split; windows of one group never are.
"""

# N labelled rows, K classes, U units of resampling

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np
import pandas as pd

from genossl.errors import InputError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
EVERY = "\t"  # the one class of rows that have none; no label holds a tab
GROUPS_NEEDED = 5  # test groups in every class before whole groups are resampled; fewer say nothing about their spread


@dataclasses.dataclass(frozen=True)
class Split:
    """split_N: "train", "validation" or "test" for each row; notes: sentences on how that came about."""

    split_N: np.ndarray
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Units:
    """unit_N: unit of each row; class_U: class of each unit (a unit lies within one class); kind: what a unit is."""

    unit_N: np.ndarray
    class_U: np.ndarray
    kind: str


def hashed(name: str) -> str:
    """SHA-256 in hex: an order of names that nobody chose and that no seed changes."""
    return hashlib.sha256(name.encode()).hexdigest()


def group_names(labels: pd.DataFrame) -> np.ndarray | None:
    """Column group, else genome, else None. Raises InputError naming the first id whose group is empty."""
    column = next((name for name in ("group", "genome") if name in labels), None)
    if column is None:
        return None
    names = labels[column].to_numpy(dtype=object)
    if (empty := np.flatnonzero(names == "")).size:
        raise InputError(f"id {labels['id'].iloc[empty[0]]!r}: empty {column}; every row needs one")
    return names


def assign(labels: pd.DataFrame, fractions: tuple[float, float, float], block: int, stratified: bool = True) -> Split:
    """Train, validation and test: an explicit split column wins; else groups by a hash of their name, within classes.

    fractions: of the groups of each class in train, validation and test. Every class has at least one group in train
    and one in test. Where validation lacks a class, it is cut from that class's train rows. Not stratified (labels are
    numbers, or sets of names): all rows are of one class. Raises InputError where a class cannot be on both sides.
    """
    label_N = labels["label"].to_numpy(dtype=object) if stratified else np.full(len(labels), EVERY, dtype=object)
    if stratified and len(set(label_N)) < 2:
        raise InputError(f"all {len(label_N)} rows have the label {label_N[0]!r}; expected at least 2 classes")
    groups = group_names(labels)
    if "split" in labels:
        split_N, notes = _explicit(labels, groups)
        lacking = sorted(set(label_N) - set(label_N[split_N == VALIDATION]))
        if lacking and (split_N == VALIDATION).any():  # never so for one class
            notes.append(f"no validation rows of class {', '.join(lacking)}, as the split column says")
            lacking = []
    else:
        if groups is None:
            raise InputError("no column split, group or genome; add one: windows of one genome are no independent test")
        split_N = _by_hash(label_N, groups, fractions)
        notes = ["groups split by a hash of their name" + (", within each class" if stratified else "")]
        lacking = sorted(set(label_N) - set(label_N[split_N == VALIDATION]))
    _both_sides(label_N, split_N)
    if lacking:
        share = fractions[1] / (fractions[0] + fractions[1])
        split_N, more = _cut_validation(labels, label_N, split_N, groups, lacking, share, block)
        notes = notes + more
    return Split(split_N, notes)


def _explicit(labels: pd.DataFrame, groups: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    split_N = labels["split"].to_numpy(dtype=object)
    if (empty := np.flatnonzero(split_N == "")).size:
        raise InputError(
            f"id {labels['id'].iloc[empty[0]]!r}: empty split ({empty.size} rows); expected train, validation or test "
            "in every row, or no column split at all"
        )
    notes = ["split column of the labelled table"]
    if groups is not None:
        crossing = sorted(set(groups[split_N == TEST]) & set(groups[split_N != TEST]))
        if crossing and "group" in labels:
            raise InputError(
                f"group {crossing[0]!r} is in test and in train or validation ({len(crossing)} such groups); a group "
                "is on one side only"
            )
        if crossing:
            notes.append(f"{len(crossing)} genomes are in test and in train or validation, as the split column says")
    return split_N, notes


def _by_hash(label_N: np.ndarray, groups: np.ndarray, fractions: tuple[float, float, float]) -> np.ndarray:
    """Each class's groups in the order of their hash, cut; a group of several classes counts for its commonest."""
    counts: dict[str, Counter[str]] = {}
    for group, label in zip(groups, label_N, strict=True):
        counts.setdefault(group, Counter())[label] += 1
    for label in sorted(set(label_N)):
        if (n := sum(label in count for count in counts.values())) < 2:
            whose = "the table" if label == EVERY else f"class {label!r}"
            raise InputError(
                f"{whose} has {n} group; expected at least 2, one for train and one for test (a group is a value of "
                "the column group, else genome)"
            )
    strata: dict[str, list[str]] = {}
    for group in sorted(counts, key=hashed):
        commonest = min(counts[group], key=lambda label: (-counts[group][label], label))
        strata.setdefault(commonest, []).append(group)
    side = {}
    for names in strata.values():
        n = len(names)
        test = min(max(1, round(n * fractions[2])), n - 1)  # a stratum of one group goes to train
        validation = max(0, min(max(1, round(n * fractions[1])), n - test - 1))
        for i, name in enumerate(names):
            side[name] = TEST if i < test else VALIDATION if i < test + validation else TRAIN
    return np.array([side[group] for group in groups], dtype=object)


def _both_sides(label_N: np.ndarray, split_N: np.ndarray) -> None:
    """Every class must be learnt from and tested on."""
    classes = sorted(set(label_N))
    for side in (TRAIN, TEST):
        if missing := sorted(set(classes) - set(label_N[split_N == side])):
            if missing == [EVERY]:
                raise InputError(f"the table has no {side} rows; expected some in train and in test")
            raise InputError(f"class {missing[0]!r} has no {side} rows; expected every class in train and in test")


def _cut_validation(
    labels: pd.DataFrame, label_N: np.ndarray, split_N: np.ndarray, groups: np.ndarray | None, lacking: list[str],
    share: float, block: int,
) -> tuple[np.ndarray, list[str]]:  # fmt: skip
    """Move a share of the train rows of the `lacking` classes to validation: whole groups, else blocks, else rows."""
    split_N, cut = split_N.copy(), {}
    blocks, ids = block_names(labels, block), labels["id"].to_numpy(dtype=object)
    for label in lacking:
        if label in label_N[split_N == VALIDATION]:
            continue  # came along with a group of another class
        for kind, names in (("groups", groups), (f"{block}-base blocks", blocks), ("rows", ids)):
            train = split_N == TRAIN
            own = train & (label_N == label)
            if names is None or len(found := sorted(set(names[own]), key=hashed)) < 2:
                continue
            taken = set(found[: min(max(1, round(share * len(found))), len(found) - 1)])
            moved = train & np.array([name in taken for name in names])
            if set(label_N[train & ~moved]) != set(label_N[train]):
                continue  # the piece holds all there is of another class
            split_N[moved] = VALIDATION
            cut.setdefault(kind, []).append(label)
            break
    whose = {kind: "" if names == [EVERY] else f" of class {', '.join(names)}" for kind, names in cut.items()}
    notes = [f"validation rows{whose[kind]} cut from train by {kind}" for kind in cut]
    if not (split_N == VALIDATION).any():
        expected = "2" if lacking == [EVERY] else "2 of a class"
        raise InputError(f"no validation rows and too few train rows to take some from; expected {expected}")
    return split_N, notes


def block_names(labels: pd.DataFrame, block: int) -> np.ndarray | None:
    """Genome, contig and start // block of each row, or None where the table has no coordinates."""
    if "contig" not in labels or "start" not in labels:
        return None
    genome = labels["genome"].astype(str) + "\t" if "genome" in labels else ""
    names = genome + labels["contig"].astype(str) + "\t" + (labels["start"] // block).astype(str)
    return names.to_numpy(dtype=object)


def permutation(rows: np.ndarray, label: str, seed: int, draw: int) -> np.ndarray:
    """The rows of one class in the order in which label draw `draw` uses them: its first n are the draw at n labels.

    Depends on nothing but the rows, the label, the seed and the draw, so it is the same for every embedding, and
    draws are nested over n.
    """
    rng = np.random.default_rng([seed, draw, int(hashed(label)[:8], 16)])
    return rows[rng.permutation(len(rows))]


def units(test: pd.DataFrame, label_N: np.ndarray, block: int, n_classes: int) -> Units:
    """What the bootstrap resamples within each class: groups where every class has enough, else blocks, else rows.

    label_N: class numbers, all 0 where there is one class (n_classes 1), and then nothing is "within".
    Rows are bundled at random (by the hash of their id) when they are many: independent rows
    stay independent in bundles, and the cost of the bootstrap grows with the square of the units.
    """
    groups = group_names(test)
    blocks = block_names(test, block)
    most = max(25, 1000 // n_classes)  # units of a class
    within = " within each class" if n_classes > 1 else ""
    if groups is not None and min(len(set(groups[label_N == k])) for k in range(n_classes)) >= GROUPS_NEEDED:
        names, kind = groups, "groups"
    elif blocks is not None:
        names, kind = blocks, f"{block}-base blocks{within}"
    else:
        names, kind = test["id"].to_numpy(dtype=object), f"rows{within}"
    unit_N = np.zeros(len(test), dtype=np.int64)
    class_U: list[int] = []
    for k in range(n_classes):
        rows = np.flatnonzero(label_N == k)
        found = sorted(set(names[rows]), key=hashed)
        number = {name: i % most for i, name in enumerate(found)}
        unit_N[rows] = [len(class_U) + number[name] for name in names[rows]]
        class_U += [k] * min(len(found), most)
    return Units(unit_N, np.array(class_U), kind)
