"""Contenders in turn: A B C A B C, each in a process that waits to be asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .table import Contender, Row, Rows, Table

BENCHMARKS = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class _Process:
    """A contender that waits to be asked for a measurement."""

    def __init__(self, contender: Contender, seconds: float, peers: Path) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        python = str(peers) if contender.peers else sys.executable
        paths = [BENCHMARKS] if contender.peers else [BENCHMARKS, BENCHMARKS.parent]
        settings = json.dumps(contender.settings)
        self.process = subprocess.Popen(
            [python, "-m", "speed.measure", f"speed.{contender.call}", settings, str(seconds)],
            env=os.environ
            | OFFLINE
            | dict.fromkeys(THREADS, str(contender.threads))
            | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines() or [f"ended with code {self.process.wait()}"]
        return {"left_out": said[-1], "failed": True}

    def ask(self) -> dict[str, Any]:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its answer says how
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        self.process.communicate()
        self.errors.close()


def measure(table: Table, rounds: int, peers: Path) -> Rows:
    """Every contender once per round, in turn; a round before them warms up and is not counted."""
    rows = {c.name: Row(c.name, [], c.left_out) for c in table.contenders}
    processes: dict[str, _Process] = {}
    for contender in table.contenders:
        if contender.peers and not peers.exists() and not contender.left_out:
            rows[contender.name].left_out = "needs the peers' environment: make peers"
        if not rows[contender.name].left_out:
            processes[contender.name] = _Process(contender, table.seconds, peers)
    try:
        for number in range(-2, rounds):  # -2: all are ready, -1: all are warm
            for name in [name for name in processes if not rows[name].left_out]:
                row, process = rows[name], processes[name]
                found = process.answer() if number == -2 else process.ask()
                row.left_out, row.failed = found.pop("left_out", ""), found.pop("failed", False)
                if row.left_out:
                    row.rounds.clear()
                elif number >= 0:
                    row.rounds.append(found)
    finally:
        for process in processes.values():
            process.close()
    return rows
