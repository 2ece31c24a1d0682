"""The token store: every base of a collection as one byte of one flat file, and a table that says whose it is.

A folder with `tokens.bin` (uint8), `contigs.tsv` (where each contig lies), `genomes.tsv` (split and metadata),
`features.tsv` where annotation came along, and `store.json`, written last.
"""

from __future__ import annotations

import collections
import csv
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.files import check_seal, read_json, sealed, sha256, tsv_line, write_json, write_tsv
from genossl.genome.alphabet import N

FORMAT = 2
CONTIGS = ("genome", "contig", "offset", "length", "n_N", "source", "sha256")
FEATURES = (
    "genome", "contig", "start", "end", "strand", "type", "id", "product", "translation",
    "parts",  # start-end,..., read 5' to 3'; "" for one piece
    "phase",  # bases before the first whole codon
    "table",  # number of the genetic code; "" where the record does not say
    "flags",  # pseudo, partial
)  # fmt: skip
FEATURE_TYPES = ("CDS", "gene", "rRNA", "tRNA")


def is_store(path: str | Path) -> bool:
    """Whether a folder is a token store."""
    return (Path(path) / "store.json").is_file()


@dataclass(frozen=True)
class TokenStore:
    """A store opened for reading; the bases stay on disk until they are looked at.

    Attributes
    ----------
    folder : Path
        Where it lies.
    tokens : numpy.ndarray
        uint8, flat, memory-mapped, read-only: A, C, G, T = 0..3, N = 4.
    contigs : pandas.DataFrame
        genome, contig, offset, length, n_N, source, sha256 of each contig.
    genomes : pandas.DataFrame
        genome, split ("" where none was given) and metadata as text, in the order of the input.
    meta : dict
        What store.json says.

    Examples
    --------
    >>> store = genossl.TokenStore.open(store)
    >>> store.genomes["split"].tolist(), len(store.contigs), f"{len(store.tokens):,} bases"
    (['train', 'validation', 'test'], 6, '18,000 bases')
    >>> store.contig("train_0")[:8].shape
    (8,)
    """

    folder: Path
    tokens: np.ndarray  # uint8, flat, memory-mapped, read-only
    contigs: pd.DataFrame  # genome, contig, offset, length, n_N (tokens that are N), source, sha256 (of the tokens)
    genomes: pd.DataFrame  # genome, split ("" where none was given), metadata as strings; in the order of the input
    meta: dict[str, Any]  # store.json

    @classmethod
    def open(cls, folder: str | Path) -> TokenStore:
        """Raises InputError where the folder is no store, is damaged or was written by a newer version."""
        folder = Path(folder)
        if not is_store(folder):
            raise InputError(f"{folder}: no token store (no store.json); make one: genossl ingest PATH --out {folder}")
        meta = read_json(folder / "store.json")
        found = meta.get("format") if isinstance(meta, dict) else None
        if found != FORMAT:
            raise InputError(
                f"{folder / 'store.json'}: has format {found}, this version reads format {FORMAT}; "
                f"rebuild the store with: genossl ingest PATH --out {folder}"
            )
        check_seal(folder / "store.json", meta)
        for name in ("contigs.tsv", "genomes.tsv"):
            _same(folder, name, meta)
        path = folder / "tokens.bin"
        contigs = _table(folder / "contigs.tsv", CONTIGS, ("offset", "length", "n_N"))
        size, expected = _size(path), int(contigs.length.sum())
        if size != expected:
            raise InputError(f"{path}: has {size:,} bytes, expected {expected:,} as in contigs.tsv; rebuild the store")
        return cls(
            folder=folder,
            tokens=np.memmap(path, np.uint8, "r"),
            contigs=contigs,
            genomes=_table(folder / "genomes.tsv", ("genome", "split")),
            meta=meta,
        )

    def contig(self, name: str, genome: str | None = None) -> np.ndarray:
        """Tokens of one contig; the genome must be given where several have a contig of this name."""
        rows = self.contigs[self.contigs.contig == name]
        if genome is not None:
            rows = rows[rows.genome == genome]
        if len(rows) == 1:
            return self.whole(int(rows.index[0]))
        if rows.empty:
            raise InputError(f"{self.folder}: no contig {name!r}" + (f" in genome {genome!r}" if genome else ""))
        raise InputError(f"{self.folder}: contig {name!r} is in {len(rows)} genomes, expected one; say which genome")

    def whole(self, row: int) -> np.ndarray:
        """Tokens of the contig in a row of the table; InputError where they are not those that were written."""
        at: Any = self.contigs.at
        tokens = self.tokens[at[row, "offset"] : at[row, "offset"] + at[row, "length"]]
        if hashlib.sha256(tokens.data).hexdigest() != at[row, "sha256"]:
            raise InputError(
                f"{self.folder / 'tokens.bin'}: contig {at[row, 'contig']!r} of genome {at[row, 'genome']!r} "
                "differs from what ingest wrote (sha256); rebuild the store"
            )
        return tokens

    def select(self, splits: set[str]) -> np.ndarray:
        """Row numbers of the contigs whose genome's split is one of `splits`."""
        genomes = self.genomes.genome[self.genomes.split.isin(splits)]
        return np.flatnonzero(self.contigs.genome.isin(genomes))

    def features(self) -> pd.DataFrame:
        """Genes as FEATURES names them, 0-based and half-open; no row where no annotation came along."""
        path = self.folder / "features.tsv"
        numbers = ("start", "end", "phase")
        if "features.tsv" in self.meta["sha256"]:
            _same(self.folder, "features.tsv", self.meta)
            return _table(path, FEATURES, numbers)
        return pd.DataFrame(columns=list(FEATURES), dtype=object).astype(dict.fromkeys(numbers, int))

    def checksum(self) -> str:
        """SHA-256 that stands for tokens and all tables, as recorded when the store was written."""
        return self.meta["checksum"]

    def verify(self) -> None:
        """Read everything again; raises InputError where a file differs from what was written."""
        for name in self.meta["sha256"]:
            _same(self.folder, name, self.meta)


