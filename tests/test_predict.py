"""The verb predict: the probe's numbers through files, three tables, any input, one encoder, all or nothing."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest

from genossl import cli, files
from genossl.errors import InputError
from genossl.evaluation import saved_head
from genossl.evaluation.saved_head import MULTILABEL, REGRESSION, Head
from genossl.evaluation.table import read_table
from genossl.genome import kmers
from genossl.genome.alphabet import decode
from genossl.genome.inputs import Item
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.model.embedders import Opened
from genossl.verbs import embed, predict, probe
from genossl.verbs.predict import Settings

SPECIES = ("ape", "bat", "cat")
PROBE = probe.Settings(shots=(5,), draws=1, replicates=100, heads=("logistic",), penalty=(0.1, 1.0), block=500)
LENGTH = 100


@dataclasses.dataclass(frozen=True)
class World:
    store: Path
    labels: Path
    folder: Path

    def head(self, encoder: str, name: str = "head", **settings) -> Path:
        """Embed the labelled rows and probe them; the head's path."""
        table = self.folder / f"{name}.npy"
        embed.run(encoder, self.labels, table, embed.Settings(**settings), self.store, "cpu")
        probe.run([table], self.labels, "t", self.folder / f"{name}.scores.tsv", PROBE, save_head=self.folder / name)
        return self.folder / name


def make_world(folder: Path) -> World:
    """Three species of different 3-mers, a genome of each in each split: two contigs, cut into 20 rows of 100 bases."""
    rng = np.random.default_rng(0)
    sources = {name: planted.markov(rng, 2, 0.7) for name in SPECIES}
    genomes = {
        f"{name}_{split}": (split, [planted.sample(rng, sources[name], 2000) for _ in range(2)])
        for name in SPECIES
        for split in ("train", "validation", "test")
    }
    store = planted.store(folder / "store", genomes)
    lines = ["id\tlabel\tgenome\tcontig\tstart\tend\tstrand\tsplit"]
    for genome, (split, contigs) in genomes.items():
        for i in range(len(contigs)):
            for start in range(0, 2000, LENGTH):
                place = f"{genome}\t{genome}_{i}\t{start}\t{start + LENGTH}\t{'+-'[start // LENGTH % 2]}"
                lines.append(f"{genome}_{i}.{start}\t{genome.split('_')[0]}\t{place}\t{split}")
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n")
    return World(store, folder / "labels.tsv", folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def by_kmers(world: World) -> Path:
    return world.head("kmer:3", "kmers")


@pytest.fixture(scope="module")
def by_encoder(world: World, tiny_run: Path) -> Path:
    return world.head(str(tiny_run), "encoder", pool="both", both_strands=False)


@pytest.fixture
def fasta(world: World, tmp_path: Path) -> Path:
    """Contigs of the test genomes, one with N in it, one that is short, one of nothing but N."""
    store = TokenStore.open(world.store)
    contigs = {f"{name}_test_{i}": np.array(store.contig(f"{name}_test_{i}")[:450]) for name in SPECIES for i in (0, 1)}
    contigs["bat_test_1"][120:180] = 4
    contigs["short"] = contigs["cat_test_0"][:40]
    contigs["nothing"] = np.full(150, 4, np.uint8)
    return planted.write_fasta(tmp_path / "some.fa", contigs)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"id": str, "genome": str, "contig": str, "label": str}, quoting=3)


def probabilities(table: pd.DataFrame) -> np.ndarray:
    return table[[f"p_{name}" for name in SPECIES]].to_numpy()


