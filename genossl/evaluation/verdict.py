"""Did pretraining help? Scores in, one sentence out.

A comparison is decided by its paired 95 % interval alone: above zero is a win, below zero a loss, anything else a tie.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

Outcome = Literal["yes", "no", "tie"]
METRIC = "balanced_accuracy"  # of tasks whose record names no other
NAMES = {"mcc": "Matthews correlation", "auroc": "AUROC", "r2": "R²", "macro_f1": "macro F1"}  # else as spelled
END_TO_END = "end_to_end"  # the head of networks that have learnt from the labels as a whole
SEEDS = 5  # pretraining runs of one recipe; of fewer nothing is said about other runs
KMERS = r"kmer\d+$"  # rows that are k-mer profiles; kmer_mlp, which is trained, is none of them
WORDS = {"yes": "Yes", "partly": "Partly", "no": "No", "tie": "Not shown", "unknown": "No verdict"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One paired comparison on the same test rows: difference = value - baseline_value, with its 95 % interval."""

    baseline: str
    shots: str
    value: float
    baseline_value: float
    difference: float
    low: float
    high: float
    n: int
    p: float | None = None  # of the paired bootstrap, two-sided
    p_holm: float | None = None  # the same, corrected over all baselines of this row

    @property
    def outcome(self) -> Outcome:
        """yes: the whole interval lies above zero; no: below zero; tie: it includes zero."""
        if self.low > 0:
            return "yes"
        return "no" if self.high < 0 else "tie"

    @property
    def adjusted(self) -> Outcome:
        """The outcome that also stands Holm's correction for all baselines: else a tie."""
        return "tie" if self.p_holm is None or self.p_holm > 0.05 else self.outcome


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """outcome: yes, partly, no, tie (nothing shown either way) or unknown (no baseline to compare with)."""

    outcome: str
    sentence: str
    shots: str
    untrained: Comparison | None
    kmers: Comparison | None
    scope: str


def shots_order(shots: str) -> float:
    """Label counts in the order of size; "all" is the largest."""
    try:
        return float(shots)
    except ValueError:
        return math.inf


def nearest_shots(available: list[str], wanted: str) -> str:
    """The wanted label count, or the available one nearest to it by ratio ("all" only when nothing else is there)."""
    if wanted in available:
        return wanted
    ordered = sorted(available, key=shots_order)
    finite = [shots for shots in ordered if shots_order(shots) < math.inf]
    if not finite or shots_order(wanted) == math.inf:
        return ordered[-1]
    return min(finite, key=lambda shots: abs(math.log(shots_order(shots) / shots_order(wanted))))


def means(scores: pd.DataFrame, head: str, metric: str = METRIC) -> pd.DataFrame:
    """The rows of one head and metric averaged over label draws: what figures, tables and verdicts are made of."""
    return scores[(scores["draw"] == "mean") & (scores["head"] == head) & (scores["metric"] == metric)]


def compare(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    ours: str,
    baseline: str,
    shots: str,
    head: str,
    metric: str = METRIC,
) -> Comparison | None:
    """`ours` minus `baseline` at one label count, or None where it was not measured."""
    values = means(scores, head, metric)
    values = values[values["shots"] == shots].set_index("embedding")["value"]
    found = comparisons[
        (comparisons["head"] == head)
        & (comparisons["metric"] == metric)
        & (comparisons["shots"] == shots)
        & (comparisons["embedding"] == ours)
        & (comparisons["baseline"] == baseline)
    ]
    scored = {ours, baseline} & set(values.index)
    if found.empty or len(scored) < (1 if head == END_TO_END else 2):
        return None
    row = found.iloc[0]
    difference, low, high = float(row["difference"]), float(row["low"]), float(row["high"])
    if not all(map(math.isfinite, (difference, low, high))):
        return None
    # of a network trained end to end against an embedding, one value stands under another head
    value = float(values[ours]) if ours in values.index else float(values[baseline]) + difference
    p, holm = (float(row[name]) if name in row.index else math.nan for name in ("p", "p_holm"))
    return Comparison(
        baseline=baseline,
        shots=shots,
        value=value,
        baseline_value=float(values[baseline]) if baseline in values.index else value - difference,
        difference=difference,
        low=low,
        high=high,
        n=int(row["n"]),
        p=None if math.isnan(p) else p,
        p_holm=None if math.isnan(holm) else holm,
    )


