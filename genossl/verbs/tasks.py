"""Labelled sequences in any layout to one table of a task, and what the task is beside it.

The table has id, label, and sequence or coordinates (0-based, half-open), perhaps split and group; every verb that
learns from labels reads it.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import splits, tasks
from genossl.genome import fasta, inputs, layouts
from genossl.genome.alphabet import decode
from genossl.genome.labels import checked
from genossl.genome.store import TokenStore

FIRST = ("id", "label", "sequence", "genome", "contig", "start", "end", "strand", "split", "group")
MANY = 20  # different labels that are numbers, from which they are taken for numbers in a hint
NONE = "-"  # the label of a row that has none of the names of a multilabel task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One task: what it is kept in, what is asked, and which columns say so; the columns of a sheet of tasks."""

    layout: Literal["auto", "table", "fasta", "folder", "csv", "intervals"] = "auto"  # auto: told by what is there
    kind: Literal["classes", "multilabel", "regression"] = "classes"  # a name, names joined by ;, or a number
    strand: Literal["invariant", "as_given"] = "invariant"  # as_given: the strand matters, none are averaged
    sequence: str = ""  # column of the sequence, where it is called otherwise
    label: str = ""  # of the label; BED: a column's name or number; GFF3: type or an attribute
    split: str = ""  # of the split
    group: str = ""  # of the group: what must not be on both sides of a split
    description: str = ""  # the question, in words


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The canonical table and the content of the .json beside it, but for the task's name."""

    table: pd.DataFrame
    about: dict[str, Any]
    told: str  # what the path was taken for


def run(
    path: str | Path,
    out: str | Path,
    settings: Settings,
    labels: str | Path | None = None,
    genome: str | Path | None = None,
    store: str | Path | None = None,
) -> str:
    """Write out (.tsv) and the .json beside it; returns a line that says what the path was taken for.

    labels: a table beside FASTA. genome: FASTA (or a store) that coordinates refer to; its sequences go into the table.
    store: where coordinates are, if no genome is given: they are checked, and stay coordinates. Raises InputError, and
    then leaves nothing behind.
    """
    out = Path(out)
    if out.suffix != ".tsv":
        raise InputError(f"{out}: a task is written as .tsv")
    files.spare([out, out.with_suffix(".json")], [path, labels, genome])
    made = prepare(path, settings, labels, genome, store)
    name = out.name.removesuffix(".tsv")
    used = {
        str(file.relative_to(path)) if Path(path).is_dir() else "input": file for file in layouts.files_of(Path(path))
    }
    files.clear([out.with_suffix(".json")])
    files.write_tsv(out, made.table)
    files.write_json(out.with_suffix(".json"), {"task": name, **made.about})
    beside = {"labels": labels, "genome": genome, "store": store}
    given = {"path": path, "out": out, **beside}
    files.write_provenance(out, "tasks", settings, used | beside, given=given)
    classes = f", {len(made.about['classes'])} classes" if made.about["classes"] else ""
    return f"{out}: {made.told}; {len(made.table):,} rows{classes}, {settings.kind}, strand {settings.strand}"


def prepare(
    path: str | Path,
    settings: Settings,
    labels: str | Path | None = None,
    genome: str | Path | None = None,
    store: str | Path | None = None,
) -> Prepared:
    """The table as it will be written, checked; nothing is written. Raises InputError in one sentence."""
    columns = layouts.Columns(settings.sequence, settings.label, settings.split, settings.group)
    found = layouts.read(path, settings.layout, columns, labels)
    where = Path(labels if found.layout == "fasta" and labels is not None else path)
    table, classes = labelled(found.table, settings.kind, where)
    table, notes = placed(table, where)
    table = checked(table, where)
    if "sequence" in table:
        if genome is not None:
            raise InputError(f"{where}: has sequences of its own; leave the genome {genome} out")
        table = table.assign(sequence=_letters(table, where))
    elif genome is not None:
        cut = list(inputs.cut(where, table, genome))
        table = table.assign(sequence=[decode(tokens) for _, tokens in cut])
        notes.append(f"sequences cut from {Path(genome).name}")
    elif store is not None:
        if "genome" not in table:
            table = table.assign(genome=_genomes(table, TokenStore.open(store), where))
            notes.append("genomes are those of the contigs in the collection")
        for _ in inputs.cut(where, table, store):
            pass  # a contig that is not there, or an end beyond it, is complained about
    if found.layout == "intervals" and not {"genome", "group", "split"} & set(table.columns):
        table = table.assign(group=table["contig"])
        notes.append("no split, group or genome: a contig is a group")
    try:
        default = tasks.Settings()  # fractions and blocks: whether the rows can be split as the probe will split them
        notes += splits.assign(table, default.fractions, default.block, settings.kind == "classes").notes
    except InputError as error:
        hint = ""
        if found.layout == "intervals" and not settings.label and len(classes) == 1:
            hint = "; --label names another column or attribute"
        elif found.layout == "folder" and not {"split", "group"} & set(table.columns):
            hint = "; a folder has these as folders train, dev and test, or as several files per class"
        elif len(classes) > MANY and all(map(_is_number, classes)):
            hint = "; the labels are numbers: --kind regression"
        raise InputError(f"{where}: {error}{hint}") from None
    ordered = [*(name for name in FIRST if name in table), *(name for name in table if name not in FIRST)]
    about = {
        "kind": settings.kind, "strand": settings.strand, "layout": found.layout, "classes": classes,
        "rows": len(table), "description": settings.description, "notes": [found.told, *notes],
    }  # fmt: skip
    return Prepared(table[ordered], about, found.told)


