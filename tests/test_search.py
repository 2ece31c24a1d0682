"""The verb search: planted genomes are found, a slow second implementation agrees, nothing depends on blocks."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest

import genossl
from genossl.api.sequences import tokens_of
from genossl.errors import InputError
from genossl.evaluation import nearest
from genossl.genome.alphabet import decode, reverse_complement
from genossl.genome.store import TokenStore
from genossl.model.index import open_index
from genossl.model.neighbours import Settings
from genossl.verbs import index, search

GENOMES = ("ape", "bat", "cat", "dog")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four genomes of different 4-mers, of two contigs of 3,000 bases, the last of which is repeated in a third."""
    rng = np.random.default_rng(0)
    genomes = {}
    for name in GENOMES:
        source = planted.symmetric(rng, 4, 0.6)
        genomes[name] = ("train", [planted.sample(rng, source, 3000) for _ in range(2)])
    genomes["dog"][1].append(genomes["dog"][1][1])
    return planted.store(tmp_path_factory.mktemp("search") / "store", genomes)


@pytest.fixture(scope="module")
def by_kmers(store: Path) -> Path:
    out = store.parent / "kmers"
    index.run("kmer:4", store, out, index.Settings(window=200, step=50))
    return out


@pytest.fixture(scope="module")
def by_encoder(store: Path, tiny_run: Path) -> Path:
    out = store.parent / "encoder"
    index.run(str(tiny_run), store, out, index.Settings(window=200, step=50), "cpu")
    return out


@pytest.fixture(scope="module")
def reads(store: Path) -> Path:
    """Sixty reads of 450 bases, of which three in a hundred are changed, on either strand; named by their place."""
    rng, found = np.random.default_rng(1), {}
    for i in range(60):
        genome, start = GENOMES[i % 4], int(rng.integers(2550))
        tokens = TokenStore.open(store).contig(f"{genome}_{i % 2}", genome)[start : start + 450].copy()
        wrong = rng.random(450) < 0.03
        tokens[wrong] = (tokens[wrong] + rng.integers(1, 4, wrong.sum())) % 4
        found[f"{genome}_{i % 2}.{start}.{i}"] = reverse_complement(tokens) if i % 3 else tokens
    return planted.write_fasta(store.parent / "reads.fa", found)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def test_reads_find_their_place_and_their_genome(by_kmers: Path, reads: Path, tmp_path: Path) -> None:
    search.run(by_kmers, reads, tmp_path / "w.tsv", Settings(top=3))
    hits = read(tmp_path / "w.tsv")
    assert list(hits) == [
        "query", "query_start", "query_end", "rank", "genome", "contig", "start", "end", "similarity", "background",
    ]  # fmt: skip
    best = hits[hits["rank"] == 1]
    assert len(best) == 60 * 6  # windows of 200 bases every 50 of 450
    own = best["query"].str.split(".", expand=True)
    contig, start = own[0].str.replace("dog_2", "dog_1"), own[1].astype(int)
    inside = (best["contig"] == contig) & (best["start"] < start + 450) & (best["end"] > start)
    assert inside.mean() > 0.95
    assert (best["similarity"] > best["background"])[inside].all()
    search.run(by_kmers, reads, tmp_path / "g.tsv", Settings(by="genome", top=1))
    found = read(tmp_path / "g.tsv")
    assert (found["genome"] == found["query"].str[:3]).all()
    assert (found["windows"] == 6).all()
    assert (found["nearest"] >= 5).all()


@pytest.mark.parametrize("kind", ["by_kmers", "by_encoder"])
@pytest.mark.parametrize("turned", [False, True])
def test_an_indexed_window_is_its_own_nearest_on_either_strand(kind: str, turned: bool, store: Path, request) -> None:
    found = genossl.open_index(request.getfixturevalue(kind), device="cpu")
    opened = TokenStore.open(store)
    places = [("ape", "ape_0", 150), ("cat", "cat_1", 2800), ("dog", "dog_1", 0)]
    windows = [np.array(opened.contig(c, g)[s : s + 200]) for g, c, s in places]
    hits = found.search([reverse_complement(w) if turned else decode(w) for w in windows], top=2)
    best = hits[hits["rank"] == 1]
    assert list(zip(best["genome"], best["contig"], best["start"], strict=True)) == places
    np.testing.assert_allclose(best["similarity"], 1, atol=2e-6)
    twin = hits.iloc[-1]  # the repeated contig is as near, and stands after the first
    assert (twin["contig"], twin["start"], twin["rank"]) == ("dog_2", 0, 2)
    assert twin["similarity"] == best["similarity"].iloc[-1]


