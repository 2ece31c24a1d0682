"""Substitutions of a VCF file, as a stream: of each line its first five columns.

Positions are 1-based in the file and 0-based here. Only what leaves the length as it is becomes an allele to look at:
indels, symbolic alleles (<DEL>), breakends, * and . are counted as skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genossl.errors import InputError
from genossl.genome.source import Source

_BASES = re.compile(r"[ACGTN]+", re.IGNORECASE)
_OTHER = re.compile(r"<.*>|\*|\.|.*[\[\]].*|\.?[ACGTN]+\.?", re.IGNORECASE)  # alleles that are no bases


@dataclass(frozen=True)
class Variant:
    """A line of a VCF file."""

    line: int
    contig: str
    start: int  # of REF, 0-based
    ref: str  # upper case
    alts: tuple[str, ...]  # the alternatives that are substitutions of known bases, upper case
    skipped: int  # how many others there are


def read_vcf(path: str | Path) -> Iterator[Variant]:
    """The lines of a VCF file, plain or compressed. Raises InputError with the line's number."""
    found = False
    with Source(path) as source:
        for number, raw in enumerate(source.lines(), 1):
            line = raw.decode("utf-8", "replace")
            found = found or line.startswith("##fileformat=VCF")
            if line.strip() and not line.startswith("#"):
                found = True
                yield _variant(f"{source.path} line {number}", number, line)
        if not found:
            raise InputError(f"{source.path}: holds no variant; expected VCF")


def _variant(where: str, number: int, line: str) -> Variant:
    columns = line.split("\t", 5)[:5]
    if len(columns) < 5:
        raise InputError(f"{where}: found {len(columns)} columns, expected CHROM, POS, ID, REF, ALT between tabs")
    contig, position, _, ref, alts = (column.strip() for column in columns)
    if not contig:
        raise InputError(f"{where}: found no name of a contig")
    if not re.fullmatch(r"[0-9]{1,18}", position) or int(position) < 1:
        raise InputError(f"{where}: found POS {position!r}, expected a whole number from 1")
    if not _BASES.fullmatch(ref):
        raise InputError(f"{where}: found REF {ref!r}, expected the letters ACGTN")
    kept, skipped, ref = [], 0, ref.upper()
    for alt in alts.upper().split(","):
        if not _OTHER.fullmatch(alt):
            raise InputError(f"{where}: found ALT {alt!r}, expected the letters ACGTN, *, . or a symbolic allele")
        if _BASES.fullmatch(alt) and len(alt) == len(ref) and "N" not in alt + ref and alt != ref:
            kept.append(alt)
        else:
            skipped += 1
    return Variant(number, contig, int(position) - 1, ref, tuple(kept), skipped)