def labelled(table: pd.DataFrame, kind: str, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table with labels written in one way, and the names of the classes (none in regression).

    Raises InputError naming the row whose label is not of the kind, or where all rows have the same.
    """
    values = table["label"].tolist()
    if kind == "classes":
        return table, sorted(set(values))
    if kind == "regression":
        for i, value in enumerate(values, 1):
            if not _is_number(value):
                raise InputError(f"{path} row {i}: label {value!r} is no number, as regression asks")
        if len({float(value) for value in values}) < 2:
            raise InputError(
                f"{path}: all {len(values)} rows have the label {values[0]!r}; expected numbers that differ"
            )
        return table, []
    sets = []
    for i, value in enumerate(values, 1):
        names = [] if value in ("", NONE) else [name.strip() for name in value.split(";")]
        if not all(names) or len(set(names)) < len(names) or NONE in names:
            raise InputError(
                f"{path} row {i}: label {value!r}; expected names that differ, joined by ; ({NONE} for none)"
            )
        sets.append(sorted(names))
    if len({tuple(names) for names in sets}) < 2:
        raise InputError(f"{path}: all {len(values)} rows have the label {values[0]!r}; expected labels that differ")
    return table.assign(label=[";".join(names) or NONE for names in sets]), sorted({n for names in sets for n in names})


def placed(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Columns that look like coordinates and are none are left out beside a sequence; where there is neither, raise."""
    here = [name for name in ("contig", "start", "end") if name in table]
    if len(here) == 3:
        return table, []
    if "sequence" not in table:
        raise InputError(
            f"{path}: expected a column sequence, or contig, start and end; found {', '.join(table.columns)}"
        )
    loose = [name for name in ("contig", "start", "end", "strand") if name in table and here]
    notes = [f"columns {', '.join(loose)} left out: coordinates need contig, start and end"] if loose else []
    return table.drop(columns=loose), notes


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _letters(table: pd.DataFrame, path: Path) -> list[str]:
    """Sequences in upper case letters, ambiguity codes kept; raises InputError for what is none."""
    for name, letters in zip(table["id"], table["sequence"], strict=True):
        if not letters:
            raise InputError(f"{path}: id {name!r} has no sequence")
        try:
            fasta.tokenise(letters.encode())
        except fasta.BadLetter as error:
            raise InputError(f"{path}: sequence of id {name!r}: {error}") from None
    return table["sequence"].str.upper().str.replace("U", "T").tolist()


def _genomes(table: pd.DataFrame, store: TokenStore, path: Path) -> list[str]:
    """The genome of each row's contig."""
    of: dict[str, list[str]] = {}
    for genome, contig in zip(store.contigs["genome"], store.contigs["contig"], strict=True):
        of.setdefault(contig, []).append(genome)
    for contig in table["contig"].unique():
        if (n := len(of.get(contig, []))) != 1:
            where = f"is in {n} genomes of the collection" if n else "is not in the collection"
            hint = "give a column genome" if n else "say which FASTA it is in: --genome"
            raise InputError(f"{path}: contig {contig!r} {where}; {hint}")
    return [of[contig][0] for contig in table["contig"]]
