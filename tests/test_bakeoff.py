"""The bake-off: its data have no leaks, its statistics are what they say, and it runs, stops and goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bakeoff
import bakeoff_data
import numpy as np
import pandas as pd
import pytest
from planted import markov, sample, write_fasta

from genossl import methods, recipe
from genossl.genome.alphabet import decode
from genossl.genome.store import TokenStore

GENUS_OF = {"train": 3, "dev": 2, "test": 5}  # genomes of a split
SMALL = {"genus": (12, 4, 8), "virus": (12, 5, 6), "promoter": (12, 6, 8), "gene": (12, 5, 6)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder laid out as the real one, of sources that can be told apart; with the leaks that must be mended."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("prokaryotes/genomes", "starter/virus", "starter/labelled/gue", "starter/labelled/phage_genes20"):
        (folder / name).mkdir(parents=True)
    sources = {name: markov(rng, 2, 1.0) for name in ("phage", "eukvirus", "bacterium", "promoter", "other", "a", "b")}
    rows = []
    for split, n in GENUS_OF.items():
        for i in range(n):
            name = f"{split}{i}"
            own = sources["bacterium"] if split != "test" else markov(rng, 2, 1.0)
            genome = {f"{name}_{c}": sample(rng, own, 6_000) for c in range(2)}
            write_fasta(folder / "prokaryotes" / "genomes" / f"{name}.fa", genome)
            rows.append((name, f"genomes/{name}.fa", f"Genus{name}", split))
    table = pd.DataFrame(rows, columns=["genome", "path", "genus", "split"])
    table.to_csv(folder / "prokaryotes" / "genomes.tsv", sep="\t", index=False)
    rows = []
    for kind in ("phage", "eukvirus"):
        for split in ("train", "dev", "test"):
            contigs = {f"{kind}.{split}.{i}": sample(rng, sources[kind], 2500) for i in range(12)}
            write_fasta(folder / "starter" / "virus" / f"{kind}_{split}.fa.gz", contigs)
            rows += [(f"virus/{kind}_{split}.fa.gz", name, f"{i}{split}") for i, name in enumerate(contigs)]
    table = pd.DataFrame(rows, columns=["file", "id", "cluster"])
    table.to_csv(folder / "starter" / "manifest.tsv", sep="\t", index=False)
    rows = [
        (split, label, decode(sample(rng, sources["promoter" if label == "1" else "other"], 300)))
        for split, n in (("train", 15), ("dev", 8), ("test", 10))
        for label in "01"
        for _ in range(n)
    ]
    rows += [("test", rows[0][1], rows[0][2]), ("test", "0", rows[-1][2])]  # a copy of a train row; both labels
    table = pd.DataFrame(rows, columns=["split", "label", "sequence"])
    table.to_csv(folder / bakeoff_data.PROMOTERS, sep="\t", index=False, compression="gzip")
    rows = [
        (split, label, decode(sample(rng, sources[label], 600)), genome.format(i), f"{label}{split}{i}")
        for split, n, genome in (("train", 14, "x"), ("dev", 6, "x"), ("test", 6, "phage.train.{}"))
        for label in "ab"
        for i in range(n)
    ]
    rows += [("train", "rare", rows[0][2], "x", "r1"), ("test", "rare", rows[1][2], "x", "r2")]
    table = pd.DataFrame(rows, columns=["split", "label", "sequence", "genome", "cluster"])
    table.to_csv(folder / bakeoff_data.GENES, sep="\t", index=False, compression="gzip")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tables and blocks that fit the planted genomes."""
    monkeypatch.setattr(bakeoff_data, "CAPS", SMALL)
    monkeypatch.setattr(bakeoff_data, "BLOCK", 600)
    monkeypatch.setattr(bakeoff_data, "RAREST", {"gene": 3})
    monkeypatch.setattr(bakeoff, "SHOTS", (2,))
    monkeypatch.setattr(bakeoff, "REPLICATES", 100)
    monkeypatch.setattr(bakeoff, "BESIDE", ("kmer3", "gc"))
    monkeypatch.setattr(bakeoff, "TIMED", 1)


