"""What an audit found of each test row: who is clean, and how near the nearest train row is."""

# N test rows

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.files import read_sheet

COLUMNS = ("id", "clean", "identity", "nearest", "pretrained")
EDGES = (0.8, 0.9, 0.95, 0.99)  # of identity bins; a bin holds its lower edge


@dataclass(frozen=True)
class Leaks:
    """What is known of N test rows.

    clean_N: no copy, no strain or group of train, not read in pretraining; identity_N: estimated, to the nearest train
    row, 0 to 1; pretrained_N: share of k-mers that the pretraining collection has, nan where the audit was given none.
    """

    clean_N: np.ndarray
    identity_N: np.ndarray
    pretrained_N: np.ndarray


def read_rows(path: str | Path, ids: np.ndarray) -> Leaks:
    """The lines of an audit's .rows.tsv for these test ids, in their order.

    Raises InputError for an id that the audit has not seen, or a value that it would not write.
    """
    table = read_sheet(path, COLUMNS, comments=False)
    names = pd.Index(table["id"])
    if names.has_duplicates:
        raise InputError(f"{path}: id {names[names.duplicated()][0]!r} occurs more than once")
    at = names.get_indexer(pd.Index(np.asarray(ids, dtype=object)))
    if (at < 0).any():
        missing = np.asarray(ids, dtype=object)[at < 0]
        raise InputError(
            f"{path}: {len(missing)} of {len(ids)} test ids are not in the audit ({', '.join(map(str, missing[:3]))}); "
            "run genossl audit again on the table that is probed"
        )
    clean = table["clean"].to_numpy(dtype=object)[at]
    if strange := set(clean) - {"0", "1"}:
        raise InputError(f"{path}: clean is {min(strange)!r}; expected 1 or 0")
    identity_N, pretrained_N = (
        pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)[at] for name in ("identity", "pretrained")
    )
    if (strange_N := ~((identity_N >= 0) & (identity_N <= 1))).any():
        row = table.iloc[at[strange_N][0]]
        raise InputError(f"{path}: id {row['id']!r}: identity {row['identity']!r}; expected a number from 0 to 1")
    return Leaks(clean == "1", identity_N, pretrained_N)


def bins(identity_N: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Name and mask (N,) of each bin of identity to the nearest train row that is not empty, from far to near."""
    number = np.searchsorted(EDGES, identity_N, side="right")
    between = [f"{a:g}-{b:g}" for a, b in itertools.pairwise(EDGES)]
    names = [f"below {EDGES[0]:g}", *between, f"{EDGES[-1]:g}-1"]
    return [(name, number == i) for i, name in enumerate(names) if (number == i).any()]
