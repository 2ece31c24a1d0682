"""What the report says of one task beyond its scores: classes, calibration, saved labels, subsets, strands, clusters.

Each table here is optional and lies beside the scores; what is missing is None and left out of the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.evaluation import figures, names
from genossl.evaluation import verdict as judge
from genossl.files import read_sheet

TABLES: dict[str, tuple[str, ...]] = {  # what may lie beside <task>.tsv: suffix -> columns
    "subsets": ("embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n", "subset"),
    "efficiency": ("embedding", "baseline", "head", "shots", "ratio", "low", "high", "censored"),
    "calibration": ("embedding", "head", "shots", "bin", "confidence", "accuracy", "n"),
    "strand": ("embedding", "flip_rate", "correlation", "n"),
}
NUMBERS = ("value", "low", "high", "n", "ratio", "confidence", "accuracy", "flip_rate", "correlation", "difference")
CLASSES_SHOWN = 200  # of the table of classes


def beside(scores: Path) -> dict[str, pd.DataFrame]:
    """The tables of TABLES that lie beside a task's scores, numbers as numbers."""
    paths = {name: scores.with_suffix(f".{name}.tsv") for name in TABLES}
    return {name: read_numbers(path, TABLES[name]) for name, path in paths.items() if has_rows(path)}


def has_rows(path: Path) -> bool:
    """Whether a table is there and holds more than its header line."""
    return path.is_file() and "\n" in path.read_text(encoding="utf-8").strip()


