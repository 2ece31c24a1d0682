"""Query sequences and an index to hits: the nearest windows, or the nearest contigs or genomes of whole queries."""

# Q query windows, N rows of the index, G genomes or contigs

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, Literal

import numpy as np

from genossl.errors import InputError
from genossl.evaluation import nearest
from genossl.genome.inputs import Item
from genossl.model.index import Index

RARE = 0.99  # quantile of the background
HELD = 1 << 24  # similarities to contigs or genomes that are held at once
GROUPS = {"contig": ("genome", "contig"), "genome": ("genome",)}
COLUMNS = {
    "window": (
        "query", "query_start", "query_end", "rank", "genome", "contig", "start", "end", "similarity", "background",
    ),
    "contig": ("query", "rank", "genome", "contig", "similarity", "windows", "nearest"),
    "genome": ("query", "rank", "genome", "similarity", "windows", "nearest"),
}  # fmt: skip
Window = tuple[str | int, Item]  # of a query of that name
Hit = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `search`."""

    top: int = 10  # hits of a query window, or of a query
    by: Literal["window", "contig", "genome"] = "window"  # what is found; contigs and genomes for whole queries
    least: float = -1.0  # similarity below which nothing is told
    exclude: Literal["nothing", "overlap", "contig", "genome"] = "nothing"  # of what a query itself is part of
    background: int = 1000  # random rows of the index, which tell how similar 1 % of all are to a query window
    rows: int = 1024  # query windows held at once

    def __post_init__(self) -> None:
        if self.top < 1 or self.background < 1 or self.rows < 1 or not -1 <= self.least <= 1:
            raise ValueError("top, background and rows must be at least 1, least from -1 to 1")


def search(index: Index, windows: Iterable[Window], settings: Settings) -> Iterator[Hit]:
    """The hits of queries, in the order of the queries and from the best, with the cells of COLUMNS[settings.by].

    windows: each with the name of its query, those of one query together. One without a known base is not looked for.
    Of equal hits the first in the index stands first. Raises InputError.
    """
    if settings.by == "genome" and not index.rows["genome"].iloc[0]:
        raise InputError(f"{index.folder}: is of FASTA and knows no genomes; index a token store, or search by contig")
    known = ((name, item) for name, item in windows if not item.blank)
    return (_windows if settings.by == "window" else _groups)(index, known, settings)


def _windows(index: Index, windows: Iterator[Window], settings: Settings) -> Iterator[Hit]:
    chosen_S = np.random.default_rng(0).permutation(len(index.rows))[: settings.background]
    random_SC = np.asarray(index.vectors_NC[np.sort(chosen_S)], np.float64)
    excluded = Excluded(index, settings.exclude)
    places = [index.rows[name].to_numpy() for name in ("genome", "contig", "start", "end")]
    while some := list(islice(windows, settings.rows)):
        query_QC = index.vectors_of([item.tokens for _, item in some])
        hits = index.nearest(query_QC, settings.top, excluded.rows([item.row for _, item in some]))
        background_Q = np.quantile(np.round(query_QC @ random_SC.T, 9), RARE, axis=1)
        for (name, item), row_K, similarity_K, usual in zip(some, *hits, background_Q, strict=True):
            start = item.row.get("start", 0)
            query = (name, start, item.row.get("end", start + len(item.tokens)))
            for k, (row, similarity) in enumerate(zip(row_K, similarity_K, strict=True), 1):
                if similarity >= settings.least:  # of no row it is -inf
                    place = (column[row] for column in places)
                    cells = (*query, k, *place, round(float(similarity), 6), round(float(usual), 6))
                    yield dict(zip(COLUMNS["window"], cells, strict=True))


def _groups(index: Index, windows: Iterator[Window], settings: Settings) -> Iterator[Hit]:
    """A group's similarity to a query: over the query's windows the mean of that of the most similar row.

    `nearest` counts the query's windows whose most similar row of all lies there. Windows of many queries are compared
    at once; the last query of a block may go on in the next.
    """
    starts_G, excluded = index.starts(GROUPS[settings.by]), Excluded(index, settings.exclude)
    at_once = min(settings.rows, max(1, HELD // len(starts_G)))
    places = index.rows.loc[starts_G, list(GROUPS[settings.by])].to_numpy()
    query: _Query | None = None
    while some := list(islice(windows, at_once)):
        query_QC = index.vectors_of([item.tokens for _, item in some])
        without_Q2 = excluded.rows([item.row for _, item in some])
        best_QG = nearest.of_groups(query_QC, index.vectors_NC, starts_G, without_Q2)
        first = 0
        for name, own in groupby(name for name, _ in some):
            part = slice(first, first + sum(1 for _ in own))
            if query is None or query.name != name:
                if query is not None:
                    yield from query.hits(places, settings)
                query = _Query(name, len(starts_G))
            query.add_(best_QG[part])
            first = part.stop
    if query is not None:
        yield from query.hits(places, settings)


class _Query:
    """Sums over the windows of a query, for each group."""

    def __init__(self, name: str | int, groups: int) -> None:
        self.name, self.windows = name, 0
        self.total_G, self.nearest_G = np.zeros(groups), np.zeros(groups, int)

    def add_(self, best_QG: np.ndarray) -> None:
        self.total_G += best_QG.sum(0)
        self.nearest_G += np.bincount(best_QG.argmax(1), minlength=len(self.nearest_G))
        self.windows += len(best_QG)

    def hits(self, places: np.ndarray, settings: Settings) -> Iterator[Hit]:
        mean_G = np.round(self.total_G / self.windows, 9)
        for k, g in enumerate(np.argsort(-mean_G, kind="stable")[: settings.top], 1):
            if mean_G[g] >= settings.least:
                cells = (self.name, k, *places[g], round(float(mean_G[g]), 6), self.windows, int(self.nearest_G[g]))
                yield dict(zip(COLUMNS[settings.by], cells, strict=True))


class Excluded:
    """Which rows of an index a query is not to find: what it overlaps, or the contig or genome that it is from."""

    def __init__(self, index: Index, what: str) -> None:
        self.index, self.what = index, what
        self.ranges: dict[tuple[str, str], tuple[int, int]] = {}  # of a contig, or of its genome
        self.genomes: dict[str, list[str]] = {}  # that have a contig of that name
        if what == "nothing":
            return
        self.start_N, self.end_N = index.rows["start"].to_numpy(), index.rows["end"].to_numpy()
        genomes = self._ranges(("genome",))
        for (genome, contig), rows in self._ranges(("genome", "contig")).items():
            self.ranges[genome, contig] = genomes[genome,] if what == "genome" and genome else rows
            self.genomes.setdefault(contig, []).append(genome)

    def _ranges(self, by: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, int]]:
        starts = self.index.starts(by)
        names = zip(*(self.index.rows[name].iloc[starts] for name in by), strict=True)
        return dict(zip(names, zip(starts, [*starts[1:], len(self.index.rows)], strict=True), strict=True))

    def rows(self, queries: list[dict[str, Any]]) -> np.ndarray | None:
        """First and last (half-open) row of each, (Q, 2); None where nothing is excluded at all.

        Rows of a contig stand in the order of their starts, and so of their ends: those that overlap are neighbours.
        """
        if self.what == "nothing":
            return None
        found = np.zeros((len(queries), 2), int)
        for at, row in zip(found, queries, strict=True):
            contig = row.get("contig", row["id"])
            # FASTA knows no genomes, neither as a query nor as an index
            of = [genome for genome in self.genomes.get(contig, []) if genome in ("", row.get("genome", genome))]
            if len(of) > 1:
                raise InputError(
                    f"contig {contig!r} is in several genomes of the index; give a store, which says in which"
                )
            if of:
                first, last = self.ranges[of[0], contig]
                if self.what == "overlap":
                    start, end = row.get("start", 0), row.get("end", np.inf)
                    inside = slice(first, last)
                    last = first + np.searchsorted(self.start_N[inside], end, "left")
                    first += np.searchsorted(self.end_N[inside], start, "right")
                at[:] = first, last
        return found
