"""What the report says beside the scores: classes, saved labels, subsets, calibration, audit, speed, the paragraph."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genossl.errors import InputError
from genossl.evaluation import audited, drilldown, names, paragraph, speed
from genossl.files import write_json, write_tsv


def test_classes_agree_with_the_reference_library() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    said[:300] = true[:300]
    found = drilldown.per_class(pd.crosstab(pd.Series(true), pd.Series(said)))
    precision, recall, f1, n = precision_recall_fscore_support(true, said)
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1), ("n", n)):
        assert [row[name] for row in found] == pytest.approx(list(values))


def test_a_class_that_is_never_said_has_no_precision() -> None:
    first, second = drilldown.per_class(pd.DataFrame([[3, 0], [1, 0]], index=["a", "b"], columns=["a", "b"]))
    assert (first["recall"], first["precision"], first["f1"]) == (1.0, 0.75, 6 / 7)
    assert second["recall"] == 0.0
    assert math.isnan(second["precision"])
    assert second["f1"] == 0.0


def test_the_worst_class_comes_first() -> None:
    counts = pd.DataFrame([[9, 1], [5, 5]], index=["good", "bad"], columns=["good", "bad"])
    found = drilldown.classes({"ours": counts, "k-mers": counts.loc[["good"], ["good"]]})
    assert found is not None
    assert [row["label"] for row in found["rows"]] == ["bad", "good"]
    assert found["rows"][0]["cells"][1] is None


@pytest.mark.parametrize(
    "row,sentence",
    [
        (
            ("100", 2.6, 1.9, 3.4, ""),
            "For the score of kmer5 with 100 labels per class, ours needs 2.6 times fewer (at most 38 labels per "
            "class); 95 % interval of the factor: 1.9 to 3.4.",
        ),
        (
            ("100", 0.5, 0.4, 0.6, ""),
            "For the score of kmer5 with 100 labels per class, ours needs 2.0 times more (at most 200 labels per "
            "class); 95 % interval of the factor: 0.4 to 0.6.",
        ),
        (
            ("all", 1.5, 0.8, math.inf, ">="),
            "For the score of kmer5 with all labels, ours needs at least 1.5 times fewer, being above it with the "
            "fewest measured; 95 % interval of the factor: 0.8 at least, with no upper bound, which includes as many "
            "labels: no saving is shown.",
        ),
        (
            ("100", 114.0, 0.0, math.inf, ">="),
            "For the score of kmer5 with 100 labels per class, ours needs at least 114 times fewer, being above it "
            "with the fewest measured; 95 % interval of the factor: without bounds, which includes as many labels: no "
            "saving is shown.",
        ),
        (
            ("5", 0.2, 0.0, 0.3, ""),
            "For the score of kmer5 with 5 labels per class, ours needs 5.0 times more (at most 25 labels per class); "
            "95 % interval of the factor: 0.3 at most, with no lower bound.",
        ),
        (
            ("10", 10.0, 0.02, 1200.0, ""),
            "For the score of kmer5 with 10 labels per class, ours needs 10 times fewer (at most 1 label per class); "
            "95 % interval of the factor: 0.02 to 1,200, which includes as many labels: no saving is shown.",
        ),
        (
            ("5", 0.2, 0.0, 0.3, "not reached"),
            "ours does not reach the score of kmer5 with 5 labels per class at any number of labels measured.",
        ),
        (
            ("10", 1.0, math.nan, math.nan, ""),
            "For the score of kmer5 with 10 labels per class, ours needs as many labels (at most 10 labels per class).",
        ),
    ],
)
def test_saved_labels_in_words(row: tuple[object, ...], sentence: str) -> None:
    known = dict(zip(("shots", "ratio", "low", "high", "censored"), row, strict=True))
    assert drilldown.saved(known | {"baseline": "kmer5", "embedding": "ours"}) == sentence


def test_subsets_begin_with_all_rows_and_speak_of_the_clean_ones() -> None:
    columns = ["embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
    scores = pd.DataFrame([("ours", "logistic", "10", "mean", "f", 0.9, 0.88, 0.92, 100)], columns=columns)
    lines = [
        ("ours", "logistic", "10", "mean", "f", 0.8, 0.78, 0.82, 70, "clean", ""),
        ("ours", "logistic", "10", "mean", "f_difference", 0.05, 0.01, 0.09, 70, "clean", "kmer5"),
        ("ours", "logistic", "100", "mean", "f", 0.99, 0.98, 1.0, 70, "clean", ""),
    ]
    found = drilldown.subsets(
        pd.DataFrame(lines, columns=[*columns, "subset", "baseline"]), scores, ["ours"], "10", "logistic", "f"
    )
    assert found is not None
    assert [(row["subset"], row["n"]) for row in found["rows"]] == [("all", 100), ("clean", 70)]
    assert found["sentence"] == (
        "On the 70 test rows that the audit found clean, ours gets 0.800 (0.780 to 0.820); on all 100 it gets 0.900 "
        "(0.880 to 0.920). There it is above the best k-mer profile, kmer5: +0.050 (+0.010 to +0.090)."
    )


@pytest.mark.parametrize("column", [True, False])
def test_calibration_errors_as_a_column_or_as_a_line(column: bool) -> None:
    rows = [("ours", "logistic", "10", str(b), b / 10, b / 10, 5.0) for b in (2, 8)]
    table = pd.DataFrame(rows, columns=["embedding", "head", "shots", "bin", "confidence", "accuracy", "n"])
    if column:
        table = table.assign(ece=0.03, brier=0.2)
    else:
        for what, x in (("ece", 0.03), ("brier", 0.2)):
            table.loc[len(table)] = ["ours", "logistic", "10", what, x, math.nan, math.nan]
    found = drilldown.calibration(table, ["ours"], {}, ["ours"], "50", "logistic")
    assert found is not None
    assert found["errors"] == [{"key": "ours", "name": "ours", "ece": 0.03, "brier": 0.2}]
    assert found["labels"] == "with 10 labels per class"  # the nearest count there is
    assert found["figure"].count("<title>") == 2


def test_a_strand_that_matters_is_said() -> None:
    table = pd.DataFrame({"embedding": ["ours"], "flip_rate": [0.125], "correlation": [0.5], "n": [80.0]})
    found = drilldown.strand(table, ["ours"], "as_given")
    assert found is not None
    assert found["sentence"].startswith(
        "Read from the other strand, ours gives another answer for 12.5 % of 80 test rows;"
    )
    assert "throw away" in found["policy"]


def test_the_audit_is_read_worst_first(tmp_path: Path) -> None:
    for task, outcome, n in (("a", "pass", 0), ("b", "fail", 30), ("c", "warn", 2)):
        check = {"name": "gc_only", "outcome": outcome, "value": 0.8, "threshold": 0.7, "n": 9, "sentence": "s"}
        write_json(tmp_path / "audit" / f"{task}.json", {"task": task, "outcome": outcome, "checks": [check]})
        write_json(tmp_path / "audit" / f"{task}.json.provenance.json", {"checks": []})
        lines = [("gc_only", "warn" if i else "fail", f"r{i}", "", 1.0) for i in reversed(range(n))]
        write_tsv(
            tmp_path / "audit" / f"{task}.tsv",
            pd.DataFrame(lines, columns=["check", "outcome", "id", "other", "value"]),
        )
    found = audited.view(tmp_path)
    assert found is not None
    assert [task["name"] for task in found["tasks"]] == ["b", "c", "a"]
    assert (len(found["tasks"][0]["rows"]), found["tasks"][0]["total"]) == (audited.FINDINGS_SHOWN, 30)
    assert found["tasks"][0]["rows"][0][1:3] == ["fail", "r0"]  # the graver finding before the others
    assert found["sentence"] == "The audit of leaks: 1 task passes, 1 task warns, 1 task fails."
    assert audited.view(tmp_path / "none") is None


def test_benchmarks_add_up(tmp_path: Path) -> None:
    for path, lines in (
        ("ingest", [{"s": 2.0, "max_rss": 100.0, "cpu_time": 1.0}]),
        (
            "embed/task/ours",
            [{"s": 3.0, "max_rss": 700.0, "cpu_time": 2.5}, {"s": 4.0, "max_rss": "-", "cpu_time": "NA"}],
        ),
        ("embed/task/kmer3", [{"s": 1.5, "max_rss": 200.0}]),
    ):
        file = tmp_path / "benchmarks" / f"{path}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = speed.view(tmp_path)
    assert found is not None
    assert [(r["rule"], r["jobs"], r["seconds"], r["longest"], r["memory"]) for r in found["rules"]] == [
        ("embed", 3, 8.5, 4.0, 700.0),
        ("ingest", 1, 2.0, 2.0, 100.0),
    ]
    assert found["total"] == {"jobs": 4, "seconds": 10.5, "cpu": 3.5, "memory": 700.0}
    assert found["jobs"][0]["job"] == "task/ours"
    (tmp_path / "benchmarks" / "bad.jsonl").write_text('{"s": 1}\n{"cpu_time": 1}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl line 2: expected a JSON object with s, the seconds"):
        speed.view(tmp_path)
    assert speed.view(tmp_path / "none") is None


def test_the_paragraph_says_what_is_known_and_nothing_else() -> None:
    task = {
        "name": "t",
        "metric": "balanced_accuracy",
        "per": "labels per class",
        "embeddings": ["ours", "kmer5"],
        "record": {
            "classes": ["a", "b"], "n_train": 900, "n_test": 100, "unit": "groups", "draws": {"10": 5, "all": 1},
            "settings": {"penalty": [0.1, 1.0], "replicates": 1000},
        },
    }  # fmt: skip
    lines = paragraph.sentences(
        genomes={"totals": [{"split": "all", "genomes": 3, "records": 4, "bases": 5_000_000}]},
        found=[], tasks=[task, task | {"name": "u"}], audit=None, versions=[{"name": "torch", "version": "2"},
        {"name": "genossl", "version": "1"}], ours="ours", head="logistic",
    )  # fmt: skip
    assert lines == [
        "The collection held 3 genomes with 4 sequences and 5,000,000 bases.",
        "On the task t (2 classes; 900 train, 100 test rows) and the task u (2 classes; 900 train, 100 test rows), "
        "embeddings were frozen, standardised on the training rows and read by logistic regression, its penalty chosen "
        "from 0.1, 1 on validation rows, with 10 and all labels per class in up to 5 draws of labels; compared were "
        "ours and kmer5.",
        "On the task t (2 classes; 900 train, 100 test rows) and the task u (2 classes; 900 train, 100 test rows), "
        "scores are balanced accuracy on test rows, with 95 % percentile intervals of a bootstrap of 1,000 replicates "
        "that resamples groups; two embeddings were compared by the interval of their paired difference.",
        "Software: genossl 1, torch 2.",
    ]
    assert (
        paragraph.sentences(genomes=None, found=[], tasks=[], audit=None, versions=[], ours="ours", head="logistic")
        == []
    )


def test_names_in_the_middle_of_a_sentence() -> None:
    assert [names.metric(m) for m in ("balanced_accuracy", "macro_f1", "auroc", "r2", "of_its_own")] == [
        "balanced accuracy", "macro-F1", "AUROC", "R²", "of its own",
    ]  # fmt: skip
    assert names.row("kmer7") == "7-mer profile"
    assert names.row("theirs", "theirs") == "ours (pretrained)"
    assert names.in_order(["gc", "kmer10", "kmer9", "x", "untrained", "ours"]) == [
        "ours",
        "x",
        "untrained",
        "kmer9",
        "kmer10",
        "gc",
    ]
