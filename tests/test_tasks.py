"""The verb tasks: one table and one record of any layout; what is no task is refused and leaves nothing behind."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest

from genossl.errors import InputError
from genossl.evaluation.table import read_table
from genossl.genome import inputs, kmers
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.labels import read_labels, strand_policy
from genossl.verbs import check, embed, tasks
from genossl.verbs.tasks import Settings

ROWS = [(f"{label}{split}{i}", label, split) for label in "xy" for split in ("train", "dev", "test") for i in range(3)]


def table(path: Path, header: str, rows: list[tuple]) -> Path:
    path.write_text("\n".join(["\t".join(header.split()), *("\t".join(map(str, row)) for row in rows)]) + "\n")
    return path


def written(out: Path) -> tuple[Any, dict]:
    return read_labels(out), json.loads(out.with_suffix(".json").read_text())


def test_what_is_written(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", "more split label id dna", [("m", s, c, i, "acgu") for i, c, s in ROWS])
    told = tasks.run(path, tmp_path / "out" / "reads.tsv", Settings(sequence="dna", description="which?"))
    assert told == f"{tmp_path}/out/reads.tsv: a table of sequences; 18 rows, 2 classes, classes, strand invariant"
    found, about = written(tmp_path / "out" / "reads.tsv")
    assert list(found.columns) == ["id", "label", "sequence", "split", "more"]
    assert set(found["sequence"]) == {"ACGT"}
    assert set(found["split"]) == {"train", "validation", "test"}
    assert about == {
        "task": "reads", "kind": "classes", "strand": "invariant", "layout": "table", "classes": ["x", "y"], "rows": 18,
        "description": "which?", "notes": ["a table of sequences", "split column of the labelled table"],
    }  # fmt: skip
    record = json.loads((tmp_path / "out" / "reads.tsv.provenance.json").read_text())
    assert record["settings"]["sequence"] == "dna"
    assert record["inputs"]["input"]["path"] == str(path)


def test_a_written_task_is_a_task_again(tmp_path: Path) -> None:
    """Twice through the verb is once: tables pass through."""
    path = table(tmp_path / "t.tsv", "id label split sequence", [(*row, "ACGT") for row in ROWS])
    tasks.run(path, tmp_path / "a.tsv", Settings())
    tasks.run(tmp_path / "a.tsv", tmp_path / "b.tsv", Settings())
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


# ---- coordinates


def genome(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    contigs = {f"c{i}": rng.integers(0, 4, 60).astype(np.uint8) for i in range(8)}
    return planted.write_fasta(folder / "g.fa", contigs), contigs


def bed(folder: Path, contigs: dict[str, np.ndarray]) -> tuple[Path, list[tuple]]:
    rows = [(name, i, 40 + i, "xy"[i % 2], 0, "+-"[i // 2 % 2]) for i, name in enumerate(contigs)]
    path = folder / "x.bed"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path, rows


def test_sequences_are_cut_from_a_genome(tmp_path: Path) -> None:
    """The letters of the table, embedded without any genome, are those of slices made here."""
    fasta, contigs = genome(tmp_path)
    path, rows = bed(tmp_path, contigs)
    tasks.run(path, tmp_path / "t.tsv", Settings(), genome=fasta)
    found, about = written(tmp_path / "t.tsv")
    for letters, item, (name, start, end, _, _, strand) in zip(
        found["sequence"], inputs.read(tmp_path / "t.tsv", 0, 0), rows, strict=True
    ):
        part = contigs[name][start:end]
        assert letters == decode(reverse_complement(part) if strand == "-" else part)
        assert np.array_equal(item.tokens, encode(letters))
    assert found["group"].tolist() == found["contig"].tolist()
    assert "no split, group or genome: a contig is a group" in about["notes"]
    assert "sequences cut from g.fa" in about["notes"]


def test_coordinates_on_a_store_stay_coordinates_and_learn_their_genome(tmp_path: Path) -> None:
    contigs = {f"g{i}_0": encode("ACGTTGCAAC") for i in range(6)}
    store = planted.store(tmp_path / "store", {f"g{i}": ("train", [contigs[f"g{i}_0"]]) for i in range(6)})
    path = tmp_path / "x.bed"
    path.write_text("".join(f"g{i}_0\t1\t8\t{'xy'[i % 2]}\t0\t-\n" for i in range(6)))
    tasks.run(path, tmp_path / "t.tsv", Settings(), store=store)
    found, about = written(tmp_path / "t.tsv")
    assert found["genome"].tolist() == [f"g{i}" for i in range(6)]
    assert not {"group", "sequence"} & set(found.columns)
    assert "genomes are those of the contigs in the collection" in about["notes"]
    assert all(decode(item.tokens) == "TGCAACG" for item in inputs.read(tmp_path / "t.tsv", 0, 0, store))
    for line, message in (
        ("g0_0\t1\t11\tx\t0\t+\n", r"id 'g0_0:1-11\(\+\)' ends at 11; g0_0 has 10 bases"),
        ("no\t1\t5\tx\t0\t+\n", "contig 'no' is not in the collection; say which FASTA it is in: --genome"),
    ):
        path.write_text(path.read_text() + line)
        with pytest.raises(InputError, match=message):
            tasks.run(path, tmp_path / "u.tsv", Settings(), store=store)
        path.write_text(path.read_text().replace(line, ""))
    assert not (tmp_path / "u.tsv").exists()


def test_a_contig_of_two_genomes_needs_a_column(tmp_path: Path) -> None:
    from genossl.verbs import ingest

    for name in "ab":
        (tmp_path / f"{name}.fa").write_text(">c\nACGTACGT\n")
    ingest.run([str(tmp_path / "a.fa"), str(tmp_path / "b.fa")], tmp_path / "store")
    (tmp_path / "x.bed").write_text("c\t1\t5\tx\nc\t2\t6\ty\n")
    with pytest.raises(InputError, match="contig 'c' is in 2 genomes of the collection; give a column genome"):
        tasks.run(tmp_path / "x.bed", tmp_path / "t.tsv", Settings(), store=tmp_path / "store")


# ---- kinds


def test_multilabel_is_written_in_one_way(tmp_path: Path) -> None:
    labels = ["b;a", "a; b", "-", "a", "", "b"]
    rows = [(f"r{i}", label, "ACGT", ("train", "test", "train")[i % 3]) for i, label in enumerate(labels)]
    path = table(tmp_path / "t.tsv", "id label sequence split", rows)
    tasks.run(path, tmp_path / "o.tsv", Settings(kind="multilabel"))
    found, about = written(tmp_path / "o.tsv")
    assert found["label"].tolist() == ["a;b", "a;b", "-", "a", "-", "b"]
    assert (about["kind"], about["classes"]) == ("multilabel", ["a", "b"])


def test_regression_keeps_its_numbers(tmp_path: Path) -> None:
    rows = [(f"r{i}", label, "ACGT", f"g{i}") for i, label in enumerate(["1", "-2.5e3", "0.1"])]
    path = table(tmp_path / "t.tsv", "id label sequence group", rows)
    told = tasks.run(path, tmp_path / "o.tsv", Settings(kind="regression", strand="as_given"))
    assert told.endswith("3 rows, regression, strand as_given")
    found, about = written(tmp_path / "o.tsv")
    assert found["label"].tolist() == ["1", "-2.5e3", "0.1"]
    assert about["classes"] == []


def test_loose_coordinates_beside_a_sequence_are_left_out(tmp_path: Path) -> None:
    rows = [(*row, "ACGT", "7", "end", "?") for row in ROWS]
    path = table(tmp_path / "t.tsv", "id label split sequence start end strand", rows)
    tasks.run(path, tmp_path / "o.tsv", Settings())
    found, about = written(tmp_path / "o.tsv")
    assert list(found.columns) == ["id", "label", "sequence", "split"]
    assert "columns start, end, strand left out: coordinates need contig, start and end" in about["notes"]


# ---- mistakes

HEADER = "id label sequence split"
GOOD = [(i, c, "ACGT", s) for i, c, s in ROWS]
NUMBERS = [(f"r{i}", i, "ACGT", f"g{i}") for i in range(6)]


@pytest.mark.parametrize(
    "header,rows,settings,message",
    [
        (HEADER, [*GOOD, ("z", "x", "ACGT", "holdout")], {}, "row 19: split 'holdout'; expected train, valid"),
        (HEADER, [*GOOD, ("z", "", "ACGT", "test")], {}, "row 19: empty label"),
        (HEADER, [*GOOD, ("z", "x", "ACGT", "")], {}, "id 'z': empty split (1 rows)"),
        (HEADER, [*GOOD, GOOD[0]], {}, "id 'xtrain0' occurs more than once"),
        (HEADER, [*GOOD, ("z", "x", "AC!T", "test")], {}, "sequence of id 'z': found '!', expected nucleotide codes"),
        (HEADER, [*GOOD, ("z", "x", "", "test")], {}, "id 'z' has no sequence"),
        (HEADER, [row for row in GOOD if row[1] == "x"], {}, "all 9 rows have the label 'x'; expected at least 2"),
        (HEADER, [row for row in GOOD if row[1] + row[3] != "ytest"], {}, "class 'y' has no test rows"),
        ("id label sequence", [row[:3] for row in GOOD], {}, "no column split, group or genome; add one"),
        ("id label sequence group", [*((*r[:3], r[0]) for r in GOOD[:9]), ("z", "y", "A", "z")],
         {}, "class 'y' has 1 group; expected at least 2, one for train and one for test"),
        ("id label sequence group split", [(*r[:3], "g", r[3]) for r in GOOD], {}, "group 'g' is in test and in train"),
        ("id label contig start end split", [("a", "x", "c", "5", "5", "test")], {}, "row 1: start must be smaller"),
        ("id label contig start end split", [("a", "x", "c", "-1", "5", "test")], {}, "start '-1' is no whole number"),
        ("id label sequence group", [*NUMBERS, ("z", "high", "A", "g")], {"kind": "regression"},
         "row 7: label 'high' is no number, as regression asks"),
        ("id label sequence group", [*NUMBERS, ("z", "nan", "A", "g")], {"kind": "regression"}, "'nan' is no number"),
        ("id label sequence group", [(r[0], 1, *r[2:]) for r in NUMBERS], {"kind": "regression"}, "that differ"),
        ("id label sequence", [r[:3] for r in NUMBERS], {"kind": "regression"}, "no column split, group or genome"),
        ("id label sequence group", [(*r[:3], "g") for r in NUMBERS], {"kind": "regression"},
         "the table has 1 group; expected at least 2, one for train and one for test"),
        ("id label sequence split", [(*r[:3], "train") for r in NUMBERS], {"kind": "regression"}, "has no test rows"),
        ("id label sequence group", [*NUMBERS, ("z", "a;;b", "A", "g")], {"kind": "multilabel"}, "row 7: label 'a;;b'"),
        ("id label sequence group", [*NUMBERS, ("z", "a;a", "A", "g")], {"kind": "multilabel"}, "names that differ"),
        ("id label sequence group", [(r[0], "a", *r[2:]) for r in NUMBERS], {"kind": "multilabel"}, "that differ"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, header: str, rows: list[tuple], settings: dict, message: str) -> None:
    path = table(tmp_path / "t.tsv", header, rows)
    with pytest.raises(InputError) as error:
        tasks.run(path, tmp_path / "out" / "o.tsv", Settings(**settings))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_does_not_go_together(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", HEADER, GOOD)
    with pytest.raises(InputError, match="has sequences of its own; leave the genome"):
        tasks.run(path, tmp_path / "o.tsv", Settings(), genome=path)
    with pytest.raises(InputError, match=r"o\.csv: a task is written as \.tsv"):
        tasks.run(path, tmp_path / "o.csv", Settings())


def test_one_type_of_interval_says_what_else_may_be_the_label(tmp_path: Path) -> None:
    (tmp_path / "x.gff3").write_text("c\tme\tCDS\t2\t5\t.\t+\t0\tproduct=a\nd\tme\tCDS\t2\t5\t.\t+\t0\tproduct=b\n")
    with pytest.raises(
        InputError, match=r"all 2 rows have the label 'CDS'; .*; --label names another column or attribute"
    ):
        tasks.run(tmp_path / "x.gff3", tmp_path / "t.tsv", Settings())


# ---- the sheet, as genossl check reads it

CONFIG = """
collection: tiny
genomes: genomes.tsv
tasks: tasks.tsv
runs: {ours: {preset: default}}
probe: {shots: [1], cap: 10, draws: 2}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.fa").write_text(">a\nACGT\n")
    Path("genomes.tsv").write_text("genome\tpath\tsplit\na\ta.fa\ttrain\n")
    Path("config.yaml").write_text(CONFIG)
    Path("sheet").mkdir()
    Path("tasks.tsv").write_text("")
    return tmp_path


