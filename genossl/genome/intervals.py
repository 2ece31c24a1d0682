"""Stretches of contigs that overlap; coordinates are 0-based and half-open."""

from __future__ import annotations

import numpy as np


def overlaps(
    contig_N: np.ndarray, start_N: np.ndarray, end_N: np.ndarray, query_N: np.ndarray, among_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What share of each query stretch the others cover together, and one that overlaps it, -1 for none: two (Q,).

    contig_N: a name or number for each stretch; query_N, among_N: which are asked about and which may cover (bool).
    """
    query, among = np.flatnonzero(query_N), np.flatnonzero(among_N)
    _, number_N = np.unique(contig_N, return_inverse=True)
    share_Q, who_Q = np.zeros(len(query)), np.full(len(query), -1)
    among = among[np.lexsort((start_N[among], number_N[among]))]
    first = np.searchsorted(number_N[among], np.arange(number_N.max(initial=0) + 2))
    for contig in np.unique(number_N[query]):
        rows = among[first[contig] : first[contig + 1]]
        own = np.flatnonzero(number_N[query] == contig)
        if len(rows):
            s, e = start_N[query[own]], end_N[query[own]]
            share_Q[own] = (_covered(start_N[rows], end_N[rows], e) - _covered(start_N[rows], end_N[rows], s)) / (e - s)
            furthest = _furthest(end_N[rows])
            last = np.searchsorted(start_N[rows], e, side="left") - 1  # of those that begin before the query ends
            candidate = rows[furthest[np.maximum(last, 0)]]
            hit = (last >= 0) & (end_N[candidate] > s)
            who_Q[own[hit]] = candidate[hit]
    return share_Q, who_Q


def _furthest(end_M: np.ndarray) -> np.ndarray:
    """For each i which of the first i + 1 ends furthest."""
    reach = np.maximum.accumulate(end_M)
    new = np.concatenate([[True], reach[1:] > reach[:-1]])
    return np.maximum.accumulate(np.where(new, np.arange(len(end_M)), 0))


def _covered(start_M: np.ndarray, end_M: np.ndarray, at_Q: np.ndarray) -> np.ndarray:
    """Bases before each position that the stretches, ascending by start, cover together."""
    reach = np.maximum.accumulate(end_M)
    before = np.concatenate([[start_M[0]], reach[:-1]])
    begin = np.maximum(start_M, before)  # what each adds to those before it begins here
    added = np.maximum(end_M - begin, 0)
    total = np.concatenate([[0], np.cumsum(added)])
    i = np.searchsorted(begin, at_Q, side="left")  # pieces that begin before the position; begin ascends
    last = np.maximum(i - 1, 0)
    beyond = np.where(i > 0, np.maximum(begin[last] + added[last] - at_Q, 0), 0)
    return total[i] - beyond