def best_kmers(scores: pd.DataFrame, shots: str, head: str, metric: str = METRIC, kmers: str = KMERS) -> str | None:
    """The k-mer profile that scores highest on the test rows: chosen with the answers in sight, in its own favour."""
    rows = means(scores, head, metric)
    rows = rows[(rows["shots"] == shots) & rows["embedding"].str.match(kmers) & rows["value"].notna()]
    if rows.empty:
        return None
    return str(rows.sort_values(["value", "embedding"], ascending=[False, True])["embedding"].iloc[0])


def verdict(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    ours: str = "ours",
    untrained: str = "untrained",
    shots: str = "10",
    head: str = "logistic",
    metric: str = METRIC,
    kmers: str = KMERS,
    unit: str = "",
    kind: str = "classes",
    failure: str = "",
) -> Verdict:
    """One true sentence on whether pretraining helped, at `shots` labels per class (other kinds: rows) or the nearest.

    `unit` is what the bootstrap resampled, as the scores' record names it; it decides how far the sentence reaches.
    `failure` is why the audit of the task fails (`audited.failure`): then the first sentence is about that.
    """
    rows = means(scores, head, metric)
    available = sorted(set(rows.loc[rows["embedding"] == ours, "shots"]), key=shots_order)
    if not available:
        sentence = f"No verdict: there is no score of the pretrained encoder (row {ours!r}, {head} head)."
        return Verdict(outcome="unknown", sentence=sentence, shots=shots, untrained=None, kmers=None, scope="")
    shots = nearest_shots(available, shots)
    profile = best_kmers(scores, shots, head, metric, kmers)
    against_untrained = compare(scores, comparisons, ours, untrained, shots, head, metric)
    against_kmers = compare(scores, comparisons, ours, profile, shots, head, metric) if profile else None
    outcome = overall(against_untrained, against_kmers)
    return Verdict(
        outcome=outcome,
        sentence=warned(
            _sentence(outcome, against_untrained, against_kmers, shots, scope(unit)[0], metric, kind), failure
        ),
        shots=shots,
        untrained=against_untrained,
        kmers=against_kmers,
        scope=scope(unit)[1],
    )


def overall(untrained: Comparison | None, kmers: Comparison | None) -> str:
    """Two outcomes to one. Pretraining that does not beat the untrained encoder earns no yes, wherever k-mers stand."""
    if untrained is None or kmers is None:
        one = untrained or kmers
        return "unknown" if one is None else {"yes": "partly", "no": "no", "tie": "tie"}[one.outcome]
    if untrained.outcome == "no":
        return "no"
    if untrained.outcome == "yes":
        return "yes" if kmers.outcome == "yes" else "partly"
    return {"yes": "partly", "tie": "tie", "no": "no"}[kmers.outcome]


# (over the untrained encoder, over the best k-mers) -> what was found; {u}, {k}: amounts, {p}: the best k-mer profile
PHRASES: dict[tuple[str, str], str] = {
    ("yes", "yes"): "the pretrained encoder beat both the same encoder untrained, by {u}, and {p}, by {k}",
    (
        "yes",
        "tie",
    ): "the pretrained encoder beat the same encoder untrained, by {u}, but no difference from {p} was shown, {k}",
    ("yes", "no"): "the pretrained encoder beat the same encoder untrained, by {u}, but {p} is better still, by {k}",
    (
        "tie",
        "yes",
    ): "the pretrained encoder beat {p}, by {k}, but no difference from the same encoder untrained was shown, "
    "{u}, so the lead cannot be put down to pretraining",
    (
        "tie",
        "tie",
    ): "the pretrained encoder could be told apart neither from the same encoder untrained, {u}, nor from {p}, {k}",
    (
        "tie",
        "no",
    ): "{p} is better than the pretrained encoder, by {k}, and no difference from the same encoder untrained "
    "was shown, {u}",
    ("no", "yes"): "pretraining did harm, the same encoder untrained being better by {u}, although the pretrained one "
    "still beat {p}, by {k}",
    (
        "no",
        "tie",
    ): "pretraining did harm, the same encoder untrained being better by {u}, and no difference from {p} was "
    "shown, {k}",
    ("no", "no"): "the same encoder untrained is better than the pretrained one, by {u}, and so is {p}, by {k}",
}
ONE: dict[str, str] = {
    "yes": "the pretrained encoder beat {name}, by {d}",
    "tie": "no difference between the pretrained encoder and {name} was shown, {d}",
    "no": "{name} is better than the pretrained encoder, by {d}",
}


