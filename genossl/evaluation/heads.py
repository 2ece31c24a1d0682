"""What is put on frozen embeddings: simple classifiers, each over its whole grid at once.

A head takes (train_ND, y_N, query_MD, n_classes, grid, pool) and returns scores (grid, M, K); the largest is the
prediction. y_N are class numbers, or 0 and 1 for each name (N, K), or float64 numbers, as the kind of the task has it;
OF_KIND has the heads of each kind. Logistic regression, nearest neighbours, the MLP and the forest learn from the
labelled rows alone. Label spreading, self-training and Yarowsky's rules see the pool too: other train rows, without
their labels. No head sees a query before it has learnt.
"""

# N drawn training rows, P rows of the pool, M queries, D dimensions, K classes, G values of the grid

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from genossl.evaluation import yarowsky
from genossl.evaluation.forest import forest
from genossl.evaluation.linear import in_the_span, logistic, one_vs_rest, ridge
from genossl.evaluation.mlp import mlp
from genossl.evaluation.tasks import CLASSES, MULTILABEL, REGRESSION

LARGEST_ROTATION = 2500  # dimensions; beyond, the eigenvectors cost more than they save
CODEBOOKS = 16  # groups of dimensions that are quantised, each by itself
CODES = 16  # centres of each group


@dataclasses.dataclass(frozen=True)
class Pool:
    """Train rows whose labels are not shown, and which genome (or contig) these and the labelled rows are of."""

    x_PD: np.ndarray
    group_P: np.ndarray
    group_N: np.ndarray


@dataclasses.dataclass(frozen=True)
class Axes:
    """What standardises: mean and scale of each dimension of the train rows, and their principal axes as columns."""

    mean_D: np.ndarray
    scale_D: np.ndarray  # infinite for a dimension that is constant in train, which so becomes 0
    axes_DD: np.ndarray | None  # None where there are too many dimensions, or one

    def scaled(self, x_ND: np.ndarray) -> np.ndarray:
        return ((x_ND - self.mean_D) / self.scale_D).astype(np.float32)

    def apply(self, x_ND: np.ndarray) -> np.ndarray:
        """float32 (N, D), centred, scaled and turned."""
        scaled_ND = self.scaled(x_ND)
        return scaled_ND if self.axes_DD is None else scaled_ND @ self.axes_DD.astype(np.float32)


def axes(train_ND: np.ndarray) -> Axes:
    """Mean, deviation and principal axes of the train rows; labels play no part.

    So all rows of the train split may be used, drawn or not: the five rows of a one-shot draw have no deviation worth
    the name.
    """
    found = centre(train_ND)
    if not 1 < train_ND.shape[1] <= LARGEST_ROTATION:
        return found
    scaled_ND = found.scaled(train_ND)
    _, axes_DD = np.linalg.eigh((scaled_ND.T @ scaled_ND).astype(np.float64))
    return dataclasses.replace(found, axes_DD=axes_DD)


def centre(train_ND: np.ndarray) -> Axes:
    """Mean and deviation of the train rows, nothing turned."""
    mean_D = train_ND.mean(0, dtype=np.float64)
    scale_D = train_ND.std(0, dtype=np.float64)
    return Axes(mean_D, np.where(scale_D > 1e-6 * np.maximum(np.abs(mean_D), 1e-6), scale_D, np.inf), None)


