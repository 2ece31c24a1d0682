"""The tutorials are what was run: every block of a page in its order, in a folder like a checkout."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest

DOCS = pages.ROOT / "docs"
ALSO = ("quickstart", "how_it_works", "faq", "formats")  # pages that are no tutorials and run nevertheless
TUTORIALS = [*(DOCS / f"{name}.md" for name in ALSO), *sorted((DOCS / "tutorials").glob("*.md"))]
LINKED = ("Snakefile", "config.yaml", "examples", "pyproject.toml", "workflow")
HERE = "The shell is in "
COPIED = ("genossl", "tests")  # pages add files to these


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a fresh checkout, and is the current one."""
    for name in LINKED:
        (tmp_path / name).symlink_to(pages.ROOT / name)
    for name in COPIED:
        shutil.copytree(pages.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("corpus", "faults", "slurm"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    return tmp_path


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_page_runs_as_it_stands(page, checkout):
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for block in pages.blocks(page):
        where = f"{pages.name(page)} line {block.line}"
        if block.mark.startswith("not run: "):
            continue
        if block.mark.startswith("file "):
            path = Path(block.mark.removeprefix("file "))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body)
        elif block.kind == "console":
            said = typed(block.body, where)
            for line in pages.shown(block.body):
                assert alike(line) in alike(said), f"{where}: shows {line!r}, found\n{said}"
            ran += 1
        elif block.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * (block.line - 1) + block.body, str(page), "exec"), names)
            ran += 1
    assert ran >= 1


def typed(body: str, where: str) -> str:
    """Type a block's commands into a shell that stops at the first failure; what they print.

    What follows on the page is done in the folder that the shell ends in.
    """
    script = "\n".join(["set -euo pipefail", *pages.commands(body), f"printf '\\n{HERE}%s' \"$PWD\""])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{where}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    said, _, folder = done.stdout.rpartition(f"\n{HERE}")
    os.chdir(folder)
    return said


def alike(text: str) -> str:
    """A text without what differs between machines: numbers of a training, and the blanks that they are aligned by."""
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+", "#", text))