@pytest.mark.parametrize("by", ["contig", "genome"])
def test_contigs_and_genomes_are_ranked_as_by_a_slow_loop(by: str, by_kmers: Path, reads: Path, tmp_path: Path) -> None:
    search.run(by_kmers, reads, tmp_path / "x.tsv", Settings(by=by, top=100))
    found, opened = read(tmp_path / "x.tsv"), open_index(by_kmers)
    key = opened.rows["contig" if by == "contig" else "genome"]
    for record in reads.read_text().split(">")[1:]:
        name, _, letters = record.partition("\n")
        (tokens,) = tokens_of([letters.replace("\n", "")])
        query = [opened.vectors_of([tokens[s : s + 200]])[0] for s in range(0, 251, 50)]
        similarity = {
            group: np.array([max(q @ row for row in opened.vectors_NC[(key == group).to_numpy()]) for q in query])
            for group in dict.fromkeys(key)
        }
        expected = sorted(similarity, key=lambda group: -round(similarity[group].mean(), 9))
        own = found[found["query"] == name]
        assert own[by].tolist() == expected
        np.testing.assert_allclose(own["similarity"], [similarity[g].mean() for g in expected], atol=1e-6)
        assert own["nearest"].sum() == 6
        table = pd.DataFrame(similarity).round(9)
        assert dict(zip(own[by], own["nearest"], strict=True)) == {
            group: int((table.idxmax(axis=1) == group).sum()) for group in similarity
        }