def test_check_looks_at_tasks_of_every_layout(folder: Path) -> None:
    _, contigs = genome(folder)
    bed(folder, contigs)
    for split in ("train", "dev", "test"):
        Path("gue").mkdir(exist_ok=True)
        Path(f"gue/{split}.csv").write_text("seq,kind\nACGT,x\nACG,y\nAC,x\nACG,y\n")
    Path("tasks.tsv").write_text(
        "task\tpath\tsequence\tlabel\tgenome\tstrand\ngue\tgue\tseq\tkind\t\tas_given\nbed\tx.bed\t\t\tg.fa\t\n"
    )
    found = check.run(Path("config.yaml"))
    assert found[1:] == [
        "task gue: 12 rows, 2 classes; classes, from a folder of tables, one per split: dev.csv, test.csv, train.csv",
        "task bed: 8 rows, 2 classes; classes, from BED intervals, labelled by their name",
    ]
    Path("config.yaml").write_text(CONFIG + "embed: {both_strands: true}\n")
    (warning,) = [line for line in check.run(Path("config.yaml")) if line.startswith("warning")]
    assert "task gue: its strand is as_given and embed.both_strands is true" in warning
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "row,message",
    [
        ("t\tno.csv\t\t\t", "no.csv: no such file, looked for beside the sheet"),
        ("t\tgue\t\t\tno.fa", "no.fa: no such file, looked for beside the sheet"),
        ("t\tgue\tsideways\t\t", "task t.strand: expected 'invariant' or 'as_given', found 'sideways'"),
        ("t\tgue\t\tclass\t", "task t.kind: expected 'classes', 'multilabel' or 'regression', found 'class'"),
        ("t\tgue\t\t\tx.fa", "gue: has sequences of its own; leave the genome x.fa out"),
    ],
)
def test_check_names_mistakes_of_the_sheet(folder: Path, row: str, message: str) -> None:
    Path("gue").mkdir()
    Path("x.fa").write_text(">a\nACGT\n")
    for split in ("train", "test"):
        Path(f"gue/{split}.csv").write_text("sequence,label\nACGT,x\nACG,y\nAC,x\nACG,y\n")
    Path("tasks.tsv").write_text(f"task\tpath\tstrand\tkind\tgenome\n{row}\n")
    with pytest.raises(InputError) as error:
        check.run(Path("config.yaml"))
    assert message in str(error.value)


