"""The benchmark of clustering: its tables hold test genomes only, it runs, and goes on where it stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import bakeoff
import bakeoff_data
import clustering
import numpy as np
import pandas as pd
import pytest
from planted import markov, sample, write_fasta

from genossl.genome import fasta
from genossl.genome.alphabet import encode, reverse_complement
from genossl.genome.store import TokenStore

GENOMES = {"train": 2, "dev": 1, "test": 3}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as the real one; windows and tables small enough for it."""
    monkeypatch.setattr(clustering, "LENGTHS", {"genomes": (400, 600), "virus": (300, 300)})
    monkeypatch.setattr(clustering, "ROWS", {"genomes": 12, "virus": 12})
    monkeypatch.setattr(clustering, "BESIDE", ("kmer3", "kmer4"))
    monkeypatch.setattr(clustering, "PRESETS", ("kmer_mlp",))
    monkeypatch.setattr(bakeoff, "TIMED", 1)
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    for name in ("prokaryotes/genomes", "starter/virus", "starter/labelled/gue", "starter/labelled/phage_genes20"):
        (folder / name).mkdir(parents=True)
    rows = []
    for split, n in GENOMES.items():
        for i in range(n):
            contigs = {f"{split}{i}_{c}": sample(rng, markov(rng, 2, 1.0), 4_000) for c in range(2)}
            write_fasta(folder / "prokaryotes" / "genomes" / f"{split}{i}.fa", contigs)
            rows.append((f"{split}{i}", f"genomes/{split}{i}.fa", f"Genus{split}{i}", split))
    table = pd.DataFrame(rows, columns=["genome", "path", "genus", "split"])
    table.to_csv(folder / "prokaryotes" / "genomes.tsv", sep="\t", index=False)
    rows = []
    for kind in ("phage", "eukvirus"):
        source = markov(rng, 2, 1.0)
        for split in GENOMES:
            contigs = {f"{kind}.{split}.{i}": sample(rng, source, 4_000) for i in range(8)}
            write_fasta(folder / "starter" / "virus" / f"{kind}_{split}.fa.gz", contigs)
            rows += [(f"virus/{kind}_{split}.fa.gz", name, f"{kind}{i // 2}") for i, name in enumerate(contigs)]
    pd.DataFrame(rows, columns=["file", "id", "cluster"]).to_csv(
        folder / "starter" / "manifest.tsv", sep="\t", index=False
    )
    for name in (bakeoff_data.PROMOTERS, bakeoff_data.GENES):
        genes = pd.DataFrame({"split": ["train"], "label": ["x"], "genome": ["none"], "sequence": ["A"]})
        genes.to_csv(folder / name, sep="\t", index=False, compression="gzip")
    return folder


def go(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["clustering.py", *options])
    code = clustering.main()
    said = capsys.readouterr()
    return code, said.out, said.err


def test_it_runs_and_goes_on_where_it_stopped(data, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    options = ("--data", str(data), "--out", str(out), "--bases", "600000")
    code, printed, told = go(monkeypatch, capsys, *options)
    assert code == 0, told
    assert (out / "clustering.md").read_text() in printed
    rows = [line for line in printed.splitlines() if line.startswith("| trained_kmer_mlp_mean ")]
    assert len(rows) == 4  # two tasks, two algorithms
    assert printed.count("ARI beside kmer4") == 4
    genomes = pd.read_csv(out / "data" / "genomes.tsv", sep="\t")
    assert sorted(set(genomes["label"])) == [f"Genustest{i}" for i in range(3)]
    assert genomes["sequence"].str.len().between(400, 600).all()
    virus = pd.read_csv(out / "data" / "virus.tsv", sep="\t")
    assert virus["label"].value_counts().to_dict() == {"phage": 4, "eukaryotic_virus": 4, "prokaryote": 12}
    assert not virus[virus["label"] != "prokaryote"]["genome"].duplicated().any()  # one window of a cluster
    learnt = TokenStore.open(out / "data" / "store").contigs["contig"]
    assert not set(learnt) & (set(genomes["contig"]) | set(virus["contig"]))
    records = {
        r.name: r.tokens for path in sorted((data / "prokaryotes" / "genomes").iterdir()) for r in fasta.records(path)
    }
    for row in genomes.itertuples():  # sequences are those at the coordinates, on either strand
        there, here = records[str(row.contig)][row.start : row.end], encode(str(row.sequence))
        assert np.array_equal(there, here) or np.array_equal(there, reverse_complement(here))
    assert "training" in told
    again = go(monkeypatch, capsys, *options)
    assert again[1] == printed
    assert "training" not in again[2]
    assert "embedding" not in again[2]
    (data / "starter" / "manifest.tsv").write_text("file\tid\tcluster\n")
    code, _, told = go(monkeypatch, capsys, *options)
    assert code == 2
    assert "holds tables of other data" in told


def test_a_missing_file_is_named(tmp_path, monkeypatch, capsys) -> None:
    code, _, told = go(monkeypatch, capsys, "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "no prokaryotes/genomes.tsv" in told
