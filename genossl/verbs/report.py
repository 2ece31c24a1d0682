"""Scores, logs and counts -> one HTML file that opens anywhere and says first whether pretraining helped.

Reads results/<collection>/{store,runs,embeddings,scores,tasks,audit,clusters,benchmarks}; what is missing is said in
the page or left out. Figures are inline SVG. The page may load nothing, and runs the one script that it came with
and no other (Content-Security-Policy with its hash). Names from users' files are escaped wherever they stand.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.evaluation import (
    audited,
    compared,
    drilldown,
    figures,
    names,
    overview,
    paragraph,
    ranking,
    runs,
    speed,
    splits,
)
from genossl.evaluation import verdict as judge
from genossl.evaluation.runs import Run
from genossl.evaluation.scored import Task, numeric, plain, read_tasks, record_of
from genossl.evaluation.table import SUFFIXES, read_table
from genossl.files import atomic, read_json, read_sheet, write_provenance
from genossl.genome.labels import read_labels

LOG = ("step", "split", "loss", "top1", "candidates", "bases")
OTHER_METRICS = tuple(name for name in names.METRICS if name not in ("ari", "nmi"))
MEASURES = {  # of tasks that are not judged by balanced accuracy, which the page explains anyway
    "average_precision": "the area under the curve of precision against recall, averaged over labels; the share of "
    "rows that have a label is guessing, 1 is perfect.",
    "r2": "the share of the variance of the true numbers that the predictions explain; 1 is perfect, 0 is no better "
    "than always saying the mean, below 0 is worse than that.",
    "auroc": "how often a row of a class is ranked above a row of another; 0.5 is guessing, 1 is perfect.",
    "macro_f1": "the harmonic mean of precision and recall, averaged over classes; 1 is perfect.",
    "mcc": "the correlation of true and predicted classes; 0 is guessing, 1 is perfect.",
    "spearman": "the correlation of the ranks of true and predicted numbers; 0 is guessing, 1 is perfect.",
    "pearson": "the correlation of true and predicted numbers; 0 is guessing, 1 is perfect.",
}
ROWS_SHOWN = 1000  # of the genome table; a page with more is slow to open and nobody reads it
OPEN = 3  # tasks that are unfolded, and whose verdicts stand at the top


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
    all_map_rows: int = 8_000  # on the maps of all tasks together, so that the page stays small
    seed: int = 0  # of the rows on the map and of t-SNE
    left_out: tuple[str, ...] = ()  # methods that were not compared, and why; the workflow fills this in


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
    rows = max(4, min(settings.map_rows, settings.all_map_rows // max(len(tasks), 1)))
    told = [
        task_view(results, plain(task), dataclasses.replace(settings, map_rows=rows), (labels or {}).get(task.name))
        for task in tasks
    ]
    methods = compared.view(
        results, found, {task.name: task.scores for task in tasks}, settings.left_out,
        shots=str(settings.verdict_shots), head=settings.head, metrics={task.name: task.metric for task in tasks},
    )  # fmt: skip
    headlines = {task["name"]: task["headline"] for task in methods["tasks"]} if methods else {}
    page = render(context(results, found, tasks, told, methods, headlines, settings))
    with atomic(out, "w") as stream:
        stream.write(page)
    inputs = {f"scores/{task.name}": results / "scores" / f"{task.name}.tsv" for task in tasks}
    write_provenance(out, "report", settings, inputs, settings.seed, {"results": results, "out": out})
    if not told:
        return [f"No verdict: {results} holds no scores, so nothing was measured."]
    prefix = {view["name"]: f"{view['name']}: " if len(told) > 1 else "" for view in told}
    lines = {view["name"]: [*view["findings"], *filter(None, [headlines.get(view["name"])])] for view in told}
    return [prefix[name] + line for name, found in lines.items() for line in found]


def context(
    results: Path, found: list[Run], tasks: list[Task], told: list[dict[str, Any]], methods: dict[str, Any] | None,
    headlines: dict[str, str], settings: Settings,
) -> dict[str, Any]:  # fmt: skip
    """All that the template shows."""
    scored = [
        overview.Scored(
            name=task.name, anchor=view["anchor"], kind=task.kind, metric=task.metric, shots=view["verdict"].shots,
            outcome=view["verdict"].outcome, scores=task.scores, comparisons=task.comparisons,
        )
        for task, view in zip(tasks, told, strict=True)
    ]  # fmt: skip
    for i, view in enumerate(told):
        view["open"] = i < OPEN
    genomes, audit, records = genomes_view(results), audited.view(results), records_view(results)
    described = [
        {"name": task.name, "record": task.record, "metric": task.metric, "per": task.per,
         "embeddings": names.in_order(judge.means(task.scores, settings.head, task.metric)["embedding"])}
        for task in tasks
    ]  # fmt: skip
    return {
        "collection": results.resolve().name,
        "tasks": told,
        "led": len(told) <= OPEN,
        "overview": overview.view(scored, settings.ours, settings.head) if len(told) > 1 else None,
        "genomes": genomes,
        "audit": audit,
        "pretraining": runs_view(found),
        "compared": methods,
        "headlines": headlines,
        "speed": speed.view(results),
        "measures": {names.METRICS[m]: MEASURES[m] for m in MEASURES if m in {task.metric for task in tasks}},
        "paragraph": paragraph.sentences(
            genomes=genomes, found=found, tasks=described, audit=audit, versions=records["versions"],
            ours=settings.ours, head=settings.head,
        ),
        "records": records,
        "ours": settings.ours,
        "head": names.head(settings.head),
        "settings": {k: json.dumps(v, ensure_ascii=False) for k, v in dataclasses.asdict(settings).items()},
    }  # fmt: skip


def render(context: dict[str, Any]) -> str:
    """The template with every name escaped; a value it lacks is an error, not an empty place.

    The script is the same for all reports and holds nothing of theirs: its hash lets it run, and nothing else can.
    """
    import jinja2

    folder = importlib.resources.files("genossl.verbs")

    def read(name: str) -> str:
        place = folder if name == "report.html.j2" else folder.joinpath("page")
        return place.joinpath(name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(read),
    )
    environment.globals |= {"duration": duration, "flops": runs.flops, "known": lambda x: x is not None and x == x}
    environment.globals |= {"shortly": lambda x: f"{x:.3f}".replace("-", "−"), "plainly": plainly}
    script = read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    told = {"script": _safe(script), "style": _safe(read("page.css")), "script_hash": _safe(f"sha256-{digest}")}
    return environment.get_template("report.html.j2").render(context | told)


def plainly(value: Any) -> str:
    """A number of an audit as people write it; text as it is, and a dash for none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}".replace("-", "−")


