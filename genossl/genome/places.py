"""Named places on contigs, from BED or GFF3: what is embedded where not everything is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from genossl.errors import InputError
from genossl.files import refuse_control
from genossl.genome import gff, regions
from genossl.genome.source import Source

SHOWN = 5  # names in a message


class Known(NamedTuple):
    """A contig of the input."""

    genome: str  # "" of FASTA
    name: str
    length: int


class Place(NamedTuple):
    """A stretch of a contig, 0-based and half-open."""

    name: str
    start: int
    end: int
    strand: str  # + - or .


Places = dict[tuple[str, str], list[Place]]  # of (genome, contig), in the order of the file


class _Row(NamedTuple):
    line: int
    contig: str
    place: Place


def of_bed(path: str | Path, contigs: list[Known], of: str | Path) -> Places:
    """Intervals of BED, plain or packed, on contigs of the input `of`: the name is column 4, the strand column 6.

    Who has no name is called contig:start-end. Raises InputError with file and line.
    """
    rows = []
    for line, cells in regions.bed_rows(Source(path)):
        name = cells[3] if len(cells) > 3 and cells[3] != "." else ""
        place = Place(name, int(cells[1]), int(cells[2]), cells[5] if len(cells) > 5 else ".")
        rows.append(_Row(line, cells[0], place))
    lengths = _lengths(path, [(row.line, row.contig) for row in rows], contigs, of)
    for line, contig, place in rows:
        if place.end > lengths[contig]:
            has = f"contig {contig!r} of {of} has {lengths[contig]:,} bases"
            raise InputError(f"{path} line {line}: ends at {place.end:,}, but {has}")
    return _placed(path, rows, contigs)


def of_gff(path: str | Path, feature: str, contigs: list[Known], of: str | Path) -> Places:
    """Rows of one type of GFF3, each a place (so the exons of a gene are several), named by ID, locus_tag or Name.

    A row across the origin of a circular contig is two places. Raises InputError with file and line.
    """
    named = [(line, row.contig) for line, row in gff.rows(Source(path))]
    if not named:
        raise InputError(f"{path}: holds no feature, expected GFF3")
    rows, types = [], set()
    for line, row in gff.rows(Source(path), _lengths(path, named, contigs, of), str(of)):
        types.add(row.type)
        if row.type == feature:
            name = next((row.attributes[key] for key in ("ID", "locus_tag", "Name") if row.attributes.get(key)), "")
            rows += [_Row(line, row.contig, Place(name, *span, row.strand)) for span in row.spans]
    if not rows:
        raise InputError(f"{path}: has no feature of type {feature!r}; found {', '.join(sorted(types))}")
    return _placed(path, rows, contigs)


def _lengths(path: str | Path, named: list[tuple[int, str]], contigs: list[Known], of: str | Path) -> dict[str, int]:
    """Length of each contig by its name; InputError where one that is named is not there, or in several genomes."""
    lengths = {contig.name: contig.length for contig in contigs}
    missing = [(line, name) for line, name in named if name not in lengths]
    if missing:
        line, first = missing[0]
        all_of, unknown = {name for _, name in named}, {name: None for _, name in missing}
        raise InputError(
            f"{path} line {line}: contig {first!r} is not in {of}; {len(unknown):,} of the {len(all_of):,} contigs "
            f"named here are not ({len(missing):,} of {len(named):,} rows: {_few(list(unknown))}), expected names from "
            f"there: {_few(list(lengths))}"
        )
    if len(lengths) < len(contigs):
        genomes: dict[str, list[str]] = {}
        for contig in contigs:
            genomes.setdefault(contig.name, []).append(contig.genome)
        for line, name in named:
            if len(genomes[name]) > 1:
                raise InputError(
                    f"{path} line {line}: contig {name!r} is in {len(genomes[name])} genomes of {of} "
                    f"({_few(genomes[name])}), expected one"
                )
    return lengths


def _placed(path: str | Path, rows: list[_Row], contigs: list[Known]) -> Places:
    """By contig; names that occur again are numbered from the second on."""
    genome = {contig.name: contig.genome for contig in contigs}
    found: Places = {}
    seen: dict[str, int] = {}  # how often each name has come
    for line, contig, place in rows:
        strand = f"({place.strand})" if place.strand == "-" else ""
        given = name = place.name or f"{contig}:{place.start}-{place.end}{strand}"
        refuse_control(f"{path} line {line}", [name])
        while name in seen:
            seen[given] += 1
            name = f"{given}#{seen[given]}"
        seen[name] = 1
        found.setdefault((genome[contig], contig), []).append(place._replace(name=name))
    return found


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
