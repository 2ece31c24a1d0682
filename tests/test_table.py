"""Embeddings on disk, four formats, one table."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from genossl.errors import InputError
from genossl.evaluation.table import SUFFIXES, read_table
from genossl.files import write_tsv

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)
ROWS = pd.DataFrame({"id": ["a", "#b", "NA"], "start": [0, 5, 9]})


def write(path: Path, vectors: np.ndarray = VECTORS, rows: pd.DataFrame = ROWS) -> Path:
    if path.suffix == ".npy":
        np.save(path, vectors)
        write_tsv(path.with_suffix(".tsv"), rows)
    elif path.suffix == ".npz":
        np.savez(path, vectors=vectors, **{f"row_{name}": rows[name].to_numpy(str) for name in rows})
    elif path.suffix == ".h5ad":
        obs = rows.astype({"id": object}).set_index("id")
        var = pd.DataFrame(index=pd.Index(["u", "v"], dtype=object))
        anndata.AnnData(vectors, obs, var).write_h5ad(path)
    else:
        rows.assign(vector=list(vectors)).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_comes_back(tmp_path: Path, suffix: str) -> None:
    table = read_table(write(tmp_path / f"x{suffix}"))
    assert np.array_equal(table.vectors, VECTORS)
    assert table.vectors.dtype == np.float32
    assert table.rows["id"].tolist() == ["a", "#b", "NA"]
    assert table.rows["start"].astype(int).tolist() == [0, 5, 9]


def test_anndata_of_others_is_read(tmp_path: Path) -> None:
    """Sparse, of another precision, text as categories: what scanpy leaves."""
    label = pd.Categorical(["x", "y", "x"], pd.Index(["x", "y"], dtype=object))
    obs = pd.DataFrame({"label": label}, index=pd.Index(["a", "b", "c"], dtype=object))
    var = pd.DataFrame(index=pd.Index(["u", "v"], dtype=object))
    anndata.AnnData(scipy.sparse.csr_matrix(VECTORS.astype(float)), obs, var).write_h5ad(tmp_path / "x.h5ad")
    table = read_table(tmp_path / "x.h5ad")
    assert np.array_equal(table.vectors, VECTORS)
    assert table.rows.values.tolist() == [["a", "x"], ["b", "y"], ["c", "x"]]


def test_npy_stays_on_disk(tmp_path: Path) -> None:
    assert isinstance(read_table(write(tmp_path / "x.npy")).vectors, np.memmap)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}")
    whole = path.read_bytes()
    for wrong in (b"", b"nonsense", whole[: len(whole) // 2], whole[:-3]):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=rf"x\{suffix}: is no table of embeddings"):
            read_table(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_objects_are_never_unpickled(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", np.array([[None, "x"]] * 3, dtype=object))
    with pytest.raises(InputError, match="is no table of embeddings"):
        read_table(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="holds values that are not finite"):
        read_table(write(tmp_path / f"x{suffix}", np.full((3, 2), np.nan, np.float32)))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])  # an observation of AnnData always has a name
def test_rows_without_a_name_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="no column id"):
        read_table(write(tmp_path / f"x{suffix}", rows=ROWS.rename(columns={"id": "name"})))


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.csv: embeddings end in \.npy, \.npz, \.parquet, \.h5ad"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"x\.npy: no such file"):
        read_table(tmp_path / "x.npy")
    with pytest.raises(InputError, match="2 vectors and 3 rows; embed it again"):
        read_table(write(tmp_path / "x.npy", VECTORS[:2]))
    with pytest.raises(InputError, match="expected one vector per row"):
        read_table(write(tmp_path / "x.npy", VECTORS.reshape(-1)[:3]))
    (tmp_path / "x.tsv").unlink()
    with pytest.raises(InputError, match=r"x\.tsv: no such file"):
        read_table(tmp_path / "x.npy")