# ---- what lies on disk


def read_runs(results: Path) -> list[Run]:
    """All runs, ours first by the order of names that readers expect."""
    found = []
    for folder in sorted((results / "runs").glob("*/")):
        record = folder / "encoder.json"
        log = folder / "log.tsv"
        if record.is_file() or log.is_file():
            found.append(Run(name=folder.name, record=read_json(record) if record.is_file() else {}, log=_log(log)))
    order = names.in_order([run.name for run in found])
    return sorted(found, key=lambda run: order.index(run.name))


def _log(path: Path) -> pd.DataFrame | None:
    if not drilldown.has_rows(path):
        return None
    log = read_sheet(path, LOG)
    return numeric(log, [str(name) for name in log if name != "split"])


# ---- words


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
    titles = {run.name: names.row(run.name) for run in [*own, *groups]}
    rows = [runs.summary(run) | {"name": titles[run.name]} for run in [*own, *groups]]
    lines = [runs.shortcut(row, row["name"]) for row in rows]
    for row, line in zip(rows, lines, strict=True):
        if line:
            row["warnings"] = [*row["warnings"], "finds no more than 4-mers alone, see below"]
    every = [run.log for run in found if run.log is not None]
    return {
        "figure": _safe(figures.pretraining(logs, titles)) if logs else None,
        "has_logs": bool(every),
        "has_validation": any((log["split"] == "validation").any() for log in every),
        "rows": rows,
        "watched": [row for row in rows if any(row[name] is not None for name in (*runs.HEALTH, "kmer4"))],
        "shortcuts": [line for line in lines if line],
    }


