"""Disks that are full, read-only or not there: one sentence, nothing half-written, and afterwards the same result."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import commands
import kills
import pytest
from tally import record

PAGE = 4096


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, kills.Case]:
    """Each verb's command, with the files of a run that nothing disturbed."""
    work = tmp_path_factory.mktemp("disks")
    found = {case.verb: case for case in kills.prepare(work / "data", commands.run)}
    for case in found.values():
        (folder := work / case.verb).mkdir()
        code, said = commands.run(commands.in_folder(case.words, folder))
        assert code == 0, said
        case.whole = kills.finals(folder)
        case.sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a page, or a skip that says why there is none."""
    (folder := tmp_path / "disk").mkdir()
    try:
        with commands.small_disk(folder, PAGE):
            yield folder
    except OSError as error:
        pytest.skip(f"no small file system can be mounted: {error}")


def full(
    case: kills.Case, folder: Path, sizes: list[int], limit: Callable[[int], None], lift: Callable[[], None]
) -> int:
    """Run into a limit at each size, then once without; counts what went wrong."""
    wrong, hit = 0, 0
    for size in sizes:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        limit(size)
        try:
            code, said = commands.run(commands.in_folder(case.words, folder))
        finally:
            lift()
        if code == 0:  # all of it fitted
            wrong += kills.finals(folder) != case.whole
            continue
        hit += 1
        fine = code == 2 and said.count("\n") == said.count("was not saved") + ("training stops" not in said)
        fine = fine and "cannot be written" in said.splitlines()[-1] and "Traceback" not in said
        left = list(folder.rglob(".*"))
        halves = [name for name, found in kills.finals(folder).items() if case.whole.get(name) != found]
        code, again = commands.run(commands.in_folder(case.words, folder))
        same = code == 0 and kills.finals(folder) == case.whole
        if not fine or left or halves or not same:
            wrong += 1
            sys.stdout.write(f"{case.verb}, {size} bytes: {said} {left} {halves} {again}\n")
    record(f"disk full, `genossl {case.verb}`", hit, wrong=wrong)
    return hit


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["ingest", "pretrain", "embed", "embed into a folder", "probe", "report"])
def test_a_full_file_system(cases: dict[str, kills.Case], disk: Path, verb: str) -> None:
    case = cases[verb]
    need = sum(-(-size // PAGE) + 1 for size in case.sizes)
    sizes = sorted({PAGE * max(1, need * i // 16) for i in range(16)})
    full(case, disk, sizes, lambda n: commands.remount(disk, f"size={n}"), lambda: commands.remount(disk, "size=1g"))


@pytest.mark.parametrize("verb", ["ingest", "pretrain", "embed", "embed into a folder", "probe", "report"])
def test_files_that_may_grow_no_further(cases: dict[str, kills.Case], tmp_path: Path, verb: str) -> None:
    """A limit on the size of files needs no root, and breaks in the middle of a file."""
    case = cases[verb]

    def limit(n: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, resource.RLIM_INFINITY))

    sizes = sorted({max(case.sizes) * i // 4 for i in range(4)} | {min(case.sizes) // 2})
    full(case, tmp_path, sizes, limit, lambda: limit(resource.RLIM_INFINITY))


def test_folders_that_cannot_be_written(cases: dict[str, kills.Case], disk: Path, tmp_path: Path) -> None:
    commands.remount(disk, "ro")
    (file := tmp_path / "file").write_text("")
    wrong = 0
    for case in cases.values():
        for folder, told in ((disk / "a" / "b", "Read-only file system"), (file / "a", "Not a directory")):
            code, said = commands.run(commands.in_folder(case.words, folder))
            wrong += not (code == 2 and said.count("\n") == 1 and "cannot be written" in said and told in said)
    record("output folder read-only, or below a file", 2 * len(cases), wrong=wrong)


def test_inputs_in_a_folder_that_is_read_only(cases: dict[str, kills.Case], disk: Path, tmp_path: Path) -> None:
    commands.remount(disk, "size=1g")
    made = {case.verb: case for case in kills.prepare(disk / "data", commands.run)}
    commands.remount(disk, "ro")
    wrong = 0
    for verb, case in made.items():
        (folder := tmp_path / verb).mkdir()
        code, _ = commands.run(commands.in_folder(case.words, folder))
        wrong += code != 0 or kills.finals(folder).keys() != cases[verb].whole.keys()
    record("input folder read-only", len(made), wrong=wrong)


def test_inputs_that_are_not_there(cases: dict[str, kills.Case], tmp_path: Path) -> None:
    wrong = 0
    for case in cases.values():
        words = [word.replace("/data/", "/nowhere/") for word in commands.in_folder(case.words, tmp_path / case.verb)]
        code, said = commands.run(words)
        wrong += not (code == 2 and said.count("\n") == 1 and "/nowhere/" in said) or (tmp_path / case.verb).exists()
    record("input missing", len(cases), wrong=wrong)
