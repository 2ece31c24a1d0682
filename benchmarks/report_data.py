"""Made-up results of many tasks, every file that the report can show, from closed formulas and one seeded generator."""

# N labelled rows, K classes, D dimensions

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.files import write_json, write_tsv

EMBEDDINGS = (
    "ours", "kmer_mlp", "paper", "same_strand", "one_length", "many_lengths", "untrained", "kmer3", "kmer4", "kmer5",
    "kmer6", "gc",
)  # fmt: skip
KINDS = ("classes", "classes", "classes", "multilabel", "regression")  # of the tasks, in turn
PRIMARY = {"classes": "balanced_accuracy", "multilabel": "average_precision", "regression": "r2"}
METRICS = {
    "classes": ("balanced_accuracy", "macro_f1", "mcc", "auroc"),
    "multilabel": ("average_precision", "auroc", "macro_f1"),
    "regression": ("r2", "spearman", "pearson", "rmse"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is made, and how its names are dressed up: `name` is a format with one place."""

    tasks: int = 50
    embeddings: tuple[str, ...] = EMBEDDINGS
    shots: tuple[str, ...] = ("1", "5", "10", "50", "100", "400", "all")
    heads: tuple[str, ...] = ("logistic", "knn")
    classes: int = 5
    rows: int = 600
    findings: int = 40
    name: str = "{}"

    def dressed(self, name: str) -> str:
        """A name as this plan spells it."""
        return self.name.replace("{}", name)


def write(folder: Path, plan: Plan) -> Path:
    """A results folder as the workflow leaves it."""
    _store(folder, plan)
    _run(folder)
    for i in range(plan.tasks):
        _task(folder, plan, i)
    _speed(folder, plan)
    return folder


def task_name(plan: Plan, i: int) -> str:
    """The i-th task; a slash would be another folder."""
    return plan.dressed(f"task{i:02d}").replace("/", "∕")


def kind_of(i: int) -> str:
    """The kind of the i-th task."""
    return KINDS[i % len(KINDS)]


def level(i: int, name: str, shots: str) -> float:
    """The made-up score: task i has its own difficulty, and ours is ahead on even tasks and behind on every third."""
    top = {"ours": 0.03 if i % 2 == 0 else -0.04 if i % 3 == 0 else 0.0, "untrained": -0.08, "gc": -0.35}.get(
        name, -0.01
    )
    top += 0.004 * int(name.removeprefix("kmer")) - 0.015 if name[:4] == "kmer" and name[4:].isdigit() else 0
    count = 1000 if shots == "all" else int(shots)
    return 0.93 - 0.002 * (i % 50) + top - 0.3 / count**0.45


def _store(folder: Path, plan: Plan) -> None:
    names = [plan.dressed(f"genome{g}") for g in range(12)]
    counts = [{"genome": n, "records": 2, "bases": 4_000_000, "n_N": 7, "n_N_tokens": 7, "gc": 0.41} for n in names]
    write_json(folder / "store" / "store.json", {"format": 1, "contigs": 24, "genomes": counts})
    sides = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    write_tsv(folder / "store" / "genomes.tsv", pd.DataFrame({"genome": names, "split": sides}))


def _run(folder: Path) -> None:
    steps = range(10, 1001, 10)
    lines = [(n, "train", 5.5 - 3 * (1 - math.exp(-n / 300)), 0.4, 256, 0.9, n * 256_000, n / 30) for n in steps]
    columns = ["step", "split", "loss", "top1", "candidates", "std", "bases", "seconds"]
    write_tsv(folder / "runs" / "ours" / "log.tsv", pd.DataFrame(lines, columns=columns))
    record: dict[str, Any] = {"format": 1, "method": "self_genomenet", "parameters": 855_040, "steps": 1000, "seed": 0}
    record |= {"bases_seen": 256_000_000, "length": 1000, "seconds": 33.0, "device": "cpu", "warnings": []}
    record |= {
        "pretrain": {"train_splits": ["train"], "batch": 256, "lr": 1e-3, "weight_decay": 0.01},
        "versions": {"genossl": "0.1.0"},
    }
    write_json(folder / "runs" / "ours" / "encoder.json", record)


def _task(folder: Path, plan: Plan, i: int) -> None:
    name, kind = task_name(plan, i), kind_of(i)
    classes = [plan.dressed(f"class {k}") for k in range(plan.classes)] if kind != "regression" else []
    base = folder / "scores" / name
    scores, pairs = [], []
    for head in plan.heads:
        for shots in plan.shots:
            for metric in METRICS[kind]:
                for one in map(plan.dressed, plan.embeddings):
                    value = _at(plan, i, one, shots)
                    scores.append((name, one, head, shots, "mean", metric, value, value - 0.012, value + 0.012, 1500))
                    if metric == PRIMARY[kind]:
                        pairs += [_pair(plan, i, head, shots, metric, one, other) for other in plan.embeddings]
    for shots in plan.shots:
        value = level(i, "scratch", shots) - 0.05
        line = (shots, "mean", PRIMARY[kind], value, value - 0.02, value + 0.02, 1500)
        scores.append((name, "scratch", "end_to_end", *line))
        pairs.append(_pair(plan, i, "end_to_end", shots, PRIMARY[kind], "scratch", "kmer6"))
    columns = ["task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
    table = pd.DataFrame(scores, columns=columns)
    write_tsv(base.with_name(f"{name}.tsv"), table)
    columns = ["task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n", "p"]
    frame = pd.DataFrame(pairs, columns=columns)
    write_tsv(base.with_name(f"{name}.comparisons.tsv"), frame[frame["embedding"] != frame["baseline"]])
    record = {"task": name, "kind": kind, "metric": PRIMARY[kind], "classes": classes, "label_cap": 1000}
    record |= {"n_train": 9000, "n_validation": 1500, "n_test": 1500, "unit": "20000-base blocks within each class"}
    record |= {"draws": dict.fromkeys(plan.shots, 5), "settings": {"penalty": [0.01, 1.0], "replicates": 1000}}
    write_json(base.with_name(f"{name}.json"), record)
    if classes:
        _confusion(base, plan, i, classes)
    _beside(base, plan, i, table)
    _embeddings(folder, plan, i, classes)
    _about(folder, plan, i, kind)


def _at(plan: Plan, i: int, name: str, shots: str) -> float:
    plain = next((e for e in plan.embeddings if plan.dressed(e) == name), name)
    return level(i, plain, shots)


def _pair(plan: Plan, i: int, head: str, shots: str, metric: str, one: str, other: str) -> tuple[Any, ...]:
    other = plan.dressed(other)
    d = _at(plan, i, one, shots) - _at(plan, i, other, shots) - (0.05 if one == "scratch" else 0)
    half = 0.03 if shots in ("1", "5") else 0.01
    p = math.erfc(abs(d) / (half / 1.96) / math.sqrt(2))
    return (task_name(plan, i), head, shots, metric, one, other, d, d - half, d + half, 1500, p)


def _confusion(base: Path, plan: Plan, i: int, classes: list[str]) -> None:
    lines = []
    for name in plan.embeddings:
        for shots in plan.shots[-1:]:
            right = level(i, name, shots)
            for a, label in enumerate(classes):
                for b, said in enumerate(classes):
                    share = right if a == b else (1 - right) / (len(classes) - 1)
                    lines.append((base.name, plan.dressed(name), "logistic", shots, label, said, int(1500 * share)))
    columns = ["task", "embedding", "head", "shots", "label", "predicted", "count"]
    write_tsv(base.with_name(f"{base.name}.confusion.tsv"), pd.DataFrame(lines, columns=columns))


def _beside(base: Path, plan: Plan, i: int, scores: pd.DataFrame) -> None:
    """Subsets, label efficiency, calibration and strands of one task."""
    ours, rivals = plan.dressed("ours"), [plan.dressed(f"kmer{k}") for k in (3, 4, 5, 6)]
    rows = scores[(scores["metric"] == PRIMARY[kind_of(i)]) & (scores["head"] == "logistic")]
    parts = [("all", 0.0, 1500), ("clean", 0.02, 1200), ("identity 0.9-1", -0.05, 300)]
    moved = {part: {c: rows[c] - d for c in ("value", "low", "high")} for part, d, _ in parts}
    tables = [rows.assign(**moved[part], n=n, subset=part, baseline="") for part, _, n in parts]
    write_tsv(base.with_name(f"{base.name}.subsets.tsv"), pd.concat(tables))
    lines = [
        (base.name, ours, rival, "logistic", shots, 2.6, 1.9, 3.4, "", "400")
        for rival in rivals
        for shots in ("10", "100")
    ]
    columns = ["task", "embedding", "baseline", "head", "shots", "ratio", "low", "high", "censored", "crossover"]
    write_tsv(base.with_name(f"{base.name}.efficiency.tsv"), pd.DataFrame(lines, columns=columns))
    lines = []
    for name, off in ((ours, 0.02), *((rival, 0.08) for rival in rivals)):
        lines += [
            (base.name, name, "logistic", "10", b, b / 10 + 0.05, max(b / 10 + 0.05 - off, 0.0), 150) for b in range(10)
        ]
        lines += [(base.name, name, "logistic", "10", what, x, "", "") for what, x in (("ece", off), ("brier", 0.11))]
    columns = ["task", "embedding", "head", "shots", "bin", "confidence", "accuracy", "n"]
    write_tsv(base.with_name(f"{base.name}.calibration.tsv"), pd.DataFrame(lines, columns=columns))
    lines = [(base.name, name, 0.03, 0.97, 1500) for name in (ours, rivals[0])]
    columns = ["task", "embedding", "flip_rate", "correlation", "n"]
    write_tsv(base.with_name(f"{base.name}.strand.tsv"), pd.DataFrame(lines, columns=columns))


def _embeddings(folder: Path, plan: Plan, i: int, classes: list[str]) -> None:
    rng = np.random.default_rng(i)
    y_N = np.arange(plan.rows) % max(len(classes), 1)
    labels = [classes[k] for k in y_N] if classes else [f"{x:.3f}" for x in rng.normal(size=plan.rows)]
    ids = [plan.dressed(f"read{n}") for n in range(plan.rows)]
    table = pd.DataFrame({"id": ids, "label": labels, "contig": plan.dressed("contig1")})
    table = table.assign(
        genome=plan.dressed("genome11"), strand="+", split=["test", "test", "train"] * (plan.rows // 3)
    )
    table["start"], table["end"] = 500 * np.arange(plan.rows), 500 * np.arange(plan.rows) + 500
    write_tsv(folder / "tasks" / f"{task_name(plan, i)}.tsv", table)
    centres = rng.normal(size=(max(len(classes), 1), 16))
    for name, spread in (("ours", 0.5), ("kmer6", 0.9)):
        path = folder / "embeddings" / task_name(plan, i) / f"{plan.dressed(name)}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, (centres[y_N] + spread * rng.normal(size=(plan.rows, 16))).astype(np.float32))
        write_tsv(path.with_suffix(".tsv"), table[["id"]])


def _about(folder: Path, plan: Plan, i: int, kind: str) -> None:
    """What the verbs tasks, audit and cluster leave of one task."""
    name = task_name(plan, i)
    about = {"task": name, "kind": kind, "strand": "invariant", "layout": "table", "rows": plan.rows}
    write_json(
        folder / "tasks" / f"{name}.json", about | {"description": plan.dressed("made up"), "notes": ["no notes"]}
    )
    outcome = ("pass", "warn", "fail")[i % 3]
    check = {"name": "exact_duplicates", "outcome": outcome, "value": i % 3 * 20, "threshold": 0, "n": 1500}
    check["sentence"] = plan.dressed(f"{i % 3 * 20} of 1500 test rows are also train rows.")
    report = {"task": name, "outcome": outcome, "checks": [check]}
    write_json(folder / "audit" / f"{name}.json", report)
    lines = [("exact_duplicates", outcome, plan.dressed(f"read{n}"), plan.dressed(f"read{n + 1}"), 1.0)
             for n in range(plan.findings if i % 3 else 0)]  # fmt: skip
    columns = ["check", "outcome", "id", "other", "value"]
    write_tsv(folder / "audit" / f"{name}.tsv", pd.DataFrame(lines, columns=columns))
    measured = [(a, m) for a in ("kmeans", "hdbscan") for m in ("ari", "nmi")]
    lines = [
        (name, plan.dressed(e), a, m, x, x - 0.02, x + 0.02, 1000)
        for e, x in (("kmer4", 0.5), ("ours", 0.51))
        for a, m in measured
    ]
    columns = ["task", "embedding", "algorithm", "metric", "value", "low", "high", "n"]
    write_tsv(folder / "clusters" / f"{name}.tsv", pd.DataFrame(lines, columns=columns))
    ours, rival = plan.dressed("ours"), plan.dressed("kmer4")
    lines = [(name, a, m, ours, rival, 0.01, d, 0.02, 1000)
             for a, m, d in (("kmeans", "ari", 0.005), ("kmeans", "nmi", -0.01))]  # fmt: skip
    columns = ["task", "algorithm", "metric", "embedding", "baseline", "difference", "low", "high", "n"]
    write_tsv(folder / "clusters" / f"{name}.comparisons.tsv", pd.DataFrame(lines, columns=columns))


def _speed(folder: Path, plan: Plan) -> None:
    jobs = [("ingest", 12.0), ("pretrain/ours", 900.0)]
    jobs += [(f"probe/{task_name(plan, i)}", 30.0 + i) for i in range(plan.tasks)]
    for job, seconds in jobs:
        path = folder / "benchmarks" / f"{job}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = {"s": seconds, "cpu_time": 0.9 * seconds, "max_rss": 500.0 + seconds, "h:m:s": "-"}
        path.write_text(json.dumps(line) + "\n", encoding="utf-8")
