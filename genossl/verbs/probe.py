"""Embeddings + labels -> scores: what a simple classifier reads from frozen vectors, at every number of labels.

The same reads, label draws and bootstrap replicates serve every embedding, so that two of them are compared in pairs.
"""

# N labelled rows, P rows of the pool, M test rows, D dimensions, K classes, U units of resampling, R replicates

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError, naming
from genossl.evaluation import forest, heads, kinds, saved_head, splits, subsets, tasks, tidy
from genossl.evaluation.predictions import read as read_predictions
from genossl.evaluation.results import Result, measure, over_draws
from genossl.evaluation.subsets import Subset
from genossl.evaluation.table import called, join
from genossl.evaluation.tasks import Task
from genossl.evaluation.verdict import END_TO_END
from genossl.genome.labels import files_of, read_labels

BESIDE = (".comparisons", ".confusion", ".efficiency", ".calibration", ".subsets")  # tables beside the scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(tasks.Settings):
    """Section `probe`."""

    heads: tuple[str, ...] = ("logistic", "knn")  # also mlp, forest; label_spreading, self_training, yarowsky (classes)
    penalty: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)  # C of logistic (regression: ridge), chosen on validation rows
    neighbours: tuple[int, ...] = (1, 5, 20)  # k of the nearest neighbours (cosine), chosen on validation rows
    decay: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)  # weight decay of the mlp, chosen on validation rows
    leaf: tuple[int, ...] = (1, 2, 4, 8)  # rows in a leaf of the forest at least, chosen on validation rows
    spreading: tuple[int, ...] = (5, 20)  # neighbours in the graph of label spreading, chosen on validation rows
    bounds: tuple[float, ...] = (1.0, 2.0, 3.0)  # z of Yarowsky's rules, chosen on validation rows
    unlabelled: int = 2000  # train rows at most that these two and self_training see without labels

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heads or not set(self.heads) <= set(heads.HEADS):
            raise ValueError(f"heads must be some of {', '.join(heads.HEADS)}")
        if not self.penalty or min(self.penalty) <= 0 or list(self.penalty) != sorted(set(self.penalty)):
            raise ValueError("penalty must be ascending numbers above 0")
        if wrong := sorted(set(self.heads) - set(heads.OF_KIND[self.kind])):
            raise ValueError(f"heads {', '.join(wrong)} learn classes and nothing else; the kind is {self.kind}")
        if not self.decay or min(self.decay) <= 0:
            raise ValueError("decay must be numbers above 0")
        for name in ("neighbours", "spreading", "leaf"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise ValueError(f"{name} must be whole numbers from 1 on")
        if not self.bounds or min(self.bounds) < 0 or self.unlabelled < 1:
            raise ValueError("bounds must be numbers from 0 on and unlabelled at least 1")

    def grid(self, head: str) -> tuple[float, ...] | tuple[int, ...]:
        own = {
            "knn": self.neighbours,
            "mlp": self.decay,
            "forest": self.leaf,
            "label_spreading": self.spreading,
            "yarowsky": self.bounds,
        }
        return own.get(head, self.penalty)


@dataclasses.dataclass(frozen=True)
class Vectors:
    """One embedding as a head reads it, and which training rows these are."""

    row_N: np.ndarray  # ascending
    train_ND: np.ndarray
    query_MD: np.ndarray  # validation rows, then test rows


def run(
    embeddings: list[Path], labels: Path, task: str, out: Path, settings: Settings, threads: int = 1,
    predictions: list[Path] | None = None, audit: Path | None = None, save_head: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score every embedding; write out (.tsv), and comparisons, confusion, efficiency, calibration, .json beside it.

    predictions: .npz of networks trained end to end on the same task; audit: the audit's table of test rows, for
    .subsets.tsv; save_head: where to keep a linear head of all training labels, of the one embedding that is then
    expected. Returns the content of the .json. Raises InputError for labels that cannot be split, or vectors,
    predictions or an audit that do not join.
    """
    out = Path(out)
    if out.suffix != ".tsv":
        raise InputError(f"{out}: scores are written as .tsv")
    paths = _named(embeddings, predictions or [])
    kept = [] if save_head is None else saved_head.paths(save_head)
    written = [out, out.with_suffix(".json"), *(out.with_suffix(f"{suffix}.tsv") for suffix in BESIDE), *kept]
    files.spare(written, [*files_of(labels), *paths.values(), *(p.with_suffix(".tsv") for p in paths.values()), audit])
    if save_head is not None:
        saved_head.origin(saved_head.only(embeddings))  # refused before hours of work, not after
    with naming(labels):
        ready = prepare(read_labels(labels, empty=settings.kind == tasks.MULTILABEL), settings)
    for path in embeddings:
        join(Path(path), ready.labels["id"].to_numpy(dtype=object))
    networks = {called(path): read_predictions(path, ready) for path in map(Path, predictions or [])}
    parts, notes = subsets.read(audit, ready, settings) if audit else ([], [])
    results = _scored(embeddings, ready, settings, parts, task, threads)
    for name, said in networks.items():
        results[name] = [measure(END_TO_END, shots, None, {}, draws, ready, parts) for shots, draws in said.items()]
    record = describe(task, ready, results, settings, notes)
    primary, seed = settings.heads[0], settings.seed
    tables = {
        "": tidy.tidy(task, ready, results, seed),
        ".comparisons": tidy.comparisons(task, ready, results, seed, primary),
        ".confusion": tidy.confusions(task, ready, results),
        ".efficiency": tidy.efficiencies(task, ready, results, seed, primary),
        ".calibration": tidy.calibrations(task, results),
    }
    if audit:
        tables[".subsets"] = tidy.subset_scores(task, ready, results, seed, parts)
        paths["audit"] = Path(audit)
    files.clear(written[1:])
    for suffix, table in tables.items():
        files.write_tsv(out.with_suffix(f"{suffix}.tsv"), table)
    files.write_json(out.with_suffix(".json"), record)
    given = {"embeddings": embeddings, "labels": labels, "task": task, "out": out}
    given |= {"predictions": predictions, "audit": audit, "save_head": save_head}
    files.write_provenance(out, "probe", settings, {"labels": Path(labels), **paths}, settings.seed, given)
    if save_head is not None:
        path = saved_head.only(embeddings)
        vectors_ND = join(path, ready.labels["id"].to_numpy(dtype=object))
        saved_head.save(save_head, path, vectors_ND, ready, task, settings.penalty)
    return record


def _named(embeddings: list[Path], predictions: list[Path]) -> dict[str, Path]:
    """Files by the name that their rows get."""
    paths = {called(path): Path(path) for path in (*embeddings, *predictions)}
    if not embeddings or len(paths) < len(embeddings) + len(predictions):
        given = ", ".join(map(str, (*embeddings, *predictions))) or "none"
        raise InputError(
            f"expected embeddings and predictions of different names, at least one embedding; found {given}"
        )
    return paths


def _scored(
    embeddings: list[Path], ready: Task, settings: Settings, parts: list[Subset], task: str, threads: int
) -> dict[str, list[Result]]:
    from joblib import Parallel, delayed

    paths = [Path(path) for path in embeddings]
    found = Parallel(n_jobs=min(threads, len(paths)), return_as="generator")(
        delayed(score)(path, ready, settings, parts) for path in paths
    )
    shown = files.progress(found, desc=f"probe {task}", unit="embedding", total=len(paths))
    return dict(zip(map(called, paths), shown, strict=True))


def summary(out: Path) -> list[str]:
    """The mean primary metric of every embedding at each number of labels, as lines of a table."""
    table = files.read_sheet(out)
    metric = table["metric"].iloc[0]
    title = metric.replace("_", " ")
    table = table[(table["metric"] == metric) & (table["draw"] == "mean")]
    lines = []
    for head, rows in table.groupby("head", sort=False):
        shots = list(dict.fromkeys(rows["shots"]))
        lines.append(f"{f'{title}, {head}':36s}" + "".join(f"{n:>8s}" for n in shots))
        for name, row in rows.groupby("embedding", sort=False):
            lines.append(f"{name:36s}" + "".join(f"{float(value):8.3f}" for value in row["value"]))
    return lines


def prepare(labels: pd.DataFrame, settings: Settings, kind: tasks.Kind | None = None) -> Task:
    """The task as these settings draw it, with unlabelled rows where a head asks for them."""
    semi = set(settings.heads) & set(heads.SEMI_SUPERVISED)
    return tasks.prepare(labels, settings, settings.unlabelled if semi else 0, kind)


def score(path: Path, task: Task, settings: Settings, parts: Sequence[Subset] = ()) -> list[Result]:
    """Every head at every number of shots on one embedding, on one thread: the numbers do not depend on how many."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        vectors_ND = join(path, task.labels["id"].to_numpy(dtype=object))
        query = np.concatenate([task.rows[splits.VALIDATION], task.rows[splits.TEST]])
        used = np.unique(np.concatenate([task.pool_P, *(rows for draws in task.draws.values() for rows in draws)]))
        train = vectors_ND[task.rows[splits.TRAIN]]
        plain = Vectors(used, *heads.standardise(train, vectors_ND[used], vectors_ND[query]))
        read = dict.fromkeys(settings.heads, plain)
        if "forest" in read:
            read["forest"] = Vectors(used, *forest.as_read(train, vectors_ND[used], vectors_ND[query]))
        if "yarowsky" in read:
            pool_PD = plain.train_ND[np.searchsorted(used, task.pool_P)]
            read["yarowsky"] = Vectors(used, *heads.quantise(pool_PD, plain.train_ND, plain.query_MD))
        return [best(head, shots, read[head], task, settings, parts) for head in settings.heads for shots in task.draws]


def fit(head: str, rows: np.ndarray, x: Vectors, task: Task, grid: tuple[float, ...] | tuple[int, ...]) -> np.ndarray:
    """Scores (G, M, K) of a head that learns from the labels of `rows`, and sees the rest of the pool without any."""
    rest = np.setdiff1d(task.pool_P, rows)
    pool = heads.Pool(x.train_ND[np.searchsorted(x.row_N, rest)], task.group_N[rest], task.group_N[rows])
    train_ND = x.train_ND[np.searchsorted(x.row_N, rows)]
    return heads.OF_KIND[task.kind][head](train_ND, task.y_N[rows], x.query_MD, task.outputs, grid, pool)


def best(head: str, shots: str, x: Vectors, task: Task, settings: Settings, parts: Sequence[Subset] = ()) -> Result:
    """Fit the whole grid on each draw; validation rows choose by the mean primary metric; test rows are read once."""
    grid, n_validation = settings.grid(head), len(task.rows[splits.VALIDATION])
    y_validation = task.y_N[task.rows[splits.VALIDATION]]
    fitted = [fit(head, rows, x, task, grid) for rows in task.draws[shots]]
    judged_DG = np.array([
        [kinds.primary(task.kind, y_validation, said[:n_validation])[0] for said in said_GMK] for said_GMK in fitted
    ])  # fmt: skip
    g = int(judged_DG.mean(0).argmax())  # the first of equals: the smoothest line, the fewest neighbours
    validation = {str(value): float(judged) for value, judged in zip(grid, judged_DG.mean(0), strict=True)}
    test, judged = ([said_GMK[g][part] for said_GMK in fitted] for part in (np.s_[n_validation:], np.s_[:n_validation]))
    return measure(head, shots, grid[g], validation, test, task, parts, judged)


def mean_replicates(result: Result, settings: Settings) -> np.ndarray:
    """(metrics, R): the mean over draws, the draws resampled too."""
    return over_draws(result.replicates, settings.seed)


def describe(
    task: str, ready: Task, results: dict[str, list[Result]], settings: Settings, more: list[str]
) -> dict[str, Any]:
    """What was measured on what: counts, unit of resampling, notes, the hyper-parameters that validation chose."""
    heads_used = dict.fromkeys(r.head for found in results.values() for r in found)

    def by_head(value: Any) -> dict[str, dict[str, dict[str, Any]]]:
        return {
            name: {head: at for head in heads_used if (at := {r.shots: value(r) for r in found if r.head == head})}
            for name, found in results.items()
        }

    strata = ready.classes if ready.kind == tasks.CLASSES else ["all"]
    return {
        "task": task,
        "kind": ready.kind,
        "metric": kinds.METRICS[ready.kind][0],
        "metrics": kinds.METRICS[ready.kind],
        "classes": ready.classes,
        "shots": "labels per class" if ready.kind == tasks.CLASSES else "labelled rows in all",
        **{f"n_{side}": len(rows) for side, rows in ready.rows.items()},
        "rows_per_class": {side: _per_class(ready, rows) for side, rows in ready.rows.items()},
        "label_cap": settings.cap,
        "draws": {shots: len(draws) for shots, draws in ready.draws.items()},
        "labels": {shots: ready.labels_at(shots) for shots in ready.draws},
        "unit": ready.units.kind,
        "n_units": {name: int((ready.units.class_U == k).sum()) for k, name in enumerate(strata)},
        "standardisation": "mean and deviation of all train rows, labels unused",
        "chosen": by_head(lambda r: r.chosen),
        "validation": by_head(lambda r: r.validation),
        "undecided": by_head(lambda r: r.undecided),
        "notes": [*ready.notes, *more, *_notes(ready, results, heads_used, settings)],
        "settings": settings,
        "versions": files.versions(),
    }


def _per_class(ready: Task, rows: np.ndarray) -> dict[str, int]:
    """Rows of each class, or that have each name; none where labels are numbers."""
    y = ready.y_N[rows]
    return {name: int((y == k).sum() if y.ndim == 1 else y[:, k].sum()) for k, name in enumerate(ready.classes)}


def _notes(ready: Task, results: dict[str, list[Result]], heads_used: Iterable[str], settings: Settings) -> list[str]:
    """What a reader of these numbers should know."""
    every, notes = [r for found in results.values() for r in found], []
    for head in heads_used:
        silent = {r.shots for r in every if r.head == head and r.undecided}
        if silent:
            shots = ", ".join(s for s in ready.draws if s in silent)
            notes.append(f"{head}: too little to tell rows apart at shots {shots}; scored as the same answer for all")
    if ready.kind == tasks.CLASSES and (wild := sorted({r.head for r in every if r.calibration is None})):
        notes.append(f"{', '.join(wild)}: scores are no probabilities, so there is no calibration")
    if ready.kind == tasks.MULTILABEL and any(r.head == END_TO_END for r in every):
        notes.append(
            "end_to_end: names are said from a score of 0.5 on, of other heads from a threshold of validation rows"
        )
    least = 2 / (settings.replicates + 1) * max(len(results) - 1, 1)
    if least > 0.05:
        notes.append(
            f"{settings.replicates} replicates are too few for p_holm of {len(results) - 1} baselines to fall below "
            f"0.05 (at least {least:.2g})"
        )
    return notes
