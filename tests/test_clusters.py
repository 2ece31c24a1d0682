"""Clusters that were planted are found, noise is left out, and nothing depends on order, scale or turning."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from genossl.config import build
from genossl.errors import InputError
from genossl.evaluation import clusters
from genossl.evaluation.clusters import NOISE, Settings

SETTINGS = Settings(starts=5)
SIZES = (120, 80, 60, 40)


def planted(seed: int = 0, spread: float = 0.1, dims: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Rows about one direction for each of four classes of SIZES."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(dims, dims)))[0][:4]
    y_N = np.repeat(np.arange(4), SIZES)
    return centres[y_N] + spread * rng.normal(size=(len(y_N), dims)) / np.sqrt(dims), y_N


@pytest.mark.parametrize("name", clusters.ALGORITHMS)
@pytest.mark.parametrize("seed", range(3))
def test_planted_clusters_are_found(name: str, seed: int) -> None:
    x_ND, y_N = planted(seed)
    found = clusters.ALGORITHMS[name](x_ND, 4, SETTINGS)
    assert np.array_equal(found.cluster_N, y_N)  # the largest is 0, and all were planted in this order
    assert found.about["clusters"] == 4
    assert found.about["unclustered"] == 0


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_left_out_by_hdbscan_alone(seed: int) -> None:
    """On a circle: two fans of three clusters 40 degrees apart, and two rows alone, 50 degrees from the next."""
    rng = np.random.default_rng(seed)
    centre_N = np.repeat([0, 40, 80, 180, 220, 260], np.arange(70, 10, -10))
    angle_N = np.radians(np.append(centre_N + rng.normal(0, 2, len(centre_N)), [130, 310]))
    x_ND = np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)
    y_N = np.append(centre_N // 40, [NOISE, NOISE])
    found = clusters.hdbscan(x_ND, 6, SETTINGS).cluster_N
    assert (found[y_N == NOISE] == NOISE).all()
    assert adjusted_rand_score(y_N[:-2], found[:-2]) > 0.95
    assert (clusters.kmeans(x_ND, 6, SETTINGS).cluster_N >= 0).all()


@pytest.mark.parametrize("name", clusters.ALGORITHMS)
def test_order_of_rows_units_and_turning_do_not_matter(name: str) -> None:
    x_ND, y_N = planted(spread=0.5)
    found = clusters.ALGORITHMS[name](x_ND, 4, SETTINGS).cluster_N
    order = np.random.default_rng(2).permutation(len(x_ND))
    again = clusters.ALGORITHMS[name](x_ND[order], 4, SETTINGS).cluster_N
    assert adjusted_rand_score(found[order], again) > 0.99
    scaled = clusters.ALGORITHMS[name](x_ND * np.linspace(0.01, 100, x_ND.shape[1]) + 7, 4, SETTINGS).cluster_N
    assert np.array_equal(scaled, found)
    assert adjusted_rand_score(found, y_N) > 0.9
    assert np.array_equal(clusters.ALGORITHMS[name](x_ND, 4, SETTINGS).cluster_N, found)  # the same twice


def test_kmeans_is_that_of_scikit_learn_on_the_view() -> None:
    x_ND, _ = planted(spread=1.5)
    theirs = KMeans(4, n_init=5, random_state=0).fit_predict(clusters.view(x_ND))
    assert adjusted_rand_score(theirs, clusters.kmeans(x_ND, 4, SETTINGS).cluster_N) == 1


def test_the_size_of_hdbscan_is_the_one_with_the_best_silhouette() -> None:
    """Chosen again by hand, with scikit-learn's own mean silhouette of the rows taken, times their share."""
    x_ND, _ = planted(spread=1.2)
    found = clusters.hdbscan(x_ND, 4, SETTINGS)
    low_NP = clusters.principal(clusters.view(x_ND), 10)
    low_NP /= np.linalg.norm(low_NP, axis=1, keepdims=True)
    judged, partition = {}, {}
    for size in SETTINGS.smallest:
        c = partition[size] = HDBSCAN(min_cluster_size=size, min_samples=5, copy=True).fit_predict(low_NP)
        taken = c >= 0
        judged[size] = silhouette_score(low_NP[taken], c[taken]) * taken.mean() if c.max() > 0 else -1.0
    assert len({round(score, 6) for score in judged.values()}) > 1  # there was something to choose
    assert {int(size): score for size, score in found.about["silhouette"].items()} == pytest.approx(judged)
    best = max(judged, key=lambda size: judged[size])
    assert found.about["smallest"] == best
    assert adjusted_rand_score(partition[best], found.cluster_N) == 1


