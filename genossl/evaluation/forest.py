"""A random forest, for every kind of task, and what it reads: vectors as they are, k-mer profiles as TF-IDF."""

# N drawn training rows, M queries, D dimensions, K classes or names, G values of the grid

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfTransformer

TREES = 200


def forest(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[int], pool: Any = None
) -> np.ndarray:
    """(G, M, K) of scikit-learn's random forest for each least number of rows in a leaf.

    Breiman, Machine Learning 2001: trees on bootstrapped rows, each split of the best of sqrt(D) features drawn (of
    D / 3 for numbers). Names are the outputs of one forest, which splits by the summed Gini impurity of all.
    """
    settings: dict[str, Any] = {"n_estimators": TREES, "random_state": 0}
    said = []
    for leaf in grid:
        if y_N.ndim == 1 and y_N.dtype.kind != "f":
            model = RandomForestClassifier(min_samples_leaf=leaf, **settings).fit(train_ND, y_N)
            said.append(model.predict_proba(query_MD))
            continue
        # of 0 and 1 the squared error is half the Gini impurity, and the mean the probability
        features: Any = 1 / 3 if y_N.ndim == 1 else "sqrt"
        y = y_N[:, 0] if y_N.ndim == 2 and y_N.shape[1] == 1 else y_N
        model = RandomForestRegressor(min_samples_leaf=leaf, max_features=features, **settings).fit(train_ND, y)
        said.append(model.predict(query_MD).reshape(len(query_MD), -1))
    return np.stack(said)


def is_profile(x_ND: np.ndarray) -> bool:
    """Whether rows are frequencies of k-mers: not negative, and each with the sum 1 (or 0, of all N)."""
    sums_N = x_ND.sum(1, dtype=np.float64)
    summed = (np.abs(sums_N - 1) < 1e-3) | (sums_N == 0)
    return x_ND.shape[1] > 1 and bool((x_ND >= 0).all()) and bool(summed.all())


def as_read(train_ND: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`others` as the forest reads them: raw, or TF-IDF by the train rows' document frequencies if these are profiles.

    scikit-learn's TfidfTransformer on frequencies: times log((1 + n) / (1 + rows with the k-mer)) + 1, then to
    length 1. Labels play no part.
    """
    if not is_profile(train_ND):
        return list(others)
    model = TfidfTransformer().fit(train_ND)
    return [_dense(model.transform(x)) for x in others]


def _dense(x: Any) -> np.ndarray:
    return x.toarray()
