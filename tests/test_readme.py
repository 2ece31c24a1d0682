"""What the README shows runs; tests/test_docs.py looks at its commands and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys


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


def test_the_tree_in_the_readme_is_on_disk(repository):
    (tree,) = re.findall(r"## What is where\n\n```\n(.*?)```", (repository / "README.md").read_text(), re.S)
    for name in re.findall(r"^(\S+)", tree, re.M):
        assert (repository / name).exists(), name