def test_labels_have_no_way_in() -> None:
    """HDBSCAN does not even use the number of classes."""
    x_ND, _ = planted(spread=0.8)
    assert np.array_equal(clusters.hdbscan(x_ND, 2, SETTINGS).cluster_N, clusters.hdbscan(x_ND, 9, SETTINGS).cluster_N)


def test_silhouette_counts_what_is_left_out() -> None:
    x_NP, y_N = planted()
    half = np.where(np.arange(len(y_N)) % 2, y_N, NOISE)
    assert clusters.silhouette(x_NP, y_N) == pytest.approx(silhouette_score(x_NP, y_N))
    taken = half >= 0
    assert clusters.silhouette(x_NP, half) == pytest.approx(silhouette_score(x_NP[taken], half[taken]) * taken.mean())
    assert clusters.silhouette(x_NP, np.zeros(len(y_N), int)) == -1
    assert clusters.silhouette(x_NP, np.full(len(y_N), NOISE)) == -1
    assert clusters.silhouette(x_NP, np.arange(len(y_N))) == -1  # all apart: scikit-learn refuses


def test_view_has_unit_rows_of_scaled_dimensions() -> None:
    x_ND = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 0] + 3  # the last is constant
    seen = clusters.view(x_ND)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(50))
    assert (seen[:, 3] == 0).all()
    scaled = (x_ND[:, :3] - x_ND[:, :3].mean(0)) / x_ND[:, :3].std(0)
    assert seen[:, :3] == pytest.approx(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))
    one = clusters.view(x_ND[:, :1])  # one dimension has no directions
    assert one == pytest.approx(scaled[:, :1])
    assert (clusters.view(np.ones((3, 2))) == 0).all()


@pytest.mark.parametrize("shape", [(60, 12), (12, 60)])
def test_principal_axes_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    """More rows than dimensions or fewer: the same distances as from the singular vectors."""
    x_ND = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 9, shape[1])
    left, value, _ = np.linalg.svd(x_ND - x_ND.mean(0), full_matrices=False)
    ours, theirs = clusters.principal(x_ND, 3), (left * value)[:, :3]
    assert abs(ours) == pytest.approx(abs(theirs), abs=1e-8)
    assert clusters.principal(x_ND, 99).shape == (shape[0], min(shape[1], shape[0] - 1))


def test_one_dimension_is_clustered_by_distance() -> None:
    x_ND = np.concatenate([np.full(30, 0.3), np.full(20, 0.6)])[:, None] + 1e-3 * np.arange(50)[:, None] / 50
    for name, algorithm in clusters.ALGORITHMS.items():
        assert algorithm(x_ND, 2, SETTINGS).cluster_N.tolist() == [0] * 30 + [1] * 20, name


def test_equal_rows_and_few_rows_end_without_clusters() -> None:
    same = np.ones((40, 3))
    assert clusters.kmeans(same, 4, SETTINGS).about["clusters"] == 1
    few = clusters.hdbscan(np.random.default_rng(0).normal(size=(9, 3)), 2, SETTINGS)
    assert (few.cluster_N == NOISE).all()
    assert few.about["note"] == "9 rows are too few"


def test_clusters_are_numbered_by_size_then_by_first_row() -> None:
    assert clusters.numbered(np.array([7, -1, 3, 3, 5, 7, 9, 9, 9])).tolist() == [1, -1, 2, 2, 3, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "mapping", [{"starts": 0}, {"axes": 0}, {"neighbours": 0}, {"silhouette_rows": 1}, {"smallest": []},
                {"smallest": [1, 5]}, {"smallest": [10, 5]}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(mapping: dict) -> None:
    with pytest.raises(InputError):
        build(Settings, mapping, "cluster")
