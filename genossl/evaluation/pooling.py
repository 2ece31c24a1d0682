"""What many windows say together about their contig or genome: means of evidence or vectors, by known bases."""

# N windows, K classes, C context channels

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Batch = tuple[list[dict[str, Any]], np.ndarray]  # rows of windows with start, end and n_N, and their vectors (N, C)


class Pool:
    """Sums over the windows of one contig or genome; which windows come together does not change them."""

    def __init__(self, n_classes: int) -> None:
        self.windows = 0
        self.known = 0  # bases that are not N in windows that were told; overlaps count twice
        self.evidence_K = np.zeros(n_classes)
        self.votes_K = np.zeros(n_classes)  # known bases of the windows that each class is largest in

    def add_(self, evidence_NK: np.ndarray, known_N: np.ndarray) -> None:
        """Windows, each weighing as much as it has known bases; none where its evidence is not finite."""
        told_N = np.isfinite(evidence_NK).all(1)
        self.windows += len(known_N)
        evidence_NK, weight_N = evidence_NK[told_N], known_N[told_N]
        self.known += int(weight_N.sum())
        self.evidence_K += weight_N @ evidence_NK
        self.votes_K += np.bincount(evidence_NK.argmax(1), weight_N, len(self.votes_K))

    def mean(self) -> np.ndarray:
        """Evidence (K,), for a head to answer; not a number where no base is known."""
        return self.evidence_K / self.known if self.known else np.full_like(self.evidence_K, np.nan)

    def agreement(self) -> float:
        """Share of the known bases that lie in windows of the pooled class; not a number where none is known."""
        return float(self.votes_K[self.mean().argmax()] / self.known) if self.known else float("nan")


def known(rows: list[dict[str, Any]]) -> np.ndarray:
    """Bases that are not N in each window: (N,)."""
    return np.array([int(row["end"]) - int(row["start"]) - int(row["n_N"]) for row in rows])


class MeanVectors:
    """One vector per contig or genome: the mean of its windows', each weighing as much as it has known bases.

    Windows are added one after the other in double precision, so that it does not matter which come together. Those
    that are wholly N weigh nothing; a contig or genome that has no others has no vector.
    """

    def __init__(self, by: str, genome: str) -> None:
        """by: contig or genome; genome: what the input is called where its rows do not say."""
        self.by, self.genome = by, genome
        self.unknown = 0  # windows without a known base
        self.without: list[str] = []  # ids without a vector
        self._row: dict[str, Any] | None = None
        self._contigs: set[str] = set()
        self._sum_C = np.zeros(0)

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Rows and vectors of contigs or genomes, each once the next one begins."""
        for rows, vectors_NC in batches:
            done = [self._add(*one) for one in zip(rows, known(rows).tolist(), vectors_NC.astype(float), strict=True)]
            yield from _batch(done)
        yield from _batch([self._end()])

    def _add(
        self, window: dict[str, Any], bases: int, vector_C: np.ndarray
    ) -> tuple[dict[str, Any], np.ndarray] | None:
        place = {
            name: window[name] for name in ("genome", "contig")[: 2 if self.by == "contig" else 1] if name in window
        }
        row = {"id": ":".join(place.values()) or self.genome, **(place or {"genome": self.genome})}
        done = None
        if self._row is None or row["id"] != self._row["id"]:
            done = self._end()
            self._row = {**row, "windows": 0, "known": 0}
            self._contigs, self._sum_C = set(), np.zeros_like(vector_C)
        assert self._row is not None
        if bases:
            self._row["windows"] += 1
            self._row["known"] += bases
            self._contigs.add(window["contig"])
            self._sum_C += bases * vector_C
        else:
            self.unknown += 1
        return done

    def _end(self) -> tuple[dict[str, Any], np.ndarray] | None:
        row, self._row = self._row, None
        if row is None:
            return None
        if not row["known"]:
            self.without.append(row["id"])
            return None
        if self.by == "genome":
            row["contigs"] = len(self._contigs)
        return row, (self._sum_C / row["known"]).astype(np.float32)


def _batch(done: list[tuple[dict[str, Any], np.ndarray] | None]) -> Iterator[Batch]:
    if whole := [one for one in done if one is not None]:
        yield [row for row, _ in whole], np.stack([vector_C for _, vector_C in whole])
