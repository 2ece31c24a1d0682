"""A labelled table: which sequence belongs to which class, group and split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from genossl.errors import InputError
from genossl.files import read_json, read_sheet, refuse_control

SPLITS = {"train": "train", "validation": "validation", "dev": "validation", "val": "validation", "test": "test"}


def read_labels(path: str | Path, empty: bool = False) -> pd.DataFrame:
    """Rows of a TSV with id, label and optional split, group, sequence | genome, contig, start, end, strand.

    start and end are 0-based and half-open, as integers; "dev" and "val" are read as validation; all else stays text.
    empty: whether a label may be empty (a row of a multilabel task that has none of the names). Raises InputError
    naming file and row for an empty or repeated id, an unknown split, or bad coordinates.
    """
    return checked(read_sheet(path, required=("id", "label")), path, empty)


def checked(table: pd.DataFrame, path: str | Path, empty: bool = False) -> pd.DataFrame:
    """The same for a table of strings that was read from `path` in another way."""
    table = table.copy()
    for name in table.columns.intersection(["id", "label", "split", "group", "genome", "contig"]):
        refuse_control(f"{path} {name}", table[name])  # BED and GFF3 have them in ways of their own
    for name in ("id",) if empty else ("id", "label"):
        if (rows := table.index[table[name] == ""]).size:
            raise InputError(f"{path} row {rows[0] + 1}: empty {name}")
    if (repeated := table["id"][table["id"].duplicated()]).size:
        raise InputError(f"{path}: id {repeated.iloc[0]!r} occurs more than once")
    if "split" in table:
        known = table["split"].str.lower().map(SPLITS)
        if (unknown := table.index[known.isna() & (table["split"] != "")]).size:
            raise InputError(
                f"{path} row {unknown[0] + 1}: split {table['split'][unknown[0]]!r}; expected train, validation or test"
            )
        table["split"] = known.fillna("")
    if "start" in table or "end" in table:
        if missing := [name for name in ("contig", "start", "end") if name not in table]:
            raise InputError(f"{path}: coordinates need contig, start and end; no column {', '.join(missing)}")
        for name in ("start", "end"):
            bad = table.index[~table[name].str.fullmatch(r"[0-9]{1,18}")]
            if bad.size:
                raise InputError(f"{path} row {bad[0] + 1}: {name} {table[name][bad[0]]!r} is no whole number")
            table[name] = table[name].astype("int64")
        if (rows := table.index[table["start"] >= table["end"]]).size:
            raise InputError(f"{path} row {rows[0] + 1}: start must be smaller than end (0-based, half-open)")
    if "strand" in table and (bad := table.index[~table["strand"].isin(["+", "-", "."])]).size:
        raise InputError(f"{path} row {bad[0] + 1}: strand {table['strand'][bad[0]]!r}; expected + or -")
    return table


def of_task(path: str | Path) -> dict[str, str]:
    """kind and strand of a table by the .json that `genossl tasks` writes beside it; nothing where there is none."""
    path = Path(path)
    if path.suffix != ".tsv" or not path.with_suffix(".json").is_file():
        return {}
    about = read_json(path.with_suffix(".json"))
    if not isinstance(about, dict) or not {"task", "kind", "strand"} <= set(about):
        return {}
    return {name: str(about[name]) for name in ("kind", "strand")}


def strand_policy(path: str | Path) -> str:
    """What `of_task` says of the strand; "" where it says nothing."""
    return of_task(path).get("strand", "")


def files_of(path: str | Path) -> list[Path]:
    """The table, and the .json of its task where there is one: what nothing may be written over."""
    return [Path(path), *([Path(path).with_suffix(".json")] if of_task(path) else [])]
