"""BED and GFF3 as labelled intervals. Coordinates become 0-based and half-open here, the strand stays.

BED: 0-based, half-open, 3 to 12 columns without a header (github.com/samtools/hts-specs, BEDv1.pdf). GFF3: 1-based,
both ends included; read by gff.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd

from genossl.errors import InputError
from genossl.genome import gff
from genossl.genome.source import Source

BED = (
    "chrom", "start", "end", "name", "score", "strand", "thickStart", "thickEnd", "itemRgb", "blockCount", "blockSizes",
    "blockStarts",
)  # fmt: skip
_HEADS = re.compile(r"#|track([ \t]|$)|browser([ \t]|$)")
_WHOLE = re.compile(r"[0-9]{1,18}")


class Roles(NamedTuple):
    """Which columns (BED: by name or number; GFF3: type, source, score, contig or an attribute) give what; "" none."""

    label: str = ""  # "": name of BED, type of GFF3
    split: str = ""
    group: str = ""


def read_bed(source: Source, roles: Roles) -> pd.DataFrame:
    """Columns id, label, contig, start, end, strand and what else `roles` names.

    Raises InputError with file and line.
    """
    lines = list(bed_rows(source))
    width = len(lines[0][1])
    at = {role: _bed_column(source.path, role, name, width) for role, name in _wanted(roles, "name")}
    rows = []
    for _, cells in lines:
        place = {"contig": cells[0], "start": cells[1], "end": cells[2], "strand": cells[5] if width > 5 else "."}
        rows.append({role: cells[i] for role, i in at.items()} | place)
    return _named(rows)


def bed_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each interval of BED, all of one width, at least one.

    Raises InputError with file and line.
    """
    with source:
        text = b"".join(source.blocks()).decode("utf-8", "replace")
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip() and not _HEADS.match(line)]
    if not lines:
        raise InputError(f"{source.path}: holds no interval, expected BED")
    width = len(_cells(lines[0][1]))
    for number, line in lines:
        cells, where = _cells(line), f"{source.path} line {number}"
        if not 3 <= len(cells) <= len(BED):
            raise InputError(f"{where}: found {len(cells)} columns, expected 3 to {len(BED)} as BED has")
        if len(cells) != width:
            raise InputError(f"{where}: found {len(cells)} columns, expected {width} as in the first line")
        start, end = cells[1:3]
        if not (_WHOLE.fullmatch(start) and _WHOLE.fullmatch(end)) or int(start) >= int(end):
            raise InputError(f"{where}: found start {start!r} and end {end!r}, expected whole numbers, start < end")
        if width > 5 and cells[5] not in ("+", "-", "."):
            raise InputError(f"{where}: found strand {cells[5]!r}, expected + - or .")
        yield number, cells


def read_gff(source: Source, roles: Roles) -> pd.DataFrame:
    """The same from GFF3; each row is an interval, so the exons of a gene are several."""
    wanted, rows = _wanted(roles, "type"), []
    for number, row in gff.rows(source):
        told = {"type": row.type, "source": row.source, "score": row.score, "contig": row.contig}
        told = row.attributes | told
        for role, name in wanted:
            if not told.get(name):
                found = ", ".join(sorted(filter(None, told)))
                raise InputError(f"{source.path} line {number}: no {name} for the {role}; found {found}")
        (start, end), *_ = row.spans
        place = {"contig": row.contig, "start": str(start), "end": str(end), "strand": row.strand}
        rows.append({role: told[name] for role, name in wanted} | place)
    if not rows:
        raise InputError(f"{source.path}: holds no interval, expected GFF3")
    return _named(rows)


def is_bed(head: bytes) -> bool:
    """Whether text that begins so is BED: the first line that says something has whole numbers after a name."""
    for line in head.replace(b"\r", b"\n").decode("utf-8", "replace").split("\n"):
        if line.strip() and not _HEADS.match(line):
            cells = _cells(line)
            return len(cells) >= 3 and all(_WHOLE.fullmatch(cell) for cell in cells[1:3])
    return False


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _wanted(roles: Roles, default: str) -> list[tuple[str, str]]:
    asked = roles._replace(label=roles.label or default)._asdict()
    return [(role, name) for role, name in asked.items() if name]


def _bed_column(path: str, role: str, name: str, width: int) -> int:
    at = int(name) - 1 if name.isdecimal() else BED.index(name) if name in BED else -1
    if not 0 <= at < width:
        known = ", ".join(BED[:width])
        raise InputError(f"{path}: no column {name} for the {role}; found {width}: {known}, or their numbers from 1")
    return at


def _named(rows: list[dict[str, str]]) -> pd.DataFrame:
    """Ids say where an interval is, as bedtools names it; what occurs more than once is numbered from the second on."""
    seen: dict[str, int] = {}

    def name(row: dict[str, str]) -> str:
        place = f"{row['contig']}:{row['start']}-{row['end']}({row['strand']})"
        seen[place] = seen.get(place, 0) + 1
        return place if seen[place] == 1 else f"{place}#{seen[place]}"

    return pd.DataFrame([{"id": name(row), **row} for row in rows], dtype=object)


READERS: dict[str, Callable[[Source, Roles], pd.DataFrame]] = {"BED": read_bed, "GFF3": read_gff}
