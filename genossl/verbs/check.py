"""A workflow's config.yaml and its sheets, looked at as a whole before anything runs."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genossl import config, recipe
from genossl.errors import InputError
from genossl.files import read_sheet
from genossl.genome.labels import read_labels
from genossl.verbs import cluster, embed, ingest, probe, report

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # of runs, tasks, genomes and the collection: they become file names
BASELINES = re.compile(r"untrained|gc|kmer[1-8]")
RESERVED = re.compile(r"gc|kmer[1-8]|untrained(\..+)?|.+\.(null|seed\d+)")  # names of baselines and compared runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jobs:
    """How the workflow runs; nothing here changes a result."""

    pretrain_threads: int = 1  # CPU threads of one pretraining run
    probe_threads: int = 2  # embeddings probed at once
    device: str = "auto"  # auto: cuda, else mps, else cpu
    gpu: int = 0  # GPUs that a pretraining or embedding job asks the cluster for
    runtime: int = 240  # minutes that a pretraining job may take
    stop_margin: int = 5  # minutes before the end of runtime at which pretraining saves and stops
    max_resubmissions: int = 20  # times that a stopped pretraining is started again
    mem_mb: int = 3000  # memory of a pretraining, embedding or probe job


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheets:
    """What the experiment is called and where its sheets are."""

    collection: str = "collection"
    genomes: str = ""
    tasks: str = ""


def run(path: Path) -> list[str]:
    """Raise one InputError that names every mistake in the configuration; return what it will do, in lines."""
    path = Path(path)
    settings = config.read_yaml(path)
    wrong: list[str] = []

    def attempt(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InputError as error:
            wrong.append(str(error))

    sections = {"ingest": ingest, "embed": embed, "probe": probe, "cluster": cluster, "report": report}
    known = ("collection", "genomes", "tasks", "runs", "methods", "compare", "baselines", "jobs", *sections)
    wrong += [f"{key}: unknown section; known: {', '.join(known)}" for key in settings if key not in known]
    for name, verb in sections.items():
        wrong += config.mistakes(verb.Settings, settings.get(name), name)
    wrong += config.mistakes(Jobs, settings.get("jobs"), "jobs")
    sheets = attempt(
        lambda: config.build(Sheets, {k: settings.get(k, "") for k in ("collection", "genomes", "tasks")}, "config")
    )
    runs, baselines = settings.get("runs") or {}, settings.get("baselines") or []
    if not isinstance(runs, dict) or not (runs or settings.get("methods")):
        wrong.append("runs: expected at least one run, as name: {settings}, or methods to compare")
        runs = {}
    if not isinstance(baselines, list) or not all(isinstance(b, str) and BASELINES.fullmatch(b) for b in baselines):
        wrong.append(f"baselines: expected a list of untrained, gc and kmer1 to kmer8, found {baselines!r}")
    elif "untrained" in baselines and "ours" not in runs:
        wrong.append("baselines: untrained needs a run called ours, whose first weights it takes")
    for name, spec in runs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            wrong.append(f"runs.{name}: a name has letters, digits, _ . - and is no baseline's or compared method's")
        elif not isinstance(spec or {}, dict):
            wrong.append(f"runs.{name}: expected settings, found {spec!r}")
        elif message := _mistake(lambda spec=spec: recipe.resolve(spec or {})):
            wrong.append(f"runs.{name}: {message}")
    lines: list[str] = []
    compared = attempt(lambda: recipe.compared(settings.get("methods"), settings.get("compare")))
    runs = runs | (compared.runs if compared else {})
    if (rival := _rival(settings.get("cluster"), runs, baselines)) is not None:
        wrong.append(rival)
    if sheets:
        if not NAME.fullmatch(sheets.collection):
            wrong.append(f"collection {sheets.collection!r}: a name has letters, digits, _ . and -")
        genomes = attempt(lambda: _sheet(sheets.genomes, "genome"))
        tasks = attempt(lambda: _sheet(sheets.tasks, "task"))
        if genomes is not None:
            lines.append(f"{len(genomes)} genomes, {len(runs)} runs, {len(baselines)} baselines")
            lines += _compared(compared)
        learnt = _learnt(genomes, runs)
        if genomes is not None and not learnt:
            wrong.append(
                f"{sheets.genomes}: no genome to learn from; expected a split of train, pretrain or none given"
            )
        if (shots := _verdict_shots(settings)) is not None:
            wrong.append(shots)
        for task in tasks.itertuples() if tasks is not None else ():
            labels = attempt(lambda task=task: read_labels(Path(sheets.tasks).parent / task.path))
            if labels is not None:
                lines.append(f"task {task.task}: {len(labels)} rows, {labels['label'].nunique()} classes")
                if genomes is not None and "genome" in labels:
                    attempt(lambda task=task, labels=labels: _known(task.path, labels, genomes, sheets.genomes))
                    lines += _seen(task.path, labels, learnt)
                if not config.mistakes(probe.Settings, settings.get("probe"), "probe"):
                    attempt(lambda task=task, labels=labels: _can_be_probed(task.path, labels, settings.get("probe")))
                if _clustered(settings.get("cluster")) and getattr(task, "kind", "") in ("", "classes"):
                    attempt(lambda task=task, labels=labels: _clusters(task.path, labels, settings.get("cluster")))
    if wrong:
        raise InputError(f"{path}: " + "; ".join(wrong))
    return lines


def _compared(compared: recipe.Compared | None) -> list[str]:
    if not compared:
        return []
    groups = list(dict.fromkeys(re.sub(r"\.(null|seed\d+)$", "", name) for name in compared.runs))
    told = [f"methods compared: {', '.join(groups)} ({len(compared.runs)} of the runs)"] if groups else []
    return told + [f"left out of the comparison: {sentence}" for sentence in compared.left_out]


def _mistake(action: Callable[[], Any]) -> str | None:
    try:
        action()
    except InputError as error:
        return str(error)
    return None


def _sheet(path: str, key: str) -> Any:
    """A sheet of genomes or tasks whose names are usable and whose files are there."""
    if not path:
        raise InputError(f"{key}s: expected the path of a sheet with the columns {key} and path")
    sheet = read_sheet(path, (key, "path"))
    names = sheet[key]
    wrong = [f"{key} {name!r}: a name has letters, digits, _ . and -" for name in names if not NAME.fullmatch(name)]
    wrong += [f"{key} {name!r} occurs more than once" for name in names[names.duplicated()]]
    files = [*sheet["path"], *(p for p in sheet.get("features", []) if p and key == "genome")]
    wrong += [f"{p}: no such file, looked for beside the sheet" for p in files if not _is_file(path, p)]
    if key == "genome" and "split" in sheet:
        sheet["split"] = sheet["split"].replace(ingest.SPLITS)
        strange = sorted(set(sheet["split"]) - set(ingest.SPLITS.values()))
        wrong += [f"split {s!r}: expected train, validation, test, pretrain or none given" for s in strange]
    if wrong:
        raise InputError(f"{path}: " + "; ".join(wrong[:10]))
    return sheet


def _is_file(sheet: str, path: str) -> bool:
    return (Path(sheet).parent / path).is_file()


def _learnt(genomes: Any, runs: dict[str, Any]) -> set[str]:
    """Genomes that at least one run learns from."""
    if genomes is None:
        return set()
    if "split" not in genomes:
        return set(genomes["genome"])
    splits: set[str] = set()
    for spec in filter(lambda spec: isinstance(spec or {}, dict), runs.values()):
        with contextlib.suppress(InputError):
            splits |= set(recipe.resolve(spec or {}).pretrain.train_splits)
    return set(genomes["genome"][genomes["split"].isin(splits or {"train"})])


def _verdict_shots(settings: dict[str, Any]) -> str | None:
    probed, reported = settings.get("probe") or {}, settings.get("report") or {}
    with contextlib.suppress(InputError):
        shots = [*map(str, config.build(probe.Settings, probed, "probe").shots), "all"]
        wanted = str(config.build(report.Settings, reported, "report").verdict_shots)
        if "verdict_shots" in reported and wanted not in shots:
            return f"report.verdict_shots {wanted}: is none of probe.shots ({', '.join(shots)})"
    return None


def _clustered(mapping: Any) -> bool:
    """Whether anything is to be clustered, by a section without mistakes."""
    wanted = isinstance(mapping, dict) and bool(mapping.get("algorithms"))
    return wanted and not config.mistakes(cluster.Settings, mapping, "cluster")


def _rival(mapping: Any, runs: dict[str, Any], baselines: Any) -> str | None:
    """A mistake where the rival of the clusters is none of the embeddings."""
    if not _clustered(mapping):
        return None
    rival = config.build(cluster.Settings, mapping, "cluster").rival
    names = [*map(str, runs), *(map(str, baselines) if isinstance(baselines, list) else ())]
    if not rival or rival in names:
        return None
    return f"cluster.rival {rival!r}: is no run or baseline ({', '.join(names)})"


def _clusters(path: str, labels: Any, mapping: Any) -> None:
    settings = config.build(cluster.Settings, mapping, "cluster")
    message = _mistake(lambda: cluster.prepare(labels, settings))
    if message:
        raise InputError(f"{path}: {message}")


def _known(path: str, labels: Any, genomes: Any, sheet: str) -> None:
    missing = sorted(set(labels["genome"]) - set(genomes["genome"]))
    if missing:
        raise InputError(f"{path}: genome {missing[0]!r} is not in {sheet}")


def _seen(path: str, labels: Any, learnt: set[str]) -> list[str]:
    """A warning where rows to be tested on lie in genomes that pretraining reads."""
    if "split" in labels and (labels["split"] == "test").any():
        tested = set(labels["genome"][labels["split"] == "test"])
    else:
        tested = set(labels["genome"])
    if not (both := sorted(tested & learnt)):
        return []
    which = "test rows lie" if "split" in labels else "there is no split column, and rows lie"
    return [
        f"warning: {path}: {which} in {len(both)} genomes that pretraining reads ({', '.join(both[:3])}"
        f"{', ...' if len(both) > 3 else ''}); the verdict will say so. Give them the split test in the genomes' sheet"
    ]


def _can_be_probed(path: str, labels: Any, mapping: Any) -> None:
    settings = config.build(probe.Settings, mapping, "probe")
    message = _mistake(lambda: probe.prepare(labels, settings))
    if message:
        raise InputError(f"{path}: {message}")
