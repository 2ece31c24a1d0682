"""Scores, logs and counts -> one HTML file that opens anywhere and says first whether pretraining helped.

Reads results/<collection>/{store,runs,embeddings,scores}; whatever is missing is said in the page. Figures are inline
SVG; the page holds no script and may load nothing (Content-Security-Policy). Names from users' files are escaped.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation import compared, figures, ranking, runs, splits
from genossl.evaluation import verdict as judge
from genossl.evaluation.runs import Run
from genossl.evaluation.table import read_table
from genossl.files import atomic, read_json, read_sheet, write_provenance
from genossl.genome.labels import read_labels

SCORES = ("task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n")
COMPARISONS = ("task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n")
CONFUSION = ("task", "embedding", "head", "shots", "label", "predicted", "count")
LOG = ("step", "split", "loss", "top1", "candidates", "bases")
NAMES = {
    "ours": "ours (pretrained)",
    "untrained": "same encoder, untrained",
    "paper": "published network, at this budget",
    "kmer_mlp": "k-mer MLP, same contrast, no recurrence",
    "gc": "GC content",
    "same_strand": "target not reverse-complemented",
    "one_length": "one target length",
    "many_lengths": "many target lengths",
}
METRICS = {
    "macro_f1": "Macro-F1",
    "mcc": "Matthews correlation",
    "auroc": "AUROC",
    "spearman": "Spearman's rank correlation",
    "pearson": "Pearson's correlation",
    "rmse": "Root mean squared error (less is better)",
}
BESIDE = (".comparisons.tsv", ".confusion.tsv", ".efficiency.tsv", ".calibration.tsv", ".subsets.tsv")  # of scores
HEADS = {
    "logistic": "logistic regression",
    "knn": "nearest neighbours",
    "label_spreading": "label spreading",
    "self_training": "self-training",
    "yarowsky": "Yarowsky's rules",
    "mlp": "a layer of 64 units",
    "forest": "random forest",
    "end_to_end": "networks trained end to end",
}
ROWS_SHOWN = 1000  # of the genome table; a page with more is slow to open and nobody reads it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the report calls ours, and where the verdict looks."""

    ours: str = "ours"  # the row the verdict is about
    untrained: str = "untrained"  # the same encoder with the weights it started from
    kmer_mlp: str = "kmer_mlp"  # the contrastive baseline of the second sentence
    ablations: tuple[str, ...] = (
        "same_strand",
        "one_length",
        "many_lengths",
    )  # runs that differ from ours in one thing
    verdict_shots: str | int = "10"  # labels per class of the verdict; the nearest count there is, where absent
    head: str = "logistic"  # readout of the verdict, tables and confusion matrices
    map_rows: int = 1000  # test rows on a map, at most; at least 4
    seed: int = 0  # of the rows on the map and of t-SNE
    left_out: tuple[str, ...] = ()  # methods that were not compared, and why; the workflow fills this in


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The scores of one task; comparisons and confusion may have no rows."""

    name: str
    record: dict[str, Any]
    scores: pd.DataFrame
    comparisons: pd.DataFrame
    confusion: pd.DataFrame


def run(results: Path, out: Path, settings: Settings, labels: Mapping[str, Path] | None = None) -> list[str]:
    """Write the report of one results/<collection> folder to `out`; return its findings, three or four lines per task.

    `labels` names the labelled table of a task for its map, where the scores' record does not.
    Raises InputError where the folder holds no store, no runs and no scores, or a table is damaged.
    """
    results, out = Path(results), Path(out)
    if out.suffix not in (".html", ".htm"):
        raise InputError(f"{out}: the report is HTML; expected a name that ends in .html")
    found = read_runs(results)
    tasks = read_tasks(results)
    store = results / "store" / "store.json"
    if not (store.is_file() or found or tasks):
        raise InputError(
            f"{results}: nothing to report; looked for store/store.json, runs/*/encoder.json and scores/*.tsv"
        )
    told = [task_view(results, plain(task), settings, (labels or {}).get(task.name)) for task in tasks]
    scores = {task.name: task.scores for task in tasks}
    methods = compared.view(
        results, found, scores, settings.left_out, shots=str(settings.verdict_shots), head=settings.head
    )
    headlines = {task["name"]: task["headline"] for task in methods["tasks"]} if methods else {}
    page = render(
        {
            "collection": results.resolve().name,
            "tasks": told,
            "genomes": genomes_view(results),
            "pretraining": runs_view(found),
            "compared": methods,
            "headlines": headlines,
            "records": records_view(results),
            "settings": dataclasses.asdict(settings),
        }
    )
    with atomic(out, "w") as stream:
        stream.write(page)
    inputs = {f"scores/{task.name}": results / "scores" / f"{task.name}.tsv" for task in tasks}
    write_provenance(out, "report", settings, inputs, settings.seed)
    if not told:
        return [f"No verdict: {results} holds no scores yet."]
    prefix = {view["name"]: f"{view['name']}: " if len(told) > 1 else "" for view in told}
    lines = {view["name"]: [*view["findings"], *filter(None, [headlines.get(view["name"])])] for view in told}
    return [prefix[name] + line for name, found in lines.items() for line in found]


def render(context: dict[str, Any]) -> str:
    """The template with every name escaped; a value it lacks is an error, not an empty place."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"duration": duration, "flops": runs.flops, "known": lambda x: x is not None and x == x}
    template = importlib.resources.files("genossl.verbs").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(context)


