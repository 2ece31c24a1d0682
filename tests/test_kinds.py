"""Metrics of multilabel tasks and regressions against scikit-learn and scipy; weights against repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from genossl.evaluation import kinds, multilabel, regression, scores

ONES = np.ones((1, 1))


def names(seed: int, n: int = 150, k: int = 4, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """0 and 1 for each of k names, and scores with ties."""
    rng = np.random.default_rng(seed)
    y_NK = (rng.random((n, k)) < np.linspace(0.1, 0.6, k)).astype(int)
    return y_NK, np.round(np.clip(rng.normal(0.3 + 0.3 * y_NK, 0.25), 0, 1), digits)


def numbers(seed: int, n: int = 150, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_N = np.round(rng.normal(1000, 2, n), digits)
    return y_N, np.round(y_N + rng.normal(0, 1, n), digits)


def repeated(seed: int, n: int, n_units: int = 30, n_replicates: int = 7) -> tuple[np.ndarray, np.ndarray, list]:
    """Units, weights of a bootstrap, and the rows of each replicate, each as often as its unit was drawn."""
    unit_N = np.random.default_rng(seed).integers(n_units, size=n)
    weights_RU = scores.resample(np.zeros(n_units), n_replicates, np.random.default_rng(seed))
    return unit_N, weights_RU, [np.repeat(np.arange(n), w[unit_N].astype(int)) for w in weights_RU]


@pytest.mark.parametrize("seed", range(8))
def test_multilabel_equals_scikit_learn_on_rows_and_on_repeated_rows(seed: int) -> None:
    y_NK, said_NK = names(seed)
    threshold_K = np.array([0.3, 0.5, 0.45, 0.6])
    unit_N, weights_RU, rows = repeated(seed, len(y_NK))
    found = multilabel.replicates(y_NK, said_NK, unit_N, np.vstack([np.ones(30), weights_RU]), threshold_K)
    for r, drawn in enumerate([np.arange(len(y_NK)), *rows]):
        y, said = y_NK[drawn], said_NK[drawn]
        expected = (
            metrics.average_precision_score(y, said, average="macro"),
            metrics.roc_auc_score(y, said, average="macro"),
            metrics.f1_score(y, said >= threshold_K, average="macro", zero_division=0),
        )
        assert found[:, r] == pytest.approx(expected, abs=2e-6)
    assert kinds.primary("multilabel", y_NK, said_NK)[0] == pytest.approx(found[0, 0])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [0, 9])
def test_regression_equals_scikit_learn_and_scipy_on_rows_and_on_repeated_rows(seed: int, digits: int) -> None:
    y_N, said_N = numbers(seed, digits=digits)
    unit_N, weights_RU, rows = repeated(seed, len(y_N))
    found = regression.replicates(y_N, said_N, unit_N, np.vstack([np.ones(30), weights_RU]))
    for r, drawn in enumerate([np.arange(len(y_N)), *rows]):
        y, said = y_N[drawn], said_N[drawn]
        expected = (
            metrics.r2_score(y, said),
            stats.spearmanr(y, said).statistic,
            stats.pearsonr(y, said).statistic,
            metrics.mean_squared_error(y, said) ** 0.5,
        )
        assert found[:, r] == pytest.approx(expected, abs=1e-7)
    assert kinds.primary("regression", y_N, said_N[:, None])[0] == pytest.approx(found[0, 0])


def test_a_perfect_a_constant_and_a_reversed_prediction() -> None:
    y_N = np.arange(20.0)
    unit_N = np.zeros(20, dtype=int)
    assert regression.replicates(y_N, y_N, unit_N, ONES)[:, 0].tolist() == pytest.approx([1, 1, 1, 0])
    mean = regression.replicates(y_N, np.full(20, y_N.mean()), unit_N, ONES)[:, 0]
    assert mean.tolist() == pytest.approx([0, 0, 0, y_N.std()])
    assert regression.replicates(y_N, -y_N, unit_N, ONES)[1:3, 0].tolist() == pytest.approx([-1, -1])
    flat = regression.replicates(np.full(20, 3.3), y_N, unit_N, ONES)[:3, 0]
    assert flat.tolist() == [0, 0, 0]
    y_NK = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    assert multilabel.replicates(y_NK, y_NK, unit_N[:4], ONES, np.full(2, 0.5))[:, 0].tolist() == [1, 1, 1]
    constant = multilabel.replicates(y_NK, np.ones((4, 2)), unit_N[:4], ONES, np.full(2, 0.5))[:, 0]
    assert constant.tolist() == pytest.approx([0.5, 0.5, 2 / 3])  # the share, a guess, all said


def test_a_name_without_both_sides_is_left_out_of_the_mean() -> None:
    y_NK, said_NK = names(0, k=2)
    with_all = np.column_stack([y_NK, np.zeros(len(y_NK), int), np.ones(len(y_NK), int)])
    more = np.column_stack([said_NK, said_NK])
    unit_N = np.zeros(len(y_NK), dtype=int)
    one = multilabel.replicates(y_NK, said_NK, unit_N, ONES, np.full(2, 0.5))
    two = multilabel.replicates(with_all, more, unit_N, ONES, np.full(4, 0.5))
    assert np.allclose(one, two)
    assert np.isnan(multilabel.replicates(with_all[:, 2:], said_NK, unit_N, ONES, np.full(2, 0.5))).all()


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_are_the_best_of_all(seed: int) -> None:
    y_NK, said_NK = names(seed, n=60, digits=1)
    found = multilabel.thresholds(y_NK, said_NK)
    for k in range(4):
        tried = {t: metrics.f1_score(y_NK[:, k], said_NK[:, k] >= t, zero_division=0) for t in set(said_NK[:, k])}
        best = max(tried.values())
        assert tried[found[k]] == pytest.approx(best)
        assert found[k] == max(t for t, value in tried.items() if value == pytest.approx(best))
    assert multilabel.thresholds(np.zeros((5, 1), int), np.ones((5, 1))).tolist() == [0.5]


def test_classes_go_by_the_metrics_of_classes() -> None:
    rng = np.random.default_rng(0)
    y_N, said_NK = np.arange(60) % 3, rng.random((60, 3))
    unit_N, class_U = y_N * 4 + np.arange(60) // 3 % 4, np.repeat(range(3), 4)
    weights_RU = scores.resample(class_U, 5, rng)
    found = kinds.replicates("classes", y_N, said_NK, unit_N, class_U, weights_RU)
    assert (found == scores.replicates(y_N, said_NK, unit_N, class_U, weights_RU)).all()
    assert np.allclose(kinds.primary("classes", y_N, said_NK, unit_N, weights_RU), found[0])