@pytest.mark.parametrize("kind", ["by_kmers", "by_encoder"])
def test_predictions_of_the_test_rows_are_the_probes(kind: str, world: World, tmp_path: Path, request) -> None:
    path = request.getfixturevalue(kind)
    predict.run(path, world.labels, tmp_path / "x.tsv", Settings(), sequences=world.store, device="cpu")
    found = read(tmp_path / "x.tsv")
    truth = read(world.labels)
    assert found["id"].tolist() == truth["id"].tolist()
    test = (truth["split"] == "test").to_numpy()
    right = (found["label"] == truth["label"])[test].groupby(truth["label"][test]).mean().mean()
    scores = read(path.with_suffix(".scores.tsv"))
    (probed,) = scores[
        (scores["shots"] == "all") & (scores["draw"] == "mean") & (scores["metric"] == "balanced_accuracy")
    ]["value"]
    saved = files.read_json(path.with_suffix(".json"))
    assert right == pytest.approx(probed, abs=1e-12)
    assert saved["test"]["balanced_accuracy"][0] == pytest.approx(probed, abs=1e-12)
    assert saved["bases"] == {"median": LENGTH, "shortest": LENGTH, "longest": LENGTH}
    head, vectors = saved_head.load(path), read_table(path.with_suffix(".npy")).vectors
    np.testing.assert_allclose(probabilities(found), np.exp(head.evidence(vectors)), atol=1e-5)
    assert found["label"].tolist() == [SPECIES[k] for k in probabilities(found).argmax(1)]
    np.testing.assert_allclose(found["probability"], probabilities(found).max(1))


def test_planted_species_are_found_at_every_level(by_kmers: Path, world: World, tmp_path: Path) -> None:
    told = predict.run(by_kmers, world.store, tmp_path / "x.tsv", Settings())
    assert told[-1] == f"genomes: {tmp_path / 'x.genomes.tsv'}, 9 rows"
    windows, contigs, genomes = (read(tmp_path / f"x{kind}.tsv") for kind in ("", ".contigs", ".genomes"))
    assert [len(t) for t in (windows, contigs, genomes)] == [9 * 2 * 20, 18, 9]
    assert (windows["genome"].str[:3] == windows["label"]).mean() > 0.8
    for table in (contigs, genomes):
        assert (table["genome"].str[:3] == table["label"]).all()
        assert (table["agreement"] > 0.6).all()
    assert contigs["windows"].tolist() == [20] * 18
    assert genomes["known"].tolist() == [4000] * 9


def test_contigs_and_genomes_are_means_of_the_windows_file(by_kmers: Path, fasta: Path, tmp_path: Path) -> None:
    predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings(step=30))
    windows, contigs, genomes = (read(tmp_path / f"x{kind}.tsv") for kind in ("", ".contigs", ".genomes"))
    p_columns = [f"p_{name}" for name in SPECIES]
    assert list(windows) == ["id", "contig", "start", "end", "n_N", "label", "probability", *p_columns]
    pooled = ["windows", "known", "label", "probability", "entropy", "agreement", *p_columns]
    assert list(contigs) == ["genome", "contig", *pooled]
    assert list(genomes) == ["genome", *pooled]
    assert set(contigs["genome"]) == set(genomes["genome"]) == {"some"}
    assert contigs["contig"].tolist() == list(dict.fromkeys(windows["contig"]))
    groups = [(row, windows[windows["contig"] == row["contig"]]) for _, row in contigs.iterrows()]
    for row, own in [*groups, (genomes.iloc[0], windows)]:
        known = (own["end"] - own["start"] - own["n_N"]).to_numpy()
        assert (row["windows"], row["known"]) == (len(own), known.sum())
        if row.get("contig") == "nothing":
            assert row[["label", "probability", "entropy", "agreement", *p_columns]].isna().all()
            assert own[["label", "probability", *p_columns]].isna().all().all()
            continue
        told = known > 0
        log_p = (np.log(probabilities(own)[told]) * known[told, None]).sum(0) / known.sum()
        p = np.exp(log_p) / np.exp(log_p).sum()
        np.testing.assert_allclose(row[p_columns].astype(float), p, rtol=1e-5, atol=1e-6)
        best = SPECIES[p.argmax()]
        assert (row["label"], row["probability"]) == (best, pytest.approx(p.max(), rel=1e-5))
        assert row["entropy"] == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-5)
        assert row["agreement"] == pytest.approx(known[(own["label"] == best).to_numpy()].sum() / known.sum())