@pytest.fixture
def prepared(data, tmp_path) -> Path:
    bakeoff_data.prepare(data, tmp_path)
    return tmp_path


def test_nothing_that_is_judged_on_was_pretrained_on(data, prepared):
    store = TokenStore.open(prepared / "store")
    learnt = store.genomes["genome"][store.genomes["split"] == "train"]
    contigs = set(store.contigs["contig"][store.contigs["genome"].isin(learnt)])
    genes = pd.read_csv(data / bakeoff_data.GENES, sep="\t")
    assert {"phage.train.0", "phage.train.5"} <= set(genes["genome"][genes["split"] == "test"])
    assert not contigs & set(genes["genome"][genes["split"] != "train"])
    assert {"phage.train.6", "eukvirus.train.0", "train0_0"} <= contigs
    assert not any("dev" in contig or "test" in contig for contig in contigs)
    everything = decode(np.asarray(store.tokens))
    for task in ("genus", "virus"):
        table = pd.read_csv(prepared / f"{task}.tsv", sep="\t")
        test = table["sequence"][table["split"] == "test"]
        assert len(test)
        assert not any(sequence in everything for sequence in test)


@pytest.mark.parametrize("task", list(bakeoff_data.TASKS))
def test_splits_share_no_group_and_no_sequence(prepared, task):
    table = pd.read_csv(prepared / f"{task}.tsv", sep="\t", dtype=str)
    assert table["id"].is_unique
    assert set(table["sequence"].str.len()) == {bakeoff_data.WINDOW[task]}  # length tells no class
    for column in ("sequence", "group"):
        if column in table:
            assert (table.groupby(column)["split"].nunique() == 1).all()
    counts = table.groupby(["split", "label"]).size()
    for side, cap in zip(bakeoff_data.SPLITS, SMALL[task], strict=True):
        assert counts[side].max() <= cap
    if task == "promoter":
        assert (table.groupby("sequence")["label"].nunique() == 1).all()
    if task == "gene":
        assert set(table["label"]) == {"a", "b"}


def test_windows_of_a_genome_are_a_block_apart(prepared):
    table = pd.read_csv(prepared / "genus.tsv", sep="\t")
    table["block"] = table["group"].str.rpartition(":")[2].astype(int)
    for _, rows in table.groupby("label"):
        of = {side: rows["block"][rows["split"] == side] for side in bakeoff_data.SPLITS}
        assert of["train"].max() + 1 < of["validation"].min()
        assert of["validation"].max() + 1 < of["test"].min()


def test_the_same_folder_gives_the_same_data(data, prepared, tmp_path):
    one = bakeoff_data.prepare(data, prepared)  # read back
    two = bakeoff_data.prepare(data, tmp_path / "again")
    assert one == two


def row(name: str, values: list[float], replicates: np.ndarray, preset: str = "default") -> bakeoff.Row:
    seeds = tuple(range(len(values)))
    return bakeoff.Row(name, preset, np.array(values), np.array(values)[:, None] + replicates[None], seeds)


def test_a_difference_is_paired_and_must_hold_over_seeds_and_over_test_groups():
    noise = np.random.default_rng(0).normal(size=200) * 0.05
    base = row("untrained", [0.3, 0.5, 0.7], noise)
    always = row("always", [0.41, 0.60, 0.79], noise)  # by 0.11, 0.10, 0.09: the seeds' own spread drops out
    found = bakeoff.difference(always, base)
    assert found["difference"] == pytest.approx(0.1)
    assert found["seeds"] == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)
    assert (found["low"], found["high"]) == pytest.approx((0.1, 0.1))
    assert found["shown"]
    assert not bakeoff.difference(row("once", [0.6, 0.5, 0.7], noise), base)["shown"]  # one seed of three
    other = np.random.default_rng(1).normal(size=200) * 0.2
    assert not bakeoff.difference(row("lucky groups", [0.41, 0.60, 0.79], other), base)["shown"]
    kmers = row("k-mers (k = 4)", [0.2], noise, "")
    assert bakeoff.difference(row("x", [0.41, 0.42, 0.43], noise), kmers)["difference"] == pytest.approx(0.22)
    assert not bakeoff.difference(row("one seed", [0.9], noise), kmers)["shown"]


