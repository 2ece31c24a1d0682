"""What is read and trained on: generated FASTA, the same from the same seed, and the token store made of it."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

PARTS = 4  # files of which the whole FASTA is made
LINE = 80  # bases of a line
RECORD = 320_000  # bases of a record, about
STRETCH = 300  # bases that are in lower case, or N, together
LOWER, UNKNOWN = 0.12, 0.002  # shares of such stretches
AMBIGUOUS = b"RYSWKM"
CODES = bytes(b"ACGT".find(letter) % 5 for letter in bytes(range(256)).upper())  # A, C, G, T: 0 to 3, the rest: 4


@dataclass(frozen=True)
class Data:
    """Files in a folder, made when they are first asked for."""

    folder: Path
    tiny: bool

    @property
    def bases(self) -> int:
        """Of the whole FASTA."""
        return 400_000 if self.tiny else 200_000_000

    @cached_property
    def parts(self) -> list[str]:
        """FASTA files with names that differ."""
        paths = [self.folder / f"part{i}.fa" for i in range(PARTS)]
        for i, path in enumerate(paths):
            write_fasta(path, self.bases // PARTS, seed=i)
        return list(map(str, paths))

    @cached_property
    def fasta(self) -> str:
        """All parts as one file, with the index that pyfaidx wants."""
        import pyfaidx

        path = self.folder / "all.fa"
        with path.open("wb") as whole:
            for part in self.parts:
                with open(part, "rb") as stream:
                    shutil.copyfileobj(stream, whole, 1 << 20)
        pyfaidx.Faidx(str(path)).close()
        return str(path)

    @cached_property
    def gz(self) -> str:
        """The first part, packed as gzip packs by default."""
        path = self.folder / "part0.fa.gz"
        with open(self.parts[0], "rb") as stream, gzip.open(path, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(stream, packed, 1 << 20)
        return str(path)

    @cached_property
    def store(self) -> str:
        """The whole FASTA as a token store."""
        from genossl.verbs import ingest

        ingest.run([self.fasta], self.folder / "store")
        return str(self.folder / "store")


def write_fasta(path: Path, bases: int, seed: int) -> None:
    """Records of GC 30 to 70 %, with soft-masked stretches, runs of N and single ambiguity codes."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as stream:
        for i, length in enumerate(_lengths(rng, bases)):
            stream.write(b">part%d_contig%d generated\n" % (seed, i))
            letters = _letters(rng, length)
            whole = length - length % LINE
            lines = np.full((whole // LINE, LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE] = letters[:whole].reshape(-1, LINE)
            stream.write(lines.tobytes())
            if length > whole:
                stream.write(letters[whole:].tobytes() + b"\n")


def _lengths(rng: np.random.Generator, bases: int) -> np.ndarray:
    """Lengths of records, from short to long, that add up to `bases`."""
    records = max(2, bases // RECORD)
    cuts = np.sort(rng.choice(np.arange(1, bases // 1000), records - 1, replace=False)) * 1000
    return np.diff(np.concatenate([[0], cuts, [bases]]))


def _letters(rng: np.random.Generator, length: int) -> np.ndarray:
    gc = rng.uniform(0.3, 0.7)
    shares = np.cumsum([(1 - gc) / 2, gc / 2, gc / 2])
    letter = np.frombuffer(b"ACGT", np.uint8)[np.searchsorted(shares, np.arange(256) / 256, "right")]
    letters = letter[rng.integers(0, 256, length, np.uint8)]
    ambiguous = rng.integers(0, length, length // 100_000)
    letters[ambiguous] = rng.choice(np.frombuffer(AMBIGUOUS, np.uint8), len(ambiguous))
    kind = rng.random(length // STRETCH + 1).repeat(STRETCH)[:length]
    letters[kind < LOWER] |= 32
    letters[kind > 1 - UNKNOWN] = ord("N")
    return letters
