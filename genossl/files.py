"""Whole files or none: atomic writes, checksums, provenance, sheets, progress.

A file appears under its final name only when every byte of it is on disk; beside each artefact lies what made it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import functools
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from genossl import lock
from genossl.errors import DiskError, InputError

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("genossl", "torch", "numpy", "pandas", "scikit-learn", "biopython", "pyfaidx", "snakemake")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STALE = 7 * 86400  # seconds after which what a process of another machine has not written to is nobody's
_open: set[str] = set()  # temporary files and folders of this process
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # of runs, tasks and the collection: they become file names
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # blanks and line ends apart
_BLANKS = dict.fromkeys([*range(32), *range(127, 160)], " ")
quiet = False  # set by the command line's --quiet


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Say which path a failing disk belongs to."""
    try:
        yield
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> DiskError:
    told = error.strerror or str(error)
    if error.errno not in FULL:
        return DiskError(f"{path}: cannot be written ({told})")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    return DiskError(f"{path}: cannot be written, {told} ({shutil.disk_usage(there).free / 1e6:,.1f} MB free)")


def _temporary(path: Path) -> str:
    """What the temporary names of `path` begin with: they tell who writes."""
    return f".{path.name}.{lock.here()}-{os.getpid()}-"


def sweep(folder: Path, name: str) -> None:
    """Remove what killed writers left of files and folders whose names begin so; a living one's stays."""
    for entry in os.scandir(folder.absolute()):
        found = re.fullmatch(r"\.(.+)\.([0-9a-f]{8})-(\d+)-\w+", entry.name)
        if not found or not found[1].startswith(name) or entry.path in _open:
            continue
        with contextlib.suppress(OSError):
            if found[2] == lock.here():
                dead = int(found[3]) == os.getpid() or lock.born(int(found[3])) is None
            else:  # of another machine, whose processes cannot be asked
                dead = time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE
            if dead and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif dead:
                os.unlink(entry.path)


