"""Places to embed, from BED and GFF3: what they are called, what is read there, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import planted
import pytest

from genossl.errors import InputError
from genossl.evaluation.table import read_table
from genossl.genome import inputs, kmers, places
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.places import Known, Place

CONTIGS = {"c1": encode("ACGTNACGTAAC"), "c2": encode("GGCA")}
KNOWN = [Known("", "c1", 12), Known("", "c2", 4)]
GENE = "c1\tx\tgene\t2\t5\t.\t-\t.\t"


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return planted.write_fasta(tmp_path / "g.fa", CONTIGS)


def bed(folder: Path, *lines: str) -> Path:
    path = folder / "r.bed"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_names_strands_and_places(tmp_path: Path) -> None:
    """0-based and half-open; who has no name is called by the place; a name that comes again is numbered."""
    path = bed(
        tmp_path, "# a comment", "c2\t0\t3\ta\t0\t-", "c1\t1\t4\t.\t0\t-", "c1\t1\t4\ta\t0\t+", "c1\t2\t3\ta#2\t0\t.",
        "c1\t1\t4\t.\t0\t+",
    )  # fmt: skip
    expected = {
        ("", "c2"): [Place("a", 0, 3, "-")],
        ("", "c1"): [
            Place("c1:1-4(-)", 1, 4, "-"), Place("a#2", 1, 4, "+"), Place("a#2#2", 2, 3, "."),
            Place("c1:1-4", 1, 4, "+"),
        ],
    }  # fmt: skip
    assert places.of_bed(path, KNOWN, "g.fa") == expected
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert places.of_bed(packed, KNOWN, "g.fa") == expected


def test_features_of_one_type(tmp_path: Path) -> None:
    path = tmp_path / "x.gff3"
    rows = ["c1\tx\tregion\t1\t12\t.\t+\t.\tID=r;Is_circular=true", f"{GENE}ID=a;Name=n", GENE + "locus_tag=b", GENE]
    rows += [GENE.replace("2\t5", "11\t14") + "Name=o", "c1\tx\tCDS\t2\t5\t.\t-\t0\tID=c"]
    path.write_text("\n".join(rows) + "\n")
    found = places.of_gff(path, "gene", KNOWN, "g.fa")
    spans = [(place.name, place.start, place.end, place.strand) for place in found["", "c1"]]
    assert spans == [
        ("a", 1, 5, "-"),
        ("b", 1, 5, "-"),
        ("c1:1-5(-)", 1, 5, "-"),
        ("o", 10, 12, "-"),
        ("o#2", 0, 2, "-"),
    ]
    assert [place.name for place in places.of_gff(path, "CDS", KNOWN, "g.fa")["", "c1"]] == ["c"]
    with pytest.raises(InputError, match=r"x\.gff3: has no feature of type 'exon'; found CDS, gene, region"):
        places.of_gff(path, "exon", KNOWN, "g.fa")


@pytest.mark.parametrize(
    "lines,message",
    [
        (["c1\t0\t12", "c2\t0\t5"], r"r\.bed line 2: ends at 5, but contig 'c2' of g\.fa has 4 bases"),
        (["c1\t3\t3"], r"r\.bed line 1: found start '3' and end '3', expected whole numbers, start < end"),
        (["c1\t3\t4", "c1\t3\t4\tx"], r"r\.bed line 2: found 4 columns, expected 3 as in the first line"),
        (["c1\t3\t4\tx\t0\t?"], r"r\.bed line 1: found strand '\?'"),
        (["c1\t3\t4\tx\x1b"], r"r\.bed line 1: found a control character"),
        ([], r"r\.bed: holds no interval, expected BED"),
        (
            ["c1\t0\t1", "chr1\t0\t1", "chr2\t0\t1", "chr1\t2\t3"],
            r"r\.bed line 2: contig 'chr1' is not in g\.fa; 2 of the 3 contigs named here are not "
            r"\(3 of 4 rows: chr1, chr2\), expected names from there: c1, c2",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        places.of_bed(bed(tmp_path, *lines), KNOWN, "g.fa")


def test_features_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gff3"
    for text, message in (
        (GENE.replace("c1", "chr1") + "ID=a", r"x\.gff3 line 1: contig 'chr1' is not in g\.fa; 1 of the 1 contigs"),
        (GENE.replace("5", "13"), r"x\.gff3 line 1: ends at 13, but contig 'c1' has 12 bases"),
        (GENE + "ID=a%1Bb", r"x\.gff3 line 1: found a control character"),
        ("##gff-version 3", r"x\.gff3: holds no feature, expected GFF3"),
    ):
        path.write_text(text + "\n")
        with pytest.raises(InputError, match=message):
            places.of_gff(path, "gene", KNOWN, "g.fa")


def test_a_contig_of_two_genomes_is_refused_where_it_is_named(tmp_path: Path) -> None:
    known = [Known("g", "c", 5), Known("h", "c", 5), Known("h", "d", 5)]
    assert places.of_bed(bed(tmp_path, "d\t0\t2"), known, "store") == {("h", "d"): [Place("d:0-2", 0, 2, ".")]}
    with pytest.raises(InputError, match=r"r\.bed line 2: contig 'c' is in 2 genomes of store \(g, h\), expected one"):
        places.of_bed(bed(tmp_path, "d\t0\t2", "c\t0\t2"), known, "store")


@pytest.mark.parametrize("kind", ["fasta", "store"])
def test_what_is_read_there(tmp_path: Path, fasta: Path, kind: str) -> None:
    """Windows tile a place from its left end to its right, each read on the place's strand; -1: the place as it is."""
    source = fasta
    names = ("c1", "c2")
    if kind == "store":
        names = ("g_0", "g_1")
        source = planted.store(tmp_path / "store", {"g": ("", list(CONTIGS.values()))})
    path = bed(tmp_path, f"{names[1]}\t0\t4\tb\t0\t+", f"{names[0]}\t1\t8\ta\t0\t-")
    known = inputs.known(source)
    assert [contig.length for contig in known] == [12, 4]
    chosen = places.of_bed(path, known, source)
    whole = list(inputs.read(source, 0, 0, places=chosen))
    assert [item.row["id"] for item in whole] == ["a", "b"]  # in the order of the input's contigs
    assert decode(whole[0].tokens) == decode(reverse_complement(CONTIGS["c1"][1:8]))
    tiles = list(inputs.read(source, 3, 0, places=chosen))
    assert [item.row["id"] for item in tiles] == ["a:1-4", "a:4-7", "a:5-8", "b:0-3", "b:1-4"]
    for item in tiles:
        row = item.row
        part = CONTIGS[("c1", "c2")[names.index(row["contig"])]][row["start"] : row["end"]]
        assert np.array_equal(item.tokens, reverse_complement(part) if row["strand"] == "-" else part)
        assert (row["region"], row["n_N"]) == (row["id"][0], (part == 4).sum())


