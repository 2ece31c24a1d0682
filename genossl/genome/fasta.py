"""FASTA to tokens: exact about what is accepted, streaming in constant memory, exact about where a mistake is.

Grammar, in bytes: a record starts at a `>` in column 1; its name is what follows, up to a blank, tab or line end
(blanks before it are skipped); sequence lines hold nucleotide letters; blank lines and blanks at a line's end mean
nothing. Lines end with LF, CRLF or CR. Nothing else is white space. Compression is told by a file's first bytes, never
by its name.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from genossl.errors import InputError
from genossl.genome.alphabet import CODES, IUPAC, N, reverse_complement

BLOCK = 1 << 20  # bytes read at once: large enough for bytes.translate, small enough for the cache
MAX_NAME = 1024  # bytes
MAX_DESCRIPTION = 1 << 20  # bytes kept of a header line
RATIO_FROM = 100_000_000  # unpacked bytes before the compression ratio is judged

_IUPAC, _LOWER, _U, _BAD = 8, 16, 32, 128  # flags beside the code, so that one table lookup tells everything
_FLAGS = bytes(
    _BAD if chr(i).upper().encode("latin-1", "replace") not in [b"%c" % c for c in b"ACGTU" + IUPAC]
    else CODES[i] | _LOWER * (i >= 97) | _U * (i in b"Uu") | _IUPAC * (CODES[i] == N and i not in b"Nn")
    for i in range(256)
)  # fmt: skip
_LETTERS = bytes(i for i in range(256) if _FLAGS[i] < _BAD)
_BLANKS = rb"(?<![ \t])[ \t]++"  # from a run's first blank only: linear in time
_FIRST_BAD = re.compile(rb"[^%b \t\n]|%b(?!\n|\Z)" % (_LETTERS, _BLANKS))
_FIRST_AMBIGUOUS = re.compile(rb"[^ACGTUacgtu \t\n]")
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
_TRAILING = re.compile(_BLANKS + rb"(?=\n|\Z)")
_EXPECTED = f"expected nucleotide codes (ACGTU {IUPAC.decode()}, any case)"

_OTHERS = (  # what else people give, by its first bytes, and what to do about it
    (rb"\x1f\x8b|BZh\d|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "is compressed twice; unpack it once"),
    (rb"\x1f\x9d", "is packed by `compress` (.Z); unpack it first"),
    (rb"PK\x03\x04", "is a zip archive; unpack it first"),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it first"),
    (rb"\xff\xfe|\xfe\xff|\0?>\0", "is UTF-16 text (saved by Windows?); convert: iconv -f UTF-16 -t UTF-8"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the data; run: git lfs pull"),
    (rb"\s*<", "is an HTML or XML page (a failed download?)"),
    (rb"\s*@(HD|SQ|RG|PG|CO)\t", "looks like SAM; convert: samtools fasta"),
    (rb"\s*@", "looks like FASTQ, which is not read; convert: seqkit fq2fa"),
    (rb"\s*LOCUS\s", "looks like GenBank, not FASTA; `genossl ingest` reads GenBank files"),
    (rb"\s*ID   ", "looks like EMBL; convert it to FASTA or GenBank"),
    (rb"\s*##gff", "looks like GFF; give the FASTA it belongs to"),
    (rb"\s*\d+\s+\d+\s*\n", "looks like PHYLIP; convert it to FASTA"),
)


@dataclass(slots=True)
class Counts:
    """Letters of the input, before any policy."""

    bases: int = 0  # all letters
    n_N: int = 0  # the letter N
    n_iupac: int = 0  # the other ambiguity codes, RYSWKMBDHV
    n_lower: int = 0  # lower case (soft-masked), of any letter
    n_U: int = 0  # U, read as T

    def add_(self, other: Counts) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


@dataclass(frozen=True, slots=True)
class Header:
    """Where a record begins."""

    name: str
    description: str
    line: int


@dataclass(frozen=True, slots=True)
class Bases:
    """The next stretch of a record. `tokens`, uint8 (L,), may be read-only."""

    tokens: np.ndarray
    counts: Counts


@dataclass(slots=True)
class Record:
    """A whole record."""

    name: str
    description: str
    tokens: np.ndarray  # uint8 (L,)
    line: int
    counts: Counts = field(default_factory=Counts)


class BadLetter(Exception):
    """A byte that is no base, at `index` of what was given to `tokenise`; the text says what was found and expected."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def tokenise(letters: bytes, ambiguous: str = "N", lowercase: str = "keep") -> Bases:
    """Codes of sequence lines (LF line ends). Policies: those of `scan`."""
    flags = np.frombuffer(letters.translate(_FLAGS, b"\n"), np.uint8)
    highest = flags.max(initial=0)
    if highest >= _BAD:
        if bad := _FIRST_BAD.search(letters):
            raise BadLetter(bad.start(), _complaint(letters, bad.start()))
        return tokenise(_TRAILING.sub(b"", letters), ambiguous, lowercase)
    counts = Counts(len(flags))
    if highest <= 3:
        return Bases(flags, counts)
    counts.n_N = int(np.count_nonzero(flags & ~np.uint8(_LOWER) == N))
    counts.n_iupac = int(np.count_nonzero(flags & _IUPAC))
    counts.n_lower = int(np.count_nonzero(flags & _LOWER))
    counts.n_U = int(np.count_nonzero(flags & _U))
    if ambiguous == "refuse" and counts.n_N + counts.n_iupac:
        at = _FIRST_AMBIGUOUS.search(letters)
        assert at
        raise BadLetter(at.start(), f"found the ambiguity code {at[0].decode()!r}, expected ACGTU (ambiguous: refuse)")
    tokens = flags & 7
    if lowercase == "mask":
        tokens[flags & _LOWER > 0] = N
    return Bases(tokens, counts)


