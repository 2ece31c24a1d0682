"""Accessions of public sequences: which can be fetched, what is said of others, and sheets of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from genossl.errors import InputError
from genossl.files import is_sheet, read_sheet
from genossl.genome.source import Source

if TYPE_CHECKING:
    import pandas as pd

# [0-9], not \d, which other scripts' digits match, too
_VERSION = r"(\.[0-9]{1,3})?"
ASSEMBLY = re.compile(rf"GC[AF]_[0-9]{{9}}{_VERSION}")
NUCLEOTIDE = re.compile(
    rf"([A-Z][0-9]{{5}}|[A-Z]{{2}}[0-9]{{6}}([0-9][0-9])?|([A-Z]{{4}}|[A-Z]{{6}})[0-9]{{8,11}}"  # GenBank
    rf"|(AC|NC|NG|NM|NR|NT|NW|NZ|XM|XR)_[A-Z]{{0,6}}[0-9]{{6,11}}){_VERSION}"  # RefSeq
)
_OTHERS = (  # what else people have in such lists, and what to do about it
    (r"SAM(N|EA|D)[0-9]+", "is a BioSample, expected its assembly (GCA_..., GCF_...)"),
    (r"PRJ[A-Z]+[0-9]+", "is a BioProject, expected its assemblies (GCA_..., GCF_...)"),
    (r"[SED]R[APRSXZ][0-9]+", "is of sequencing reads (SRA), expected an assembly (GCA_..., GCF_...)"),
    (rf"((AP|NP|WP|XP|YP)_[0-9]+|[A-Z]{{3}}[0-9]{{5,7}}){_VERSION}", "is a protein, expected a nucleotide record"),
    (rf"(NZ_)?([A-Z]{{4}}|[A-Z]{{6}})[0-9][0-9]0{{6,}}{_VERSION}",
     "is the master record of a draft, which has no sequence; expected its assembly (GCA_..., GCF_...)"),
)  # fmt: skip
GONE = ("suppressed", "withdrawn", "dead")  # what NCBI says of sequences that should not be used any more
_EXPECTED = "expected an accession such as NC_000913.3, CP000001.1 or GCF_000005845.2"


class Fetched(NamedTuple):
    """What came for an accession."""

    accession: str  # with its version
    url: str  # that gives it to a reader, too
    packed: bool  # by gzip
    md5: str = ""  # that the source gives; "" where it gives none


def gone(name: str, status: str) -> str:
    """What is said of a sequence that NCBI has taken back."""
    return f"{name}: was {status} by NCBI; take another, or give the path of a file that you have"


def accession(text: str) -> str:
    """The accession in capitals; raises InputError for what is none that has nucleotides.

    It consists of letters, digits, `_` and `.` alone, so that it can be part of a file's name and of an address.
    """
    name = text.upper()
    for pattern, what in _OTHERS:
        if re.fullmatch(pattern, name):
            raise InputError(f"{name} {what}")
    if not (ASSEMBLY.fullmatch(name) or NUCLEOTIDE.fullmatch(name)):
        raise InputError(f"found {text[:40]!r}, {_EXPECTED}")
    return name


def genomes(path: str | Path) -> pd.DataFrame:
    """A list of accessions, or a sheet of genomes, as a table with the columns genome, path, accession and others.

    A list has one accession a line (`-`: standard input), comments start with #; a sheet's name ends with .tsv or
    .tsv.gz. Of each row either path or accession may be "". Raises InputError with the first lines that are wrong.
    """
    import pandas as pd

    if is_sheet(path):
        return sheet_of_genomes(path)
    _refuse_bare(str(path))
    with Source(path) as source:
        lines = [line.split(b"#")[0].decode("latin-1").strip() for line in source.lines()]
    if not (names := [line for line in lines if line]):
        raise InputError(f"{source.path}: lists nothing, {_EXPECTED} on each line")
    table = checked(source.path, pd.DataFrame({"genome": names, "path": "", "accession": names}, dtype=object))
    return table.assign(genome=table["accession"])


def _refuse_bare(given: str) -> None:
    """Raises InputError where an accession stands in place of a list of them."""
    name = given.upper()
    if (ASSEMBLY.fullmatch(name) or NUCLEOTIDE.fullmatch(name)) and not Path(given).exists():
        raise InputError(
            f"{given}: is an accession, expected a file with one on each line, or - for standard input: "
            f"echo {given} | genossl fetch - --out genomes"
        )


def sheet_of_genomes(path: str | Path) -> pd.DataFrame:
    """A sheet of genomes with the columns path and accession, of which a file needs one. Raises InputError."""
    sheet = read_sheet(path, ("genome",))
    if not {"path", "accession"} & set(sheet.columns):
        raise InputError(f"{path}: no column path or accession; found {', '.join(sheet.columns)}")
    for name in {"path", "accession"} - set(sheet.columns):
        sheet[name] = ""
    return checked(path, sheet)


def checked(path: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its accessions in capitals; InputError where rows have neither path nor accession, or wrong ones.

    Where both are given the path is taken, and the accession is a note that may say anything.
    """
    wrong: list[str] = []
    seen: set[str] = set()
    names = []
    for genome, file, text in table[["genome", "path", "accession"]].itertuples(index=False):
        if not file and not text:
            wrong.append(f"genome {genome!r} has neither path nor accession, expected one")
        elif not file:
            try:
                text = accession(text)
            except InputError as error:
                wrong.append(str(error))
            if text in seen:
                wrong.append(f"{text} occurs more than once")
            seen.add(text)
        names.append(text)
    if wrong:
        raise InputError(f"{path}: " + "; ".join(wrong[:10]) + ("; ..." if len(wrong) > 10 else ""))
    return table.assign(accession=names)