class Writer:
    """Writes a store into an empty folder: begin, append, ..., end for each contig, or join, then close.

    Tokens and rows go to disk as they come: an assembly may have millions of contigs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stream = open(folder / "tokens.bin", "wb")
        self._table = open(folder / "contigs.tsv", "w", encoding="utf-8", newline="")
        self._table.write(tsv_line(CONTIGS))
        self._contigs = self._end = 0  # contigs kept so far, and where the last of them ends
        self._sum = hashlib.sha256()  # of their tokens

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._table.close()

    def begin(self, genome: str, contig: str, source: str) -> None:
        self._of, self._length, self._n_N = (genome, contig, source), 0, 0
        self._hash, self._with = hashlib.sha256(), self._sum.copy()

    def append(self, tokens: np.ndarray) -> None:
        self._stream.write(tokens.data)
        self._hash.update(tokens.data)
        self._with.update(tokens.data)
        self._length += len(tokens)
        self._n_N += int(np.count_nonzero(tokens == N))

    def end(self, keep: bool = True) -> int:
        """The contig is whole; keep=False takes it back. Returns how many of its tokens are N."""
        genome, contig, source = self._of
        if keep:
            place = (genome, contig, self._end, self._length, self._n_N, source, self._hash.hexdigest())
            self._table.write(tsv_line(place))
            self._contigs += 1
            self._end += self._length
            self._sum = self._with
        else:
            self._stream.seek(self._end)
            self._stream.truncate()
        return self._n_N

    def join(self, folder: Path) -> None:
        """Append the contigs that another writer wrote into `folder`, which is removed."""
        with open(folder / "tokens.bin", "rb") as stream:
            while tokens := stream.read(1 << 20):
                self._stream.write(tokens)
                self._sum.update(tokens)
        with open(folder / "contigs.tsv", encoding="utf-8", newline="\n") as table:
            next(table)
            for line in table:
                genome, contig, offset, rest = line.split("\t", 3)
                self._table.write("\t".join((genome, contig, str(self._end + int(offset)), rest)))
                self._contigs += 1
        self._end = self._stream.tell()
        shutil.rmtree(folder)

    def close(self, genomes: pd.DataFrame, features: pd.DataFrame | None, meta: dict[str, Any]) -> None:
        """Write the tables and store.json. `genomes` has the columns genome, split and any metadata."""
        self._stream.close()
        self._table.close()
        write_tsv(self.folder / "genomes.tsv", genomes)
        if features is not None:
            write_tsv(self.folder / "features.tsv", features)
        named = ("contigs.tsv", "genomes.tsv", *(() if features is None else ("features.tsv",)))
        sums = {"tokens.bin": self._sum.hexdigest()} | {name: sha256(self.folder / name) for name in named}
        totals = {"contigs": self._contigs, "bases": self._end, "n_genomes": len(genomes)}
        checksum = hashlib.sha256("".join(sums.values()).encode()).hexdigest()
        about = {"format": FORMAT, **totals, "sha256": sums, "checksum": checksum, **meta}
        write_json(self.folder / "store.json", sealed(about))


def _same(folder: Path, name: str, meta: dict[str, Any]) -> None:
    """Raises InputError where a file is not the one that was written."""
    _size(folder / name)
    if sha256(folder / name) != meta["sha256"].get(name):
        raise InputError(f"{folder / name}: differs from what ingest wrote (sha256); rebuild the store")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; rebuild the store") from None


def _table(path: Path, columns: tuple[str, ...], numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of the store, but for the numbers all strings: names may look like numbers, comments, missing values."""
    _size(path)
    types = collections.defaultdict(lambda: str, dict.fromkeys(numbers, np.int64))
    table = pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False, quoting=csv.QUOTE_NONE, lineterminator="\n")
    if missing := [name for name in columns if name not in table.columns]:
        raise InputError(f"{path}: has no column {missing[0]}; rebuild the store")
    return table
