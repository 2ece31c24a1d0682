"""Embeddings + labels -> scores: what a simple classifier reads from frozen vectors, at every number of labels.

The same reads, label draws and bootstrap replicates serve every embedding, so that two of them are compared in pairs.
"""

# N labelled rows, P rows of the pool, M test rows, D dimensions, K classes, U units of resampling, R replicates

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import heads, saved_head, scores, splits, tasks
from genossl.evaluation.table import read_table
from genossl.evaluation.tasks import Task
from genossl.genome.labels import read_labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(tasks.Settings):
    """Section `probe`."""

    heads: tuple[str, ...] = ("logistic", "knn")  # classifiers; also label_spreading, self_training and yarowsky
    penalty: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)  # C of logistic regression, chosen on validation rows
    neighbours: tuple[int, ...] = (1, 5, 20)  # k of the nearest neighbours (cosine), chosen on validation rows
    spreading: tuple[int, ...] = (5, 20)  # neighbours in the graph of label spreading, chosen on validation rows
    bounds: tuple[float, ...] = (1.0, 2.0, 3.0)  # z of Yarowsky's rules, chosen on validation rows
    unlabelled: int = 2000  # train rows at most that these two and self_training see without labels

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heads or not set(self.heads) <= set(heads.HEADS):
            raise ValueError(f"heads must be some of {', '.join(heads.HEADS)}")
        if not self.penalty or min(self.penalty) <= 0 or list(self.penalty) != sorted(set(self.penalty)):
            raise ValueError("penalty must be ascending numbers above 0")
        for name in ("neighbours", "spreading"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise ValueError(f"{name} must be whole numbers from 1 on")
        if not self.bounds or min(self.bounds) < 0 or self.unlabelled < 1:
            raise ValueError("bounds must be numbers from 0 on and unlabelled at least 1")

    def grid(self, head: str) -> tuple[float, ...] | tuple[int, ...]:
        own = {"knn": self.neighbours, "label_spreading": self.spreading, "yarowsky": self.bounds}
        return own.get(head, self.penalty)


@dataclasses.dataclass(frozen=True)
class Vectors:
    """One embedding as a head reads it, and which training rows these are."""

    row_N: np.ndarray  # ascending
    train_ND: np.ndarray
    query_MD: np.ndarray  # validation rows, then test rows


@dataclasses.dataclass(frozen=True)
class Result:
    """What one embedding got, for one head and number of shots."""

    head: str
    shots: str
    chosen: float | int
    validation: dict[str, float]  # mean balanced accuracy over draws, for each value of the grid
    values: np.ndarray  # (draws, 4): the metrics of scores.METRICS
    replicates: np.ndarray  # (draws, 4, R)
    confusion_KK: np.ndarray  # counts summed over draws
    undecided: int  # draws in which every test row got the same answer


def run(
    embeddings: list[Path], labels: Path, task: str, out: Path, settings: Settings, threads: int = 1,
    save_head: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score every embedding and write out (.tsv) with its .comparisons.tsv, .confusion.tsv and .json beside it.

    save_head: where to keep a linear head of all training labels, of the one embedding that is then expected.
    Returns the content of the .json. Raises InputError for labels that cannot be split or vectors that do not join.
    """
    from joblib import Parallel, delayed

    out = Path(out)
    if out.suffix != ".tsv":
        raise InputError(f"{out}: scores are written as .tsv")
    paths = {Path(path).stem: Path(path) for path in embeddings}
    if len(paths) < max(1, len(embeddings)):
        raise InputError(
            f"expected embeddings of different names, at least one; found {', '.join(map(str, embeddings)) or 'none'}"
        )
    if save_head is not None:
        saved_head.origin(saved_head.only(embeddings))  # refused before hours of work, not after
    try:
        ready = prepare(read_labels(labels), settings)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(labels)) else f"{labels}: {message}") from None
    for path in paths.values():
        join(path, ready.labels["id"].to_numpy(dtype=object))
    jobs = (delayed(score)(path, ready, settings) for path in paths.values())
    found = Parallel(n_jobs=min(threads, len(paths)), return_as="generator")(jobs)
    shown = files.progress(found, desc=f"probe {task}", unit="embedding", total=len(paths))
    results = dict(zip(paths, shown, strict=True))
    summary = describe(task, ready, results, settings)
    files.write_tsv(out, tidy(task, ready, results, settings))
    files.write_tsv(out.with_suffix(".comparisons.tsv"), comparisons(task, ready, results, settings))
    files.write_tsv(out.with_suffix(".confusion.tsv"), confusions(task, ready, results))
    files.write_json(out.with_suffix(".json"), summary)
    files.write_provenance(out, "probe", settings, {"labels": Path(labels), **paths}, settings.seed)
    if save_head is not None:
        path = saved_head.only(embeddings)
        vectors_ND = join(path, ready.labels["id"].to_numpy(dtype=object))
        saved_head.save(save_head, path, vectors_ND, ready, task, settings.penalty)
    return summary


def summary(out: Path) -> list[str]:
    """Mean balanced accuracy of every embedding at each number of labels, as lines of a table."""
    table = files.read_sheet(out)
    table = table[(table["metric"] == "balanced_accuracy") & (table["draw"] == "mean")]
    lines = []
    for head, rows in table.groupby("head", sort=False):
        shots = list(dict.fromkeys(rows["shots"]))
        lines.append(f"{f'balanced accuracy, {head}':36s}" + "".join(f"{n:>8s}" for n in shots))
        for name, row in rows.groupby("embedding", sort=False):
            lines.append(f"{name:36s}" + "".join(f"{float(value):8.3f}" for value in row["value"]))
    return lines


def prepare(labels: pd.DataFrame, settings: Settings) -> Task:
    """The task as these settings draw it, with unlabelled rows where a head asks for them."""
    semi = set(settings.heads) & set(heads.SEMI_SUPERVISED)
    return tasks.prepare(labels, settings, settings.unlabelled if semi else 0)


def join(path: Path, ids: np.ndarray) -> np.ndarray:
    """The vectors (N, D) of the labelled ids, in their order; vectors without a label are ignored.

    Raises InputError where an id has no vector or two of them.
    """
    table = read_table(path)
    names = pd.Index(table.rows["id"].astype(str))
    if names.has_duplicates:
        raise InputError(f"{path}: id {names[names.duplicated()][0]!r} has more than one vector")
    at = names.get_indexer(pd.Index(ids))
    if (missing := ids[at < 0]).size:
        extra = names[~names.isin(ids)]
        raise InputError(
            f"{path}: {missing.size} of {len(ids)} labelled ids have no vector ({', '.join(missing[:5])}); "
            f"{len(extra)} vectors have no label ({', '.join(extra[:5]) or 'none'})"
        )
    return np.asarray(table.vectors)[at].reshape(len(ids), -1)


def score(path: Path, task: Task, settings: Settings) -> list[Result]:
    """Every head at every number of shots on one embedding, on one thread: the numbers do not depend on how many."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        vectors_ND = join(path, task.labels["id"].to_numpy(dtype=object))
        query = np.concatenate([task.rows[splits.VALIDATION], task.rows[splits.TEST]])
        used = np.unique(np.concatenate([task.pool_P, *(rows for draws in task.draws.values() for rows in draws)]))
        train = vectors_ND[task.rows[splits.TRAIN]]
        plain = Vectors(used, *heads.standardise(train, vectors_ND[used], vectors_ND[query]))
        read = dict.fromkeys(settings.heads, plain)
        if "yarowsky" in read:
            pool_PD = plain.train_ND[np.searchsorted(used, task.pool_P)]
            read["yarowsky"] = Vectors(used, *heads.quantise(pool_PD, plain.train_ND, plain.query_MD))
        return [measure(head, shots, read[head], task, settings) for head in settings.heads for shots in task.draws]


def fit(head: str, rows: np.ndarray, x: Vectors, task: Task, grid: tuple[float, ...] | tuple[int, ...]) -> np.ndarray:
    """Scores (G, M, K) of a head that learns from the labels of `rows`, and sees the rest of the pool without any."""
    rest = np.setdiff1d(task.pool_P, rows)
    pool = heads.Pool(x.train_ND[np.searchsorted(x.row_N, rest)], task.group_N[rest], task.group_N[rows])
    train_ND = x.train_ND[np.searchsorted(x.row_N, rows)]
    return heads.HEADS[head](train_ND, task.y_N[rows], x.query_MD, len(task.classes), grid, pool)


def measure(head: str, shots: str, x: Vectors, task: Task, settings: Settings) -> Result:
    """Fit the whole grid on each draw; validation rows choose by mean balanced accuracy; test rows are read once."""
    grid, n_classes, n_validation = settings.grid(head), len(task.classes), len(task.rows[splits.VALIDATION])
    y_validation, y_test = (task.y_N[task.rows[side]] for side in (splits.VALIDATION, splits.TEST))
    fitted = [fit(head, rows, x, task, grid) for rows in task.draws[shots]]
    one_unit = np.zeros(n_validation, dtype=np.int64)
    judged_DG = np.array([
        [
            scores.balanced_accuracy(scores.unit_confusions(y_validation, said.argmax(1), one_unit, n_classes)[0])
            for said in said_GMK[:, :n_validation]
        ]
        for said_GMK in fitted
    ])  # fmt: skip
    best = int(judged_DG.mean(0).argmax())  # the first of equals: the smoothest line, the fewest neighbours
    values, replicates, confusion_KK, undecided = [], [], np.zeros((n_classes, n_classes), dtype=np.int64), 0
    plain_1U = np.ones((1, len(task.units.class_U)))
    for said_GMK in fitted:
        said_MK = said_GMK[best, n_validation:]
        weights_RU = np.concatenate([plain_1U, task.weights_RU])
        measured = scores.replicates(y_test, said_MK, task.units.unit_N, task.units.class_U, weights_RU)
        values.append(measured[:, 0])
        replicates.append(measured[:, 1:])
        np.add.at(confusion_KK, (y_test, said_MK.argmax(1)), 1)
        undecided += bool((said_MK == said_MK[0]).all())
    validation = {str(value): float(judged) for value, judged in zip(grid, judged_DG.mean(0), strict=True)}
    return Result(head, shots, grid[best], validation, np.stack(values), np.stack(replicates), confusion_KK, undecided)


def mean_replicates(result: Result, settings: Settings) -> np.ndarray:
    """(4, R): the mean over draws, the draws resampled too; the same for every embedding at this number of draws."""
    n_draws = len(result.values)
    rng = np.random.default_rng([settings.seed, 2, n_draws])
    return np.einsum("rd,dmr->mr", scores.resample_draws(n_draws, settings.replicates, rng), result.replicates)


def tidy(task: str, ready: Task, results: dict[str, list[Result]], settings: Settings) -> pd.DataFrame:
    """One line per embedding, head, shots, draw (and their mean) and metric."""
    lines, n = [], len(ready.rows[splits.TEST])
    for name, found in results.items():
        for r in found:
            means = mean_replicates(r, settings)
            rows = [(str(d), r.values[d], r.replicates[d]) for d in range(len(r.values))]
            for draw, values, replicates in [*rows, ("mean", r.values.mean(0), means)]:
                for i, metric in enumerate(scores.METRICS):
                    low, high = scores.interval(replicates[i])
                    lines.append((task, name, r.head, r.shots, draw, metric, float(values[i]), low, high, n))
    columns = ["task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(lines, columns=columns)


def comparisons(task: str, ready: Task, results: dict[str, list[Result]], settings: Settings) -> pd.DataFrame:
    """Every ordered pair of embeddings: the difference of their means over draws, replicate by replicate."""
    lines, n = [], len(ready.rows[splits.TEST])
    means = {name: [mean_replicates(r, settings) for r in found] for name, found in results.items()}
    pairs = [(name, base) for name in results for base in results if name != base]
    for name, base in pairs:
        for i, (ours, theirs) in enumerate(zip(results[name], results[base], strict=True)):
            difference_M = ours.values.mean(0) - theirs.values.mean(0)
            lows, highs = np.percentile(means[name][i] - means[base][i], [2.5, 97.5], axis=1)
            for metric, *numbers in zip(scores.METRICS, difference_M, lows, highs, strict=True):
                lines.append((task, ours.head, ours.shots, metric, name, base, *map(float, numbers), n))
    columns = ["task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n"]
    return pd.DataFrame(lines, columns=columns)


def confusions(task: str, ready: Task, results: dict[str, list[Result]]) -> pd.DataFrame:
    """Counts of every (label, predicted), summed over draws."""
    lines = [
        (task, name, r.head, r.shots, label, predicted, int(r.confusion_KK[i, j]))
        for name, found in results.items()
        for r in found
        for i, label in enumerate(ready.classes)
        for j, predicted in enumerate(ready.classes)
    ]
    columns = ["task", "embedding", "head", "shots", "label", "predicted", "count"]
    return pd.DataFrame(lines, columns=columns)


def describe(task: str, ready: Task, results: dict[str, list[Result]], settings: Settings) -> dict[str, Any]:
    """What was measured on what: counts, unit of resampling, notes, the hyper-parameters that validation chose."""
    per_class = {
        side: {name: int((ready.y_N[rows] == k).sum()) for k, name in enumerate(ready.classes)}
        for side, rows in ready.rows.items()
    }

    def by_head(found: list[Result], value: Any) -> dict[str, dict[str, Any]]:
        return {head: {r.shots: value(r) for r in found if r.head == head} for head in settings.heads}

    notes = list(ready.notes)
    for head in settings.heads:
        silent = {r.shots for found in results.values() for r in found if r.head == head and r.undecided}
        if silent:
            shots = ", ".join(s for s in ready.draws if s in silent)
            notes.append(f"{head}: too little to tell rows apart at shots {shots}; scored as the same answer for all")
    return {
        "task": task,
        "classes": ready.classes,
        **{f"n_{side}": len(rows) for side, rows in ready.rows.items()},
        "rows_per_class": per_class,
        "label_cap": settings.cap,
        "draws": {shots: len(draws) for shots, draws in ready.draws.items()},
        "unit": ready.units.kind,
        "n_units": {name: int((ready.units.class_U == k).sum()) for k, name in enumerate(ready.classes)},
        "standardisation": "mean and deviation of all train rows, labels unused",
        "chosen": {name: by_head(found, lambda r: r.chosen) for name, found in results.items()},
        "validation": {name: by_head(found, lambda r: r.validation) for name, found in results.items()},
        "undecided": {name: by_head(found, lambda r: r.undecided) for name, found in results.items()},
        "notes": notes,
        "settings": settings,
        "versions": files.versions(),
    }
