"""Windows of the token store, drawn by (seed, step) alone.

There is no sampler state: the same seed and step give the same windows, so a run that was killed and resumed sees what
an unbroken one sees.
"""

# B windows, L bases

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from genossl.errors import InputError
from genossl.genome.alphabet import N

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

BLOCK = 1 << 20  # bases looked at together
REDRAWS = 8  # times that windows with too many N are drawn anew


def generator(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """The source of all randomness of one step; streams keep training, validation and statistics apart."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, step])))


@dataclasses.dataclass(frozen=True)
class Batch:
    """tokens uint8 (B, L), or (B, 2, L) for pairs; genome, contig: store rows int64 (B,); start: (B,) or (B, 2)."""

    tokens: Tensor
    genome: Tensor
    contig: Tensor
    start: Tensor
    protein: Tensor | None = None  # residues uint8 (B, M) of the sampler of genes
    gene: Tensor | None = None  # int64 (B,), equal for genes of one and the same protein


class Sampler(Protocol):
    """What draws a method's batches."""

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """n rows, all randomness from `rng`."""
        ...


class _Stretches:
    """Every start in the chosen contigs at which `need` bases follow, each equally likely."""

    def __init__(self, store: TokenStore, rows: np.ndarray, need: int) -> None:
        contigs = store.contigs.iloc[rows]
        usable = contigs[contigs["length"] >= need]
        if not len(usable):
            longest = int(contigs["length"].max()) if len(contigs) else 0
            raise InputError(
                f"no contig holds {need} bases, which one draw needs: there are {len(contigs)} contigs to draw from, "
                f"the longest has {longest}"
            )
        self.row = usable.index.to_numpy()
        self.offset = usable["offset"].to_numpy()
        self.length = usable["length"].to_numpy()
        starts = self.length - need + 1
        self.until = np.cumsum(starts)
        self.before = self.until - starts
        names = {name: i for i, name in enumerate(store.genomes["genome"])}
        self.genome = usable["genome"].map(names).to_numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the map is read-only and is never written
            self.tokens = torch.from_numpy(np.asarray(store.tokens))

    def starts(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which contig (index into row, offset, length) and which base of it, for n draws."""
        drawn = rng.integers(0, self.until[-1], n)
        which = np.searchsorted(self.until, drawn, "right")
        return which, drawn - self.before[which]

    def gather(self, which: np.ndarray, start: np.ndarray, length: int) -> Tensor:
        """uint8 (len(which), length): one strided view, one copy."""
        at = torch.from_numpy(self.offset[which] + start)
        return self.tokens.as_strided((len(self.tokens) - length + 1, length), (1, 1)).index_select(0, at)


class Windows:
    """One window of `length` bases per row."""

    def __init__(self, store: TokenStore, rows: np.ndarray, length: int, most_n: float = 1.0) -> None:
        self.length, self.most_n = length, most_n
        self.stretches = _Stretches(store, rows, length)
        self.bases = int(self.stretches.length.sum())  # of the contigs that windows come from

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Batch with tokens (n, length)."""
        s = self.stretches
        which, start = s.starts(n, rng)
        tokens_BL = s.gather(which, start, self.length)
        bad = _too_many_n(tokens_BL, self.most_n)
        for _ in range(REDRAWS):
            if not len(bad):
                break
            which[bad], start[bad] = s.starts(len(bad), rng)
            tokens_BL[bad] = s.gather(which[bad], start[bad], self.length)
            bad = bad[_too_many_n(tokens_BL[bad], self.most_n)]
        return Batch(tokens_BL, _tensor(s.genome[which]), _tensor(s.row[which]), _tensor(start))


class Pairs:
    """Two disjoint windows of one contig per row; the second starts 0 to `distance` bases after the first ends."""

    def __init__(self, store: TokenStore, rows: np.ndarray, length: int, distance: int, most_n: float = 1.0) -> None:
        self.length, self.distance, self.most_n = length, distance, most_n
        self.stretches = _Stretches(store, rows, 2 * length)

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Batch with tokens (n, 2, length) and start (n, 2)."""
        which, start_B2 = self._starts(n, rng)
        tokens_B2L = self._gather(which, start_B2)
        bad = _too_many_n(tokens_B2L, self.most_n)
        for _ in range(REDRAWS):
            if not len(bad):
                break
            which[bad], start_B2[bad] = self._starts(len(bad), rng)
            tokens_B2L[bad] = self._gather(which[bad], start_B2[bad])
            bad = bad[_too_many_n(tokens_B2L[bad], self.most_n)]
        s = self.stretches
        return Batch(tokens_B2L, _tensor(s.genome[which]), _tensor(s.row[which]), _tensor(start_B2))

    def _starts(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        s = self.stretches
        which, first = s.starts(n, rng)
        room = np.minimum(self.distance, s.length[which] - first - 2 * self.length)
        second = first + self.length + rng.integers(0, room + 1)
        return which, np.stack([first, second], 1)

    def _gather(self, which: np.ndarray, start_B2: np.ndarray) -> Tensor:
        s = self.stretches
        flat = s.gather(which.repeat(2), start_B2.reshape(-1), self.length)
        return flat.view(len(which), 2, self.length)


class Shuffled:
    """The null control: another sampler's batches with every known base (and residue) drawn anew, independently.

    Bases follow the frequencies of the contigs `rows`, residues those of the batch. Nothing is left to learn but these.
    """

    def __init__(self, sampler: Sampler, store: TokenStore, rows: np.ndarray) -> None:
        self.sampler = sampler
        self.share = composition(store, rows)

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """The other sampler's batch, shuffled."""
        batch = self.sampler.draw(n, rng)
        uniform = rng.random(batch.tokens.shape, np.float32)
        bases = torch.from_numpy(np.searchsorted(self.share.cumsum()[:3], uniform, "right").astype(np.uint8))
        protein = batch.protein
        if protein is not None:
            at = torch.from_numpy(rng.permutation(protein.numel()))
            protein = protein.flatten()[at].view(protein.shape)
        return dataclasses.replace(batch, tokens=torch.where(batch.tokens < N, bases, batch.tokens), protein=protein)


def composition(store: TokenStore, rows: np.ndarray) -> np.ndarray:
    """Shares of A, C, G and T among the known bases of the contigs `rows`, float64 (4,)."""
    contigs = store.contigs.iloc[rows]
    counts = np.zeros(N)
    for offset, length in zip(contigs["offset"], contigs["length"], strict=True):
        for start in range(offset, offset + length, BLOCK):
            tokens = store.tokens[start : min(start + BLOCK, offset + length)]
            counts += [np.count_nonzero(tokens == base) for base in range(N)]
    return counts / max(counts.sum(), 1)


def _too_many_n(tokens: Tensor, most_n: float) -> np.ndarray:
    """Rows of (B, L) or (B, 2, L) with a window whose share of N is larger."""
    if most_n >= 1:
        return np.empty(0, np.int64)
    flat = tokens.view(len(tokens), -1, tokens.shape[-1]).numpy()
    some = np.flatnonzero(flat.max((1, 2)) >= N)  # few rows of most genomes, and found faster than counted
    share = np.count_nonzero(flat[some] == N, axis=2).astype(np.float32) / np.float32(tokens.shape[-1])
    return some[(share > np.float32(most_n)).any(1)]


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).astype(np.int64))