def standardise(train_ND: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`others`, centred and scaled by the mean and deviation of the train rows, then turned to their principal axes.

    The rotation changes neither head: both know angles and lengths only. A feature that is constant in train becomes 0.
    """
    found = axes(train_ND)
    return [found.apply(x) for x in others]


def nearest(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[int],
    pool: Pool | None = None,
) -> np.ndarray:  # fmt: skip
    """Shares of the votes of the k nearest rows by cosine, for each k of the grid; a tie goes to the closer class.

    A row votes for its class, or (y of 0 and 1 for each name, (N, K)) for all its names. k is at most the number of
    rows. Closeness adds up to 0.001 of a vote, so it decides ties and nothing else. In one dimension there are no
    angles: a distance d there counts as a cosine of (1 - d) / (1 + d).
    """
    close_MP, near_MP = _neighbours(train_ND, query_MD, max(grid))
    vote_NK = np.eye(n_classes)[y_N] if y_N.ndim == 1 else y_N
    most = near_MP.shape[1]
    votes_MPK = vote_NK[near_MP] * (1 + (close_MP[..., None] + 1) * (5e-4 / most))
    total_MPK = votes_MPK.cumsum(1)
    return np.stack([total_MPK[:, min(k, most) - 1] / min(k, most) for k in grid])


def nearest_mean(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_outputs: int, grid: Sequence[int],
    pool: Pool | None = None,
) -> np.ndarray:  # fmt: skip
    """(G, M, 1): the mean of the numbers of the k nearest rows by cosine, for each k of the grid."""
    _, near_MP = _neighbours(train_ND, query_MD, max(grid))
    total_MP = y_N[near_MP].cumsum(1)
    most = near_MP.shape[1]
    return np.stack([total_MP[:, [min(k, most) - 1]] / min(k, most) for k in grid])


def _neighbours(train_ND: np.ndarray, query_MD: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Closeness (1 for equal directions) and row of the nearest, up to `most`: (M, P) each."""
    metric = "cosine" if train_ND.shape[1] > 1 else "euclidean"
    model = NearestNeighbors(n_neighbors=min(most, len(train_ND)), metric=metric)
    far_MP, near_MP = model.fit(train_ND).kneighbors(query_MD)
    return 1 - far_MP if metric == "cosine" else (1 - far_MP) / (1 + far_MP), near_MP


def spreading(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[int],
    pool: Pool | None = None,
) -> np.ndarray:  # fmt: skip
    """Class probabilities of scikit-learn's label spreading over the graph of the k nearest rows, for each k.

    Zhou et al., Learning with local and global consistency, NIPS 2003. A query that no label reaches gets 1 / K.
    """
    x_ND, known_N = _with(pool, train_ND, y_N)
    said = []
    for k in grid:
        model = LabelSpreading(kernel="knn", n_neighbors=min(k, len(x_ND)), max_iter=200)
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            said.append(model.fit(x_ND, known_N).predict_proba(query_MD))
    return np.nan_to_num(np.stack(said), nan=1 / n_classes)


def self_training(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float],
    pool: Pool | None = None,
) -> np.ndarray:  # fmt: skip
    """Class probabilities of scikit-learn's self-training over logistic regression, for each C of the grid.

    A row of the pool that gets a class with a probability of at least 0.75 is a training row of that class from then
    on. Its labels are never taken back; Yarowsky's are.
    """
    x_ND, known_N = _with(pool, train_ND, y_N)
    x_ND, query_MD = in_the_span(x_ND, query_MD)
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no unlabelled rows, or not converged
        for c in grid:
            base = LogisticRegression(C=c, warm_start=True, max_iter=300)
            said.append(SelfTrainingClassifier(base, threshold=0.75).fit(x_ND, known_N).predict_proba(query_MD))
    return np.stack(said)


def quantise(pool_PD: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """`others` as codes, int64 (n, up to CODEBOOKS): the nearest k-means centre in each group of dimensions.

    Product quantisation, Jegou et al., TPAMI 2011. Dimensions are dealt to the groups in the order of their variance,
    so that none holds all that matter. Centres are of the pool; labels play no part.
    """
    order_D = np.argsort(-pool_PD.var(0), kind="stable")
    groups = [order_D[g::CODEBOOKS] for g in range(min(CODEBOOKS, len(order_D)))]
    codes = [np.empty((len(x), len(groups)), dtype=np.int64) for x in others]
    for g, dims in enumerate(groups):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than centres
            model = KMeans(min(CODES, len(pool_PD)), n_init="auto", random_state=g).fit(pool_PD[:, dims])
        for x, code in zip(others, codes, strict=True):
            code[:, g] = model.predict(x[:, dims])
    return codes


def decision_list(
    train_ND: np.ndarray, y_N: np.ndarray, query_MD: np.ndarray, n_classes: int, grid: Sequence[float],
    pool: Pool | None = None,
) -> np.ndarray:  # fmt: skip
    """Class probabilities of the summed rules of Yarowsky's algorithm on codes (see `quantise`), for each z.

    The rows are codes in place of vectors. Where the labels are too few for rules, every query gets the shares of the
    classes among the labelled rows. One sense per genome holds in learning only: a query is judged by itself.
    """
    x_ND, known_N = _with(pool, train_ND, y_N)
    group_N = np.arange(len(x_ND)) if pool is None else np.concatenate([pool.group_N, pool.group_P])
    log_share_K = np.log(np.maximum(np.bincount(y_N, minlength=n_classes), 0.5) / len(y_N))
    query_MF = yarowsky.one_hot(query_MD, CODES)
    said = []
    for z in grid:
        try:
            made = yarowsky.run(yarowsky.one_hot(x_ND, CODES), known_N, n_classes, group_N, yarowsky.Settings(z=z))
            said.append(softmax(query_MF @ made.score_FK + log_share_K, axis=1))
        except yarowsky.TooFewSeeds:
            said.append(np.tile(softmax(log_share_K), (len(query_MD), 1)))
    return np.stack(said)


def _with(pool: Pool | None, train_ND: np.ndarray, y_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows, then those of the pool, whose label is -1, as scikit-learn has it."""
    if pool is None:
        return train_ND, y_N
    return np.concatenate([train_ND, pool.x_PD]), np.concatenate([y_N, np.full(len(pool.x_PD), yarowsky.UNDECIDED)])


Head = Callable[..., np.ndarray]
SEMI_SUPERVISED: dict[str, Head] = {
    "label_spreading": spreading, "self_training": self_training, "yarowsky": decision_list,
}  # fmt: skip
HEADS: dict[str, Head] = {"logistic": logistic, "knn": nearest, "mlp": mlp, "forest": forest, **SEMI_SUPERVISED}
OF_KIND: dict[str, dict[str, Head]] = {  # the same heads for other kinds of task
    CLASSES: HEADS,
    MULTILABEL: {"logistic": one_vs_rest, "knn": nearest, "mlp": mlp, "forest": forest},
    REGRESSION: {"logistic": ridge, "knn": nearest_mean, "mlp": mlp, "forest": forest},
}
