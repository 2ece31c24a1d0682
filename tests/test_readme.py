"""What the README shows runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import click
import pytest

from genossl.cli import cli


def test_the_python_example_runs(repository, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.S)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("#")]) <= 30
    (tmp_path / "examples").symlink_to(repository / "examples")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "22 genomes, 17,304,545 bases" in done.stdout
    assert "(2, 256) float32" in done.stdout
    assert "['high']" in done.stdout


@pytest.mark.parametrize("page,least", [("README.md", 15), ("docs/methods.md", 5), ("docs/tracks.md", 9)])
def test_every_command_shown_exists_with_its_options(repository, page, least):
    shown = re.findall(r"^\$ genossl (.*?)(?:\s+#.*)?$", (repository / page).read_text(), re.M)
    assert len(shown) >= least
    for line in shown:
        verb, *words = shlex.split(line)
        command = cli.commands[verb]
        known = {name for p in command.params if isinstance(p, click.Option) for name in p.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_tree_in_the_readme_is_on_disk(repository):
    (tree,) = re.findall(r"## What is where\n\n```\n(.*?)```", (repository / "README.md").read_text(), re.S)
    for name in re.findall(r"^(\S+)", tree, re.M):
        assert (repository / name).exists(), name
