"""Every planted leak is found, alone and by its name; where nothing was planted, nothing is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pandas as pd
import pytest
from planted import store
from test_sketch import mutated

from genossl import cli
from genossl.errors import InputError
from genossl.evaluation.leaks import read_rows
from genossl.files import read_sheet
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.verbs import audit, ingest

LENGTH, READ, READS = 40_000, 300, 40  # bases of a genome and of a read, reads of a genome
SPLITS = ("train", "validation", "test")
Genomes = dict[str, tuple[str, list[np.ndarray]]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def genomes(rng: np.random.Generator, strong: tuple[float, float] = (0.5, 0.5)) -> Genomes:
    """Two classes with a genome of each split, independent of each other. strong: share of G and C of each class."""
    found: Genomes = {}
    for name, gc in zip("ab", strong, strict=True):
        p = np.array([1 - gc, gc, gc, 1 - gc]) / 2
        for split in SPLITS:
            found[f"{name}_{split}"] = (split, [rng.choice(4, LENGTH, p=p).astype(np.uint8)])
    return found


def coordinates(of: Genomes) -> pd.DataFrame:
    """Reads that do not overlap; those of test genomes from the second half, so that twins share no read."""
    rows = []
    for genome, (split, _) in of.items():
        for i in range(READS):
            start = i * 400 + (LENGTH // 2 if split == "test" else 0)
            rows.append((f"{genome}.{i}", genome[0], genome, f"{genome}_0", start, start + READ, "+-"[i % 2], split))
    return pd.DataFrame(rows, columns=["id", "label", "genome", "contig", "start", "end", "strand", "split"])


def sequences(of: Genomes) -> pd.DataFrame:
    """The same reads with their letters in place of where they lie."""
    table = coordinates(of)
    reads = [decode(of[g][1][0][s:e]) for g, s, e in zip(table["genome"], table["start"], table["end"], strict=True)]
    return table[["id", "label", "split"]].assign(sequence=reads)


class Audit:
    """Writes a table, audits it, and reads what was written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, table: pd.DataFrame, of: Genomes | None = None, more: Any = None, **options: Any) -> Audit:
        path = self.folder / "table.tsv"
        table.to_csv(path, sep="\t", index=False)
        if of is not None and "start" in table:
            options["sequences"] = store(self.folder / "store", of)
        settings = audit.Settings(**(more or {}))
        out = self.folder / "audit" / "t.json"
        self.lines = audit.run(path, out, settings, **options)
        self.record = json.loads(out.read_text())
        self.checks = {check["name"]: check for check in self.record["checks"]}
        findings = out.with_suffix(".tsv").read_text().splitlines()[1:]
        self.findings = [tuple(line.split("\t")) for line in findings]
        self.ids = table["id"][table["split"] == "test"].to_numpy(dtype=object) if "split" in table else []
        self.rows = read_sheet(out.with_suffix(".rows.tsv"), comments=False).set_index("id")
        return self

    def fired(self) -> dict[str, str]:
        return {name: check["outcome"] for name, check in self.checks.items() if check["outcome"] != "pass"}

    def named(self, check: str) -> list[tuple[str, str]]:
        return [(finding[2], finding[3]) for finding in self.findings if finding[0] == check]

    def unclean(self) -> list[str]:
        return self.rows.index[self.rows["clean"] == "0"].tolist()


@pytest.fixture
def run(tmp_path: Path) -> Audit:
    return Audit(tmp_path)


NAMES = [
    "copies", "validation_copies", "repeats", "conflicts", "overlaps", "near_copies", "pieces", "strains", "groups",
    "pretraining", "gc", "length",
]  # fmt: skip


def test_on_clean_ground_nothing_is_found(run: Audit, rng: np.random.Generator) -> None:
    of = genomes(rng)
    run(coordinates(of), of, pretrained=run.folder / "store")
    assert list(run.checks) == NAMES
    assert (run.record["outcome"], run.fired(), run.findings, run.unclean()) == ("pass", {}, [], [])
    assert run.record["rows"] == {"train": 80, "validation": 80, "test": 80}
    assert run.record["clean"] == 80
    found = read_rows(run.folder / "audit" / "t.rows.tsv", run.ids)
    assert found.clean_N.all()
    assert found.identity_N.max() < 0.8
    assert found.pretrained_N.max() < 0.01
    assert not [check for check in run.checks.values() if check["sentence"].startswith("Not looked at")]