@pytest.mark.parametrize("by", ["window", "contig", "genome"])
def test_nothing_depends_on_the_rows_held_at_once(
    by: str, by_kmers: Path, reads: Path, tmp_path: Path, monkeypatch
) -> None:
    tables = []
    for rows, block in ((1, 17), (7, 1000), (1024, 8192)):
        for function in (nearest.exact, nearest.of_groups):
            monkeypatch.setattr(function, "__defaults__", (None, block))
        search.run(by_kmers, reads, tmp_path / "x.tsv", Settings(by=by, rows=rows))
        tables.append((tmp_path / "x.tsv").read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_background_is_the_quantile_of_all_rows_where_all_are_taken(
    by_kmers: Path, reads: Path, tmp_path: Path
) -> None:
    search.run(by_kmers, reads, tmp_path / "x.tsv", Settings(top=1000, background=10_000))
    hits = read(tmp_path / "x.tsv")
    for _, own in hits.groupby(["query", "query_start"]):
        assert own["background"].iloc[0] == pytest.approx(np.quantile(own["similarity"], 0.99), abs=2e-6)


def test_what_a_query_is_part_of_can_be_left_out(by_kmers: Path, store: Path, tmp_path: Path) -> None:
    found = {}
    for exclude in ("nothing", "overlap", "contig", "genome"):
        search.run(by_kmers, store, tmp_path / "x.tsv", Settings(top=4, exclude=exclude))
        hits = read(tmp_path / "x.tsv")
        query = hits["query"].str.split(":", expand=True)
        same_contig = query[1] == hits["contig"]
        overlaps = same_contig & (hits["start"] < hits["query_end"]) & (hits["end"] > hits["query_start"])
        found[exclude] = (overlaps.sum(), same_contig.sum(), (query[0] == hits["genome"]).sum())
        assert hits.groupby(["query", "query_start"]).size().eq(4).all()
    assert found["nothing"][0] > 0
    assert found["overlap"][0] == 0 < found["overlap"][1]
    assert found["contig"][1] == 0 < found["contig"][2]
    assert found["genome"] == (0, 0, 0)
    search.run(by_kmers, store, tmp_path / "x.tsv", Settings(by="genome", exclude="genome"))
    hits = read(tmp_path / "x.tsv")
    assert (hits["query"].str[:3] != hits["genome"]).all()
    assert hits.groupby("query").size().eq(3).all()


def test_a_contig_of_several_genomes_is_not_guessed(tmp_path: Path) -> None:
    from genossl.genome.store import Writer

    rng = np.random.default_rng(0)
    (tmp_path / "store").mkdir()
    with Writer(tmp_path / "store") as writer:
        for genome in ("a", "b"):
            writer.begin(genome, "1", "planted")
            writer.append(rng.integers(0, 4, 300).astype(np.uint8))
            writer.end()
        writer.close(pd.DataFrame({"genome": ["a", "b"], "split": ""}), None, {"genomes": []})
    index.run("kmer:2", tmp_path / "store", tmp_path / "ix", index.Settings(window=100))
    planted.write_fasta(tmp_path / "q.fa", {"1": rng.integers(0, 4, 300).astype(np.uint8)})
    with pytest.raises(InputError, match="contig '1' is in several genomes of the index"):
        search.run(tmp_path / "ix", tmp_path / "q.fa", tmp_path / "x.tsv", Settings(exclude="contig"))
    assert not (tmp_path / "x.tsv").exists()


def test_tables_standard_input_and_output_python_and_rerun(
    by_encoder: Path, reads: Path, tmp_path: Path, call, again
) -> None:
    """The same sequences by five ways give the same hits."""
    records = [record.partition("\n") for record in reads.read_text().split(">")[1:]]
    short = {name: letters.replace("\n", "")[:200] for name, _, letters in records}
    (tmp_path / "s.fa").write_text("".join(f">{name}\n{letters}\n" for name, letters in short.items()))
    (tmp_path / "s.tsv").write_text("id\tlabel\tsequence\n" + "".join(f"{n}\tx\t{s}\n" for n, s in short.items()))
    code, out, _ = call(
        "search", by_encoder, tmp_path / "s.fa", "--out", tmp_path / "x" / "fa.tsv", "--top", "3", "--device", "cpu"
    )
    assert (code, out) == (0, f"{tmp_path / 'x' / 'fa.tsv'}: 180 hits\n")
    expected = (tmp_path / "x" / "fa.tsv").read_text()
    assert again(tmp_path / "x" / "fa.tsv") == []
    code, out, _ = call("search", by_encoder, tmp_path / "s.tsv", "--out", "-", "--top", "3", "--device", "cpu")
    assert (code, out) == (0, expected)
    command = [sys.executable, "-c", "from genossl.cli import main; main()", "--quiet", "search", str(by_encoder), "-"]
    command += ["--out", "-", "--top", "3", "--device", "cpu"]
    done = subprocess.run(command, input=(tmp_path / "s.fa").read_bytes(), capture_output=True, env={**os.environ})
    assert (done.stdout.decode(), done.stderr) == (expected, b"")
    frame = genossl.open_index(by_encoder, device="cpu").search(list(short.values()), top=3)
    frame["query"] = [list(short)[i] for i in frame["query"]]
    pd.testing.assert_frame_equal(frame, read(tmp_path / "x" / "fa.tsv"), check_dtype=False)


def test_an_approximate_index_finds_nearly_what_an_exact_one_does(store: Path, reads: Path, tmp_path: Path) -> None:
    tables = {}
    for kind in ("exact", "ivf"):
        index.run("kmer:4", store, tmp_path / kind, index.Settings(window=200, step=20, kind=kind))
        search.run(tmp_path / kind, reads, tmp_path / f"{kind}.tsv", Settings())
        tables[kind] = read(tmp_path / f"{kind}.tsv")
    keys = ["query", "query_start", "contig", "start", "similarity"]
    both = tables["exact"].merge(tables["ivf"], on=keys)
    assert len(both) / len(tables["exact"]) > 0.85
    groups = {}
    for kind in ("exact", "ivf"):  # contigs and genomes, and what is left out, look at all rows
        search.run(tmp_path / kind, reads, tmp_path / "g.tsv", Settings(by="genome"))
        groups[kind] = (tmp_path / "g.tsv").read_bytes()
    assert groups["exact"] == groups["ivf"]


def test_least_and_unknown_bases(by_kmers: Path, tmp_path: Path) -> None:
    planted.write_fasta(tmp_path / "n.fa", {"none": np.full(300, 4, np.uint8)})
    assert search.run(by_kmers, tmp_path / "n.fa", tmp_path / "x.tsv", Settings()) == 0
    assert (tmp_path / "x.tsv").read_text().startswith("query\tquery_start")
    hits = genossl.open_index(by_kmers).search(["ACGT" * 50], least=0.2)
    assert (hits["similarity"] >= 0.2).all()
    assert len(genossl.open_index(by_kmers).search(["ACGT" * 50], least=0.2, by="genome")) < 4


def test_hits_are_packed_where_their_name_says_so(by_kmers: Path, reads: Path, tmp_path: Path, again) -> None:
    for name in ("plain.tsv", "a.tsv.gz", "b.tsv.gz"):
        search.run(by_kmers, reads, tmp_path / name, Settings(by="genome"))
    packed = (tmp_path / "a.tsv.gz").read_bytes()
    assert packed == (tmp_path / "b.tsv.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "plain.tsv").read_bytes()
    assert again(tmp_path / "a.tsv.gz") == []


def test_mistakes(by_kmers: Path, store: Path, reads: Path, tmp_path: Path, call) -> None:
    (tmp_path / "empty.fa").write_text("")
    index.run("kmer:2", reads, tmp_path / "fasta", index.Settings())
    for arguments, message in (
        ((store, reads, "--out", tmp_path / "x.tsv"), "no index (no index.json); make one: genossl index ENCODER"),
        ((by_kmers, tmp_path / "no.fa", "--out", tmp_path / "x.tsv"), "no.fa: no such file"),
        ((by_kmers, tmp_path / "empty.fa", "--out", tmp_path / "x.tsv"), "empty.fa"),
        ((by_kmers, reads, "--out", reads), "hits are written as .tsv, .tsv.gz or -"),
        ((by_kmers, tmp_path / "x.tsv", "--out", tmp_path / "x.tsv"), "is read, and would be written over"),
        ((by_kmers, reads, "--out", tmp_path / "x.tsv", "--by", "phylum"), "search.by: expected 'window', 'contig'"),
        ((by_kmers, reads, "--out", tmp_path / "x.tsv", "--top", "0"), "top, background and rows must be at least 1"),
        ((tmp_path / "fasta", reads, "--out", "-", "--by", "genome"), "is of FASTA and knows no genomes"),
    ):
        code, out, err = call("search", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert message in err
    assert not (tmp_path / "x.tsv").exists()
    with pytest.raises(InputError, match="expected a list of sequences"):
        genossl.open_index(by_kmers).search("ACGT")
