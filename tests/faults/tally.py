"""Faults tried, acknowledged work lost, artefacts wrong: counted by kind, shown as the table of docs/reliability.md.

GENOSSL_FAULTS=faults.jsonl pytest tests/faults -m 'slow or not slow'; python tests/faults/tally.py faults.jsonl
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path


def record(kind: str, tried: int, lost: int = 0, wrong: int = 0) -> None:
    """Add a line to the file that GENOSSL_FAULTS names; then fail where anything was lost or wrong."""
    if path := os.environ.get("GENOSSL_FAULTS"):
        with Path(path).open("a") as stream:
            stream.write(json.dumps({"kind": kind, "tried": tried, "lost": lost, "wrong": int(wrong)}) + "\n")
    assert tried > 0, f"{kind}: nothing was tried"
    assert (lost, wrong) == (0, 0), f"{kind}: of {tried} faults {lost} lost something, {wrong} left something wrong"


def machine() -> str:
    """Cores and processor, as lscpu tells."""
    told = dict(
        line.split(":", 1)
        for line in subprocess.run(["lscpu"], capture_output=True, text=True).stdout.splitlines()
        if ":" in line
    )
    name = told.get("Model name", platform.processor() or "unknown processor").strip()
    return f"{os.cpu_count()} cores, {name}, {platform.system()} {platform.release().split('-')[0]}"


def table(path: Path) -> str:
    """Lines of the same kind are added up, in the order in which the kinds were met."""
    sums: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        found = json.loads(line)
        row = sums.setdefault(found["kind"], [0, 0, 0])
        sums[found["kind"]] = [row[i] + found[name] for i, name in enumerate(("tried", "lost", "wrong"))]
    rows = [f"| {kind} | {' | '.join(f'{n:,}' for n in row)} |" for kind, row in sums.items()]
    total = " | ".join(f"**{sum(row[i] for row in sums.values()):,}**" for i in range(3))
    head = ["| fault | tried | lost | wrong |", "|---|---|---|---|"]
    return "\n".join([f"On {machine()}:", "", *head, *rows, f"| **all** | {total} |"])


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])) + "\n")