def task_view(results: Path, task: Task, settings: Settings, labels: Path | None) -> dict[str, Any]:
    """Everything the page says about one task."""
    s, scores, metric = settings, task.scores, task.metric
    unit = str(task.record.get("unit", ""))
    pairs = task.comparisons[(task.comparisons["metric"] == metric) & (task.comparisons["head"] == s.head)]
    known: dict[str, Any] = {"ours": s.ours, "head": s.head, "metric": metric, "kind": task.kind}
    verdict = judge.verdict(
        scores, pairs, untrained=s.untrained, shots=str(s.verdict_shots), unit=unit,
        failure=audited.failure(results, task.name), **known,
    )  # fmt: skip
    opening, _, rest = verdict.sentence.partition(": ")
    rows = judge.means(scores, s.head, metric)
    order = names.in_order(rows["embedding"])
    if s.ours in order:
        order = [s.ours, *[name for name in order if name != s.ours]]
    shots = sorted(set(rows["shots"]), key=judge.shots_order)
    profile = judge.best_kmers(scores, verdict.shots, s.head, metric)
    line = judge.crossover(scores, pairs, **known)
    second = judge.others(scores, pairs, shots=verdict.shots, mlp=s.kmer_mlp, **known)
    caution = _caution(results, task, s, labels)
    if _strand(task) == "as_given" and _averaged(results, task.name, s.ours):
        caution = f"Caution: the strand matters in this task, and its embeddings average over both strands. {caution}"
    if verdict.outcome != "unknown" and (seeds := _seeds(results, s.ours)):
        caution = f"{caution} {judge.seeds_caution(seeds)}"
    caution = caution.strip()
    titles = {name: names.row(name, s.ours) for name in order}
    return {
        "name": task.name,
        "anchor": f"task-{figures.key_of(task.name)}",
        "kind": names.KINDS.get(task.kind, task.kind),
        "verdict": verdict,
        "word": judge.WORDS[verdict.outcome],
        "labels": judge.labels(verdict.shots, task.kind) if verdict.shots else "",
        "measure": names.metric(metric),
        "per": task.per,
        "opening": opening,
        "rest": rest,
        "crossover": line,
        "second": second,
        "corrected": judge.corrected(scores, pairs, shots=verdict.shots, **known),
        "caution": caution,
        "findings": [f"{verdict.sentence} {caution}".rstrip(), line, second],
        "tiles": _tiles(rows, verdict.shots, titles, s, profile, task),
        "shots": shots,
        **_figures(results, task, pairs, s, labels, order, titles, verdict.shots, shots[-1] if shots else ""),
        **_tables(task, pairs, s, order, shots),
        **_beside(results, task, s, order, titles, verdict.shots, shots, profile),
        "methods": _methods(task.record, _heads(scores, s), task.per, unit, verdict.scope),
    }


def _figures(
    results: Path, task: Task, pairs: pd.DataFrame, s: Settings, labels: Path | None, order: list[str],
    titles: dict[str, str], shots: str, most: str,
) -> dict[str, Any]:  # fmt: skip
    """The figures of a task; None where there is nothing to draw."""
    pairs = pairs[pairs["embedding"] == s.ours]
    known = judge.means(task.scores, s.head, task.metric)
    found = [judge.compare(known, pairs, s.ours, n, shots, s.head, task.metric) for n in order if n != s.ours]
    measured, measure = [c for c in found if c], names.metric(task.metric)
    matrices = _matrices(task, s, most)
    profile = judge.best_kmers(task.scores, shots, s.head, task.metric)
    return {
        "forest": _safe(figures.forest(measured, titles, s.ours, measure)) if measured else None,
        "curves": _curves(task, s, order, titles),
        "confusion": _safe(figures.confusion(matrices)) if matrices else None,
        "classes": drilldown.classes(matrices),
        "most": most,
        "map": _map(results, task, s, profile, labels),
    }


