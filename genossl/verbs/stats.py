"""Stores and sequence files -> how many contigs and bases, how long, of what letters; streaming, one row per genome."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.accessions import sheet_of_genomes
from genossl.genome.alphabet import N
from genossl.genome.source import sequence_files, stem
from genossl.genome.store import TokenStore, is_store

By = Literal["genome", "split", "contig", "all"]
ALL = "all"
NAMES = ("input", "genome", "split", "contig")  # columns that hold no numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a row is."""

    by: By = "genome"  # a file is a genome; split: of stores; all: one row for everything


@dataclasses.dataclass
class Tally:
    """What is counted of a row. A length stands with how many contigs have it, since reads are many and alike."""

    lengths: Counter[int] = dataclasses.field(default_factory=Counter)
    known: int = 0  # bases that are A, C, G or T
    gc: int = 0  # of these, G or C
    letters: int = 0  # of the input, also of contigs that a store left out
    iupac: int = 0  # of these, ambiguity codes other than N
    lower: int = 0  # and soft-masked ones

    def add_(self, other: Tally) -> None:
        """Count what another one has counted."""
        for field in dataclasses.fields(self):
            if field.name == "lengths":
                self.lengths.update(other.lengths)
            else:
                setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self) -> dict[str, float]:
        """The columns of the table; NaN where there is nothing to divide by."""
        contigs, bases = self.lengths.total(), sum(length * n for length, n in self.lengths.items())
        return {
            "contigs": contigs,
            "bases": bases,
            "min": min(self.lengths, default=0),
            "mean": _share(bases, contigs),
            "max": max(self.lengths, default=0),
            "N50": n50(self.lengths),
            "GC%": 100 * _share(self.gc, self.known),
            "N%": 100 * _share(bases - self.known, bases),
            "IUPAC%": 100 * _share(self.iupac, self.letters),
            "lower%": 100 * _share(self.lower, self.letters),
        }


def run(inputs: list[str], settings: Settings = Settings(), out: str | Path | None = None) -> pd.DataFrame:
    """Statistics of token stores and of FASTA or FASTQ files (- for standard input), written to `out` (.tsv) if given.

    For a folder of such files stands each of them, for a sheet with the columns genome and path each of its rows.
    N50: the longest length such that contigs of it and above hold half of the bases. GC% is of A, C, G and T; N% of
    all bases, everything that genossl reads as N; IUPAC% (codes other than N, which are N to genossl) and lower% of the
    letters as they came. Raises InputError.
    """
    if out is not None:
        files.refuse_other_than_table(out, "statistics")
    given = [one for path in inputs for one in _given(path)]
    read = [path for path in inputs if files.is_sheet(path)] + [path for path, _ in given]
    if out is not None:
        files.spare([out], read)
    tallies: dict[tuple[str, ...], Tally] = {}
    for path, name in given:
        store = name is None
        if settings.by == "contig":
            counted = _contigs_of_store(path) if store else _contigs_of_file(path)
        elif not store and settings.by == "split":
            raise InputError(f"{path}: is no token store, and only a store knows splits")
        else:
            counted = _genomes(path, settings.by) if name is None else _file(path, name)
        for key, tally in counted:
            tallies.setdefault((ALL,) if settings.by == ALL else key, Tally()).add_(tally)
    names = (ALL,) if settings.by == ALL else ("input", settings.by)
    table = pd.DataFrame([dict(zip(names, key, strict=True)) | tally.row() for key, tally in tallies.items()])
    table = table.drop(columns=ALL, errors="ignore")
    if out is not None:
        files.write_tsv(out, table)
        used = {f"input {i}": path for i, path in enumerate(read, 1)}
        files.write_provenance(out, "stats", settings, used, given={"inputs": inputs, "out": out})
    return table


def n50(lengths: Counter[int]) -> int:
    """The longest length such that contigs of it and above hold at least half of the bases."""
    half, held = sum(length * n for length, n in lengths.items()) / 2, 0
    for length in sorted(lengths, reverse=True):
        held += length * lengths[length]
        if held >= half:
            return length
    return 0


