"""FASTQ to titles and sequence lines: the qualities are held against the sequence, then dropped.

Grammar (Cock et al., The Sanger FASTQ file format, NAR 2010, doi 10.1093/nar/gkp1137): `@` and a title; sequence lines
up to one that starts with `+`, which repeats the title, or the name, or says nothing; quality lines, with as many
characters as the sequence has letters, each from `!` to `~`. A quality may be `@` or `+`, so where a read ends is
told by its length. Blank lines between reads mean nothing. Lines end as in FASTA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from genossl.errors import InputError
from genossl.genome.source import BLOCK, Source

LONGEST = 100_000_000  # bytes of a read: what is held in memory at most
_NO_QUALITY = re.compile(rb"[^!-~]")


class Read(NamedTuple):
    """One read, as it stands in the file."""

    title: bytes  # what follows the @
    line: int  # of the title
    letters: bytes  # sequence lines, each with its LF


def is_fastq(head: bytes) -> bool:
    """Whether a file that begins so is FASTQ."""
    return head.lstrip(b"\r\n").startswith(b"@")


def reads(source: Source, block: int = BLOCK) -> Iterator[Read]:
    """The reads of an open source, one in memory at a time. Raises InputError where the qualities do not fit."""
    lines = enumerate(source.lines(LONGEST, block), 1)
    for at, line in lines:
        if not line:
            continue
        if not line.startswith(b"@"):
            raise InputError(f"{source.path} line {at}: found {_show(line)}, expected '@' and a name of the next read")
        yield _read(source.path, line[1:], at, lines)


def _read(path: str, title: bytes, first: int, lines: Iterator[tuple[int, bytes]]) -> Read:
    """The rest of a read whose title was seen on line `first`."""

    def refuse(message: str, line: int) -> NoReturn:
        name = title.replace(b"\t", b" ").lstrip(b" ").partition(b" ")[0]
        raise InputError(f"{path} line {line}, read {_show(name)}: {message}")

    letters, n, at = [], 0, first
    for at, line in lines:
        if line.startswith(b"+"):
            break
        letters.append(line)
        n += len(line.rstrip(b" \t"))
        if n > LONGEST:
            refuse(f"found a read of more than {LONGEST:,} bases, the limit", at)
    else:
        refuse("the file ends inside this read, expected '+' and its qualities: an incomplete download?", at)
    again = line[1:].rstrip()
    if again and again not in (title.rstrip(), title.split(None, 1)[0] if title.strip() else b""):
        refuse(f"found {_show(line)}, expected '+' alone or followed by the read's own name", at)
    if not n:
        refuse("found no sequence, expected at least one base", first)
    found = 0
    while found < n:
        at, line = next(lines, (at, None))
        if line is None:
            refuse(f"found {found:,} qualities for {n:,} bases where the file ends: an incomplete download?", at)
        if found and found + len(line) > n:  # the next read's title, read as qualities
            refuse(f"found {found:,} qualities for {n:,} bases, expected one each", at - 1)
        if bad := _NO_QUALITY.search(line):
            found_here = f"found {bad[0].decode('latin-1')!r} in column {bad.start() + 1}"
            refuse(f"{found_here}, expected qualities from '!' to '~'", at)
        found += len(line)
    if found > n:
        refuse(f"found {found:,} qualities for {n:,} bases, expected one each", at)
    return Read(title, first, b"\n".join(letters) + b"\n")


def _show(raw: bytes) -> str:
    """Quoted, with control characters escaped, 40 characters at most."""
    text = raw[:200].decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:39] + "…")
