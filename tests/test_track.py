"""Tracks: what a browser shows at a base is the mean over the windows that cover it, in bedGraph as in bigWig."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from genossl.errors import InputError
from genossl.evaluation import tracks
from genossl.evaluation.table import read_table
from genossl.genome.alphabet import N
from genossl.verbs import embed, track
from genossl.verbs.track import Settings

WINDOWS = embed.Settings(window=100, step=40, rows=50)


def per_base(rows: pd.DataFrame, values: np.ndarray) -> dict[str, dict[int, np.float32]]:
    """Contig -> base -> value: a second implementation, base by base."""
    found: dict[str, dict[int, list[float]]] = {}
    for contig, start, end, value in zip(rows["contig"], rows["start"], rows["end"], values, strict=True):
        for base in range(int(start), int(end)):
            found.setdefault(contig, {}).setdefault(base, []).append(float(value))
    return {c: {base: np.float32(np.mean(some)) for base, some in of.items()} for c, of in found.items()}


def of_bedgraph(path: Path) -> dict[str, dict[int, np.float32]]:
    """The same from a file, which is sorted, without overlaps and without neighbours of one value."""
    raw = path.read_bytes()
    lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()
    found: dict[str, dict[int, np.float32]] = {}
    before = ("", 0, 0, None)
    for contig, start, end, value in (line.split("\t") for line in lines):
        row = (contig, int(start), int(end), np.float32(value))
        assert row[1] < row[2]
        assert contig > before[0] or (contig == before[0] and row[1] >= before[2])
        assert not (row[:2] == (before[0], before[2]) and row[3] == before[3])
        found.setdefault(contig, {}).update(dict.fromkeys(range(row[1], row[2]), row[3]))
        before = row
    return found


def of_bigwig(path: Path) -> dict[str, dict[int, np.float32]]:
    with pyBigWig.open(str(path)) as file:
        assert list(file.chroms()) == sorted(file.chroms())
        return {
            contig: {
                base: np.float32(value) for start, end, value in file.intervals(contig) for base in range(start, end)
            }
            for contig in file.chroms()
            if file.intervals(contig)
        }


def assert_equal(found: dict[str, dict[int, np.float32]], expected: dict[str, dict[int, np.float32]]) -> None:
    assert {name: sorted(of) for name, of in found.items()} == {name: sorted(of) for name, of in expected.items()}
    for name, of in found.items():
        np.testing.assert_allclose(list(of.values()), [expected[name][base] for base in of], rtol=2e-6, atol=1e-9)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """Three contigs of two genomes' worth of composition, with a gap of 300 N, not in order of their names."""
    rng = np.random.default_rng(1)
    contigs = {f"c{i}": planted.sample(rng, planted.markov(rng, 2, 1.0), 900 + 77 * i) for i in (2, 0, 1)}
    contigs["c0"] = contigs["c0"].copy()
    contigs["c0"][330:630] = N
    return planted.write_fasta(tmp_path / "g.fa", contigs)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15), st.integers(-2, 2)), min_size=1, max_size=30))
def test_runs_are_the_mean_at_each_base(windows: list[tuple[int, int, int]]) -> None:
    start, length, value = map(np.array, zip(*windows, strict=True))
    found = tracks.runs("c", start, start + length, value.astype(float))
    rows = pd.DataFrame({"contig": "c", "start": start, "end": start + length})
    expected = per_base(rows, value)["c"]
    spread = {b: v for s, e, v in zip(*found[1:], strict=True) for b in range(s, e)}
    assert spread.keys() == expected.keys()
    np.testing.assert_allclose([spread[base] for base in expected], list(expected.values()), rtol=1e-6, atol=1e-7)
    joined = (found.end_R[:-1] == found.start_R[1:]) & (found.value_R[:-1] == found.value_R[1:])
    assert not joined.any()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", "/"])
