"""FASTA and FASTQ to tokens: exact about what is accepted, streaming, exact about where a mistake is.

Grammar, in bytes: a record starts at a `>` in column 1; its name is what follows, up to a blank, tab or line end
(blanks before it are skipped); sequence lines hold nucleotide letters; blank lines and blanks at a line's end mean
nothing. Lines end with LF, CRLF or CR. Nothing else is white space. Compression, and whether it is FASTQ (fastq.py),
is told by a file's first bytes, never by its name. FASTA takes constant memory, FASTQ that of one read.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from genossl.errors import InputError
from genossl.genome import fastq
from genossl.genome.alphabet import CODES, IUPAC, N, reverse_complement
from genossl.genome.source import BLOCK, Source, is_bgzip, refuse_others

MAX_NAME = 1024  # bytes
MAX_DESCRIPTION = 1 << 20  # bytes kept of a header line

# Flags beside the code, so that one table lookup tells everything; the rarer the higher, so that the largest says
# which of them need no look.
_LOWER, _IUPAC, _U, _BAD = 8, 16, 32, 128
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


@dataclass(slots=True)
class Counts:
    """Letters of the input, before any policy."""

    bases: int = 0  # all letters
    n_N: int = 0  # the letter N
    n_iupac: int = 0  # the other ambiguity codes, RYSWKMBDHV
    n_lower: int = 0  # lower case (soft-masked), of any letter
    n_U: int = 0  # U, read as T

    def add_(self, other: Counts) -> None:
        self.bases += other.bases
        self.n_N += other.n_N
        self.n_iupac += other.n_iupac
        self.n_lower += other.n_lower
        self.n_U += other.n_U


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
    lines: int  # line ends passed


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
    # faster than to delete line ends while translating
    flags = np.frombuffer(letters.replace(b"\n", b"").translate(_FLAGS), np.uint8)
    highest = flags.max(initial=0)
    if highest >= _BAD:
        if bad := _FIRST_BAD.search(letters):
            raise BadLetter(bad.start(), _complaint(letters, bad.start()))
        return tokenise(_TRAILING.sub(b"", letters), ambiguous, lowercase)
    counts, lines = Counts(len(flags)), len(letters) - len(flags)
    if highest < N:
        return Bases(flags, counts, lines)
    tokens = flags & 7
    counts.n_lower = int(np.count_nonzero(flags & _LOWER)) if highest >= _LOWER else 0
    counts.n_iupac = int(np.count_nonzero(flags & _IUPAC)) if highest >= _IUPAC else 0
    counts.n_U = int(np.count_nonzero(flags & _U)) if highest >= _U else 0
    counts.n_N = int(np.count_nonzero(tokens == N)) - counts.n_iupac
    if ambiguous == "refuse" and counts.n_N + counts.n_iupac:
        at = _FIRST_AMBIGUOUS.search(letters)
        assert at
        raise BadLetter(at.start(), f"found the ambiguity code {at[0].decode()!r}, expected ACGTU (ambiguous: refuse)")
    if lowercase == "mask":
        tokens[flags & _LOWER > 0] = N
    return Bases(tokens, counts, lines)


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


class _Scanner:
    """Where the reading stands: line, column, record. One method for each thing that may come."""

    def __init__(self, path: str, ambiguous: str, lowercase: str, max_bases: int) -> None:
        self.path, self.ambiguous, self.lowercase, self.max_bases = path, ambiguous, lowercase, max_bases
        self.mark = ">"  # what a header begins with; FASTQ has "@"
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
            self.refuse(f"found '{self.mark}' without a name, expected one", self.line)
        if len(name) > MAX_NAME:
            found = f"found a name of {len(name):,} bytes, {_show(_text(name))}"
            self.refuse(f"{found}, expected at most {MAX_NAME:,}; is a line end missing?", self.line)
        text = _text(name)
        if _CONTROL.search(text):
            self.refuse(f"found a control character in the name {_show(text)}, expected none", self.line)
        if text in self.lines:
            found = f"found the name {_show(text)} again, first on line {self.lines[text]}"
            mates = " (the two mates of a pair? give them names that differ)" if self.mark == "@" else ""
            self.refuse(f"{found}; expected names that differ{mates}", self.line)
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
        self.column = len(letters) - letters.rfind(b"\n") - 1 + (0 if bases.lines else self.column)
        self.line += bases.lines
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
    """What a FASTA or FASTQ file holds, in order: a Header, its Bases in pieces, the next Header.

    ambiguous: "N" makes every ambiguity code N and keeps coordinates, "refuse" stops there.
    lowercase: "keep" reads it as upper case, "mask" makes it N.
    max_ratio: unpacked to packed bytes beyond which a compressed file is refused (None: never).
    max_bases: of one record. digest: a hashlib object that sees the bytes as they lie on disk.
    Raises InputError.
    """
    with path if isinstance(path, Source) else Source(path, max_ratio, digest) as source:
        refuse_others(source)
        scanner = _Scanner(source.path, ambiguous, lowercase, max_bases)
        if fastq.is_fastq(source.head):
            yield from _reads(source, scanner, block)
            return
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


def _reads(source: Source, scanner: _Scanner, block: int) -> Iterator[Header | Bases]:
    """Reads of FASTQ as `scan` gives records: names and letters are held to the same rules."""
    scanner.mark = "@"
    for read in fastq.reads(source, block):
        scanner.line = read.line
        yield scanner.header(read.title)
        if bases := scanner.sequence(read.letters):
            yield bases
    scanner.end()


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
        if source.kind and not (source.kind == "gzip" and is_bgzip(path)):
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


def _text(raw: bytes) -> str:
    """UTF-8, or Latin-1 where it is no UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _show(text: str) -> str:
    """Quoted, with control characters escaped, 40 characters at most."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
