"""Five real sets of five layouts and three kinds are read as what they are, and one run gives each its verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import verdicts

from genossl.verbs import check

KINDS = {
    "virus": ("folder", "classes"), "binding": ("csv", "classes"), "gene": ("intervals", "classes"),
    "sigma": ("fasta", "multilabel"), "length": ("table", "regression"),
}  # fmt: skip


def test_real_sets_are_read_as_what_they_are(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(
        sys, "argv", ["x", "--data", str(shared), "--out", str(tmp_path), "--rows", "20", "--only-data"]
    )
    assert verdicts.main() == 0
    monkeypatch.chdir(tmp_path)
    lines = {line.split()[1].rstrip(":"): line for line in check.run(Path("config.yaml")) if line.startswith("task ")}
    assert set(lines) == set(KINDS)
    for task, (_, kind) in KINDS.items():
        assert f"; {kind}, from " in lines[task]
    assert "task virus: 176 rows, 3 classes" in lines["virus"]
    assert "6 classes; classes, from GFF3 intervals, labelled by their function" in lines["gene"]


def test_a_folder_without_the_data_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert verdicts.main() == 2
    assert "no prokaryotes/genomes.tsv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_each_task_gets_the_verdict_of_its_intervals(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["x", "--data", str(shared), "--out", str(tmp_path), "--rows", "40", "--steps", "20"]
    monkeypatch.setattr(sys, "argv", command)
    assert verdicts.main() == 0
    results = tmp_path / "results" / "verdicts"
    said = (results / "findings.txt").read_text().splitlines()
    for task, (layout, kind) in KINDS.items():
        about = json.loads((results / "tasks" / f"{task}.json").read_text())
        assert (about["layout"], about["kind"]) == (layout, kind)
        first = next(line for line in said if line.startswith(f"{task}: "))
        audit = json.loads((results / "audit" / f"{task}.json").read_text())
        word = by_intervals(results / "scores" / task)
        if audit["outcome"] == "fail":
            word += f", {'but' if word in ('Yes', 'Partly') else 'and'} the audit fails"
        assert first.startswith(f"{task}: {word}: ")
    outcomes = {task: json.loads((results / "audit" / f"{task}.json").read_text()) for task in KINDS}
    read = {task: {c["name"]: c["outcome"] for c in record["checks"]} for task, record in outcomes.items()}
    assert (
        read["gene"]["pretraining"] == read["sigma"]["pretraining"] == "fail"
    )  # phages and E. coli were pretrained on
    assert {read[task]["pretraining"] for task in ("virus", "binding", "length")} == {"pass"}


def by_intervals(scores: Path) -> str:
    """The verdict by the two intervals alone, from the tables on disk."""
    metric = json.loads(scores.with_suffix(".json").read_text())["metric"]
    table = pd.read_csv(scores.with_suffix(".tsv"), sep="\t", dtype={"shots": str, "draw": str})
    pairs = pd.read_csv(scores.with_suffix(".comparisons.tsv"), sep="\t", dtype={"shots": str})
    table = table[(table["head"] == "logistic") & (table["metric"] == metric) & (table["draw"] == "mean")]
    pairs = pairs[(pairs["head"] == "logistic") & (pairs["metric"] == metric) & (pairs["embedding"] == "ours")]
    assert "10" in set(table["shots"])
    at = table[(table["shots"] == "10") & table["embedding"].str.fullmatch(r"kmer\d")]
    best = at.sort_values("value")["embedding"].iloc[-1]
    sides = []
    for rival in ("untrained", best):
        row = pairs[(pairs["shots"] == "10") & (pairs["baseline"] == rival)].iloc[0]
        sides.append(1 if row["low"] > 0 else -1 if row["high"] < 0 else 0)
    if sides[0] < 0 or (sides[0] == 0 and sides[1] < 0):
        return "No"
    return {(1, 1): "Yes", (0, 0): "Not shown"}.get((sides[0], sides[1]), "Partly")
