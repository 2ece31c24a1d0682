"""FASTA, FASTQ and GenBank files to a token store. `genossl ingest PATH... --out STORE`

A PATH is a file, a folder of such files, a sheet (TSV: genome, path, [split], [features: a GFF3 of the FASTA's genes],
any metadata) or `-`, standard input.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl.errors import InputError
from genossl.files import is_sheet, new_folder, progress, read_json, read_sheet, replaceable, write_provenance
from genossl.genome import fasta, gff
from genossl.genome.source import Source, sequence_files, stem
from genossl.genome.store import FEATURE_TYPES, FEATURES, Writer

log = logging.getLogger("genossl")
SPLITS = {"": "", "train": "train", "validation": "validation", "test": "test", "pretrain": "pretrain"}
SPLITS |= {"dev": "validation", "val": "validation"}
LARGEST_GENBANK = 1_000_000_000  # bytes of a record, which is read whole; ten times that is the memory it takes
WORTH = 200_000_000  # bytes of files for which one more process is worth its start


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `ingest`."""

    ambiguous: str = "N"  # IUPAC codes other than ACGTU: "N" makes them N and keeps coordinates, "refuse" stops
    lowercase: str = "keep"  # soft-masked bases: "keep" reads them as upper case, "mask" makes them N
    min_contig: int = 0  # bases; shorter contigs are left out, and counted
    max_ratio: float = 200.0  # unpacked to packed bytes at which a compressed file is refused; 0: never


@dataclass
class Genome:
    """One row of the collection: where it comes from, and what was found in it."""

    name: str
    path: str
    split: str = ""
    features: str = ""  # path of a GFF3
    metadata: dict[str, str] = field(default_factory=dict)
    records: int = 0
    counts: fasta.Counts = field(default_factory=fasta.Counts)  # letters of all records, kept or not
    kept: int = 0  # bases in the store
    n_N_tokens: int = 0  # of them N, whatever the reason
    n_GC: int = 0
    dropped: int = 0  # contigs shorter than min_contig
    sha256: str = ""

    def summary(self) -> dict[str, Any]:
        """n_N, n_iupac, n_lower, n_U count letters of the input; bases, n_N_tokens and gc what the store holds."""
        known = self.kept - self.n_N_tokens
        return {
            "genome": self.name, "records": self.records, "bases": self.kept, "n_N": self.counts.n_N,
            "n_iupac": self.counts.n_iupac, "n_lower": self.counts.n_lower, "n_U": self.counts.n_U,
            "n_N_tokens": self.n_N_tokens, "gc": self.n_GC / known if known else None,
            "dropped": self.dropped, "dropped_bases": self.counts.bases - self.kept,
            "source": self.path, "sha256": self.sha256,
        }  # fmt: skip


def run(paths: list[str], out: str | Path, settings: Settings = Settings(), threads: int = 1) -> pd.DataFrame:
    """Write the store, in place of an older one; return what was found, one row per genome.

    threads: genomes read at once, each by a process of its own; 0: as many as cores are granted and worth it. The store
    is the same for any number. Raises InputError, and then leaves nothing behind.
    """
    _check(settings)
    out = Path(out)
    if not replaceable(out, "store.json"):
        raise InputError(f"{out}: exists and is no token store, expected a new folder or a store to replace")
    genomes, sheets = collection(paths)
    with contextlib.suppress(InputError, AttributeError):  # where there is none, or a damaged one
        log.info("%s: replaces a store of %s genomes", out, read_json(out / "store.json").get("n_genomes"))
    with new_folder(out) as folder:
        with Writer(folder) as writer:
            genomes, features = _read_all(genomes, writer, settings, _processes(genomes, threads))
            summary = pd.DataFrame([genome.summary() for genome in genomes])
            rows = [{"genome": g.name, "split": g.split, **g.metadata} for g in genomes]
            writer.close(
                genomes=pd.DataFrame(rows, dtype=object).fillna(""),
                features=pd.DataFrame(features, columns=list(FEATURES)) if features else None,
                meta={"policy": asdict(settings), "genomes": [g.summary() for g in genomes]},
            )
        inputs = {g.name: Path(g.path) for g in genomes if g.path != "-"}
        inputs |= {f"{g.name} features": Path(g.features) for g in genomes if g.features}
        inputs |= {f"sheet {i}": sheet for i, sheet in enumerate(sheets, 1)}
        write_provenance(folder / "store.json", "ingest", settings, inputs, given={"paths": paths, "out": out})
    return summary


