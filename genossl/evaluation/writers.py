"""Embeddings to files, as a stream: context managers that give write(rows, vectors)."""

# N rows, C channels

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import annotated

Write = Callable[[list[dict[str, Any]], np.ndarray], None]


def npy_header(stream: IO[bytes], shape: tuple[int, int]) -> None:
    """The header of an .npy of float32; numpy pads it so that the first axis may grow without moving the data."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})


class Npy:
    """.npy, filled row by row behind a header that is corrected at the end, and the .tsv of its rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.stack, self.shape = path, ExitStack(), (0, 0)

    def __enter__(self) -> Write:
        # left in the opposite order: vectors take their name first, since rows without vectors would be no table
        with ExitStack() as stack:
            self.rows = stack.enter_context(files.atomic(self.path.with_suffix(".tsv"), "w"))
            self.vectors = stack.enter_context(files.atomic(self.path))
            stack.push(self._finish)
            self.stack = stack.pop_all()
        return self.write

    def write(self, rows: list[dict[str, Any]], vectors: np.ndarray) -> None:
        if not self.shape[0]:
            self.shape = (0, vectors.shape[1])
            npy_header(self.vectors, self.shape)
            self.rows.write("\t".join(rows[0]) + "\n")
        self.vectors.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        self.rows.writelines("\t".join(map(str, row.values())) + "\n" for row in rows)
        self.shape = (self.shape[0] + len(rows), self.shape[1])

    def _finish(self, *error: Any) -> None:
        if error[0] is None and self.shape[0]:
            self.vectors.seek(0)
            npy_header(self.vectors, self.shape)
            files.clear([self.path.with_suffix(".tsv")])  # new vectors never stand beside the rows of an older table

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


class Npz:
    """.npz: vectors and one array per column; held in memory, as the format asks."""

    def __init__(self, path: Path) -> None:
        self.path, self.parts, self.table = path, [], []

    def __enter__(self) -> Write:
        return self.write

    def write(self, rows: list[dict[str, Any]], vectors: np.ndarray) -> None:
        self.parts.append(vectors)
        self.table += rows

    def __exit__(self, *error: Any) -> None:
        if error[0] is None and self.table:
            columns: dict[str, Any] = {
                f"row_{name}": np.array([row[name] for row in self.table]) for name in self.table[0]
            }
            with files.atomic(self.path) as stream:
                np.savez(stream, vectors=np.concatenate(self.parts), **columns)


class Parquet:
    """.parquet: the columns of the rows and a fixed-size list of floats called vector."""

    def __init__(self, path: Path, footer: dict[bytes, bytes] | None = None) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise InputError(f"{path}: Parquet needs pyarrow; pip install 'genossl[parquet]'") from None
        self.arrow, self.path, self.footer, self.stack, self.writer = pyarrow, path, footer, ExitStack(), None

    def __enter__(self) -> Write:
        self.stream: IO[bytes] = self.stack.enter_context(files.atomic(self.path))
        return self.write

    def write(self, rows: list[dict[str, Any]], vectors: np.ndarray) -> None:
        arrow = self.arrow
        columns = {name: arrow.array([row[name] for row in rows]) for name in rows[0]}
        flat = arrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = arrow.table(columns, metadata=self.footer)
        if self.writer is None:
            self.writer = arrow.parquet.ParquetWriter(self.stream, table.schema, write_page_checksum=True)
            self.stack.callback(self.writer.close)  # also after an error, while the stream is open
        self.writer.write_table(table)

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


class Text:
    """A table for other programs: the columns of the rows, then v0, v1, ... with nine digits, all that float32 has."""

    def __init__(self, path: Path) -> None:
        self.path, self.stack, self.begun = path, ExitStack(), False

    def __enter__(self) -> Write:
        self.stream = self.stack.enter_context(files.text(self.path))
        return self.write

    def write(self, rows: list[dict[str, Any]], vectors: np.ndarray) -> None:
        if not self.begun:
            self.stream.write(files.tsv_line([*rows[0], *(f"v{i}" for i in range(vectors.shape[1]))]))
            self.begun = True
        for row, vector in zip(rows, vectors.tolist(), strict=True):
            self.stream.write("\t".join([*map(str, row.values()), *(f"{x:.9g}" for x in vector)]) + "\n")

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


class H5ad(Npz):
    """.h5ad, as AnnData reads it; in memory too, since HDF5 takes the process along where a disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.anndata = annotated.library(path)

    def __exit__(self, *error: Any) -> None:
        if error[0] is None and self.table:
            import h5py  # which anndata brings

            made = annotated.annotated(np.concatenate(self.parts), pd.DataFrame(self.table))
            whole = io.BytesIO()
            with h5py.File(whole, "w") as file:
                self.anndata.io.write_elem(file, "/", made)
            with files.atomic(self.path) as stream:
                stream.write(whole.getbuffer())


WRITERS = {".npy": Npy, ".npz": Npz, ".parquet": Parquet, ".h5ad": H5ad}
