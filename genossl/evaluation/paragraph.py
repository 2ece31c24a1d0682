"""Methods and settings as a paragraph for a paper: a sentence per stage, made of the numbers that the files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genossl.evaluation import names, ranking, runs
from genossl.evaluation import verdict as judge
from genossl.evaluation.runs import Run


def sentences(
    *,
    genomes: Mapping[str, Any] | None,
    found: Sequence[Run],
    tasks: Sequence[Mapping[str, Any]],
    audit: Mapping[str, Any] | None,
    versions: Sequence[Mapping[str, str]],
    ours: str,
    head: str,
) -> list[str]:
    """One sentence or two per stage; a stage whose files are missing is left out, and so is what they do not say.

    `genomes`: of the report's data section; `tasks`: name, record, metric, embeddings of each task.
    """
    own = next((run for run in found if run.name == ours), None)
    lines = [_collection(genomes), _pretraining(own), _compared(found), _audit(audit)]
    lines += [*_probes(tasks, head), _versions(versions)]
    return [line for line in lines if line]


def _collection(genomes: Mapping[str, Any] | None) -> str:
    if not genomes or not genomes["totals"]:
        return ""
    total = genomes["totals"][-1]
    parts = [f"{row['genomes']:,} {row['split']}" for row in genomes["totals"] if row["split"] != "all"]
    sides = f" ({', '.join(parts)})" if len(parts) > 1 else ""
    return (
        f"The collection held {total['genomes']:,} {'genome' if total['genomes'] == 1 else 'genomes'}{sides} "
        f"with {total['records']:,} sequences and {total['bases']:,} bases."
    )


def _pretraining(run: Run | None) -> str:
    if run is None or not run.record:
        return ""
    record, row = run.record, runs.summary(run)
    pretrain = record.get("pretrain") or {}
    shape = ", ".join(filter(None, row["front"])) if row["front"] else ""
    size = f"{row['parameters']:,.0f} parameters" if row["parameters"] else ""
    inside = "; ".join(filter(None, (shape, size)))
    line = f"An encoder{f' ({inside})' if inside else ''} was pretrained without labels by {row['method']}"
    if row["steps"]:
        line += f" for {row['steps']:,.0f} steps"
    if pretrain.get("batch") and record.get("length"):
        line += f" of {pretrain['batch']:,} windows of {record['length']:,} bases"
    if row["bases"]:
        line += f" ({row['bases']:,.0f} bases read)"
    tuned = [f"{word} {pretrain[key]:g}" for key, word in (("lr", "learning rate"), ("weight_decay", "weight decay"))
             if pretrain.get(key) is not None]  # fmt: skip
    if record.get("seed") is not None:
        tuned.append(f"seed {record['seed']}")
    line += f" with {', '.join(tuned)}" if tuned else ""
    where = f" on {record['device']}" if record.get("device") else ""
    return line + (f", which took {row['seconds']:,.0f} s{where}." if row["seconds"] else ".")


def _compared(found: Sequence[Run]) -> str:
    groups = runs.groups(found)
    if not groups:
        return ""
    seeds = sorted({run.seeds for run in groups})
    how = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Beside it, {judge.listed([run.name for run in groups])} were pretrained with {how} "
        f"{'seed' if how == '1' else 'seeds'} each on the same genomes."
    )


def _audit(audit: Mapping[str, Any] | None) -> str:
    if not audit:
        return ""
    n = len(audit["tasks"])
    checks = list(dict.fromkeys(str(c["name"]) for task in audit["tasks"] for c in task["checks"]))
    return (
        f"Before any score, {n} {'task was' if n == 1 else 'tasks were'} audited for leaks "
        f"({', '.join(name.replace('_', ' ') for name in checks)}): "
        + ", ".join(
            f"{word} {sum(task['outcome'] == word for task in audit['tasks'])}" for word in ("pass", "warn", "fail")
        )
        + "."
    )


def _probes(tasks: Sequence[Mapping[str, Any]], head: str) -> list[str]:
    """Tasks that were probed alike share their sentences."""
    alike: dict[str, list[str]] = {}
    for task in tasks:
        for text in (_fitted(task, head), _judged(task)):
            alike.setdefault(text, []).append(_sized(task))
    lines = []
    for text, whose in alike.items():
        which = f"On {judge.listed(whose)}" if len(whose) <= 6 else f"On {len(whose)} tasks"
        lines.append(f"{which}, {text}")
    return lines


def _sized(task: Mapping[str, Any]) -> str:
    record = task["record"]
    rows = [f"{record[f'n_{side}']:,} {side}" for side in ("train", "validation", "test") if record.get(f"n_{side}")]
    classes = record.get("classes")
    told = [f"{len(classes)} classes"] if isinstance(classes, list) and len(classes) > 1 else []
    told += [f"{', '.join(rows)} rows"] if rows else []
    return f"the task {task['name']}" + (f" ({'; '.join(told)})" if told else "")


def _fitted(task: Mapping[str, Any], head: str) -> str:
    record = task["record"]
    settings, reader = record.get("settings") or {}, names.head(head, judge.asked(record)["kind"])
    line = f"embeddings were frozen, standardised on the training rows and read by {reader}"
    if settings.get("penalty"):
        line += f", its penalty chosen from {', '.join(f'{c:g}' for c in settings['penalty'])} on validation rows"
    draws = record.get("draws")
    if isinstance(draws, dict) and draws:
        counts = [str(count) for count in draws]
        line += f", with {judge.listed(counts)} {task['per']} in up to {max(draws.values())} draws of labels"
    rivals = [name for name in task["embeddings"] if not ranking.is_compared(name)]
    line += f"; compared were {judge.listed(rivals)}" if len(rivals) > 1 else ""
    return line + "."


def _judged(task: Mapping[str, Any]) -> str:
    record = task["record"]
    settings = record.get("settings") or {}
    replicates = f" of {settings['replicates']:,} replicates" if settings.get("replicates") else ""
    unit = f" that resamples {record['unit']}" if record.get("unit") else ""
    return (
        f"scores are {names.metric(task['metric'])} on test rows, with 95 % percentile intervals of a bootstrap"
        f"{replicates}{unit}; two embeddings were compared by the interval of their paired difference."
    )


def _versions(versions: Sequence[Mapping[str, str]]) -> str:
    if not versions:
        return ""
    order = sorted(versions, key=lambda v: (v["name"] != "genossl", v["name"] != "python"))
    return f"Software: {', '.join(' '.join((v['name'], v['version'])) for v in order)}."
