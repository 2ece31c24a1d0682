"""How well clusters agree with the classes (genomes) that they should be: scores of a table, and how sure they are.

A table is (..., K, 1 + C): rows, or bases, of each class in each cluster. Column 0 holds what no cluster took. All
scores take any leading shape, so that a thousand bootstrap replicates cost one matrix product.

Two families, because they treat what no cluster took in two ways:

* agreement over all rows (ari, nmi, homogeneity, completeness, purity): rows that no cluster took count as one more
  cluster, as scikit-learn's label -1 does. To take nothing earns nothing: ari, nmi and homogeneity are then 0.
* binning, as AMBER has it (Meyer et al., AMBER: Assessment of Metagenome BinnERs, GigaScience 7(6), giy069, 2018;
  version 2 of its code for completeness per genome, which CAMI II uses too). A genome is a class, a bin a cluster. A
  bin stands for the genome that most of its bases are of. What no bin took is outside purity and ari_assigned, is
  missing in completeness and accuracy, and is told as the share assigned.
"""

# K classes, C clusters, U units of resampling (each within one class), R replicates

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from genossl.evaluation import scores

AT_ONCE = 4_000_000  # cells of the tables that are held at a time
COMPLETE = (0.5, 0.7, 0.9)  # AMBER's defaults: a bin counts where it holds more of its genome than this
CONTAMINATED = (0.1, 0.05)  # and less than this is of other genomes
METRICS = {
    "ari": "adjusted Rand index over all rows: 1 for the classes, 0 on average by chance",
    "nmi": "normalised mutual information (arithmetic mean) over all rows",
    "homogeneity": "1 where each cluster holds one class (Rosenberg & Hirschberg 2007)",
    "completeness": "1 where each class is in one cluster (Rosenberg & Hirschberg 2007)",
    "purity": "share of all rows that are of the commonest class of their cluster",
    "assigned": "share of the rows that a cluster took",
    "assigned_bp": "share of the bases that a cluster took",
    "bins": "number of clusters",
    "bin_purity": "mean over bins of the share of rows that are of the bin's genome",
    "bin_purity_bp": "mean over bins of the share of bases that are of the bin's genome",
    "purity_assigned": "share of the rows taken that are of their bin's genome",
    "purity_assigned_bp": "share of the bases taken that are of their bin's genome",
    "genome_completeness": "mean over genomes of the share of rows in the bin that has most of the genome's bases",
    "genome_completeness_bp": "mean over genomes of the share of bases in the bin that has most of them",
    "completeness_weighted": "share of all rows that are in the bin that has most of their genome's bases",
    "completeness_weighted_bp": "share of all bases that are in the bin that has most of their genome's bases",
    "accuracy": "share of all rows that are in a bin of their genome",
    "accuracy_bp": "share of all bases that are in a bin of their genome",
    "ari_assigned": "adjusted Rand index over pairs of rows that a bin took",
    "ari_assigned_bp": "adjusted Rand index over pairs of bases that a bin took",
    **{
        f"bins_over{100 * c:.0f}_under{100 * x:.0f}": f"bins with completeness over {100 * c:.0f} % and contamination "
        f"under {100 * x:.0f} %, by bases"
        for c, x in itertools.product(COMPLETE, CONTAMINATED)
    },
}
COUNTS = tuple(name for name in METRICS if name.startswith("bins"))  # numbers of bins; all else is a share or an index
LOWEST = {"ari": -1.0, "ari_assigned": -1.0, "ari_assigned_bp": -1.0}  # 0 for all else


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """above / below, and `otherwise` where below is 0."""
    shape = np.broadcast(above, below).shape
    return np.divide(above, below, out=np.full(shape, otherwise), where=below != 0)


def ari(table_KC: np.ndarray) -> np.ndarray:
    """Adjusted Rand index (Hubert & Arabie 1985): 0 for one cluster or all apart, 1 where both partitions are alike.

    1 too where nothing could be otherwise (both of one part, or all apart), as in scikit-learn; 0 without a pair.
    """
    both, classes, clusters, n = (
        (x * (x - 1) / 2).sum(-1)
        for x in (
            table_KC.reshape(*table_KC.shape[:-2], -1),
            table_KC.sum(-1),
            table_KC.sum(-2),
            table_KC.sum((-2, -1))[..., None],
        )
    )
    expected = _ratio(classes * clusters, n)
    index = _ratio(both - expected, (classes + clusters) / 2 - expected, 1.0)
    return np.where(n > 0, index, 0.0)


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Of the shares along the last axis, in nats."""
    share = _ratio(counts, counts.sum(-1, keepdims=True))
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1)


def information(table_KC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(nmi, homogeneity, completeness): mutual information over the mean entropy, the classes' and the clusters'.

    1 where the entropy below the line is 0, as in scikit-learn: one class is always found homogeneous.
    """
    h_class, h_cluster = _entropy(table_KC.sum(-1)), _entropy(table_KC.sum(-2))
    h_both = _entropy(table_KC.reshape(*table_KC.shape[:-2], -1))
    shared = np.maximum(h_class + h_cluster - h_both, 0.0)
    return tuple(_ratio(shared, h, 1.0) for h in ((h_class + h_cluster) / 2, h_class, h_cluster))  # type: ignore


def purity(table_KC: np.ndarray) -> np.ndarray:
    """Share that is of the commonest class of its cluster; 1 / K for one cluster of K classes of one size."""
    return _ratio(table_KC.max(-2).sum(-1), table_KC.sum((-2, -1)))


