"""Test rows apart by what an audit found of them: clean ones, and by identity to their nearest train row.

Reads the audit's table of test rows: id, clean (1 or 0), identity (0 to 1), and more that plays no part here.
"""

# M test rows, U units of resampling, R replicates

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation import scores, splits
from genossl.evaluation.tasks import CLASSES, Settings, Task
from genossl.files import read_sheet

CLEAN = "clean"
EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)  # of identity; a bin holds its lower edge, the last one both


@dataclasses.dataclass(frozen=True)
class Subset:
    """Some of the test rows, with units and replicates of their own, the same for every embedding."""

    name: str
    row_M: np.ndarray  # row numbers among the test rows
    unit_M: np.ndarray
    weights_RU: np.ndarray


def read(path: Path, task: Task, settings: Settings) -> tuple[list[Subset], list[str]]:
    """Subsets `all`, `clean`, `not clean` and `identity a-b` of the test rows, and notes on what they lack.

    Units are those of the task within the subset; every class keeps its number of them in each replicate. A subset of
    fewer than two classes (other kinds: two rows) is left out. Raises InputError where a test row is not in the table.
    """
    table = read_sheet(path, ("id", "clean", "identity"), comments=False).set_index("id")
    if table.index.has_duplicates:
        raise InputError(f"{path}: id {table.index[table.index.duplicated()][0]!r} occurs more than once")
    ids = task.labels["id"].to_numpy(dtype=object)[task.rows[splits.TEST]]
    missing = [name for name in ids if name not in table.index]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of {len(ids)} test rows are not in it ({', '.join(missing[:5])}); expected the "
            "audit of this table"
        )
    table = table.loc[ids]
    if strange := sorted(set(table["clean"]) - {"0", "1"}):
        raise InputError(f"{path}: clean {strange[0]!r}; expected 1 or 0")
    identity_M = pd.to_numeric(table["identity"], errors="coerce").to_numpy(dtype=float)
    if not ((identity_M >= 0) & (identity_M <= 1)).all():
        bad = table.index[~((identity_M >= 0) & (identity_M <= 1))][0]
        raise InputError(f"{path}: id {bad!r}: identity {table['identity'][bad]!r}; expected a number from 0 to 1")
    clean_M = (table["clean"] == "1").to_numpy()
    masks = {"all": np.ones(len(ids), dtype=bool), CLEAN: clean_M, "not clean": ~clean_M}
    for low, high in itertools.pairwise(EDGES):
        top = identity_M <= high if high == EDGES[-1] else identity_M < high
        masks[f"identity {low:g}-{high:g}"] = (identity_M >= low) & top
    return _made(masks, task, settings)


def _made(masks: dict[str, np.ndarray], task: Task, settings: Settings) -> tuple[list[Subset], list[str]]:
    found, notes = [], []
    y_M = task.y_N[task.rows[splits.TEST]]
    for name, mask in masks.items():
        rows = np.flatnonzero(mask)
        if task.kind == CLASSES:
            here = np.unique(y_M[rows])
            lacks = [c for k, c in enumerate(task.classes) if k not in here]
            enough = len(here) > 1
        else:
            lacks, enough = [], len(rows) > 1 and bool((y_M[rows] != y_M[rows][0]).any())
        if not enough:
            if len(rows):
                notes.append(f"subset {name}: {len(rows)} test rows, too few or too alike to score; left out")
            continue
        if lacks:
            notes.append(f"subset {name}: no test rows of class {', '.join(lacks)}; the mean is over the others")
        units, unit_M = np.unique(task.units.unit_N[rows], return_inverse=True)
        rng = np.random.default_rng([settings.seed, 3])
        found.append(Subset(name, rows, unit_M, scores.resample(task.units.class_U[units], settings.replicates, rng)))
    return found, notes
