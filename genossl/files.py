"""Whole files or none: atomic writes, checksums, provenance, sheets, progress.

A file appears under its final name only when every byte of it is on disk; beside each artefact lies what made it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from genossl.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("genossl", "torch", "numpy", "pandas", "scikit-learn", "biopython", "pyfaidx", "snakemake")
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
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def atomic(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name at a clean exit and vanishes otherwise.

    Raises InputError where the folder cannot be written.
    """
    path = Path(path)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding, newline=None if "b" in mode else "") as stream:
            yield stream
            with disk(path):
                stream.flush()
                os.fsync(stream.fileno())
        with disk(path):
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        _refuse_full(path, error)
        raise


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` at a clean exit, in place of an older one, and vanishes otherwise."""
    path = Path(path)
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for file in temporary.iterdir():
            if file.is_file():
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
        os.chmod(temporary, 0o777 & ~_umask())
        old = None
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            os.replace(path, old / "old")
        os.replace(temporary, path)
        _sync_folder(path.parent)
        if old:
            shutil.rmtree(old)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _refuse_full(path, error)
        raise


def _refuse_full(path: Path, error: BaseException) -> None:
    """A disk that is full is the user's to mend, wherever in the writing it shows."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(path.parent).free
        raise InputError(f"{path}: cannot be written, {error.strerror} ({free / 1e6:,.0f} MB free)") from error


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
    with atomic(path, "w") as stream:
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


def read_sheet(path: str | Path, required: tuple[str, ...] = (), comments: bool = True) -> pd.DataFrame:
    """A TSV with a header line as strings: "NA" and "001" stay what they are, lines that start with # are comments.

    A table that we wrote ourselves has no comments, and perhaps names that start with #: comments=False.

    Raises InputError for a missing file, a missing or repeated column, a row of another length, or no rows.
    """
    import gzip

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
    return as_sheet(path, cells_of_tsv(text, comments), required)


def cells_of_tsv(text: str, comments: bool = True) -> list[tuple[int, list[str]]]:
    """Line number and cells of each line that holds any; no quoting. comments: lines that start with # are left out."""
    lines = [(i, line.rstrip("\r")) for i, line in enumerate(text.split("\n"), 1)]
    return [(i, line.split("\t")) for i, line in lines if line.strip() and not (comments and line.startswith("#"))]


def as_sheet(path: str | Path, lines: list[tuple[int, list[str]]], required: tuple[str, ...] = ()) -> pd.DataFrame:
    """Lines of cells, the first of them the header, as a table of strings. Raises InputError as `read_sheet` does."""
    import pandas as pd

    if not lines:
        raise InputError(f"{path}: is empty; expected a header line with {', '.join(required) or 'column names'}")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) < len(header):
        repeated = min(name for name, n in collections.Counter(header).items() if n > 1)
        raise InputError(f"{path} line {lines[0][0]}: column {repeated!r} occurs more than once")
    if missing := [name for name in required if name not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(header)}")
    for i, cells in lines:
        refuse_control(f"{path} line {i}", cells)
        if len(cells) != len(header):
            raise InputError(f"{path} line {i}: {len(cells)} columns, expected {len(header)} as in the header line")
    if len(lines) == 1:
        raise InputError(f"{path}: has a header line and no rows")
    return pd.DataFrame([[cell.strip() for cell in cells] for _, cells in lines[1:]], columns=header, dtype=object)


def refuse_control(where: str, texts: Iterable[str]) -> None:
    """Raises InputError for a character that would move a terminal's cursor or end a text."""
    for text in texts:
        if not text.isprintable() and _CONTROL.search(text):
            raise InputError(f"{where}: found a control character in {text[:40]!r}, expected none")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of Python and of packages, by default those that shape a result; what is not there is left out."""
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_provenance(
    artefact: str | Path, verb: str, settings: Any, inputs: Mapping[str, str | Path | None], seed: int | None = None,
    **more: Any,
) -> None:  # fmt: skip
    """Write `<artefact>.provenance.json`: verb, resolved settings, seed, versions, checksums of the input files.

    A store stands for its store.json, which holds its checksum; None and standard input (-) are left out.
    """
    given = {name: Path(path) for name, path in inputs.items() if path is not None and str(path) != "-"}
    used = {name: path / "store.json" if (path / "store.json").is_file() else path for name, path in given.items()}
    record = {
        "artefact": Path(artefact).name,
        "verb": verb,
        "settings": settings,
        "seed": seed,
        "versions": versions(),
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in used.items()},
        **more,
    }
    write_json(f"{artefact}.provenance.json", record)


def progress(items: Any = None, desc: str = "", unit: str = "it", total: int | None = None, initial: int = 0) -> Any:
    """A progress bar on a terminal; silent elsewhere and with --quiet, so that logs stay readable."""
    from tqdm import tqdm

    silent = quiet or not sys.stderr.isatty()
    size = shutil.get_terminal_size()  # 80 x 24 where a terminal does not tell; tqdm would draw nothing
    return tqdm(
        items, desc=desc, unit=unit, total=total, initial=initial, disable=silent, ncols=size.columns, nrows=size.lines,
        mininterval=0.5, leave=False,
    )  # fmt: skip
