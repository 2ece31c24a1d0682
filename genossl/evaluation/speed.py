"""What the jobs of a workflow took: benchmarks/<rule>/<job>.jsonl, as Snakemake writes them, added up by rule."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from genossl.errors import InputError

JOBS_SHOWN = 300  # the slowest ones


def view(results: Path) -> dict[str, Any] | None:
    """Seconds, CPU seconds and largest memory per rule and per job, the slowest first; None without benchmarks.

    The report's own job is left out: the first report knows of none, and a second should be the same.
    """
    folder = results / "benchmarks"
    paths = [path for path in sorted(folder.rglob("*.jsonl")) if path != folder / "report.jsonl"]
    jobs = [job for path in paths for job in read(path, folder)]
    if not jobs:
        return None
    rules = []
    for rule in dict.fromkeys(job["rule"] for job in jobs):
        own = [job for job in jobs if job["rule"] == rule]
        rules.append({"rule": rule, "jobs": len(own), **_sums(own), "longest": max(job["seconds"] for job in own)})
    rules.sort(key=lambda row: -row["seconds"])
    jobs.sort(key=lambda job: -job["seconds"])
    return {
        "rules": rules,
        "jobs": jobs[:JOBS_SHOWN],
        "left_out": max(len(jobs) - JOBS_SHOWN, 0),
        "total": {"jobs": len(jobs), **_sums(jobs)},
    }


def _sums(jobs: list[dict[str, Any]]) -> dict[str, float]:
    memory = [job["memory"] for job in jobs if math.isfinite(job["memory"])]
    cpu = [job["cpu"] for job in jobs if math.isfinite(job["cpu"])]
    return {
        "seconds": sum(job["seconds"] for job in jobs),
        "cpu": sum(cpu) if cpu else math.nan,
        "memory": max(memory, default=math.nan),
    }


def read(path: Path, folder: Path) -> list[dict[str, Any]]:
    """The lines of one file, a repeat of the job each; the rule is the first part of its path.

    seconds: wall clock; cpu: seconds of all cores; memory: resident set at its largest, in MB; nan where not measured.
    """
    parts = path.relative_to(folder).with_suffix("").parts
    rows = []
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            seconds = float(told["s"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} line {i}: expected a JSON object with s, the seconds ({error})") from None
        numbers = {"cpu": _number(told.get("cpu_time")), "memory": _number(told.get("max_rss"))}
        rows.append({"rule": parts[0], "job": "/".join(parts[1:]) or parts[0], "seconds": seconds, **numbers})
    return rows


def _number(value: Any) -> float:
    """Snakemake writes "-" or "NA" where a job was too short to be looked at."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
