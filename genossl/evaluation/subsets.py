"""Test rows apart by what an audit found of them: clean ones, and by identity to their nearest train row."""

# M test rows, U units of resampling, R replicates

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from genossl.evaluation import leaks, scores, splits
from genossl.evaluation.tasks import CLASSES, Settings, Task

CLEAN = "clean"


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
    found = leaks.read_rows(path, task.labels["id"].to_numpy(dtype=object)[task.rows[splits.TEST]])
    masks = {"all": np.ones(len(found.clean_N), dtype=bool), CLEAN: found.clean_N, "not clean": ~found.clean_N}
    return _made(masks | {f"identity {name}": mask for name, mask in leaks.bins(found.identity_N)}, task, settings)


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
