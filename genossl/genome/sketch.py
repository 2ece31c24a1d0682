"""k-mers as hashes: what share of a sequence's k-mers another one has, exactly for reads and by sketch for genomes.

A k-mer and its reverse complement are one; a k-mer with an N is none. Codes of at most 31 bases fit 62 bits and the
mixer is a bijection, so different k-mers never have equal hashes. A sketch keeps the hashes below 2**64 / scaled
(FracMinHash: Irber et al. 2022, bioRxiv 2022.01.11.475838), an even sample of the k-mers that is the same in every
genome, so that containments of sketches estimate those of genomes. Where every base of a copy was changed with
probability r, a k-mer survives with (1 - r)**k; read backwards, containment C stands for the identity C**(1/k) (Ondov
et al. 2016, Genome Biology 17:132; for containment Hera, Pierce-Ward and Koslicki 2023, Genome Research 33:1061).
"""

# L bases, M k-mers, Q rows that are looked for, H distinct k-mers of theirs

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from genossl.genome.alphabet import N

LARGEST_K = 31
BLOCK = 1 << 16  # bases hashed at once: the arrays of 64-bit numbers stay in the cache
WHOLE = 5000  # k-mers of a row up to which it is compared by all of them
BATCH = 8_000_000  # k-mers of rows that are held in one index: under 1 GB
PAIRS = 20_000_000  # pairs of a row and a row looked for that are counted at once


