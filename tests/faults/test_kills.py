"""Killed at any moment, nothing half-written has a final name, and the same command ends as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tally import record


def killed(*options: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert not [amiss for line in found for amiss in line["amiss"]]
    for line in found:
        record(line["kind"], line["tried"], line["lost"], line["wrong"])


def test_a_sample_of_kills() -> None:
    killed("--kills", "10", "--checkpoints", "10", "--seed", "1")


@pytest.mark.slow
def test_200_kills_of_commands_and_500_of_the_writer_of_checkpoints() -> None:
    killed("--kills", "200", "--checkpoints", "500")