@pytest.mark.parametrize("kind", ["by_kmers", "by_encoder"])
def test_nothing_depends_on_rows_at_once_or_on_the_order(kind: str, fasta: Path, tmp_path: Path, request) -> None:
    path = request.getfixturevalue(kind)
    records = fasta.read_text().split(">")[1:]
    (tmp_path / "turned").mkdir()
    turned = tmp_path / "turned" / "some.fa"
    turned.write_text("".join(f">{record}" for record in records[::-1]))
    found = []
    for source, rows in ((fasta, 2048), (fasta, 3), (turned, 7)):
        predict.run(path, source, tmp_path / "x.tsv", Settings(rows=rows), device="cpu")
        found.append([read(tmp_path / f"x{level}.tsv") for level in ("", ".contigs", ".genomes")])
    for tables in found[1:]:
        for table, expected, name in zip(tables, found[0], ("id", "contig", "genome"), strict=True):
            table, expected = (t.sort_values(name, ignore_index=True) for t in (table, expected))
            pd.testing.assert_frame_equal(table, expected, rtol=1e-4, atol=1e-5)


def test_by_writes_the_same_coarser_tables_and_no_finer(by_kmers: Path, fasta: Path, tmp_path: Path) -> None:
    predict.run(by_kmers, fasta, tmp_path / "all.tsv", Settings())
    predict.run(by_kmers, fasta, tmp_path / "c.tsv", Settings(by="contig"))
    predict.run(by_kmers, fasta, tmp_path / "g.tsv", Settings(by="genome"))
    assert (tmp_path / "c.tsv").read_bytes() == (tmp_path / "all.contigs.tsv").read_bytes()
    assert (tmp_path / "g.tsv").read_bytes() == (tmp_path / "c.genomes.tsv").read_bytes()
    assert (tmp_path / "g.tsv").read_bytes() == (tmp_path / "all.genomes.tsv").read_bytes()
    assert sorted(p.name for p in tmp_path.glob("[cg].*")) == [
        "c.genomes.tsv", "c.tsv", "c.tsv.provenance.json", "g.tsv", "g.tsv.provenance.json",
    ]  # fmt: skip


def test_windows_are_the_heads_unless_asked(by_kmers: Path, fasta: Path, tmp_path: Path, caplog) -> None:
    predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings())
    first = read(tmp_path / "x.tsv")
    assert first["id"].tolist()[:5] == [f"ape_test_0:{s}-{s + 100}" for s in (0, 100, 200, 300, 350)]
    assert caplog.messages == ["1 of 33 sequences have less than half of the 100 bases that the head was calibrated on"]
    caplog.clear()
    predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings(window=-1))
    assert read(tmp_path / "x.tsv")["id"].tolist()[:2] == ["ape_test_0:0-450", "ape_test_1:0-450"]
    assert caplog.messages[0] == "windows of any number of bases; the head was calibrated on 100"
    predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings(least=45))
    known = read(tmp_path / "x.tsv").assign(known=lambda t: t["end"] - t["start"] - t["n_N"])
    assert (known["label"].isna() == (known["known"] < 45)).all()
    assert known["label"].isna().sum() > first["label"].isna().sum()