# ---- what lies on disk


def read_runs(results: Path) -> list[Run]:
    """All runs, ours first by the order of names that readers expect."""
    found = []
    for folder in sorted((results / "runs").glob("*/")):
        record = folder / "encoder.json"
        log = folder / "log.tsv"
        if record.is_file() or log.is_file():
            found.append(Run(name=folder.name, record=read_json(record) if record.is_file() else {}, log=_log(log)))
    order = in_order([run.name for run in found])
    return sorted(found, key=lambda run: order.index(run.name))


def _log(path: Path) -> pd.DataFrame | None:
    if not _has_rows(path):
        return None
    log = read_sheet(path, LOG)
    return _numeric(log, [str(name) for name in log if name != "split"])


def _has_rows(path: Path) -> bool:
    """Whether a table is there and holds more than its header line."""
    return path.is_file() and "\n" in path.read_text(encoding="utf-8").strip()


def read_tasks(results: Path) -> list[Task]:
    """Every scores/<task>.tsv with what lies beside it."""
    folder = results / "scores"
    paths = [p for p in sorted(folder.glob("*.tsv")) if not p.name.endswith(BESIDE)]
    return [
        Task(
            name=path.name.removesuffix(".tsv"),
            record=_record(path.with_suffix(".json")),
            scores=_numeric(read_sheet(path, SCORES), ["value", "low", "high", "n"]),
            comparisons=_numeric(
                _optional(path.with_suffix(".comparisons.tsv"), COMPARISONS), ["difference", "low", "high", "n"]
            ),
            confusion=_numeric(_optional(path.with_suffix(".confusion.tsv"), CONFUSION), ["count"]),
        )
        for path in paths
    ]


def plain(task: Task) -> Task:
    """The task without the rows of compared methods, which have a section of their own."""
    compared = {name for name in task.scores["embedding"] if ranking.is_compared(name)}
    pairs = task.comparisons
    return dataclasses.replace(
        task,
        scores=task.scores[~task.scores["embedding"].isin(compared)],
        comparisons=pairs[~pairs["embedding"].isin(compared) & ~pairs["baseline"].isin(compared)],
    )


