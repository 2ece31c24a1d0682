"""What many windows say together about their contig or genome: means of evidence or vectors, by known bases."""

# N windows, K classes, C context channels

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

_Pooled = tuple[dict[str, Any], np.ndarray]  # a row and its vector (C,)
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


class MeanVectors:
    """One vector per contig or genome: the mean of its windows', each weighing as much as it has known bases.

    The windows of one stand together. They are added one after the other in double precision, so that it does not
    matter which come in one batch. Those that are wholly N weigh nothing; who has no others has no vector.
    """

    def __init__(self, by: str, genome: str) -> None:
        """by: contig or genome; genome: what the input is called where its rows do not say."""
        self.columns, self.genome = ("genome", "contig") if by == "contig" else ("genome",), genome
        self.unknown = 0  # windows without a known base
        self.without: list[str] = []  # ids without a vector
        self._place: dict[str, str] | None = None  # whose windows come now, and of them:
        self._windows, self._known, self._sum_C = 0, 0, np.zeros(0)
        self._contigs: set[str] = set()

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Rows and vectors of contigs or genomes, each once the next one begins."""
        for rows, vectors_NC in batches:
            yield from _batch([self._add(*one) for one in zip(rows, vectors_NC.astype(float), strict=True)])
        yield from _batch([self._end()])

    def _add(self, window: dict[str, Any], vector_C: np.ndarray) -> _Pooled | None:
        place = {name: window[name] for name in self.columns if name in window}
        done = None
        if place != self._place:
            done = self._end()
            self._place, self._windows, self._known, self._sum_C = place, 0, 0, np.zeros_like(vector_C)
            self._contigs = set()
        if known := window["end"] - window["start"] - window["n_N"]:
            self._windows += 1
            self._known += known
            self._contigs.add(window["contig"])
            self._sum_C += known * vector_C
        else:
            self.unknown += 1
        return done

    def _end(self) -> _Pooled | None:
        if self._place is None:
            return None
        row = {"id": ":".join(self._place.values()) or self.genome, **(self._place or {"genome": self.genome})}
        if not self._known:
            self.without.append(row["id"])
            return None
        row |= {"windows": self._windows, "known": self._known}
        row |= {} if "contig" in self.columns else {"contigs": len(self._contigs)}
        return row, (self._sum_C / self._known).astype(np.float32)


def _batch(done: list[_Pooled | None]) -> Iterator[Batch]:
    if whole := [one for one in done if one is not None]:
        yield [row for row, _ in whole], np.stack([vector_C for _, vector_C in whole])