def test_reads_of_fastq_are_those_of_fasta(by_kmers: Path, world: World, tmp_path: Path) -> None:
    tokens = TokenStore.open(world.store).contig("bat_test_0")
    reads = {f"read{i}": np.asarray(tokens[i * 90 : i * 90 + 100 - i]) for i in range(12)}
    planted.write_fasta(tmp_path / "reads.fa", reads)
    (tmp_path / "reads.fastq").write_text("".join(f"@{n}\n{decode(r)}\n+\n{'I' * len(r)}\n" for n, r in reads.items()))
    for suffix in ("fa", "fastq"):
        predict.run(by_kmers, tmp_path / f"reads.{suffix}", tmp_path / f"{suffix}.tsv", Settings())
    for level in ("", ".contigs", ".genomes"):
        found = (tmp_path / f"fastq{level}.tsv").read_text()
        assert found == (tmp_path / f"fa{level}.tsv").read_text()
        assert found.count("\n") == (2 if level == ".genomes" else 13)


def test_a_table_of_sequences(by_kmers: Path, world: World, tmp_path: Path) -> None:
    """Names are written as they are, and each sequence is a contig of its own."""
    names = ["#x", "=1+1", "<script>alert(1)</script>", '"q', "NA"]
    rows = "".join(f"{name}\tape\t{'ACGTTGCA' * 9}{'C' * i}\n" for i, name in enumerate(names))
    (tmp_path / "some.seqs.tsv").write_text("id\tlabel\tsequence\n" + rows.replace("#x", "x#"))
    predict.run(by_kmers, tmp_path / "some.seqs.tsv", tmp_path / "x.tsv", Settings())
    lines = [line.split("\t") for line in (tmp_path / "x.tsv").read_text().split("\n")[:-1]]
    assert lines[0][:4] == ["id", "length", "n_N", "label"]
    assert [line[0] for line in lines[1:]] == ["x#", *names[1:]]
    assert {len(line) for line in lines} == {8}
    contigs = (tmp_path / "x.contigs.tsv").read_text().split("\n")[1:-1]
    assert [line.split("\t")[:3] for line in contigs] == [["some.seqs.tsv", n, "1"] for n in ["x#", *names[1:]]]


def test_rows_of_a_contig_that_stand_apart_are_one_contig(by_kmers: Path, world: World, tmp_path: Path) -> None:
    lines = world.labels.read_text().split("\n")[:-1]
    mixed = [lines[0], *np.random.default_rng(0).permutation(lines[1:])]
    (tmp_path / "mixed.tsv").write_text("\n".join(mixed) + "\n")
    for name, labels in (("plain", world.labels), ("mixed", tmp_path / "mixed.tsv")):
        predict.run(by_kmers, labels, tmp_path / f"{name}.out.tsv", Settings(rows=7), sequences=world.store)
    plain, mixed = (read(tmp_path / f"{name}.out.contigs.tsv").sort_values("contig") for name in ("plain", "mixed"))
    pd.testing.assert_frame_equal(plain.reset_index(drop=True), mixed.reset_index(drop=True), rtol=1e-5, atol=1e-6)


