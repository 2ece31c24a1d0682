"""genossl in a notebook."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

import genossl
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
    for many in (tuple(forms), iter(forms), pd.Series([LETTERS, LETTERS]), np.array([LETTERS])):
        np.testing.assert_allclose(genossl.embed(encoder, many)[0], vectors[0], rtol=1e-5, atol=1e-6)
    stacked = np.stack([encode(LETTERS)] * 2)
    np.testing.assert_allclose(genossl.embed(encoder, stacked), vectors[:2], rtol=1e-5, atol=1e-6)


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
        ([LETTERS, ""], "sequence 1: is empty"),
        ([LETTERS, "ACXGT"], "sequence 1: "),
        ([np.array([0, 9], np.uint8)], "sequence 0: codes go from 0 to 5, found 9"),
        ([np.array([0, 1])], "sequence 0: expected letters or a uint8 array, found ndarray"),
        ([LETTERS, float("nan")], "sequence 1: expected letters or a uint8 array, found float"),
        ([None], "sequence 0: expected letters or a uint8 array, found NoneType"),
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
    assert genossl.embed_fasta(encoder, path, window=0)["end"].tolist() == [150, 40]
    assert len(genossl.embed_fasta(encoder, path, window=60, step=30)) == 5
    with pytest.raises(genossl.InputError, match="expected 0 or more bases"):
        genossl.embed_fasta(encoder, path, window=-1)
    with pytest.raises(genossl.InputError, match=r"x\.fa: no such file"):
        genossl.embed_fasta(encoder, tmp_path / "x.fa")


def test_the_embedder_in_a_pipeline(tiny_run: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = ["".join(rng.choice(list("ACGT"), 100, p=[[0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]][c])) for c in y]
    steps = [("embed", genossl.GenomeEmbedder(tiny_run, device="cpu")), ("head", LogisticRegression())]
    pipeline = Pipeline(steps).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    again = clone(pipeline).set_params(embed__pool="mean")
    assert again.fit(X, y).named_steps["embed"].get_params()["pool"] == "mean"
    assert pipeline.get_params()["embed__pool"] == "last"


def test_the_embedder_alone(tiny_run: Path) -> None:
    from sklearn.exceptions import NotFittedError

    embedder = genossl.GenomeEmbedder(tiny_run, pool="both", both_strands=False, device="cpu")
    assert embedder.get_params() == {
        "checkpoint": tiny_run, "pool": "both", "both_strands": False, "device": "cpu", "precision": "auto",
    }  # fmt: skip
    with pytest.raises(NotFittedError):
        embedder.transform([LETTERS])
    expected = genossl.embed(genossl.load_encoder(tiny_run, "cpu"), [LETTERS], "both", False)
    np.testing.assert_allclose(embedder.fit_transform([LETTERS]), expected, rtol=1e-5, atol=1e-6)
    frame = embedder.set_output(transform="pandas").transform([LETTERS, LETTERS])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == [f"genossl{i}" for i in range(16)]
    with pytest.raises(genossl.InputError, match=r"no such folder|holds no encoder\.json"):
        genossl.GenomeEmbedder().fit([LETTERS])


def test_the_public_names(tiny_store: Path) -> None:
    for name in genossl.__all__:
        assert getattr(genossl, name) is not None
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
