"""Accessions to genomes: sequences from NCBI, and the sheet that ingest reads. `genossl fetch ACCESSIONS --out FOLDER`

Each genome is a file of its own, taken only when it is whole: the source's MD5, or the record's name and length, say
so. What is there is not fetched again, so that after a stop of any kind the same command goes on.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from genossl import files, lock
from genossl.errors import InputError, Stopped
from genossl.genome import accessions, assemblies, entrez
from genossl.genome.accessions import ASSEMBLY
from genossl.genome.assemblies import Assemblies
from genossl.genome.entrez import Entrez
from genossl.genome.network import Client, Refused, Unavailable, base_mistake

log = logging.getLogger("genossl")
SUFFIX = {"fasta": ".fna.gz", "genbank": ".gbff.gz"}
BORNE = 3  # accessions in a row that NCBI may not give before the rest is left for another time


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `fetch`."""

    format: Literal["fasta", "genbank"] = "fasta"  # genbank: with the genes, for methods that learn from them
    email: str = ""  # that NCBI may write to; default: the environment's NCBI_EMAIL. It stands in the provenance
    retries: int = 5  # times that a request is repeated, each after twice the wait or what the server asks for
    backoff: float = 2.0  # seconds before the first repetition
    timeout: float = 60.0  # seconds of silence, or of less than 1,000 bytes a second, that end a transfer
    entrez: str = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"  # records; a mirror elsewhere never gets the API key
    genomes: str = "https://ftp.ncbi.nlm.nih.gov/genomes/all"  # assemblies

    def __post_init__(self) -> None:
        wrong = [f"{name} must not be negative" for name in ("retries", "backoff") if getattr(self, name) < 0]
        if self.timeout <= 0:
            wrong.append("timeout must be more than 0")
        for name in ("entrez", "genomes"):
            if mistake := base_mistake(getattr(self, name)):
                wrong.append(f"{name}: {mistake}")
        if wrong:
            raise ValueError("; ".join(wrong))


class Wanted(NamedTuple):
    """A genome of the list."""

    genome: str
    accession: str  # "" for a file that the sheet names
    path: Path
    url: str  # where it is looked for first
    origin: dict[str, str] | None  # of what was fetched before and is there as it was written


def run(listed: str | Path, out: Path, settings: Settings = Settings(), client: Client | None = None) -> pd.DataFrame:
    """Fetch what is missing into the folder `out`; return the sheet that is then written, out/genomes.tsv.

    Raises InputError for accessions that NCBI has not, or no longer, once all others are there, and at once where it
    does not let us in; Stopped where it does not answer. Neither writes a sheet, and what has come is kept.
    """
    out = Path(out)
    table = accessions.genomes(listed)
    files.spare([out / "genomes.tsv"], [listed])
    given = {"accessions": listed, "out": out}
    with files.disk(out):
        out.mkdir(parents=True, exist_ok=True)
    with lock.held(out / ".fetch.lock"):
        wanted = _fetched(_wanted(table, listed, out, settings), given, settings, client)
        sheet = _sheet(table, wanted, listed, out)
        files.write_tsv(out / "genomes.tsv", sheet)
        sources = [one.origin for one in wanted if one.origin]
        files.write_provenance(
            out / "genomes.tsv", "fetch", settings, {"accessions": listed}, given=given, sources=sources
        )
    return sheet


def planned(listed: str | Path, out: Path, settings: Settings = Settings()) -> list[str]:
    """A line for each genome: its name, `there` or `fetch`, and the file or address. Nobody is asked."""
    rows = _wanted(accessions.genomes(listed), listed, Path(out), settings)
    missing = [bool(one.accession) and not one.origin for one in rows]
    return [
        f"{one.genome}\t{'fetch' if fetch else 'there'}\t{one.url if fetch else one.path}"
        for one, fetch in zip(rows, missing, strict=True)
    ]


def _wanted(table: pd.DataFrame, listed: str | Path, out: Path, settings: Settings) -> list[Wanted]:
    wanted = []
    for genome, path, accession in table[["genome", "path", "accession"]].itertuples(index=False):
        if path:
            wanted.append(Wanted(genome, "", Path(listed).parent / path, "", None))
        else:
            file = out / f"{accession}{SUFFIX[settings.format]}"
            wanted.append(Wanted(genome, accession, file, _address(accession, settings), _origin(file)))
    return wanted


def _address(accession: str, settings: Settings) -> str:
    if ASSEMBLY.fullmatch(accession):
        return assemblies.address(accession, settings.genomes)
    return entrez.address(accession, settings.format, settings.entrez)