def test_a_name_that_breaks_a_line_is_refused(by_kmers: Path, tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_bytes(b"id\tlabel\tsequence\na\rb\tape\tACGTACGT\n")
    with pytest.raises(InputError, match=r"the name 'a\\rb' has a tab, line end or other control character"):
        predict.run(by_kmers, tmp_path / "s.tsv", tmp_path / "out" / "x.tsv", Settings())
    assert list((tmp_path / "out").iterdir()) == []


# ---- which encoder


def copy_of(head: Path, folder: Path, **encoder) -> Path:
    """The same head, said to be of another encoder."""
    found = saved_head.load(head)
    about = found.about | {"encoder": found.about["encoder"] | encoder}
    saved_head.write(folder / "copy", dataclasses.replace(found, about=about))
    return folder / "copy"


def test_the_encoder_is_told_by_its_checksum(
    by_encoder: Path, tiny_run: Path, tiny_store: Path, fasta: Path, tmp_path: Path, again
) -> None:
    run, out = tmp_path / "another place", tmp_path / "x.tsv"
    run.mkdir()
    encoder = checkpoint.load_encoder(tiny_run)
    checkpoint.save_encoder(run, encoder, length=100)  # the same weights: moved, not another
    moved = copy_of(by_encoder, tmp_path, path=str(tmp_path / "gone" / "encoder.safetensors"))
    with pytest.raises(InputError, match=r"gone/encoder\.safetensors, which is not there; say where it is: --encoder"):
        predict.run(moved, fasta, out, Settings(), device="cpu")
    predict.run(moved, fasta, out, Settings(), encoder=str(run), device="cpu")
    predict.run(by_encoder, fasta, tmp_path / "y.tsv", Settings(), device="cpu")
    assert out.read_bytes() == (tmp_path / "y.tsv").read_bytes()
    record = json.loads((tmp_path / "y.tsv.provenance.json").read_text())
    assert record["inputs"]["encoder"]["sha256"] == checkpoint.describe(tiny_run)["sha256"]
    assert set(record["inputs"]) == {"head", "encoder", "input"}
    assert again(tmp_path / "y.tsv") == []
    other = checkpoint.untrained(tiny_run)
    checkpoint.save_encoder(run, other)
    wanted, found = (checkpoint.describe(path)["sha256"] for path in (tiny_run, run))
    with pytest.raises(InputError, match=f"trained with an encoder of sha256 {wanted}; .*another place has {found}"):
        predict.run(by_encoder, fasta, out, Settings(), encoder=str(run), device="cpu")
    for given in ("kmer:3", "gc", f"untrained:{tiny_run}"):
        with pytest.raises(InputError, match=f"was trained on vectors of .*, found --encoder {given}"):
            predict.run(by_encoder, fasta, out, Settings(), encoder=given, device="cpu")


def test_first_weights_are_an_encoder_too(world: World, tiny_run: Path, fasta: Path, tmp_path: Path) -> None:
    head = world.head(f"untrained:{tiny_run}", "untrained")
    predict.run(head, world.labels, tmp_path / "x.tsv", Settings(), sequences=world.store, device="cpu")
    vectors = read_table(head.with_suffix(".npy")).vectors
    expected = np.exp(saved_head.load(head).evidence(vectors))
    np.testing.assert_allclose(probabilities(read(tmp_path / "x.tsv")), expected, atol=1e-5)
    with pytest.raises(InputError, match="was trained on vectors of untrained"):
        predict.run(head, fasta, tmp_path / "x.tsv", Settings(), encoder=str(tiny_run), device="cpu")


def test_k_mers_need_no_encoder_and_take_no_other(by_kmers: Path, fasta: Path, tmp_path: Path) -> None:
    predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings(), encoder="kmer3")
    for given in ("kmer:4", "gc", "run"):
        with pytest.raises(InputError, match=f"was trained on vectors of kmer:3, found --encoder {given}"):
            predict.run(by_kmers, fasta, tmp_path / "x.tsv", Settings(), encoder=given)
    wrong = copy_of(by_kmers, tmp_path, spec="kmer:2")
    with pytest.raises(InputError, match="kmer:2: vectors of 10, the head reads 32"):
        predict.run(wrong, fasta, tmp_path / "y.tsv", Settings())


# ---- other kinds of head


def written(folder: Path, kind: str, classes: list[str], **more) -> Path:
    about = {
        "format": saved_head.FORMAT, "kind": kind, "classes": classes, "temperature": 0.5, "pool": "last",
        "both_strands": True, "bases": None, "encoder": {"spec": "gc", "path": None, "sha256": None}, **more,
    }  # fmt: skip
    k = max(1, len(classes))
    saved_head.write(folder / kind, Head(kind, classes, np.full((1, k), 8.0), np.linspace(-4, -5, k), 0.5, about))
    return folder / kind


