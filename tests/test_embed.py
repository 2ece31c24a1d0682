"""The verb embed: any input, any encoder, four formats, constant memory, all or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import planted
import pytest

from genossl.errors import InputError
from genossl.evaluation import annotated
from genossl.evaluation.table import SUFFIXES, read_table
from genossl.genome import kmers
from genossl.genome.alphabet import encode
from genossl.genome.store import TokenStore
from genossl.model import checkpoint, embedding
from genossl.model.embedders import Opened
from genossl.verbs import embed
from genossl.verbs.embed import Settings


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    contigs = {f"c{i}": rng.choice(5, 250 + i, p=[0.24] * 4 + [0.04]).astype(np.uint8) for i in range(4)}
    return planted.write_fasta(tmp_path / "g.fa", contigs)


def windows(fasta: Path) -> list[np.ndarray]:
    """The windows of 100 of that file, cut here."""
    contigs = [encode("".join(part.split("\n")[1:])) for part in fasta.read_text().split(">")[1:]]
    return [c[s : s + 100] for c in contigs for s in (0, 100, len(c) - 100)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rows", [5, 2048])
def test_formats_agree_and_come_back(tiny_run: Path, fasta: Path, tmp_path: Path, suffix: str, rows: int) -> None:
    out = tmp_path / "deep" / f"x{suffix}"
    assert embed.run(str(tiny_run), fasta, out, Settings(rows=rows), device="cpu") == 12
    table = read_table(out)
    expected = embedding.embed(checkpoint.load_encoder(tiny_run), windows(fasta))
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-5, atol=1e-6)
    assert table.vectors.dtype == np.float32
    assert list(table.rows.columns) == ["id", "contig", "start", "end", "n_N"]
    assert table.rows["id"].tolist()[:3] == ["c0:0-100", "c0:100-200", "c0:150-250"]
    assert table.rows["n_N"].astype(int).tolist() == [int((w == 4).sum()) for w in windows(fasta)]
    assert not [p.name for p in out.parent.iterdir() if p.name.startswith(".")]


def test_npy_can_be_read_by_numpy_alone(fasta: Path, tmp_path: Path) -> None:
    embed.run("gc", fasta, tmp_path / "x.npy", Settings(window=100, rows=3))
    vectors = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (vectors.shape, vectors.dtype) == ((12, 1), np.float32)


def test_anndata_reads_what_it_would_have_written(fasta: Path, tmp_path: Path, again) -> None:
    embed.run("kmer:2", fasta, tmp_path / "x.h5ad", Settings(window=100, rows=5))
    found = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert found.obs_names.tolist()[:2] == ["c0:0-100", "c0:100-200"]
    assert found.obs["start"].tolist()[:3] == [0, 100, 150]
    np.testing.assert_allclose(found.X, kmers.profiles(windows(fasta), 2), atol=1e-6)
    table = read_table(tmp_path / "x.h5ad")
    annotated.annotated(table.vectors, table.rows).write_h5ad(tmp_path / "theirs.h5ad")
    theirs = anndata.read_h5ad(tmp_path / "theirs.h5ad")
    assert np.array_equal(theirs.X, found.X)
    assert theirs.obs.astype(found.obs.dtypes).equals(found.obs)
    assert again(tmp_path / "x.h5ad") == []


@pytest.mark.parametrize("pool,width", [("last", 8), ("mean", 8), ("both", 16)])
def test_settings_reach_the_encoder(tiny_run: Path, fasta: Path, tmp_path: Path, pool, width: int) -> None:
    settings = Settings(pool=pool, both_strands=False, window=-1)
    embed.run(str(tiny_run / "encoder.safetensors"), fasta, tmp_path / "x.npy", settings, device="cpu", threads=1)
    table = read_table(tmp_path / "x.npy")
    assert table.vectors.shape == (4, width)
    assert table.rows["id"].tolist() == ["c0:0-250", "c1:0-251", "c2:0-252", "c3:0-253"]
    records = [encode("".join(part.split("\n")[1:])) for part in fasta.read_text().split(">")[1:]]
    expected = embedding.embed(checkpoint.load_encoder(tiny_run), records, pool, False)
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-5, atol=1e-6)


def test_baselines(tiny_run: Path, fasta: Path, tmp_path: Path) -> None:
    cut = windows(fasta)
    untrained = embedding.embed(checkpoint.untrained(tiny_run), cut)
    for spec, expected in (
        ("kmer:4", kmers.profiles(cut, 4)),
        ("gc", kmers.gc(cut)),
        (f"untrained:{tiny_run}", untrained),
        (f"untrained:{tiny_run}/encoder.safetensors", untrained),
    ):
        embed.run(spec, fasta, tmp_path / "x.npy", Settings(window=100), device="cpu")
        np.testing.assert_allclose(read_table(tmp_path / "x.npy").vectors, expected, rtol=1e-5, atol=1e-6)


def test_a_store_and_a_labelled_table(tiny_store: Path, tmp_path: Path) -> None:
    store = TokenStore.open(tiny_store)
    embed.run("gc", tiny_store, tmp_path / "all.npy", Settings(window=1000))
    table = read_table(tmp_path / "all.npy")
    assert len(table.rows) == 18
    assert table.rows["id"][0] == "train:train_0:0-1000"
    labels = tmp_path / "labels.tsv"
    labels.write_text("id\tlabel\tgenome\tcontig\tstart\tend\tstrand\n#x\ty\t\t\t\t\t\nr\ty\ttest\ttest_1\t5\t105\t-\n")
    embed.run("kmer:2", labels, tmp_path / "some.npy", Settings(), tiny_store)
    table = read_table(tmp_path / "some.npy")
    assert table.rows["id"].tolist() == ["r"]
    expected = kmers.profiles([np.asarray(store.contig("test_1")[5:105])], 2)
    np.testing.assert_allclose(table.vectors, expected, atol=1e-6)
    record = json.loads((tmp_path / "some.npy.provenance.json").read_text())
    assert record["inputs"]["sequences"]["path"] == str(tiny_store / "store.json")


def test_provenance(tiny_run: Path, fasta: Path, tmp_path: Path) -> None:
    embed.run(str(tiny_run), fasta, tmp_path / "x.npz", Settings(pool="mean"), device="cpu")
    record = json.loads((tmp_path / "x.npz.provenance.json").read_text())
    assert record["verb"] == "embed"
    assert record["settings"]["pool"] == "mean"
    assert record["settings"]["encoder"] == str(tiny_run)
    assert record["inputs"]["encoder"]["sha256"] == checkpoint.describe(tiny_run)["sha256"]
    assert record["inputs"]["input"]["path"] == str(fasta)


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    peaks = []
    for records in (20, 200):
        path = planted.write_fasta(
            tmp_path / f"{records}.fa", {f"r{i}": rng.integers(0, 4, 2000).astype(np.uint8) for i in range(records)}
        )
        tracemalloc.start()
        rows = embed.run("kmer:5", path, tmp_path / f"{records}.npy", Settings(window=100, rows=50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows == 20 * records
    grown = 180 * 20 * 512 * 4  # bytes of the vectors that only the second has
    assert peaks[1] - peaks[0] < grown / 5


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.filterwarnings("error")
def test_an_interrupted_run_leaves_no_file(fasta: Path, tmp_path: Path, monkeypatch, suffix: str, error) -> None:
    calls = []

    def breaks(sequences: list[np.ndarray]) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise error
        return kmers.gc(sequences)

    monkeypatch.setattr(embed, "open_encoder", lambda *_: Opened(breaks, 100))
    out = tmp_path / "out"
    with pytest.raises(error):
        embed.run("gc", fasta, out / f"x{suffix}", Settings(rows=4))
    assert list(out.glob("*")) == []
    assert list(out.glob(".*")) == []


def test_anndata_that_is_not_there_is_a_sentence(fasta: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(InputError, match=r"x\.h5ad: AnnData needs anndata; pip install 'genossl\[anndata\]'"):
        embed.run("gc", fasta, tmp_path / "x.h5ad", Settings())
    assert not (tmp_path / "x.h5ad").exists()


def test_a_bad_record_late_in_the_file_leaves_no_file(fasta: Path, tmp_path: Path) -> None:
    with fasta.open("a") as stream:
        stream.write(">bad\nAC!T\n")
    with pytest.raises(InputError, match=r"g\.fa line"):
        embed.run("gc", fasta, tmp_path / "out" / "x.npy", Settings(window=100, rows=2))
    assert list((tmp_path / "out").iterdir()) == []


def test_standard_input(fasta: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from genossl.cli import main; main()"]
    command += ["embed", "gc", "-", "--out", str(tmp_path / "x.npy"), "--set", "window=100"]
    done = subprocess.run(command, input=fasta.read_bytes(), capture_output=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{tmp_path / 'x.npy'}: 12 rows\n"
    assert len(read_table(tmp_path / "x.npy").vectors) == 12
    assert "input" not in json.loads((tmp_path / "x.npy.provenance.json").read_text())["inputs"]


@pytest.mark.parametrize(
    "encoder,out,message",
    [
        ("gc", "x.csv", r"x\.csv: embeddings end in \.npy, \.npz, \.parquet, \.h5ad"),
        ("kmer:9", "x.npy", "encoder kmer:9: k must be from 1 to 8"),
        ("kmer:0", "x.npy", "encoder kmer:0: k must be from 1 to 8"),
        ("nowhere", "x.npy", r"nowhere: no such folder; an encoder is a run's folder, kmer:K, gc or untrained:RUN"),
        ("untrained:nowhere", "x.npy", r"nowhere: no such folder"),
    ],
)
def test_what_is_refused(fasta: Path, tmp_path: Path, encoder: str, out: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embed.run(encoder, fasta, tmp_path / "out" / out, Settings(), device="cpu")
    assert not list((tmp_path / "out").glob("*"))


def test_inputs_and_places_that_are_refused(tiny_run: Path, fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.fa: no such file"):
        embed.run("gc", tmp_path / "none.fa", tmp_path / "x.npy", Settings())
    (tmp_path / "empty.fa").write_text("")
    with pytest.raises(InputError, match=r"empty\.fa: is empty"):
        embed.run("gc", tmp_path / "empty.fa", tmp_path / "x.npy", Settings())
    with pytest.raises(InputError, match="device 'tpu9' is unknown"):
        embed.run(str(tiny_run), fasta, tmp_path / "x.npy", Settings(), device="tpu9")
    with pytest.raises(InputError, match="cannot be written"):
        embed.run("gc", fasta, fasta / "x.npy", Settings())
    for wrong in ({"window": -2}, {"step": -1}, {"rows": 0}):
        with pytest.raises(ValueError, match="window must be at least -1, step at least 0 and rows at least 1"):
            Settings(**wrong)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".npy"] == []
