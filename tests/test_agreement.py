"""Scores of clusters: scikit-learn's values, a slow AMBER by loops, an example worked out by hand, closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn import metrics

from genossl.evaluation import agreement, scores

REFERENCES = {
    "ari": metrics.adjusted_rand_score,
    "nmi": metrics.normalized_mutual_info_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
}


def scored(y_N, cluster_N, bases_N=None) -> dict[str, float]:
    """Every metric of one clustering, by the way that the verb takes: every row its own unit."""
    y_N, cluster_N = np.asarray(y_N), np.asarray(cluster_N)
    bases_N = np.ones(len(y_N)) if bases_N is None else np.asarray(bases_N, dtype=float)
    found = agreement.replicates(cluster_N, bases_N, np.arange(len(y_N)), y_N, np.ones((1, len(y_N))))
    return dict(zip(agreement.METRICS, found[:, 0].tolist(), strict=True))


def drawn(seed: int, noise: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, clusters that know something of them, lengths."""
    rng = np.random.default_rng(seed)
    n, k, c = int(rng.integers(12, 80)), int(rng.integers(2, 6)), int(rng.integers(1, 7))
    y_N = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    cluster_N = np.where(rng.random(n) < rng.random(), y_N % c, rng.integers(c, size=n))
    if noise:
        cluster_N = np.where(rng.random(n) < 0.2, -1, cluster_N)
    return y_N, cluster_N, rng.integers(100, 10_000, size=n)


@pytest.mark.parametrize("seed", range(40))
def test_partitions_are_scored_as_by_scikit_learn(seed: int) -> None:
    y_N, cluster_N, _ = drawn(seed)
    found = scored(y_N, cluster_N)
    for name, reference in REFERENCES.items():
        assert found[name] == pytest.approx(reference(y_N, cluster_N), abs=1e-12), name
    taken = cluster_N >= 0
    assert found["ari_assigned"] == pytest.approx(metrics.adjusted_rand_score(y_N[taken], cluster_N[taken]), abs=1e-12)
    counts = metrics.cluster.contingency_matrix(y_N, cluster_N)
    assert found["purity"] == pytest.approx(counts.max(0).sum() / counts.sum())


