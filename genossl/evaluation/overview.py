"""All tasks at a glance: a matrix of tasks and embeddings against the best k-mer profile, and what it adds up to."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from genossl.evaluation import names, ranking
from genossl.evaluation import verdict as judge

Mark = Literal["yes", "no", "tie", "rival", ""]
LESS_IS_BETTER = ("rmse",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """What the matrix takes from one task; `shots` are those of its verdict."""

    name: str
    anchor: str
    kind: str
    metric: str
    shots: str
    outcome: str  # of the verdict, a key of verdict.WORDS
    scores: pd.DataFrame
    comparisons: pd.DataFrame


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A score beside the best k-mer profile of its task: yes, no and tie by the interval of the difference."""

    value: float
    low: float
    high: float
    mark: Mark
    told: str  # in words, for those who point at it
    best: bool = False


def view(tasks: Sequence[Scored], ours: str, head: str) -> dict[str, Any] | None:
    """Columns, rows, sentences of the overview; None without a task that has scores."""
    tasks = [task for task in tasks if task.shots]
    if not tasks:
        return None
    found = {task.name: _row(task, head) for task in tasks}
    columns = _columns([key for row in found.values() for key in row], ours)
    rows = []
    for task in tasks:
        cells = [found[task.name].get(key) for key in columns]
        known = [cell.value for cell in cells if cell and math.isfinite(cell.value)]
        pick = min if task.metric in LESS_IS_BETTER else max
        best = pick(known) if known else math.nan
        rows.append(
            {
                "name": task.name,
                "anchor": task.anchor,
                "kind": names.KINDS.get(task.kind, task.kind),
                "metric": names.metric(task.metric),
                "labels": judge.labels(task.shots, task.kind),
                "outcome": task.outcome,
                "word": judge.WORDS.get(task.outcome, task.outcome),
                "cells": [dataclasses.replace(cell, best=cell.value == best) if cell else None for cell in cells],
            }
        )
    return {
        "columns": [{"key": "/".join(filter(None, key)), **_heading(key, ours)} for key in columns],
        "rows": rows,
        "kinds": sorted({row["kind"] for row in rows}),
        "sentences": [*verdicts(rows), *against_kmers(tasks, ours, head)],
    }


Key = tuple[str, str]  # embedding or compared group, and "seeds" or the head end_to_end where that is what it is


def _columns(keys: Sequence[Key], ours: str) -> list[Key]:
    """Ours beside its rivals (untrained, k-mers, GC), further embeddings, what was trained end to end, methods."""
    order = names.in_order([name for name, _ in keys])
    place = {names.END_TO_END: 3, "seeds": 4}

    def rank(key: Key) -> tuple[int, int]:
        name, what = key
        rival = name in ("untrained", "gc") or bool(re.match(judge.KMERS, name))
        return place.get(what, 0 if name == ours else 1 if rival else 2), order.index(name)

    return sorted(set(keys), key=rank)


def _heading(key: Key, ours: str) -> dict[str, str]:
    name, what = key
    short = re.sub(r"^kmer(\d+)$", r"\1-mers", name)
    if what == names.END_TO_END:
        return {"name": name, "note": "end to end", "told": f"{name}, trained end to end with the labels"}
    if what == "seeds":
        return {"name": name, "note": "mean of seeds", "told": f"{name}, compared method, mean over its seeds"}
    return {"name": short, "note": "pretrained" if name == ours else "", "told": names.row(name, ours)}


def _row(task: Scored, head: str) -> dict[Key, Cell]:
    profile = judge.best_kmers(task.scores, task.shots, head, task.metric)
    cells: dict[Key, Cell] = {}
    for what, which in (("", head), (names.END_TO_END, names.END_TO_END)):
        lines = judge.means(task.scores, which, task.metric)
        lines = lines[lines["shots"] == task.shots]
        for name, value, low, high in zip(*(lines[c] for c in ("embedding", "value", "low", "high")), strict=True):
            if not ranking.is_compared(str(name)):
                difference = _difference(task.comparisons, str(name), profile, task.shots, which, task.metric)
                cells[str(name), what] = _cell(float(value), float(low), float(high), difference, name == profile)
    for group, seeds in ranking.by_seed(task.scores, task.shots, head, task.metric).items():
        span = ranking.t_interval(list(seeds.values()))
        rival = cells[profile, ""].value if profile else math.nan
        gain = ranking.t_interval([score - rival for score in seeds.values()])
        difference = (gain.mean, gain.low, gain.high) if math.isfinite(gain.low) else None
        cells[group, "seeds"] = _cell(span.mean, span.low, span.high, difference, False)
    return cells


