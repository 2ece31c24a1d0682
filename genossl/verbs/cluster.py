"""Embeddings + labels -> how well classes (genomes) are found again as clusters, without a label being shown.

Only test rows are clustered, so that the numbers speak of genomes that no encoder has learnt from. The same rows and
bootstrap replicates serve every embedding, so that each is compared with the rival (4-mers) in pairs.
"""

# N clustered rows, K classes, U units of resampling, R replicates, M metrics

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError, naming
from genossl.evaluation import agreement, clusters, scores, splits
from genossl.evaluation.clusters import Found
from genossl.evaluation.table import called, join
from genossl.genome.labels import files_of, of_task, read_labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(clusters.Settings):
    """Section `cluster`: which rows, which truth, how sure."""

    algorithms: tuple[str, ...] = ("kmeans", "hdbscan")  # how clusters are found; [] in a workflow: none are
    rival: str = "kmer4"  # embedding that all others are compared with; "" for none
    truth: Literal["label", "genome", "group"] = "label"  # column whose values should be found again, one a cluster
    cap: int = 1000  # test rows of a class at most, 0 for all; the same that the probe takes, or the first of them
    most: int = 20_000  # test rows in all at most, 0 for all; the cap is lowered where needed
    replicates: int = 1000  # of the bootstrap
    block: int = 20_000  # bases of one contig that are resampled together
    fractions: tuple[float, float, float] = (
        0.6,
        0.2,
        0.2,
    )  # train, validation, test where there is no split

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.algorithms) <= set(clusters.ALGORITHMS):
            raise ValueError(f"algorithms must be some of {', '.join(clusters.ALGORITHMS)}")
        if min(self.cap, self.most) < 0 or self.block < 1 or self.replicates < 100:
            raise ValueError("cap and most must be at least 0, block at least 1 and replicates at least 100")
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("fractions must be above 0 and sum to 1")


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is clustered, the same for every embedding."""

    ids: np.ndarray  # of the whole table, ordered
    at_N: np.ndarray  # which of these are clustered
    classes: list[str]
    y_N: np.ndarray
    bases_N: np.ndarray
    units: splits.Units
    weights_RU: np.ndarray
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Result:
    """What one algorithm found in one embedding."""

    algorithm: str
    found: Found
    values_M: np.ndarray
    replicates_MR: np.ndarray


def run(
    embeddings: list[Path], labels: Path, task: str, out: Path, settings: Settings, threads: int = 1
) -> dict[str, Any]:
    """Cluster every embedding and write out (.tsv) with its .comparisons.tsv, .assigned.tsv and .json beside it.

    Returns the content of the .json. Raises InputError for labels without test rows or vectors that do not join.
    """
    from joblib import Parallel, delayed

    out = Path(out)
    if out.suffix != ".tsv":
        raise InputError(f"{out}: scores are written as .tsv")
    if not settings.algorithms:
        raise InputError(f"algorithms: none given; expected some of {', '.join(clusters.ALGORITHMS)}")
    paths = {called(path): Path(path) for path in embeddings}
    written = [out, *(out.with_suffix(suffix) for suffix in (".comparisons.tsv", ".assigned.tsv", ".json"))]
    files.spare(written, [*files_of(labels), *(p.with_suffix(".tsv") for p in paths.values())])
    if (kind := of_task(labels).get("kind", "classes")) != "classes":
        raise InputError(f"{labels}: the task is of the kind {kind}; clusters are held against classes")
    if len(paths) < max(1, len(embeddings)):
        raise InputError(
            f"expected embeddings of different names, at least one; found {', '.join(map(str, embeddings)) or 'none'}"
        )
    if settings.rival and settings.rival not in paths:
        raise InputError(
            f"rival {settings.rival!r} is none of the embeddings ({', '.join(paths)}); name one of them as --rival, "
            "or --rival '' to compare with none"
        )
    with naming(labels):
        rows = prepare(read_labels(labels), settings)
    for path in paths.values():
        join(path, rows.ids)
    jobs = (delayed(measure)(path, rows, settings) for path in paths.values())
    found = Parallel(n_jobs=min(threads, len(paths)), return_as="generator")(jobs)
    shown = files.progress(found, desc=f"cluster {task}", unit="embedding", total=len(paths))
    results = dict(zip(paths, shown, strict=True))
    record = describe(task, rows, results, settings)
    files.clear(written[1:])
    files.write_tsv(out, tidy(task, rows, results))
    files.write_tsv(out.with_suffix(".comparisons.tsv"), comparisons(task, rows, results, settings.rival))
    files.write_tsv(out.with_suffix(".assigned.tsv"), assigned(rows, results))
    files.write_json(out.with_suffix(".json"), record)
    given = {"embeddings": embeddings, "labels": labels, "task": task, "out": out}
    files.write_provenance(out, "cluster", settings, {"labels": Path(labels), **paths}, settings.seed, given)
    return record


def summary(out: Path) -> list[str]:
    """The main scores of every embedding, as lines of a table."""
    table = files.read_sheet(out, comments=False)
    shown = {
        "ari": "ARI", "nmi": "NMI", "purity": "purity", "assigned": "assigned", "bins": "bins",
        "genome_completeness_bp": "complete", "bin_purity_bp": "pure", "bins_over50_under10": ">50 <10",
    }  # fmt: skip
    lines = []
    for algorithm, rows in table.groupby("algorithm", sort=False):
        lines.append(f"{algorithm!s:30s}" + "".join(f"{title:>10s}" for title in shown.values()))
        for name, own in rows.groupby("embedding", sort=False):
            value = own.set_index("metric")["value"].astype(float)
            cells = [f"{value[m]:10.0f}" if m in agreement.COUNTS else f"{value[m]:10.3f}" for m in shown]
            lines.append(f"{name!s:30s}" + "".join(cells))
    return lines


def prepare(labels: pd.DataFrame, settings: Settings) -> Rows:
    """Choose the rows and draw the bootstrap weights; nothing here has seen an embedding.

    Raises InputError where there are no test rows, or these are of one class.
    """
    labels = labels.sort_values("id", kind="stable").reset_index(drop=True)
    if settings.truth not in labels:
        raise InputError(f"no column {settings.truth}; truth must be a column of the labelled table")
    test, notes = tested(labels, settings)
    names = labels[settings.truth].to_numpy(dtype=str)
    at_N, more = capped(np.flatnonzero(test), names, settings)
    classes, y_N = np.unique(names[at_N], return_inverse=True)
    if "" in classes:
        raise InputError(f"empty {settings.truth} in test rows; every row needs one")
    if len(classes) < 2:
        only = f"{settings.truth} {str(classes[0])!r}"
        raise InputError(f"all {len(at_N)} test rows have the {only}; expected at least 2 to tell apart")
    own = labels.iloc[at_N]
    units = splits.units(own, y_N, settings.block, len(classes))
    single = [name for k, name in enumerate(classes) if (units.class_U == k).sum() < 2]
    if single:
        shown = ", ".join(single[:5]) + (", ..." if len(single) > 5 else "")
        more.append(f"one unit of resampling in {len(single)} classes ({shown}): intervals leave out how these vary")
    weights_RU = scores.resample(units.class_U, settings.replicates, np.random.default_rng([settings.seed, 1]))
    bases_N, how = lengths(own)
    return Rows(
        labels["id"].to_numpy(dtype=object), at_N, classes.tolist(), y_N, bases_N, units, weights_RU,
        [*notes, *more, *how],
    )  # fmt: skip


def tested(labels: pd.DataFrame, settings: Settings) -> tuple[np.ndarray, list[str]]:
    """Which rows are of test: as the split column says, else as the probe splits groups.

    The column may leave train empty, as nothing is learnt here; genomes that occur in test alone can be clustered.
    """
    if "split" not in labels:
        split = splits.assign(labels, settings.fractions, settings.block)
        return split.split_N == splits.TEST, split.notes
    if (empty := np.flatnonzero(labels["split"] == "")).size:
        raise InputError(
            f"id {labels['id'].iloc[empty[0]]!r}: empty split ({empty.size} rows); expected train, validation or test "
            "in every row, or no column split at all"
        )
    test = (labels["split"] == splits.TEST).to_numpy()
    if not test.any():
        raise InputError("no test rows in the split column; only rows that nothing was learnt from are clustered")
    return test, ["split column of the labelled table"]


def capped(rows: np.ndarray, names: np.ndarray, settings: Settings) -> tuple[np.ndarray, list[str]]:
    """At most `cap` rows of each class and `most` in all: those that come first where the probe caps its test rows."""
    found = sorted(set(names[rows]))
    limits = [n for n in (settings.cap, settings.most // len(found) if settings.most else 0) if n]
    if settings.most and settings.most < 2 * len(found):
        raise InputError(f"{len(found)} classes in test rows; at most {settings.most} rows are too few for these")
    cap = min(limits, default=0)
    pools = [rows[names[rows] == name] for name in found]
    if not cap or max(map(len, pools)) <= cap:
        return rows, []
    drawn = [splits.permutation(pool, name, settings.seed, 0)[:cap] for pool, name in zip(pools, found, strict=True)]
    return np.sort(np.concatenate(drawn)), [f"test rows capped at {cap} per {settings.truth}"]


def lengths(labels: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Bases of each row, from its coordinates or its sequence; 1 each, and a note, where the table has neither."""
    if "start" in labels and "end" in labels:
        return (labels["end"] - labels["start"]).to_numpy(dtype=float), []
    if "sequence" in labels:
        return labels["sequence"].str.len().to_numpy(dtype=float), []
    return np.ones(len(labels)), ["no coordinates or sequences in the table: every row counts as one base"]


