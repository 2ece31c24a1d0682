"""genossl in a notebook."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import planted
import polars
import pytest
import torch
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

import genossl
from genossl.evaluation.table import read_table
from genossl.genome.alphabet import decode, encode
from genossl.model.encoder import Encoder


@pytest.fixture(scope="module")
def encoder(tiny_run: Path) -> Encoder:
    return genossl.load_encoder(tiny_run, device="cpu")


LETTERS = decode(np.random.default_rng(0).integers(0, 4, 150).astype(np.uint8))


def test_load_encoder(tiny_run: Path) -> None:
    encoder = genossl.load_encoder(tiny_run / "encoder.safetensors", device="cpu")
    assert (encoder.training, encoder.channels, encoder.width) == (False, 8, 20)
    with pytest.raises(genossl.InputError, match=r"nowhere: no such folder"):
        genossl.load_encoder("nowhere")
    with pytest.raises(genossl.InputError, match="device 'tpu9' is unknown"):
        genossl.load_encoder(tiny_run, device="tpu9")


def test_a_sequence_may_come_in_many_forms(encoder: Encoder) -> None:
    forms = [
        LETTERS,
        LETTERS.lower(),
        LETTERS.replace("T", "U"),
        LETTERS.encode(),
        bytearray(LETTERS.encode()),
        Seq(LETTERS),
        SeqRecord(Seq(LETTERS), id="x"),
        encode(LETTERS),
    ]
    vectors = genossl.embed(encoder, forms)
    assert (vectors.shape, vectors.dtype) == ((len(forms), 8), np.float32)
    np.testing.assert_allclose(vectors, np.repeat(vectors[:1], len(forms), 0), rtol=1e-5, atol=1e-6)
    columns = [pd.Series([LETTERS]), polars.Series([LETTERS]), np.array([LETTERS]), np.array([[LETTERS]], object)]
    columns += [pd.DataFrame({"TAG": [LETTERS]}), polars.DataFrame({"TAG": [LETTERS]})]  # not the letters of its name
    for many in (tuple(forms), iter(forms), *columns):
        np.testing.assert_allclose(genossl.embed(encoder, many)[0], vectors[0], rtol=1e-5, atol=1e-6)
    stacked = np.stack([encode(LETTERS)] * 2)
    for rows in (stacked, torch.from_numpy(stacked), list(torch.from_numpy(stacked))):
        np.testing.assert_allclose(genossl.embed(encoder, rows), vectors[:2], rtol=1e-5, atol=1e-6)


def test_order_is_kept_and_settings_count(encoder: Encoder, tiny_run: Path) -> None:
    sequences = [LETTERS[:n] for n in (150, 20, 77, 3, 150)]
    vectors = genossl.embed(encoder, sequences)
    for i, sequence in enumerate(sequences):
        np.testing.assert_allclose(vectors[i], genossl.embed(encoder, [sequence])[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(genossl.embed(str(tiny_run), sequences), vectors, rtol=1e-3, atol=1e-4)
    assert genossl.embed(encoder, sequences, pool="both").shape == (5, 16)
    assert not np.allclose(genossl.embed(encoder, sequences, both_strands=False), vectors)
    assert genossl.embed(encoder, []).shape == (0, 8)


@pytest.mark.parametrize(
    "sequences,message",
    [
        (LETTERS, "expected a list of sequences, found a single one"),
        (LETTERS.encode(), "expected a list of sequences, found a single one"),
        (Seq(LETTERS), "expected a list of sequences, found a single one"),
        (SeqRecord(Seq(LETTERS)), "expected a list of sequences, found a single one"),
        (encode(LETTERS), "expected a list of sequences, found a single one"),
        (torch.from_numpy(encode(LETTERS)), "expected a list of sequences, found a single one"),
        ([LETTERS, ""], "sequence 1: is empty"),
        ([LETTERS, "ACXGT"], "sequence 1: "),
        ([np.array([0, 9], np.uint8)], "sequence 0: codes go from 0 to 5, found 9"),
        ([np.array([0, 1])], "sequence 0: expected letters or a uint8 array, found ndarray"),
        ([LETTERS, float("nan")], "sequence 1: expected letters or a uint8 array, found float"),
        ([None], "sequence 0: expected letters or a uint8 array, found NoneType"),
        ({"a": LETTERS}, "expected a list of sequences, found a dict; give its values"),
        (pd.DataFrame({"TAG": [LETTERS], "CAT": [LETTERS]}), "expected one column of sequences, found 2; choose one"),
        (np.array([[LETTERS, LETTERS]]), "expected one column of sequences, found 2; choose one"),
        (np.zeros((3, 2)), "expected one column of sequences, found 2; choose one"),
    ],
)
def test_what_is_no_sequence(encoder: Encoder, sequences, message: str) -> None:
    with pytest.raises(genossl.InputError, match=message):
        genossl.embed(encoder, sequences)


def test_an_unknown_pool(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(genossl.InputError, match="pool 'max' is unknown; expected last, mean, both"):
        genossl.embed(encoder, [LETTERS], pool="max")  # type: ignore[arg-type]


def test_embed_fasta(encoder: Encoder, tmp_path: Path) -> None:
    tokens = encode(LETTERS)
    tokens[3:5] = 4
    path = planted.write_fasta(tmp_path / "g.fa", {"c": tokens, "d": tokens[:40]})
    table = genossl.embed_fasta(encoder, path, window=60)
    assert list(table.columns) == ["contig", "start", "end", "n_N", "vector"]
    assert table.drop(columns="vector").values.tolist() == [
        ["c", 0, 60, 2], ["c", 60, 120, 0], ["c", 90, 150, 0], ["d", 0, 40, 2],
    ]  # fmt: skip
    expected = genossl.embed(encoder, [tokens[:60], tokens[60:120], tokens[90:], tokens[:40]])
    np.testing.assert_allclose(np.stack(list(table["vector"])), expected, rtol=1e-5, atol=1e-6)
    assert genossl.embed_fasta(encoder, path, window=-1)["end"].tolist() == [150, 40]
    assert genossl.embed_fasta(encoder, path)["end"].tolist() == [100, 150, 40]  # it was trained on 100
    assert len(genossl.embed_fasta(encoder, path, window=60, step=30)) == 5
    with pytest.raises(genossl.InputError, match="window -2: expected bases, 0 for as many"):
        genossl.embed_fasta(encoder, path, window=-2)
    with pytest.raises(genossl.InputError, match="step -1: expected 0 or more"):
        genossl.embed_fasta(encoder, path, step=-1)
    with pytest.raises(genossl.InputError, match="was not trained on windows; expected bases, or -1"):
        genossl.embed_fasta(Encoder(encoder.settings), path)
    with pytest.raises(genossl.InputError, match=r"x\.fa: no such file"):
        genossl.embed_fasta(encoder, tmp_path / "x.fa")


def test_one_table_in_three_forms(encoder: Encoder, tmp_path: Path) -> None:
    path = planted.write_fasta(tmp_path / "g.fa", {"c": encode(LETTERS), "d": encode(LETTERS[:40])})
    ours = genossl.embed_fasta(encoder, path, window=60)
    theirs = genossl.embed_fasta(encoder, path, window=60, output="polars")
    assert theirs.columns == list(ours.columns)
    assert theirs.drop("vector").rows() == list(ours.drop(columns="vector").itertuples(index=False, name=None))
    vectors = np.stack(list(ours["vector"]))
    assert np.array_equal(theirs["vector"].to_numpy(), vectors)
    for found in (
        genossl.embed_fasta(encoder, path, window=60, output="anndata"),
        genossl.to_anndata(ours),
        genossl.to_anndata(theirs),
    ):
        assert found.obs_names.tolist() == ["c:0-60", "c:60-120", "c:90-150", "d:0-40"]
        assert found.obs["n_N"].tolist() == ours["n_N"].tolist()
        assert np.array_equal(found.X, vectors)
        found.write_h5ad(tmp_path / "x.h5ad")
        assert np.array_equal(read_table(tmp_path / "x.h5ad").vectors, vectors)
    with pytest.raises(genossl.InputError, match="output 'arrow' is unknown; expected pandas, polars or anndata"):
        genossl.embed_fasta(encoder, path, output="arrow")  # type: ignore[call-overload]


def test_anndata_of_a_file_knows_how_it_was_made(tiny_run: Path, tmp_path: Path) -> None:
    from genossl.verbs import embed

    path = planted.write_fasta(tmp_path / "g.fa", {"c": encode(LETTERS)})
    for name in ("x.npy", "x.h5ad"):
        embed.run(str(tiny_run), path, tmp_path / name, embed.Settings(window=50, pool="mean"), device="cpu")
        found = genossl.to_anndata(tmp_path / name)
        assert found.obs_names.tolist() == ["c:0-50", "c:50-100", "c:100-150"]
        assert found.uns["genossl"]["settings"]["pool"] == "mean"
        found.write_h5ad(tmp_path / "y.h5ad")
        assert anndata.read_h5ad(tmp_path / "y.h5ad").uns["genossl"]["verb"] == "embed"
    (tmp_path / "x.npy.provenance.json").unlink()
    assert not genossl.to_anndata(tmp_path / "x.npy").uns
    with pytest.raises(genossl.InputError, match="expected a column vector, found contig"):
        genossl.to_anndata(pd.DataFrame({"contig": ["c"]}))
    named = genossl.to_anndata(pd.DataFrame({"vector": [[1.0, 2.0]]}, index=["a"]))
    assert (named.obs_names.tolist(), named.X.tolist()) == (["a"], [[1.0, 2.0]])


@pytest.mark.parametrize("missing,output,extra", [("anndata", "anndata", "genossl\\[anndata\\]"), ("polars",) * 3])
def test_a_missing_library_is_a_sentence(encoder, tmp_path, monkeypatch, missing, output, extra) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    path = planted.write_fasta(tmp_path / "g.fa", {"c": encode(LETTERS)})
    with pytest.raises(genossl.InputError, match=f"needs {missing}; pip install '?{extra}"):
        genossl.embed_fasta(encoder, path, output=output)


def test_the_public_names(tiny_store: Path) -> None:
    for name in genossl.__all__:
        assert getattr(genossl, name) is not None
        assert name in dir(genossl)
    assert "self_genomenet" in genossl.methods.available()
    assert len(genossl.TokenStore.open(tiny_store).contigs) == 6
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = genossl.nothing
    importlib.import_module("genossl.verbs.embed")
    assert callable(genossl.embed), "the verb's module took the function's place"


def test_importing_genossl_costs_nothing() -> None:
    code = "import genossl, sys; print({'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules), genossl.methods)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("set() <module 'genossl.methods'"), done.stderr


def test_python_m_genossl() -> None:
    done = subprocess.run([sys.executable, "-m", "genossl", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"genossl {genossl.__version__} (")