def _tables(task: Task, pairs: pd.DataFrame, s: Settings, order: list[str], shots: list[str]) -> dict[str, Any]:
    """Scores of every head and metric, and what ours is ahead by."""
    others = [m for m in OTHER_METRICS if m != task.metric and (task.scores["metric"] == m).any()]
    baselines = [name for name in order if name not in (s.ours, *s.ablations)]
    return {
        "numbers": [_number_rows(task, order, shots, head, task.metric, s) for head in _heads(task.scores, s)],
        "other_metrics": [_number_rows(task, order, shots, s.head, metric, s) for metric in others],
        "differences": _differences(task, pairs, baselines, shots, s),
        "ablations": _differences(task, pairs, [name for name in s.ablations if name in order], shots, s),
    }


def _beside(
    results: Path, task: Task, s: Settings, order: list[str], titles: dict[str, str], at: str, shots: list[str],
    profile: str | None,
) -> dict[str, Any]:  # fmt: skip
    """What lies beside the scores: subsets, saved labels, calibration, strands, clusters, models trained end to end."""
    tables, metric = task.beside, task.metric
    key = [name for name in dict.fromkeys((s.ours, s.untrained, profile)) if name in order]
    policy = _strand(task)
    found: dict[str, Any] = dict.fromkeys(("subsets", "calibration", "strand"))
    if "subsets" in tables:
        found["subsets"] = drilldown.subsets(tables["subsets"], task.scores, key, at, s.head, metric)
    if "calibration" in tables:
        two = [name for name in key if name != s.untrained]
        found["calibration"] = drilldown.calibration(tables["calibration"], two, titles, order, at, s.head)
    if "strand" in tables:
        found["strand"] = drilldown.strand(tables["strand"], order, policy)
    saved, asked = tables.get("efficiency"), (s.ours, profile, s.head, task.per)
    return {
        **found,
        "saved": [] if saved is None else drilldown.efficiency(saved, *asked),
        "saved_first": "" if saved is None else drilldown.headline(saved, *asked),
        "clusters": drilldown.clusters(results / "clusters", task.name, order),
        "trained": drilldown.end_to_end(task.scores, task.comparisons, key, shots, s.head, metric, task.kind),
        "policy": policy,
        "kind_word": names.KINDS.get(task.kind, task.kind),
        "description": str(task.about.get("description") or ""),
        "told": [str(note) for note in task.about.get("notes") or []],
        "path": f"scores/{task.name}.tsv",
        "confusion_path": f"scores/{task.name}.confusion.tsv",
    }


def _heads(scores: pd.DataFrame, settings: Settings) -> list[str]:
    return [settings.head, *sorted(set(scores["head"]) - {settings.head, names.END_TO_END})]


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _tiles(
    rows: pd.DataFrame, shots: str, titles: dict[str, str], settings: Settings, profile: str | None, task: Task
) -> list[dict[str, str]]:
    """The values behind the verdict, side by side."""
    values = {row["embedding"]: row for row in _lines(rows) if row["shots"] == shots}
    tiles = []
    for name in filter(None, (settings.ours, settings.untrained, profile)):
        if name in values:
            row = values[name]
            word = f"best k-mers ({names.row(name)})" if name == profile else titles[name]
            interval = f"{judge.minus(row['low'])} to {judge.minus(row['high'])}"
            tiles.append({"value": judge.minus(row["value"]), "name": word, "note": interval})
    classes = task.record.get("classes")
    if task.metric == judge.METRIC and isinstance(classes, list) and len(classes) > 1:
        tiles.append({"value": f"{1 / len(classes):.3f}", "name": "guessing", "note": f"1 of {len(classes)} classes"})
    return tiles


def _curves(task: Task, settings: Settings, order: list[str], titles: dict[str, str]) -> Any:
    found = {
        names.head(head, task.kind): judge.means(task.scores, head, task.metric)
        for head in _heads(task.scores, settings)
    }
    panels = {f"{title[:1].upper()}{title[1:]}": rows for title, rows in found.items() if len(rows)}
    if not panels:
        return None
    return _safe(figures.label_efficiency(panels, order, titles, names.metric(task.metric), task.per))


