"""Results as tables, a line per number: scores, comparisons, confusions, label efficiency, calibration, subsets."""

# D label draws, S metrics or label counts, R replicates

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genossl.evaluation import calibration, efficiency, kinds, ranking, scores, splits
from genossl.evaluation import verdict as judge
from genossl.evaluation.results import END_TO_END, Result, over_draws, p_values
from genossl.evaluation.subsets import CLEAN, Subset
from genossl.evaluation.tasks import Task

SCORES = ("task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n")
COMPARISONS = (
    "task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n", "p", "p_holm",
)  # fmt: skip
CONFUSION = ("task", "embedding", "head", "shots", "label", "predicted", "count")
EFFICIENCY = ("task", "embedding", "baseline", "head", "shots", "ratio", "low", "high", "censored", "crossover")
CALIBRATION = ("task", "embedding", "head", "shots", *calibration.COLUMNS)
SUBSETS = (*SCORES, "subset", "baseline")
Results = Mapping[str, Sequence[Result]]  # name of an embedding or of a network -> what it got


def _frame(lines: list[tuple[Any, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=list(columns))


def tidy(name: str, task: Task, results: Results, seed: int) -> pd.DataFrame:
    """One line per embedding, head, shots, draw (and their mean) and metric."""
    lines, n = [], len(task.rows[splits.TEST])
    for embedding, found in results.items():
        for r in found:
            rows = [(str(d), r.values[d], r.replicates[d]) for d in range(len(r.values))]
            for draw, values, replicates in [*rows, ("mean", r.values.mean(0), over_draws(r.replicates, seed))]:
                for i, metric in enumerate(kinds.METRICS[task.kind]):
                    low, high = scores.interval(replicates[i])
                    lines.append((name, embedding, r.head, r.shots, draw, metric, float(values[i]), low, high, n))
    return _frame(lines, SCORES)


def pairs(results: Results, primary: str) -> Iterator[tuple[str, str, str, list[tuple[Result, Result]]]]:
    """Head, ours, baseline, and their results at each number of shots that both have: every ordered pair of a head.

    A network trained end to end is also paired with every embedding under the `primary` head, both ways; the head of
    these pairs is end_to_end.
    """
    by = {
        name: {head: {r.shots: r for r in found if r.head == head} for head in dict.fromkeys(r.head for r in found)}
        for name, found in results.items()
    }
    for ours, base in ((ours, base) for ours in by for base in by if ours != base):
        heads = [(head, head) for head in by[ours] if head in by[base]]
        heads += [
            two for two in ((END_TO_END, primary), (primary, END_TO_END)) if two[0] in by[ours] and two[1] in by[base]
        ]
        for one, two in heads:
            both = [(r, by[base][two][shots]) for shots, r in by[ours][one].items() if shots in by[base][two]]
            if both:
                yield one if one == two else END_TO_END, ours, base, both


class _Means:
    """Means over the draws that two results share, remembered: a result takes part in many pairs."""

    def __init__(self, seed: int) -> None:
        self.seed, self.known = seed, {}

    def __call__(self, ours: Result, theirs: Result) -> list[tuple[np.ndarray, np.ndarray]]:
        """Values (S,) and replicates (S, R) of ours and of theirs."""
        n = min(len(ours.values), len(theirs.values))
        return [self._of(r, n) for r in (ours, theirs)]

    def _of(self, r: Result, n: int) -> tuple[np.ndarray, np.ndarray]:
        if (id(r), n) not in self.known:
            self.known[id(r), n] = r.values[:n].mean(0), over_draws(r.replicates[:n], self.seed)
        return self.known[id(r), n]


def comparisons(name: str, task: Task, results: Results, seed: int, primary: str) -> pd.DataFrame:
    """Every ordered pair (see `pairs`): the difference of their means over draws, replicate by replicate.

    p is of the bootstrap, p_holm the same corrected over all baselines of one embedding, head, shots and metric.
    """
    lines, n, means = [], len(task.rows[splits.TEST]), _Means(seed)
    for head, ours, base, both in pairs(results, primary):
        for one, two in both:
            (our_S, our_SR), (their_S, their_SR) = means(one, two)
            difference_SR = our_SR - their_SR
            lows, highs = np.percentile(difference_SR, [2.5, 97.5], axis=1)
            found = zip(kinds.METRICS[task.kind], our_S - their_S, lows, highs, p_values(difference_SR), strict=True)
            for metric, difference, low, high, p in found:
                lines.append(
                    (name, head, one.shots, metric, ours, base, *map(float, (difference, low, high)), n, float(p), 1.0)
                )
    frame = _frame(lines, COMPARISONS)
    if len(frame):
        families = frame.groupby(["head", "shots", "metric", "embedding"], sort=False)["p"]
        frame["p_holm"] = families.transform(lambda p: ranking.holm(p.tolist()))
    return frame


def confusions(name: str, task: Task, results: Results) -> pd.DataFrame:
    """Counts of every (label, predicted), summed over draws; no lines where a task has no classes."""
    lines = [
        (name, embedding, r.head, r.shots, task.classes[i], task.classes[j], int(r.confusion_KK[i, j]))
        for embedding, found in results.items()
        for r in found
        for i in range(len(r.confusion_KK))
        for j in range(len(r.confusion_KK))
    ]
    return _frame(lines, CONFUSION)


def calibrations(name: str, results: Results) -> pd.DataFrame:
    """A line per bin, with the error and the Brier score of all; no lines where scores are no probabilities."""
    lines = [
        (name, embedding, r.head, r.shots, *line)
        for embedding, found in results.items()
        for r in found
        if r.calibration
        for line in r.calibration.lines()
    ]
    return _frame(lines, CALIBRATION)


def efficiencies(name: str, task: Task, results: Results, seed: int, primary: str) -> pd.DataFrame:
    """For each pair and the baseline's score at each number of labels: how many times fewer labels ours needs.

    By the primary metric. Numbers of labels are Task.labels_at; a count that is no more than the one before (`all`, of
    no more rows) is left out. crossover: the first count at which ours is not shown to be better, the same for a pair.
    """
    lines, means = [], _Means(seed)
    for head, ours, base, both in pairs(results, primary):
        labels = [task.labels_at(one.shots) for one, _ in both]
        kept = [i for i in range(len(both)) if i == 0 or labels[i] > max(labels[:i])]
        if len(kept) < 2:
            continue
        found = [means(*both[i]) for i in kept]
        our_RS, their_RS = (
            np.stack([np.concatenate([side[w][0][:1], side[w][1][0]]) for side in found], axis=1) for w in (0, 1)
        )
        lows = np.percentile((our_RS - their_RS)[1:], 2.5, axis=0)
        shots = [both[i][0].shots for i in kept]
        crossover = efficiency.crossover(lows.tolist(), shots) or ""
        ratios = efficiency.ratios(our_RS, their_RS, [labels[i] for i in kept])
        lines += [(name, ours, base, head, s, *ratio, crossover) for s, ratio in zip(shots, ratios, strict=True)]
    return _frame(lines, EFFICIENCY)


def subset_scores(name: str, task: Task, results: Results, seed: int, parts: Sequence[Subset]) -> pd.DataFrame:
    """The primary metric, mean over draws, on each subset; on the clean one also minus the best k-mer profile's.

    Lines of a difference name the profile as baseline (the best on the clean rows of that head and shots, chosen with
    the answers in sight, in its own favour), and their metric ends in _difference.
    """
    lines, metric = [], kinds.METRICS[task.kind][0]

    def line(r: Result, embedding: str, part: Subset, value: float, mean_R: np.ndarray, baseline: str = "") -> None:
        measured = metric + ("_difference" if baseline else "")
        numbers = (value, *scores.interval(mean_R), len(part.row_M))
        lines.append((name, embedding, r.head, r.shots, "mean", measured, *numbers, part.name, baseline))

    by_count: dict[tuple[str, str], dict[str, Result]] = {}
    for embedding, found in results.items():
        for r in found:
            by_count.setdefault((r.head, r.shots), {})[embedding] = r
    for part in parts:
        for rows in by_count.values():
            at = {
                embedding: (float(r.subsets[part.name][0].mean()), over_draws(r.subsets[part.name][1], seed))
                for embedding, r in rows.items()
            }
            for embedding, (value, mean_R) in at.items():
                line(rows[embedding], embedding, part, value, mean_R)
            profiles = [embedding for embedding in at if re.match(judge.KMERS, embedding)]
            if part.name != CLEAN or not profiles:
                continue
            best = max(profiles, key=lambda embedding: at[embedding][0])
            for embedding, (value, mean_R) in at.items():
                if embedding != best:
                    difference = (value - at[best][0], mean_R - at[best][1])
                    line(rows[embedding], embedding, part, *difference, baseline=best)
    return _frame(lines, SUBSETS)