def test_several_labels_and_numbers(fasta: Path, tmp_path: Path) -> None:
    embed.run("gc", fasta, tmp_path / "gc.npy", embed.Settings(window=500))
    table = read_table(tmp_path / "gc.npy")
    gc, known = table.vectors[:, 0].astype(float), (table.rows["n_N"] != "150").to_numpy()
    told = predict.run(written(tmp_path, MULTILABEL, ["a", "b"]), fasta, tmp_path / "m.tsv", Settings())
    found = read(tmp_path / "m.tsv")
    p = 1 / (1 + np.exp(-(8 * gc[:, None] - [4, 5]) / 0.5))
    np.testing.assert_allclose(found.loc[known, ["p_a", "p_b"]], p[known], rtol=1e-5)
    names = [";".join(n for n, yes in zip("ab", row >= 0.5, strict=True) if yes) or "-" for row in p[known]]
    assert found["label"][known].tolist() == names
    assert "probability" not in found
    assert told[-3:][0].startswith("windows or reads:")
    head = written(tmp_path, REGRESSION, [], deviation=0.25, temperature=1.0)
    predict.run(head, fasta, tmp_path / "r.tsv", Settings())
    found = read(tmp_path / "r.tsv")
    np.testing.assert_allclose(found["value"][known], (8 * gc - 4)[known], rtol=1e-5)
    assert set(found["deviation"]) == {0.25}
    bases = (table.rows["end"].astype(int) - table.rows["start"].astype(int) - table.rows["n_N"].astype(int)).to_numpy()
    mean = read(tmp_path / "r.genomes.tsv")["value"][0]
    assert mean == pytest.approx(((8 * gc - 4) * bases).sum() / bases.sum(), rel=1e-5)


# ---- keeping a head


def test_a_head_needs_one_embedding_whose_maker_is_known(world: World, by_kmers: Path, tmp_path: Path) -> None:
    table, out = by_kmers.with_suffix(".npy"), tmp_path / "s.tsv"
    vectors = read_table(table)
    np.save(tmp_path / "x.npy", vectors.vectors)
    vectors.rows.to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match=r"x\.npy\.provenance\.json: no such file; a head needs to know which encoder"):
        probe.run([tmp_path / "x.npy"], world.labels, "t", out, PROBE, save_head=tmp_path / "h")
    with pytest.raises(InputError, match=r"a head is of one embedding; found .*kmers\.npy, .*x\.npy"):
        probe.run([table, tmp_path / "x.npy"], world.labels, "t", out, PROBE, save_head=tmp_path / "h")
    (tmp_path / "x.npy.provenance.json").write_text('{"settings": {"pool": "last"}, "inputs": {}}')
    with pytest.raises(InputError, match="does not say encoder, pool and both_strands"):
        probe.run([tmp_path / "x.npy"], world.labels, "t", out, PROBE, save_head=tmp_path / "h")
    assert not out.exists()
    assert not list(tmp_path.glob("h.*"))


# ---- whole or not at all