def mix(code_M: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers that leaves no pattern: the finaliser of SplitMix64 (Steele et al. 2014)."""
    h = code_M + np.uint64(0x9E3779B97F4A7C15)  # else AAAA...A would be hashed to 0
    h ^= h >> np.uint64(30)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(27)
    h *= np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return h


def hashes(tokens_L: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash, uint64 (M,), and start, int64 (M,), of each k-mer free of N, in the order of the sequence."""
    if not 1 <= k <= LARGEST_K:
        raise ValueError(f"k {k}: expected 1 to {LARGEST_K}")
    found = list(_blocks(tokens_L, k))
    if not found:
        return np.array([], np.uint64), np.array([], np.int64)
    return np.concatenate([h for h, _ in found]), np.concatenate([at for _, at in found])


def _blocks(tokens_L: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(hashes, starts) of a sequence piece by piece; memory does not grow with the sequence."""
    for begin in range(0, len(tokens_L) - k + 1, BLOCK):
        part = np.asarray(tokens_L[begin : begin + BLOCK + k - 1])
        hash_M = mix(_canonical(part, k))
        if part.max() < N:
            yield hash_M, np.arange(begin, begin + len(hash_M))
        else:
            unknown = np.concatenate([[0], np.cumsum(part >= N)])
            free = np.flatnonzero(unknown[k:] == unknown[:-k])
            yield hash_M[free], begin + free


def _canonical(tokens_L: np.ndarray, k: int) -> np.ndarray:
    """The smaller of the two base-4 codes of each k-mer, uint64 (L - k + 1,), put together from halves.

    A stretch of a + b bases reads f_a 4**b + f_b forwards and r_a + r_b 4**a backwards, so stretches of 1, 2, 4, 8 and
    16 bases make every k in a handful of passes.
    """
    forward = (tokens_L & 3).astype(np.uint64)
    backward = np.uint64(3) - forward
    n = len(tokens_L) - k + 1
    have, f, r, power = 0, np.zeros(0, np.uint64), np.zeros(0, np.uint64), 1
    while True:
        if k & power:
            if have:
                end = len(tokens_L) - have - power + 1
                f = (f[:end] << np.uint64(2 * power)) | forward[have : have + end]
                r = r[:end] | (backward[have : have + end] << np.uint64(2 * have))
            else:
                f, r = forward, backward
            have += power
        if have == k:
            return np.minimum(f[:n], r[:n])
        end = len(forward) - power
        shift = np.uint64(2 * power)
        forward = (forward[:end] << shift) | forward[power:]
        backward = backward[:end] | (backward[power:] << shift)
        power *= 2


def sketch(sequences: Iterable[np.ndarray], k: int, scaled: float = 1) -> np.ndarray:
    """The distinct hashes of all sequences below 2**64 / scaled, ascending; scaled 1 keeps every k-mer."""
    limit = _limit(scaled)
    kept = [h if limit is None else h[h < limit] for tokens in sequences for h, _ in _blocks(tokens, k)]
    return np.unique(np.concatenate(kept)) if kept else np.array([], np.uint64)


def _limit(scaled: float) -> np.uint64 | None:
    if scaled < 1:
        raise ValueError(f"scaled {scaled}: expected at least 1")
    return None if scaled == 1 else np.uint64(int(2**64 / scaled))


def identity(containment: np.ndarray | float, k: int) -> np.ndarray:
    """C**(1/k): the share of equal bases at which so many k-mers survive. 1 for 1, 0 for 0."""
    return np.asarray(containment, dtype=float) ** (1 / k)


def shared(sketches: Sequence[np.ndarray]) -> sparse.coo_array:
    """Hashes that each two of G sketches share, int32 (G, G), as the pairs that share any."""
    counts = np.array([len(s) for s in sketches])
    if not counts.sum():
        return sparse.coo_array((len(sketches), len(sketches)), dtype=np.int32)
    _, column = np.unique(np.concatenate(sketches), return_inverse=True)
    start = np.concatenate([[0], np.cumsum(counts)])
    has_GH = sparse.csr_array((np.ones(len(column), np.int32), column, start), shape=(len(counts), column.max() + 1))
    return sparse.coo_array(has_GH @ has_GH.T)


@dataclass(frozen=True)
class Index:
    """Which of Q rows have which k-mer: sequences of any number and length can be streamed past it."""

    k: int
    key_H: np.ndarray  # hashes, ascending
    rows_HQ: sparse.csr_array  # 1 where the row has the k-mer
    size_Q: np.ndarray  # k-mers of each row that are in the index
    near: np.ndarray  # bool: whether any key begins with these bits; answers nearly all questions with one look

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], k: int, whole: int = WHOLE) -> Index:
        """Rows of at most `whole` k-mers by all of them, longer ones by a sketch of about so many."""
        found = [sketch([row], k, max(1.0, (len(row) - k + 1) / whole)) for row in rows]
        size_Q = np.array([len(h) for h in found], dtype=np.int64)
        all_M = np.concatenate([*found, np.array([], np.uint64)])
        key_H, at_M = np.unique(all_M, return_inverse=True)
        row_M = np.repeat(np.arange(len(rows)), size_Q)
        table = sparse.csr_array((np.ones(len(at_M), np.int32), (at_M, row_M)), shape=(len(key_H), len(rows)))
        bits = min(27, max(12, int(np.ceil(np.log2(16 * max(1, len(key_H)))))))
        near = np.zeros(1 << bits, dtype=bool)
        near[key_H >> np.uint64(64 - bits)] = True
        return cls(k, key_H, table, size_Q, near)

    def find(self, tokens_L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the keys that occur in a sequence, and where they start; in the order of the sequence."""
        keys, starts = [np.array([], np.int64)], [np.array([], np.int64)]
        if len(self.key_H):
            shift = np.uint64(64 - len(self.near).bit_length() + 1)
            for hash_M, at_M in _blocks(tokens_L, self.k):
                maybe = np.flatnonzero(self.near[hash_M >> shift])
                hash_M, at_M = hash_M[maybe], at_M[maybe]
                place = np.minimum(np.searchsorted(self.key_H, hash_M), len(self.key_H) - 1)
                hit = self.key_H[place] == hash_M
                keys.append(place[hit])
                starts.append(at_M[hit])
        return np.concatenate(keys), np.concatenate(starts)

    def contained(self, others: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The share of each row's k-mers that occur anywhere in the others, and which other was the first to have most
        of these, -1 for none: two (Q,). A row without k-mers has 0."""
        owner_H = np.full(len(self.key_H), -1)
        for number, tokens in enumerate(others):
            key = self.find(tokens)[0]
            owner_H[key[owner_H[key] < 0]] = number
        key, row = self.rows_HQ.nonzero()
        key, row = key[owner_H[key] >= 0], row[owner_H[key] >= 0]
        share = np.bincount(row, minlength=len(self.size_Q)) / np.maximum(self.size_Q, 1)
        pair, count = np.unique(np.stack([row, owner_H[key]], 1), axis=0, return_counts=True)
        who, order = np.full(len(self.size_Q), -1), np.argsort(count, kind="stable")
        who[pair[order, 0]] = pair[order, 1]  # the commonest is written last
        return share, who

    def nearest(self, others: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """For each row the largest share of its k-mers that one of `others` has, and which, -1 for none: two (Q,)."""
        best, who = np.zeros(len(self.size_Q), np.int64), np.full(len(self.size_Q), -1)
        for first, block in _together(others, PAIRS // max(1, len(best))):
            key, at = self.find(block.tokens)
            pair = np.unique(np.searchsorted(block.end, at, side="right") * np.int64(len(self.key_H) + 1) + key)
            row, key = np.divmod(pair, len(self.key_H) + 1)
            has = sparse.csr_array((np.ones(len(row), np.int32), (row, key)), (len(block.end), len(self.key_H)))
            count = sparse.coo_array(has @ self.rows_HQ)
            other, own = count.coords
            before = best.copy()
            np.maximum.at(best, own, count.data)
            better = np.flatnonzero((count.data == best[own]) & (best[own] > before[own]))[::-1]
            who[own[better]] = first + other[better]  # backwards: the first of equals is written last and stays
        return best / np.maximum(self.size_Q, 1), who


@dataclass(frozen=True)
class _Block:
    tokens: np.ndarray  # several sequences, an N after each
    end: np.ndarray  # where each ends, its N included


def _together(sequences: Iterable[np.ndarray], most: int, bases: int = 1 << 20) -> Iterator[tuple[int, _Block]]:
    """(number of the first, block) of at most `most` sequences, about `bases` bases."""
    first, size, parts = 0, 0, []
    for tokens in sequences:
        parts.append(np.append(tokens, np.uint8(N)))
        size += len(parts[-1])
        if len(parts) >= most or size >= bases:
            yield first, _Block(np.concatenate(parts), np.cumsum([len(part) for part in parts]))
            first, size, parts = first + len(parts), 0, []
    if parts:
        yield first, _Block(np.concatenate(parts), np.cumsum([len(part) for part in parts]))


def batches(rows: Sequence[np.ndarray], k: int, held: int = BATCH) -> Iterator[Index]:
    """Indexes of consecutive rows of about `held` k-mers each: memory is bounded, whatever the number of rows."""
    first, size = 0, 0
    for i, row in enumerate(rows):
        size += min(max(len(row) - k + 1, 0), WHOLE)
        if size >= held or i + 1 == len(rows):
            yield Index.of(rows[first : i + 1], k)
            first, size = i + 1, 0


Stream = Callable[[], Iterable[np.ndarray]]  # sequences, from the first again at each call: once per batch of rows


def contained(rows: Sequence[np.ndarray], k: int, others: Stream) -> tuple[np.ndarray, np.ndarray]:
    """The share of each row's k-mers that occur anywhere in the others, and one that has many of them: two (Q,)."""
    return _joined([index.contained(others()) for index in batches(rows, k)])


def nearest(rows: Sequence[np.ndarray], k: int, others: Stream) -> tuple[np.ndarray, np.ndarray]:
    """For each row the largest share of its k-mers that one of the others has, and which, -1 for none: two (Q,)."""
    return _joined([index.nearest(others()) for index in batches(rows, k)])


def _joined(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not found:
        return np.array([]), np.array([], np.int64)
    return np.concatenate([share for share, _ in found]), np.concatenate([who for _, who in found])