def _origin(file: Path) -> dict[str, str] | None:
    """What its provenance says of a fetched file, None where it is not there as it was written."""
    try:
        origin = files.read_json(f"{file}.provenance.json")["source"]
        return origin if file.is_file() and files.sha256(file) == origin["sha256"] else None
    except (InputError, KeyError, TypeError):
        return None


def _fetched(wanted: list[Wanted], given: dict[str, Any], settings: Settings, client: Client | None) -> list[Wanted]:
    """The same with the origin of all; whatever can be fetched is, before an error of one is raised."""
    missing = [i for i, one in enumerate(wanted) if one.accession and not one.origin]
    if not missing:
        return wanted
    doors, done = _doors(settings, client), list(wanted)
    wrong, late, in_a_row = [], [], 0
    for i in files.progress(missing, "fetch", "genome"):
        try:
            done[i] = wanted[i]._replace(origin=_fetch(wanted[i], doors, given, settings))
            in_a_row = 0
        except Refused as error:
            wrong.append(str(error))
        except Unavailable as error:
            late.append(str(error))
            in_a_row += 1
            if in_a_row == BORNE:
                break
    there = f"{sum(bool(one.origin or not one.accession) for one in done)} of {len(done)} genomes are there"
    if wrong:
        raise InputError("; ".join(wrong[:10]) + f"{'; ...' if len(wrong) > 10 else ''} ({there})")
    if late:
        raise Stopped(f"{late[-1]}; {there}, run the same command to go on")
    return done


def _doors(settings: Settings, client: Client | None) -> tuple[Entrez, Assemblies]:
    """Where records are asked for, and assemblies."""
    key = os.environ.get("NCBI_API_KEY", "")
    if not re.fullmatch(r"[0-9A-Za-z]*", key):
        raise InputError("NCBI_API_KEY: expected letters and digits alone, as NCBI gives them out")
    key = key if entrez.takes_key(settings.entrez) else ""
    client = client or Client(
        retries=settings.retries, backoff=settings.backoff, timeout=settings.timeout,
        interval=entrez.INTERVAL_WITH_KEY if key else entrez.INTERVAL, secret=key,
    )  # fmt: skip
    email = settings.email or os.environ.get("NCBI_EMAIL", "")
    return Entrez(client, settings.entrez, email, key), Assemblies(client, settings.genomes)


def _fetch(one: Wanted, doors: tuple[Entrez, Assemblies], given: dict[str, Any], settings: Settings) -> dict[str, str]:
    """Bring one genome to its place, and what tells of its origin beside it."""
    part = one.path.with_name(f"{one.path.name}.part")
    fetched = doors[bool(ASSEMBLY.fullmatch(one.accession))].fetch(one.accession, settings.format, part)
    with files.atomic(one.path) as stream, part.open("rb") as read:
        if fetched.packed:  # as it lies there, so that anyone can compare its MD5
            shutil.copyfileobj(read, stream)
        else:
            with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:  # the same bytes at any time
                shutil.copyfileobj(read, packed)
    origin = {"accession": fetched.accession, "url": fetched.url, "sha256": files.sha256(one.path)}
    origin |= {"md5": fetched.md5} if fetched.md5 else {}
    files.write_provenance(one.path, "fetch", settings, {"accessions": given["accessions"]}, given=given, source=origin)
    part.unlink()
    log.info("%s: %s", one.path, fetched.url)
    return origin


def _sheet(table: pd.DataFrame, wanted: list[Wanted], listed: str | Path, out: Path) -> pd.DataFrame:
    """The sheet, with paths relative to `out`, accessions with their versions, and all other columns."""
    origins = [one.origin or {} for one in wanted]
    sheet = table.assign(
        path=[
            one.path.name if one.accession else _moved(path, listed, out)
            for one, path in zip(wanted, table["path"], strict=True)
        ],
        accession=[str(o.get("accession", a)) for o, a in zip(origins, table["accession"], strict=True)],
        sha256=[origin.get("sha256", "") for origin in origins],
    )
    if "features" in sheet:
        sheet["features"] = [path and _moved(path, listed, out) for path in sheet["features"]]
    first = ["genome", "path", "accession", "sha256"]
    return sheet[[*first, *(name for name in sheet.columns if name not in first)]]


def _moved(path: str, sheet: str | Path, folder: Path) -> str:
    """A path relative to a sheet, relative to a folder; one that is absolute stays."""
    return path if Path(path).is_absolute() else os.path.relpath(Path(sheet).parent / path, folder)