def test_the_command(fasta: Path, tmp_path: Path, call, again) -> None:
    path = bed(tmp_path, "c1\t1\t8\ta\t0\t-", "c2\t0\t4\tb\t0\t+")
    out = tmp_path / "r" / "x.npy"
    wanted = ("embed", "kmer:1", fasta, "--out", out, "--regions", path, "--set", "both_strands=false")
    assert call(*wanted, "--set", "window=-1")[:2] == (0, f"{out}: 2 rows\n")
    table = read_table(out)
    assert list(table.rows.columns) == ["id", "contig", "start", "end", "strand", "region", "n_N"]
    parts = [reverse_complement(CONTIGS["c1"][1:8]), CONTIGS["c2"]]
    np.testing.assert_array_equal(table.vectors, kmers.profiles(parts, 1, False))
    assert again(out) == []
    gff = tmp_path / "x.gff3"
    gff.write_text(f"{GENE}ID=a\n")
    assert call("embed", "gc", fasta, "--out", out, "--features", gff)[0] == 0
    assert read_table(out).rows["id"].tolist() == ["a:1-5"]
    assert again(out) == []
    assert "come from --regions or from --features" in call(*wanted, "--features", gff)[2]
    assert "standard input is read once" in call("embed", "gc", "-", "--out", out, "--regions", path)[2]
    labels = tmp_path / "l.tsv"
    labels.write_text("id\tlabel\tsequence\na\tx\tACGT\n")
    said = call("embed", "gc", labels, "--out", out, "--regions", path)[2]
    assert "is a labelled table, which has no contigs; expected FASTA or a store" in said
