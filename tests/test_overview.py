"""The matrix of all tasks: marks by intervals, sentences that count, Holm's correction against a second road."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from genossl.evaluation import overview

SCORES = ["embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
PAIRS = ["head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n"]


def scored(name: str, d: float, half: float = 0.01, p: float | None = None, **more: Any) -> overview.Scored:
    """A task on which ours is d above kmer5, and kmer4 is 0.1 below it."""
    metric = more.pop("metric", "balanced_accuracy")
    values = {"ours": 0.7 + d, "kmer5": 0.7, "kmer4": 0.6, "gc": 0.3}
    rows = [(e, "logistic", "10", "mean", metric, v, v - 0.02, v + 0.02, 100) for e, v in values.items()]
    pairs = [
        ("logistic", "10", metric, "ours", "kmer5", d, d - half, d + half, 100),
        ("logistic", "10", metric, "ours", "kmer4", d + 0.1, d + 0.09, d + 0.11, 100),
        ("logistic", "10", metric, "kmer4", "kmer5", -0.1, -0.11, -0.09, 100),
    ]
    frame = pd.DataFrame(pairs, columns=PAIRS)
    if p is not None:
        frame["p"] = p
    given = {"anchor": name, "kind": "classes", "metric": metric, "shots": "10", "outcome": "yes"} | more
    return overview.Scored(name=name, scores=pd.DataFrame(rows, columns=SCORES), comparisons=frame, **given)


def cells(view: dict[str, Any], row: int) -> dict[str, overview.Cell | None]:
    return {c["key"]: cell for c, cell in zip(view["columns"], view["rows"][row]["cells"], strict=True)}


def test_marks_follow_the_interval_against_the_best_profile() -> None:
    view = overview.view([scored("a", 0.05), scored("b", 0.005), scored("c", -0.05)], "ours", "logistic")
    assert view is not None
    marks = [cells(view, i)["ours"].mark for i in range(3)]  # type: ignore[union-attr]
    assert marks == ["yes", "tie", "no"]
    first = cells(view, 0)
    assert first["kmer5"].mark == "rival"  # type: ignore[union-attr]
    assert first["kmer4"].mark == "no"  # type: ignore[union-attr]
    assert first["gc"].mark == ""  # type: ignore[union-attr]
    assert first["ours"].told == "better than the best k-mers: +0.050 (+0.040 to +0.060)"  # type: ignore[union-attr]
    assert [key for key, cell in first.items() if cell and cell.best] == ["ours"]
    assert [c["key"] for c in view["columns"]] == ["ours", "kmer4", "kmer5", "gc"]


def test_the_sentences_count() -> None:
    view = overview.view(
        [*(scored(n, 0.05) for n in "ab"), scored("c", 0.05, outcome="partly"), scored("d", 0.0), scored("e", -0.05)],
        "ours", "logistic",
    )  # fmt: skip
    assert view is not None
    assert view["sentences"][0] == "Did pretraining help? Of 5 tasks: Yes on 4, Partly on 1."
    assert view["sentences"][1].startswith(
        "Ours beat the best k-mers on 3 of 5 tasks, lost on 1, was not told apart on 1"
    )


def test_holm_over_tasks_by_hand() -> None:
    """p 0.01, 0.02, 0.04 of three wins: times 3, 2, 1 is 0.03, 0.04, 0.04, so all stand; with 0.03 the second falls."""
    stand = overview.against_kmers(
        [scored(n, 0.05, p=p) for n, p in (("a", 0.01), ("b", 0.02), ("c", 0.04))], "ours", "logistic"
    )
    assert "3 of 3 wins stand" in stand[1]
    assert "estimated" not in stand[1]
    falls = overview.against_kmers(
        [scored(n, 0.05, p=p) for n, p in (("a", 0.01), ("b", 0.03), ("c", 0.04))], "ours", "logistic"
    )
    assert "1 of 3 wins stand" in falls[1]
    assert (
        "estimated from the width"
        in overview.against_kmers([scored("a", 0.05), scored("b", 0.1)], "ours", "logistic")[1]
    )


def test_p_of_an_interval_that_touches_zero_is_a_twentieth() -> None:
    assert overview.p_of_interval(0.02, 0.0, 0.04) == pytest.approx(0.05, abs=1e-12)
    assert overview.p_of_interval(-0.02, -0.04, 0.0) == pytest.approx(0.05, abs=1e-12)
    assert overview.p_of_interval(0.0, -0.1, 0.1) == 1.0
    assert overview.p_of_interval(0.1, 0.1, 0.1) == 0.0
    from scipy.stats import norm

    assert overview.p_of_interval(0.03, 0.01, 0.05) == pytest.approx(2 * norm.sf(0.03 / (0.04 / 2 / norm.ppf(0.975))))


def test_seeds_of_a_method_are_one_column_with_an_interval_over_seeds() -> None:
    task = scored("a", 0.05)
    seeds = [0.80, 0.82, 0.84]
    rows = [(f"cpc.seed{i}", "logistic", "10", "mean", "balanced_accuracy", v, v, v, 9) for i, v in enumerate(seeds)]
    task.scores.loc[len(task.scores)] = ["untrained.conv", "logistic", "10", "mean", "balanced_accuracy", 0.5, 0, 1, 9]
    table = pd.concat([task.scores, pd.DataFrame(rows, columns=SCORES)], ignore_index=True)
    one = overview.Scored(**{**vars(task), "scores": table})
    view = overview.view([one], "ours", "logistic")
    assert view is not None
    cell = cells(view, 0)["cpc/seeds"]
    assert cell is not None
    half = 4.302652729911275 * 0.02 / math.sqrt(3)  # Student's t with 2 degrees of freedom, deviation 0.02
    assert (cell.value, cell.low, cell.high) == pytest.approx((0.82, 0.82 - half, 0.82 + half))
    assert cell.mark == "yes"
    assert "untrained.conv" not in {c["key"] for c in view["columns"]}


def test_each_task_goes_by_its_own_metric() -> None:
    view = overview.view([scored("a", 0.05), scored("b", 0.05, metric="r2", kind="regression")], "ours", "logistic")
    assert view is not None
    assert [row["metric"] for row in view["rows"]] == ["balanced accuracy", "R²"]
    assert view["kinds"] == ["classes", "regression"]
    assert all(cells(view, i)["ours"] is not None for i in (0, 1))


def test_without_scores_there_is_no_overview() -> None:
    assert overview.view([scored("a", 0.1, shots="")], "ours", "logistic") is None