def _check(settings: Settings) -> None:
    if settings.ambiguous not in ("N", "refuse"):
        raise InputError(f"ingest.ambiguous: found {settings.ambiguous!r}, expected N or refuse")
    if settings.lowercase not in ("keep", "mask"):
        raise InputError(f"ingest.lowercase: found {settings.lowercase!r}, expected keep or mask")
    if settings.min_contig < 0 or settings.max_ratio < 0:
        raise InputError("ingest.min_contig and ingest.max_ratio: expected 0 or more")


# ---- what is in the collection


def collection(paths: list[str]) -> tuple[list[Genome], list[Path]]:
    """The genomes that the paths stand for, in order, and the sheets among the paths."""
    genomes: list[Genome] = []
    sheets: list[Path] = []
    for given in paths:
        path = Path(given)
        if given == "-":
            genomes.append(Genome("stdin", "-"))
        elif path.is_dir():
            genomes += [Genome(stem(file), str(file)) for file in sequence_files(path)]
        elif is_sheet(path):
            sheets.append(path)
            genomes += _sheet(path)
        elif path.exists():
            genomes.append(Genome(stem(path), given))
        else:
            raise InputError(f"{given}: no such file")
    if not genomes:
        raise InputError("no input, expected a FASTA, FASTQ or GenBank file, a folder, a sheet or -")
    seen: dict[str, str] = {}
    for genome in genomes:
        _refuse_no_text(genome)
        if genome.name in seen:
            both = f"{seen[genome.name]} and {genome.path}"
            raise InputError(f"{both}: both are genome {genome.name!r}, expected one each; give names in a sheet")
        seen[genome.name] = genome.path
    return genomes, sheets


def _refuse_no_text(genome: Genome) -> None:
    """A file's name may be any bytes; tables hold text."""
    for text in (genome.name, genome.path, genome.features):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(f"{text}: the file's name is no UTF-8 text, expected one; rename it") from None


def _sheet(path: Path) -> list[Genome]:
    genomes = []
    sheet = read_sheet(path, ("genome",))
    if "accession" not in sheet:  # of which fetch makes a path
        sheet = read_sheet(path, ("genome", "path"))
    for i, row in enumerate(sheet.to_dict("records"), 1):
        row = {str(key): str(value) for key, value in row.items()}
        name, split = row.pop("genome"), row.pop("split", "")
        given, annotation = row.pop("path", ""), row.pop("features", "")
        if not name:
            raise InputError(f"{path} row {i}: found no genome name, expected one")
        if not given and row.get("accession"):
            raise InputError(
                f"{path} row {i}, genome {name!r}: has an accession and no path; `genossl fetch {path} --out genomes` "
                "first, then ingest genomes/genomes.tsv"
            )
        file = path.parent / given
        if split.lower() not in SPLITS:
            expected = ", ".join(filter(None, SPLITS))
            raise InputError(f"{path} row {i}, genome {name!r}: found split {split!r}, expected {expected} or none")
        if not file.is_file():
            raise InputError(f"{path} row {i}, genome {name!r}: {file}: no such file")
        if annotation and not (path.parent / annotation).is_file():
            raise InputError(f"{path} row {i}, genome {name!r}: {path.parent / annotation}: no such file")
        annotation = str(path.parent / annotation) if annotation else ""
        genomes.append(Genome(name, str(file), SPLITS[split.lower()], annotation, row))
    return genomes


# ---- what is in a genome