def _sentence(
    outcome: str, untrained: Comparison | None, kmers: Comparison | None, shots: str, where: str, metric: str, kind: str
) -> str:
    profile = f"the best k-mer profile ({kmers.baseline})" if kmers else ""
    if untrained and kmers:
        phrase = PHRASES[untrained.outcome, kmers.outcome].format(u=amount(untrained), k=amount(kmers), p=profile)
    elif untrained:
        phrase = ONE[untrained.outcome].format(name="the same encoder untrained", d=amount(untrained))
        phrase += "; no k-mer profile was scored to compare with"
    elif kmers:
        phrase = ONE[kmers.outcome].format(name=profile, d=amount(kmers))
        phrase += "; no untrained encoder was scored, so what pretraining adds is not known"
    else:
        return f"{WORDS[outcome]}: neither an untrained encoder nor a k-mer profile was scored {labels(shots, kind)}."
    return f"{WORDS[outcome]}: {where}, by {spelled(metric)} {labels(shots, kind)}, {phrase}."


def warned(sentence: str, failure: str) -> str:
    """ "Yes: on these test rows, ..." -> "Yes, but the audit fails: FAILURE. On these test rows, ..."."""
    if not failure:
        return sentence
    word, _, rest = sentence.partition(": ")
    joined = "but" if word in (WORDS["yes"], WORDS["partly"]) else "and"
    return f"{word}, {joined} the audit fails: {failure}. {upper(rest)}"


def spelled(metric: str) -> str:
    """ "average_precision" -> "average precision"."""
    return NAMES.get(metric, metric.replace("_", " "))


def labels(shots: str, kind: str = "classes") -> str:
    """ "10" -> "with 10 labels per class", or of tasks without classes "with 10 labelled rows"."""
    if shots_order(shots) == math.inf:
        return "with all labels"
    if kind != "classes":
        return f"with {shots} labelled row{'' if shots == '1' else 's'}"
    return f"with {shots} label{'' if shots == '1' else 's'} per class"


def asked(record: Mapping[str, Any]) -> dict[str, str]:
    """metric and kind of a task, by its record; balanced accuracy of classes where that names none."""
    return {"metric": str(record.get("metric", METRIC)), "kind": str(record.get("kind", "classes"))}


def seeds_caution(seeds: int) -> str:
    """What the intervals do not cover where a recipe was pretrained fewer than SEEDS times; empty from there on."""
    if seeds >= SEEDS:
        return ""
    runs = "one run" if seeds == 1 else f"{seeds} runs"
    return (
        f"The pretrained encoder is {runs} of its recipe ({SEEDS} are the least to speak of a recipe): the intervals "
        "are over test rows and label draws and not over pretraining seeds."
    )


def corrected(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    shots: str,
    ours: str = "ours",
    head: str = "logistic",
    metric: str = METRIC,
    kind: str = "classes",
) -> str:
    """What is left of ours against every baseline at this label count after Holm's correction; empty without p values.

    Each interval is about one comparison; of twenty baselines that are equal to ours, one is told apart by chance.
    """
    names = sorted(set(means(scores, head, metric)["embedding"]) - {ours})
    known = [compare(scores, comparisons, ours, name, shots, head, metric) for name in names]
    found = [c for c in known if c and c.p_holm is not None]
    if not found:
        return ""
    above, below = ([c.baseline for c in found if c.adjusted == outcome] for outcome in ("yes", "no"))
    lost = [c.baseline for c in found if c.outcome != "tie" and c.adjusted == "tie"]
    parts = [
        f"is above {listed(above)}" if above else "is above none",
        f"below {listed(below)}" if below else "below none",
    ]
    many = f"{len(found)} baseline{'s' if len(found) > 1 else ''}"
    told = f"{upper(labels(shots, kind))}, after Holm's correction for {many}"
    weak = f"; too weak to stand among so many: {listed(lost)}" if lost else ""
    return f"{told}, the pretrained encoder {' and '.join(parts)}{weak}."


