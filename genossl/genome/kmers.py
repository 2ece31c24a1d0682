"""k-mers as numbers: base-4 codes, kinds with both strands counted as one, whole-sequence profiles."""

# B sequences, L bases, V kinds of k-mer

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor


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
    base_BL = tokens_BL.int()
    n = base_BL.shape[1] - k + 1
    code = torch.zeros_like(base_BL[:, :n])
    unknown = torch.zeros_like(code, dtype=torch.bool)
    for i in range(k):
        at = base_BL[:, i : i + n]
        code = code * 4 + at.clamp(max=3)
        unknown |= at > 3
    return code.masked_fill(unknown, 4**k).long()


def profiles(sequences: list[np.ndarray], k: int, canonical: bool = True) -> np.ndarray:
    """k-mer frequencies of each sequence, float32 (n, V); each row sums to 1, or is 0 without a k-mer free of N."""
    kind, v = kinds(k, canonical)
    kind = np.append(kind, v)
    counts = np.zeros((len(sequences), v + 1), np.float32)
    for row, tokens in zip(counts, sequences, strict=True):
        if len(tokens) >= k:
            code = codes(torch.from_numpy(np.array(tokens, copy=True))[None], k)[0].numpy()
            row += np.bincount(kind[code], minlength=v + 1)
    counts = counts[:, :v]
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def gc(sequences: list[np.ndarray]) -> np.ndarray:
    """Share of G and C among the known bases, float32 (n, 1); 0.5 where none is known."""
    known = np.array([(s < 4).sum() for s in sequences])
    strong = np.array([((s == 1) | (s == 2)).sum() for s in sequences])
    return np.where(known > 0, strong / np.maximum(known, 1), 0.5).astype(np.float32)[:, None]