def _complaint(letters: bytes, index: int) -> str:
    found = letters[index : index + 1]
    if found == b"\0":
        return f"found a zero byte, {_EXPECTED}: the file has a hole, copy it again"
    sample = letters[:10_000].translate(None, b"\n \t")
    text = re.sub(rb"[^A-Za-z]", b"", sample)
    strange = len(text.translate(None, _LETTERS))
    if strange > 0.05 * len(text) and (found.isalpha() or found in b"-.*"):
        hint = f"; {strange / len(text):.0%} of the letters here are none: is this protein?"
    elif found.isdigit():
        hint = "; numbered lines look like the ORIGIN part of a GenBank file"
    elif found in b" \t":
        return f"found a blank inside a line, {_EXPECTED} without blanks"
    elif found == b">":
        hint = "; a header's '>' stands at the start of its line"
    elif found in b"-.*":
        hint = "; gaps and stops are no bases, remove them"
    else:
        hint = ""
    return f"found {found.decode('latin-1')!r}, {_EXPECTED}{hint}"


class _Counted(io.RawIOBase):
    """Counts (and, if asked, hashes) the bytes as they lie on disk."""

    def __init__(self, raw: IO[bytes], digest: Any = None) -> None:
        self.raw, self.digest, self.count = raw, digest, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self.raw.readinto(buffer) or 0  # type: ignore[attr-defined]
        self.count += n
        if self.digest is not None:
            self.digest.update(memoryview(buffer)[:n])
        return n


