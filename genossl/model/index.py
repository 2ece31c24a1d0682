"""An index on disk: windows of genomes as unit vectors, where each window lies, and the encoder that reads a query.

A folder with vectors.npy (float32, memory-mapped), rows.tsv (genome, contig, start, end), index.json (what was indexed,
how, and checksums), scale.npy where vectors were standardised, and cells.faiss where it is approximate.
"""

# N rows, Q queries, C dimensions

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import nearest
from genossl.model.embedders import Embedder, open_encoder, same_encoder

FORMAT = 1
ROWS = ("genome", "contig", "start", "end")
VECTORS, TABLE, SCALE, CELLS, ABOUT = "vectors.npy", "rows.tsv", "scale.npy", "cells.faiss", "index.json"


@dataclasses.dataclass(frozen=True)
class Index:
    """An index opened for reading; the vectors stay on disk until they are compared."""

    folder: Path
    vectors_NC: np.ndarray  # unit length
    rows: pd.DataFrame  # genome ("" where FASTA was indexed), contig, start, end; as the vectors
    about: dict[str, Any]  # index.json
    embedder: Embedder
    scale_2C: np.ndarray | None  # what was taken away from each dimension, and what it was divided by
    spec: str  # of the encoder, where it is now

    @cached_property
    def cells(self) -> Any:
        """The inverted file; read when it is first needed, so that faiss comes after torch has begun."""
        return nearest.read_cells(self.folder / CELLS, self.about["probes"])

    def vectors_of(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors of sequences of tokens, float64 (Q, C), made as those of the index were."""
        return nearest.unit(scaled(self.embedder(list(sequences)), self.scale_2C))

    def nearest(self, query_QC: np.ndarray, top: int, without_Q2: np.ndarray | None = None) -> nearest.Hits:
        """The rows most like each query; of an approximate index those of its nearest cells."""
        if self.about["kind"] == "exact" or without_Q2 is not None:
            return nearest.exact(query_QC, self.vectors_NC, top, without_Q2)
        return nearest.approximate(self.cells, self.vectors_NC, query_QC, top)

    def starts(self, by: tuple[str, ...]) -> np.ndarray:
        """Where runs of rows of one genome, or of one contig of one genome, begin."""
        codes = [pd.factorize(self.rows[name])[0] for name in by]
        return np.flatnonzero(np.any([np.diff(code, prepend=-1) != 0 for code in codes], axis=0))


def scaled(vectors_NC: np.ndarray, scale_2C: np.ndarray | None) -> np.ndarray:
    """Vectors standardised by the mean and spread of the index's, in float64; as they are where it has none."""
    vectors_NC = np.asarray(vectors_NC, np.float64)
    return vectors_NC if scale_2C is None else (vectors_NC - scale_2C[0]) / scale_2C[1]


def open_index(path: str | Path, encoder: str | None = None, device: str = "auto", threads: int = 0) -> Index:
    """Open an index and its encoder; `encoder` says where that is now, if not where it was.

    Raises InputError for a folder that is no index, is damaged or of another version, or for another encoder.
    """
    folder = Path(path)
    if not (folder / ABOUT).is_file():
        raise InputError(f"{folder}: no index (no {ABOUT}); make one: genossl index ENCODER GENOMES --out {folder}")
    about = files.read_json(folder / ABOUT)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise InputError(f"{folder / ABOUT}: has format {found}, this genossl reads format {FORMAT}; index again")
    files.check_seal(folder / ABOUT, about)
    for name, checksum in about["files"].items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; index again")
        if files.sha256(folder / name) != checksum:
            raise InputError(f"{folder / name}: is damaged, its checksum differs from the one in {ABOUT}; index again")
    spec = same_encoder(about["encoder"], folder, encoder, "was made")
    settings = about["settings"]
    opened = open_encoder(spec, settings["pool"], settings["both_strands"], device, threads, settings["precision"])
    table = pd.read_csv(
        folder / TABLE, sep="\t", quoting=3, keep_default_na=False, dtype={"genome": str, "contig": str}
    )  # fmt: skip
    scale_2C = np.load(folder / SCALE, allow_pickle=False) if SCALE in about["files"] else None
    vectors_NC = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    return Index(folder, vectors_NC, table, about, opened.embedder, scale_2C, spec)
