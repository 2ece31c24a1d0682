"""Calibration error and Brier score in closed form and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from genossl.evaluation import calibration


def two_classes(p_N: np.ndarray) -> np.ndarray:
    return np.stack([1 - p_N, p_N], axis=1)


def test_a_certain_and_right_and_a_certain_and_wrong_answer() -> None:
    y_M = np.array([0, 1, 1, 0])
    right = calibration.measure(y_M, [np.eye(2)[y_M]])
    wrong = calibration.measure(y_M, [np.eye(2)[1 - y_M]])
    assert right is not None
    assert wrong is not None
    assert (right.ece, right.brier) == (0, 0)
    assert (wrong.ece, wrong.brier) == (1, 2)
    assert right.lines() == [(0, 0, 1, 1, 1, 4)]  # equal confidences share one bin


def test_equal_probabilities_of_k_classes_that_are_as_frequent() -> None:
    """Confidence 1 / K, accuracy 1 / K (argmax takes the first class), Brier 1 - 1 / K."""
    y_M = np.arange(40) % 4
    found = calibration.measure(y_M, [np.full((40, 4), 0.25)])
    assert found is not None
    assert found.ece == pytest.approx(0)
    assert found.brier == pytest.approx(0.75)


def test_overconfidence_is_the_gap() -> None:
    """Always 0.9 sure and right in 6 of 10: ECE 0.3, Brier 0.6 * 2 * 0.1^2 + 0.4 * 2 * 0.9^2; two draws are pooled."""
    y_M = np.array([1] * 6 + [0] * 4)
    said = two_classes(np.full(10, 0.9))
    for draws in (1, 2):
        found = calibration.measure(y_M, [said] * draws)
        assert found is not None
        assert found.ece == pytest.approx(0.3)
        assert found.brier == pytest.approx(0.6 * 0.02 + 0.4 * 1.62)
        assert found.n_B.tolist() == [10 * draws]


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn_and_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p_M = rng.permutation(np.linspace(0.001, 0.999, 300))
    y_M = (rng.random(300) < p_M**2).astype(int)
    found = calibration.measure(y_M, [two_classes(p_M)])
    assert found is not None
    assert found.brier == pytest.approx(2 * brier_score_loss(y_M, p_M))
    sure_M, right_M = np.maximum(p_M, 1 - p_M), (p_M > 0.5) == y_M
    order_M = np.argsort(sure_M)
    expected, parts = 0.0, np.array_split(order_M, 15)
    for rows in parts:
        expected += len(rows) * abs(sure_M[rows].mean() - right_M[rows].mean()) / 300
    # p and 1 - p are equally sure and share a bin, so a cut may lie one row aside of array_split's
    assert found.ece == pytest.approx(expected, abs=0.01)
    assert found.n_B.sum() == 300
    assert found.n_B.max() - found.n_B.min() <= 2
    assert found.ece == pytest.approx((found.n_B * np.abs(found.accuracy_B - found.confidence_B)).sum() / 300)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    votes = rng.multinomial(5, [0.5, 0.3, 0.2], size=200) / 5  # many ties, as nearest neighbours have
    y_M, order = rng.integers(3, size=200), rng.permutation(200)
    one, two = calibration.measure(y_M, [votes]), calibration.measure(y_M[order], [votes[order]])
    assert one is not None
    assert two is not None
    assert np.allclose(one.lines(), two.lines())


def test_scores_that_are_no_probabilities_are_not_calibrated() -> None:
    y_M = np.array([0, 1])
    assert calibration.measure(y_M, [np.array([[2.0, -1], [0, 1]])]) is None
    assert calibration.measure(y_M, [np.array([[0.9, 0.9], [0.5, 0.5]])]) is None
