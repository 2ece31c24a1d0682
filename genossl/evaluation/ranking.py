"""Which method is best, and which differences are noise: scores of several seeds in, a ranking and sentences out.

A compared run is called `<method>.seed<n>` or `<method>.<preset>.seed<n>`; all but the seed is its group. Intervals are
Student's t over seeds, so they say how far another run of the same recipe would move on the same test sequences. Two
groups are compared in pairs, seed by seed: on one preset, runs of one seed start from the same encoder.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genossl.evaluation import verdict as judge
from genossl.evaluation.verdict import listed, upper

SEEDS = 3  # fewer rank nothing
SAME = 1e-12  # scores nearer than this are equal but for rounding
COMPARED = re.compile(r"(?P<group>.+)\.(?:seed(?P<seed>\d+)|null)")
UNTRAINED = re.compile(r"untrained\..+")

Seeds = Mapping[int, float]  # seed -> score


class Interval(NamedTuple):
    """A mean with its interval; NaN where there are too few values for one."""

    mean: float
    low: float
    high: float
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """A group in the ranking; rank is None where it has fewer than three seeds. Equal means share a rank."""

    group: str
    rank: int | None
    score: Interval
    seeds: dict[int, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """`one` minus `two` over the seeds that both have; p is of the paired t test, holm the same corrected for all."""

    one: str
    two: str
    difference: Interval
    p: float
    holm: float = 1.0

    @property
    def apart(self) -> bool:
        """Whether the paired 95 % interval excludes zero."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """Groups from the best down, and every two of them that share three seeds, the better one first."""

    standings: list[Standing]
    pairs: list[Pair]

    def pair(self, one: str, two: str) -> Pair | None:
        """The comparison of two groups, whichever is named first."""
        return next((pair for pair in self.pairs if {pair.one, pair.two} == {one, two}), None)


def group_of(name: str) -> tuple[str, int | None] | None:
    """("simclr.conv", 2) for simclr.conv.seed2, no seed for simclr.conv.null, None for what is no compared run."""
    match = COMPARED.fullmatch(name)
    return (match["group"], None if match["seed"] is None else int(match["seed"])) if match else None


def is_compared(name: str) -> bool:
    """Whether a row belongs to the comparison of methods: its runs, null controls and untrained encoders."""
    return bool(COMPARED.fullmatch(name) or UNTRAINED.fullmatch(name))


def by_seed(
    scores: pd.DataFrame, shots: str, head: str = "logistic", metric: str = judge.METRIC
) -> dict[str, dict[int, float]]:
    """Group -> seed -> score at one label count, from the tidy scores of a task."""
    rows = judge.means(scores, head, metric)
    found: dict[str, dict[int, float]] = {}
    for name, value in zip(*(rows.loc[rows["shots"] == shots, c] for c in ("embedding", "value")), strict=True):
        group, seed = group_of(name) or (name, None)
        if seed is not None and math.isfinite(value):
            found.setdefault(group, {})[seed] = float(value)
    return found


def t_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """mean -+ t * s / sqrt(n), t the quantile of Student's distribution with n - 1 degrees of freedom."""
    from scipy.special import stdtrit

    x = np.asarray(values, dtype=float)
    mean = float(x.mean()) if len(x) else math.nan
    if len(x) < 2:
        return Interval(mean, math.nan, math.nan, len(x))
    half = float(stdtrit(len(x) - 1, (1 + level) / 2)) * _deviation(x) / math.sqrt(len(x))
    return Interval(mean, mean - half, mean + half, len(x))


def t_test(values: Sequence[float] | np.ndarray) -> float:
    """Two-sided p of a mean of zero; values that do not differ at all give 1 at zero and 0 elsewhere."""
    from scipy.special import stdtr

    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return 1.0
    mean, deviation = float(x.mean()), _deviation(x)
    if deviation == 0:
        return 1.0 if abs(mean) < SAME else 0.0
    return float(2 * stdtr(len(x) - 1, -abs(mean) * math.sqrt(len(x)) / deviation))


def _bounded(found: Interval) -> Interval:
    """Scores lie from 0 to 1, and so do their intervals."""
    return found._replace(low=max(found.low, 0.0), high=min(found.high, 1.0))


def _deviation(x: np.ndarray) -> float:
    return 0.0 if np.ptp(x) < SAME else float(x.std(ddof=1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the i-th smallest of m, times m - i + 1, never below the one before, at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)).clip(max=1)
    back = np.empty(len(p))
    back[order] = adjusted
    return back.tolist()