@pytest.mark.parametrize("out", ["t.bedgraph", "t.bedgraph.gz", "t.bw", "t.BigWig"])
def test_every_format_is_what_was_computed_base_by_base(tmp_path: Path, fasta: Path, suffix: str, out: str) -> None:
    embed.run("kmer:2", fasta, f"{tmp_path / 'x'}{suffix}", WINDOWS)
    embeddings = tmp_path / f"x{suffix.strip('/')}"
    drawn = track.run(embeddings, tmp_path / out, Settings(component=5))
    table = read_table(embeddings)
    rows = table.rows.astype({"start": int, "end": int, "n_N": int})
    known = (rows["n_N"] < rows["end"] - rows["start"]).to_numpy()
    assert 0 < known.sum() < len(known)
    expected = per_base(rows[known], np.asarray(table.vectors)[known, 5])
    found = of_bedgraph(tmp_path / out) if "bedgraph" in out else of_bigwig(tmp_path / out)
    assert_equal(found, expected)
    assert (drawn.contigs, drawn.bases) == (3, sum(map(len, expected.values())))
    assert 450 not in found["c0"], "the middle of the gap has a value"
    best = max(float(v) for of in expected.values() for v in of.values())
    assert drawn.highest.startswith(f"{best:.4g} at c")
    if "bedgraph" not in out:
        with pyBigWig.open(str(tmp_path / out)) as file:
            assert file.chroms() == {"c0": 900, "c1": 977, "c2": 1054}


def test_values_of_a_component_a_principal_component_and_a_similarity(tmp_path: Path) -> None:
    """Against scikit-learn's, of windows that do not overlap."""
    rng = np.random.default_rng(2)
    contigs = {f"c{i}": planted.sample(rng, planted.markov(rng, 2, 1.0), 900) for i in range(2)}
    embed.run("kmer:2", planted.write_fasta(tmp_path / "g.fa", contigs), tmp_path / "x", embed.Settings(window=90))
    table = read_table(tmp_path / "x")
    rows, vectors = table.rows, table.vectors.astype(float)
    query = f"{rows['contig'][3]}:{rows['start'][3]}-{rows['end'][3]}"
    projected = PCA(3, svd_solver="full").fit(vectors)
    for settings, asked, expected in (
        (Settings(), None, vectors[:, 0]),
        (Settings(component=9), None, vectors[:, 9]),
        *((Settings(pc=i), None, projected.transform(vectors)[:, i - 1]) for i in (1, 2, 3)),
        (Settings(), query, cosine_similarity(vectors, vectors[3:4])[:, 0]),
    ):
        track.run(tmp_path / "x", tmp_path / "t.bedgraph", settings, asked)
        found = of_bedgraph(tmp_path / "t.bedgraph")
        drawn = np.array([found[c][s] for c, s in zip(rows["contig"], rows["start"], strict=True)])
        if settings.pc:  # scikit-learn's sign is another
            axis = projected.components_[settings.pc - 1]
            expected = expected * np.sign(axis[np.abs(axis).argmax()])
        np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-7)


