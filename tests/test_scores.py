"""Metrics against scikit-learn, the bootstrap against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from genossl.evaluation import scores


def predictions(seed: int, n: int = 200, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal classes and rounded scores, so that ties occur."""
    rng = np.random.default_rng(seed)
    y_N = np.concatenate([np.arange(k), rng.choice(k, n - k, p=np.arange(1, k + 1) / sum(range(1, k + 1)))])
    raw = rng.random((n, k)) + np.eye(k)[y_N] * 0.3
    share = np.round(raw / raw.sum(1, keepdims=True), 2)
    share[:, -1] = 1 - share[:, :-1].sum(1)
    return y_N, share


def confusion(y_N: np.ndarray, said_N: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
    k = int(max(y_N.max(), said_N.max())) + 1
    return scores.weighted(weights_RN, scores.unit_confusions(y_N, said_N, np.arange(len(y_N)), k))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [2, 3, 5])
def test_metrics_equal_scikit_learn(seed: int, k: int) -> None:
    y_N, scores_NK = predictions(seed, k=k)
    said_N = scores_NK.argmax(1)
    weights_RN = np.stack([np.ones(len(y_N)), np.random.default_rng(seed).random(len(y_N)) + 0.1])
    confusion_RKK = confusion(y_N, said_N, weights_RN)
    area_R = scores.auroc(y_N, scores_NK, weights_RN)
    for r, weights in enumerate([None, weights_RN[1]]):
        kw = {"sample_weight": weights}
        assert scores.balanced_accuracy(confusion_RKK)[r] == pytest.approx(
            metrics.balanced_accuracy_score(y_N, said_N, **kw)
        )
        assert scores.macro_f1(confusion_RKK)[r] == pytest.approx(metrics.f1_score(y_N, said_N, average="macro", **kw))
        assert scores.mcc(confusion_RKK)[r] == pytest.approx(metrics.matthews_corrcoef(y_N, said_N, **kw))
        areas = [metrics.roc_auc_score(y_N == c, scores_NK[:, c], **kw) for c in range(k)]
        assert area_R[r] == pytest.approx(np.mean(areas))


def test_a_perfect_and_a_constant_prediction() -> None:
    perfect, constant = np.diag([5.0, 3, 2]), np.array([[5.0, 0, 0], [3, 0, 0], [2, 0, 0]])
    for metric, guess in ((scores.balanced_accuracy, 1 / 3), (scores.mcc, 0), (scores.macro_f1, 2 * 5 / 15 / 3)):
        assert metric(perfect) == pytest.approx(1)
        assert metric(constant) == pytest.approx(guess)
    y_N = np.array([0, 0, 1, 1])
    assert scores.auroc(y_N, np.eye(2)[y_N])[0] == 1
    assert scores.auroc(y_N, np.ones((4, 2)))[0] == 0.5


def test_metrics_are_batched_over_any_leading_shape() -> None:
    confusion_ABKK = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 4)).astype(float)
    for metric in (scores.balanced_accuracy, scores.macro_f1, scores.mcc):
        batched = metric(confusion_ABKK)
        assert batched.shape == (2, 3)
        assert batched[1, 2] == pytest.approx(float(metric(confusion_ABKK[1, 2])))


def blocks(y_N: np.ndarray, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row's unit, `per_class` units within each class, and the units' classes."""
    unit_N = y_N * per_class + np.arange(len(y_N)) % per_class
    return unit_N, np.repeat(np.arange(y_N.max() + 1), per_class)


def test_unit_weights_equal_row_weights() -> None:
    y_N, scores_NK = predictions(3, n=300)
    unit_N, class_U = blocks(y_N, 4)
    weights_RU = scores.resample(class_U, 20, np.random.default_rng(0))
    found = scores.replicates(y_N, scores_NK, unit_N, class_U, weights_RU)
    weights_RN = weights_RU[:, unit_N]
    confusion_RKK = confusion(y_N, scores_NK.argmax(1), weights_RN)
    assert np.allclose(found[0], scores.balanced_accuracy(confusion_RKK))
    assert np.allclose(found[1], scores.macro_f1(confusion_RKK))
    assert np.allclose(found[2], scores.mcc(confusion_RKK))
    assert np.allclose(found[3], scores.auroc(y_N, scores_NK, weights_RN))


def test_replicates_do_not_depend_on_the_order_of_rows() -> None:
    y_N, scores_NK = predictions(4, n=300)
    unit_N, class_U = blocks(y_N, 5)
    weights_RU = scores.resample(class_U, 10, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(y_N))
    one = scores.replicates(y_N, scores_NK, unit_N, class_U, weights_RU)
    two = scores.replicates(y_N[order], scores_NK[order], unit_N[order], class_U, weights_RU)
    assert np.allclose(one, two)


def test_resampling_keeps_the_number_of_units_of_each_class() -> None:
    class_U = np.repeat([0, 1, 2], [7, 1, 12])
    weights_RU = scores.resample(class_U, 50, np.random.default_rng(0))
    for k, n in ((0, 7), (1, 1), (2, 12)):
        assert (weights_RU[:, class_U == k].sum(1) == n).all()
    assert np.allclose(scores.resample_draws(5, 50, np.random.default_rng(0)).sum(1), 1)


def test_bootstrap_variance_is_the_variance_of_a_mean_of_blocks() -> None:
    """Recall of a class of U equal blocks: the bootstrap variance is sum((recall - mean)^2) / U^2."""
    n_blocks, rows = 20, 30
    rng = np.random.default_rng(5)
    hit = rng.random((n_blocks, rows)) < rng.random((n_blocks, 1))  # blocks differ by more than chance
    y_N = np.concatenate([np.zeros(n_blocks * rows, dtype=int), [1]])
    unit_N = np.concatenate([np.repeat(np.arange(n_blocks), rows), [n_blocks]])
    said_N = np.concatenate([1 - hit.ravel().astype(int), [1]])
    class_U = np.repeat([0, 1], [n_blocks, 1])
    weights_RU = scores.resample(class_U, 20_000, np.random.default_rng(6))
    counts_UKK = scores.unit_confusions(y_N, said_N, unit_N, 2)
    recall_R = 2 * scores.balanced_accuracy(scores.weighted(weights_RU, counts_UKK)) - 1  # class 1 is always right
    recall_U = hit.mean(1)
    assert recall_R.mean() == pytest.approx(recall_U.mean(), abs=0.005)
    assert recall_R.var() == pytest.approx(recall_U.var() / n_blocks, rel=0.05)


def test_the_interval_covers_the_truth() -> None:
    """Of 95 % intervals on blocks with a random recall around 0.7, between 88 and 99 % hold 0.7 (300 worlds)."""
    rng = np.random.default_rng(7)
    class_U = np.repeat([0, 1], 40)
    held = 0
    for _ in range(300):
        chance_U = rng.beta(7, 3, size=80)
        right_U = rng.binomial(20, chance_U)
        counts_UKK = np.zeros((80, 2, 2))
        counts_UKK[np.arange(80), class_U, class_U] = right_U
        counts_UKK[np.arange(80), class_U, 1 - class_U] = 20 - right_U
        value_R = scores.balanced_accuracy(scores.weighted(scores.resample(class_U, 400, rng), counts_UKK))
        low, high = scores.interval(value_R)
        held += low <= 0.7 <= high
    assert 0.88 <= held / 300 <= 0.99