def lines(table: pd.DataFrame) -> list[str]:
    """The table for people: names to the left, numbers to the right, thousands apart."""
    rows = [[_shown(str(name), value) for name, value in row.items()] for row in table.to_dict("records")]
    cells = [list(map(str, table.columns)), *rows]
    aligned = []
    for name, column in zip(table.columns, zip(*cells, strict=True), strict=True):
        side, width = "<" if name in NAMES else ">", max(map(len, column))
        aligned.append([f"{cell:{side}{width}}" for cell in column])
    return ["  ".join(row) for row in zip(*aligned, strict=True)]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value != value:
        return "-"
    return f"{value:.2f}" if name.endswith("%") else f"{value:,.1f}" if name == "mean" else f"{value:,}"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


# ---- what is counted


def _given(path: str) -> list[tuple[str, str | None]]:
    """The stores and files that an input stands for, with the genome that a file is, None for a store."""
    if is_store(path):
        return [(path, None)]
    if path == "-":
        return [(path, path)]
    if Path(path).is_dir():
        return [(str(file), stem(file)) for file in sequence_files(Path(path))]
    if not files.is_sheet(path):
        return [(path, stem(Path(path)))]
    sheet = sheet_of_genomes(path)
    if (missing := sheet["path"] == "").any():
        name = sheet["genome"][missing].iloc[0]
        raise InputError(f"{path}: genome {name!r} has no path; `genossl fetch {path} --out genomes` first")
    return [(str(Path(path).parent / row["path"]), row["genome"]) for row in sheet.to_dict("records")]


def _contigs_of_file(path: str) -> Iterator[tuple[tuple[str, ...], Tally]]:
    """A tally of each record, as they come."""
    name, tally = "", Tally()
    length = 0
    for item in files.progress(fasta.scan(path), f"stats {path}", "block"):
        if isinstance(item, fasta.Header):
            if length:
                tally.lengths[length] += 1
                yield (path, name), tally
            name, tally, length = item.name, Tally(), 0
        else:
            found = np.bincount(item.tokens, minlength=N + 1)
            length += len(item.tokens)
            tally.known += int(found[:N].sum())
            tally.gc += int(found[1] + found[2])
            tally.letters += item.counts.bases
            tally.iupac += item.counts.n_iupac
            tally.lower += item.counts.n_lower
    tally.lengths[length] += 1
    yield (path, name), tally


def _file(path: str, genome: str) -> Iterator[tuple[tuple[str, ...], Tally]]:
    for _, tally in _contigs_of_file(path):
        yield (path, genome), tally


def _genomes(path: str, by: By) -> Iterator[tuple[tuple[str, ...], Tally]]:
    """What ingest has counted; no base is read."""
    store = TokenStore.open(path)
    lengths = store.contigs.groupby("genome")["length"].apply(list).to_dict()
    splits = dict(zip(store.genomes["genome"], store.genomes["split"], strict=True))
    for about in store.meta["genomes"]:
        name, known = about["genome"], about["bases"] - about["n_N_tokens"]
        tally = Tally(
            lengths=Counter(lengths.get(name, [])), known=known,
            gc=round((about["gc"] or 0) * known), letters=about["bases"] + about["dropped_bases"],
            iupac=about["n_iupac"], lower=about["n_lower"],
        )  # fmt: skip
        yield (path, splits[name] if by == "split" else name), tally


def _contigs_of_store(path: str) -> Iterator[tuple[tuple[str, ...], Tally]]:
    """Each contig's tokens are read for its GC content; letters as they came are not known by contig."""
    store = TokenStore.open(path)
    names = list(zip(store.contigs["genome"], store.contigs["contig"], strict=True))
    for row, (genome, contig) in enumerate(files.progress(names, f"stats {path}", "contig")):
        tokens = store.whole(row)
        found = np.bincount(tokens, minlength=N + 1)
        tally = Tally(lengths=Counter([len(tokens)]), known=int(found[:N].sum()), gc=int(found[1] + found[2]))
        yield (path, f"{genome}:{contig}"), tally