def _processes(genomes: list[Genome], threads: int) -> int:
    """How many processes read: no more than there are files, and, for threads 0, than the files are worth."""
    files = [Path(genome.path) for genome in genomes if genome.path != "-"]
    if not threads:
        from joblib import cpu_count

        threads = min(cpu_count(), 1 + sum(file.stat().st_size for file in files) // WORTH)
    return max(1, min(threads, len(files)))


def _read_all(
    genomes: list[Genome], writer: Writer, settings: Settings, processes: int
) -> tuple[list[Genome], list[tuple]]:
    """Append the genomes to the store, in order; they with what was found in them, and their features.

    With one process they are read here. Several read ahead, each genome into a part that is joined when its turn comes;
    standard input is read here in any case.
    """
    files = [genome for genome in genomes if processes > 1 and genome.path != "-"]
    done: list[Genome] = []
    features: list[tuple] = []
    with contextlib.closing(_parts(files, writer.folder, settings, processes)) as parts:
        for genome in progress(genomes, "ingest", "genome"):
            if processes == 1 or genome.path == "-":
                features += _read(genome, writer, settings)
            else:
                genome, found, folder = next(parts)
                writer.join(folder)
                features += found
            done.append(genome)
    return done, features


def _parts(genomes: list[Genome], folder: Path, settings: Settings, processes: int) -> Generator[tuple, None, None]:
    """What `_read_part` makes of each genome, in order; raises the InputError of the first that has one."""
    from joblib import Parallel, delayed

    here = os.getcwd()
    jobs = [delayed(_read_part)(genome, folder / f"part{i}", settings, here) for i, genome in enumerate(genomes)]
    running: Any = Parallel(n_jobs=processes, return_as="generator")(jobs)
    try:
        for found in running:
            if isinstance(found, InputError):
                raise found
            yield found
    except BrokenExecutor:
        raise InputError(
            "a process that read genomes was killed, for want of memory? Read fewer at once: --threads 1"
        ) from None
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that later genomes were read for nothing
            running.close()  # ends the processes, before their folder goes


def _read_part(genome: Genome, folder: Path, settings: Settings, here: str) -> tuple | InputError:
    """The genome, its features, and the folder with the part of the store that it became.

    An InputError is returned, not raised, because a later genome's may come first.
    """
    os.chdir(here)  # a process may be older than this call
    folder.mkdir()
    try:
        with Writer(folder) as writer:
            features = _read(genome, writer, settings)
    except InputError as error:
        return error
    return genome, features, folder


def _read(genome: Genome, writer: Writer, settings: Settings) -> list[tuple]:
    """Append the genome's contigs to the store, in constant memory for FASTA; its features."""
    digest = hashlib.sha256()
    source = Source(genome.path, settings.max_ratio or None, digest)
    is_genbank = re.match(rb"\s*LOCUS\s", source.head) is not None
    if is_genbank and genome.features:
        source.close()
        raise InputError(f"{source.path}: is GenBank, which brings its own features; leave {genome.features} out")
    features: list[tuple] = []
    policy: dict[str, Any] = {"ambiguous": settings.ambiguous, "lowercase": settings.lowercase}
    items = _genbank(source, genome, features, policy) if is_genbank else fasta.scan(source, **policy)
    dropped: set[str] = set()
    lengths: dict[str, int] = {}
    contig, length, n_GC = "", 0, 0

    def end() -> None:
        if genome.features:
            lengths[contig] = length
        keep = length >= settings.min_contig
        n_N = writer.end(keep)
        genome.records += 1
        if keep:
            genome.kept += length
            genome.n_N_tokens += n_N
            genome.n_GC += n_GC
        else:
            genome.dropped += 1
            dropped.add(contig)

    for item in items:
        if isinstance(item, fasta.Header):
            if contig:
                end()
            contig, length, n_GC = item.name, 0, 0
            writer.begin(genome.name, contig, genome.path)
        else:
            writer.append(item.tokens)
            genome.counts.add_(item.counts)
            length += len(item.tokens)
            n_GC += int(np.count_nonzero((item.tokens + 1) & 2))  # C 1, G 2
    end()
    if not genome.kept:
        raise InputError(
            f"{source.path}: found no contig of {settings.min_contig:,} bases or more in genome {genome.name!r}, "
            "expected one; lower min_contig or leave the genome out"
        )
    if genome.features:
        annotation = Source(genome.features, settings.max_ratio or None)
        features += [(genome.name, *row) for row in gff.read(annotation, lengths, source.path)]
    genome.sha256 = digest.hexdigest()
    return [row for row in features if row[1] not in dropped]


def _genbank(
    source: Source, genome: Genome, features: list[tuple], policy: dict[str, Any]
) -> Iterator[fasta.Header | fasta.Bases]:
    """Headers and bases as `fasta.scan` gives them; the annotation goes to `features`. One record is in memory."""
    names: set[str] = set()
    with source:
        for i, text in enumerate(_genbank_records(source), 1):
            record, genes = _parsed(source.path, text)
            name = record.id if record.id and record.id not in ("<unknown id>", ".") else record.name
            if not re.fullmatch(r"[^\x00-\x20\x7f-\xa0]{1,1024}", name):
                raise InputError(f"{source.path} record {i}: found the name {name!r}, expected one without blanks")
            if name in names:
                raise InputError(f"{source.path} record {i}: found the name {name!r} again, expected another")
            names.add(name)
            if not record.seq.defined or not len(record.seq):
                raise InputError(f"{source.path} record {i}, {name!r}: found no sequence, expected an ORIGIN part")
            yield fasta.Header(name, record.description, 0)
            try:
                yield fasta.tokenise(bytes(record.seq), **policy)
            except fasta.BadLetter as bad:
                raise InputError(f"{source.path} record {i}, {name!r}, base {bad.index + 1}: {bad}") from None
            features += [(genome.name, name, *gene) for gene in genes]


def _parsed(path: str, text: str) -> tuple[Any, list[tuple]]:
    """Biopython's record and the rows of its genes."""
    from Bio import BiopythonWarning, SeqIO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiopythonWarning)
        try:
            record = SeqIO.read(io.StringIO(text), "genbank")
            genes = [f for f in record.features if f.type in FEATURE_TYPES and f.location is not None]
            return record, [_feature(gene) for gene in genes]
        except MemoryError:
            raise
        except Exception as error:  # of many kinds, by what is wrong with the text
            said = " ".join(str(error).split())
            raise InputError(f"{path}: is no GenBank file that can be read ({said})") from None


