"""The verdict against a second computation from the same tables, in every combination of outcomes."""

from __future__ import annotations

import itertools
import math
import re

import pandas as pd
import pytest

from genossl.evaluation import verdict as judge

INTERVALS = {"yes": (0.05, 0.02, 0.08), "tie": (0.01, -0.02, 0.04), "no": (-0.05, -0.08, -0.02)}
COMBINATIONS = list(itertools.product(INTERVALS, INTERVALS))
BLOCKS = "20000-base blocks within each class"


def tables(
    untrained: str, kmers: str, shots: tuple[str, ...] = ("1", "10", "all"), **more: tuple[float, float, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and comparisons where ours stands to each baseline as named; kmer3 is always worse than kmer6."""
    differences = {"untrained": INTERVALS[untrained], "kmer6": INTERVALS[kmers], **more}
    d, low, high = INTERVALS[kmers]
    differences["kmer3"] = (d + 0.1, low + 0.1, high + 0.1)
    scores, pairs = [], []
    for s, head in itertools.product(shots, ("logistic", "knn")):
        base = 0.8 if head == "logistic" else 0.5
        values = {"ours": base, **{name: base - x[0] for name, x in differences.items()}}
        for name, value in values.items():
            for draw, shift in (("0", 0.19), ("mean", 0.0)):
                row = {"task": "t", "embedding": name, "head": head, "shots": s, "draw": draw}
                measured = value + (shift if name == "kmer3" else 0)
                scores.append(
                    {**row, "metric": "balanced_accuracy", "value": measured, "low": 0.0, "high": 1.0, "n": 500}
                )
                scores.append({**row, "metric": "mcc", "value": 1 - measured, "low": 0.0, "high": 1.0, "n": 500})
        for name, (d, low, high) in differences.items():
            row = {"task": "t", "head": head, "shots": s, "n": 500}
            forth = {"embedding": "ours", "baseline": name, "difference": d, "low": low, "high": high}
            back = {"embedding": name, "baseline": "ours", "difference": -d, "low": -high, "high": -low}
            pairs += [{**row, "metric": "balanced_accuracy", **pair} for pair in (back, forth)]
            pairs.append({**row, "metric": "mcc", **forth, "difference": 9.0, "low": 8.0, "high": 10.0})
    return pd.DataFrame(scores), pd.DataFrame(pairs)


def by_hand(scores: pd.DataFrame, comparisons: pd.DataFrame, shots: str) -> tuple[str, str, str, str, str]:
    """Word, best profile, both outcomes and the two differences, by loops over rows and nothing of the package."""
    best, top = "", -math.inf
    for row in scores.to_dict("records"):
        if row["head"] == "logistic" and row["draw"] == "mean" and row["shots"] == shots:
            is_kmers = row["embedding"][:4] == "kmer" and row["embedding"][4:].isdigit()
            if row["metric"] == "balanced_accuracy" and is_kmers and row["value"] > top:
                best, top = row["embedding"], row["value"]
    told = {}
    for row in comparisons.to_dict("records"):
        if (row["head"], row["shots"], row["metric"], row["embedding"]) == (
            "logistic",
            shots,
            "balanced_accuracy",
            "ours",
        ):
            sides = (row["low"] > 0) - (row["high"] < 0)
            text = f"{abs(row['difference']):.3f} (95 % interval"
            told[row["baseline"]] = (sides, text)
    (u, u_text), (k, k_text) = told["untrained"], told[best]
    if u < 0 or (u == 0 and k < 0):
        word = "No"
    elif u > 0 and k > 0:
        word = "Yes"
    else:
        word = "Not shown" if u == k == 0 else "Partly"
    return word, best, f"{u},{k}", u_text, k_text


@pytest.mark.parametrize("untrained, kmers", COMBINATIONS)
def test_the_sentence_is_what_a_second_computation_finds(untrained: str, kmers: str) -> None:
    scores, comparisons = tables(untrained, kmers)
    found = judge.verdict(scores, comparisons, unit=BLOCKS)
    word, best, sides, u_text, k_text = by_hand(scores, comparisons, "10")
    assert found.sentence.startswith(f"{word}: on these test genomes, by balanced accuracy with 10 labels per class, ")
    assert f"({best})" in found.sentence
    assert best == "kmer6"
    assert u_text in found.sentence
    assert k_text in found.sentence
    assert found.untrained is not None
    assert found.kmers is not None
    assert (found.untrained.outcome, found.kmers.outcome) == (untrained, kmers)
    assert sides == ",".join(str({"yes": 1, "tie": 0, "no": -1}[o]) for o in (untrained, kmers))
    assert found.sentence.count(". ") == 0  # one sentence
    assert found.sentence.endswith(".")


# what a reader must be told of each side, whatever the words around it
WON, TIED = r"0\.050 \(95 % interval 0\.020 to 0\.080\)", r"\+0\.010 \(95 % interval −0\.020 to \+0\.040\)"
PROFILE = r"the best k-mer profile \(kmer6\)"
UNTRAINED_WORDS = {
    "yes": rf"pretrained encoder beat (both )?the same encoder untrained, by {WON}",
    "tie": rf"(no difference|told apart neither) from the same encoder untrained( was shown)?, {TIED}",
    "no": rf"the same encoder untrained (being|is) better (than the pretrained one, )?by {WON}",
}
KMER_WORDS = {
    "yes": rf"(beat|and) {PROFILE}, by {WON}",
    "tie": rf"(no difference from|nor from) {PROFILE}( was shown)?, {TIED}",
    "no": rf"({PROFILE} is better (than the pretrained encoder|still)|so is {PROFILE}), by {WON}",
}


@pytest.mark.parametrize("untrained,kmers", COMBINATIONS)
def test_an_audit_that_fails_comes_before_the_result(untrained: str, kmers: str) -> None:
    """The word is that of the intervals, what the audit found follows it, and the rest stays as it was."""
    plain, failed = (judge.verdict(*tables(untrained, kmers), unit=BLOCKS, failure=why) for why in ("", "F"))
    word, _, rest = plain.sentence.partition(": ")
    joined = "but" if word in ("Yes", "Partly") else "and"
    assert failed.sentence == f"{word}, {joined} the audit fails: F. {rest[0].upper()}{rest[1:]}"
    assert failed.outcome == plain.outcome


@pytest.mark.parametrize("untrained, kmers", COMBINATIONS)
def test_the_sentence_claims_what_holds_and_nothing_else(untrained: str, kmers: str) -> None:
    sentence = judge.verdict(*tables(untrained, kmers), unit=BLOCKS).sentence
    for words, outcome in ((UNTRAINED_WORDS, untrained), (KMER_WORDS, kmers)):
        assert re.search(words[outcome], sentence), sentence
        both = untrained == kmers  # "beat both A and B" and "better than A, and so is B" speak of two at once
        assert both or not [other for other in words if other != outcome and re.search(words[other], sentence)], (
            sentence
        )


@pytest.mark.parametrize(
    "low, high, outcome", [(0.0, 0.1, "tie"), (-0.1, 0.0, "tie"), (1e-9, 0.1, "yes"), (-0.1, -1e-9, "no")]
)
def test_an_interval_that_touches_zero_is_a_tie(low: float, high: float, outcome: str) -> None:
    numbers = {"value": 0.5, "baseline_value": 0.5, "difference": (low + high) / 2, "n": 10}
    assert judge.Comparison(baseline="b", shots="10", low=low, high=high, **numbers).outcome == outcome


def test_a_win_never_reads_as_zero() -> None:
    assert judge.number(0.0004) == "0.0004"
    assert judge.number(0.0) == "0.000"
    assert judge.number(-1e-12) == "0.000000"
    assert judge.signed(-0.02) == "−0.020"
    assert judge.signed(0.02) == "+0.020"
    assert judge.signed(0.0) == "0.000"


@pytest.mark.parametrize(
    "available, wanted, expected",
    [
        (["1", "10", "all"], "10", "10"),
        (["1", "5", "50"], "10", "5"),
        (["5", "100", "all"], "50", "100"),
        (["all"], "10", "all"),
        (["1", "400"], "all", "400"),
    ],
)
def test_nearest_label_count(available: list[str], wanted: str, expected: str) -> None:
    assert judge.nearest_shots(available, wanted) == expected


@pytest.mark.parametrize(
    "unit, here, said",
    [
        (BLOCKS, "on these test genomes", "nothing about other strains"),
        ("groups", "on test groups like these", "whole groups"),
    ],
)
def test_the_sentence_says_how_far_it_holds(unit: str, here: str, said: str) -> None:
    found = judge.verdict(*tables("yes", "yes"), unit=unit)
    assert here in found.sentence
    assert said in found.scope


def test_what_was_not_scored_is_not_judged() -> None:
    scores, comparisons = tables("yes", "no")
    without = scores[~scores["embedding"].str.fullmatch(r"kmer\d")]
    found = judge.verdict(without, comparisons)
    assert (found.outcome, found.kmers) == ("partly", None)
    assert "no k-mer profile was scored" in found.sentence
    without = scores[scores["embedding"] != "untrained"]
    found = judge.verdict(without, comparisons)
    assert (found.outcome, found.untrained) == ("no", None)
    assert "what pretraining adds is not known" in found.sentence
    assert judge.verdict(scores[scores["embedding"] == "ours"], comparisons).outcome == "unknown"
    assert judge.verdict(scores[scores["embedding"] != "ours"], comparisons).outcome == "unknown"
    broken = comparisons.assign(low=math.nan)
    assert judge.verdict(scores, broken).outcome == "unknown"


def test_a_trained_mlp_is_no_kmer_profile() -> None:
    scores, comparisons = tables("yes", "yes", kmer_mlp=INTERVALS["no"])
    assert judge.best_kmers(scores, "10", "logistic") == "kmer6"
    assert judge.verdict(scores, comparisons).outcome == "yes"


@pytest.mark.parametrize(
    "outcome, words",
    [
        ("yes", "the pretrained encoder beat the k-mer MLP"),
        ("tie", "no difference from"),
        ("no", "is better than the pretrained"),
    ],
)
def test_second_sentence_on_the_mlp(outcome: str, words: str) -> None:
    scores, comparisons = tables("yes", "yes", kmer_mlp=INTERVALS[outcome])
    said = judge.others(scores, comparisons, shots="10")
    assert words in said
    assert "No other row beats the pretrained encoder with 10 labels per class." in said


def test_every_row_that_wins_is_named() -> None:
    scores, comparisons = tables("no", "tie", paper=(-0.2, -0.3, -0.1))
    said = judge.others(scores, comparisons, shots="10")
    assert said == (
        "With 10 labels per class, the pretrained encoder loses to paper by 0.200 (95 % interval 0.100 to 0.300) "
        "and untrained by 0.050 (95 % interval 0.020 to 0.080)."
    )


def test_crossover_sorts_label_counts_by_outcome() -> None:
    parts = [
        tables("yes", outcome, (shots,))
        for outcome, shots in (("yes", "1"), ("yes", "5"), ("tie", "50"), ("no", "all"))
    ]
    scores, comparisons = (pd.concat([part[i] for part in parts]) for i in (0, 1))
    said = judge.crossover(scores, comparisons)
    assert said.startswith(
        "The pretrained encoder is above the best k-mer profile at 1 and 5 labels per class; "
        "level with it at 50 labels per class; below it at all labels per class ("
    )
    assert judge.crossover(*tables("yes", "no", ("10",))).startswith(
        "The pretrained encoder is below the best k-mer profile at 10 labels per class ("
    )


def corrected(p: dict[str, float | None], **asked: str) -> str:
    """The sentence where ours beats kmer6 and kmer3, loses to paper and is level with untrained, by these p values."""
    scores, comparisons = tables("tie", "yes", paper=(-0.2, -0.3, -0.1))
    return judge.corrected(
        scores, comparisons.assign(p=0.001, p_holm=comparisons["baseline"].map(p)), shots="10", **asked
    )


def test_what_holms_correction_leaves() -> None:
    strong = {"kmer6": 0.01, "kmer3": 0.02, "paper": 0.03, "untrained": 1.0}
    assert corrected(strong) == (
        "With 10 labels per class, after Holm's correction for 4 baselines, the pretrained encoder is above kmer3 and "
        "kmer6 and below paper."
    )
    weak = strong | {"kmer6": 0.06, "paper": 0.2}
    assert corrected(weak, kind="regression") == (
        "With 10 labelled rows, after Holm's correction for 4 baselines, the pretrained encoder is above kmer3 and "
        "below none; too weak to stand among so many: kmer6 and paper."
    )
    assert corrected(dict.fromkeys(strong)) == ""
    assert judge.corrected(*tables("yes", "yes"), shots="10") == ""  # tables of before there were p values


@pytest.mark.parametrize("seeds, words", [(1, "one run of its recipe"), (4, "4 runs of its recipe"), (5, ""), (9, "")])
def test_few_seeds_are_cautioned(seeds: int, words: str) -> None:
    said = judge.seeds_caution(seeds)
    assert words in said
    assert ("over test rows and label draws and not over pretraining seeds" in said) == (seeds < 5)


def test_other_kinds_are_judged_by_their_metric_in_their_words() -> None:
    scores, comparisons = (table.replace("balanced_accuracy", "r2") for table in tables("yes", "tie"))
    asked = judge.asked({"kind": "regression", "metric": "r2"})
    found = judge.verdict(scores, comparisons, unit=BLOCKS, **asked)
    assert found.sentence.startswith("Partly: on these test genomes, by R² with 10 labelled rows, the pretrained")
    assert judge.verdict(scores, comparisons).outcome == "unknown"
    said = judge.crossover(scores, comparisons, **asked)
    assert "level with the best k-mer profile at 1, 10 and all labelled rows" in said
    assert "with 10 labelled rows" in judge.others(scores, comparisons, shots="10", **asked)
    assert judge.asked({}) == {"metric": "balanced_accuracy", "kind": "classes"}
    assert judge.spelled("average_precision") == "average precision"


def test_a_network_is_compared_with_an_embedding_whose_score_stands_under_another_head() -> None:
    scores, comparisons = tables("yes", "yes")
    net = scores[(scores["embedding"] == "ours") & (scores["head"] == "logistic")].assign(
        embedding="net", head="end_to_end", value=0.9
    )
    lines = [
        {"task": "t", "head": "end_to_end", "shots": "10", "metric": "balanced_accuracy", "n": 500}
        | {"embedding": one, "baseline": two, "difference": sign * 0.1, "low": sign * 0.1, "high": sign * 0.1}
        for one, two, sign in (("net", "ours", 1), ("ours", "net", -1))
    ]
    both = pd.concat([scores, net]), pd.concat([comparisons, pd.DataFrame(lines)])
    forth = judge.compare(*both, "net", "ours", "10", "end_to_end")
    back = judge.compare(*both, "ours", "net", "10", "end_to_end")
    assert forth is not None
    assert back is not None
    assert (forth.value, forth.baseline_value) == (0.9, pytest.approx(0.8))
    assert (back.value, back.baseline_value) == (pytest.approx(0.8), 0.9)
    assert judge.compare(*both, "ours", "net", "10", "logistic") is None