def _optional(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not _has_rows(path):
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    return read_sheet(path, columns)


def _record(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _numeric(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype(float) for name in columns})


# ---- words


def in_order(names: Iterable[str]) -> list[str]:
    """Ours, trained baselines, variants, untrained, k-mer profiles by k, GC: the order of all tables and legends."""
    first = {"ours": 0, "kmer_mlp": 1, "paper": 2, "untrained": 5, "gc": 7}

    def key(name: str) -> tuple[int, int, str]:
        kmer = re.match(r"kmer(\d+)$", name)
        return (6, int(kmer[1]), name) if kmer else (first.get(name, 3 if name in NAMES else 4), 0, name)

    return sorted(set(names), key=key)


def named(name: str, settings: Settings | None = None) -> str:
    """What a reader sees for a row: "kmer5" -> "5-mer profile"."""
    if settings and name == settings.ours:
        return NAMES["ours"]
    kmer = re.match(r"kmer(\d+)$", name)
    return f"{kmer[1]}-mer profile" if kmer else NAMES.get(name, name)


def duration(seconds: float) -> str:
    """ "75 s", "12.5 min" or "3.2 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# ---- sections


def genomes_view(results: Path) -> dict[str, Any] | None:
    """Counts per genome and per split; None without a store."""
    path = results / "store" / "store.json"
    if not path.is_file():
        return None
    meta = read_json(path)
    counts = meta.get("genomes", meta.get("counts", {}))
    if isinstance(counts, Mapping):
        counts = [{"genome": name, **values} for name, values in counts.items()]
    sheet = results / "store" / "genomes.tsv"
    sides = {}
    if sheet.is_file():
        frame = read_sheet(sheet, ("genome",))
        sides = dict(zip(frame["genome"], frame.get("split", pd.Series([""] * len(frame))), strict=True))
    rows = [
        {
            "genome": str(entry.get("genome", entry.get("name", ""))),
            "records": int(entry.get("records", 0)),
            "bases": int(entry.get("bases", 0)),
            "n_N": int(entry.get("n_N_tokens", entry.get("n_N", 0))),
            "gc": float("nan") if entry.get("gc") is None else float(entry["gc"]),
            "split": sides.get(str(entry.get("genome", entry.get("name", ""))), "") or "not given",
        }
        for entry in counts
    ]
    frame = pd.DataFrame(rows, columns=["genome", "records", "bases", "n_N", "gc", "split"])
    order = [s for s in ("train", "validation", "test") if s in set(frame["split"])]
    order += sorted(set(frame["split"]) - set(order))
    totals = [_total(split, frame[frame["split"] == split]) for split in order]
    if len(totals) != 1:
        totals.append(_total("all", frame))
    return {"rows": rows[:ROWS_SHOWN], "left_out": max(len(rows) - ROWS_SHOWN, 0), "totals": totals}


def _total(split: str, rows: pd.DataFrame) -> dict[str, Any]:
    """GC of several genomes is weighted by their bases that are A, C, G or T."""
    weights = (rows["bases"] - rows["n_N"]).where(rows["gc"].notna(), 0).astype(float)
    gc = float((rows["gc"].fillna(0) * weights).sum() / weights.sum()) if weights.sum() else float("nan")
    sums = {name: int(rows[name].sum()) for name in ("records", "bases", "n_N")}
    return {"split": split, "genomes": len(rows), "gc": gc, **sums}


def runs_view(found: list[Run]) -> dict[str, Any] | None:
    """The curves and the tables of runs, compared methods as the mean of their seeds; None without runs."""
    if not found:
        return None
    own, groups = runs.own(found), runs.groups(found)
    logs = {run.name: run.log for run in own if run.log is not None}
    names = {run.name: named(run.name) for run in [*own, *groups]}
    rows = [runs.summary(run) | {"name": names[run.name]} for run in [*own, *groups]]
    every = [run.log for run in found if run.log is not None]
    return {
        "figure": _safe(figures.pretraining(logs, names)) if logs else None,
        "has_logs": bool(every),
        "has_validation": any((log["split"] == "validation").any() for log in every),
        "rows": rows,
        "watched": [row for row in rows if any(row[name] is not None for name in (*runs.HEALTH, "kmer4"))],
        "shortcuts": [line for row in rows if (line := runs.shortcut(row, row["name"]))],
    }


def task_view(results: Path, task: Task, settings: Settings, labels: Path | None) -> dict[str, Any]:
    """Everything the page says about one task."""
    s, scores, comparisons = settings, task.scores, task.comparisons
    unit = str(task.record.get("unit", ""))
    asked = judge.asked(task.record)
    metric = asked["metric"]
    verdict = judge.verdict(
        scores,
        comparisons,
        ours=s.ours,
        untrained=s.untrained,
        shots=str(s.verdict_shots),
        head=s.head,
        unit=unit,
        **asked,
    )
    rows = judge.means(scores, s.head, metric)
    order = in_order(rows["embedding"])
    if s.ours in order:
        order = [s.ours, *[name for name in order if name != s.ours]]
    shots = sorted(set(rows["shots"]), key=judge.shots_order)
    most = shots[-1] if shots else ""
    profile = judge.best_kmers(scores, verdict.shots, s.head, metric)
    line = judge.crossover(scores, comparisons, ours=s.ours, head=s.head, **asked)
    second = judge.others(scores, comparisons, shots=verdict.shots, ours=s.ours, mlp=s.kmer_mlp, head=s.head, **asked)
    known = [
        judge.compare(scores, comparisons, s.ours, name, verdict.shots, s.head, metric)
        for name in order
        if name != s.ours
    ]
    caution = _caution(results, task, s, labels)
    if verdict.outcome != "unknown" and (seeds := _seeds(results, s.ours)):
        caution = f"{caution} {judge.seeds_caution(seeds)}".strip()
    key = figures.key_of(task.name)
    names = {name: named(name, s) for name in order}
    measured = [c for c in known if c]
    return {
        "name": task.name,
        "anchor": f"task-{key}",
        "verdict": verdict,
        "word": judge.WORDS[verdict.outcome],
        "rest": verdict.sentence.partition(": ")[2],
        "crossover": line,
        "second": second,
        "caution": caution,
        "findings": [f"{verdict.sentence} {caution}".rstrip(), line, second],
        "tiles": _tiles(rows, verdict.shots, names, s, profile, task.record),
        "forest": _safe(figures.forest(measured, names, s.ours)) if measured else None,
        "curves": _curves(scores, s, order, names, key, metric),
        "shots": shots,
        "numbers": [_number_rows(scores, order, shots, head, metric, s) for head in _heads(scores, s)],
        "other_metrics": [
            _number_rows(scores, order, shots, s.head, m, s)
            for m in METRICS
            if m != metric and (scores["metric"] == m).any()
        ],
        "differences": _differences(
            scores, comparisons, [n for n in order if n not in (s.ours, *s.ablations)], shots, s, metric
        ),
        "ablations": _differences(
            scores, comparisons, [name for name in s.ablations if name in order], shots, s, metric
        ),
        "confusion": _confusion(task, s, most, key),
        "most": most,
        "map": _map(results, task, s, profile, labels, key),
        "methods": _methods(task.record, unit, verdict.scope),
    }


def _heads(scores: pd.DataFrame, settings: Settings) -> list[str]:
    return [settings.head, *sorted(set(scores["head"]) - {settings.head})]


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _tiles(
    rows: pd.DataFrame,
    shots: str,
    names: dict[str, str],
    settings: Settings,
    profile: str | None,
    record: dict[str, Any],
) -> list[dict[str, str]]:
    """The values behind the verdict, side by side."""
    values = {row["embedding"]: row for row in _lines(rows) if row["shots"] == shots}
    tiles = []
    for name in filter(None, (settings.ours, settings.untrained, profile)):
        if name in values:
            row = values[name]
            word = f"best k-mers ({named(name)})" if name == profile else names[name]
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            tiles.append({"value": f"{row['value']:.3f}", "name": word, "note": interval})
    classes = record.get("classes")
    if isinstance(classes, list) and len(classes) > 1 and judge.asked(record)["kind"] == "classes":
        tiles.append({"value": f"{1 / len(classes):.3f}", "name": "guessing", "note": f"1 of {len(classes)} classes"})
    return tiles


def _curves(
    scores: pd.DataFrame, settings: Settings, order: list[str], names: dict[str, str], key: str, metric: str
) -> Any:
    panels = {
        HEADS.get(head, head).capitalize(): judge.means(scores, head, metric) for head in _heads(scores, settings)
    }
    panels = {title: rows for title, rows in panels.items() if len(rows)}
    return _safe(figures.label_efficiency(panels, order, names, key)) if panels else None


def _number_rows(
    scores: pd.DataFrame, order: list[str], shots: list[str], head: str, metric: str, settings: Settings
) -> dict[str, Any]:
    """A table of values with intervals: a row per embedding, a column per label count, the largest of each marked."""
    found = {(row["embedding"], row["shots"]): row for row in _lines(judge.means(scores, head, metric))}
    best = {count: max((row["value"] for (_, s), row in found.items() if s == count), default=None) for count in shots}
    table = []
    for name in order:
        rows = [(found.get((name, count)), best[count]) for count in shots]
        cells = [
            {**{k: row[k] for k in ("value", "low", "high")}, "best": row["value"] == top} if row else None
            for row, top in rows
        ]
        if any(cells):
            table.append({"key": name, "name": named(name, settings), "ours": name == settings.ours, "cells": cells})
    title = METRICS.get(metric, judge.spelled(metric)[:1].upper() + judge.spelled(metric)[1:])
    return {"title": title, "head": HEADS.get(head, head), "rows": table}


def _differences(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    baselines: list[str],
    shots: list[str],
    settings: Settings,
    metric: str,
) -> list[dict[str, Any]]:
    """Ours minus each baseline at every label count."""
    table = []
    for name in baselines:
        found = [
            judge.compare(scores, comparisons, settings.ours, name, count, settings.head, metric) for count in shots
        ]
        cells = [
            {
                "text": judge.signed(c.difference),
                "low": judge.minus(c.low),
                "high": judge.minus(c.high),
                "outcome": c.outcome,
            }
            if c
            else None
            for c in found
        ]
        if any(cells):
            table.append({"key": name, "name": named(name, settings), "cells": cells})
    return table


def _confusion(task: Task, settings: Settings, most: str, key: str) -> Any:
    profile = judge.best_kmers(task.scores, most, settings.head)
    rows = task.confusion[(task.confusion["head"] == settings.head) & (task.confusion["shots"] == most)]
    found = set(rows["label"]) | set(rows["predicted"])
    listed = task.record.get("classes")
    classes = [str(name) for name in listed if str(name) in found] if isinstance(listed, list) else []
    classes += sorted(found - set(classes))
    matrices = {}
    for name in filter(None, (settings.ours, profile)):
        counts = rows[rows["embedding"] == name]
        if len(counts):
            square = counts.pivot_table(index="label", columns="predicted", values="count", aggfunc="sum", fill_value=0)
            title = named(name, settings) if name == settings.ours else f"best k-mers: {named(name)}"
            matrices[title] = square.reindex(index=classes, columns=classes, fill_value=0)
    return _safe(figures.confusion(matrices, key)) if matrices else None


def _map(
    results: Path, task: Task, settings: Settings, profile: str | None, labels: Path | None, key: str
) -> dict[str, Any]:
    """Maps of the test rows of ours and of the best k-mers, or the reason why there is none."""
    if judge.asked(task.record)["kind"] != "classes":
        return {"figure": None, "why": "The map is coloured by class, and this task has none."}
    folder = results / "embeddings" / task.name
    paths = {}
    for name in filter(None, (settings.ours, profile)):
        present = [folder / f"{name}{suffix}" for suffix in (".npy", ".npz", ".parquet")]
        if path := next(filter(Path.is_file, present), None):
            paths[name] = path
    if not paths:
        return {"figure": None, "why": "No embeddings of ours or of a k-mer profile were found, so there is no map."}
    sheet = labels or _labels_path(results, task)
    if sheet is None:
        return {"figure": None, "why": "The labelled table of this task was not found, so the map cannot be coloured."}
    table = read_labels(sheet)
    known = dict(zip(table["id"], table["label"], strict=True))
    wanted = _test_ids(table, task.record)
    which = "test rows" if len(wanted) < len(known) else "labelled rows (their split is not known)"
    tables = {name: read_table(path) for name, path in paths.items()}
    for embeddings in tables.values():
        wanted = wanted & set(embeddings.rows["id"].astype(str))
    ids = np.array(sorted(wanted), dtype=object)
    if len(ids) < 4:
        return {"figure": None, "why": "Fewer than four rows of the embeddings carry a label, so there is no map."}
    if len(ids) > settings.map_rows:
        ids = ids[np.sort(np.random.default_rng(settings.seed).choice(len(ids), settings.map_rows, replace=False))]
    points, columns = {}, {}
    for name, embeddings in tables.items():
        at = {identity: row for row, identity in enumerate(embeddings.rows["id"].astype(str))}
        title = named(name, settings) if name == settings.ours else f"best k-mers: {named(name)}"
        points[title] = figures.two_dimensions(np.asarray(embeddings.vectors)[[at[i] for i in ids]], settings.seed)
        columns[title] = [known[identity] for identity in ids]
    return {"figure": _safe(figures.maps(points, columns, key)), "why": "", "rows": len(ids), "which": which}


def _caution(results: Path, task: Task, settings: Settings, labels: Path | None) -> str:
    """A sentence where test rows lie in genomes that pretraining has read; empty where none do or nobody can tell."""
    sheet, genomes = labels or _labels_path(results, task), results / "store" / "genomes.tsv"
    about = results / "runs" / settings.ours / "encoder.json"
    if sheet is None or not genomes.is_file() or not about.is_file():
        return ""
    table = read_labels(sheet, empty=True)
    if "genome" not in table:
        return ""
    store = read_sheet(genomes, ("genome", "split"))
    learnt = store["genome"][store["split"].isin(read_json(about)["pretrain"]["train_splits"])]
    tested = set(table["genome"][table["id"].isin(_test_ids(table, task.record))])
    seen = sorted(tested & set(learnt))
    if not seen:
        return ""
    return (
        f"Caution: pretraining has read {len(seen)} of the {len(tested)} test genomes ({', '.join(seen[:5])}"
        f"{', …' if len(seen) > 5 else ''}), so this says nothing on genomes that it has not."
    )


def _seeds(results: Path, ours: str) -> int:
    """Runs of our recipe: `ours`, and those that are called so but for their seed."""
    names = [folder.name for folder in (results / "runs").glob("*/")]
    groups = [ranking.group_of(name) or ("", None) for name in names]
    return (ours in names) + sum(group == ours and seed is not None for group, seed in groups)


def _test_ids(table: pd.DataFrame, record: dict[str, Any]) -> set[str]:
    """The ids that the scores were measured on, split as the probe's settings say; all ids where that is not known."""
    settings, kind = record.get("settings", {}), judge.asked(record)["kind"]
    if "split" in table and (table["split"] != "").all():
        return set(table.loc[table["split"] == splits.TEST, "id"]) or set(table["id"])
    try:
        ordered = table.sort_values("id", kind="stable").reset_index(drop=True)
        split_N = splits.assign(
            ordered, tuple(settings["fractions"]), int(settings["block"]), kind == "classes"
        ).split_N
    except (InputError, KeyError):
        return set(table["id"])
    return set(ordered.loc[split_N == splits.TEST, "id"])


def _labels_path(results: Path, task: Task) -> Path | None:
    """The labelled table that the scores' record or provenance names, if it is still there."""
    places = [task.record, task.record.get("provenance"), task.record.get("inputs"), task.record.get("settings")]
    beside = _record(results / "scores" / f"{task.name}.tsv.provenance.json")
    places += [beside.get("inputs"), _record(results / "scores" / f"{task.name}.provenance.json").get("inputs")]
    for place in places:
        value = place.get("labels") if isinstance(place, Mapping) else None
        value = value.get("path") if isinstance(value, Mapping) else value
        for path in (Path(str(value)), results / str(value)) if value else ():
            if path.is_file():
                return path
    return None


def _methods(record: dict[str, Any], unit: str, scope: str) -> dict[str, Any]:
    """The facts of the methods paragraph; what the record lacks is None and left unsaid."""
    classes, draws = record.get("classes"), record.get("draws")
    return {
        "unit": unit,
        "scope": scope,
        "classes": len(classes) if isinstance(classes, list) else classes,
        "units": record.get("n_units"),
        "cap": record.get("label_cap"),
        "draws": max(draws.values(), default=None) if isinstance(draws, dict) else draws,
        "notes": [str(note) for note in record.get("notes") or []],
        **{name: record.get(name) for name in ("n_train", "n_validation", "n_test")},
    }


def records_view(results: Path) -> dict[str, Any]:
    """Every settings and provenance file of the results as text, and each package with every version that took part.

    Per-genome counts are left to their own table, and what an earlier report wrote about itself is left out.
    """
    paths = [results / "store" / "store.json", *sorted((results / "runs").glob("*/encoder.json"))]
    paths += sorted((results / "scores").glob("*.json")) + sorted(results.rglob("*.provenance.json"))
    files, versions = [], {}
    for path in dict.fromkeys(path for path in paths if path.is_file()):
        value = read_json(path)
        if not isinstance(value, dict) or value.get("verb") == "report":
            continue
        if path.name == "store.json":
            value = {name: entry for name, entry in value.items() if name not in ("genomes", "counts")}
        text = json.dumps(value, indent=1, ensure_ascii=False)
        of_many = any(ranking.is_compared(part.removesuffix(".npy.provenance.json")) for part in path.parts)
        files.append({"path": path.relative_to(results).as_posix(), "text": text, "compared": of_many})
        listed = value.get("versions")
        for name, version in listed.items() if isinstance(listed, dict) else ():
            versions.setdefault(str(name), set()).add(str(version))
    return {
        "files": files,
        "versions": [{"name": name, "version": ", ".join(sorted(versions[name]))} for name in sorted(versions)],
    }


def _safe(svg: str) -> Any:
    """Mark a figure as markup: its texts were escaped when it was drawn."""
    from markupsafe import Markup

    return Markup(svg)
