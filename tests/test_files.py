"""Whole files or none, sheets that stay what they are, and provenance."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genossl import files
from genossl.errors import DiskError, InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_atomic_shows_the_new_file_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    with files.atomic(path, "w") as stream:
        stream.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    with files.atomic(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == "é\n".encode()
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "x").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "y").write_text("old")

    def break_file() -> None:
        with files.atomic(tmp_path / "x") as stream:
            stream.write(b"half")
            raise error

    def break_folder() -> None:
        with files.new_folder(tmp_path / "folder") as new:
            (new / "y").write_text("half")
            raise error

    for broken in (break_file, break_folder):
        with pytest.raises(error):
            broken()
    assert names(tmp_path) == ["folder", "x"]
    assert (tmp_path / "x").read_text() == (tmp_path / "folder" / "y").read_text() == "old"


def test_a_kill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from genossl.files import atomic, new_folder
        with atomic(sys.argv[1] + "/x") as stream, new_folder(sys.argv[1] + "/folder") as new:
            stream.write(b"half")
            (new / "y").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    assert [name.split(".")[1] for name in names(tmp_path)] == ["folder", "x"]
    with files.atomic(tmp_path / "x"), files.new_folder(tmp_path / "folder"):
        assert len(names(tmp_path)) == 2, "what the dead left is still there"
    assert names(tmp_path) == ["folder", "x"]


def test_what_the_living_write_is_left_alone(tmp_path: Path) -> None:
    code = """
        import sys
        from genossl.files import atomic, new_folder
        with atomic(sys.argv[1] + "/x", "w") as stream, new_folder(sys.argv[1] + "/folder") as new:
            print("open", flush=True)
            stream.write(sys.stdin.readline())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "open\n"
    with files.atomic(tmp_path / "x", "w") as stream, files.new_folder(tmp_path / "folder"):
        with files.atomic(tmp_path / "x", "w") as inner:  # nor what this process writes
            inner.write("inner")
        stream.write("mine")
    assert (tmp_path / "x").read_text() == "mine"
    other.communicate("theirs")
    assert other.returncode == 0
    assert (tmp_path / "x").read_text() == "theirs"
    assert names(tmp_path) == ["folder", "x"]


def test_what_another_machine_writes_is_swept_after_a_week(tmp_path: Path) -> None:
    young, old, user = (tmp_path / name for name in (".x.00000000-1-abc", ".x.00000000-2-abc", ".x.backup"))
    for path in (young, old, user):
        path.write_text("")
    os.utime(old, (0, 0))
    with files.atomic(tmp_path / "x"):
        pass
    assert names(tmp_path) == [young.name, user.name, "x"]