def _genbank_records(source: Source) -> Iterator[str]:
    """The text of each record, up to its //."""
    lines: list[bytes] = []
    size = 0
    for line in source.lines():
        lines.append(line)
        size += len(line)
        if size > LARGEST_GENBANK:
            raise InputError(
                f"{source.path}: found a record of more than {LARGEST_GENBANK:,} bytes, the limit; give FASTA and GFF3"
            )
        if line.rstrip() == b"//":
            yield b"\n".join(lines).decode("latin-1")
            lines, size = [], 0
    if any(map(bytes.strip, lines)):
        raise InputError(f"{source.path}: the GenBank file ends early, expected // on its last line")


def _feature(feature: Any) -> tuple:
    """start, end, strand, type, id, product, translation, parts, phase, table, flags.

    A joined feature (exons, or one across the origin of a circular contig) has parts, read 5' to 3', and start and end
    are its extent; parts is "" for a feature in one piece.
    """

    def first(*names: str) -> str:
        values = [" ".join(feature.qualifiers[name][0].split()) for name in names if feature.qualifiers.get(name)]
        return next(filter(None, values), "")

    from Bio.SeqFeature import ExactPosition

    where = feature.location
    parts = ",".join(f"{int(p.start)}-{int(p.end)}" for p in where.parts) if len(where.parts) > 1 else ""
    strand = {1: "+", -1: "-"}.get(where.strand, ".")
    protein = first("translation").replace(" ", "")
    name = first("locus_tag", "protein_id", "gene")
    begins = first("codon_start") or "1"
    phase = int(begins) - 1 if begins in ("1", "2", "3") else 0
    exact = all(isinstance(at, ExactPosition) for part in where.parts for at in (part.start, part.end))
    pseudo = feature.qualifiers.keys() & {"pseudo", "pseudogene"}
    flags = ",".join((["pseudo"] if pseudo else []) + ([] if exact else ["partial"]))
    place = (int(where.start), int(where.end), strand)
    return *place, feature.type, name, first("product"), protein, parts, phase, first("transl_table"), flags
