"""Label efficiency on curves whose ratio is known, and its censoring."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from genossl.evaluation import efficiency

LABELS = (1, 5, 10, 50, 100, 400)


def curves(shift: float, seed: int = 0, spread: float = 0.02, replicates: int = 200) -> np.ndarray:
    """0.1 per e-fold of labels, as if there were `shift` times as many; row 0 without noise, replicates as a whole."""
    line = 0.3 + 0.1 * (np.log(LABELS) + math.log(shift))
    noise = np.random.default_rng(seed).normal(0, spread, (replicates, 1))
    return np.concatenate([line[None], line + noise])


@pytest.mark.parametrize("shift", [1.0, 2.0, 7.5])
def test_a_shifted_log_linear_curve_gives_exactly_the_shift(shift: float) -> None:
    """The same noise on both, so in every replicate too; the last counts are reached within, the first before all."""
    for n, found in zip(LABELS, efficiency.ratios(curves(shift), curves(1.0), LABELS), strict=True):
        if n / shift >= 1 - 1e-12:
            assert found[:3] == pytest.approx((shift,) * 3)
            assert found.censored == ""
        else:
            assert (found.ratio, found.low, found.high) == (pytest.approx(n), pytest.approx(n), math.inf)
            assert found.censored == ">="


def test_a_curve_against_itself_gives_one_everywhere_even_where_it_is_flat_or_falls() -> None:
    rng = np.random.default_rng(1)
    any_RS = np.concatenate([[[0.3, 0.5, 0.5, 0.45, 0.6, 0.6]], rng.random((300, 6))])
    assert efficiency.ratios(any_RS, any_RS, LABELS) == [(1, 1, 1, "")] * 6


def test_noise_of_its_own_gives_an_interval_that_holds_the_shift() -> None:
    for found in efficiency.ratios(curves(2.0, seed=1), curves(1.0, seed=2), LABELS)[2:4]:
        assert found.ratio == pytest.approx(2)
        assert found.low < 2 < found.high
        # the difference of two deviations of 0.02 is one of 0.028, or of 0.28 in logarithms at 0.1 per e-fold
        assert math.log(found.high / found.low) == pytest.approx(2 * 1.96 * 0.02 * math.sqrt(2) / 0.1, rel=0.25)


def test_what_is_never_reached_is_said_and_bounded() -> None:
    found = efficiency.ratios(curves(1 / 8), curves(1.0), LABELS)
    assert [x.censored for x in found] == [""] * 4 + ["not reached"] * 2
    assert found[0].ratio == pytest.approx(1 / 8)
    for n, x in zip(LABELS[4:], found[4:], strict=True):
        assert x.ratio == pytest.approx(n / 400)  # at most this
        assert (x.low, x.high) == (0, pytest.approx(n / 400))


def test_surplus_labels_of_a_baseline_that_no_longer_rises_are_no_credit() -> None:
    baseline = np.tile([0.3, 0.5, 0.6, 0.6, 0.6, 0.6], (3, 1))
    ours = np.tile([0.3, 0.6, 0.7, 0.8, 0.9, 0.9], (3, 1))
    assert [x.ratio for x in efficiency.ratios(ours, baseline, LABELS)[2:]] == pytest.approx([2] * 4)


@pytest.mark.parametrize("seed", range(5))
def test_monotone_is_isotonic_regression(seed: int) -> None:
    score_RS = np.random.default_rng(seed).normal(size=(20, 7)) + np.linspace(0, 1, 7)
    found = efficiency.monotone(score_RS)
    assert np.allclose(found, [isotonic_regression(row) for row in score_RS])
    assert np.allclose(efficiency.monotone(found), found)


def test_crossover_is_the_first_count_without_a_lead() -> None:
    assert efficiency.crossover([0.2, 0.1, 0.0, 0.3], ["1", "5", "10", "all"]) == "10"
    assert efficiency.crossover([-0.2, 0.1], ["1", "5"]) == "1"
    assert efficiency.crossover([0.2, 0.1], ["1", "5"]) is None