def test_everything_is_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only protection from a power failure: contents, then folder, then the name, then the folder it stands in."""
    order: list[str] = []

    def seen(name: str) -> None:
        plain = getattr(os, name)

        def call(*given: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{given[0]}") if name == "fsync" else str(given[1])
            at = Path(path).relative_to(tmp_path).parts
            order.append(f"{name} {'/'.join('new' if part.startswith('.') else part for part in at)}")
            return plain(*given)

        monkeypatch.setattr(os, name, call)

    seen("fsync")
    seen("replace")
    with files.new_folder(tmp_path / "folder") as new:
        (new / "deep").mkdir()
        (new / "deep" / "y").write_text("")
        (new / "z").write_text("")
    assert order == ["fsync new/deep/y", "fsync new/deep", "fsync new/z", "fsync new", "replace folder", "fsync "]
    order.clear()
    with files.atomic(tmp_path / "x"):
        pass
    assert order == ["fsync new", "replace x", "fsync "]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_at_any_call_is_named_and_nothing_is_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plain, told = getattr(os, name), []

    def write() -> None:
        with files.new_folder(tmp_path / "folder") as new:
            files.write_json(new / "y.json", 1)
        files.write_json(tmp_path / "x.json", 1)

    for n in range(20):
        calls = iter(range(100))

        def call(*given: Any, n: int = n, calls: Any = calls) -> Any:
            if next(calls) == n:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return plain(*given)

        monkeypatch.setattr(os, name, call)
        try:
            write()
        except DiskError as error:
            told.append(str(error))
            assert not [path for path in names(tmp_path) if path.startswith(".")]
        else:
            break
    assert len(told) == {"fsync": 7, "replace": 4}[name]  # a folder of the turn before is replaced by two
    sentence = r".*(x\.json|y\.json|folder): cannot be written \(Input/output error\)"
    assert all(re.fullmatch(sentence, line) for line in told)


def test_the_provenance_of_a_file_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "x.npy.provenance.json").write_text("of the old one")
    with files.atomic(tmp_path / "x.npy"):
        assert (tmp_path / "x.npy.provenance.json").exists()
    assert names(tmp_path) == ["x.npy"]


def test_of_several_who_write_one_folder_the_last_stays(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "folder") as first:
        (first / "y").write_text("first")
        with files.new_folder(tmp_path / "folder") as second:
            (second / "y").write_text("second")
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder" / "y").read_text() == "first"


def test_a_seal_tells_any_change(tmp_path: Path) -> None:
    value = files.sealed({"a": (1, 2.5), "b": {"c": Path("x")}, "d": None})
    files.write_json(tmp_path / "x.json", value)
    files.check_seal(tmp_path / "x.json", files.read_json(tmp_path / "x.json"))
    for change in ({"a": [1, 2.0]}, {"e": 1}, {"b": {}}, {"seal": None}):
        with pytest.raises(InputError, match=r"x\.json: is damaged, its content does not fit its own checksum"):
            files.check_seal(tmp_path / "x.json", value | change)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_modes_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with files.atomic(tmp_path / "x"):
            pass
        with files.new_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert mode(tmp_path / "x") == 0o666 & ~mask
    assert mode(tmp_path / "folder") == 0o777 & ~mask


def test_new_folder_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    for content in ("a", "b"):
        with files.new_folder(tmp_path / "folder") as new:
            (new / content).write_text(content)
            (new / "deeper").mkdir()
            assert new.parent == tmp_path
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["b", "deeper"]


def test_what_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="file/x: cannot be written"), files.atomic(tmp_path / "file" / "x"):
        pass
    with pytest.raises(InputError, match="file/x: cannot be written"), files.new_folder(tmp_path / "file" / "x"):
        pass
    with pytest.raises(InputError, match="folder: cannot be written"), files.atomic(tmp_path / "folder"):
        pass
    assert names(tmp_path) == ["file", "folder"]


def test_json(tmp_path: Path) -> None:
    @dataclass
    class Settings:
        path: Path = Path("a/b")
        values: tuple[int, ...] = (1, 2)

    path = tmp_path / "x.json"
    files.write_json(path, {"s": Settings(), "a": np.arange(2), "f": np.float64(0.5), "i": np.int64(3)})
    assert files.read_json(path) == {"s": {"path": "a/b", "values": [1, 2]}, "a": [0, 1], "f": 0.5, "i": 3}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, float("nan"))
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        files.write_json(path, object())
    assert files.read_json(path)["i"] == 3, "a failed write changed the file"
    with pytest.raises(InputError, match=r"y\.json: no such file"):
        files.read_json(tmp_path / "y.json")
    path.write_text('{"a": ')
    with pytest.raises(InputError, match=r"x\.json: is damaged, not JSON"):
        files.read_json(path)


def test_tables_come_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    table = pd.DataFrame({"id": ["NA", "001", '"quoted"', "é"], "x": [0.1, 1e-9, float("nan"), 3.0], "n": [1, 2, 3, 4]})
    files.write_tsv(path, table)
    back = files.read_sheet(path)
    assert back["id"].tolist() == table["id"].tolist()
    assert back["x"].tolist() == ["0.1", "1e-09", "", "3.0"]
    assert back["n"].tolist() == ["1", "2", "3", "4"]


def test_numbers_of_any_type_are_written_as_numbers(tmp_path: Path) -> None:
    mixed = pd.DataFrame({"x": [np.float64(0.5), np.int64(2), None, np.float64("nan"), "a\tb\nc"]}, dtype=object)
    files.write_tsv(tmp_path / "x.tsv", mixed)
    assert (tmp_path / "x.tsv").read_text() == "x\n0.5\n2\n\n\na b c\n"


@pytest.mark.parametrize("packed", [False, True])
def test_read_sheet(tmp_path: Path, packed: bool) -> None:
    text = "# a comment\n\nid\t label \r\nNA\t 001 \r\n#no\tone\nb\t\n".encode("utf-8-sig")
    path = tmp_path / "x.tsv"
    path.write_bytes(gzip.compress(text) if packed else text)
    sheet = files.read_sheet(path, ("id", "label"))
    assert sheet.to_dict("list") == {"id": ["NA", "b"], "label": ["001", ""]}
    assert sheet.dtypes.tolist() == [object, object]


def test_a_table_of_ours_may_have_names_that_look_like_comments(tmp_path: Path) -> None:
    files.write_tsv(tmp_path / "x.tsv", pd.DataFrame({"id": ["#a", "b"]}))
    assert files.read_sheet(tmp_path / "x.tsv", comments=False)["id"].tolist() == ["#a", "b"]


@pytest.mark.parametrize(
    "content,message",
    [
        (None, "x.tsv: no such file"),
        (b"", "x.tsv: is empty; expected a header line with id, label"),
        (b"# only\n\n", "x.tsv: is empty"),
        (b"\xff\xfe\x00", "x.tsv: is not a UTF-8 text table"),
        (gzip.compress(b"id\tlabel\n" * 99)[:-9], "x.tsv: is not a UTF-8 text table"),
        (b"#\nid\tid\n", "x.tsv line 2: column 'id' occurs more than once"),
        (b"id\tother\na\tb\n", "x.tsv: no column label; found id, other"),
        (b"id\tlabel\na\tb\n\na\tb\tc\n", "x.tsv line 4: 3 columns, expected 2 as in the header line"),
        (b"id\tlabel\n", "x.tsv: has a header line and no rows"),
    ],
)
def test_what_is_wrong_with_a_sheet(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        files.read_sheet(path, ("id", "label"))
    assert message in str(error.value)


def test_provenance(tmp_path: Path) -> None:
    (tmp_path / "in.fa").write_text(">a\nACGT\n")
    out = tmp_path / "x.npy"
    files.write_provenance(out, "embed", {"window": 5}, {"input": tmp_path / "in.fa"}, seed=7, note="more")
    record = json.loads((tmp_path / "x.npy.provenance.json").read_text())
    assert (record["artefact"], record["verb"], record["seed"], record["note"]) == ("x.npy", "embed", 7, "more")
    assert record["settings"] == {"window": 5}
    known = subprocess.run(["sha256sum", str(tmp_path / "in.fa")], capture_output=True, text=True).stdout.split()[0]
    assert record["inputs"] == {"input": {"path": str(tmp_path / "in.fa"), "sha256": known}}
    assert {"python", "numpy", "torch", "genossl"} <= set(record["versions"])


def test_progress_is_silent_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(files.progress([1, 2], "x")) == [1, 2]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("writer", [files.atomic, files.new_folder])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, writer: Any) -> None:

    with pytest.raises(InputError, match=r"x: cannot be written, No space left on device \(.* MB free\)"):
        with writer(tmp_path / "x"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a.tsv")
    files.spare([tmp_path / "b.tsv"], [tmp_path / "a.tsv", None, "-"])
    for written in ("a.tsv", "link", "../" + tmp_path.name + "/a.tsv"):
        with pytest.raises(InputError, match="is read, and would be written over"):
            files.spare([tmp_path / "b.tsv", tmp_path / written], [tmp_path / "a.tsv"])


def test_a_sheet_that_unpacks_to_too_much(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.tsv.gz", "wb", compresslevel=9) as stream:
        for _ in range(150):
            stream.write(b"a" * 1_000_000)
    with pytest.raises(InputError, match=r"t\.tsv\.gz: unpacks to more than 200 times its size"):
        files.read_sheet(tmp_path / "t.tsv.gz")


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\x9b"])
def test_control_characters_in_a_table(tmp_path: Path, character: str) -> None:
    for text in (f"a\tb\n1\tx{character}y\n", f"a\tb{character}b\n1\tx\n"):
        (tmp_path / "t.tsv").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"t\.tsv line [12]: found a control character in '[xb].*', expected none"):
            files.read_sheet(tmp_path / "t.tsv")
    (tmp_path / "t.tsv").write_text("a\tb\n1\té\u00a0\u202ex\n", encoding="utf-8")
    assert files.read_sheet(tmp_path / "t.tsv")["b"][0] == "é\u00a0\u202ex"


def test_control_characters_of_free_text_are_written_as_blanks(tmp_path: Path) -> None:
    """Annotation, such as products of genes, may have any: %1B of GFF3, say."""
    files.write_tsv(tmp_path / "t.tsv", pd.DataFrame({"a": ["x\ty\nz\x1b[2J\0\x9b\u00a0é\u202e"]}))
    assert (tmp_path / "t.tsv").read_text(encoding="utf-8") == "a\nx y z [2J  \u00a0é\u202e\n"
