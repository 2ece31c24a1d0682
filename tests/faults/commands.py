"""Commands as a user types them, in this process, and the small collection that they work on."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from genossl import cli


def run(words: list[str], log: Path | None = None) -> tuple[int, str]:
    """Exit code, and what was said on standard error."""
    said = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["genossl", "--quiet", *words]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
    ):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    raise AssertionError("main returned")


def in_folder(words: list[str], folder: Path) -> list[str]:
    """The words of a case (kills.prepare) whose output goes into a folder."""
    return [word.replace("{out}", str(folder)) for word in words]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of `size` bytes mounted on a folder. Raises OSError where that is not allowed."""
    _mount("-t", "tmpfs", "-o", f"size={size}", "genossl-test", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Give a mounted folder another size, or make it read-only."""
    _mount("-o", f"remount,{options}", str(folder))


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OSError("there is no mount") from error
    if done.returncode:
        raise OSError(done.stderr.strip())
