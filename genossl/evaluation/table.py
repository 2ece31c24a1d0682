"""Embeddings on disk: vectors and the table of what each row is."""

from __future__ import annotations

import dataclasses
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation import annotated, dataset
from genossl.files import is_table, read_sheet, sha256

SUFFIXES = (".npy", ".npz", ".parquet", ".h5ad")


@dataclasses.dataclass(frozen=True)
class Table:
    """vectors: float32 (n, C); rows: one line per vector with at least the column id."""

    vectors: np.ndarray
    rows: pd.DataFrame


def called(path: str | Path) -> str:
    """What an embedding is called: its file's name without endings."""
    return Path(str(path).removesuffix(".gz")).stem


def read_table(path: str | Path) -> Table:
    """Read what `genossl embed` writes: .npy (its rows lie beside it as .tsv), another of SUFFIXES, text, or a folder.

    Raises InputError for a missing or damaged file, another number of rows than vectors, or values that are not finite.
    """
    path = Path(path)
    if path.is_dir():
        parts = list(tables(path))
        rows = pd.concat([part.rows for part in parts], ignore_index=True)
        return Table(np.concatenate([part.vectors for part in parts]), rows)
    if path.suffix not in SUFFIXES and not is_table(path):
        raise InputError(f"{path}: embeddings end in {', '.join(SUFFIXES)}, .tsv or .tsv.gz")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".npy":
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
            table = Table(vectors, read_sheet(path.with_suffix(".tsv"), ("id",), comments=False))
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                rows = {name.removeprefix("row_"): archive[name] for name in archive.files if name != "vectors"}
                table = Table(archive["vectors"], pd.DataFrame(rows))
        elif is_table(path):
            frame = read_sheet(path, ("id", "v0"), comments=False)
            named = [name for name in frame if re.fullmatch(r"v\d+", str(name))]
            table = Table(frame[named].to_numpy().astype(np.float32), frame.drop(columns=named))
        elif path.suffix == ".h5ad":
            table = Table(*annotated.unannotated(annotated.library(path).read_h5ad(path)))
        else:
            frame = pd.read_parquet(path)
            table = Table(np.stack(frame.pop("vector").to_numpy()), frame)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: is no table of embeddings ({error})") from None
    if "id" not in table.rows:
        raise InputError(f"{path}: its rows have no column id")
    if table.vectors.ndim != 2 or not np.issubdtype(table.vectors.dtype, np.number):
        raise InputError(f"{path}: expected one vector per row, found {table.vectors.dtype} {table.vectors.shape}")
    if len(table.rows) != len(table.vectors):
        raise InputError(f"{path}: {len(table.vectors)} vectors and {len(table.rows)} rows; embed it again")
    if not np.isfinite(table.vectors).all():
        raise InputError(f"{path}: holds values that are not finite")
    return table


def tables(path: str | Path) -> Iterator[Table]:
    """The same in pieces: of a folder one per contig, so that one is in memory at a time; of a file the whole.

    Raises InputError as `read_table` does, and for a folder that is not whole or a file that differs from its manifest.
    """
    path = Path(path)
    if not path.is_dir():
        yield read_table(path)
        return
    for shard in dataset.read_manifest(path)["shards"]:
        file = path / shard["file"]
        if not file.is_file() or sha256(file) != shard["sha256"]:
            raise InputError(f"{file}: is not the file that the manifest names (sha256); run the same embed again")
        yield read_table(file)


def join(path: str | Path, ids: np.ndarray) -> np.ndarray:
    """The vectors (N, C) of these ids, in their order; other rows of the table are ignored.

    Raises InputError where an id has no vector or two of them.
    """
    table = read_table(path)
    names = pd.Index(table.rows["id"].astype(str))
    if names.has_duplicates:
        raise InputError(f"{path}: id {names[names.duplicated()][0]!r} has more than one vector")
    at = names.get_indexer(pd.Index(ids))
    if (missing := ids[at < 0]).size:
        extra = names[~names.isin(ids)]
        raise InputError(
            f"{path}: {missing.size} of {len(ids)} labelled ids have no vector ({', '.join(missing[:5])}); "
            f"{len(extra)} vectors have no label ({', '.join(extra[:5]) or 'none'})"
        )
    return np.asarray(table.vectors)[at].reshape(len(ids), -1)
