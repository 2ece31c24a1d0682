"""The report's section on methods that were compared: ranking, costs, pairs, null controls, as tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genossl.evaluation import figures, names, ranking, runs
from genossl.evaluation import verdict as judge
from genossl.evaluation.ranking import Interval, Ranking
from genossl.evaluation.runs import Run
from genossl.files import read_json


def view(
    results: Path,
    found: Sequence[Run],
    scores: Mapping[str, pd.DataFrame],
    left_out: Sequence[str],
    *,
    shots: str,
    head: str,
    metrics: Mapping[str, str] | None = None,
) -> dict[str, Any] | None:
    """What the section shows; None where no methods were compared.

    `scores`: task -> its tidy scores; `metrics`: task -> its primary metric, balanced accuracy where not named.
    """
    groups = runs.groups(found)
    rows = {run.name: runs.summary(run) for run in groups}
    nulls = runs.nulls(found)
    metrics = metrics or {}
    tasks = [
        _task(results, name, table, rows, nulls, shots, head, metrics.get(name, judge.METRIC))
        for name, table in scores.items()
    ]
    tasks = [task for task in tasks if task]
    if not (groups or nulls or tasks or left_out):
        return None
    logs = {run.name: run.log for run in groups if run.log is not None}
    return {
        "tasks": tasks,
        "groups": list(rows.values()),
        "seeds": max((run.seeds for run in groups), default=0),
        "measure": judge.listed(list(dict.fromkeys(task["measure"] for task in tasks)) or ["score"]),
        "bases": _range([row["bases"] for row in rows.values()]),
        "losses": figures.losses(logs) if logs else None,
        "nulls": [_null(runs.null_control(run), tasks) for run in nulls],
        "left_out": list(left_out),
    }


def _range(values: Sequence[float | None]) -> str:
    known = sorted({float(value) for value in values if value is not None})
    if not known:
        return ""
    return f"{known[0]:,.0f}" if len(known) == 1 else f"{known[0]:,.0f} to {known[-1]:,.0f}"


def _task(
    results: Path,
    name: str,
    scores: pd.DataFrame,
    rows: Mapping[str, dict[str, Any]],
    nulls: Sequence[Run],
    wanted: str,
    head: str,
    metric: str,
) -> dict[str, Any] | None:
    means = judge.means(scores, head, metric)
    compared = means[[(ranking.group_of(str(row)) or ("", None))[1] is not None for row in means["embedding"]]]
    if compared.empty:
        return None
    counts = sorted(set(compared["shots"]), key=judge.shots_order)
    shots = judge.nearest_shots(counts, wanted)
    ranked = ranking.rank(ranking.by_seed(scores, shots, head, metric))
    values = dict(zip(*(means.loc[means["shots"] == shots, c] for c in ("embedding", "value")), strict=True))
    profile = judge.best_kmers(scores, shots, head, metric)
    own = _untrained(results, name, [n for n in values if ranking.UNTRAINED.fullmatch(n)], ranked, rows)
    references = {untrained: float(values[untrained]) for untrained in dict.fromkeys(own.values())}
    if profile:
        references = {profile: float(values[profile])} | references
    table = [
        {
            "group": s.group,
            "rank": s.rank,
            "score": s.score,
            "untrained": values.get(own.get(s.group, "")),
            "run": rows.get(s.group),
        }
        for s in ranked.standings
    ]
    costs = [
        (s.group, s.score.mean, rows[s.group]["seconds"], rows[s.group]["flops"])
        for s in ranked.standings
        if s.group in rows
    ]
    key = figures.key_of(name)
    best = ranked.standings[0]
    sentences = [ranking.against(best, values[profile], f"the best k-mer profile ({profile})")] if profile else []
    return {
        "name": name,
        "measure": names.metric(metric),
        "shots": shots,
        "labels": judge.labels(shots),
        "headline": ranking.headline(ranked, shots),
        "references": [*sentences, *_over_untrained(ranked, own, values)],
        "enough": any(s.rank for s in ranked.standings),
        "table": table,
        "kmers": {"name": profile, "value": float(values[profile])} if profile else None,
        "figure": figures.ranked(ranked.standings, references, key, names.metric(metric)),
        "costs": figures.costs(costs, key, names.metric(metric)) if any(c[2] or c[3] for c in costs) else None,
        "pairs": [_pair(pair) for pair in ranked.pairs],
        "note": ranking.pairs_note(ranked),
        "counts": counts,
        "efficiency": _efficiency(scores, ranked, counts, head, metric),
        "null_scores": {run.name: values.get(run.name) for run in nulls},
    }


def _untrained(
    results: Path, task: str, names: Sequence[str], ranked: Ranking, rows: Mapping[str, dict[str, Any]]
) -> dict[str, str]:
    """Group -> the untrained encoder of the same shape: by the preset in its name, else by the encoder it came from."""
    fronts: dict[str, str] = {}
    for name in names:
        path = results / "embeddings" / task / f"{name}.npy.provenance.json"
        if path.is_file():
            spec = str(read_json(path).get("settings", {}).get("encoder", ""))
            group, _ = ranking.group_of(Path(spec.removeprefix("untrained:")).parent.name) or ("", None)
            if group in rows and rows[group]["encoder"]:
                fronts[repr(rows[group]["encoder"])] = name
    found = {}
    for standing in ranked.standings:
        group = standing.group
        named = f"untrained.{group.partition('.')[2]}"
        alike = fronts.get(repr(rows[group]["encoder"])) if group in rows else None
        if alike or named in names:
            found[group] = alike or named
    return found


def _over_untrained(ranked: Ranking, own: Mapping[str, str], values: Mapping[str, float]) -> list[str]:
    """Which methods are above the encoder that they started from, in one sentence."""
    at: dict[str, list[str]] = {"above": [], "level": [], "below": []}
    for s in ranked.standings:
        if s.rank and s.group in own:
            d = ranking.t_interval([score - values[own[s.group]] for score in s.seeds.values()])
            at["above" if d.low > 0 else "below" if d.high < 0 else "level"].append(s.group)
    words = {"above": "above its own untrained encoder", "level": "not told apart from it", "below": "below it"}
    if not at["above"]:
        words["level"], words["below"] = (
            "not told apart from its own untrained encoder",
            "below its own untrained encoder",
        )
    parts = [f"{words[key]}: {judge.listed(names)}" for key, names in at.items() if names]
    sentence = "; ".join(parts)
    return [f"{sentence[0].upper()}{sentence[1:]}."] if parts else []


def _pair(pair: ranking.Pair) -> dict[str, Any]:
    d = pair.difference
    outcome = "tie" if not pair.apart else "yes" if pair.holm <= 0.05 else "weak"
    numbers = {"difference": judge.signed(d.mean), "low": judge.signed(d.low), "high": judge.signed(d.high)}
    return {"sentence": ranking.sentence(pair), "outcome": outcome, "n": d.n, "holm": pair.holm, **numbers}


def _efficiency(
    scores: pd.DataFrame, ranked: Ranking, counts: Sequence[str], head: str, metric: str
) -> list[dict[str, Any]]:
    """Means over seeds at every label count, in the order of the ranking."""
    by_count = {shots: ranking.rank(ranking.by_seed(scores, shots, head, metric)).standings for shots in counts}
    cells = {(s.group, shots): s.score for shots, standings in by_count.items() for s in standings}
    best = {shots: max((s.score.mean for s in standings), default=math.nan) for shots, standings in by_count.items()}
    return [
        {"group": s.group, "cells": [_cell(cells.get((s.group, shots)), best[shots]) for shots in counts]}
        for s in ranked.standings
    ]


def _cell(score: Interval | None, best: float) -> dict[str, Any] | None:
    if score is None:
        return None
    return {"value": score.mean, "low": score.low, "high": score.high, "best": score.mean == best}


def _null(row: dict[str, Any], tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A null control with its score on each task beside that of the method itself."""
    group = row["key"].removesuffix(".null")
    told = []
    for task in tasks:
        value = task["null_scores"].get(row["key"])
        own = next((line for line in task["table"] if line["group"] == group), None)
        if value is not None:
            told.append({"task": task["name"], "value": value, "own": own["score"].mean if own else None,
                         "untrained": own["untrained"] if own else None})  # fmt: skip
    return row | {"scores": told}