def test_findings_name_what_the_intervals_bear_out():
    noise = np.random.default_rng(0).normal(size=200) * 0.01
    rows = [
        row("good", [0.80, 0.81, 0.82], noise),
        row("k-mers (k = 4)", [0.7], noise, ""),
        row("untrained", [0.60, 0.61, 0.62], noise),
        row("bad", [0.50, 0.51, 0.52], noise),
    ]
    said = bakeoff.findings(rows, "10 labels per class")
    assert "good (default) is best (0.810)" in said
    assert "Above k-mers (k = 4) (0.700) beyond noise: good (default); below: bad (default); not told apart: 0." in said
    assert "Above their own encoder untrained beyond noise: good (default); below: bad (default)." in said


def test_each_method_runs_on_an_encoder_that_serves_it():
    assert bakeoff.serving("simclr", ["default", "conv"]) == ["default", "conv"]
    assert bakeoff.serving("causal_lm", ["default", "conv"]) == ["bases"]
    assert bakeoff.serving("self_genomenet + masked", ["default", "conv"]) == ["conv"]


def test_a_variant_is_a_method_with_other_settings():
    runs = {bakeoff.Run("method", name, "conv", 0).row for name in [*methods.available(), *bakeoff.VARIANTS]}
    assert len(runs) == len(methods.available()) + len(bakeoff.VARIANTS)
    found = recipe.resolve(bakeoff.mapping("wav2vec 2.0", "default"))
    assert (found.name, found.method.version) == ("wav2vec", 2)
    assert bakeoff._checksum("default", "wav2vec 2.0") != bakeoff._checksum("default", "wav2vec")


def go(monkeypatch, capsys, *options: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bakeoff.py", *options])
    code = bakeoff.main()
    return code, *capsys.readouterr()


def test_it_runs_two_methods_and_goes_on_where_it_stopped(data, tmp_path, monkeypatch, capsys):
    options = ["--data", str(data), "--out", str(tmp_path), "--minutes", "0.0001", "--seeds", "1", "--jobs", "1"]
    options += ["--presets", "default", "--methods", "simclr", "self_genomenet"]
    code, out, _ = go(monkeypatch, capsys, *options)
    assert code == 0
    assert "6 of 6 runs to do" in out  # kmer3, gc, two methods, untrained, supervised
    files = sorted((tmp_path / "runs").iterdir())
    assert [path.suffix for path in files] == [".json"] * 6
    simclr = json.loads(next(path for path in files if path.name.startswith("simclr")).read_text())
    assert simclr["steps"] >= 1
    assert simclr["bases_seen"] == simclr["steps"] * 256 * 2 * 500
    assert simclr["flops"] > 0
    assert set(simclr["scores"]) == set(bakeoff_data.TASKS)
    assert set(simclr["scores"]["virus"]) == {"2", "all"}
    values = json.loads((tmp_path / "bakeoff.json").read_text())
    names = {row["method"] for row in values["tables"]["promoter"]["all"]}
    assert names == {"simclr", "self_genomenet", "k-mers (k = 3)", "gc", "untrained", "supervised"}
    text = (tmp_path / "bakeoff.md").read_text()
    assert "6 of 6 runs" in text
    assert "## promoter" in text
    files[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in files[1:]}
    assert "0 failed" in go(monkeypatch, capsys, *options, "--only-report")[1]
    assert not files[0].exists()
    assert "1 of 6 runs to do" in go(monkeypatch, capsys, *options)[1]
    assert files[0].exists()
    assert before == {path: path.stat().st_mtime_ns for path in files[1:]}


def test_a_missing_file_is_named(tmp_path, monkeypatch, capsys):
    code, _, error = go(monkeypatch, capsys, "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "no prokaryotes/genomes.tsv (10 of 10 files are missing)" in error