def _difference(
    comparisons: pd.DataFrame, name: str, profile: str | None, shots: str, head: str, metric: str
) -> tuple[float, float, float] | None:
    """`name` minus the profile with its paired interval; a row of an end-to-end model may stand under its own head."""
    if profile is None:
        return None
    c = comparisons
    rows = c[(c["embedding"] == name) & (c["baseline"] == profile) & (c["shots"] == shots)]
    rows = rows[(rows["metric"] == metric) & (rows["head"] == head)]
    if rows.empty:
        return None
    d, low, high = (float(rows[column].iloc[0]) for column in ("difference", "low", "high"))
    return (d, low, high) if all(map(math.isfinite, (d, low, high))) else None


def _cell(value: float, low: float, high: float, difference: tuple[float, float, float] | None, rival: bool) -> Cell:
    mark: Mark = "rival" if rival else ""
    told = "the best k-mer profile of this task" if rival else "not compared in pairs with the best k-mer profile"
    if difference:
        d, lower, upper = difference
        mark = "yes" if lower > 0 else "no" if upper < 0 else "tie"
        word = {"yes": "better than", "no": "worse than", "tie": "not told apart from"}[mark]
        told = f"{word} the best k-mers: {judge.signed(d)} ({judge.signed(lower)} to {judge.signed(upper)})"
    return Cell(value=value, low=low, high=high, mark=mark, told=told)


def verdicts(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How often each verdict was given, over two tasks or more."""
    if len(rows) < 2:
        return []
    counts = {word: sum(row["word"] == word for row in rows) for word in judge.WORDS.values()}
    told = ", ".join(f"{word} on {n}" for word, n in counts.items() if n)
    return [f"Did pretraining help? Of {len(rows)} tasks: {told}."]


def against_kmers(tasks: Sequence[Scored], ours: str, head: str) -> list[str]:
    """Wins, losses and ties of ours against the best k-mers over the tasks, alone and after Holm's correction."""
    found = []
    for task in tasks:
        profile = judge.best_kmers(task.scores, task.shots, head, task.metric)
        difference = _difference(task.comparisons, ours, profile, task.shots, head, task.metric)
        if difference:
            found.append((difference, _p(task, ours, str(profile), head, difference)))
    if not found:
        return ["No task has a paired comparison of ours with a k-mer profile."]
    n, marks = len(found), [_mark(difference) for difference, _ in found]
    wins, losses, ties = (marks.count(mark) for mark in ("yes", "no", "tie"))
    parts = [f"{word} {count}" for word, count in (("lost on", losses), ("was not told apart on", ties)) if count]
    sentence = f"Ours beat the best k-mers on {wins} of {n} {'task' if n == 1 else 'tasks'}"
    first = ", ".join([sentence, *parts]) + " (paired 95 % intervals)."
    if n == 1:
        return [first]
    corrected = ranking.holm([p for _, (p, _) in found])
    stand = [mark for mark, p in zip(marks, corrected, strict=True) if p <= 0.05]
    guessed = sum(estimated for _, (_, estimated) in found)
    how = "" if not guessed else " (p of the bootstrap estimated from the width of its interval)"
    chance = n / 20
    expected = "less than 1" if chance < 1 else f"about {chance:.2g}"
    left = [
        f"{stand.count(mark)} of {count} {word if count == 1 else many}"
        for mark, count, word, many in (("yes", wins, "win", "wins"), ("no", losses, "loss", "losses"))
        if count
    ]
    corrected_ = f" After Holm's correction over the tasks{how}, {' and '.join(left)} stand." if left else ""
    return [
        first,
        f"{n} tasks are {n} comparisons: were nothing different, {expected} of {n} intervals would exclude zero by "
        f"chance.{corrected_} The marks of the matrix are not corrected.",
    ]


def _mark(difference: tuple[float, float, float]) -> Mark:
    return "yes" if difference[1] > 0 else "no" if difference[2] < 0 else "tie"


def _p(task: Scored, ours: str, profile: str, head: str, difference: tuple[float, float, float]) -> tuple[float, bool]:
    """The p of a comparison, and whether it had to be estimated: two-sided normal, deviation from the interval."""
    c = task.comparisons
    if "p" in c:
        rows = c[(c["embedding"] == ours) & (c["baseline"] == profile) & (c["shots"] == task.shots)]
        rows = rows[(rows["metric"] == task.metric) & (rows["head"] == head)]
        p = pd.to_numeric(rows["p"], errors="coerce").dropna()
        if len(p):
            return float(p.iloc[0]), False
    return p_of_interval(*difference), True


def p_of_interval(difference: float, low: float, high: float) -> float:
    """Two-sided p of no difference, were the 95 % interval normal: erfc(|d| / s / sqrt 2), s = (high - low) / 3.92.

    An interval that touches zero from its middle gives 0.05.
    """
    deviation = (high - low) / (2 * 1.959963984540054)
    if deviation <= 0:
        return 1.0 if difference == 0 else 0.0
    return math.erfc(abs(difference) / deviation / math.sqrt(2))
