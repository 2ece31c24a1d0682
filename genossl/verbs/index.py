"""Encoder (or k-mers) and genomes to an index of their windows, in which `genossl search` finds neighbours."""

# N rows, C dimensions

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import nearest
from genossl.evaluation.writers import npy_header
from genossl.genome import inputs
from genossl.model.embedders import UNTRAINED, Opened, open_encoder
from genossl.model.embedding import Pool
from genossl.model.index import ABOUT, CELLS, FORMAT, ROWS, SCALE, TABLE, VECTORS, scaled
from genossl.model.memory import lowering
from genossl.model.precision import Precision

Scale = Literal["raw", "standardised"]
EXACT = 1_000_000  # rows up to which all are compared; docs/nearest.md says how long that takes
BLOCK = 1 << 14  # rows scaled at once
log = logging.getLogger("genossl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `index`."""

    window: int = 0  # bases of a window; 0: what the encoder was trained on; -1: whole records
    step: int = 0  # bases from one window to the next; 0: as the window
    pool: Pool = "last"  # context after the whole window, mean over frames, or both
    both_strands: bool = True  # average over both strands, so that a query is found on either
    precision: Precision = "auto"  # fp32 or bf16 products; auto: bf16 of LSTM encoders on CPUs that are faster in it
    scale: Scale = "raw"  # vectors as they are, or each dimension to mean 0 and spread 1 over the index
    kind: Literal["auto", "exact", "ivf"] = "auto"  # compare all rows, or cells by faiss; auto: all of up to a million
    recall: float = 0.95  # share of the ten nearest rows that ivf is to find; reads as many cells as that takes
    seed: int = 0  # of ivf's cells
    rows: int = 2048  # windows held at once

    def __post_init__(self) -> None:
        if self.window < -1 or self.step < 0 or self.rows < 1 or self.seed < 0 or not 0 < self.recall <= 1:
            raise ValueError(
                "window must be at least -1, step and seed at least 0, rows at least 1, recall above 0 and at most 1"
            )


def run(
    encoder: str, genomes: str | Path, out: str | Path, settings: Settings, device: str = "auto", threads: int = 0
) -> list[str]:
    """Index the windows of `genomes` (a store or FASTA) in the folder `out`; lines that say what it holds.

    encoder: a run or model folder, `kmer:K` or `untrained:RUN`. Raises InputError, and then leaves no folder.
    """
    out = Path(out)
    files.spare([out], [genomes])
    if not files.replaceable(out, ABOUT):
        raise InputError(f"{out}: exists and is no index; expected a new folder or an index to replace")
    if inputs.is_table(Path(genomes)):
        raise InputError(f"{genomes}: is a labelled table; expected a token store or FASTA")
    if settings.kind == "ivf":
        nearest.require_faiss()
    opened = open_encoder(encoder, settings.pool, settings.both_strands, device, threads, settings.precision)
    window = inputs.window_bases(settings.window, opened.window)
    settings = dataclasses.replace(settings, precision=opened.precision)
    # a window of nothing but N is like any other one, and like no sequence
    items = (item for item in inputs.read(genomes, window, settings.step) if not item.blank)
    with files.new_folder(out) as folder:
        count, width = _embed(opened, items, folder, settings.rows, f"index {encoder}", device)
        if not count:
            raise InputError(f"{genomes}: holds no sequence of known bases")
        if width == 1:
            raise InputError(f"{encoder}: gives one number, which has no direction to compare; for GC index kmer:1")
        vectors_NC = np.lib.format.open_memmap(folder / VECTORS, "r+")
        _to_unit(vectors_NC, "raw" if count == 1 else settings.scale, folder / SCALE)
        found = _cells(vectors_NC, folder / CELLS, settings)
        origin: dict[str, Any] = {"spec": encoder, "path": None, "sha256": None}
        if opened.weights:
            where = Path(encoder.removeprefix(UNTRAINED)).resolve()
            origin |= {"path": str(where), "sha256": files.sha256(opened.weights)}
        about = {
            "format": FORMAT, "count": count, "width": width, "window": window, "encoder": origin, **found,
            "settings": settings, "files": {path.name: files.sha256(path) for path in sorted(folder.iterdir())},
        }  # fmt: skip
        files.write_json(folder / ABOUT, files.sealed(about))
        given = {"encoder": encoder, "genomes": genomes, "out": out, "device": device, "threads": threads}
        used = {"encoder": opened.weights, "genomes": genomes}
        files.write_provenance(folder / "index", "index", settings, used, given=given)
    told = [f"{out}: {count:,} windows, vectors of {width}, {found['kind']}"]
    if found["kind"] == "ivf":
        share = f"finds {found['recall']:.1%} of the {nearest.NEAREST} nearest rows"
        told.append(f"reads {found['probes']} of {found['cells']} cells, and {share} ({nearest.SAMPLED} rows tried)")
    return told


def _embed(
    opened: Opened, items: Iterator[inputs.Item], folder: Path, rows: int, desc: str, device: str
) -> tuple[int, int]:
    """Write the vectors as they are and the table of rows; returns their number and width."""
    count = width = 0
    with open(folder / VECTORS, "wb") as vectors, open(folder / TABLE, "w", encoding="utf-8", newline="") as table:
        table.write(files.tsv_line(ROWS))
        with files.progress(desc=desc, unit="window") as bar:
            while some := list(islice(items, rows)):
                with lowering(f"index.rows ({rows}) or index.window", device):
                    vectors_NC = opened.embedder([item.tokens for item in some])
                width = vectors_NC.shape[1]
                if not count:
                    npy_header(vectors, (count, width))
                vectors.write(np.ascontiguousarray(vectors_NC, np.float32).tobytes())
                table.writelines(files.tsv_line(item.row.get(name, "") for name in ROWS) for item in some)
                count += len(some)
                bar.update(len(some))
        vectors.seek(0)
        npy_header(vectors, (count, width))
    return count, width


def _to_unit(vectors_NC: np.ndarray, scale: Scale, path: Path) -> None:
    """Scale and bring to unit length in place, block by block; the scale is kept for queries."""
    scale_2C = None
    if scale == "standardised":
        scale_2C = _mean_and_spread(vectors_NC)
        np.save(path, scale_2C, allow_pickle=False)
    for first in range(0, len(vectors_NC), BLOCK):
        part = slice(first, first + BLOCK)
        vectors_NC[part] = nearest.unit(scaled(vectors_NC[part], scale_2C))


def _mean_and_spread(vectors_NC: np.ndarray) -> np.ndarray:
    """Of each dimension, (2, C); one that does not vary has spread 1."""
    n, blocks = len(vectors_NC), range(0, len(vectors_NC), BLOCK)
    mean_C = np.sum([vectors_NC[at : at + BLOCK].sum(0, dtype=np.float64) for at in blocks], axis=0) / n
    off_C = np.sum([((vectors_NC[at : at + BLOCK] - mean_C) ** 2).sum(0) for at in blocks], axis=0)
    spread_C = np.sqrt(off_C / n)
    return np.stack([mean_C, np.where(spread_C > 1e-7 * np.abs(mean_C), spread_C, 1.0)])


def _cells(vectors_NC: np.ndarray, path: Path, settings: Settings) -> dict[str, Any]:
    """Write an inverted file where one is asked for; what index.json says of it."""
    kind = settings.kind
    if kind == "auto":
        kind = "ivf" if len(vectors_NC) > EXACT and nearest.has_faiss() else "exact"
        if kind == "exact" and len(vectors_NC) > EXACT:
            log.warning("%d windows are all compared; an approximate index needs genossl[search]", len(vectors_NC))
    if kind == "exact":
        return {"kind": kind}
    cells, found = nearest.build_cells(vectors_NC, settings.recall, settings.seed)
    nearest.write_cells(path, cells)
    return {"kind": kind, "cells": cells.nlist, "probes": cells.nprobe, "recall": found}