def measure(path: Path, rows: Rows, settings: Settings) -> list[Result]:
    """Every algorithm on one embedding, on one thread: the numbers do not depend on how many."""
    from threadpoolctl import threadpool_limits

    weights_RU = np.concatenate([np.ones((1, len(rows.units.class_U))), rows.weights_RU])
    results = []
    with threadpool_limits(1):
        vectors_ND = join(path, rows.ids)[rows.at_N]
        for name in settings.algorithms:
            found = clusters.ALGORITHMS[name](vectors_ND, len(rows.classes), settings)
            measured = agreement.replicates(
                found.cluster_N, rows.bases_N, rows.units.unit_N, rows.units.class_U, weights_RU
            )
            results.append(Result(name, found, measured[:, 0], measured[:, 1:]))
    return results


def tidy(task: str, rows: Rows, results: dict[str, list[Result]]) -> pd.DataFrame:
    """One line per embedding, algorithm and metric."""
    lines = []
    for name, found in results.items():
        for r in found:
            for metric, value, replicates_R in zip(agreement.METRICS, r.values_M, r.replicates_MR, strict=True):
                ends = agreement.bounded(metric, agreement.interval(metric, value, replicates_R))
                lines.append((task, name, r.algorithm, metric, float(value), *ends, len(rows.at_N)))
    columns = ["task", "embedding", "algorithm", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(lines, columns=columns)


def comparisons(task: str, rows: Rows, results: dict[str, list[Result]], rival: str) -> pd.DataFrame:
    """Every embedding less the rival, replicate by replicate; no lines without a rival."""
    lines = []
    for name, found in results.items():
        if not rival or name == rival:
            continue
        for ours, theirs in zip(found, results[rival], strict=True):
            for i, metric in enumerate(agreement.METRICS):
                difference = float(ours.values_M[i] - theirs.values_M[i])
                ends = agreement.interval(metric, difference, ours.replicates_MR[i] - theirs.replicates_MR[i])
                lines.append((task, ours.algorithm, metric, name, rival, difference, *ends, len(rows.at_N)))
    columns = ["task", "algorithm", "metric", "embedding", "baseline", "difference", "low", "high", "n"]
    return pd.DataFrame(lines, columns=columns)


def assigned(rows: Rows, results: dict[str, list[Result]]) -> pd.DataFrame:
    """The cluster of each row by each embedding and algorithm: 0 is the largest, -1 none."""
    parts = [
        pd.DataFrame({
            "id": rows.ids[rows.at_N], "embedding": name, "algorithm": r.algorithm, "cluster": r.found.cluster_N
        })
        for name, found in results.items()
        for r in found
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def describe(task: str, rows: Rows, results: dict[str, list[Result]], settings: Settings) -> dict[str, Any]:
    """What was clustered and judged by what; what each algorithm chose, and why."""
    return {
        "task": task,
        "clustered": f"{len(rows.at_N)} test rows, {len(rows.classes)} values of {settings.truth}; no label was shown",
        "truth": settings.truth,
        "classes": rows.classes,
        "n": len(rows.at_N),
        "bases": float(rows.bases_N.sum()),
        "rows_per_class": {name: int((rows.y_N == k).sum()) for k, name in enumerate(rows.classes)},
        "unit": rows.units.kind,
        "n_units": {name: int((rows.units.class_U == k).sum()) for k, name in enumerate(rows.classes)},
        "intervals": "rows resampled, clusters as found: how a clustering of other rows would differ is not in them",
        "rival": settings.rival,
        "scaling": "each dimension by mean and deviation of the clustered rows, each row to length 1; labels unused",
        "found": {name: {r.algorithm: r.found.about for r in found} for name, found in results.items()},
        "metrics": agreement.METRICS,
        "settings": settings,
        "notes": rows.notes,
    }
