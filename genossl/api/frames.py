"""Embeddings as the tables that others work with: pandas, polars, AnnData."""

# N rows, C channels

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation.annotated import annotated
from genossl.evaluation.table import read_table
from genossl.files import read_json

if TYPE_CHECKING:
    import anndata
    import polars


def of_kind(kind: str, rows: pd.DataFrame, vectors_NC: np.ndarray) -> Any:
    """Rows with their column id and vectors as one table. Raises InputError for an unknown kind."""
    if kind == "anndata":
        return annotated(vectors_NC, rows)
    rows = rows.drop(columns="id")
    if kind == "pandas":
        return rows.assign(vector=list(vectors_NC))
    if kind == "polars":
        return _polars(rows, vectors_NC)
    raise InputError(f"output {kind!r} is unknown; expected pandas, polars or anndata")


def to_anndata(embeddings: str | Path | pd.DataFrame | polars.DataFrame) -> anndata.AnnData:
    """Embeddings as AnnData, for scanpy and the rest of scverse.

    Parameters
    ----------
    embeddings : str, Path, pandas.DataFrame or polars.DataFrame
        A file that `genossl embed` wrote, or a table with a column vector as `embed_fasta` gives.

    Returns
    -------
    anndata.AnnData
        X the vectors, float32 (N, C); obs the other columns under their id, or contig:start-end; of a file,
        uns["genossl"] what `genossl embed` noted of how it was made: settings, versions, checksums of its inputs.

    Raises
    ------
    InputError
        For a file that is no table of embeddings, a table without vectors, and where anndata is not installed.

    Examples
    --------
    >>> found = genossl.to_anndata(genossl.embed_fasta(encoder, fasta, window=60))
    >>> found.obs_names[0], found.shape
    ('c:0-60', (3, 8))
    """
    if isinstance(embeddings, (str, Path)):
        table, beside = read_table(embeddings), Path(f"{embeddings}.provenance.json")
        return annotated(table.vectors, table.rows, read_json(beside) if beside.is_file() else None)
    frame = embeddings if isinstance(embeddings, pd.DataFrame) else pd.DataFrame(embeddings.to_dict(as_series=False))
    if "vector" not in frame:
        raise InputError(f"to_anndata: expected a column vector, found {', '.join(map(str, frame.columns))}")
    rows = frame.drop(columns="vector")
    if "id" not in rows:
        rows.insert(0, "id", _names(rows))
    return annotated(np.stack(list(map(np.asarray, frame["vector"]))), rows)


def _names(rows: pd.DataFrame) -> list[str]:
    if {"contig", "start", "end"} <= set(rows):
        return [f"{c}:{s}-{e}" for c, s, e in zip(rows["contig"], rows["start"], rows["end"], strict=True)]
    return list(map(str, rows.index))


def _polars(rows: pd.DataFrame, vectors_NC: np.ndarray) -> Any:
    try:
        import polars
    except ImportError:
        raise InputError("embed_fasta: output polars needs polars; pip install polars") from None
    columns = {name: rows[name].tolist() for name in rows}
    return polars.DataFrame(columns).with_columns(vector=polars.Series(vectors_NC))
