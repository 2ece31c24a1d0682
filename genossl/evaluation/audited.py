"""The leak audit of a results folder as the report shows it: outcome, checks, first findings, and where the rest is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genossl.evaluation.drilldown import has_rows
from genossl.files import read_json, read_sheet

FINDINGS_SHOWN = 20  # of a task
ORDER = {"fail": 0, "warn": 1, "pass": 2}
# what a check that fails takes from a score; of any other: rows of train answer for rows of test
LOST = {
    "pretraining": "this is no evidence for genomes never seen",
    "gc": "GC content alone may explain it",
    "length": "length alone may explain it",
}
REMEMBERED = "what was remembered counts as known"
WORDS = {"fail": "fails", "warn": "warns", "pass": "passes"}


def view(results: Path) -> dict[str, Any] | None:
    """Every audit/<task>.json with its findings, the worst first; None where there was no audit."""
    folder = results / "audit"
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.endswith(".provenance.json")]
    tasks = [_task(results, path) for path in paths]
    tasks = [task for task in tasks if task]
    if not tasks:
        return None
    counts = {word: sum(task["outcome"] == word for task in tasks) for word in ("pass", "warn", "fail")}
    told = [f"{n} {'task' if n == 1 else 'tasks'} {_verb(word, n)}" for word, n in counts.items() if n]
    return {
        "tasks": sorted(tasks, key=lambda task: (ORDER.get(task["outcome"], 3), task["name"])),
        "sentence": f"The audit of leaks: {', '.join(told)}.",
        "outcomes": {task["name"]: task["outcome"] for task in tasks},
        "failed": [task["name"] for task in tasks if task["outcome"] == "fail"],
        "unseen": all(map(_unseen, tasks)),
    }


def failure(results: Path, task: str) -> str:
    """Each check that fails on a task and what that takes from its score, without a last full stop; empty without."""
    path = results / "audit" / f"{task}.json"
    found = _task(results, path) if path.is_file() else None
    wrong = [check for check in found["checks"] if check["outcome"] == "fail"] if found else []
    return ". ".join(f"{str(c['sentence']).rstrip('.')}: {LOST.get(c['name'], REMEMBERED)}" for c in wrong)


def _unseen(task: dict[str, Any]) -> bool:
    """Whether every check passes, that of what pretraining has read among them."""
    read = [check for check in task["checks"] if check["name"] == "pretraining"]
    return task["outcome"] == "pass" and any(check["value"] is not None for check in read)


def _verb(word: str, n: int) -> str:
    return WORDS[word] if n == 1 else {"fail": "fail", "warn": "warn", "pass": "pass"}[word]


def _task(results: Path, path: Path) -> dict[str, Any] | None:
    record = read_json(path)
    if not isinstance(record, dict) or "checks" not in record:
        return None
    findings = path.with_suffix(".tsv")
    rows, columns, total = [], [], 0
    if has_rows(findings):
        table = read_sheet(findings, comments=False)
        columns, total = [str(name) for name in table], len(table)
        if "outcome" in table:
            table = table.sort_values("outcome", key=lambda s: s.map(ORDER).fillna(3), kind="stable")
        rows = table.head(FINDINGS_SHOWN).to_numpy().tolist()
    checks = [check for check in record["checks"] if isinstance(check, dict)]
    return {
        "name": str(record.get("task", path.stem)),
        "outcome": str(record.get("outcome", "")),
        "checks": [
            {name: check.get(name) for name in ("name", "outcome", "value", "threshold", "n", "sentence")}
            for check in checks
        ],
        "columns": columns,
        "rows": rows,
        "total": total,
        "path": findings.relative_to(results).as_posix(),
    }
