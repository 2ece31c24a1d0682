"""A window has one vector, however its genome is cut into blocks, batches, files and jobs.

Of a window, not of a place: where it begins and ends is what it says (docs/tracks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted
import pytest
import torch

from genossl import recipe
from genossl.evaluation.dataset import is_dataset
from genossl.evaluation.table import read_table
from genossl.genome.alphabet import N, reverse_complement
from genossl.model import embedding
from genossl.model.encoder import Encoder
from genossl.verbs import embed
from genossl.verbs.embed import Settings

RELATIVE = 1e-5  # of a vector's length
WINDOWS = Settings(window=120, step=60, pool="both")
CONTIGS = {"c0": 700, "c1": 500, "c2": 610}


def furthest(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance of a row from where it should be, in lengths of that vector."""
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.mark.parametrize("preset", recipe.presets())
def test_blocks_batches_and_order_with_the_encoder_of_each_preset(preset: str, monkeypatch) -> None:
    """At its own size and in the precision that `auto` chooses here; the last two sequences are read in blocks."""
    torch.manual_seed(0)
    encoder = Encoder(recipe.resolve({"preset": preset}).encoder)
    rng = np.random.default_rng(0)
    encoder.fit_statistics(torch.from_numpy(rng.integers(0, 4, (64, 500)).astype(np.uint8)))
    lengths = [150, 150, 331, 500, 150, 222, 1203, 1777]
    sequences = [rng.choice(5, n, p=[0.24] * 4 + [0.04]).astype(np.uint8) for n in lengths]
    monkeypatch.setattr(embedding, "BLOCK", 1000)
    expected = embedding.embed(encoder, sequences, "both")

    def at_once(order: np.ndarray, rows: int) -> np.ndarray:
        parts = [order[i : i + rows] for i in range(0, len(order), rows)]
        found = np.concatenate([embedding.embed(encoder, [sequences[i] for i in part], "both") for part in parts])
        return found[np.argsort(order)]

    for rows in (1, 3, len(sequences)):
        assert furthest(at_once(rng.permutation(len(sequences)), rows), expected) < RELATIVE
    for block, bases in ((700, 1), (1 << 16, 1 << 10), (1 << 16, 1 << 18)):
        monkeypatch.setattr(embedding, "BLOCK", block)
        monkeypatch.setitem(embedding.BATCH_BASES, "cpu", bases)
        assert furthest(embedding.embed(encoder, sequences, "both"), expected) < RELATIVE


@pytest.fixture
def contigs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.choice(5, n, p=[0.24] * 4 + [0.04]).astype(np.uint8) for name, n in CONTIGS.items()}


@pytest.fixture
def embedded(tiny_run: Path, tmp_path: Path) -> Callable[..., dict[tuple[str, int, int], np.ndarray]]:
    """Windows by their places, as one command gives them."""
    made = iter(range(1000))

    def run(
        source: Path, settings: Settings = WINDOWS, out: str = "", **more
    ) -> dict[tuple[str, int, int], np.ndarray]:
        path = tmp_path / (out or f"{next(made)}.npy")
        embed.run(str(tiny_run), source, path, settings, device="cpu", **more)
        if path.is_dir() and not is_dataset(path):
            return {}  # other parts are to come
        table = read_table(path)
        places = zip(table.rows["contig"], table.rows["start"], table.rows["end"], strict=True)
        return {(c, int(s), int(e)): v for (c, s, e), v in zip(places, table.vectors, strict=True)}

    return run


def compare(found: dict, expected: dict, least: int) -> None:
    """Places that both have, at least so many."""
    both = sorted(found.keys() & expected.keys())
    assert len(both) >= least
    assert furthest(np.array([found[k] for k in both]), np.array([expected[k] for k in both])) < RELATIVE