def test_regions_ids_and_genomes_as_queries(tmp_path: Path) -> None:
    """A region is the mean of the windows that overlap it; an id, one row; two genomes may call a contig alike."""
    rng = np.random.default_rng(0)
    source = planted.markov(rng, 2, 1.0)
    folder = tmp_path / "store"
    folder.mkdir()
    with planted.Writer(folder) as writer:
        for genome in ("g", "h"):
            for contig in ("c", f"{genome}_alone"):
                writer.begin(genome, contig, "planted")
                writer.append(planted.sample(rng, source, 400))
                writer.end()
        writer.close(pd.DataFrame({"genome": ["g", "h"], "split": ["", ""]}), None, {})
    embed.run("kmer:2", folder, tmp_path / "x.npy", embed.Settings(window=100, step=50))
    table = read_table(tmp_path / "x.npy")
    rows, vectors = table.rows.astype({"start": int, "end": int}), np.asarray(table.vectors, float)

    def drawn(query: str, genome: str) -> tuple[dict, np.ndarray]:
        track.run(tmp_path / "x.npy", tmp_path / "t.bedgraph", Settings(genome=genome), query)
        own = (rows["genome"] == genome).to_numpy()
        return of_bedgraph(tmp_path / "t.bedgraph"), own

    for query, genome, at in (
        ("c:120-201", "g", (rows["genome"] == "g") & (rows["contig"] == "c") & rows["start"].isin([50, 100, 150, 200])),
        ("h:c:0-1", "g", (rows["genome"] == "h") & (rows["contig"] == "c") & (rows["start"] == 0)),
        ("h_alone:0-1", "h", (rows["contig"] == "h_alone") & (rows["start"] == 0)),
        ("g:c:50-150", "h", rows["id"] == "g:c:50-150"),  # the id of a row, and not the mean of three
    ):
        found, own = drawn(query, genome)
        expected = cosine_similarity(vectors[own], vectors[at.to_numpy()].mean(0)[None])[:, 0]
        assert_equal(found, per_base(rows[own], expected))
    for settings, query, message in (
        (
            Settings(),
            None,
            r"x\.npy: contig 'c' is in several genomes \(g, h, \.\.\.\); a track is of one: --genome NAME",
        ),
        (Settings(genome="i"), None, r"x\.npy: has no genome 'i'; found g, h"),
        (Settings(), "c:0-10", r"query 'c:0-10': is in several genomes \(g, h\); write GENOME:c:0-10"),
        (Settings(genome="g"), "d:0-10", r"query 'd:0-10': is no file, no id of .*, and no contig:start-end"),
        (Settings(genome="g"), "c:400-500", r"query 'c:400-500': is no file, no id of .*, and no contig:start-end"),
    ):
        with pytest.raises(InputError, match=message):
            track.run(tmp_path / "x.npy", tmp_path / "t.bedgraph", settings, query)
    track.run(tmp_path / "x.npy", tmp_path / "t.bw", Settings(genome="g"), sequences=folder)
    with pyBigWig.open(str(tmp_path / "t.bw")) as file:
        assert file.chroms() == {"c": 400, "g_alone": 400}


@pytest.mark.parametrize("encoder", ["kmer:3", "run"])
def test_a_planted_stretch_is_the_top_of_its_own_track(tmp_path: Path, tiny_run: Path, encoder: str) -> None:
    """A stretch of another composition; the query is the stretch, and the same with a tenth of its bases changed."""
    rng = np.random.default_rng(3)
    contigs = {f"c{i}": planted.sample(rng, planted.markov(rng, 2, 0.3), 3000).copy() for i in range(3)}
    stretch = planted.sample(rng, planted.markov(rng, 2, 2.5), 400)
    contigs["c1"][1200:1600] = stretch
    fasta = planted.write_fasta(tmp_path / "g.fa", contigs)
    spec = str(tiny_run) if encoder == "run" else encoder
    embed.run(spec, fasta, tmp_path / "x", embed.Settings(window=100, step=50, pool="mean"), device="cpu")
    mutated = np.where(rng.random(400) < 0.1, rng.integers(0, 4, 400), stretch).astype(np.uint8)
    for name, tokens in {"same": stretch, "mutated": mutated}.items():
        query = planted.write_fasta(tmp_path / f"{name}.fa", {"q": tokens})
        drawn = track.run(tmp_path / "x", tmp_path / "t.bedgraph", Settings(), str(query), device="cpu")
        found = re.fullmatch(r".* at c1:(\d+)-(\d+)", drawn.highest)
        assert found, drawn.highest
        assert int(found[1]) >= 1150
        assert int(found[2]) <= 1650
    drawn = track.run(tmp_path / "x", tmp_path / "t.bedgraph", Settings(), "c1:1200-1600")
    assert re.fullmatch(r".* at c1:1[1-6]\d\d-1[1-6]\d\d", drawn.highest)


