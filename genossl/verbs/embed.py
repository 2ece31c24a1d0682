"""Encoder (or k-mers, or GC) and sequences to embeddings, as a stream: memory does not grow with the input."""

from __future__ import annotations

import dataclasses
import io
import logging
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import annotated
from genossl.evaluation.table import SUFFIXES
from genossl.genome import inputs
from genossl.genome.labels import files_of, strand_policy
from genossl.model.embedders import open_encoder
from genossl.model.memory import lowering
from genossl.model.precision import Precision

log = logging.getLogger("genossl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `embed`."""

    pool: Literal["last", "mean", "both"] = "last"  # context after the whole sequence, mean over frames, or both
    both_strands: bool | Literal["auto"] = "auto"  # average over both strands; auto: unless a task's strand is as_given
    window: int = 0  # bases of a window of FASTA or a store; 0: what the encoder was trained on; -1: whole records
    step: int = 0  # bases from one window to the next; 0: as the window
    precision: Precision = "auto"  # fp32 or bf16 products; auto: bf16 of LSTM encoders on CPUs that are faster in it
    rows: int = 2048  # sequences held at once

    def __post_init__(self) -> None:
        if self.window < -1 or self.step < 0 or self.rows < 1:
            raise ValueError("window must be at least -1, step at least 0 and rows at least 1")


def run(
    encoder: str,
    source: str | Path,
    out: str | Path,
    settings: Settings,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
    part: tuple[int, int] | None = None,
) -> int:
    """Embed `source` with `encoder` into `out` (.npy and a .tsv of its rows, .npz, .parquet, .h5ad or a table of text).

    Returns the row count.

    encoder: a run or model folder, `kmer:K`, `gc`, or `untrained:RUN`. `part` (i, n): only that part of a store's
    genomes, so that n jobs share them. Raises InputError.
    """
    out = Path(out)
    if not (out.suffix in SUFFIXES or files.is_table(out)):
        raise InputError(f"{out}: embeddings end in {', '.join(SUFFIXES)}, .tsv or .tsv.gz, or are - (standard output)")
    files.spare([out, *([out.with_suffix(".tsv")] if out.suffix == ".npy" else [])], [*files_of(source), sequences])
    both_strands = averaged(source, settings)
    settings = dataclasses.replace(settings, both_strands=both_strands)
    embedder, trained_on, weights, precision = open_encoder(
        encoder, settings.pool, both_strands, device, threads, settings.precision
    )
    settings = dataclasses.replace(settings, precision=precision)
    window = {-1: 0, 0: trained_on}.get(settings.window, settings.window)
    items = inputs.read(source, window, settings.step, sequences, part)
    count = 0
    with _WRITERS.get(out.suffix, _Text)(out) as write, files.progress(desc=f"embed {encoder}", unit="sequence") as bar:
        while rows := list(islice(items, settings.rows)):
            with lowering(f"embed.rows ({settings.rows}) or embed.window", device):
                vectors = embedder([item.tokens for item in rows])
            write([item.row for item in rows], vectors)
            count += len(rows)
            bar.update(len(rows))
        if not count:
            raise InputError(f"{source}: holds no sequence")
    beside = Path(source).with_suffix(".json") if strand_policy(source) else None
    used = {"encoder": weights, "input": source, "sequences": sequences, "task": beside}
    given = {"encoder": encoder, "source": source, "out": out, "sequences": sequences, "device": device}
    given |= {"threads": threads, "part": f"{part[0]}/{part[1]}" if part else None}
    files.write_provenance(out, "embed", {"encoder": encoder, **dataclasses.asdict(settings)}, used, given=given)
    return count


def averaged(source: str | Path, settings: Settings) -> bool:
    """Whether both strands are averaged: as the setting says, or as the task whose table `source` is."""
    policy = strand_policy(source)
    if settings.both_strands == "auto":
        return policy != "as_given"
    if settings.both_strands and policy == "as_given":
        log.warning(
            "warning: %s: its strand is as_given and both_strands is true, so what tells the strands apart is averaged "
            "away; leave both_strands at auto",
            source,
        )
    return settings.both_strands


# ---- writers: context managers that give write(rows, vectors)


class _Npy:
    """.npy, filled row by row behind a header that is corrected at the end, and the .tsv of its rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.stack, self.shape = path, ExitStack(), (0, 0)

    def __enter__(self) -> Callable[[list[dict[str, Any]], np.ndarray], None]:
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
            self._header()
            self.rows.write("\t".join(rows[0]) + "\n")
        self.vectors.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        self.rows.writelines("\t".join(map(str, row.values())) + "\n" for row in rows)
        self.shape = (self.shape[0] + len(rows), self.shape[1])

    def _header(self) -> None:
        # numpy pads the header so that the first axis may grow without moving the data
        description = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self.vectors, description)

    def _finish(self, *error: Any) -> None:
        if error[0] is None and self.shape[0]:
            self.vectors.seek(0)
            self._header()
            files.clear([self.path.with_suffix(".tsv")])  # new vectors never stand beside the rows of an older table

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


class _Npz:
    """.npz: vectors and one array per column; held in memory, as the format asks."""

    def __init__(self, path: Path) -> None:
        self.path, self.parts, self.table = path, [], []

    def __enter__(self) -> Callable[[list[dict[str, Any]], np.ndarray], None]:
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


class _Parquet:
    """.parquet: the columns of the rows and a fixed-size list of floats called vector."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise InputError(f"{path}: Parquet needs pyarrow; pip install 'genossl[parquet]'") from None
        self.arrow, self.path, self.stack, self.writer = pyarrow, path, ExitStack(), None

    def __enter__(self) -> Callable[[list[dict[str, Any]], np.ndarray], None]:
        self.stream: IO[bytes] = self.stack.enter_context(files.atomic(self.path))
        return self.write

    def write(self, rows: list[dict[str, Any]], vectors: np.ndarray) -> None:
        arrow = self.arrow
        columns = {name: arrow.array([row[name] for row in rows]) for name in rows[0]}
        flat = arrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = arrow.table(columns)
        if self.writer is None:
            self.writer = arrow.parquet.ParquetWriter(self.stream, table.schema)
            self.stack.callback(self.writer.close)  # also after an error, while the stream is open
        self.writer.write_table(table)

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


class _Text:
    """A table for other programs: the columns of the rows, then v0, v1, ... with nine digits, all that float32 has."""

    def __init__(self, path: Path) -> None:
        self.path, self.stack, self.begun = path, ExitStack(), False

    def __enter__(self) -> Callable[[list[dict[str, Any]], np.ndarray], None]:
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


class _H5ad(_Npz):
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


_WRITERS = {".npy": _Npy, ".npz": _Npz, ".parquet": _Parquet, ".h5ad": _H5ad}
