"""AnnData, the table that scanpy and the rest of scverse read: vectors are X, what each row is are obs."""

# N rows, C channels

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from genossl.errors import InputError

if TYPE_CHECKING:
    import anndata


def library(wanted_by: object) -> Any:
    """The module anndata; InputError, which opens with what wants it, where it is not installed."""
    try:
        import anndata
    except ImportError:
        raise InputError(f"{wanted_by}: AnnData needs anndata; pip install 'genossl[anndata]'") from None
    return anndata


def annotated(vectors_NC: np.ndarray, rows: pd.DataFrame, about: dict[str, Any] | None = None) -> anndata.AnnData:
    """X float32 (N, C), obs the rows under their id, uns["genossl"] what is known of how they were made."""
    uns = {"genossl": _without_none(about)} if about else {}
    return library("to_anndata").AnnData(np.asarray(vectors_NC, np.float32), obs(rows), var(vectors_NC.shape[1]), uns)


def obs(rows: pd.DataFrame) -> pd.DataFrame:
    """A table of rows indexed by its column id."""
    return _objects(rows.set_index("id"))


def var(channels: int) -> pd.DataFrame:
    """The channels, called 0, 1, 2, ..."""
    return _objects(pd.DataFrame(index=[str(i) for i in range(channels)]))


def unannotated(table: anndata.AnnData) -> tuple[np.ndarray, pd.DataFrame]:
    """Vectors (N, C) and their rows, with the names of the observations as column id."""
    x, obs = cast("tuple[Any, pd.DataFrame]", (table.X, table.obs))
    rows = obs.rename_axis("id").reset_index()
    texts = [name for name in rows if isinstance(rows[name].dtype, pd.CategoricalDtype)]  # as AnnData stores text
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x), rows.astype(dict.fromkeys(texts, object))


def _objects(frame: pd.DataFrame) -> pd.DataFrame:
    """Text as Python objects: the last AnnData for Python 3.11 cannot store the text type of pandas 3."""
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype(dict.fromkeys(texts, object)).set_axis(frame.index.astype(object), axis=0)


def _without_none(value: Any) -> Any:
    """What HDF5 has a type for."""
    if isinstance(value, dict):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return value