@pytest.mark.parametrize("seed", range(5))
def test_on_clean_sequences_nothing_is_found(run: Audit, seed: int) -> None:
    run(sequences(genomes(np.random.default_rng(seed))))
    assert (run.fired(), run.findings, run.unclean()) == ({}, [], [])
    assert run.rows["pretrained"].unique().tolist() == [""]  # nobody looked


def planted(table: pd.DataFrame, to: str, letters: str) -> None:
    """Gives a row another sequence."""
    table.loc[table["id"] == to, "sequence"] = letters


def letters(table: pd.DataFrame, of: str) -> str:
    return table["sequence"][table["id"] == of].iloc[0]


def turned(text: str) -> str:
    return decode(reverse_complement(encode(text)))


def test_an_exact_copy(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "a_test.3", letters(table, "a_train.5"))
    run(table)
    assert run.fired() == {"copies": "warn"}
    assert run.named("copies") == [("a_test.3", "a_train.5")]
    assert run.unclean() == ["a_test.3"]
    assert run.rows.loc["a_test.3", ["identity", "nearest"]].tolist() == ["1.0", "a_train.5"]
    assert run.checks["copies"]["value"] == 1 / 80


def test_many_exact_copies_fail(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    for i in range(5):
        planted(table, f"b_test.{i}", letters(table, f"b_validation.{i}"))
    run(table)
    assert run.fired() == {"copies": "fail"}
    assert run.checks["copies"]["sentence"].startswith("5 of 80 (6.2 %) test rows are exact copies")
    assert run.checks["copies"]["threshold"] == 0.05


def test_a_copy_of_the_other_strand(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "a_test.3", turned(letters(table, "a_train.5")))
    run(table)
    assert run.fired() == {"copies": "warn"}
    assert run.named("copies") == [("a_test.3", "a_train.5")]
    assert ", 1 of them of the other strand" in run.checks["copies"]["sentence"]
    run(table, strand="as_given")  # the task tells strands apart, and still has seen this sequence
    assert run.fired() == {"near_copies": "warn"}
    assert run.named("near_copies") == [("a_test.3", "a_train.5")]


def test_a_copy_with_one_base_in_a_hundred_changed(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    changed = encode(letters(table, "a_train.5")).copy()
    changed[[50, 150, 250]] = (changed[[50, 150, 250]] + 1) % 4
    planted(table, "a_test.3", turned(decode(changed)))
    run(table)
    assert run.fired() == {"near_copies": "warn"}
    assert run.named("near_copies") == [("a_test.3", "a_train.5")]
    assert run.unclean() == ["a_test.3"]
    assert float(run.rows.loc["a_test.3", "identity"]) == pytest.approx(0.99, abs=0.003)


def test_a_distant_relative_is_told_and_is_no_copy(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "a_test.3", decode(mutated(rng, encode(letters(table, "a_train.5")), 0.12)))
    run(table)
    assert (run.fired(), run.unclean()) == ({}, [])
    assert run.rows.loc["a_test.3", "nearest"] == "a_train.5"
    assert float(run.rows.loc["a_test.3", "identity"]) == pytest.approx(0.88, abs=0.04)


def test_a_row_made_of_pieces(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "a_test.3", "".join(letters(table, f"a_train.{i}")[100:200] for i in (1, 2, 3)))
    run(table)
    assert run.fired() == {"pieces": "warn"}
    ((who, other),) = run.named("pieces")
    assert who == "a_test.3"
    assert other in ("a_train.1", "a_train.2", "a_train.3")
    assert run.unclean() == ["a_test.3"]


def test_a_train_row_in_validation(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "a_validation.3", letters(table, "a_train.5"))
    run(table)
    assert (run.fired(), run.unclean()) == ({"validation_copies": "warn"}, [])
    assert run.named("validation_copies") == [("a_validation.3", "a_train.5")]


def test_rows_that_repeat(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    for i in (1, 2, 3):
        planted(table, f"a_test.{i}", letters(table, "a_test.0"))
    run(table)
    assert (run.fired(), run.unclean()) == ({"repeats": "warn"}, [])
    assert run.named("repeats") == [(f"a_test.{i}", "a_test.0") for i in (1, 2, 3)]


def test_one_sequence_with_two_labels(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    planted(table, "b_train.3", turned(letters(table, "a_train.5")))
    run(table)
    assert run.fired() == {"conflicts": "warn"}
    assert run.checks["conflicts"]["value"] == 1
    assert sorted(run.named("conflicts")[0]) == ["a_train.5", "b_train.3"]
    run(table, strand="as_given")  # the strand may be the label
    assert run.fired() == {}


def test_names_in_another_order_are_no_conflict(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    table["label"] = rng.choice(["x", "y", "x;y", "-"], len(table))
    planted(table, "a_train.1", letters(table, "a_train.2"))
    table.loc[table["id"] == "a_train.1", "label"] = "x;y"
    table.loc[table["id"] == "a_train.2", "label"] = "y; x"
    run(table, kind="multilabel")
    assert run.fired() == {}
    table.loc[table["id"] == "a_train.2", "label"] = "y"
    assert run(table, kind="multilabel").fired() == {"conflicts": "warn"}


def test_overlapping_coordinates(run: Audit, rng: np.random.Generator) -> None:
    of = genomes(rng)
    table = coordinates(of).drop(columns="genome")
    start = 5 * 400 + 200
    moved = table["id"] == "a_test.3"
    table.loc[moved, ["contig", "start", "end"]] = ["a_train_0", start, start + READ]
    run(table, of)
    assert run.fired() == {"overlaps": "warn"}
    ((check, outcome, who, other, value),) = run.findings
    assert (check, outcome, who) == ("overlaps", "warn", "a_test.3")
    assert other in ("a_train.5", "a_train.6")
    assert float(value) == pytest.approx(200 / 300)  # 100 bases of each of two reads
    assert run.unclean() == ["a_test.3"]


@pytest.mark.parametrize("opposite", [False, True])
def test_a_twin_genome_under_another_name(run: Audit, rng: np.random.Generator, opposite: bool) -> None:
    """As GenBank and RefSeq have the same genome under two accessions, also as the other strand."""
    of = genomes(rng)
    twin = of["a_train"][1][0]
    of["a_test"] = ("test", [reverse_complement(twin) if opposite else twin])
    table = coordinates(of)
    if opposite:  # the half that train has no reads of lies at the start now
        test = table["genome"] == "a_test"
        table.loc[test, ["start", "end"]] -= LENGTH // 2
    run(table, of)
    assert run.fired() == {"strains": "fail"}
    assert run.findings == [("strains", "fail", "a_test", "a_train", "1.0")]
    assert run.unclean() == [f"a_test.{i}" for i in range(READS)]
    assert run.checks["strains"]["value"] == 0.5
    assert run.checks["strains"]["n"] == 1


def test_strains_by_identity(run: Audit, rng: np.random.Generator) -> None:
    """A genome of 99.7 % is the same strain, one of 97 % is another strain of the species."""
    of = genomes(rng)
    of["a_test"] = ("test", [mutated(rng, of["a_train"][1][0], 0.003)])
    of["b_test"] = ("test", [mutated(rng, of["b_validation"][1][0], 0.03)])
    run(coordinates(of), of)
    assert run.fired() == {"strains": "fail"}
    ((_, _, who, other, ani),) = run.findings
    assert (who, other) == ("a_test", "a_train")
    assert float(ani) == pytest.approx(0.997, abs=0.001)


def test_a_species_where_species_are_asked_for(run: Audit, rng: np.random.Generator) -> None:
    of = genomes(rng)
    of["b_test"] = ("test", [mutated(rng, of["b_validation"][1][0], 0.03)])
    run(coordinates(of), of, {"ani": 0.95})
    assert run.fired() == {"strains": "fail"}
    assert run.named("strains") == [("b_test", "b_validation")]


def test_strains_are_clustered(run: Audit, rng: np.random.Generator) -> None:
    """Train - test - test, 0.6 % each: the third is one strain with the first by way of the second."""
    of = genomes(rng)
    of["a_test"] = ("test", [mutated(rng, of["a_train"][1][0], 0.006)])
    of["b_test"] = ("test", [mutated(rng, of["a_test"][1][0], 0.006)])
    run(coordinates(of), of)
    assert run.named("strains") == [("a_test", "a_train"), ("b_test", "a_train")]


def test_a_group_on_both_sides(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng)).assign(group=lambda t: t["id"])
    assert run(table).fired() == {}
    table.loc[table["id"].isin(["a_train.1", "a_test.1"]), "group"] = "g"
    run(table)
    assert run.fired() == {"groups": "warn"}
    assert run.named("groups") == [("g", "g")]
    assert run.unclean() == ["a_test.1"]


def test_genomes_cut_by_position_are_told_and_stay_clean(run: Audit, rng: np.random.Generator) -> None:
    of = {name: value for name, value in genomes(rng).items() if value[0] == "train"}
    table = coordinates(of)
    table["split"] = [SPLITS[i % 3] for i in range(len(table))]
    run(table, of)
    assert (run.fired(), run.unclean()) == ({"groups": "warn"}, [])
    genes = sequences(of).assign(split=table["split"], genome=table["genome"], group=table["id"])
    assert run(genes).fired() == {}  # split by group, as genes are by homology
    assert "as far as rows tell: genomes are cut across train and test" in run.checks["strains"]["sentence"]
    run(table.assign(group=table["id"]), sequences=run.folder / "store")  # though the store holds the genomes
    assert "as far as rows tell: genomes are cut across train and test" in run.checks["strains"]["sentence"]
    run(genes.drop(columns="genome"))
    assert "as far as rows tell: the table names no genomes" in run.checks["strains"]["sentence"]


@pytest.mark.parametrize("held", [True, False])
def test_whole_genomes_are_compared_where_a_store_holds_them(run: Audit, rng: np.random.Generator, held: bool) -> None:
    of = genomes(rng)
    table = coordinates(of).assign(group=lambda t: t["genome"] + t["id"])
    run(table if held else sequences(of).assign(genome=table["genome"], group=table["group"]), of)
    told = "as far as rows tell: no store holds all the genomes" in run.checks["strains"]["sentence"]
    assert told != held


@pytest.mark.parametrize("split,read", [("pretrain", True), ("", True), ("test", False), ("validation", False)])
def test_what_pretraining_reads(run: Audit, rng: np.random.Generator, split: str, read: bool) -> None:
    of = genomes(rng)
    table = coordinates(of)
    start = int(table["start"][table["id"] == "a_test.1"].iloc[0])
    piece = mutated(rng, of["a_test"][1][0][start : start + 2 * 400], 0.002)
    of["other"] = (split, [np.concatenate([rng.integers(0, 4, 5000, dtype=np.uint8), reverse_complement(piece)])])
    run(table, of, pretrained=run.folder / "store")
    if not read:
        assert run.fired() == {}
        return
    assert run.fired() == {"pretraining": "warn"}
    assert run.named("pretraining") == [("a_test.1", "other:other_0"), ("a_test.2", "other:other_0")]
    assert run.unclean() == ["a_test.1", "a_test.2"]
    assert float(run.rows.loc["a_test.1", "pretrained"]) > 0.5


def test_a_collection_given_as_fasta(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    path = run.folder / "collection.fa"
    path.write_text(">x\n" + "".join(letters(table, f"b_test.{i}") for i in range(8)) + "\n")
    run(table, pretrained=path)
    assert run.fired() == {"pretraining": "fail"}
    assert run.named("pretraining") == [(f"b_test.{i}", "x") for i in range(8)]


def test_classes_of_different_composition(run: Audit, rng: np.random.Generator) -> None:
    of = genomes(rng, (0.35, 0.65))
    run(coordinates(of), of, pretrained=run.folder / "store")
    assert run.fired() == {"gc": "fail"}
    assert run.checks["gc"]["value"] > 0.99
    assert run.unclean() == []  # no copy: the rows are as good as any


def test_classes_of_different_length(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    table["sequence"] = [s[: READ - 20 * (c == "b")] for s, c in zip(table["sequence"], table["label"], strict=True)]
    assert run(table).fired() == {"length": "fail"}
    table["sequence"] = [s[: READ - int(rng.integers(20))] for s in table["sequence"]]
    table.loc[(table["label"] == "a") & (rng.random(len(table)) < 0.5), "sequence"] = "ACGT" * 5
    table["sequence"] = [s + decode(rng.integers(0, 4, 250)) if len(s) == 20 else s for s in table["sequence"]]
    assert run(table).fired().get("length") in ("warn", "fail")


@pytest.mark.parametrize("seed", range(3))
def test_numbers_and_names_that_gc_gives_away(run: Audit, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = sequences(genomes(rng))
    strong = np.array([(s.count("G") + s.count("C")) / len(s) for s in table["sequence"]])
    chance = table.assign(label=rng.normal(size=len(table)))
    assert run(chance, kind="regression").fired() == {}
    assert run(table.assign(label=-10 * strong), kind="regression").fired() == {"gc": "fail"}
    assert run.checks["gc"]["value"] == pytest.approx(-1)
    names = np.where(strong > np.median(strong), "strong", "-")
    assert run(table.assign(label=names), kind="multilabel").fired() == {"gc": "fail"}
    assert run(table.assign(label=rng.permutation(names)), kind="multilabel").fired() == {}


def test_a_number_that_is_none(run: Audit, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=r"table\.tsv: id 'a_train\.0': label 'a' is no number"):
        run(sequences(genomes(rng)), kind="regression")


@pytest.mark.parametrize("kind", ["classes", "multilabel", "regression"])
def test_groups_are_split_as_the_probe_does(run: Audit, rng: np.random.Generator, kind: Any) -> None:
    table = sequences(genomes(rng)).drop(columns="split")
    table["group"] = [f"g{i % 20}" for i in range(len(table))]
    if kind == "regression":
        table["label"] = rng.normal(size=len(table))
    run(table, kind=kind)
    assert run.fired() == {}
    groups = table.set_index("id")["group"]
    assert not set(groups[run.rows.index]) & set(groups.drop(run.rows.index))
    assert 0 < len(run.rows) < len(table) / 2


def test_findings_are_listed_up_to_a_number_and_all_counted(run: Audit, rng: np.random.Generator) -> None:
    table = sequences(genomes(rng))
    for i in range(20):
        planted(table, f"a_test.{i}", letters(table, f"a_train.{i}"))
    run(table, more={"listed": 3})
    assert len(run.findings) == 3
    assert run.checks["copies"]["n"] == 20
    assert len(run.unclean()) == 20


def test_short_rows_and_unknown_bases(run: Audit, rng: np.random.Generator) -> None:
    """A row without a k-mer is compared with no one, and copies are copies still."""
    table = sequences(genomes(rng))
    planted(table, "a_test.1", "ACGTA")
    planted(table, "a_test.2", "N" * 50)
    planted(table, "a_train.1", "ACGTA")
    run(table)
    assert run.named("copies") == [("a_test.1", "a_train.1")]
    assert run.rows.loc["a_test.2", ["clean", "identity", "nearest"]].tolist() == ["1", "0.0", ""]


@pytest.mark.parametrize(
    "setting,message",
    [
        ({"k": 3}, "k must be 7 to 31"), ({"share": 2}, "share must be from 0 to 1"), ({"near": 0}, "must be above 0"),
        ({"gc": [0.9, 0.8]}, "gc must be two AUROCs"), ({"fractions": [1, 1, 1]}, "fractions must be above 0 and sum"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit.Settings(**setting)


# ---- the command line


@pytest.fixture
def leaky(tmp_path: Path, rng: np.random.Generator) -> Path:
    table = sequences(genomes(rng))
    for i in range(20):
        planted(table, f"a_test.{i}", letters(table, f"a_train.{i}"))
    table.to_csv(tmp_path / "leaky.tsv", sep="\t", index=False)
    return tmp_path


def call(*arguments: str | Path) -> tuple[Any, str]:
    done = click.testing.CliRunner().invoke(cli.cli, ["--quiet", "audit", *map(str, arguments)])
    return done.exception, done.output


def test_a_fail_stops_after_everything_is_written(leaky: Path) -> None:
    out = leaky / "audit" / "leaky.json"
    error, output = call(leaky / "leaky.tsv", "--out", out)
    assert isinstance(error, InputError)  # exit 2, by main
    assert str(error) == (
        "task leaky fails the audit: copies: 20 of 80 (25 %) test rows are exact copies of train or validation rows "
        f"(findings: {out.with_suffix('.tsv')}); mend the split, or go on with audit: {{stop: false}} in the config "
        "(--set stop=false)"
    )
    assert "leaky: fail, 60 of 80 test rows clean" in output
    assert len(out.with_suffix(".tsv").read_text().splitlines()) == 21
    assert len(out.with_suffix(".rows.tsv").read_text().splitlines()) == 81
    assert {"labels"} == set(json.loads((leaky / "audit" / "leaky.json.provenance.json").read_text())["inputs"])


def test_a_fail_is_exit_2_and_one_line(leaky: Path, monkeypatch: Any, capsys: Any) -> None:
    arguments = ["genossl", "--quiet", "audit", str(leaky / "leaky.tsv"), "--out", str(leaky / "audit" / "leaky.json")]
    for more, code in (([], 2), (["--set", "stop=false"], 0)):
        monkeypatch.setattr("sys.argv", arguments + more)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == code
        told = capsys.readouterr().err.splitlines()
        assert len(told) == (code == 2)
        assert not told or told[0].startswith("genossl: task leaky fails the audit: copies: 20 of 80")


def test_a_fail_that_may_go_on(leaky: Path) -> None:
    out = leaky / "audit" / "leaky.json"
    assert call(leaky / "leaky.tsv", "--out", out, "--set", "stop=false")[0] is None
    (leaky / "config.yaml").write_text("audit: {stop: false}\n")
    assert call(leaky / "leaky.tsv", "--out", out, "--config", leaky / "config.yaml")[0] is None
    assert json.loads(out.read_text())["outcome"] == "fail"


def test_records_are_judged_without_the_sequences(leaky: Path) -> None:
    out = leaky / "audit" / "leaky.json"
    call(leaky / "leaky.tsv", "--out", out)
    table = pd.read_csv(leaky / "leaky.tsv", sep="\t")
    table[~table["id"].isin([f"a_test.{i}" for i in range(20)])].to_csv(leaky / "fine.tsv", sep="\t", index=False)
    fine = leaky / "audit" / "fine.json"
    assert call(leaky / "fine.tsv", "--out", fine)[0] is None
    (leaky / "leaky.tsv").unlink()
    error, output = call(fine, out)
    assert isinstance(error, InputError)
    assert str(error).startswith("task leaky fails the audit: copies: 20 of 80")
    assert "fine: pass, 60 of 60 test rows clean" in output
    assert call(fine, out, "--set", "stop=false")[0] is None
    assert call(fine)[0] is None
    (leaky / "other.json").write_text("[]")
    assert str(call(leaky / "other.json")[0]).endswith("other.json: is no record of an audit")


def test_calls_that_cannot_be(leaky: Path) -> None:
    assert "expected one table with --out AUDIT.json" in call(leaky / "leaky.tsv")[1]
    before = (leaky / "leaky.tsv").read_text()
    error, _ = call(leaky / "leaky.tsv", "--out", leaky / "leaky.json")
    assert "is read, and would be written over; choose another --out" in str(error)
    assert (leaky / "leaky.tsv").read_text() == before
    assert str(call(leaky / "leaky.tsv", "--out", leaky / "x.tsv")[0]).endswith("an audit is written as .json")
    assert not (leaky / "x.json").exists()


# ---- real data


@pytest.fixture(scope="module")
def example(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    ingest.run([str(repository / "examples" / "genomes.tsv")], folder / "store")
    return folder


def test_the_example_passes_the_gate(repository: Path, example: Path) -> None:
    """Its strains were parted within species, so the one warning is of an island that E. coli 536 and Klebsiella share:
    a read that is wholly known lies in the other species' genome letter by letter."""
    out = example / "audit" / "species_500.json"
    table, of = repository / "examples" / "species_500.tsv", example / "store"
    audit.run(table, out, audit.Settings(), of, of)
    audit.gate([out], audit.Settings())
    record = json.loads(out.read_text())
    outcomes = {check["name"]: check["outcome"] for check in record["checks"]}
    assert {name for name, outcome in outcomes.items() if outcome != "pass"} == {"pretraining"}
    assert outcomes["pretraining"] == "warn"
    counts = {check["name"]: check["n"] for check in record["checks"]}
    assert all(counts[name] == 0 for name in ("copies", "overlaps", "pieces", "strains", "groups", "conflicts"))
    reads = pd.read_csv(table, sep="\t").set_index("id")
    found = pd.read_csv(out.with_suffix(".tsv"), sep="\t")
    found = found[found["check"] == "pretraining"]
    assert len(found) == counts["pretraining"]
    own, of_other = (
        names.str.split("_").str[0].tolist() for names in (reads.loc[found["id"], "genome"], found["other"])
    )
    assert all(a != b for a, b in zip(own, of_other, strict=True))  # within a species it was parted
    opened = audit.TokenStore.open(of)
    island = {other: decode(opened.contig(*other.split(":", 1)[::-1])) for other in set(found["other"])}
    whole = found[(found["value"] == 1) & found["other"].str.startswith("Klebsiella")]
    assert len(whole) > 20
    for name, other in zip(whole["id"], whole["other"], strict=True):
        row = reads.loc[name]
        read = decode(opened.contig(row["contig"], row["genome"])[row["start"] : row["end"]])
        assert read in island[other] or turned(read) in island[other]