class Source:
    """The unpacked bytes of a path or of "-", standard input. `head`: its first 64 KiB, without a UTF-8 mark."""

    def __init__(self, path: str | Path, max_ratio: float | None = 200, digest: Any = None) -> None:
        self.path = "standard input" if str(path) == "-" else str(path)
        self.max_ratio, self.unpacked = max_ratio, 0
        try:
            self._file = None if str(path) == "-" else open(path, "rb", buffering=0)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        self._raw = _Counted(self._file or sys.stdin.buffer, digest)  # type: ignore[arg-type]
        self._buffer = io.BufferedReader(self._raw, 1 << 17)
        try:
            self.kind, self._stream = _unpacked(self._buffer, self.path)
            self.head = self.read(1 << 16)
        except BaseException:
            self.close()
            raise
        self.head = self.head.removeprefix(b"\xef\xbb\xbf")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file:
            self._file.close()

    def read(self, size: int) -> bytes:
        try:
            block = self._stream.read(size)
        except EOFError:
            raise InputError(f"{self.path}: the {self.kind} data ends early: an incomplete download?") from None
        except OSError as error:
            if error.errno is not None:
                raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None
            raise InputError(f"{self.path}: the {self.kind} data is damaged or followed by others ({error})") from None
        except Exception as error:  # each library has an error of its own
            raise InputError(f"{self.path}: the {self.kind} data is damaged ({error})") from None
        self.unpacked += len(block)
        if self.max_ratio and self.kind and self.unpacked > max(RATIO_FROM, self.max_ratio * self._raw.count):
            raise InputError(
                f"{self.path}: unpacks to more than {self.max_ratio:g} times its size, expected less of genomes; "
                "if it is right, unpack it first"
            )
        return block

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """All bytes from the start, with every line end as LF."""
        after_cr = False
        for block in self._pieces(size):
            if after_cr and block[0] == 10:
                block = block[1:]
            after_cr = block.endswith(b"\r")
            yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block

    def _pieces(self, size: int) -> Iterator[bytes]:
        for start in range(0, len(self.head), size):
            yield self.head[start : start + size]
        while block := self.read(size):
            yield block


def _unpacked(raw: io.BufferedReader[Any], path: str) -> tuple[str, Any]:
    """(name of the compression or "", stream of the unpacked bytes), by the first bytes."""
    magic = raw.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        try:
            return "gzip", importlib.import_module("isal.igzip").IGzipFile(fileobj=raw, mode="rb")  # 3x faster
        except ImportError:
            return "gzip", gzip.GzipFile(fileobj=raw, mode="rb")
    if magic.startswith(b"BZh"):
        return "bzip2", bz2.BZ2File(raw)
    if magic.startswith(b"\xfd7zXZ\0"):
        return "xz", lzma.LZMAFile(raw)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        for module in ("compression.zstd", "backports.zstd", "zstandard"):
            with contextlib.suppress(ImportError):
                zstd = importlib.import_module(module)
                return "zstd", _Zstandard(raw, zstd) if module == "zstandard" else zstd.ZstdFile(raw)
        raise InputError(f"{path}: is packed by zstd, which needs one more package: pip install zstandard")
    return "", raw


class _Zstandard:
    """Reads frame by frame: the stream reader of `zstandard` takes a file that was cut for a whole one."""

    def __init__(self, raw: io.BufferedReader[Any], zstandard: Any) -> None:
        self.raw, self.zstandard = raw, zstandard
        self.frame: Any = None
        self.packed = self.unpacked = b""

    def read(self, size: int) -> bytes:
        while not self.unpacked:
            self.packed = self.packed or self.raw.read(4096)  # unpacks to 128 MiB at the very worst
            if not self.packed and self.frame:
                raise EOFError
            if not self.packed:
                return b""
            self.frame = self.frame or self.zstandard.ZstdDecompressor().decompressobj()
            self.unpacked, self.packed = self.frame.decompress(self.packed), b""
            if self.frame.eof:
                self.packed, self.frame = self.frame.unused_data, None
        block, self.unpacked = self.unpacked[:size], self.unpacked[size:]
        return block


