"""A run's log, one line per step: log.tsv for people and tables, log.jsonl with every digit and each term of the loss.

At a resume both forget what came after the saved step.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from pathlib import Path
from typing import Any

from genossl import files
from genossl.errors import DiskError

COLUMNS = (
    "step", "split", "loss", "bits", "top1", "candidates", "std", "rank", "rankme", "alignment", "uniformity", "lr",
    "bases", "seconds",
)  # fmt: skip


class Journal:
    """Both files of the log in a folder, up to a step."""

    def __init__(self, folder: Path, step: int) -> None:
        self.table = _Lines(folder / "log.tsv", "\t".join(COLUMNS) + "\n", _step_of_row, step)
        self.objects = _Lines(folder / "log.jsonl", "", _step_of_object, step)

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Append lines; those that a failing disk does not take wait for the next call."""
        self.table.waiting += "".join("\t".join(_text(line[name]) for name in COLUMNS) + "\n" for line in lines)
        self.objects.waiting += "".join(json.dumps(_exact(line)) + "\n" for line in lines)
        for part in (self.table, self.objects):
            with contextlib.suppress(DiskError):
                part.sync(durable=False)

    def sync(self) -> None:
        """Write what waits, so that it is there should the power fail. Raises DiskError."""
        self.table.sync()
        self.objects.sync()

    def finish(self, folder: Path) -> None:
        """Write the whole log into another folder."""
        for part in (self.table, self.objects):
            part.sync(durable=False)
            with files.atomic(folder / part.path.name, "w") as stream:
                stream.write(part.path.read_text())


class _Lines:
    """A file to which whole lines are appended."""

    def __init__(self, path: Path, header: str, step_of: Any, step: int) -> None:
        self.path = path
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        kept = [line for line in lines if (found := step_of(line)) is not None and found <= step]
        with files.atomic(path, "w") as stream:
            stream.write(header + "".join(kept))
        self.waiting, self.end = "", path.stat().st_size

    def sync(self, durable: bool = True) -> None:
        """Write what waits, behind the last line that is whole. Raises DiskError."""
        with files.disk(self.path), self.path.open("r+b", buffering=0) as stream:
            if self.waiting:
                stream.truncate(self.end)
                stream.seek(self.end)
                stream.write(self.waiting.encode())
                if stream.tell() < self.end + len(self.waiting):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.end, self.waiting = stream.tell(), ""
            if durable:
                os.fsync(stream.fileno())


def _step_of_row(line: str) -> int | None:
    """None for the header and for a line that was cut."""
    first, *others = line.split("\t")
    whole = line.endswith("\n") and len(others) == len(COLUMNS) - 1 and first.isdigit()
    return int(first) if whole else None


def _step_of_object(line: str) -> int | None:
    """None for a line that was cut."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)["step"]) if line.endswith("\n") else None
    return None


def _exact(line: dict[str, Any]) -> dict[str, Any]:
    """The line, its terms at the end; null for a number that is not finite, which JSON has not."""
    plain = {name: _or_null(line[name]) for name in COLUMNS}
    return plain | {"terms": {name: _or_null(value) for name, value in line["terms"].items()}}


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
