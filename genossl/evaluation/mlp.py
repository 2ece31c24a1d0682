"""One hidden layer on frozen embeddings, for every kind of task."""

# N drawn training rows, M queries, D dimensions, K classes or names, G values of the grid

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

HIDDEN = 64  # units
STEPS = 200  # of L-BFGS on all drawn rows at once; a part kept back for early stopping would cost the few their labels


def mlp(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float], pool: Any = None
) -> np.ndarray:
    """(G, M, K) of scikit-learn's MLP for each weight decay of the grid: the decay, not early stopping, regularises.

    The decay is |w|^2 / 2 times it, against the summed loss of the rows, as 1 / C of logistic regression is. Numbers
    are learnt at mean 0 and deviation 1.
    """
    x_ND, query_MD = train_ND.astype(np.float64), query_MD.astype(np.float64)
    settings: dict[str, Any] = {
        "hidden_layer_sizes": (HIDDEN,),
        "solver": "lbfgs",
        "max_iter": STEPS,
        "random_state": 0,
    }
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for decay in grid:
            if y_N.dtype.kind == "f":
                mean, scale = y_N.mean(), y_N.std() or 1.0
                model = MLPRegressor(alpha=decay, **settings).fit(x_ND, (y_N - mean) / scale)
                said.append((mean + scale * np.asarray(model.predict(query_MD)))[:, None])
            else:
                said.append(_probabilities(MLPClassifier(alpha=decay, **settings), x_ND, y_N, query_MD))
    return np.stack(said)


def _probabilities(model: MLPClassifier, x_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray) -> np.ndarray:
    """(M, K); one name (N, 1) is learnt as two classes, and not at all where all drawn rows agree on it."""
    if y_N.ndim == 1 or y_N.shape[1] > 1:
        return np.asarray(model.fit(x_ND, y_N).predict_proba(query_MD))
    if y_N.min() == y_N.max():
        return np.full((len(query_MD), 1), float(y_N[0, 0]))
    return np.asarray(model.fit(x_ND, y_N[:, 0]).predict_proba(query_MD))[:, 1:]