def read_numbers(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """One of our own tables, its known numbers as floats. Raises InputError where it is damaged."""
    table = read_sheet(path, columns, comments=False)
    return table.assign(
        **{name: pd.to_numeric(table[name], errors="coerce").astype(float) for name in NUMBERS if name in table}
    )


def per_class(counts: pd.DataFrame) -> list[dict[str, Any]]:
    """Recall, precision and F1 of each class from counts of (true row, predicted column).

    recall = right / row sum, precision = right / column sum, F1 = 2 right / (row sum + column sum); none of 0 is nan.
    """
    table = counts.to_numpy(float)
    right, true, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {"recall": right / true, "precision": right / said, "f1": 2 * right / (true + said)}
    return [
        {"label": str(label), "n": int(true[i]), **{name: float(values[i]) for name, values in columns.items()}}
        for i, label in enumerate(counts.index)
    ]


def classes(matrices: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    """The classes of all matrices (title -> counts) side by side, the one that ours recalls worst first."""
    if not matrices:
        return None
    found = {title: {row["label"]: row for row in per_class(counts)} for title, counts in matrices.items()}
    first = next(iter(found.values()))
    order = sorted(first, key=lambda label: (math.inf if math.isnan(r := first[label]["recall"]) else r, label))
    rows = [{"label": label, "cells": [found[title].get(label) for title in found]} for label in order]
    return {"titles": list(found), "rows": rows[:CLASSES_SHOWN], "left_out": max(len(rows) - CLASSES_SHOWN, 0)}


def subsets(
    table: pd.DataFrame, scores: pd.DataFrame, shown: Sequence[str], shots: str, head: str, metric: str
) -> dict[str, Any] | None:
    """The score of each shown embedding on every subset of the test rows, all rows first.

    A line with a baseline, its metric ending in _difference, is a paired difference on that subset.
    """
    table = table[(table["shots"] == shots) & (table["head"] == head)]
    single = table[table["baseline"] == ""] if "baseline" in table else table
    parts = {str(name): rows for name, rows in judge.means(single, head, metric).groupby("subset", sort=False)}
    whole = judge.means(scores, head, metric)
    parts = {"all": whole[whole["shots"] == shots]} | parts
    lines = []
    for name, rows in parts.items():
        found = {row["embedding"]: row for row in rows.to_dict("records")}
        cells = [found.get(key) for key in shown]
        if any(cells):
            n = next((row["n"] for row in cells if row), math.nan)
            lines.append({"subset": name, "n": n, "cells": cells})
    if len(lines) < 2:
        return None
    return {"names": list(shown), "rows": lines, "sentence": _on_clean(lines, table, shown[0], metric)}


def _on_clean(lines: Sequence[dict[str, Any]], table: pd.DataFrame, ours: str, metric: str) -> str:
    clean = next((line for line in lines if line["subset"] == "clean"), None)
    if not clean or not clean["cells"][0] or not lines[0]["cells"][0]:
        return ""
    sentence = (
        f"On the {clean['n']:,.0f} test rows that the audit found clean, {ours} gets {_spanned(clean['cells'][0])}; "
        f"on all {lines[0]['n']:,.0f} it gets {_spanned(lines[0]['cells'][0])}."
    )
    if "baseline" not in table:
        return sentence
    pairs = table[(table["subset"] == "clean") & (table["embedding"] == ours)]
    for row in pairs[pairs["metric"] == f"{metric}_difference"].to_dict("records"):
        word = "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not told apart from"
        size = f"{judge.signed(row['value'])} ({judge.signed(row['low'])} to {judge.signed(row['high'])})"
        sentence += f" There it is {word} the best k-mer profile, {row['baseline']}: {size}."
    return sentence


def _spanned(row: Mapping[str, Any]) -> str:
    value = judge.number(float(row["value"]))
    known = all(math.isfinite(float(row[end])) for end in ("low", "high"))
    return f"{value} ({judge.number(float(row['low']))} to {judge.number(float(row['high']))})" if known else value


def efficiency(table: pd.DataFrame, ours: str, profile: str | None, head: str, per: str) -> list[str]:
    """How many labels ours needs for the scores of the k-mer profile, a sentence for each count of its labels.

    The last one says from where on a lead is no longer shown, where the table knows.
    """
    rows = table[(table["embedding"] == ours) & (table["head"] == head)]
    rows = rows[rows["baseline"] == profile]
    rows = rows.sort_values("shots", key=lambda s: s.map(judge.shots_order), kind="stable")
    lines = [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
    told = [saved(row, per) for row in lines if row["ratio"] > 0]
    if told and "crossover" in rows:
        at = str(lines[0]["crossover"])
        told.append(
            f"From {_counted(at, per)} on, {ours} is no longer shown to be better than {profile}."
            if at
            else f"At every number of labels measured, {ours} is shown to be better than {profile}."
        )
    return told


def headline(table: pd.DataFrame, ours: str, profile: str | None, head: str, per: str) -> str:
    """The one sentence of `efficiency` for the verdict: at 100 labels, or the nearest count below all of them."""
    known = table[(table["embedding"] == ours) & (table["head"] == head) & (table["baseline"] == profile)]
    finite = [shots for shots in known["shots"] if math.isfinite(judge.shots_order(shots))]
    if not finite:
        return ""
    told = efficiency(known[known["shots"] == judge.nearest_shots(finite, "100")], ours, profile, head, per)
    return told[0] if told else ""


def _counted(shots: str, per: str) -> str:
    one = per.replace("labels", "label").replace("rows", "row") if shots == "1" else per
    return "all labels" if shots == "all" else f"{shots} {one}"


def saved(row: Mapping[str, Any], per: str = "labels per class") -> str:
    """One line of the efficiency table in words; a ratio of 2 is half the labels, below 1 it is more of them.

    The baseline reaches its score with its own count of labels or fewer, so count / ratio is the most that ours needs.
    """
    ratio, low, high = (float(row[name]) for name in ("ratio", "low", "high"))
    shots, censored = judge.shots_order(str(row["shots"])), str(row["censored"]).strip()
    score = f"the score of {row['baseline']} with {_counted(str(row['shots']), per)}"
    if censored == "not reached":
        return f"{row['embedding']} does not reach {score} at any number of labels measured."
    times = f"{_times(1 / ratio)} times more" if ratio < 0.95 else f"{_times(ratio)} times fewer"
    size = "as many labels" if 0.95 <= ratio < 1.05 else times
    told = f" (at most {_counted(_plain(shots / ratio), per)})" if math.isfinite(shots) else ""
    sentence = f"For {score}, {row['embedding']} needs {size}{told}"
    if censored == ">=":
        sentence = f"For {score}, {row['embedding']} needs at least {size}, being above it with the fewest measured"
    if _known(low, high):
        sentence += f"; 95 % interval of the factor: {_span(low, high)}"
        sentence += ", which includes as many labels: no saving is shown" if low <= 1 <= high else ""
    return sentence + "."


def _times(factor: float) -> str:
    """ "0.02", "2.6", "114": two digits or, from 10 on, whole."""
    return f"{factor:.1f}" if 0.95 <= factor < 9.95 else _plain(factor)


def _plain(count: float) -> str:
    """ "1.2", "38", "1,200": what is read off a curve need not be whole."""
    return f"{count:.2g}" if count < 9.95 else f"{count:,.0f}"


def _span(low: float, high: float) -> str:
    """An interval of factors; 0 is a score that need not be reached, and infinity one that one label may give."""
    if low <= 0 and math.isinf(high):
        return "without bounds"
    if low <= 0:
        return f"{_times(high)} at most, with no lower bound"
    return f"{_times(low)} at least, with no upper bound" if math.isinf(high) else f"{_times(low)} to {_times(high)}"


def _known(*values: float) -> bool:
    return not any(map(math.isnan, values))


def calibration(
    table: pd.DataFrame, shown: Sequence[str], titles: Mapping[str, str], order: Sequence[str], shots: str, head: str
) -> dict[str, Any] | None:
    """Reliability figure with expected calibration error and Brier score of the shown embeddings."""
    rows = table[(table["head"] == head) & table["embedding"].isin(shown)]
    counts = sorted(set(rows["shots"]), key=judge.shots_order)
    if not counts:
        return None
    shots = shots if shots in counts else judge.nearest_shots(counts, shots)
    rows = rows[rows["shots"] == shots]
    errors, lines, texts = [], {}, {}
    for name in shown:
        own = rows[rows["embedding"] == name]
        if own.empty:
            continue
        found = {error: _error(own, error) for error in ("ece", "brier")}
        errors.append({"key": name, "name": titles.get(name, name), **found})
        bins = own[~own["bin"].isin(["ece", "brier"]) & own["confidence"].notna() & own["accuracy"].notna()]
        bins = bins[bins["n"].fillna(1) > 0]
        if len(bins):
            lines[name] = bins.assign(n=bins["n"].fillna(1))
            texts[name] = (
                f"{titles.get(name, name)}, ECE {judge.number(found['ece'])}" if _known(found["ece"]) else name
            )
    figure = figures.reliability(lines, texts, order) if lines else None
    return {"figure": figure, "errors": errors, "labels": judge.labels(shots)}


def _error(rows: pd.DataFrame, name: str) -> float:
    """The calibration error of one embedding: a column of its lines, or the confidence of a line whose bin it is."""
    values = rows[name] if name in rows else rows.loc[rows["bin"] == name, "confidence"]
    values = pd.to_numeric(values, errors="coerce").dropna()
    return float(values.iloc[0]) if len(values) else math.nan


def strand(table: pd.DataFrame, order: Sequence[str], policy: str) -> dict[str, Any] | None:
    """How far an answer depends on which strand was read: a row per embedding, and what the task's policy makes of it.

    flip_rate: share of test rows that get another answer on the other strand; correlation: of the scores of both.
    """
    rows = {str(row["embedding"]): row for row in table.to_dict("records")}
    lines = [
        {"key": name, **rows[name]} for name in [*(n for n in order if n in rows), *sorted(set(rows) - set(order))]
    ]
    if not lines:
        return None
    first = lines[0]
    sentence = (
        f"Read from the other strand, {first['key']} gives another answer for {100 * first['flip_rate']:.1f} % of "
        f"{first['n']:,.0f} test rows"
        if math.isfinite(first["flip_rate"]) and math.isfinite(first["n"])
        else ""
    )
    if sentence and math.isfinite(first["correlation"]):
        sentence += f"; its scores on the two strands correlate by {judge.minus(first['correlation'])}"
    told = {
        "as_given": "The task says that the strand matters (as_given): flips are part of the answer there, and "
        "averaging over strands would throw away what the labels are about.",
        "invariant": "The task says that the strand does not matter (invariant): every flip is noise.",
    }.get(policy, "")
    return {"rows": lines, "sentence": sentence + "." if sentence else "", "policy": told}


def clusters(folder: Path, task: str, order: Sequence[str]) -> dict[str, Any] | None:
    """Agreement of clusters with classes: a row per embedding, a column per algorithm and metric."""
    path = folder / f"{task}.tsv"
    if not has_rows(path):
        return None
    table = read_numbers(path, ("embedding", "algorithm", "metric", "value", "low", "high", "n"))
    pairs, rival = path.with_suffix(".comparisons.tsv"), ""
    marks: dict[tuple[str, ...], str] = {}
    if has_rows(pairs):
        found = read_numbers(pairs, ("algorithm", "metric", "embedding", "baseline", "difference", "low", "high"))
        for row in found.to_dict("records"):
            rival = str(row["baseline"])
            mark = "yes" if row["low"] > 0 else "no" if row["high"] < 0 else "tie" if _known(row["low"]) else ""
            marks[str(row["embedding"]), str(row["algorithm"]), str(row["metric"])] = mark
    columns = list(dict.fromkeys(zip(table["algorithm"], table["metric"], strict=True)))
    values = {(r["embedding"], r["algorithm"], r["metric"]): r for r in table.to_dict("records")}
    known = set(table["embedding"])
    listed = [*(name for name in order if name in known), *names.in_order(known - set(order))]
    rows = [
        {
            "key": name,
            "cells": [
                {**values[name, *column], "mark": marks.get((name, *column), "")} if (name, *column) in values else None
                for column in columns
            ],
        }
        for name in listed
    ]
    heads = [{"algorithm": a, "metric": names.metric(m)} for a, m in columns]
    return {"columns": heads, "rows": rows, "rival": rival, "n": float(table["n"].max())}


def end_to_end(
    scores: pd.DataFrame, comparisons: pd.DataFrame, frozen: Sequence[str], shots: Sequence[str], head: str,
    metric: str, kind: str = "classes",
) -> dict[str, Any] | None:  # fmt: skip
    """Models that learnt from the labels front to back, beside frozen embeddings with a head, at every label count."""
    trained = judge.means(scores, names.END_TO_END, metric)
    if trained.empty:
        return None
    counts = sorted({*shots, *trained["shots"]}, key=judge.shots_order)
    beside_ = judge.means(scores, head, metric)
    lines = [(name, names.END_TO_END, trained) for name in dict.fromkeys(trained["embedding"])]
    lines += [(name, head, beside_) for name in frozen]
    rows = []
    for name, which, table in lines:
        found = {row["shots"]: row for row in table[table["embedding"] == name].to_dict("records")}
        rows.append({"key": name, "head": names.head(which, kind), "cells": [found.get(count) for count in counts]})
    return {"shots": counts, "rows": rows, "sentences": _against_frozen(comparisons, frozen, counts, metric)}


def _against_frozen(comparisons: pd.DataFrame, frozen: Sequence[str], shots: Sequence[str], metric: str) -> list[str]:
    c = comparisons
    rows = c[(c["head"] == names.END_TO_END) & (c["metric"] == metric) & c["baseline"].isin(frozen)]
    told = []
    for (name, baseline), group in rows.groupby(["embedding", "baseline"], sort=False):
        at: dict[str, list[str]] = {"above": [], "not told apart from": [], "below": []}
        for row in group.sort_values("shots", key=lambda s: s.map(judge.shots_order)).to_dict("records"):
            word = "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not told apart from"
            at[word].append(str(row["shots"]))
        parts = [f"{word} it at {', '.join(counts)}" for word, counts in at.items() if counts]
        told.append(f"{name} (trained end to end) against {baseline} (frozen), by labels: {'; '.join(parts)}.")
    return told