def rank(values: Mapping[str, Seeds]) -> Ranking:
    """Order groups by their mean over seeds and compare every two of them seed by seed."""
    means = {group: float(np.mean(list(seeds.values()))) for group, seeds in values.items() if seeds}
    order = sorted(means, key=lambda group: (-round(means[group], 9), group))
    enough = [group for group in order if len(values[group]) >= SEEDS]
    standings = []
    for group in order:
        found = t_interval([values[group][seed] for seed in sorted(values[group])])
        above = sum(means[other] > means[group] + SAME for other in enough)
        standings.append(
            Standing(
                group=group,
                rank=above + 1 if group in enough else None,
                score=_bounded(found) if group in enough else found._replace(low=math.nan, high=math.nan),
                seeds=dict(values[group]),
            )
        )
    pairs = []
    for i, one in enumerate(order):
        for two in order[i + 1 :]:
            shared = sorted(set(values[one]) & set(values[two]))
            differences = [values[one][seed] - values[two][seed] for seed in shared]
            if len(shared) >= SEEDS:
                pairs.append(Pair(one=one, two=two, difference=t_interval(differences), p=t_test(differences)))
    corrected = holm([pair.p for pair in pairs])
    pairs = [dataclasses.replace(pair, holm=p) for pair, p in zip(pairs, corrected, strict=True)]
    return Ranking(standings=standings, pairs=pairs)


# ---- words


def interval(found: Interval) -> str:
    """ "0.912 (95 % interval 0.900 to 0.924)", or the number alone."""
    text = judge.number(found.mean)
    if math.isnan(found.low):
        return text
    return f"{text} (95 % interval {judge.minus(found.low)} to {judge.minus(found.high)})"


def sentence(pair: Pair) -> str:
    """One comparison in plain words; a difference that is one of many and too weak for that is called so."""
    d = pair.difference
    span = f"({judge.signed(d.low)} to {judge.signed(d.high)})"
    if not pair.apart:
        return f"{pair.one} and {pair.two} are not told apart: {judge.signed(d.mean)} {span}"
    told = f"{pair.one} is better than {pair.two}: {judge.signed(d.mean)} {span}"
    return told if pair.holm <= 0.05 else f"{told}, too weak to stand among so many pairs"


def headline(ranking: Ranking, shots: str) -> str:
    """Who is first, and from whom that cannot be told apart."""
    where = judge.labels(shots)
    ranked = [standing for standing in ranking.standings if standing.rank]
    if len(ranked) < 2:
        what = "one method only" if len(ranking.standings) == 1 else f"fewer than {SEEDS} seeds of two methods"
        return f"No ranking of methods {where}: there are scores of {what}, so the numbers are shown and not ranked."
    best = ranked[0]
    first = f"Of {len(ranked)} methods compared {where}, {best.group} has the highest score, {interval(best.score)}"
    others = [(s.group, ranking.pair(best.group, s.group)) for s in ranked[1:]]
    level = [name for name, pair in others if pair and not pair.apart]
    weak = [name for name, pair in others if pair and pair.apart and pair.holm > 0.05]
    clear = [name for name, pair in others if pair and pair.apart and pair.holm <= 0.05]
    parts = [f"better than {listed(clear)}"] if clear else []
    if weak:
        parts.append(f"better than {listed(weak)} by single intervals, which Holm's correction does not uphold")
    if level:
        parts.append(f"not told apart from {listed(level)}")
    return f"{first}: {'; '.join(parts)}." if parts else f"{first}; no other shares {SEEDS} seeds with it."


def pairs_note(ranking: Ranking) -> str:
    """How many comparisons were made, and what that does to single intervals; empty without any."""
    n = len(ranking.pairs)
    if not n:
        return ""
    apart = sum(pair.apart for pair in ranking.pairs)
    stand = sum(pair.apart and pair.holm <= 0.05 for pair in ranking.pairs)
    chance = n / 20
    expected = "less than 1" if chance < 1 else f"about {chance:.0f}"
    return (
        f"{n} {'pair was' if n == 1 else 'pairs were'} compared; {apart} of the intervals exclude zero, where "
        f"{expected} would were all methods equal, and {stand} differences stand after Holm's correction."
    )


def against(standing: Standing, value: float, name: str) -> str:
    """A group against a score without seeds, such as a k-mer profile's."""
    d = t_interval([score - value for score in standing.seeds.values()])
    theirs, ours = judge.number(value), judge.number(standing.score.mean)
    if len(standing.seeds) < SEEDS:
        word = "higher than" if d.mean < 0 else "lower than" if d.mean > 0 else "the same as"
        doubt = f"{SEEDS} seeds would tell whether that is noise"
        return f"{upper(name)} scores {word} {standing.group}, {theirs} against {ours}; {doubt}."
    span = f"difference {judge.signed(d.mean)}, 95 % interval {judge.signed(d.low)} to {judge.signed(d.high)}"
    if d.high < 0:
        return f"{upper(name)} beats {standing.group}: {theirs} against {ours} ({span})."
    if d.low > 0:
        return f"{standing.group} beats {name}: {ours} against {theirs} ({span})."
    return f"{standing.group} and {name} are not told apart ({span})."