def test_standard_input_and_the_command_line(by_kmers: Path, fasta: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from genossl.cli import main; main()", "predict", str(by_kmers), "-"]
    command += ["--out", str(tmp_path / "x.tsv"), "--by", "contig", "--step", "50"]
    done = subprocess.run(command, input=fasta.read_bytes(), capture_output=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split("\n")[-3:-1] == [
        f"contigs: {tmp_path / 'x.tsv'}, 8 rows",
        f"genomes: {tmp_path / 'x.genomes.tsv'}, 1 rows",
    ]
    predict.run(by_kmers, fasta, tmp_path / "y.tsv", Settings(step=50, by="contig"))
    piped = (tmp_path / "x.tsv").read_text()
    assert piped.replace("\n-\t", "\nsome\t") == (tmp_path / "y.tsv").read_text()
    assert "input" not in json.loads((tmp_path / "x.tsv.provenance.json").read_text())["inputs"]


@pytest.mark.parametrize("by,beside", [("read", ["contigs", "genomes"]), ("contig", ["genomes"])])
def test_standard_output_gets_the_table_asked_for_and_packed_ones_lie_together(
    by_kmers: Path, fasta: Path, tmp_path: Path, call, again, by: str, beside: list[str]
) -> None:
    words = ("predict", by_kmers, fasta, "--by", by, "--device", "cpu")
    for name in ("p.tsv", "p.tsv.gz"):
        assert call(*words, "--out", tmp_path / name)[0] == 0
    for name in ("p", *(f"p.{level}" for level in beside)):
        packed = gzip.decompress((tmp_path / f"{name}.tsv.gz").read_bytes())
        assert packed == (tmp_path / f"{name}.tsv").read_bytes()
    assert call("-q", *words, "--out", "-")[:2] == (0, (tmp_path / "p.tsv").read_text())
    assert again(tmp_path / "p.tsv.gz") == []


def test_mistakes_of_the_command_line(by_kmers: Path, fasta: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    for arguments, message in (
        ((tmp_path / "no", fasta, "--out", tmp_path / "x.tsv"), "no.json: no such file"),
        ((by_kmers, fasta, "--out", tmp_path / "x.csv"), "x.csv: predictions are written as .tsv"),
        ((by_kmers, fasta, "--out", tmp_path / "x.tsv", "--by", "phylum"), "predict.by: expected 'read', 'contig'"),
        ((by_kmers, tmp_path / "no.fa", "--out", tmp_path / "x.tsv"), "no.fa: no such file"),
    ):
        monkeypatch.setattr(sys, "argv", ["genossl", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capfd.readouterr()
        assert (end.value.code, told.out, told.err.count("\n")) == (2, "", 1)
        assert message in told.err
    for wrong in ({"window": -2}, {"step": -1}, {"rows": 0}, {"least": 0}):
        with pytest.raises(ValueError, match="window must be at least -1, step at least 0, least and rows at least 1"):
            Settings(**wrong)
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_no_file(by_kmers: Path, fasta: Path, tmp_path: Path, monkeypatch, error) -> None:
    calls = []

    def breaks(sequences: list[np.ndarray]) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise error
        return kmers.profiles(sequences, 3)

    monkeypatch.setattr(predict, "open_encoder", lambda *_: Opened(breaks, 100))
    with pytest.raises(error):
        predict.run(by_kmers, fasta, tmp_path / "out" / "x.tsv", Settings(rows=4))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bad_record_late_in_the_file_leaves_no_file(by_kmers: Path, fasta: Path, tmp_path: Path) -> None:
    with fasta.open("a") as stream:
        stream.write(">bad\nAC!T\n")
    with pytest.raises(InputError, match=r"some\.fa line"):
        predict.run(by_kmers, fasta, tmp_path / "out" / "x.tsv", Settings(rows=2))
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_does_not_grow_with_the_input(by_kmers: Path, tmp_path: Path, monkeypatch) -> None:
    """Of the verb; the readers' is tested with embed."""
    tokens = np.zeros(100, np.uint8)

    def stream(contigs: int):
        for i in range(contigs):
            for start in range(0, 1000, 100):
                place = {"contig": f"c{i}", "start": start, "end": start + 100, "n_N": 0}
                yield Item({"id": f"c{i}:{start}", **place}, tokens)

    vectors = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32)
    monkeypatch.setattr(predict, "open_encoder", lambda *_: Opened(lambda rows: vectors[: len(rows)], 100))
    peaks, sizes = [], []
    (tmp_path / "x.fa").write_text(">x\nACGT\n")
    for contigs in (20, 20, 1000):  # the first time loads what is loaded once
        monkeypatch.setattr(predict.inputs, "read", lambda *_, contigs=contigs: stream(contigs))
        tracemalloc.start()
        predict.run(by_kmers, tmp_path / "x.fa", tmp_path / "x.tsv", Settings(rows=50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append((tmp_path / "x.tsv").stat().st_size + (tmp_path / "x.contigs.tsv").stat().st_size)
    assert peaks[2] - peaks[1] < (sizes[2] - sizes[1]) / 20
