"""Markov models of DNA of every order up to k, by counting: what a language model of DNA has to beat.

    P(x_t = a | c) = (n(c a) + 1/2) / (n(c) + 2),   c the k bases before t,   bits = -log2 P

n counts both strands of the training sequences; 1/2 is the prior of Krichevsky and Trofimov (1981, doi
10.1109/TIT.1981.1056331), so a context never seen gives 2 bits. The first bases of a sequence, and those after an N,
are predicted from as many bases as there are.
"""

# L bases, K orders from 0 to k, V kinds of (j + 1)-mer

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genossl.genome.alphabet import N, reverse_complement

HIGHEST = 12  # order: its counts take 270 MB
BLOCK = 1 << 20  # bases looked at at once


class Markov:
    """Counts of all (j + 1)-mers, j = 0 ... k, of what was read."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.counts = [np.zeros(4 ** (j + 1), np.uint32) for j in range(order + 1)]  # [context, base], flat
        self._seen: list[np.ndarray] | None = None  # how often each context was followed by a known base

    def read(self, tokens_L: np.ndarray) -> None:
        """Count the (j + 1)-mers of a sequence and of its reverse complement; those with N count nowhere."""
        self._seen = None
        for strand_L in (tokens_L, reverse_complement(np.asarray(tokens_L))):
            for j, code, _ in _contexts(strand_L, self.order):
                np.add.at(self.counts[j], code, 1)

    def probabilities(self, order: int) -> np.ndarray:
        """P(base | context) of one order, float64 (4**order, 4); contexts as base-4 numbers, the first base highest."""
        counts = self.counts[order].reshape(-1, 4).astype(float)
        return (counts + 0.5) / (counts.sum(1, keepdims=True) + 2)

    def bits(self, tokens_L: np.ndarray) -> np.ndarray:
        """Bits of a sequence's known bases, float64 (K,): a sum for each order from 0 to k."""
        if self._seen is None:
            self._seen = [counts.reshape(-1, 4).sum(1) for counts in self.counts]
        sums_K, bits_L = np.zeros(self.order + 1), np.zeros(min(len(tokens_L), BLOCK))
        for j, code, at in _contexts(tokens_L, self.order):
            if j == 0:
                bits_L[:] = 0
            # where j bases are known the order below is written over, elsewhere it stays
            bits_L[at] = np.log2(self._seen[j][code >> 2] + 2.0) - np.log2(self.counts[j][code] + 0.5)
            sums_K[j] += bits_L.sum()
        return sums_K


def _contexts(tokens_L: np.ndarray, order: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Block by block and for each j up to `order`: j, codes of the (j + 1)-mers without N, where in the block they end.

    A (j + 1)-mer may begin before its block.
    """
    for first in range(0, len(tokens_L), BLOCK):
        until = min(first + BLOCK, len(tokens_L))
        base_L = np.full(until - first + order, N, np.uint8)  # N before the sequence
        inside = np.asarray(tokens_L[max(0, first - order) : until])
        base_L[len(base_L) - len(inside) :] = inside
        code_L = np.zeros(until - first, np.int64)
        known_L = np.ones(until - first, bool)
        for j in range(order + 1):
            at_L = base_L[order - j : len(base_L) - j]
            known_L &= at_L < N
            code_L += at_L.astype(np.int64) << 2 * j
            at = np.flatnonzero(known_L)
            yield j, code_L[at], at