def amber(y_N: np.ndarray, cluster_N: np.ndarray, bases_N: np.ndarray) -> dict[str, float]:
    """AMBER's definitions by loops over names, nothing vectorised."""
    length: dict[tuple[int, int], float] = {}
    count: dict[tuple[int, int], int] = {}
    for k, c, n in zip(y_N.tolist(), cluster_N.tolist(), bases_N.tolist(), strict=True):
        length[k, c] = length.get((k, c), 0) + n
        count[k, c] = count.get((k, c), 0) + 1
    genomes, bins = sorted(set(y_N.tolist())), sorted(set(cluster_N.tolist()) - {-1})
    found: dict[str, float] = {"bins": len(bins)}
    genome_of = {b: max(genomes, key=lambda g: length.get((g, b), 0)) for b in bins}
    bin_of = {g: max(bins, key=lambda b: length.get((g, b), 0)) for g in genomes} if bins else {}
    for unit, size in (("", count), ("_bp", length)):
        whole = {g: sum(size.get((g, b), 0) for b in [*bins, -1]) for g in genomes}
        in_bin = {b: sum(size.get((g, b), 0) for g in genomes) for b in bins}
        right = {b: size[genome_of[b], b] for b in bins}
        most = {g: size.get((g, bin_of[g]), 0) if bins else 0 for g in genomes}
        taken, n = sum(in_bin.values()), sum(whole.values())
        found[f"assigned{unit}"] = taken / n
        found[f"bin_purity{unit}"] = sum(right[b] / in_bin[b] for b in bins) / len(bins) if bins else 0
        found[f"purity_assigned{unit}"] = sum(right.values()) / taken if bins else 0
        found[f"genome_completeness{unit}"] = sum(most[g] / whole[g] for g in genomes) / len(genomes)
        found[f"completeness_weighted{unit}"] = sum(most.values()) / n
        found[f"accuracy{unit}"] = sum(right.values()) / n
    for c, x in itertools.product((0.5, 0.7, 0.9), (0.1, 0.05)):
        good = [
            b
            for b in bins
            if right[b] / whole[genome_of[b]] > c and right[b] / in_bin[b] > 1 - x  # of bases, the last of the loop
        ]
        found[f"bins_over{100 * c:.0f}_under{100 * x:.0f}"] = len(good)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_bins_are_measured_as_by_loops(seed: int) -> None:
    y_N, cluster_N, bases_N = drawn(seed)
    found = scored(y_N, cluster_N, bases_N)
    for name, value in amber(y_N, cluster_N, bases_N).items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_bins_worked_out_by_hand() -> None:
    """Genomes A (10 kb), B (10 kb), C (4 kb); contigs as (genome, kb, bin):

    bin 0: A 8, B 1    bin 1: B 6    bin 2: C 1, A 1    no bin: A 1, B 3, C 3
    """
    contigs = [
        ("A", 8, 0),
        ("B", 1, 0),
        ("B", 6, 1),
        ("C", 1, 2),
        ("A", 1, 2),
        ("A", 1, -1),
        ("B", 3, -1),
        ("C", 3, -1),
    ]
    y_N = np.array(["ABC".index(genome) for genome, _, _ in contigs])
    found = scored(y_N, [b for *_, b in contigs], [1000 * kb for _, kb, _ in contigs])
    assert found["bins"] == 3
    assert found["assigned"] == pytest.approx(5 / 8)  # contigs
    assert found["assigned_bp"] == pytest.approx(17 / 24)  # 9 + 6 + 2 of 24 kb
    # bins 0 and 1 stand for A and B; bin 2 holds as much of A as of C, and stands for the first
    assert found["bin_purity_bp"] == pytest.approx((8 / 9 + 6 / 6 + 1 / 2) / 3)
    assert found["bin_purity"] == pytest.approx((1 / 2 + 1 / 1 + 1 / 2) / 3)
    assert found["purity_assigned_bp"] == pytest.approx((8 + 6 + 1) / 17)
    assert found["accuracy_bp"] == pytest.approx((8 + 6 + 1) / 24)
    # most of A is in bin 0 (8 of 10), most of B in bin 1 (6 of 10), of C in bin 2 (1 of 4)
    assert found["genome_completeness_bp"] == pytest.approx((8 / 10 + 6 / 10 + 1 / 4) / 3)
    assert found["genome_completeness"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    assert found["completeness_weighted_bp"] == pytest.approx((8 + 6 + 1) / 24)
    # bin 0: complete 0.8, contaminated 1/9; bin 1: complete 0.6, contaminated 0; bin 2: complete 0.1
    assert found["bins_over50_under10"] == 1
    assert found["bins_over70_under10"] == 0
    # pairs of contigs in bins: one pair A,B in bin 0, one pair A,C in bin 2; same genome: A,A and B,B; none is both
    # of 10 pairs 2 share a bin and 2 a genome: (0 - 2 * 2 / 10) / ((2 + 2) / 2 - 4 / 10)
    assert found["ari_assigned"] == pytest.approx(-0.4 / 1.6)
    # pairs of bases, in C(n, 2) of thousands: every number below is of bases
    two = {n: n * (n - 1) / 2 for n in (1000, 2000, 6000, 7000, 8000, 9000, 17000)}
    both = two[8000] + 3 * two[1000] + two[6000]
    by_bin, by_genome = two[9000] + two[6000] + two[2000], two[9000] + two[7000] + two[1000]
    chance = by_bin * by_genome / two[17000]
    assert found["ari_assigned_bp"] == pytest.approx((both - chance) / ((by_bin + by_genome) / 2 - chance))


Y = np.repeat(np.arange(4), 25)


def test_perfect_clusters_score_one() -> None:
    found = scored(Y, (Y + 2) % 4, np.random.default_rng(0).integers(500, 5000, 100))
    assert {name: value for name, value in found.items() if value != pytest.approx(1)} == dict.fromkeys(
        agreement.COUNTS, 4.0
    )


def test_one_cluster_singletons_and_nothing() -> None:
    one, alone, none = (scored(Y, c) for c in (np.zeros(100, int), np.arange(100), np.full(100, -1)))
    for name in ("ari", "nmi", "homogeneity"):
        assert one[name] == pytest.approx(0, abs=1e-12), name
        assert none[name] == pytest.approx(0, abs=1e-12), name
    assert one["completeness"] == pytest.approx(1)
    assert one["purity"] == one["bin_purity"] == none["purity"] == 1 / 4
    assert one["genome_completeness"] == 1
    assert alone["ari"] == pytest.approx(0)
    assert alone["homogeneity"] == pytest.approx(1)
    assert alone["purity"] == alone["bin_purity_bp"] == 1
    assert alone["genome_completeness"] == pytest.approx(1 / 25)
    assert alone["completeness"] == pytest.approx(np.log(4) / np.log(100))  # H(class) / H(cluster)
    for name in ("assigned", "bins", "bin_purity", "genome_completeness_bp", "accuracy", "ari_assigned"):
        assert none[name] == 0, name


def test_chance_scores_nothing() -> None:
    """Over 200 random clusterings of 200 rows the ARI is 0 within four standard errors, and small in each."""
    rng = np.random.default_rng(0)
    y_N = rng.integers(5, size=200)
    found = np.array([scored(y_N, rng.integers(5, size=200))["ari"] for _ in range(200)])
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(200)
    assert abs(found).max() < 0.05


@pytest.mark.parametrize("seed", range(10))
def test_order_and_names_do_not_matter(seed: int) -> None:
    y_N, cluster_N, bases_N = drawn(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y_N))
    names = np.append(rng.permutation(cluster_N.max() + 1), -1)  # -1 stays what it is
    classes = rng.permutation(y_N.max() + 1)
    found = scored(y_N, cluster_N, bases_N)
    assert scored(y_N[order], cluster_N[order], bases_N[order]) == pytest.approx(found, abs=1e-12)
    assert scored(y_N, names[cluster_N], bases_N) == pytest.approx(found, abs=1e-12)
    # a bin with a tie between genomes counts rows of the first; lengths are drawn so that there is none
    assert scored(classes[y_N], cluster_N, bases_N) == pytest.approx(found, abs=1e-12)