class _Scanner:
    """Where the reading stands: line, column, record. One method for each thing that may come."""

    def __init__(self, path: str, ambiguous: str, lowercase: str, max_bases: int) -> None:
        self.path, self.ambiguous, self.lowercase, self.max_bases = path, ambiguous, lowercase, max_bases
        self.line, self.column = 1, 0  # of the next byte; the column counts from 0
        self.blank: tuple[int, int] | None = None  # where blanks began that may turn out to lie inside a line
        self.record: Header | None = None
        self.bases = 0  # of this record so far
        self.lines: dict[str, int] = {}  # name -> line

    def refuse(self, message: str, line: int, column: int | None = None) -> NoReturn:
        where = f"{self.path} line {line}" + ("" if column is None else f" column {column + 1}")
        raise InputError(
            f"{where}, record {_show(self.record.name)}: {message}" if self.record else f"{where}: {message}"
        )

    def header(self, raw: bytes) -> Header:
        self.end_record()
        self.record = None
        name, _, rest = raw.replace(b"\t", b" ").lstrip(b" ").partition(b" ")
        if not name:
            self.refuse("found '>' without a name, expected one", self.line)
        if len(name) > MAX_NAME:
            found = f"found a name of {len(name):,} bytes, {_show(_text(name))}"
            self.refuse(f"{found}, expected at most {MAX_NAME:,}; is a line end missing?", self.line)
        text = _text(name)
        if _CONTROL.search(text):
            self.refuse(f"found a control character in the name {_show(text)}, expected none", self.line)
        if text in self.lines:
            found = f"found the name {_show(text)} again, first on line {self.lines[text]}"
            self.refuse(f"{found}; expected names that differ", self.line)
        self.record = Header(text, _text(rest.strip(b" ")), self.line)
        self.lines[text] = self.line
        self.line, self.column, self.bases = self.line + 1, 0, 0
        return self.record

    def sequence(self, letters: bytes) -> Bases | None:
        if not self.record and (text := letters.strip(b" \t\n")):
            found = _show(_text(text.split(b"\n")[0][:80]))
            line, _ = self.place(letters, letters.index(text))
            self.refuse(f"found {found} before the first '>' header, expected '>' and a name", line)
        if self.blank and (rest := letters.lstrip(b" \t")):
            if rest[0] != 10:
                self.refuse(f"found a blank inside a line, {_EXPECTED} without blanks", *self.blank)
            self.blank = None
        try:
            bases = tokenise(letters, self.ambiguous, self.lowercase)
        except BadLetter as bad:
            self.refuse(str(bad), *self.place(letters, bad.index))
        if letters[-1] in b" \t" and not self.blank:
            self.blank = self.place(letters, len(letters.rstrip(b" \t")))
        self.line, self.column = self.place(letters, len(letters))
        self.bases += len(bases.tokens)
        if self.bases > self.max_bases:
            self.refuse(f"found a record of more than {self.max_bases:,} bases, the limit", self.line)
        return bases if len(bases.tokens) else None

    def place(self, letters: bytes, index: int) -> tuple[int, int]:
        """Line and column of `letters[index]`."""
        last = letters.rfind(b"\n", 0, index)
        if last < 0:
            return self.line, self.column + index
        return self.line + letters.count(b"\n", 0, index), index - last - 1

    def end_record(self) -> None:
        if self.record and not self.bases:
            self.refuse("found no sequence, expected at least one base", self.record.line)

    def end(self) -> None:
        self.end_record()
        if not self.lines:
            raise InputError(f"{self.path}: has no record, expected FASTA")


def scan(
    path: str | Path | Source,
    *,
    ambiguous: str = "N",
    lowercase: str = "keep",
    block: int = BLOCK,
    max_ratio: float | None = 200,
    max_bases: int = 10_000_000_000,
    digest: Any = None,
) -> Iterator[Header | Bases]:
    """What a FASTA file holds, in order and in constant memory: a Header, its Bases in pieces, the next Header.

    ambiguous: "N" makes every ambiguity code N and keeps coordinates, "refuse" stops there.
    lowercase: "keep" reads it as upper case, "mask" makes it N.
    max_ratio: unpacked to packed bytes beyond which a compressed file is refused (None: never).
    max_bases: of one record. digest: a hashlib object that sees the bytes as they lie on disk.
    Raises InputError.
    """
    with path if isinstance(path, Source) else Source(path, max_ratio, digest) as source:
        _refuse_others(source)
        scanner = _Scanner(source.path, ambiguous, lowercase, max_bases)
        title: bytearray | None = None  # the header line, while one is being read
        line_start = True
        for text in source.blocks(block):
            at = 0
            while at < len(text):
                if title is not None:
                    stop = text.find(b"\n", at)
                    title += text[at : len(text) if stop < 0 else stop][: MAX_DESCRIPTION - len(title)]
                    if stop < 0:
                        break
                    yield scanner.header(bytes(title))
                    title, line_start, at = None, True, stop + 1
                elif line_start and text[at] == 62:
                    title, at = bytearray(), at + 1
                else:
                    stop = text.find(b">", at)
                    if stop < 0:
                        stop = len(text)
                    elif stop == at or text[stop - 1] != 10:
                        stop += 1  # a '>' inside a line: let the scanner complain about it
                    if bases := scanner.sequence(text[at:stop]):
                        yield bases
                    line_start, at = text[stop - 1] == 10, stop
        if title is not None:
            yield scanner.header(bytes(title))
        scanner.end()