def discard(path: Path) -> None:
    """Remove a folder, whose name is gone before its files are."""
    old = path.with_name(f"{_temporary(path)}{time.monotonic_ns():x}")
    with contextlib.suppress(OSError):  # another process was faster, or it cannot be written and nor need it be
        os.rename(path, old)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def atomic(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name at a clean exit and vanishes otherwise.

    Raises DiskError where the folder cannot be written. What the provenance beside `path` says is of the file that it
    replaces, so that goes first.
    """
    path = Path(path)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent.absolute(), prefix=_temporary(path))
    _open.add(temporary)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding, newline=None if "b" in mode else "") as stream:
            yield stream
            with disk(path):
                stream.flush()
                os.fsync(stream.fileno())
        with disk(path):
            os.chmod(temporary, 0o666 & ~_umask())
            path.with_name(f"{path.name}.provenance.json").unlink(missing_ok=True)
            os.replace(temporary, path)
            _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _refuse_full(path, error)
        raise
    finally:
        _open.discard(temporary)


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` at a clean exit, in place of an older one, and vanishes otherwise."""
    path = Path(path)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        temporary = Path(tempfile.mkdtemp(dir=path.parent.absolute(), prefix=_temporary(path)))
    _open.add(str(temporary))
    try:
        yield temporary
        with disk(path):
            for folder, _, names in os.walk(temporary, topdown=False):
                for name in names:
                    with open(Path(folder, name), "rb") as stream:
                        os.fsync(stream.fileno())
                _sync_folder(Path(folder))
            os.chmod(temporary, 0o777 & ~_umask())
            _take_place(temporary, path)
            _sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _refuse_full(path, error)
        raise
    finally:
        _open.discard(str(temporary))


def _take_place(temporary: Path, path: Path) -> None:
    """Rename over a folder, which rename refuses where there is one; of several at once the last stays."""
    for left in reversed(range(100)):
        try:
            os.replace(temporary, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not left:
                raise
            discard(path)


def _refuse_full(path: Path, error: BaseException) -> None:
    """A disk that is full is the user's to mend, wherever in the writing it shows."""
    if isinstance(error, OSError) and error.errno in FULL:
        raise _failed(path, error) from error


@contextlib.contextmanager
def text(path: str | Path) -> Iterator[IO[str]]:
    """Where lines go: standard output for -, packed where the name ends in .gz, else a file; files as `atomic` writes.

    Packed, the same lines are the same bytes: no time and no name is in them.
    """
    path = Path(path)
    if str(path) == "-":
        try:
            yield sys.stdout
            sys.stdout.flush()
        except OSError as error:
            if error.errno in FULL:
                raise DiskError(f"standard output: cannot be written, {error.strerror}") from None
            raise
    elif path.suffix == ".gz":
        with atomic(path) as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream:
                yield stream
    else:
        with atomic(path, "w") as stream:
            yield stream


def is_table(path: str | Path) -> bool:
    """Whether a name is one of tables: .tsv, .tsv.gz, or - for standard output."""
    return str(path) == "-" or str(path).endswith((".tsv", ".tsv.gz"))


def is_sheet(path: str | Path) -> bool:
    """Whether a name is one of sheets, also of those that spreadsheets write: `read_sheet` says that it wants tabs."""
    return str(path).lower().endswith((".tsv", ".tsv.gz", ".csv", ".csv.gz"))


def refuse_other_than_table(path: str | Path, what: str) -> None:
    """Raises InputError where `is_table` says no."""
    if not is_table(path):
        raise InputError(f"{path}: {what} are written as .tsv, .tsv.gz or - (standard output)")


def beside(path: str | Path, name: str) -> Path:
    """The table called `name` beside a table: x.rules.tsv of x.tsv, x.rules.tsv.gz of x.tsv.gz."""
    stem, dot, ending = str(path).rpartition(".tsv")
    return Path(f"{stem}.{name}{dot}{ending}")


def replaceable(folder: Path, mark: str) -> bool:
    """Whether a folder may be written whole: it is new, or empty, or holds the file that tells what it replaces."""
    return not folder.exists() or (folder / mark).is_file() or (folder.is_dir() and not any(folder.iterdir()))


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """The same with a checksum of itself, for a description that others rely on."""
    plain = json.loads(json.dumps(value, default=_plain))
    return {**plain, "seal": _seal(plain)}


def check_seal(path: Path, value: dict[str, Any]) -> None:
    """Raises InputError where what was read from `path` is not what was written."""
    if value.get("seal") != _seal({name: part for name, part in value.items() if name != "seal"}):
        raise InputError(f"{path}: is damaged, its content does not fit its own checksum")


def _seal(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def spare(outputs: Iterable[str | Path], inputs: Iterable[str | Path | None]) -> None:
    """Raises InputError where a file that would be written is one that is read."""
    read = {Path(path).resolve() for path in inputs if path is not None and str(path) != "-"}
    for path in map(Path, outputs):
        if path.resolve() in read:
            raise InputError(f"{path}: is read, and would be written over; choose another --out")


def clear(outputs: Iterable[str | Path]) -> None:
    """Remove what is about to be written beside a file, before that is replaced: none stands beside another run's.

    The file itself is replaced and never gone, so that another process that has just written it can read it.
    """
    for path in map(Path, outputs):
        with disk(path):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """JSON of plain values, settings objects, paths and arrays; a number that is not finite raises ValueError."""
    with atomic(path, "w") as stream:
        json.dump(value, stream, indent=1, default=_plain, allow_nan=False)
        stream.write("\n")


def read_json(path: str | Path) -> Any:
    """Raises InputError where the file is absent or is no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, too long a number, too deep
        raise InputError(f"{path}: is damaged, not JSON ({error})") from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if tolist := getattr(value, "tolist", None):  # numpy
        return tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_tsv(path: str | Path, frame: pd.DataFrame) -> None:
    """Tab-separated, header line, no quoting: names are written byte for byte, control characters as blanks."""
    with text(path) as stream:
        stream.write("\t".join(map(str, frame.columns)) + "\n")
        columns = [[_cell(value) for value in frame[name].tolist()] for name in frame.columns]
        stream.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def tsv_line(values: Iterable[Any]) -> str:
    """One line of such a table."""
    return "\t".join(map(_cell, values)) + "\n"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return repr(float(value))  # numpy's own repr names its type
    text = str(value)
    return text if text.isprintable() else text.translate(_BLANKS)


def read_sheet(
    path: str | Path, required: tuple[str, ...] = (), comments: bool = True, empty: bool = False
) -> pd.DataFrame:
    """A TSV with a header line as strings: "NA" and "001" stay what they are, lines that start with # are comments.

    A table that we wrote ourselves has no comments, and perhaps names that start with #: comments=False.

    Raises InputError for a missing file, a missing or repeated column, a row of another length, or, unless `empty`, no
    rows.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        most = max(100_000_000, 200 * path.stat().st_size)  # as for FASTA
        with gzip.open(path) if packed else path.open("rb") as stream:
            raw = stream.read(most + 1)
        if packed and len(raw) > most:
            raise InputError(f"{path}: unpacks to more than 200 times its size; if it is right, unpack it first")
        text = raw.decode("utf-8-sig")
    except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is not a UTF-8 text table ({error})") from None
    return as_sheet(path, cells_of_tsv(text, comments), required, empty)


def cells_of_tsv(text: str, comments: bool = True) -> list[tuple[int, list[str]]]:
    """Line number and cells of each line that holds any; no quoting. comments: lines that start with # are left out."""
    lines = [(i, line.rstrip("\r")) for i, line in enumerate(text.split("\n"), 1)]
    return [(i, line.split("\t")) for i, line in lines if line.strip() and not (comments and line.startswith("#"))]


def as_sheet(
    path: str | Path, lines: list[tuple[int, list[str]]], required: tuple[str, ...] = (), empty: bool = False
) -> pd.DataFrame:
    """Lines of cells, the first of them the header, as a table of strings. Raises InputError as `read_sheet` does."""
    import pandas as pd

    if not lines:
        raise InputError(f"{path}: is empty; expected a header line with {', '.join(required) or 'column names'}")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) < len(header):
        repeated = min(name for name, n in collections.Counter(header).items() if n > 1)
        raise InputError(f"{path} line {lines[0][0]}: column {repeated!r} occurs more than once")
    if missing := [name for name in required if name not in header]:
        if len(header) == 1 and (found := separator(header[0], required)):
            raise InputError(f"{path} line {lines[0][0]}: found {found} between the columns, expected tabs")
        raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(header)}")
    for i, cells in lines:
        refuse_control(f"{path} line {i}", cells)
        if len(cells) != len(header):
            raise InputError(f"{path} line {i}: {len(cells)} columns, expected {len(header)} as in the header line")
    if len(lines) == 1 and not empty:
        raise InputError(f"{path}: has a header line and no rows")
    return pd.DataFrame([[cell.strip() for cell in cells] for _, cells in lines[1:]], columns=header, dtype=object)


def separator(line: str, names: Iterable[str]) -> str:
    """What stands between the columns of a header line in place of tabs, in a word; "" where it has not these names."""
    for found, pattern in (("commas", ","), ("semicolons", ";"), ("blanks", r"\s")):
        if {*names} <= {name.strip(" '\"") for name in re.split(pattern, line)}:
            return found
    return ""


def refuse_control(where: str, texts: Iterable[str]) -> None:
    """Raises InputError for a character that would move a terminal's cursor or end a text."""
    for text in texts:
        if not text.isprintable() and _CONTROL.search(text):
            raise InputError(f"{where}: found a control character in {text[:40]!r}, expected none")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of Python and of packages, by default those that shape a result; what is not there is left out.

    commit: of genossl, where it runs from a git checkout; "-dirty" where files differ from it.
    """
    found = {"python": platform.python_version()}
    if here := commit():
        found["commit"] = here
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def commit() -> str:
    """The commit of the checkout that genossl runs from, "" where it was installed in another way."""
    home = Path(__file__).parent.parent
    if not (home / ".git").exists():
        return ""
    words = ["git", "-C", str(home), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout that is not the user's
        return ""


def write_provenance(
    artefact: str | Path, verb: str, settings: Any, inputs: Mapping[str, str | Path | None], seed: int | None = None,
    given: Mapping[str, Any] | None = None, **more: Any,
) -> None:  # fmt: skip
    """Write `<artefact>.provenance.json`: what `genossl rerun` needs to say the command that makes the artefact again.

    Verb, resolved settings, seed, versions, the folder it ran in, and checksums of the input files. For a store stands
    its store.json, for a folder of embeddings its manifest, which hold their checksums; None and standard input (-) are
    left out. given: the arguments beside the settings, by their names on the command line, but for those that change
    nothing in the result. Nothing lies beside standard output.
    """
    if str(artefact) == "-":
        return
    paths = {name: Path(path) for name, path in inputs.items() if path is not None and str(path) != "-"}
    used = {name: standing_for(path) for name, path in paths.items()}
    record = {
        "artefact": Path(artefact).name,
        "verb": verb,
        "given": {name: _given(value) for name, value in (given or {}).items() if value is not None},
        "settings": settings,
        "seed": seed,
        "folder": os.getcwd(),
        "versions": versions(),
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in used.items()},
        **more,
    }
    write_json(f"{artefact}.provenance.json", record)


def standing_for(path: Path) -> Path:
    """The file whose checksum is that of a folder."""
    return next((one for one in (path / "store.json", manifest_of(path)) if path.is_dir() and one.is_file()), path)


def manifest_of(folder: Path) -> Path:
    """What lies beside a folder of embeddings; the folder holds nothing but tables."""
    return folder.with_name(f"{folder.name}.manifest.json")


def _given(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list | tuple) else value


def progress(items: Any = None, desc: str = "", unit: str = "it", total: int | None = None, initial: int = 0) -> Any:
    """A progress bar on a terminal, a line now and then elsewhere, with rate and time left; nothing with --quiet."""
    from genossl.pace import Bar, Lines

    kind = Bar if sys.stderr.isatty() else Lines
    return kind(items, desc=desc, unit=unit, total=total, initial=initial, disable=quiet)