def scope(unit: str) -> tuple[str, str]:
    """For what the intervals hold, in three words and in a sentence, by the unit that was resampled."""
    if "block" in unit:
        return "on these test genomes", (
            f"The intervals resample {unit}: they hold for these test genomes and say nothing about other strains."
        )
    if "group" in unit:
        return "on test groups like these", (
            f"The intervals resample whole {unit}: they speak for further groups drawn like the tested ones."
        )
    resampled = unit or "test rows"
    return "on these test rows", (
        f"The intervals resample {resampled}: they hold for this test set and say nothing about other genomes."
    )


def number(value: float, digits: int = 3) -> str:
    """Enough digits that what is not zero does not read as zero, up to six."""
    while value != 0 and digits < 6 and float(f"{value:.{digits}f}") == 0:
        digits += 1
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def minus(value: float) -> str:
    """As `number`, with a true minus."""
    return number(value).replace("-", "−")


def signed(value: float) -> str:
    """0.12 -> "+0.120"; nothing before a zero."""
    text = minus(value)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def amount(comparison: Comparison) -> str:
    """The size of a win or loss as a positive number, of a tie with its sign; with the 95 % interval."""
    c = comparison
    if c.outcome == "tie":
        return f"{signed(c.difference)} (95 % interval {signed(c.low)} to {signed(c.high)})"
    low, high = sorted((abs(c.low), abs(c.high)))
    return f"{number(abs(c.difference))} (95 % interval {number(low)} to {number(high)})"


def crossover(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    ours: str = "ours",
    head: str = "logistic",
    metric: str = METRIC,
    kmers: str = KMERS,
    kind: str = "classes",
) -> str:
    """At which label counts ours is above, level with and below the k-mer profile that is best at that count."""
    rows = means(scores, head, metric)
    at: dict[str, list[str]] = {"yes": [], "tie": [], "no": []}
    for shots in sorted(set(rows.loc[rows["embedding"] == ours, "shots"]), key=shots_order):
        profile = best_kmers(scores, shots, head, metric, kmers)
        found = compare(scores, comparisons, ours, profile, shots, head, metric) if profile else None
        if found:
            at[found.outcome].append(shots)
    if not any(at.values()):
        return "No k-mer profile was scored, so there is no label count to compare at."
    words = {"yes": "above the best k-mer profile", "tie": "level with it", "no": "below it"}
    if not at["yes"]:
        words = {"tie": "level with the best k-mer profile", "no": "below it"}
    if not at["yes"] and not at["tie"]:
        words = {"no": "below the best k-mer profile"}
    what = "labels per class" if kind == "classes" else "labelled rows"
    parts = [f"{word} at {listed(at[outcome])} {what}" for outcome, word in words.items() if at[outcome]]
    return (
        f"The pretrained encoder is {'; '.join(parts)} "
        "(the best is chosen anew at each count; above and below: the interval excludes zero)."
    )


def others(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    shots: str,
    ours: str = "ours",
    mlp: str = "kmer_mlp",
    head: str = "logistic",
    metric: str = METRIC,
    kind: str = "classes",
) -> str:
    """The second sentence: against the contrastive k-mer MLP, then every row that beats ours at this label count."""
    names = sorted(set(means(scores, head, metric)["embedding"]) - {ours})
    found = {name: compare(scores, comparisons, ours, name, shots, head, metric) for name in names}
    against = found.get(mlp)
    first = ""
    if against:
        against_name = "the k-mer MLP trained with the same contrast and no recurrence"
        phrase = {
            "yes": "the pretrained encoder beat {name}, by {d}",
            "tie": "no difference from {name} was shown, {d}",
            "no": "{name} is better than the pretrained encoder, by {d}",
        }[against.outcome].format(name=against_name, d=amount(against))
        first = f"{upper(labels(shots, kind))}, {phrase}. "
    winners = [c for c in found.values() if c and c.outcome == "no" and c.baseline != mlp]
    compared = [c for c in found.values() if c and c.baseline != mlp]
    if winners:
        told = listed([f"{c.baseline} by {amount(c)}" for c in sorted(winners, key=lambda c: c.difference)])
        return f"{first}{upper(labels(shots, kind))}, the pretrained encoder loses to {told}."
    if compared:
        return f"{first}{'No other' if first else 'No'} row beats the pretrained encoder {labels(shots, kind)}."
    return first.strip() or "No further row was scored to compare with."


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def upper(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]
