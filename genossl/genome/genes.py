"""Genes: coding DNA, the protein that it stands for, and crops of the two that do not encode each other."""

# G genes, B rows, L bases of a crop, M residues of a crop

from __future__ import annotations

import functools
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from genossl.errors import InputError
from genossl.genome.alphabet import reverse_complement
from genossl.genome.source import Source
from genossl.genome.windows import Batch

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

log = logging.getLogger("genossl")
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"  # codes 0 to 19
X, STOP = 20, 21  # any other residue, and the end of a protein
LETTERS = np.frombuffer(f"{RESIDUES}X*".encode(), np.uint8)
CODES = np.full(256, X, np.uint8)  # letter -> code
for _code, _letter in enumerate(f"{RESIDUES}X*"):
    CODES[[ord(_letter), ord(_letter.lower())]] = _code
CODE = 11  # the genetic code of bacteria, archaea and their viruses


# ---- the genetic code


@functools.cache
def genetic_code(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Residue of each codon, uint8 (65,), and whether it may start a gene, bool (65,), by NCBI's number.

    A codon's place is 16 a + 4 b + c; the last entry is for codons with an N. A codon that some genes end with and
    others read counts as read. Raises InputError for a number that NCBI does not list.
    """
    from Bio.Data.CodonTable import unambiguous_dna_by_id

    if number not in unambiguous_dna_by_id:
        raise InputError(f"genetic code {number}: is unknown; expected a number of NCBI's list, as 11 for bacteria")
    table = unambiguous_dna_by_id[number]
    codons = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    letters = [table.forward_table.get(codon, "*") for codon in codons]
    starts = [codon in table.start_codons for codon in codons]
    return np.append(CODES[[ord(letter) for letter in letters]], np.uint8(X)), np.array([*starts, False])


def translate(tokens: np.ndarray, code: int = CODE, start: bool = False) -> np.ndarray:
    """Residues of whole codons, uint8 (..., L) -> (..., L // 3); with `start` a first codon that may start reads M."""
    residues, starts = genetic_code(code)
    codon = tokens[..., : tokens.shape[-1] // 3 * 3].reshape(*tokens.shape[:-1], -1, 3)
    at = np.where((codon < 4).all(-1), codon @ np.array([16, 4, 1]), 64)
    protein = residues[at]
    if start and protein.shape[-1]:
        protein[..., 0] = np.where(starts[at[..., 0]], CODES[ord("M")], protein[..., 0])
    return protein


def spell(residues: np.ndarray) -> str:
    """Letters of residue codes (M,)."""
    return LETTERS[residues].tobytes().decode()


# ---- the genes of a store


class Gene(NamedTuple):
    """A gene that can be read: its place, its DNA on the coding strand and its protein, both without the stop."""

    genome: int  # row of store.genomes
    contig: int  # row of store.contigs
    start: int
    id: str
    dna: np.ndarray  # uint8, three times as long as
    protein: np.ndarray  # uint8


def read_genes(store: TokenStore, rows: np.ndarray, code: int = CODE) -> list[Gene]:
    """The protein-coding genes of the contigs `rows`, in the order of features.tsv; `code` where a record names none.

    Left out and counted in the log: pseudogenes, partial ones, no strand, no whole number of codons, stops inside. A
    protein that differs from the record's /translation stays, with a warning that says how many and names the first.
    """
    contigs = store.contigs.iloc[rows]
    place = {
        (genome, contig): (row, offset)
        for genome, contig, row, offset in zip(
            contigs["genome"], contigs["contig"], contigs.index, contigs["offset"], strict=True
        )
    }
    genome_row = {name: i for i, name in enumerate(store.genomes["genome"])}
    features = store.features()
    found: list[Gene] = []
    left_out: Counter[str] = Counter()
    checked, differing = 0, []
    for f in features[features["type"] == "CDS"].to_dict("records"):
        if (f["genome"], f["contig"]) not in place:
            continue
        row, offset = place[f["genome"], f["contig"]]
        reason, dna, protein = _read(store.tokens, offset, f, code)
        if reason:
            left_out[reason] += 1
            continue
        if f["translation"]:
            checked += 1
            if not _agree(protein, f["translation"]):
                differing.append(f["id"] or f"{f['contig']}:{f['start']}-{f['end']}")
        found.append(Gene(genome_row[f["genome"]], row, f["start"], f["id"], dna, protein))
    if left_out:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common())
        log.info("genes: %s read; left out: %s", f"{len(found):,}", reasons)
    if differing:
        log.warning(
            "genes: %d of %d proteins differ from the /translation of their record, the first is %s; "
            "is the genetic code right?",
            len(differing), checked, differing[0],
        )  # fmt: skip
    return found


def _read(flat: np.ndarray, offset: int, f: dict, code: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Why a CDS cannot be used ("" if it can), its DNA and its protein."""
    nothing = np.empty(0, np.uint8)
    for flag in ("pseudo", "partial"):
        if flag in f["flags"].split(","):
            return flag, nothing, nothing
    if f["strand"] not in ("+", "-"):
        return "without a strand", nothing, nothing
    spans = f["parts"] or f"{f['start']}-{f['end']}"
    pieces = []
    for span in spans.split(","):
        start, end = map(int, span.split("-"))
        piece = np.asarray(flat[offset + start : offset + end])
        pieces.append(reverse_complement(piece) if f["strand"] == "-" else piece)
    dna = np.concatenate(pieces)[f["phase"] :]
    if len(dna) % 3 or not len(dna):
        return "not of whole codons", nothing, nothing
    protein = translate(dna, int(f["table"] or code), start=not f["phase"])
    if protein[-1] == STOP:
        dna, protein = dna[:-3], protein[:-1]
    if not len(protein) or (protein == STOP).any():
        return "with a stop inside", nothing, nothing
    return "", dna, protein


def _agree(protein: np.ndarray, written: str) -> bool:
    """Whether a protein is the record's, whose residues beside the twenty may be anything."""
    other = CODES[np.frombuffer(written.rstrip("*").encode("ascii", "replace"), np.uint8)]
    return len(other) == len(protein) and bool(((other == protein) | (other == X) | (protein == X)).all())


# ---- the sampler


class Genes:
    """A gene per row, each equally likely: `bases` of its DNA, and `residues` of its protein from elsewhere in it.

    The codons of the residues share no base with the DNA; which of the two comes first is drawn. Genes too short for
    both are left out. Coding DNA and proteins are held in memory: 4/3 bytes per coding base.
    """

    def __init__(self, store: TokenStore, rows: np.ndarray, bases: int, residues: int, code: int = CODE) -> None:
        self.bases, self.residues = bases, residues
        genes = read_genes(store, rows, code)
        need = bases + 3 * residues
        long = [gene for gene in genes if len(gene.dna) >= need]
        if not long:
            longest = max((len(gene.dna) for gene in genes), default=0)
            hint = f", the longest has {longest}" if genes else "; ingest GenBank, or FASTA with GFF3 (column features)"
            raise InputError(
                f"no gene holds {bases} bases and {residues} residues beside them, {need} bases in all: there are "
                f"{len(genes)} genes to draw from in {len(rows)} contigs{hint}"
            )
        self.ids = [gene.id for gene in long]
        self.genome, self.contig, self.start = (np.array([gene[i] for gene in long], np.int64) for i in range(3))
        self.codons = np.array([len(gene.protein) for gene in long])
        self.first = np.cumsum(self.codons) - self.codons  # codon of the flat arrays
        self.dna = np.concatenate([gene.dna for gene in long])
        self.protein = np.concatenate([gene.protein for gene in long])
        known: dict[bytes, int] = {}
        self.gene = np.array([known.setdefault(gene.protein.tobytes(), len(known)) for gene in long])

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """n genes with crops; tokens (n, bases), on the coding strand, protein (n, residues); start is the gene's."""
        return self.crops(rng.integers(0, len(self.codons), n), rng)

    def crops(self, which: np.ndarray, rng: np.random.Generator) -> Batch:
        """Crops of the genes `which`."""
        base, residue = self._places(self.codons[which], rng)
        tokens = np.lib.stride_tricks.sliding_window_view(self.dna, self.bases)[3 * self.first[which] + base]
        protein = np.lib.stride_tricks.sliding_window_view(self.protein, self.residues)[self.first[which] + residue]
        genome, contig, start, gene = (
            torch.from_numpy(column[which]) for column in (self.genome, self.contig, self.start, self.gene)
        )
        return Batch(torch.from_numpy(tokens), genome, contig, start, torch.from_numpy(protein), gene)

    def _places(self, codons: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Where in genes of so many codons the DNA (a base) and the protein (a residue) begin."""
        room = 3 * codons - self.bases - 3 * self.residues
        residue = rng.integers(0, room // 3 + 1)
        base = rng.integers(3 * (residue + self.residues), 3 * codons - self.bases + 1)
        turned = rng.random(len(codons)) < 0.5  # else the protein always came first
        base = np.where(turned, 3 * codons - self.bases - base, base)
        return base, np.where(turned, codons - self.residues - residue, residue)


# ---- proteins of a file


def read_proteins(path: str | Path) -> dict[str, np.ndarray]:
    """Residues of each record of a protein FASTA file; a stop at the end is dropped. Raises InputError."""
    source = Source(path)
    with source:
        text = b"".join(source.blocks()).decode("latin-1")
    records: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(">"):
            name = line[1:].split()[0] if line[1:].split() else ""
            if not name or name in records:
                raise InputError(f"{source.path} line {number}: found the name {name!r}, expected one of its own")
            records[name] = []
        elif line.strip():
            if not name:
                raise InputError(f"{source.path} line {number}: found a sequence before the first '>' header")
            letters = "".join(line.split())
            if wrong := [letter for letter in letters if not (letter.isascii() and letter.isalpha()) and letter != "*"]:
                raise InputError(f"{source.path} line {number}: found {wrong[0]!r}, expected letters of residues")
            records[name].append(letters)
    if not records:
        raise InputError(f"{source.path}: has no record, expected protein FASTA")
    proteins = {name: "".join(lines).rstrip("*") for name, lines in records.items()}
    if empty := [name for name, letters in proteins.items() if not letters]:
        raise InputError(f"{source.path}: record {empty[0]!r} has no residue")
    if stopped := [name for name, letters in proteins.items() if "*" in letters]:
        raise InputError(f"{source.path}: record {stopped[0]!r} has a stop inside, expected one protein per record")
    return {name: CODES[np.frombuffer(letters.encode(), np.uint8)] for name, letters in proteins.items()}
