"""k-mers as numbers: base-4 codes, kinds with both strands counted as one, whole-sequence profiles."""

# B sequences, L bases, V kinds of k-mer

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch
from torch import Tensor

from genossl.genome.alphabet import N

BLOCK = 1 << 19  # bases and counts held at once: large enough that a call's cost is none
END = np.array([N], np.uint8)


@functools.cache
def kinds(k: int, canonical: bool = True) -> tuple[np.ndarray, int]:
    """For each of the 4**k codes its kind, int64, and the number of kinds V.

    With `canonical` a k-mer and its reverse complement are of one kind: V = (4**k + 4**(k/2)) / 2 for even k, 4**k / 2
    for odd k (an odd k-mer is never its own reverse complement).
    """
    code = np.arange(4**k, dtype=np.int64)
    if not canonical:
        return code, len(code)
    other, rest = np.zeros_like(code), code.copy()
    for _ in range(k):
        other, rest = other * 4 + (3 - rest % 4), rest // 4
    distinct, kind = np.unique(np.minimum(code, other), return_inverse=True)
    return kind.astype(np.int64), len(distinct)


def codes(tokens_BL: Tensor, k: int) -> Tensor:
    """Base-4 code of the k-mer that starts at each base, int64 (B, L - k + 1); 4**k where it holds an N or a MASK."""
    return _codes(tokens_BL, k).long()


def _codes(tokens_BL: Tensor, k: int) -> Tensor:
    """`codes` in the smaller integers in which they are made. An N or a MASK, as a digit, is 4**k or more."""
    digit_BL = tokens_BL.to(torch.int32 if k <= 8 else torch.int64)
    digit_BL = torch.add(digit_BL, digit_BL & 4, alpha=4 ** (k - 1))
    code, width = digit_BL, 1
    for bit in f"{k:b}"[1:]:  # as powers by squaring: 6 = 2 (2 + 1)
        code, width = _join(code, width, code, width), 2 * width
        if bit == "1":
            code, width = _join(code, width, digit_BL, 1), width + 1
    return code.clamp(max=4**k)


def _join(left: Tensor, width: int, right: Tensor, more: int) -> Tensor:
    """Each code of `width` digits with the one of `more` digits that follows it."""
    n = max(0, right.shape[1] - width)
    return torch.add(right[:, width:], left[:, :n], alpha=4**more)


def profiles(sequences: list[np.ndarray], k: int, canonical: bool = True) -> np.ndarray:
    """k-mer frequencies of each sequence, float32 (n, V); each row sums to 1, or is 0 without a k-mer free of N."""
    kind, v = kinds(k, canonical)
    kind = torch.from_numpy(np.append(kind, v).astype(np.int32))
    shares = np.empty((len(sequences), v), np.float32)
    work = np.cumsum([len(tokens) + v + 1 for tokens in sequences])
    firsts = np.flatnonzero(np.diff(work // BLOCK, prepend=-1))
    for first, last in itertools.pairwise([*firsts, len(sequences)]):
        length = np.array([len(tokens) for tokens in sequences[first:last]])
        counts = _counts(sequences[first:last], length, k, kind)
        known = np.maximum(length[:, None] + 1 - counts[:, v:], 1).astype(np.float32)
        np.divide(counts[:, :v], known, out=shares[first:last], dtype=np.float32, casting="unsafe")
    return shares


def _counts(sequences: list[np.ndarray], length: np.ndarray, k: int, kind: Tensor) -> np.ndarray:
    """Counts of all kinds, int32 (n, V + 1), read from one array in which an N follows each sequence and k the last.

    So each sequence has length + 1 k-mers, and those that cross its end are among the ones with an N.
    """
    n, v = len(sequences), int(kind[-1])
    flat = np.concatenate([part for tokens in sequences for part in (tokens, END)] + [END] * (k - 1))
    ends = np.cumsum(length + 1)
    first = np.arange(0, n * (v + 1), v + 1, dtype=np.int32)  # of each sequence's counts
    counts = torch.zeros(n * (v + 1), dtype=torch.int32)
    one = torch.ones(1, dtype=torch.int32)
    for start in range(0, ends[-1], BLOCK):
        part = torch.from_numpy(flat[start : start + BLOCK + k - 1])[None]
        at = kind.index_select(0, _codes(part, k)[0])
        here = np.diff(np.clip(ends, start, start + len(at)), prepend=start)  # bases of each sequence in this part
        at += torch.from_numpy(np.repeat(first, here))
        counts.index_add_(0, at, one.expand(len(at)))
    return counts.view(n, v + 1).numpy()


def gc(sequences: list[np.ndarray]) -> np.ndarray:
    """Share of G and C among the known bases, float32 (n, 1); 0.5 where none is known."""
    known = np.array([np.count_nonzero(s < 4) for s in sequences])
    strong = np.array([np.count_nonzero((s == 1) | (s == 2)) for s in sequences])
    return np.where(known > 0, strong / np.maximum(known, 1), 0.5).astype(np.float32)[:, None]