def test_the_query_is_embedded_as_the_windows_were(tmp_path: Path, fasta: Path, tiny_run: Path, call) -> None:
    """By the very encoder, wherever it is now; a window of the table as query gives 1 there."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    embed.run(str(run), fasta, tmp_path / "x.npy", embed.Settings(window=100, pool="both"), device="cpu")
    tokens = next(embed.inputs.read(fasta, 100, 0)).tokens
    query = planted.write_fasta(tmp_path / "q.fa", {"q": tokens})
    out = tmp_path / "t.bedgraph"
    words = ("track", tmp_path / "x.npy", "--out", out, "--query", query, "--device", "cpu")
    assert call(*words)[0] == 0
    before = out.read_bytes()
    run.rename(tmp_path / "moved")
    assert call(*words)[2].startswith(f"genossl: {run}: no such folder")
    assert call(*words, "--encoder", tmp_path / "moved")[0] == 0
    assert out.read_bytes() == before
    assert abs(of_bedgraph(out)["c2"][0] - 1) < 1e-6
    for other in ("gc", f"untrained:{tiny_run}"):
        assert "was made by the encoder" in call(*words, "--encoder", other)[2]
    planted.write_fasta(query, {"q": tokens, "r": tokens})
    assert "holds 2 sequences, expected one" in call(*words, "--encoder", tiny_run)[2]
    planted.write_fasta(query, {"q": np.full(10, N, np.uint8)})
    assert "has no known base" in call(*words, "--encoder", tiny_run)[2]


def test_the_command_twice_writes_the_same_bytes(tmp_path: Path, fasta: Path, call, again) -> None:
    embed.run("kmer:2", fasta, tmp_path / "x", WINDOWS)
    for name in ("t.bedgraph", "t.bedgraph.gz", "t.bw"):
        out = tmp_path / "made" / name
        code, said, _ = call("track", tmp_path / "x", "--out", out, "--pc", "1")
        assert code == 0
        assert re.fullmatch(rf"{out}: 3 contigs, [\d,]+ bases, highest \S+ at c\d:\d+-\d+\n", said)
        assert again(out) == []
    assert (
        gzip.decompress((tmp_path / "made" / "t.bedgraph.gz").read_bytes())
        == (tmp_path / "made" / "t.bedgraph").read_bytes()
    )


def test_what_is_refused(tmp_path: Path, fasta: Path, call, monkeypatch) -> None:
    embed.run("kmer:2", fasta, tmp_path / "x", WINDOWS)
    embed.run("kmer:2", fasta, tmp_path / "c.npy", embed.Settings(window=100, by="contig"))
    words = ("track", tmp_path / "x", "--out", tmp_path / "out" / "t.bedgraph")
    for more, message in (
        (("--pc", "0"), "component counts from 0, pc from 1"),
        (("--pc", "17"), "64 windows of 10 channels have 10 principal components"),
        (("--component", "10"), "component 10: the vectors have 10 channels, 0 the first"),
        (("--component", "x"), "track.component: expected a valid integer"),
        (("--component", "1", "--pc", "1"), "a track draws one of --component, --pc and --query"),
        (("--out", tmp_path / "t.wig"), "t.wig: tracks end in .bedgraph, .bedgraph.gz, .bw, .bigwig"),
    ):
        code, _, said = call(*words, *more)
        assert (code, said.count("\n")) == (2, 1)
        assert message in said
    assert "its rows have no column start" in call("track", tmp_path / "c.npy", "--out", tmp_path / "t.bw")[2]
    short = planted.write_fasta(tmp_path / "short.fa", {"c0": np.zeros(5, np.uint8)})
    said = call(*words, "--sequences", short)[2]
    assert re.search(r"short\.fa: contig 'c.' (has 5 bases|is not there), but a window of .* ends at", said)
    odd = planted.write_fasta(tmp_path / "odd.fa", {"#1": np.zeros(50, np.uint8)})
    embed.run("gc", odd, tmp_path / "odd.npy", WINDOWS)
    assert "contig '#1' has a name that bedGraph cannot hold" in call("track", tmp_path / "odd.npy", *words[2:])[2]
    monkeypatch.setitem(__import__("sys").modules, "pyBigWig", None)
    assert "bigWig needs pyBigWig; pip install 'genossl[bigwig]'" in call(*words, "--out", tmp_path / "t.bw")[2]
    assert not (tmp_path / "out").exists()