def test_leaving_rows_out_is_told_and_never_agreement() -> None:
    """Of perfect clusters half the rows are left out: purity of bins stays, completeness and ARI fall."""
    cluster_N = np.where(np.arange(100) % 2, Y, -1)
    found = scored(Y, cluster_N)
    assert found["bin_purity"] == found["ari_assigned"] == 1
    assert found["assigned"] == found["accuracy"] == 0.5
    assert found["genome_completeness"] == pytest.approx(np.mean([12, 13, 12, 13]) / 25)
    assert found["ari"] < 0.5
    assert found["purity"] == pytest.approx((50 + 13) / 100)  # those left out are one more cluster


def test_replicates_are_scores_of_rows_repeated_as_often_as_drawn() -> None:
    y_N, cluster_N, bases_N = drawn(3)
    unit_N = np.unique(np.stack([y_N, np.arange(len(y_N)) % 3]), axis=1, return_inverse=True)[1].ravel()
    class_U = np.array([y_N[unit_N == u][0] for u in range(unit_N.max() + 1)])
    weights_RU = scores.resample(class_U, 20, np.random.default_rng(0))
    found_MR = agreement.replicates(cluster_N, bases_N, unit_N, class_U, weights_RU)
    for r, weights_U in enumerate(weights_RU):
        rows = np.repeat(np.arange(len(y_N)), weights_U[unit_N].astype(int))
        present = np.unique(y_N[rows], return_inverse=True)[1]
        slow = scored(present, cluster_N[rows], bases_N[rows])
        assert dict(zip(agreement.METRICS, found_MR[:, r], strict=True)) == pytest.approx(slow, abs=1e-12)


def test_tables_in_parts_are_tables_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    y_N, cluster_N, bases_N = drawn(5)
    weights_RU = scores.resample(y_N, 50, np.random.default_rng(0))
    whole = agreement.replicates(cluster_N, bases_N, np.arange(len(y_N)), y_N, weights_RU)
    monkeypatch.setattr(agreement, "AT_ONCE", 1)
    assert np.array_equal(agreement.replicates(cluster_N, bases_N, np.arange(len(y_N)), y_N, weights_RU), whole)


def world(rng: np.random.Generator, n_units: int, right: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """4 classes of so many units of 5 rows; some units are oftener in the right cluster than others."""
    y_N = np.repeat(np.arange(4), 5 * n_units)
    chance_U = np.clip(right + rng.normal(0, 0.15, 4 * n_units), 0, 1)
    hit_N = rng.random(len(y_N)) < np.repeat(chance_U, 5)
    return y_N, np.where(hit_N, y_N, rng.integers(4, size=len(y_N))), np.repeat(np.arange(4 * n_units), 5)


@pytest.mark.parametrize("metric", ["ari", "nmi", "purity", "genome_completeness_bp", "accuracy_bp"])
def test_intervals_cover_the_truth(metric: str) -> None:
    """Of 100 worlds of 20 units a class, at least 85 intervals hold the value of a world that is 500 times larger."""
    rng, at = np.random.default_rng(1), list(agreement.METRICS).index(metric)

    def measured(n_units: int, n_replicates: int) -> np.ndarray:
        y_N, cluster_N, unit_N = world(rng, n_units, 0.7)
        class_U = np.repeat(np.arange(4), n_units)
        weights = scores.resample(class_U, n_replicates, rng)
        weights = np.concatenate([np.ones((1, len(class_U))), weights])
        return agreement.replicates(cluster_N, np.ones(len(y_N)), unit_N, class_U, weights)[at]

    truth = measured(10_000, 0)[0]
    covered = 0
    for _ in range(100):
        value, *replicates = measured(20, 200)
        low, high = agreement.interval(metric, value, np.array(replicates))
        covered += low <= truth <= high
        assert low <= value <= high
    assert covered >= 85


def test_ends_stay_where_values_can_be() -> None:
    assert agreement.bounded("purity", (-0.1, 1.2)) == (0.0, 1.0)
    assert agreement.bounded("ari", (-0.1, 1.2)) == (-0.1, 1.0)
    assert agreement.bounded("bins", (3.0, 5.0)) == (3.0, 5.0)
    assert agreement.interval("bins", 9.0, np.array([3.0, 3.0])) == (3.0, 3.0)  # numbers of bins stay whole
    assert agreement.interval("ari", 0.5, np.array([0.6, 0.6])) == (0.5, 0.5)
