"""Rules that read one number: closed forms, the reference library, and the size of chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from genossl.evaluation import shortcuts


def test_auroc_is_that_of_the_library() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive, score = rng.random(50) < 0.3, rng.integers(0, 8, 50) / 8
        assert shortcuts.auroc(positive, score) == pytest.approx(roc_auc_score(positive, score))
    assert np.isnan(shortcuts.auroc(np.zeros(3, bool), np.arange(3)))


def classes(label: np.ndarray) -> np.ndarray:
    return label[:, None] == np.unique(label)[None, :]


def test_classes_that_the_number_separates_have_one() -> None:
    """Also the one in the middle, which no line separates from the rest."""
    label = np.repeat([0, 1, 2], 100)
    x = label + np.random.default_rng(1).uniform(0, 0.5, 300)
    assert shortcuts.of_classes(x, classes(label), x, classes(label)).value == pytest.approx(1, abs=0.03)


def test_a_constant_has_a_half() -> None:
    label = np.repeat([0, 1], 20)
    assert shortcuts.of_classes(np.ones(40), classes(label), np.ones(40), classes(label)).value == 0.5


def test_a_rare_class_is_seen() -> None:
    rng = np.random.default_rng(2)
    label = (np.arange(2000) < 20).astype(int)
    x = rng.normal(size=2000) + 5 * label
    assert shortcuts.of_classes(x, classes(label), x, classes(label)).value > 0.95


def test_the_error_is_the_spread_of_chance() -> None:
    rng = np.random.default_rng(3)
    label = np.repeat([0, 1], [30, 70])
    values = []
    for _ in range(1500):
        x_N, x_M = rng.normal(size=(2, 100))
        found = shortcuts.of_classes(x_N, classes(label), x_M, classes(label))
        values.append(found.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.01)
    # ties within a bin make it smaller, by a little
    assert 0.85 * found.error < np.std(values) < 1.1 * found.error


def test_a_class_that_is_not_in_test_is_left_out() -> None:
    label_N, label_M = np.repeat([0, 1, 2], 10), np.repeat([0, 1], 10)
    has_N, has_M = label_N[:, None] == np.arange(3), label_M[:, None] == np.arange(3)
    found = shortcuts.of_classes(label_N.astype(float), has_N, label_M.astype(float), has_M)
    assert found.value == 1
    nothing = shortcuts.of_classes(label_N.astype(float), has_N, np.ones(3), np.ones((3, 3), bool))
    assert (nothing.value, nothing.error) == (0.5, 0.0)


def test_numbers_are_correlated_by_rank() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=100)
    y = x + rng.normal(size=100)
    found = shortcuts.of_numbers(x, y)
    assert found.value == pytest.approx(spearmanr(x, y).statistic)
    assert found.error == pytest.approx(1 / 99**0.5)
    assert shortcuts.of_numbers(np.ones(5), np.arange(5.0)).value == 0
