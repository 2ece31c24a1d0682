"""GFF3: the genes of a FASTA file, as rows of features.tsv.

Columns and their meaning: github.com/The-Sequence-Ontology/Specifications, gff3.md. Coordinates become 0-based and
half-open here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote

from genossl.errors import InputError
from genossl.genome.source import Source
from genossl.genome.store import FEATURE_TYPES

COLUMNS = 9  # seqid, source, type, start, end, score, strand, phase, attributes


class Row(NamedTuple):
    """One line of the table."""

    contig: str
    type: str
    spans: tuple[tuple[int, int], ...]  # one, or two across the origin of a circular contig; read 5' to 3' on +
    strand: str
    phase: int
    attributes: dict[str, str]
    source: str
    score: str  # "." where there is none


def read(source: Source, lengths: dict[str, int], fasta: str) -> list[tuple]:
    """Rows of features.tsv without the genome: contig, start, end, strand, type, id, ..., in the order of the file.

    `lengths` are those of the contigs in the file `fasta`. CDS rows with one ID are the parts of one gene. Raises
    InputError with file and line for what does not fit the contigs or is no GFF3.
    """
    groups: dict[Any, list[Row]] = {}
    for line, row in rows(source, lengths, fasta):
        if row.type in FEATURE_TYPES:
            name = row.attributes.get("ID")
            key = (row.contig, name) if row.type == "CDS" and name else line
            groups.setdefault(key, []).append(row)
    return [_feature(rows) for rows in groups.values()]


def _feature(rows: list[Row]) -> tuple:
    """The parts of one gene; parts are written 5' to 3', so from the right on the other strand."""
    strands = {row.strand for row in rows}
    strand = strands.pop() if len(strands) == 1 else "."
    rows = sorted(rows, key=lambda row: row.spans[0])
    spans = [span for row in rows for span in row.spans]
    first = rows[0]
    if strand == "-":
        spans, first = spans[::-1], rows[-1]
    parts = ",".join(f"{start}-{end}" for start, end in spans) if len(spans) > 1 else ""
    about = {name: value for row in reversed(rows) for name, value in row.attributes.items()}
    name = next((about[key] for key in ("ID", "locus_tag", "Name") if about.get(key)), "")
    partial = about.get("partial", "").lower() not in ("", "00", "false") or about.keys() & {"start_range", "end_range"}
    pseudo = about.get("pseudo", "false").lower() != "false" or "pseudogene" in about
    flags = ",".join((["pseudo"] if pseudo else []) + (["partial"] if partial else []))
    low, high = min(start for start, _ in spans), max(end for _, end in spans)
    told = (name, about.get("product", ""), about.get("translation", ""), parts)
    return first.contig, low, high, strand, first.type, *told, first.phase, about.get("transl_table", ""), flags


def rows(source: Source, lengths: dict[str, int] | None = None, fasta: str = "") -> Iterator[tuple[int, Row]]:
    """Each row with its line number; a FASTA section ends the table. Contigs are held to `lengths`, where given."""
    circular: set[str] = set()
    with source:
        text = b"".join(source.blocks()).decode("utf-8", "replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith((">", "##FASTA")):
            return
        if not line.strip() or line.startswith("#"):
            continue

        def refuse(what: str, number: int = number) -> NoReturn:
            raise InputError(f"{source.path} line {number}: {what}")

        cells = line.split("\t")
        if len(cells) != COLUMNS:
            refuse(f"found {len(cells)} columns, expected the {COLUMNS} of GFF3, split by tabs")
        contig, maker, kind, start, end, score, strand, phase, attributes = cells
        contig = unquote(contig)
        if lengths is not None and contig not in lengths:
            refuse(f"contig {contig!r} is not in {fasta}")
        if not (re.fullmatch(r"[0-9]{1,18}", start) and re.fullmatch(r"[0-9]{1,18}", end)):
            refuse(f"found start {start!r} and end {end!r}, expected whole numbers")
        low, high = int(start) - 1, int(end)
        length = high if lengths is None else lengths[contig]
        if low < 0 or low >= high:
            refuse(f"found start {start} and end {end}, expected 1 or more and start <= end")
        if strand not in ("+", "-", ".", "?"):
            refuse(f"found strand {strand!r}, expected + - . or ?")
        if phase not in (("0", "1", "2", ".") if kind == "CDS" else (phase,)):
            refuse(f"found phase {phase!r}, expected 0, 1 or 2")
        about = {}
        for pair in attributes.strip().split(";"):
            name, _, value = pair.strip().partition("=")
            about[unquote(name)] = " ".join(unquote(value).split())
        if about.get("Is_circular", "").lower() == "true":
            circular.add(contig)
        spans = ((low, high),)
        if high > length:
            if contig not in circular or low >= length or high > 2 * length:
                refuse(f"ends at {high}, but contig {contig!r} has {length} bases")
            spans = ((low, length), (0, high - length))
        strand, first = strand.replace("?", "."), int(phase) if phase in ("0", "1", "2") else 0
        yield number, Row(contig, kind, spans, strand, first, about, maker, score)
