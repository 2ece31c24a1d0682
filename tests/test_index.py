"""The verb index: the vectors of embed, scaled and of length 1; the same bytes each time; damage is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest

from genossl import files
from genossl.errors import InputError
from genossl.evaluation.table import read_table
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.model.index import open_index
from genossl.verbs import embed, index
from genossl.verbs.index import Settings


@pytest.mark.parametrize("scale", ["raw", "standardised"])
@pytest.mark.parametrize("encoder", ["kmer:3", "run"])
def test_vectors_are_those_of_embed(encoder: str, scale: Any, tiny_store: Path, tiny_run: Path, tmp_path: Path) -> None:
    spec = str(tiny_run) if encoder == "run" else encoder
    told = index.run(spec, tiny_store, tmp_path / "ix", Settings(scale=scale, window=150, step=70), "cpu")
    embed.run(spec, tiny_store, tmp_path / "x.npy", embed.Settings(window=150, step=70), device="cpu")
    table = read_table(tmp_path / "x.npy")
    x = np.array(table.vectors, float)
    if scale == "standardised":
        x = (x - x.mean(0)) / x.std(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    found = open_index(tmp_path / "ix", device="cpu")
    np.testing.assert_allclose(found.vectors_NC, x, atol=2e-6)
    for name in ("genome", "contig", "start", "end"):
        assert found.rows[name].astype(str).tolist() == table.rows[name].astype(str).tolist()
    assert told == [f"{tmp_path / 'ix'}: {len(x)} windows, vectors of {x.shape[1]}, exact"]
    query = found.vectors_of([np.array(TokenStore.open(tiny_store).whole(0)[70:220])])
    assert query[0] @ found.vectors_NC[1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_the_same_command_writes_the_same_bytes(
    kind: str, tiny_store: Path, tiny_run: Path, tmp_path: Path, again
) -> None:
    told = index.run(str(tiny_run), tiny_store, tmp_path / "ix", Settings(kind=kind, window=50), "cpu")
    assert again(tmp_path / "ix") == []
    assert (tmp_path / "ix" / "cells.faiss").exists() == (kind == "ivf") == (len(told) == 2)
    index.run(str(tiny_run), tiny_store, tmp_path / "ix", Settings(kind="exact"), "cpu")  # replaced as a whole
    assert not (tmp_path / "ix" / "cells.faiss").exists()


def test_what_varies_nowhere_and_what_is_unknown(tmp_path: Path) -> None:
    """A constant dimension stays 0, a single window is not standardised, windows of N are left out."""
    lone = np.tile(np.array([0, 1, 2, 3], np.uint8), 25)
    planted.write_fasta(tmp_path / "one.fa", {"one": lone, "none": np.full(200, 4, np.uint8)})
    settings = Settings(window=100, scale="standardised")
    index.run("kmer:2", tmp_path / "one.fa", tmp_path / "ix", settings)
    found = open_index(tmp_path / "ix")
    assert found.rows.to_dict("records") == [{"genome": "", "contig": "one", "start": 0, "end": 100}]
    assert np.linalg.norm(found.vectors_NC[0]) == pytest.approx(1)
    planted.write_fasta(tmp_path / "two.fa", {"a": lone, "b": lone[::-1].copy()[:80]})
    index.run("kmer:2", tmp_path / "two.fa", tmp_path / "ix", settings)
    assert np.isfinite(open_index(tmp_path / "ix").vectors_NC).all()
    planted.write_fasta(tmp_path / "no.fa", {"none": np.full(200, 4, np.uint8)})
    with pytest.raises(InputError, match=r"no\.fa: holds no sequence of known bases"):
        index.run("kmer:2", tmp_path / "no.fa", tmp_path / "no", Settings())
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("name", ["vectors.npy", "rows.tsv", "scale.npy", "cells.faiss", "index.json"])
def test_damage_is_told(name: str, tiny_store: Path, tmp_path: Path) -> None:
    index.run("kmer:2", tiny_store, tmp_path / "ix", Settings(kind="ivf", scale="standardised"))
    path = tmp_path / "ix" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        open_index(tmp_path / "ix")
    path.unlink()
    with pytest.raises(InputError, match=r"no such file|no index"):
        open_index(tmp_path / "ix")


def test_auto_is_exact_up_to_a_size_and_where_faiss_is_missing(
    tiny_store: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    def kind() -> str:
        index.run("kmer:2", tiny_store, tmp_path / "ix", Settings(window=50))
        return open_index(tmp_path / "ix").about["kind"]

    assert kind() == "exact"
    monkeypatch.setattr(index, "EXACT", 359)  # of 360 windows
    assert kind() == "ivf"
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert kind() == "exact"
    assert caplog.messages == ["360 windows are all compared; an approximate index needs genossl[search]"]


def test_an_index_of_another_format_is_refused(tiny_store: Path, tmp_path: Path) -> None:
    index.run("kmer:1", tiny_store, tmp_path / "ix", Settings())
    files.write_json(tmp_path / "ix" / "index.json", {"format": 99})
    with pytest.raises(InputError, match="has format 99, this genossl reads format 1; index again"):
        open_index(tmp_path / "ix")


def test_the_encoder_is_told_by_its_checksum(tiny_store: Path, tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    checkpoint.save_encoder(run, checkpoint.load_encoder(tiny_run), length=100)
    index.run(str(run), tiny_store, tmp_path / "ix", Settings(), "cpu")
    run.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"its encoder was .*run, which is not there; say where it is: --encoder RUN"):
        open_index(tmp_path / "ix")
    assert open_index(tmp_path / "ix", str(tmp_path / "moved"), "cpu").about["window"] == 100
    with pytest.raises(InputError, match=r"was made on vectors of .*, found --encoder kmer:4"):
        open_index(tmp_path / "ix", "kmer:4")


def test_mistakes(tiny_store: Path, tmp_path: Path, call, monkeypatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("x")
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\na\tb\tACGT\n")
    for arguments, message in (
        (("gc", tiny_store, "--out", tmp_path / "ix"), "gives one number, which has no direction to compare"),
        (("kmer:9", tiny_store, "--out", tmp_path / "ix"), "k must be from 1 to 8"),
        (("kmer:1", tmp_path / "no.fa", "--out", tmp_path / "ix"), "no.fa: no such file"),
        (
            ("kmer:1", tmp_path / "t.tsv", "--out", tmp_path / "ix"),
            "is a labelled table; expected a token store or FASTA",
        ),
        (("kmer:1", tiny_store, "--out", tiny_store), "is read, and would be written over"),
        (("kmer:1", tiny_store, "--out", tmp_path / "folder"), "exists and is no index"),
        (("kmer:1", tiny_store, "--out", tmp_path / "ix", "--set", "recall=0"), "recall above 0 and at most 1"),
        (("kmer:1", tiny_store, "--out", tmp_path / "ix", "--set", "kind=hnsw"), "index.kind"),
    ):
        code, out, err = call("index", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
    monkeypatch.setitem(sys.modules, "faiss", None)
    code, _, err = call("index", "kmer:1", tiny_store, "--out", tmp_path / "ix", "--set", "kind=ivf")
    assert (code, "pip install 'genossl[search]'" in err) == (2, True)
    assert not (tmp_path / "ix").exists()
    assert call("index", "kmer:1", tiny_store, "--out", tmp_path / "ix")[0] == 0  # exact needs no library