def _refuse_others(source: Source) -> None:
    if not source.head:
        raise InputError(f"{source.path}: is empty, expected FASTA")
    for pattern, what in _OTHERS:
        if re.match(pattern, source.head):
            raise InputError(f"{source.path}: {what}")


def records(path: str | Path | Source, **options: Any) -> Iterator[Record]:
    """Whole records, one in memory at a time. Options: those of `scan`."""
    header: Header | None = None
    parts: list[np.ndarray] = []
    counts = Counts()
    for item in scan(path, **options):
        if isinstance(item, Bases):
            parts.append(item.tokens)
            counts.add_(item.counts)
            continue
        if header:
            yield Record(header.name, header.description, np.concatenate(parts), header.line, counts)
        header, parts, counts = item, [], Counts()
    if header:
        yield Record(header.name, header.description, np.concatenate(parts), header.line, counts)


def fetch(path: str | Path, requests: Sequence[tuple[str, int, int, str]], **options: Any) -> list[np.ndarray]:
    """Tokens of (contig, start, end, strand), 0-based, half-open, in the order asked; "-" reads the other strand.

    Plain and bgzip files with lines of one length are read by pyfaidx, its index in a temporary folder and never beside
    the user's file. Whatever else (gzip, ragged lines, standard input, anything odd) is streamed by `records`, one
    record in memory at a time. Raises InputError.
    """
    for contig, start, end, strand in requests:
        if not 0 <= start < end or strand not in ("+", "-"):
            region = f"{_show(contig)} {start}-{end} ({strand!r})"
            raise InputError(f"{path}: no region {region}; expected 0 <= start < end and strand + or -")
    found = _fetch_indexed(path, requests, options) if requests else {}
    if found is None:
        found = {}
        wanted: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            wanted.setdefault(request[0], []).append(i)
        for record in records(path, **options):
            for i in wanted.get(record.name, ()):
                _, start, end, _ = requests[i]
                if end > len(record.tokens):
                    raise InputError(f"{path}: {record.name} has {len(record.tokens):,} bases, no region {start}-{end}")
                found[i] = record.tokens[start:end].copy()
    if missing := [request[0] for i, request in enumerate(requests) if i not in found]:
        raise InputError(f"{path}: no contig {_show(missing[0])}")
    return [reverse_complement(found[i]) if request[3] == "-" else found[i] for i, request in enumerate(requests)]


def _fetch_indexed(path: str | Path, requests: Sequence[tuple[str, int, int, str]], options: dict) -> dict | None:
    """Row -> tokens by pyfaidx; None where it cannot be trusted, and the exact reader must look."""
    if str(path) == "-":
        return None
    with Source(path) as source:
        head = source.head
        if source.kind and not (source.kind == "gzip" and _is_bgzip(path)):
            return None
    if b"\r" in head or not head.startswith(b">") or head.startswith((b"> ", b">\t")):
        return None
    import pyfaidx

    policies = {key: value for key, value in options.items() if key in ("ambiguous", "lowercase")}
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("genome.fa.gz" if source.kind else "genome.fa")  # pyfaidx trusts the name
        link.symlink_to(Path(path).resolve())
        try:
            with pyfaidx.Faidx(str(link), indexname=f"{link}.fai") as index:
                found = {}
                for i, (contig, start, end, _) in enumerate(requests):
                    letters = str(index.fetch(contig, start + 1, end)).encode("latin-1")
                    found[i] = tokenise(letters, **policies).tokens.copy()
                    if len(found[i]) != end - start:
                        return None
                return found
        except Exception:  # of many kinds; the exact reader repeats the question and says what is wrong
            return None


def _is_bgzip(path: str | Path) -> bool:
    with open(path, "rb") as stream:
        start = stream.read(16)
    return start[3:4] == b"\x04" and start[12:14] == b"BC"


def _text(raw: bytes) -> str:
    """UTF-8, or Latin-1 where it is no UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _show(text: str) -> str:
    """Quoted, with control characters escaped, 40 characters at most."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
