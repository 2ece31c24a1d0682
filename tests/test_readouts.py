"""Heads of all kinds against scikit-learn's single fits, and what they owe: planted truth found, no look at queries."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, r2_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier

from genossl.evaluation import forest, heads

GRIDS = {"logistic": (0.01, 1.0), "knn": (1, 5), "mlp": (0.1, 1.0), "forest": (1, 4)}
EVERY = [(kind, head) for kind in heads.OF_KIND for head in GRIDS]


def problem(kind: str, n: int = 150, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Vectors, truth that lies in their first three dimensions, outputs."""
    x_ND = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    if kind == "classes":
        return x_ND, x_ND[:, :3].argmax(1), 3
    if kind == "multilabel":
        return x_ND, (x_ND[:, :3] > 0.3).astype(np.int64), 3
    return x_ND, 1000 + 5 * x_ND[:, :3].sum(1).astype(np.float64), 1


@pytest.mark.parametrize("kind, head", EVERY)
def test_every_head_finds_what_was_planted_whatever_the_other_queries(kind: str, head: str) -> None:
    x_ND, y_N, outputs = problem(kind, n=400)
    query_MD, y_M, _ = problem(kind, seed=1)
    run = heads.OF_KIND[kind][head]
    said = run(x_ND, y_N, query_MD, outputs, GRIDS[head])
    assert said.shape == (2, 150, outputs)
    assert np.allclose(said[:, :20], run(x_ND, y_N, query_MD[:20], outputs, GRIDS[head]), atol=1e-6)
    if kind == "classes":
        found = (said[1].argmax(1) == y_M).mean()
    elif kind == "multilabel":
        found = average_precision_score(y_M, said[1])
        assert ((said >= 0) & (said <= 1.001)).all()  # closeness adds up to a thousandth
    else:
        found = r2_score(y_M, said[1, :, 0])
    assert found > 0.7


@pytest.mark.parametrize("n, d", [(60, 7), (12, 40)])
def test_ridge_is_scikit_learns(n: int, d: int) -> None:
    x_ND, y_N, _ = problem("regression", n, d)
    query_MD, _, _ = problem("regression", 30, d, seed=1)
    found = heads.OF_KIND["regression"]["logistic"](x_ND, y_N, query_MD, 1, (0.001, 0.1, 10.0))
    for g, c in enumerate((0.001, 0.1, 10.0)):
        theirs = Ridge(alpha=1 / c).fit(x_ND.astype(float), y_N).predict(query_MD.astype(float))
        assert np.allclose(found[g, :, 0], theirs, rtol=1e-6)


def test_one_vs_rest_is_a_logistic_regression_per_name_and_a_share_where_rows_agree() -> None:
    x_ND, y_NK, _ = problem("multilabel")
    query_MD, _, _ = problem("multilabel", 30, seed=1)
    y_NK[:, 1], y_NK[:, 2] = 1, 0
    found = heads.OF_KIND["multilabel"]["logistic"](x_ND, y_NK, query_MD, 3, (0.1,))
    exact = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(x_ND, y_NK[:, 0]).predict_proba(query_MD)[:, 1]
    assert np.abs(found[0, :, 0] - exact).max() < 5e-3
    assert (found[0, :, 1] == 1).all()
    assert (found[0, :, 2] == 0).all()


def test_means_of_neighbours_are_scikit_learns() -> None:
    query_MD, _, _ = problem("regression", 30, seed=1)
    for kind, atol in (("regression", 1e-9), ("multilabel", 1.1e-3)):
        x_ND, y_N, outputs = problem(kind)
        found = heads.OF_KIND[kind]["knn"](x_ND, y_N, query_MD, outputs, (1, 7, 10_000))
        for g, k in enumerate((1, 7, 150)):
            theirs = KNeighborsRegressor(k, metric="cosine").fit(x_ND, y_N).predict(query_MD)
            assert np.allclose(found[g], theirs.reshape(30, outputs), atol=atol)


def test_the_forest_is_scikit_learns() -> None:
    query_MD, _, _ = problem("classes", 30, seed=1)
    x_ND, y_N, _ = problem("classes")
    theirs = RandomForestClassifier(forest.TREES, min_samples_leaf=4, random_state=0).fit(x_ND, y_N)
    assert np.allclose(heads.forest(x_ND, y_N, query_MD, 3, (4,))[0], theirs.predict_proba(query_MD))
    x_ND, y_N, _ = problem("regression")
    model = RandomForestRegressor(forest.TREES, max_features=1 / 3, random_state=0).fit(x_ND, y_N)
    assert np.allclose(heads.forest(x_ND, y_N, query_MD, 1, (1,))[0, :, 0], model.predict(query_MD))


def test_the_forest_of_names_splits_as_a_classifier_of_many_outputs_does() -> None:
    """Half the summed Gini impurity is the squared error of 0 and 1, so the same splits and the same shares."""
    x_ND, y_NK, _ = problem("multilabel", n=200)
    query_MD, _, _ = problem("multilabel", 60, seed=1)
    model = RandomForestClassifier(forest.TREES, random_state=0).fit(x_ND, y_NK)
    theirs = np.stack([p[:, 1] for p in model.predict_proba(query_MD)], axis=1)
    found = heads.forest(x_ND, y_NK, query_MD, 3, (1,))[0]
    assert np.abs(found - theirs).mean() < 0.01


def test_the_mlp_is_scikit_learns_and_a_single_name_is_two_classes() -> None:
    x_ND, y_NK, _ = problem("multilabel")
    query_MD, _, _ = problem("multilabel", 30, seed=1)
    one = heads.mlp(x_ND, y_NK[:, :1], query_MD, 1, (1.0,))[0]
    model = MLPClassifier((64,), solver="lbfgs", alpha=1.0, max_iter=200, random_state=0)
    assert np.allclose(one[:, 0], model.fit(x_ND.astype(float), y_NK[:, 0]).predict_proba(query_MD.astype(float))[:, 1])
    assert (heads.mlp(x_ND, np.ones((150, 1), int), query_MD, 1, (1.0,)) == 1).all()


@pytest.mark.parametrize("kind, head", [pair for pair in EVERY if pair[0] != "classes"])
def test_one_labelled_row_is_enough_to_say_something(kind: str, head: str) -> None:
    x_ND, y_N, outputs = problem(kind)
    said = heads.OF_KIND[kind][head](x_ND[:1], y_N[:1], x_ND[:9], outputs, GRIDS[head])
    assert said.shape == (2, 9, outputs)
    assert np.isfinite(said).all()


def test_profiles_are_told_by_their_sums_and_read_as_tf_idf() -> None:
    rng = np.random.default_rng(0)
    profile_ND = rng.multinomial(40, rng.dirichlet(np.full(32, 0.2)), size=50) / 40
    assert forest.is_profile(profile_ND)
    assert forest.is_profile(np.vstack([profile_ND, np.zeros(32)]))
    for other in (profile_ND - 0.01, profile_ND * 2, rng.random((50, 1)), rng.normal(size=(50, 32))):
        assert not forest.is_profile(other)
        assert (forest.as_read(other, other)[0] == other).all()
    (found,) = forest.as_read(profile_ND[:40], profile_ND[40:])
    assert np.allclose(found, TfidfTransformer().fit(profile_ND[:40]).transform(profile_ND[40:]).toarray())
    idf_D = np.log(41 / (1 + (profile_ND[:40] > 0).sum(0))) + 1
    by_hand = profile_ND[40:] * idf_D
    assert np.allclose(found, by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True))
