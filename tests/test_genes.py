"""Genes: the genetic code against Biopython, the annotation against the record, crops against each other."""

from __future__ import annotations

import gzip
import logging
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Data.CodonTable import unambiguous_dna_by_id
from Bio.Seq import Seq

from genossl.errors import InputError
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.genes import CODES, STOP, Genes, X, genetic_code, read_genes, read_proteins, spell, translate
from genossl.genome.store import FEATURES, TokenStore
from genossl.genome.windows import generator
from genossl.verbs import ingest


@pytest.mark.parametrize("code", [11, 1, 4, 2])
def test_translation_equals_biopython(code):
    rng = np.random.default_rng(code)
    for length in (3, 7, 300, 3001):
        tokens = rng.integers(0, 4, length).astype(np.uint8)
        whole = decode(tokens)[: length // 3 * 3]
        assert spell(translate(tokens, code)) == str(Seq(whole).translate(table=code))


def test_translation_of_batches_and_unknown_bases():
    assert translate(encode("ATGNAATGA")).tolist() == [CODES[ord("M")], X, STOP]
    rows = np.random.default_rng(0).integers(0, 5, (4, 2, 30)).astype(np.uint8)
    assert translate(rows).shape == (4, 2, 10)
    assert (translate(rows)[3, 1] == translate(rows[3, 1])).all()


@pytest.mark.parametrize("code", [11, 1, 4])
def test_a_start_codon_reads_m_at_the_start_only(code):
    for codon in (a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"):
        plain = str(Seq(codon).translate(table=code))
        first = "M" if codon in unambiguous_dna_by_id[code].start_codons else plain
        assert spell(translate(encode(codon * 2), code, start=True)) == first + plain


def test_an_unknown_code_is_refused():
    with pytest.raises(InputError, match="genetic code 7: is unknown"):
        genetic_code(7)


# ---- genes of a planted store


def gene(rng: np.random.Generator, codons: int) -> np.ndarray:
    """A random open reading frame with its start and stop."""
    inner = [c for c in range(64) if genetic_code(11)[0][c] != STOP]
    drawn = np.array([14, *rng.choice(inner, codons - 1), 48])  # ATG ... TAA
    return np.stack([drawn // 16, drawn // 4 % 4, drawn % 4], 1).reshape(-1).astype(np.uint8)


def planted(seed: int = 0, n: int = 40, shortest: int = 20, longest: int = 90):
    """A store of genes on both strands, in one to three parts, between random bases; and the genes' DNA."""
    rng = np.random.default_rng(seed)
    contigs, rows, truth = [[], []], [], []
    for i in range(n):
        contig, strand = contigs[i % 2], "+-"[int(rng.integers(2))]
        dna = gene(rng, int(rng.integers(shortest, longest)))
        written = reverse_complement(dna) if strand == "-" else dna
        cuts = np.sort(rng.integers(1, len(dna), int(rng.integers(0, 3))))
        spans = []
        for piece in np.split(written, cuts):
            contig.extend(rng.integers(0, 4, 5))
            spans.append((len(contig), len(contig) + len(piece)))
            contig.extend(piece)
        spans = [span for span in spans if span[0] < span[1]]
        read = spans[::-1] if strand == "-" else spans
        parts = ",".join(f"{a}-{b}" for a, b in read) if len(read) > 1 else ""
        name = f"c{i % 2}"
        place = ("g0", name, spans[0][0], spans[-1][1], strand)
        rows.append((*place, "CDS", f"gene{i}", "", spell(translate(dna)[:-1]), parts, 0, "", ""))
        truth.append(dna[:-3])
    lengths = [len(contig) for contig in contigs]
    return store(np.concatenate(contigs), lengths, rows), truth


def store(tokens, lengths, rows):
    return types.SimpleNamespace(
        tokens=np.asarray(tokens, np.uint8),
        contigs=pd.DataFrame(
            {"genome": "g0", "contig": [f"c{i}" for i in range(len(lengths))], "length": lengths}
        ).assign(offset=np.cumsum([0, *lengths[:-1]])),
        genomes=pd.DataFrame({"genome": ["g0"], "split": "train"}),
        features=lambda: pd.DataFrame(rows, columns=list(FEATURES)),
    )


def one(dna: str, **changed):
    """A store of one contig that is one gene."""
    row = dict(zip(FEATURES, ("g0", "c0", 0, len(dna), "+", "CDS", "a", "", "", "", 0, "", ""), strict=True)) | changed
    return store(encode(dna), [len(dna)], [tuple(row.values())])


def test_genes_are_spliced_and_read_on_their_strand():
    data, truth = planted()
    found = read_genes(data, np.arange(2))
    assert len(found) == len(truth)
    for gene, dna in zip(found, truth, strict=True):
        assert gene.dna.tolist() == dna.tolist()
        assert spell(gene.protein) == str(Seq(decode(dna)).translate(table=11))
    only = read_genes(data, np.array([1]))
    assert [gene.id for gene in only] == [gene.id for gene in found if gene.contig == 1]


@pytest.mark.parametrize(
    "dna,changed,reason",
    [
        ("ATGAAATAA", {"flags": "pseudo"}, "1 pseudo"),
        ("ATGAAATAA", {"flags": "partial"}, "1 partial"),
        ("ATGAAATA", {}, "1 not of whole codons"),
        ("ATGTAAAAATAA", {}, "1 with a stop inside"),
        ("ATGAAATAA", {"strand": "."}, "1 without a strand"),
        ("TAA", {}, "1 with a stop inside"),
    ],
)
def test_what_is_no_gene_is_left_out_and_counted(dna, changed, reason, caplog):
    with caplog.at_level(logging.INFO, "genossl"):
        assert read_genes(one(dna, **changed), np.arange(1)) == []
    assert caplog.messages == [f"genes: 0 read; left out: {reason}"]


def test_phase_and_code_of_the_record():
    assert spell(read_genes(one("CATGTGATAA", phase=1, table="4"), np.arange(1))[0].protein) == "MW"
    assert spell(read_genes(one("ATGTGATAA"), np.arange(1), 4)[0].protein) == "MW"
    assert spell(read_genes(one("GTGGTGTAA"), np.arange(1))[0].protein) == "MV"
    assert spell(read_genes(one("AGTGTAA", phase=1), np.arange(1))[0].protein) == "V"  # it begins before the record
    assert spell(read_genes(one("GTGAAA"), np.arange(1))[0].protein) == "MK"  # without a stop


@pytest.mark.parametrize("written,warned", [("MKW", False), ("MKU", False), ("MKF", True), ("MK", True), ("", False)])
def test_a_protein_unlike_the_record_s_is_told(written, warned, caplog):
    found = read_genes(one("ATGAAATGGTAA", translation=written), np.arange(1))
    assert [spell(gene.protein) for gene in found] == ["MKW"]
    assert [r.levelname for r in caplog.records] == ["WARNING"] * warned
    if warned:
        assert "1 of 1 proteins differ from the /translation of their record, the first is a;" in caplog.text


# ---- crops


@pytest.mark.parametrize("bases,residues", [(20, 5), (21, 1), (1, 19), (30, 10), (57, 1)])
def test_the_crops_do_not_encode_each_other(bases, residues):
    """For each draw: where the DNA and the residues are in the gene is found again, and no codon is in both."""
    data, truth = planted(seed=bases)
    sampler = Genes(data, np.arange(2), bases, residues)
    rng = generator(0, 0)
    which = rng.integers(0, len(sampler.codons), 400)
    base, residue = sampler._places(sampler.codons[which], generator(0, 1))
    batch = sampler.crops(which, generator(0, 1))
    genes = {dna.tobytes(): dna for dna in truth}
    first = 0
    for i, (b, r) in enumerate(zip(base, residue, strict=True)):
        at = 3 * sampler.first[which[i]]
        dna = genes[sampler.dna[at : at + 3 * sampler.codons[which[i]]].tobytes()]
        assert batch.tokens[i].tolist() == dna[b : b + bases].tolist()
        assert len(batch.tokens[i]) == bases
        codons = dna[3 * r : 3 * (r + residues)]
        assert batch.protein[i].tolist() == translate(codons).tolist()
        assert len(codons) == 3 * residues
        assert not set(range(b // 3, (b + bases - 1) // 3 + 1)) & set(range(r, r + residues))
        first += r * 3 < b
    assert 140 < first < 260  # either comes first


def test_every_place_is_drawn():
    data, _ = planted(n=1, shortest=20, longest=21)
    sampler = Genes(data, np.arange(2), 9, 4)
    base, residue = sampler._places(np.full(20_000, 20), generator(0, 0))
    expected = {(b, r) for b in range(52) for r in range(17) if 3 * (r + 4) <= b or 3 * r >= b + 9}
    assert set(zip(base.tolist(), residue.tolist(), strict=True)) == expected


def test_a_batch_says_whose_it_is():
    data, truth = planted()
    again = [*data.features().values.tolist(), data.features().values.tolist()[3]]
    data.features = lambda: pd.DataFrame(again, columns=list(FEATURES))
    sampler = Genes(data, np.arange(2), 20, 5)
    batch = sampler.crops(np.arange(len(sampler.codons)), generator(0, 0))
    assert batch.tokens.shape[1] == 20
    assert batch.contig.tolist() == [int(c) for c in sampler.contig]
    same = [i for i, name in enumerate(sampler.ids) if name == "gene3"]
    assert len(same) == 2
    assert batch.gene[same[0]] == batch.gene[same[1]]
    assert len(set(batch.gene.tolist())) == len(batch.gene) - 1
    draws = [sampler.draw(16, generator(3, 4)) for _ in range(2)]
    assert draws[0].tokens.tolist() == draws[1].tokens.tolist()
    assert draws[0].protein.tolist() == draws[1].protein.tolist()
    assert len(truth) == 40


def test_genes_that_are_too_short_are_left_out():
    data, truth = planted()
    need = 100 + 3 * 30
    sampler = Genes(data, np.arange(2), 100, 30)
    assert len(sampler.codons) == sum(len(dna) >= need for dna in truth) < len(truth)
    with pytest.raises(
        InputError, match=r"no gene holds 900 bases and 1 residues .*903 bases in all: there are 40 genes"
    ):
        Genes(data, np.arange(2), 900, 1)
    data.features = lambda: pd.DataFrame(columns=list(FEATURES))
    with pytest.raises(InputError, match=r"there are 0 genes .*ingest GenBank, or FASTA with GFF3"):
        Genes(data, np.arange(2), 9, 1)


# ---- real records


def test_translations_of_a_bacterium(shared: Path, tmp_path: Path, caplog) -> None:
    """Every protein that is read equals the record's, and what is left out is what the record calls so."""
    path = shared / "annotated/leptospira_kirschneri_H1.gbk.gz"
    ingest.run([str(path)], tmp_path / "store")
    opened = TokenStore.open(tmp_path / "store")
    with caplog.at_level(logging.INFO, "genossl"):
        found = {gene.id: spell(gene.protein) for gene in read_genes(opened, np.arange(len(opened.contigs)))}
    assert "differ" not in caplog.text
    with gzip.open(path, "rt") as stream:
        records = [
            f.qualifiers for record in SeqIO.parse(stream, "genbank") for f in record.features if f.type == "CDS"
        ]
    written = {q["locus_tag"][0]: q["translation"][0] for q in records if "translation" in q}
    assert len(found) > 3600
    assert all(found[name] == written[name] for name in found)


# ---- protein FASTA


def test_proteins_of_a_file(tmp_path):
    path = tmp_path / "p.faa.gz"
    with gzip.open(path, "wt") as stream:
        stream.write(">a some protein\nMKv\nWU*\n\n>b\nACDEFGHIKLMNPQRSTVWY\n")
    found = read_proteins(path)
    assert {name: spell(residues) for name, residues in found.items()} == {"a": "MKVWX", "b": "ACDEFGHIKLMNPQRSTVWY"}


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "has no record"),
        ("MK\n", "line 1: found a sequence before the first '>' header"),
        (">a\nMK\n>a\nMK\n", "line 3: found the name 'a'"),
        (">\nMK\n", "line 1: found the name ''"),
        (">a\n>b\nMK\n", "record 'a' has no residue"),
        (">a\nM-K\n", "line 2: found '-', expected letters of residues"),
        (">a\nM*K\n", "record 'a' has a stop inside"),
    ],
)
def test_messages(tmp_path, text, message):
    path = tmp_path / "p.faa"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_proteins(path)
    assert message in str(error.value)