def _number_rows(
    task: Task, order: list[str], shots: list[str], head: str, metric: str, settings: Settings
) -> dict[str, Any]:
    """A table of values with intervals: a row per embedding, a column per label count, the best of each marked."""
    found = {(row["embedding"], row["shots"]): row for row in _lines(judge.means(task.scores, head, metric))}
    pick = min if metric in overview.LESS_IS_BETTER else max
    best = {count: pick((row["value"] for (_, s), row in found.items() if s == count), default=None) for count in shots}
    table = []
    for name in order:
        rows = [(found.get((name, count)), best[count]) for count in shots]
        cells = [
            {**{k: row[k] for k in ("value", "low", "high")}, "best": row["value"] == top} if row else None
            for row, top in rows
        ]
        if any(cells):
            ours = name == settings.ours
            table.append({"key": name, "name": names.row(name, settings.ours), "ours": ours, "cells": cells})
    title = names.METRICS.get(metric, metric)
    return {"title": title, "head": names.head(head, task.kind), "rows": table}


def _differences(
    task: Task, comparisons: pd.DataFrame, baselines: list[str], shots: list[str], settings: Settings
) -> list[dict[str, Any]]:
    """Ours minus each baseline at every label count."""
    table, pairs = [], comparisons[comparisons["embedding"] == settings.ours]
    scores = judge.means(task.scores, settings.head, task.metric)
    for name in baselines:
        found = [
            judge.compare(scores, pairs, settings.ours, name, count, settings.head, task.metric) for count in shots
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
            table.append({"key": name, "name": names.row(name, settings.ours), "cells": cells})
    return table


def _matrices(task: Task, settings: Settings, most: str) -> dict[str, pd.DataFrame]:
    """Confusion counts of ours and of the best k-mers at the largest label count, by title; classes in their order."""
    profile = judge.best_kmers(task.scores, most, settings.head, task.metric)
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
            title = names.row(name, settings.ours)
            title = title if name == settings.ours else f"best k-mers: {names.row(name)}"
            matrices[title] = square.reindex(index=classes, columns=classes, fill_value=0)
    return matrices


def _map(results: Path, task: Task, settings: Settings, profile: str | None, labels: Path | None) -> dict[str, Any]:
    """Maps of the test rows of ours and of the best k-mers, or the reason why there is none."""
    folder = results / "embeddings" / task.name
    paths = {}
    for name in filter(None, (settings.ours, profile)):
        present = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
        if path := next(filter(Path.is_file, present), None):
            paths[name] = path
    if not paths:
        return {"figure": None, "why": "No embeddings of ours or of a k-mer profile were found, so there is no map."}
    sheet = labels or _labels_path(results, task)
    if sheet is None:
        return {"figure": None, "why": "The labelled table of this task was not found, so the map cannot be coloured."}
    table = read_labels(sheet, empty=True)
    known = dict(zip(table["id"], _groups(table["label"], task.kind), strict=True))
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
    points, columns, told, places = {}, {}, {}, _places(table)
    for name, embeddings in tables.items():
        at = {identity: row for row, identity in enumerate(embeddings.rows["id"].astype(str))}
        title = names.row(name, settings.ours) if name == settings.ours else f"best k-mers: {names.row(name)}"
        points[title] = figures.two_dimensions(np.asarray(embeddings.vectors)[[at[i] for i in ids]], settings.seed)
        columns[title] = [known[identity] for identity in ids]
        told[title] = [f"{places[identity]} · {known[identity]}" for identity in ids]
    return {"figure": _safe(figures.maps(points, columns, told)), "why": "", "rows": len(ids), "which": which}


def _groups(label_N: pd.Series, kind: str) -> list[str]:
    """What colours a map: labels, and of numbers the fifth that they fall into."""
    if kind != "regression":
        return label_N.tolist()
    numbers = pd.to_numeric(label_N, errors="coerce").astype(float)
    fifths = pd.qcut(numbers, 5, duplicates="drop")
    return [f"{f.left:.3g} to {f.right:.3g}" if isinstance(f, pd.Interval) else "no number" for f in fifths]


def _places(table: pd.DataFrame) -> dict[str, str]:
    """Id -> contig:start-end (0-based, half-open) where the table says it, else the id."""
    if not {"contig", "start", "end"} <= set(table):
        return {identity: figures.shown(identity, 120) for identity in table["id"]}
    columns = (table[name] for name in ("id", "contig", "start", "end"))
    return {identity: figures.shown(f"{c}:{a}-{b}", 120) for identity, c, a, b in zip(*columns, strict=True)}


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
    learnt = store["genome"][store["split"].isin((read_json(about).get("pretrain") or {}).get("train_splits") or [])]
    tested = set(table["genome"][table["id"].isin(_test_ids(table, task.record))])
    seen = sorted(tested & set(learnt))
    if not seen:
        return ""
    return (
        f"Caution: pretraining has read {len(seen)} of the {len(tested)} test genomes ({', '.join(seen[:5])}"
        f"{', …' if len(seen) > 5 else ''}), so this says nothing on genomes that it has not."
    )


def _strand(task: Task) -> str:
    """Whether the strand matters, as the task was given: invariant, as_given or nothing said."""
    return str(task.record.get("strand") or task.about.get("strand") or "")


def _averaged(results: Path, task: str, ours: str) -> bool:
    """Whether the embedding of ours is the mean of both strands, by its provenance."""
    settings = record_of(results / "embeddings" / task / f"{ours}.npy.provenance.json").get("settings") or {}
    return settings.get("both_strands") is True


def _seeds(results: Path, ours: str) -> int:
    """Runs of our recipe: `ours`, and those that are called so but for their seed."""
    found = [folder.name for folder in (results / "runs").glob("*/")]
    groups = [ranking.group_of(name) or ("", None) for name in found]
    return (ours in found) + sum(group == ours and seed is not None for group, seed in groups)


def _test_ids(table: pd.DataFrame, record: dict[str, Any]) -> set[str]:
    """The ids that the scores were measured on, split as the probe's settings say; all ids where that is not known."""
    settings, stratified = record.get("settings", {}), judge.asked(record)["kind"] == "classes"
    if "split" in table and (table["split"] != "").all():
        return set(table.loc[table["split"] == splits.TEST, "id"]) or set(table["id"])
    try:
        ordered = table.sort_values("id", kind="stable").reset_index(drop=True)
        split_N = splits.assign(ordered, tuple(settings["fractions"]), int(settings["block"]), stratified).split_N
    except (InputError, KeyError):
        return set(table["id"])
    return set(ordered.loc[split_N == splits.TEST, "id"])


def _labels_path(results: Path, task: Task) -> Path | None:
    """The labelled table that the scores' record or provenance names, if it is still there."""
    places = [task.record, task.record.get("provenance"), task.record.get("inputs"), task.record.get("settings")]
    beside = record_of(results / "scores" / f"{task.name}.tsv.provenance.json")
    places += [beside.get("inputs"), record_of(results / "scores" / f"{task.name}.provenance.json").get("inputs")]
    canonical = results / "tasks" / f"{task.name}.tsv"
    for place in places:
        value = place.get("labels") if isinstance(place, Mapping) else None
        value = value.get("path") if isinstance(value, Mapping) else value
        for path in (Path(str(value)), results / str(value)) if value else ():
            if path.is_file():
                return path
    return canonical if canonical.is_file() else None


def _methods(record: dict[str, Any], heads: list[str], per: str, unit: str, scope: str) -> dict[str, Any]:
    """The facts of the methods paragraph; what the record lacks is None and left unsaid."""
    classes, draws, kind = record.get("classes"), record.get("draws"), judge.asked(record)["kind"]
    told = judge.listed([names.head(head, kind) for head in heads]) if heads else "a classifier"
    return {
        "heads": f"{told[:1].upper()}{told[1:]}",
        "one_head": len(heads) < 2,
        "per_cap": " per class" if per == "labels per class" else "",
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