def test_the_same_window_from_every_command(tmp_path: Path, contigs, embedded, monkeypatch) -> None:
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    expected = embedded(fasta)
    n = len(expected)
    for rows in (1, 3, 7):
        compare(embedded(fasta, Settings(window=120, step=60, pool="both", rows=rows)), expected, n)
    for step, least in ((120, n // 3), (20, n), (100, 5)):  # other grids, where they meet
        compare(embedded(fasta, Settings(window=120, step=step, pool="both")), expected, least)
    store = planted.store(tmp_path / "store", {"c": ("", list(contigs.values())), "d": ("", [contigs["c0"]])})
    of_store = {(c.replace("_", ""), s, e): v for (c, s, e), v in embedded(store).items()}
    compare(of_store, expected, n)
    compare({("c0", s, e): v for (c, s, e), v in of_store.items() if c == "d0"}, expected, n // 3)
    backwards = planted.write_fasta(tmp_path / "b.fa", dict(reversed(contigs.items())))
    compare(embedded(backwards), expected, n)
    compare(embedded(fasta, out="shards"), expected, n)
    for i in (2, 1, 3):
        parts = embedded(fasta, out="parts", part=(i, 3))
    compare(parts, expected, n)
    alone = planted.write_fasta(tmp_path / "one.fa", {"c1": contigs["c1"]})
    compare(embedded(alone), expected, n // 4)
    monkeypatch.setitem(embedding.BATCH_BASES, "cpu", 500)
    compare(embedded(fasta), expected, n)


def test_a_region_alone_and_among_others(tmp_path: Path, contigs, embedded) -> None:
    """As a window at its place; on the other strand as its reverse complement."""
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    bed = tmp_path / "r.bed"

    def at(*lines: str, both_strands: bool | str = "auto") -> dict:
        bed.write_text("".join(f"{line}\n" for line in lines))
        return embedded(fasta, Settings(window=120, step=60, pool="both", both_strands=both_strands), regions=bed)

    expected = embedded(fasta)
    compare(at("c1\t60\t180"), expected, 1)
    compare(at("c2\t0\t300", "c1\t60\t180", "c0\t180\t420"), expected, 1 + 4 + 3)
    turned = planted.write_fasta(tmp_path / "t.fa", {"c1": reverse_complement(contigs["c1"])})
    (other,) = at("c1\t60\t180\tx\t0\t-", both_strands=False).values()
    plain = embedded(turned, Settings(window=120, step=20, pool="both", both_strands=False))
    assert furthest(other[None], plain["c1", 320, 440][None]) < RELATIVE


def test_whole_contigs_in_any_blocks(tmp_path: Path, contigs, embedded, monkeypatch) -> None:
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    whole = Settings(window=-1, pool="both")
    expected = embedded(fasta, whole)
    for block in (1, 97, 300):
        monkeypatch.setattr(embedding, "BLOCK", block)
        compare(embedded(fasta, whole), expected, 3)


@pytest.mark.parametrize("kind", ["fasta", "store"])
@pytest.mark.parametrize("by", ["contig", "genome"])
def test_pooled_vectors_are_the_window_table_pooled_by_hand(
    tmp_path: Path, contigs, tiny_run: Path, kind: str, by: str, caplog
) -> None:
    """Each window weighs as much as it has known bases; exactly so, in any batches."""
    contigs["c1"][:] = N
    contigs["c2"][100:400] = N
    source = planted.write_fasta(tmp_path / "g.fna.gz.fa", contigs)
    if kind == "store":
        source = planted.store(
            tmp_path / "store", {"a": ("", [contigs["c0"], contigs["c1"]]), "b": ("", [contigs["c2"]])}
        )
    caplog.set_level("INFO", "genossl")
    embed.run(str(tiny_run), source, tmp_path / "w.npy", WINDOWS, device="cpu")
    table = read_table(tmp_path / "w.npy")
    rows = table.rows.astype({"start": int, "end": int, "n_N": int})
    known = (rows["end"] - rows["start"] - rows["n_N"]).to_numpy()
    key = rows["contig"] if by == "contig" else rows.get("genome", rows["contig"].map(lambda _: "g.fna.gz"))
    embed.run(
        str(tiny_run), source, tmp_path / "p.npy", Settings(window=120, step=60, pool="both", by=by), device="cpu"
    )
    pooled = read_table(tmp_path / "p.npy")
    wanted = [name for name in dict.fromkeys(key) if known[key == name].any()]
    assert pooled.rows[by].tolist() == wanted
    assert pooled.rows["id"].tolist() == (wanted if by == "genome" or kind == "fasta" else ["a:a_0", "b:b_0"])
    for name, row, vector in zip(wanted, pooled.rows.itertuples(), pooled.vectors, strict=True):
        own = (key == name).to_numpy() & (known > 0)
        total = np.zeros(vector.shape)
        for weight, one in zip(known[own], np.asarray(table.vectors)[own].astype(float), strict=True):
            total += weight * one
        np.testing.assert_array_equal(vector, (total / known[own].sum()).astype(np.float32))
        np.testing.assert_allclose(vector, np.average(table.vectors[own], axis=0, weights=known[own]), rtol=1e-5)
        assert (int(row.windows), int(row.known)) == (own.sum(), known[own].sum())
    assert f"{(known == 0).sum()} windows are wholly N and were left out" in caplog.text
    if by == "contig":
        assert (
            f"1 of its contigs have no known base and no vector: {'a:a_1' if kind == 'store' else 'c1'}" in caplog.text
        )


def test_pooling_does_not_ask_which_windows_come_together(tmp_path: Path, contigs) -> None:
    """Exactly, where the vectors are: k-mers'."""
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    found = []
    for rows in (1, 5, 2048):
        settings = Settings(window=120, step=7, by="contig", rows=rows)
        embed.run("kmer:3", fasta, tmp_path / "p.npy", settings)
        found.append((tmp_path / "p.npy").read_bytes())
    assert len(set(found)) == 1
    embed.run("gc", fasta, tmp_path / "w.npz", Settings(window=0, by="genome"))
    assert read_table(tmp_path / "w.npz").rows["contigs"].astype(int).tolist() == [3]


def test_the_command_pools(tmp_path: Path, contigs, call, again) -> None:
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    out = tmp_path / "out" / "p.npy"
    assert call("embed", "kmer:2", fasta, "--out", out, "--by", "genome")[:2] == (0, f"{out}: 1 rows\n")
    assert again(out) == []
    labels = tmp_path / "l.tsv"
    labels.write_text("id\tlabel\tsequence\na\tx\tACGT\n")
    assert "a labelled table" in call("embed", "gc", labels, "--out", out, "--by", "contig")[2]
    nothing = planted.write_fasta(tmp_path / "n.fa", {"c": np.full(300, N, np.uint8)})
    said = call("embed", "gc", nothing, "--out", tmp_path / "n" / "x.npy", "--by", "contig")[2]
    assert "holds no sequence with a known base" in said
    assert list((tmp_path / "n").iterdir()) == []
