"""What can be embedded: a labelled table, a token store or FASTA, as a stream of named sequences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.labels import read_labels
from genossl.genome.source import Source
from genossl.genome.store import TokenStore


class Item(NamedTuple):
    """One sequence and what it is called."""

    row: dict[str, Any]  # id, where it comes from, n_N, length
    tokens: np.ndarray  # uint8 (L,)


def read(
    path: str | Path,
    window: int,
    step: int,
    sequences: str | Path | None = None,
    part: tuple[int, int] | None = None,
) -> Iterator[Item]:
    """The sequences of any accepted input, told by what it is: a store, a table with id and label, else FASTA.

    A labelled table gives one sequence per row: its own, or the one at its coordinates in `sequences` (a store or
    FASTA). Stores and FASTA give windows of `window` bases every `step` (0: whole records). `part` (i, n), i from 1, is
    the i-th of n parts of a store's genomes, in their order and of about as many bases each.
    """
    if window < 0 or step < 0:
        raise InputError(f"window {window}, step {step}: expected 0 or more bases")
    path = Path(path)
    if (path / "store.json").is_file():
        return _windows(_of_contigs(TokenStore.open(path), part), window, step)
    if part:
        raise InputError(f"{path}: is no token store, of whose genomes there could be a part {part[0]}/{part[1]}")
    if is_table(path):
        return _labelled(path, sequences)
    return _windows((("", record.name, record.tokens) for record in fasta.records(path)), window, step)


def is_table(path: Path) -> bool:
    """Whether the file is a labelled table: its header line has the columns id and label."""
    if not path.is_file():
        return False
    try:
        with Source(path) as source:
            lines = source.head.replace(b"\r", b"\n").split(b"\n")
    except InputError:
        return False  # FASTA's own reader says what is wrong with it
    for line in lines:
        if line.strip() and not line.startswith(b"#"):
            return {b"id", b"label"} <= {name.strip() for name in line.split(b"\t")}
    return False


def starts(length: int, window: int, step: int) -> list[int]:
    """Where windows begin so that each base of a record is in one; the last window ends with the record.

    A record shorter than the window is one window of its own length; a step larger than the window leaves bases out.
    """
    if not window or length <= window:
        return [0]
    first = list(range(0, length - window + 1, step or window))
    return first if first[-1] + window == length else [*first, length - window]


def _genomes(store: TokenStore, part: tuple[int, int]) -> set[str]:
    """Names of the genomes of a part, of which each has one at least."""
    names, (i, n) = list(store.genomes["genome"]), part
    if not 1 <= i <= n <= len(names):
        raise InputError(f"part {i}/{n} of {store.folder}: expected 1/N to N/N, N at most its {len(names)} genomes")
    bases = store.contigs.groupby("genome")["length"].sum().reindex(names, fill_value=0).to_numpy()
    middle = np.cumsum(bases) - bases / 2
    first = np.searchsorted(middle, bases.sum() * np.arange(n + 1) / n)
    first = np.maximum.accumulate(first - np.arange(n + 1)) + np.arange(n + 1)  # one genome after the other at least
    first = np.minimum(first, len(names) - n + np.arange(n + 1))  # and some left for those to come
    return set(names[first[i - 1] : first[i] if i < n else None])


def _of_contigs(store: TokenStore, part: tuple[int, int] | None) -> Iterator[tuple[str, str, np.ndarray]]:
    c = store.contigs
    if part:
        c = c[c["genome"].isin(_genomes(store, part))]
    for row, genome, contig in zip(c.index, c["genome"], c["contig"], strict=True):
        yield genome, contig, store.whole(row)


def _windows(records: Iterator[tuple[str, str, np.ndarray]], window: int, step: int) -> Iterator[Item]:
    for genome, contig, tokens in records:
        for start in starts(len(tokens), window, step):
            part = np.asarray(tokens[start : start + window] if window else tokens)
            end = start + len(part)
            place = {"genome": genome} if genome else {}
            name = f"{genome}:{contig}:{start}-{end}" if genome else f"{contig}:{start}-{end}"
            yield Item(
                {"id": name, **place, "contig": contig, "start": start, "end": end, "n_N": int((part == N).sum())}, part
            )


def _labelled(path: Path, sequences: str | Path | None) -> Iterator[Item]:
    table = read_labels(path, empty=True)  # labels play no part here
    if "sequence" in table:
        for name, letters in zip(table["id"], table["sequence"], strict=True):
            try:
                tokens = fasta.tokenise(letters.encode()).tokens
            except fasta.BadLetter as error:
                raise InputError(f"{path}: sequence of id {name!r}: {error}") from None
            if not len(tokens):
                raise InputError(f"{path}: id {name!r} has no sequence")
            yield Item({"id": name, "length": len(tokens), "n_N": int((tokens == N).sum())}, tokens)
        return
    if "start" not in table:
        raise InputError(f"{path}: expected a column sequence, or contig, start and end")
    if sequences is None:
        raise InputError(f"{path}: holds coordinates; say where the sequences are: --sequences STORE or FASTA")
    for (name, genome, contig, start, end, strand), tokens in cut(path, table, sequences):
        place = {} if genome is None else {"genome": genome}
        place |= {"contig": contig, "start": start, "end": end, "strand": strand}
        yield Item({"id": name, **place, "n_N": int((tokens == N).sum())}, tokens)


def cut(path: Path, table: pd.DataFrame, sequences: str | Path) -> Iterator[tuple[tuple, np.ndarray]]:
    """(id, genome or None, contig, start, end, strand) of each row of a table of `path`, and its tokens there.

    sequences: a store, or FASTA whose records are the contigs; the genome plays no part then.
    """
    strands = table["strand"] if "strand" in table else ["+"] * len(table)
    genomes = table["genome"] if "genome" in table else [None] * len(table)
    places = list(zip(table["id"], genomes, table["contig"], table["start"], table["end"], strands, strict=True))
    if (Path(sequences) / "store.json").is_file():
        found = _of_store(path, TokenStore.open(sequences), places)
    else:
        requests = [(contig, start, end, "-" if strand == "-" else "+") for _, _, contig, start, end, strand in places]
        found = iter(fasta.fetch(sequences, requests))
    yield from zip(places, found, strict=True)


def _of_store(path: Path, store: TokenStore, places: list[tuple]) -> Iterator[np.ndarray]:
    c = store.contigs[store.contigs["contig"].isin({place[2] for place in places})]
    rows: dict[tuple, list[int]] = {}  # looked up once: there may be a million places on as many contigs
    for row, genome, contig in zip(c.index, c["genome"], c["contig"], strict=True):
        for key in ((genome, contig), (None, contig)):
            rows.setdefault(key, []).append(row)
    contigs: dict[int, np.ndarray] = {}  # each is checked once
    for name, genome, contig, start, end, strand in places:
        if len(rows.get((genome, contig), ())) != 1:
            store.contig(contig, genome)  # says what is wrong
        row = rows[genome, contig][0]
        if row not in contigs:
            contigs[row] = store.whole(row)
        if end > len(contigs[row]):
            raise InputError(f"{path}: id {name!r} ends at {end}; {contig} has {len(contigs[row])} bases")
        part = np.asarray(contigs[row][start:end])
        yield reverse_complement(part) if strand == "-" else part