def binning(rows_KC: np.ndarray, bases_KC: np.ndarray) -> dict[str, np.ndarray]:
    """AMBER's measures of tables whose column 0 no bin took: name -> (...). 0 for the purity of no bins at all.

    As in AMBER, which genome a bin stands for and which bin has most of a genome are decided by bases, also for the
    measures that count rows. A genome in no bin has completeness 0.
    """
    bins = {"": rows_KC[..., 1:], "_bp": bases_KC[..., 1:]}
    whole_K = {"": rows_KC.sum(-1), "_bp": bases_KC.sum(-1)}
    genome_C = bins["_bp"].argmax(-2)  # of each bin
    bin_K = bins["_bp"].argmax(-1)  # of each genome
    n_bins = np.count_nonzero(bins[""].sum(-2) > 0, axis=-1)
    found = {"bins": np.asarray(n_bins, dtype=float)}
    for unit, table_KC in bins.items():
        right_C = np.take_along_axis(table_KC, genome_C[..., None, :], -2)[..., 0, :]
        most_K = np.take_along_axis(table_KC, bin_K[..., None], -1)[..., 0]
        size_C, n = table_KC.sum(-2), whole_K[unit].sum(-1)
        taken, right = size_C.sum(-1), right_C.sum(-1)
        found[f"assigned{unit}"] = _ratio(taken, n)
        found[f"bin_purity{unit}"] = _ratio(_ratio(right_C, size_C).sum(-1), n_bins)
        found[f"purity_assigned{unit}"] = _ratio(right, taken)
        found[f"genome_completeness{unit}"] = _ratio(most_K, whole_K[unit]).mean(-1)
        found[f"completeness_weighted{unit}"] = _ratio(most_K.sum(-1), n)
        found[f"accuracy{unit}"] = _ratio(right, n)
        found[f"ari_assigned{unit}"] = ari(table_KC)
        if unit == "_bp":
            pure_C = _ratio(right_C, size_C)
            complete_C = _ratio(right_C, np.take_along_axis(whole_K[unit], genome_C, -1))
    for c, x in itertools.product(COMPLETE, CONTAMINATED):
        good_C = (complete_C > c) & (pure_C > 1 - x)
        found[f"bins_over{100 * c:.0f}_under{100 * x:.0f}"] = np.asarray(np.count_nonzero(good_C, axis=-1), dtype=float)
    return found


def measures(rows_KC: np.ndarray, bases_KC: np.ndarray) -> np.ndarray:
    """All METRICS, in their order: (M, ...)."""
    nmi, homogeneity, completeness = information(rows_KC)
    found = {"ari": ari(rows_KC), "nmi": nmi, "homogeneity": homogeneity, "completeness": completeness}
    found |= {"purity": purity(rows_KC)} | binning(rows_KC, bases_KC)
    return np.stack([found[name] for name in METRICS])


def unit_tables(cluster_N: np.ndarray, weight_N: np.ndarray, unit_N: np.ndarray, n_units: int) -> np.ndarray:
    """Weight of each unit of resampling in column 0 (cluster -1) and in each cluster (0 ..): (U, 1 + C), C >= 1."""
    width = max(int(cluster_N.max(initial=-1)) + 1, 1) + 1
    cell_N = unit_N * width + cluster_N + 1
    return np.bincount(cell_N, weights=weight_N, minlength=n_units * width).reshape(n_units, width)


def _weighted(weights_RU: np.ndarray, table_UC: np.ndarray, class_U: np.ndarray, n_classes: int) -> np.ndarray:
    """Tables (R, K, 1 + C) under weights of the units."""
    return np.stack([weights_RU[:, class_U == k] @ table_UC[class_U == k] for k in range(n_classes)], axis=1)


def replicates(
    cluster_N: np.ndarray, bases_N: np.ndarray, unit_N: np.ndarray, class_U: np.ndarray, weights_RU: np.ndarray
) -> np.ndarray:
    """All METRICS of one clustering under each row of weights of the units: (M, R). The clusters stay as found."""
    n_units, n_classes = len(class_U), int(class_U.max()) + 1
    rows_UC = unit_tables(cluster_N, np.ones(len(cluster_N)), unit_N, n_units)
    bases_UC = unit_tables(cluster_N, bases_N, unit_N, n_units)
    step = max(1, AT_ONCE // (n_classes * rows_UC.shape[1]))

    def parts() -> Iterator[np.ndarray]:
        for i in range(0, len(weights_RU), step):
            part_RU = weights_RU[i : i + step]
            yield measures(*(_weighted(part_RU, table_UC, class_U, n_classes) for table_UC in (rows_UC, bases_UC)))

    return np.concatenate(list(parts()), axis=1)


def interval(metric: str, value: float, replicates_R: np.ndarray) -> tuple[float, float]:
    """The percentiles 2.5 and 97.5 of the replicates, moved so that their mean is the value.

    Rows that are drawn twice agree with themselves, so resampled clusters look purer than they are: the replicates
    tell the spread, not the place. Numbers of bins are not moved: they stay whole. For a difference of two values
    give the difference of their replicates.
    """
    if metric in COUNTS:
        return scores.interval(replicates_R)
    low, high = scores.interval(replicates_R - replicates_R.mean() + value)
    return low, high


def bounded(metric: str, ends: tuple[float, float]) -> tuple[float, float]:
    """Ends of an interval cut off where no value of the metric can be."""
    highest = np.inf if metric in COUNTS else 1.0
    low, high = np.clip(ends, LOWEST.get(metric, 0.0), highest)
    return float(low), float(high)
