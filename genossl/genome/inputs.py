"""What can be embedded: a labelled table, a token store or FASTA, as a stream of named sequences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.labels import read_labels
from genossl.genome.places import Known, Places
from genossl.genome.source import Source, stem
from genossl.genome.store import TokenStore, is_store


class Item(NamedTuple):
    """One sequence and what it is called."""

    row: dict[str, Any]  # id, where it comes from, n_N, length
    tokens: np.ndarray  # uint8 (L,)

    @property
    def blank(self) -> bool:
        """Whether it is wholly N: like any other such sequence, and like nothing that is known."""
        return self.row["n_N"] == len(self.tokens)


class Contig(NamedTuple):
    """One contig of a store or record of FASTA."""

    number: int  # in the input, from 0
    genome: str  # "" of FASTA
    name: str
    tokens: np.ndarray  # uint8 (L,)


def read(
    path: str | Path,
    window: int,
    step: int,
    sequences: str | Path | None = None,
    part: tuple[int, int] | None = None,
    places: Places | None = None,
) -> Iterator[Item]:
    """The sequences of any accepted input, told by what it is: a store, a table with id and label, else FASTA.

    A labelled table gives one sequence per row: its own, or the one at its coordinates in `sequences` (a store or
    FASTA). Stores and FASTA give windows of `window` bases every `step` (0: whole records), of `places` alone where
    they are given. `part` (i, n), i from 1, is the i-th of n parts of a store's genomes, in their order and of about as
    many bases each.
    """
    if window < 0 or step < 0:
        raise InputError(f"window {window}, step {step}: expected 0 or more bases")
    path = Path(path)
    wanted = None
    if is_store(path):
        wanted = None if part is None else _genomes(TokenStore.open(path), part)
    elif part:
        raise InputError(f"{path}: is no token store, of whose genomes there could be a part {part[0]}/{part[1]}")
    elif is_table(path):
        if places is not None:
            raise InputError(f"{path}: is a labelled table, whose rows are its regions; expected FASTA or a store")
        return _labelled(path, sequences)
    found = contigs(path, wanted)
    return (item for contig in found for item in windows(contig, window, step, places))


def known(path: str | Path) -> list[Known]:
    """Genome, name and length of each contig of a store or FASTA, in order; FASTA is read through once."""
    path = Path(path)
    if is_store(path):
        c = TokenStore.open(path).contigs
        return [Known(*row) for row in zip(c["genome"], c["contig"], c["length"].tolist(), strict=True)]
    if is_table(path):
        raise InputError(f"{path}: is a labelled table, which has no contigs; expected FASTA or a store")
    found: list[Known] = []
    for piece in fasta.scan(path):
        if isinstance(piece, fasta.Header):
            found.append(Known("", piece.name, 0))
        else:
            found[-1] = found[-1]._replace(length=found[-1].length + len(piece.tokens))
    return found


def contigs(path: str | Path, wanted: Collection[int] | None = None) -> Iterator[Contig]:
    """Contigs of a store or FASTA, one in memory at a time; `wanted`: only those of these numbers."""
    path = Path(path)
    if is_store(path):
        store = TokenStore.open(path)
        rows = zip(store.contigs.index, store.contigs["genome"], store.contigs["contig"], strict=True)
        return (Contig(i, of, name, store.whole(i)) for i, of, name in rows if wanted is None or i in wanted)
    records = enumerate(fasta.records(path))
    return (Contig(i, "", record.name, record.tokens) for i, record in records if wanted is None or i in wanted)


def share(bases: Sequence[int], part: tuple[int, int], of: str | Path, what: str) -> range:
    """Which things, that have so many bases, are in part (i, n): neighbours, one at least, about equal in bases.

    of, what: whose they are and what, for the message of InputError.
    """
    total, (i, n) = len(bases), part
    if not 1 <= i <= n <= total:
        raise InputError(f"part {i}/{n} of {of}: expected 1/N to N/N, N at most its {total} {what}")
    size = np.asarray(bases)
    middle = np.cumsum(size) - size / 2
    first = np.searchsorted(middle, size.sum() * np.arange(n + 1) / n)
    first = np.maximum.accumulate(first - np.arange(n + 1)) + np.arange(n + 1)  # one after the other at least
    first = np.minimum(first, total - n + np.arange(n + 1))  # and some left for those to come
    return range(int(first[i - 1]), int(first[i]) if i < n else total)


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


def name_of(path: str | Path) -> str:
    """What FASTA is called as a genome: the file's name without its endings."""
    return "-" if str(path) == "-" else stem(Path(path))


def window_bases(window: int, learnt: int) -> int:
    """A window as `read` takes it, 0 for whole records, of one as settings have it: 0 as `learnt`, -1 whole records."""
    return {-1: 0, 0: learnt}.get(window, window)


def starts(length: int, window: int, step: int) -> list[int]:
    """Where windows begin so that each base of a record is in one; the last window ends with the record.

    A record shorter than the window is one window of its own length; a step larger than the window leaves bases out.
    """
    if not window or length <= window:
        return [0]
    first = list(range(0, length - window + 1, step or window))
    return first if first[-1] + window == length else [*first, length - window]


def windows(contig: Contig, window: int, step: int, places: Places | None = None) -> Iterator[Item]:
    """Windows of a contig, or of its places alone: those begin where the place begins, and end with it."""
    genome, name, tokens = contig.genome, contig.name, contig.tokens
    of = {"genome": genome} if genome else {}
    if places is None:
        for start in starts(len(tokens), window, step):
            part = np.asarray(tokens[start : start + window] if window else tokens)
            end = start + len(part)
            row = {"id": f"{genome}:{name}:{start}-{end}" if genome else f"{name}:{start}-{end}", **of}
            yield Item(row | {"contig": name, "start": start, "end": end, "n_N": int((part == N).sum())}, part)
        return
    for place in places.get((genome, name), ()):
        for start in starts(place.end - place.start, window, step):
            start += place.start
            end = min(start + window, place.end) if window else place.end
            part = np.asarray(tokens[start:end])
            row = {"id": f"{place.name}:{start}-{end}" if window else place.name, **of, "contig": name}
            row |= {"start": start, "end": end, "strand": place.strand, "region": place.name}
            row["n_N"] = int((part == N).sum())
            yield Item(row, reverse_complement(part) if place.strand == "-" else part)


def _genomes(store: TokenStore, part: tuple[int, int]) -> set[int]:
    """Contigs of the genomes of a part, of which each has one at least."""
    names = list(store.genomes["genome"])
    bases = store.contigs.groupby("genome")["length"].sum().reindex(names, fill_value=0).tolist()
    at = share(bases, part, store.folder, "genomes")
    return set(np.flatnonzero(store.contigs["genome"].isin(names[at.start : at.stop])).tolist())


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
    if is_store(sequences):
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