# ---- the strand policy, where sequences are embedded


def test_a_task_as_given_is_embedded_on_its_own_strand(tmp_path: Path, tiny_run: Path, caplog) -> None:
    rng = np.random.default_rng(0)
    reads = [rng.integers(0, 4, 100).astype(np.uint8) for _ in ROWS]
    path = table(tmp_path / "in.tsv", HEADER, [(i, c, decode(t), s) for (i, c, s), t in zip(ROWS, reads, strict=True)])
    vectors: dict[tuple, np.ndarray] = {}
    for strand in ("invariant", "as_given"):
        out = tmp_path / strand / "t.tsv"
        tasks.run(path, out, Settings(strand=strand))
        assert strand_policy(out) == strand
        for encoder in (str(tiny_run), "kmer:2"):
            for setting in ("auto", True, False):
                file = tmp_path / "x.npy"
                embed.run(encoder, out, file, embed.Settings(both_strands=setting), device="cpu")
                vectors[strand, encoder, setting] = np.array(read_table(file).vectors)
                record = json.loads((tmp_path / "x.npy.provenance.json").read_text())
                assert record["settings"]["both_strands"] is (setting if setting != "auto" else strand == "invariant")
                assert "task" in record["inputs"]
    for encoder in (str(tiny_run), "kmer:2"):
        for strand, both in (("invariant", True), ("as_given", False)):
            assert np.array_equal(vectors[strand, encoder, "auto"], vectors["invariant", encoder, both])
    assert np.array_equal(vectors["as_given", "kmer:2", "auto"], kmers.profiles(reads, 2, canonical=False))
    assert np.array_equal(vectors["invariant", "kmer:2", "auto"], kmers.profiles(reads, 2))
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2  # both encoders, as_given and true
    assert "as_given/t.tsv: its strand is as_given and both_strands is true" in warned[0]


def test_a_table_without_a_record_has_no_policy(tmp_path: Path) -> None:
    path = table(tmp_path / "in.tsv", HEADER, GOOD)
    assert strand_policy(path) == strand_policy(tmp_path) == strand_policy("-") == ""
    (tmp_path / "in.json").write_text('{"strand": "as_given"}')  # somebody else's
    assert strand_policy(path) == ""
