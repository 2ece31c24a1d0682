"""Retrieval: ranks against a naive loop, planted genes that are found, and one sentence per mistake."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_genes
import torch
from conftest import TINY
from planted import write_fasta
from torch import nn
from torch.nn import functional as F

from genossl.errors import InputError
from genossl.genome.alphabet import encode, reverse_complement
from genossl.genome.genes import CODES, Genes, spell, translate
from genossl.genome.store import FEATURES, TokenStore, Writer
from genossl.genome.windows import generator
from genossl.verbs import pretrain, retrieve

RUN = {
    "name": "clip",
    "pretrain": {"steps": 4, "batch": 8, "validate_every": 0},
    "encoder": TINY["encoder"],
    "clip": {"pairing": "genes", "length": 60, "residues": 10, "projection": 6, "hidden": 8},
}


def store(folder: Path, genomes: dict[str, str]) -> Path:
    """A token store of planted genes: genome -> its split."""
    folder.mkdir(parents=True)
    rows: list[tuple] = []
    with Writer(folder) as writer:
        for seed, genome in enumerate(genomes):
            data, _ = test_genes.planted(seed=seed, n=16, shortest=40)
            for name, offset, length in zip(
                data.contigs["contig"], data.contigs["offset"], data.contigs["length"], strict=True
            ):
                writer.begin(genome, name, "planted")
                writer.append(data.tokens[offset : offset + length])
                writer.end()
            rows += [(genome, *row[1:]) for row in data.features().itertuples(index=False)]
        table = pd.DataFrame({"genome": list(genomes), "split": list(genomes.values())})
        writer.close(table, pd.DataFrame(rows, columns=list(FEATURES)), {"genomes": []})
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    splits = {f"g{i}": split for i, split in enumerate(["train", "train", "test", "test", "test"])}
    return store(tmp_path_factory.mktemp("retrieve") / "store", splits)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("retrieve") / "run"
    pretrain.run(data, out, RUN, pretrain.Jobs(device="cpu"))
    return out


class Planted(nn.Module):
    """Two towers that know: a window and a protein of one length are what a random map makes of their letters."""

    def __init__(self, length: int = 60, residues: int = 10) -> None:
        super().__init__()
        self.settings = type("S", (), {"length": length, "residues": residues})()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("map", torch.randn(4096, 16, generator=torch.Generator().manual_seed(0)))

    def windows(self, tokens):
        """The mean over 6-mers of either strand, so that a stretch lies near whatever holds it."""
        both = torch.stack([tokens, reverse_complement(tokens)], 1).long().clamp(max=3)
        code = sum(both[..., i : i + both.shape[2] - 5] * 4 ** (5 - i) for i in range(6))
        return self.map[code].mean((1, 2))

    def other(self, protein):
        code = protein[:, :-2].long() * 400 + protein[:, 1:-1].long() * 20 + protein[:, 2:].long()
        return self.map[code % 4096].mean(1)


def test_ranks_equal_a_loop():
    similarity = np.random.default_rng(0).normal(size=(40, 40))
    similarity[3, :20] = similarity[3, 3]  # ties count against
    expected = [sorted(-similarity[i]).index(-similarity[i, i]) + 1 for i in range(40)]
    expected[3] = sum(similarity[3] >= similarity[3, 3])
    assert retrieve.ranks(similarity).tolist() == expected
    assert (retrieve.ranks(np.eye(5)) == 1).all()
    assert (retrieve.ranks(np.ones((5, 5))) == 5).all()  # equal vectors find nothing


def test_metrics_equal_a_loop_over_copies():
    """A weight is a number of copies."""
    rng = np.random.default_rng(0)
    rank, weight = rng.integers(1, 40, 25), rng.integers(0, 4, 25)
    copies = np.repeat(rank, weight)
    found = retrieve._metrics(rank, weight.astype(float))
    for k in (1, 5, 10):
        assert found[f"recall@{k}"] == pytest.approx((copies <= k).mean())
    assert found["median rank"] == np.sort(copies)[int(np.ceil(len(copies) / 2)) - 1]


def test_a_table_of_planted_similarities():
    """A method that finds all, one that finds nothing; intervals hold the values and the words follow from them."""
    n, unit = 60, np.repeat(np.arange(6), 10)
    weights = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 200)
    good, bad = np.eye(n), 1 - np.eye(n)
    rows, kept = retrieve._table({"clip": good, "composition": bad}, unit, weights)
    value = {(row["method"], row["direction"], row["metric"]): row["value"] for row in rows}
    for direction in ("dna to protein", "protein to dna"):
        assert value["clip", direction, "recall@1"] == 1
        assert value["composition", direction, "recall@10"] == 0
        assert value["composition", direction, "median rank"] == n
        assert value["chance", direction, "recall@5"] == 5 / 60
        assert value["chance", direction, "median rank"] == 30.5
    assert retrieve._verdict(kept, 6).endswith("clip is better than composition")
    swapped = {"clip": kept["composition"], "composition": kept["clip"]}
    assert retrieve._verdict(swapped, 6).endswith("composition is better than clip")
    equal = {"clip": kept["clip"], "composition": kept["clip"]}
    assert retrieve._verdict(equal, 6).endswith("no difference that these genomes can tell")
    assert "one genome shows no spread" in retrieve._verdict(kept, 1)


def test_held_out_genes_are_different_and_their_crops_share_no_codon(data):
    opened = TokenStore.open(data)
    genes = Genes(opened, opened.select({"test"}), 60, 10)
    batch = retrieve.held_out(genes, 20, generator(0, 0), 0.5)
    assert len(batch.tokens) == 20
    assert len(set(batch.gene.tolist())) == 20
    assert len(retrieve.held_out(genes, 10_000, generator(0, 0), 0.5).tokens) == len(set(genes.gene))
    plain = retrieve.held_out(genes, 20, generator(0, 0), 0.0).tokens
    turned = (batch.tokens == reverse_complement(plain)).all(1)
    assert 2 < turned.sum() < 18


def test_composition_finds_what_composition_tells(data):
    """Genes whose 4-mers and residues are as frequent as each other; shuffled pairs are not found."""
    rng = np.random.default_rng(0)
    words = np.array([[0, 0, 0, 0], [0, 0, 1, 2], [1, 1, 1, 1], [0, 2, 2, 1], [0, 1, 0, 1], [2, 0, 2, 0]], np.uint8)
    drawn = np.stack([rng.choice(6, 80, p=p) for p in rng.dirichlet(np.ones(6), 200)])
    opened = TokenStore.open(data)
    batch = Genes(opened, opened.select({"test"}), 60, 10).draw(200, generator(0, 0))
    batch = dataclasses.replace(
        batch, tokens=torch.tensor(words[drawn].reshape(200, -1)), protein=torch.tensor(drawn.astype(np.uint8))
    )
    found = retrieve.ranks(retrieve.composition_similarity(batch, batch))
    other = dataclasses.replace(batch, protein=batch.protein[torch.tensor(rng.permutation(200))])
    chance = retrieve.ranks(retrieve.composition_similarity(batch, other))
    assert np.median(found) <= 3
    assert 70 < np.median(chance) < 130


def test_evaluate_tells_both_directions_beside_composition_and_chance(run, data, tmp_path, again):
    out = tmp_path / "scores.tsv"
    settings = retrieve.Settings(genes=24, replicates=100)
    lines = retrieve.evaluate(run, data, settings, out, device="cpu")
    assert lines[0].startswith("24 genes of 3 genomes")
    table = pd.read_csv(out, sep="\t")
    assert len(table) == 3 * 2 * 4
    assert set(table["method"]) == {"clip", "composition", "chance"}
    assert (table.loc[table["method"] != "chance", "low"] <= table.loc[table["method"] != "chance", "value"]).all()
    assert retrieve.evaluate(run, data, settings, device="cpu") == lines
    assert json.loads((tmp_path / "scores.tsv.provenance.json").read_text())["seed"] == 0
    assert again(out) == []
    # by hand, from the run's own vectors
    model = retrieve.open_run(run, "cpu")
    opened = TokenStore.open(data)
    batch = retrieve.held_out(Genes(opened, opened.select({"test"}), 60, 10), 24, generator(0, 0, retrieve.CROPS), 0.5)
    dna = [F.normalize(retrieve.window_vectors(model, t[None])[0], dim=0) for t in batch.tokens]
    protein = [F.normalize(model.other(p[None])[0], dim=0).detach() for p in batch.protein]
    within = np.mean([sum(float(a @ b) > float(a @ protein[i]) for b in protein) < 5 for i, a in enumerate(dna)])
    row = table[
        (table["method"] == "clip") & (table["direction"] == "dna to protein") & (table["metric"] == "recall@5")
    ]
    assert row["value"].item() == pytest.approx(within)


def test_a_protein_finds_its_gene(run, data, tmp_path, monkeypatch):
    """With planted towers, for which a window and its copy on either strand agree, in blocks of seven."""
    monkeypatch.setattr(retrieve, "open_run", lambda *_: Planted())
    monkeypatch.setattr(retrieve, "BATCH", 7)
    rng = np.random.default_rng(0)
    contigs = {f"c{i}": rng.integers(0, 4, 400).astype(np.uint8) for i in range(3)}
    contigs["short"] = rng.integers(0, 4, 30).astype(np.uint8)
    queries = {"a": contigs["c2"][90:150], "b": reverse_complement(contigs["c0"][340:400]), "s": contigs["short"]}
    genomes, query = write_fasta(tmp_path / "g.fa", contigs), write_fasta(tmp_path / "q.fa", queries)
    out = tmp_path / "hits.tsv"
    assert retrieve.run(run, query, genomes, out, retrieve.Settings(top=4), device="cpu") == 12
    rows = list(csv.DictReader(out.open(), delimiter="\t"))
    assert list(rows[0]) == ["query", "rank", "contig", "start", "end", "similarity"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"] * 3
    best = {row["query"]: (row["contig"], row["start"], row["end"]) for row in rows if row["rank"] == "1"}
    assert best == {"a": ("c2", "90", "150"), "b": ("c0", "340", "400"), "s": ("short", "0", "30")}
    # all similarities against a loop
    model = Planted()
    for name, tokens in queries.items():
        expected = []
        padded = np.full(60, 4, np.uint8)
        padded[: len(tokens)] = tokens
        own = F.normalize(model.windows(torch.tensor(padded)[None])[0], dim=0)
        for contig, bases in contigs.items():
            for start in [*range(0, max(1, len(bases) - 59), 30), *([340] if len(bases) == 400 else [])]:
                window = np.full(60, 4, np.uint8)
                part = bases[start : start + 60]
                window[: len(part)] = part
                cosine = own @ F.normalize(model.windows(torch.tensor(window)[None])[0], dim=0)
                expected.append((round(float(cosine), 4), contig, start))
        top = sorted(expected, key=lambda hit: -hit[0])[:4]
        found = [float(row["similarity"]) for row in rows if row["query"] == name]
        assert found == pytest.approx([hit[0] for hit in top], abs=2e-4)


def test_proteins_are_found_by_real_towers_in_a_store(run, data, tmp_path, again):
    """One hit per query and rank, in windows of the store, and the same similarities as by hand."""
    (tmp_path / "p.faa").write_text(">long\nMKLVWYACDEFGHIKLMNPQRSTVWY\n>short\nMKW\n")
    out = tmp_path / "hits.tsv"
    assert retrieve.run(run, tmp_path / "p.faa", data, out, retrieve.Settings(top=3, step=60), device="cpu") == 6
    rows = list(csv.DictReader(out.open(), delimiter="\t"))
    assert list(rows[0]) == ["query", "rank", "genome", "contig", "start", "end", "similarity"]
    model, opened = retrieve.open_run(run, "cpu").requires_grad_(False), TokenStore.open(data)
    text = "MKLVWYACDEFGHIKLMNPQRSTVWY"
    crops = [text[0:10], text[10:20], text[16:26]]
    parts = [F.normalize(model.other(torch.tensor(CODES[[*map(ord, c)]])[None])[0], dim=0) for c in crops]
    query = F.normalize(torch.stack(parts).mean(0), dim=0)
    row = rows[0]
    window = torch.tensor(opened.contig(row["contig"], row["genome"])[int(row["start"]) : int(row["end"])].copy())
    strands = [F.normalize(model.windows(t[None])[0], dim=0) for t in (window, reverse_complement(window))]
    assert float(row["similarity"]) == pytest.approx(float(query @ F.normalize(sum(strands), dim=0)), abs=2e-5)
    told = json.loads((tmp_path / "hits.tsv.provenance.json").read_text())
    assert set(told["inputs"]) == {"encoder", "query", "genomes"}
    assert told["given"]["kind"] == "protein"
    assert again(out) == []


@pytest.mark.parametrize(
    "text,dna",
    [
        (">a\nACGTNNACGT\n", True),
        (">a ACDEFGHIKLMNP\nacgtuRYacgtacgtacgtacgtacgt\n", True),
        (">a\nMKLVWYACDEFGHIK\n", False),
        (">ACGTACGTACGTACGTACGT\nMKLV\n", False),
    ],
)
def test_what_a_query_is(tmp_path, text, dna):
    (tmp_path / "q.fa").write_text(text)
    assert retrieve.is_dna(tmp_path / "q.fa") == dna


def test_all_planted_genes_look_like_what_they_are(tmp_path):
    _, truth = test_genes.planted()
    (tmp_path / "p.fa").write_text("".join(f">{i}\n{spell(translate(dna))}\n" for i, dna in enumerate(truth)))
    assert not retrieve.is_dna(tmp_path / "p.fa")
    assert retrieve.is_dna(write_fasta(tmp_path / "d.fa", {str(i): dna for i, dna in enumerate(truth)}))


def test_either_strand_of_a_window_is_the_same(run):
    model = retrieve.open_run(run, "cpu")
    tokens = torch.tensor(encode("ACGGT" * 12))[None]
    one, two = (retrieve.window_vectors(model, t) for t in (tokens, reverse_complement(tokens)))
    torch.testing.assert_close(one, two)
    assert one.norm().item() == pytest.approx(1, abs=1e-6)


# ---- mistakes


def test_runs_that_cannot_serve_are_refused(tiny_run, tiny_store, data, tmp_path):
    with pytest.raises(InputError, match=r"is a run of self_genomenet; expected one of clip with clip\.pairing genes"):
        retrieve.open_run(tiny_run, "cpu")
    recipe = {**RUN, "clip": {"length": 60, "flank": 50, "projection": 6, "hidden": 8}}
    pretrain.run(tiny_store, tmp_path / "run", recipe, pretrain.Jobs(device="cpu"))
    with pytest.raises(InputError, match=r"pairs windows with their surroundings; expected clip\.pairing genes"):
        retrieve.evaluate(tmp_path / "run", data, device="cpu")


def test_other_mistakes(run, data, tmp_path, tiny_store):
    with pytest.raises(InputError, match="no genome of split pretrain; found test, train"):
        retrieve.evaluate(run, data, retrieve.Settings(splits=("pretrain",)), device="cpu")
    with pytest.raises(InputError, match="there are 0 genes to draw from"):
        retrieve.evaluate(run, tiny_store, device="cpu")
    (tmp_path / "p.faa").write_text(">a\nMKWLLV\n")
    with pytest.raises(InputError, match="no such file"):
        retrieve.run(run, tmp_path / "no.faa", data, tmp_path / "hits.tsv", device="cpu")
    with pytest.raises(InputError, match="standard input: a query is read twice"):
        retrieve.run(run, "-", data, tmp_path / "hits.tsv", device="cpu")
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\na\tb\tACGT\n")
    with pytest.raises(InputError, match=r"t\.tsv: is a table; expected a token store or FASTA"):
        retrieve.run(run, tmp_path / "p.faa", tmp_path / "t.tsv", tmp_path / "hits.tsv", device="cpu")
    with pytest.raises(ValueError, match="top must be"):
        retrieve.Settings(top=0)
    assert not (tmp_path / "hits.tsv").exists()


def test_a_store_that_is_gone_is_asked_for(data, tmp_path):
    own = store(tmp_path / "own", {"g0": "train"})
    pretrain.run(own, tmp_path / "run", RUN, pretrain.Jobs(device="cpu"))
    own.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"its store is no longer at .*own; say where: --fitted-on STORE"):
        retrieve.evaluate(tmp_path / "run", data, device="cpu")
    settings = retrieve.Settings(genes=10, replicates=100)
    assert retrieve.evaluate(tmp_path / "run", data, settings, fitted_on=tmp_path / "moved", device="cpu")
    store(tmp_path / "own", {"g0": "train", "g1": "train"})
    with pytest.raises(InputError, match=r"is not the store any more that .* learnt from"):
        retrieve.evaluate(tmp_path / "run", data, settings, device="cpu")


def test_the_command_line(run, data, tmp_path):
    from click.testing import CliRunner

    from genossl.cli import cli

    (tmp_path / "p.faa").write_text(">a\nMKWLLV\n")
    call = ["retrieve", str(run), str(tmp_path / "p.faa"), "--genomes", str(data), "--out", str(tmp_path / "hits.tsv")]
    done = CliRunner().invoke(cli, [*call, "--top", "2", "--device", "cpu"])
    assert done.output.endswith("hits.tsv: 2 hits\n"), done.output
    call = ["retrieve", str(run), "--evaluate", str(data), "--set", "genes=10", "--set", "replicates=100"]
    done = CliRunner().invoke(cli, [*call, "--splits", "test", "--device", "cpu"])
    assert "10 genes of" in done.output, done.output
    assert CliRunner().invoke(cli, ["retrieve", str(run)]).exit_code == 2
    assert CliRunner().invoke(cli, ["retrieve", str(run), str(tmp_path / "p.faa")]).exit_code == 2
