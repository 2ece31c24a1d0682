"""FASTA to tokens: A, C, G, T are 0 to 3, the rest is 4. Every reader fills the same array."""

from __future__ import annotations

import gzip
import multiprocessing
from collections.abc import Iterator
from typing import IO

import numpy as np

from .data import PARTS, Data
from .measure import Work
from .reading import Reader, filled, translated
from .table import Contender, Goal, Table

OURS = "genossl fasta.scan"
BIOPYTHON = "Biopython SimpleFastaParser"
PYFAIDX = "pyfaidx, its index present"
LIMIT = "isal.igzip, unpacking alone"
PEERS = ("pysam", "pyfastx", "needletail")


def tables(data: Data) -> list[Table]:
    return [_plain(data), _packed(data), _several(data)]


def _plain(data: Data) -> Table:
    own = {OURS: "scan", BIOPYTHON: "simple_fasta_parser", "Biopython SeqIO": "seqio", PYFAIDX: "pyfaidx"}
    verb = Contender("genossl ingest, the verb", "ingest:verb", {"path": data.fasta, "out": str(data.folder / "out")})
    return Table(
        "ingest",
        "FASTA to tokens",
        "Mbp",
        BIOPYTHON,
        [*_readers(own, data.fasta, data.bases), verb],
        [
            Goal("plain FASTA, over Biopython's SimpleFastaParser", OURS, BIOPYTHON, least=2),
            Goal("plain FASTA, over pyfaidx with its index", OURS, PYFAIDX, least=0.9),
        ],
        notes=(
            "genossl checks every letter and counts ambiguity codes and lower case; the others translate what comes. "
            "The verb also writes the store, its checksums and its provenance. MiB holds the array of tokens.",
        ),
    )


def _packed(data: Data) -> Table:
    own = {OURS: "scan", BIOPYTHON: "simple_fasta_parser", "Biopython SeqIO": "seqio"}
    limit = Contender(LIMIT, "ingest:igzip", {"path": data.gz, "bases": data.bases // PARTS})
    return Table(
        "ingest_gz",
        "FASTA.gz to tokens",
        "Mbp",
        BIOPYTHON,
        [*_readers(own, data.gz, data.bases // PARTS), limit],
        [
            Goal("FASTA.gz, over Biopython with gzip.open", OURS, BIOPYTHON, least=3),
            Goal("FASTA.gz, over igzip that only unpacks", OURS, LIMIT, least=0.35),
        ],
    )


def _several(data: Data) -> Table:
    one = "genossl, 1 process"
    settings = {"paths": data.parts, "bases": data.bases // PARTS}
    contenders = [
        Contender(one, "ingest:several", settings | {"processes": 1}),
        Contender("genossl, 2 processes", "ingest:several", settings | {"processes": 2}),
    ]
    return Table("ingest_files", f"{PARTS} files of FASTA, by wall time", "Mbp", one, contenders, clock="wall")


def _readers(own: dict[str, str], path: str, bases: int) -> list[Contender]:
    settings = {"path": path, "bases": bases}
    ours = [Contender(name, "ingest:fill", settings | {"reader": reader}) for name, reader in own.items()]
    return ours + [Contender(name, "peers:fill", settings | {"reader": name}, peers=True) for name in PEERS]


# ---- contenders


def fill(reader: str, path: str, bases: int) -> Work:
    return filled(READERS[reader](), path, bases)


def verb(path: str, out: str) -> Work:
    from genossl.verbs import ingest

    yield {}
    while True:
        yield {"units": float(ingest.run([path], out)["bases"].sum()) / 1e6}


def igzip(path: str, bases: int) -> Work:
    from isal import igzip

    yield {}
    block = bytearray(1 << 17)
    while True:
        with igzip.IGzipFile(path) as stream:
            while stream.readinto(block):
                pass
        yield {"units": bases / 1e6}


def several(paths: list[str], bases: int, processes: int) -> Work:
    scan()
    yield {}
    while True:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            done = pool.starmap(_count, [(path, bases) for path in paths], chunksize=1)
        yield {"units": sum(done) / 1e6}


def _count(path: str, bases: int) -> int:
    return scan()(path, np.zeros(bases, np.uint8))


# ---- readers: imports first, then what is timed


def scan() -> Reader:
    from genossl.genome import fasta

    def read(path: str, tokens: np.ndarray) -> int:
        at = 0
        for item in fasta.scan(path):
            if isinstance(item, fasta.Bases):
                tokens[at : at + len(item.tokens)] = item.tokens
                at += len(item.tokens)
        return at

    return read


def simple_fasta_parser() -> Reader:
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    def records(path: str) -> Iterator[bytes]:
        with _text(path) as stream:
            for _, letters in SimpleFastaParser(stream):
                yield letters.encode()

    return translated(records)


def seqio() -> Reader:
    from Bio import SeqIO

    def records(path: str) -> Iterator[bytes]:
        with _text(path) as stream:
            for record in SeqIO.parse(stream, "fasta"):
                yield bytes(record.seq)

    return translated(records)


def pyfaidx() -> Reader:
    from pyfaidx import Fasta

    def records(path: str) -> Iterator[bytes]:
        with Fasta(path, as_raw=True, rebuild=False) as fasta:
            for record in fasta:
                yield record[:].encode()

    return translated(records)


def _text(path: str) -> IO[str]:
    return gzip.open(path, "rt") if path.endswith(".gz") else open(path)


READERS = {reader.__name__: reader for reader in (scan, simple_fasta_parser, seqio, pyfaidx)}
