"""The ranking of methods: t intervals by hand and by a library, pairs by seed, ties, and words that follow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genossl.evaluation import ranking
from genossl.evaluation.ranking import rank


def test_names_of_compared_runs() -> None:
    assert ranking.group_of("simclr.seed0") == ("simclr", 0)
    assert ranking.group_of("simclr.conv.seed12") == ("simclr.conv", 12)
    assert ranking.group_of("simclr.conv.null") == ("simclr.conv", None)
    for name in ("ours", "kmer5", "untrained", "seed0", "same_strand", "simclr.conv"):
        assert ranking.group_of(name) is None
        assert not ranking.is_compared(name)
    assert ranking.is_compared("untrained.conv")
    assert ranking.is_compared("cpc.null")


def test_the_t_interval_by_hand() -> None:
    """1, 2, 3: mean 2, deviation 1, t(2) at .975 is 4.302653, so the half width is 4.302653 / sqrt(3)."""
    found = ranking.t_interval([3.0, 1.0, 2.0])
    assert found.mean == 2
    assert found.n == 3
    assert found.high - found.mean == pytest.approx(4.302652729749464 / math.sqrt(3), rel=1e-12)
    assert found.mean - found.low == pytest.approx(found.high - found.mean, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 40])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_t_interval_and_test_of_a_library(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    one, two = rng.normal(0.9, 0.01, (2, n))
    found = ranking.t_interval(one - two, level)
    oracle = stats.ttest_rel(one, two)
    low, high = oracle.confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert ranking.t_test(one - two) == pytest.approx(oracle.pvalue, rel=1e-9)


def test_an_interval_excludes_zero_where_its_test_is_below_five_percent() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(rng.normal(0, 2), 1, rng.integers(2, 7))
        found = ranking.t_interval(values)
        assert (found.low > 0 or found.high < 0) == (ranking.t_test(values) < 0.05)


def test_values_that_do_not_differ() -> None:
    assert ranking.t_interval([0.3] * 3) == pytest.approx((0.3, 0.3, 0.3, 3))
    assert (ranking.t_test([0.3] * 3), ranking.t_test([0.0] * 3)) == (0.0, 1.0)
    assert math.isnan(ranking.t_interval([0.3]).low)
    assert math.isnan(ranking.t_interval([]).mean)
    assert ranking.t_test([0.3]) == 1.0


def test_holms_correction() -> None:
    """The worked example .01, .04, .03, .005: .005 * 4, .01 * 3, .03 * 2, and .04 not below the one before."""
    assert ranking.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert ranking.holm([0.9, 0.8]) == [1.0, 1.0]
    assert ranking.holm([0.2]) == [0.2]
    assert ranking.holm([]) == []


def test_pairing_by_seed_sees_what_means_do_not() -> None:
    """Seeds move both by ten times their difference: the means overlap, the paired difference is plain."""
    shift = {0: 0.0, 1: 0.1, 2: 0.2}
    noise = {0: 0.0, 1: 0.001, 2: -0.001}
    found = rank({"a": {s: 0.6 + x for s, x in shift.items()}, "b": {s: 0.59 + x + noise[s] for s, x in shift.items()}})
    best, second = found.standings
    assert (best.group, best.rank, second.rank) == ("a", 1, 2)
    assert best.score.low < second.score.high
    (pair,) = found.pairs
    assert pair.apart
    assert pair.difference.mean == pytest.approx(0.01)
    assert pair.difference.n == 3


def test_intervals_of_scores_stay_among_scores() -> None:
    """But those of differences are not cut."""
    a, b = [0.6, 0.99, 1.0], [0.0, 0.3, 0.01]
    one, two = (s.score for s in rank({"a": dict(enumerate(a)), "b": dict(enumerate(b))}).standings)
    assert (one.low, one.high) == pytest.approx((stats.t.interval(0.95, 2, np.mean(a), stats.sem(a))[0], 1.0))
    assert (two.low, two.high) == pytest.approx((0.0, stats.t.interval(0.95, 2, np.mean(b), stats.sem(b))[1]))
    found = rank({"a": dict(enumerate(a)), "b": dict(enumerate(b))})
    d = found.pairs[0].difference
    assert d.high - d.mean == pytest.approx(d.mean - d.low)


def test_only_shared_seeds_are_paired() -> None:
    values = {"a": {0: 0.9, 1: 0.91, 2: 0.92, 7: 0.1}, "b": {0: 0.8, 1: 0.81, 2: 0.82, 9: 0.99}}
    (pair,) = rank(values).pairs
    assert abs(pair.difference.mean) == pytest.approx(0.1)
    assert pair.difference.n == 3
    assert not rank({"a": {0: 0.9, 1: 0.9, 2: 0.9}, "b": {3: 0.1, 4: 0.1, 5: 0.1}}).pairs


def made(rng: np.random.Generator, groups: int = 5, seeds: int = 4) -> dict[str, dict[int, float]]:
    return {f"m{i}": dict(enumerate(rng.normal(0.8 + 0.02 * i, 0.02, seeds).tolist())) for i in range(groups)}


def test_order_of_groups_and_seeds_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    values = made(rng)
    found = rank(values)
    for _ in range(5):
        groups = rng.permutation(list(values))
        mixed = {g: {int(s): values[g][s] for s in rng.permutation(list(values[g]))} for g in groups}
        again = rank(mixed)
        assert again == found
        assert ranking.headline(again, "10") == ranking.headline(found, "10")


def test_other_labels_of_the_seeds_and_a_shift_of_all_scores_change_no_difference() -> None:
    values = made(np.random.default_rng(2))
    found = rank(values)
    renamed = rank({group: {90 - seed: value for seed, value in seeds.items()} for group, seeds in values.items()})
    moved = rank({group: {seed: value - 0.3 for seed, value in seeds.items()} for group, seeds in values.items()})
    for pair, one, two in zip(found.pairs, renamed.pairs, moved.pairs, strict=True):
        assert pair.difference == pytest.approx(one.difference)
        assert pair.difference == pytest.approx(two.difference)
        assert pair.holm == pytest.approx(two.holm)


def test_equal_means_share_a_rank() -> None:
    same = {0: 0.8, 1: 0.9, 2: 0.85}
    found = rank(
        {"b": dict(same), "a": {0: 0.9, 1: 0.85, 2: 0.8}, "c": {0: 0.1, 1: 0.1, 2: 0.1}, "d": {0: 1, 1: 1, 2: 1}}
    )
    assert [(s.group, s.rank) for s in found.standings] == [("d", 1), ("a", 2), ("b", 2), ("c", 4)]
    pair = found.pair("b", "a")
    assert pair is not None
    assert not pair.apart
    identical = rank({"a": dict(same), "b": dict(same)}).pairs[0]
    assert (identical.p, identical.apart, identical.difference.mean) == (1.0, False, 0.0)


def test_two_seeds_rank_nothing() -> None:
    found = rank({"a": {0: 0.9, 1: 0.8}, "b": {0: 0.2, 1: 0.1}})
    assert [s.rank for s in found.standings] == [None, None]
    assert all(math.isnan(s.score.low) for s in found.standings)
    assert found.standings[0].score.mean == pytest.approx(0.85)
    assert not found.pairs
    assert ranking.headline(found, "10").startswith("No ranking of methods with 10 labels per class")
    assert ranking.pairs_note(found) == ""


def test_a_group_with_too_few_seeds_stands_without_a_rank() -> None:
    found = rank({"few": {0: 0.99}, "a": {0: 0.9, 1: 0.91, 2: 0.92}, "b": {0: 0.5, 1: 0.51, 2: 0.55}})
    assert {s.group: s.rank for s in found.standings} == {"few": None, "a": 1, "b": 2}


def test_the_null_is_seldom_called_a_difference() -> None:
    """Equal methods: 5 % of the intervals exclude zero, and Holm lets a family of ten err in at most 5 %."""
    rng = np.random.default_rng(3)
    apart = stood = pairs = 0
    for _ in range(300):
        found = rank({f"m{i}": dict(enumerate(rng.normal(0.8, 0.01, 4).tolist())) for i in range(5)})
        pairs += len(found.pairs)
        apart += sum(pair.apart for pair in found.pairs)
        stood += any(pair.holm <= 0.05 for pair in found.pairs)
    assert pairs == 3000
    assert apart / pairs == pytest.approx(0.05, abs=0.015)
    assert stood / 300 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


# ---- words


def test_a_comparison_in_words() -> None:
    close = {"cpc": {0: 0.90, 1: 0.92, 2: 0.91}, "simclr": {0: 0.91, 1: 0.91, 2: 0.90}}
    (pair,) = rank(close).pairs
    assert ranking.sentence(pair) == "cpc and simclr are not told apart: +0.003 (−0.025 to +0.032)"
    far = {"cpc": {0: 0.90, 1: 0.92, 2: 0.91}, "simclr": {0: 0.80, 1: 0.81, 2: 0.81}}
    (pair,) = rank(far).pairs
    assert ranking.sentence(pair).startswith("cpc is better than simclr: +0.103 (")
    assert "too weak" not in ranking.sentence(pair)
    assert ranking.headline(rank(far), "all") == (
        "Of 2 methods compared with all labels, cpc has the highest score, 0.910 (95 % interval 0.885 to 0.935): "
        "better than simclr."
    )
    assert "not told apart from simclr." in ranking.headline(rank(close), "1")


def test_a_difference_that_many_pairs_could_show_by_chance_is_called_weak() -> None:
    values = {f"m{i}": {0: 0.5, 1: 0.52 + i / 1000, 2: 0.48} for i in range(8)}
    values["best"] = {0: 0.60, 1: 0.64, 2: 0.57}
    found = rank(values)
    weak = [pair for pair in found.pairs if pair.apart and pair.holm > 0.05]
    assert weak
    assert ranking.sentence(weak[0]).endswith("too weak to stand among so many pairs")
    assert "which Holm's correction does not uphold" in ranking.headline(found, "10")
    assert ranking.pairs_note(found).startswith("36 pairs were compared; ")
    assert "about 2 would were all methods equal" in ranking.pairs_note(found)


@pytest.mark.parametrize(
    "value,words",
    [
        (0.99, "The best k-mer profile (kmer5) beats cpc: 0.990 against 0.910 (difference −0.080, "),
        (0.50, "cpc beats the best k-mer profile (kmer5): 0.910 against 0.500 (difference +0.410, "),
        (0.905, "cpc and the best k-mer profile (kmer5) are not told apart (difference +0.005, "),
    ],
)
def test_a_score_without_seeds_in_words(value: float, words: str) -> None:
    best = rank({"cpc": {0: 0.90, 1: 0.92, 2: 0.91}}).standings[0]
    assert ranking.against(best, value, "the best k-mer profile (kmer5)").startswith(words)


def test_a_score_without_seeds_against_two() -> None:
    best = rank({"cpc": {0: 0.90, 1: 0.92}}).standings[0]
    told = ranking.against(best, 0.95, "the best k-mer profile (kmer5)")
    assert told.startswith("The best k-mer profile (kmer5) scores higher than cpc, 0.950 against 0.910; 3 seeds would")


def test_scores_by_seed_come_from_the_tidy_table() -> None:
    """Means over draws, one head, one metric, one label count; null controls and other rows have no seed."""
    lines = []
    for name, value in (
        ("a.conv.seed0", 0.7),
        ("a.conv.seed1", 0.8),
        ("a.conv.null", 0.3),
        ("kmer5", 0.9),
        ("b.seed0", 0.1),
    ):
        for head in ("logistic", "knn"):
            for shots in ("1", "10"):
                for draw in ("0", "mean"):
                    for metric in ("balanced_accuracy", "mcc"):
                        own = (head, shots, draw, metric) == ("logistic", "10", "mean", "balanced_accuracy")
                        lines.append((name, head, shots, draw, metric, value if own else 0.0))
    scores = pd.DataFrame(lines, columns=["embedding", "head", "shots", "draw", "metric", "value"])
    assert ranking.by_seed(scores, "10") == {"a.conv": {0: 0.7, 1: 0.8}, "b": {0: 0.1}}
    assert ranking.by_seed(scores, "5") == {}
