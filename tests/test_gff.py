"""GFF3: the same genes as in GenBank, and one sentence for each way to be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genossl.errors import InputError
from genossl.genome import gff
from genossl.genome.source import Source
from genossl.genome.store import FEATURES, TokenStore
from genossl.verbs import check, ingest

LENGTHS = {"c1": 40, "c 2": 30}
ROW = "c1\tx\tCDS\t4\t12\t.\t+\t0\tID=a"


def read(tmp_path: Path, *lines: str) -> list[dict]:
    path = tmp_path / "x.gff3"
    path.write_text("\n".join(lines) + "\n")
    rows = gff.read(Source(path), LENGTHS, "x.fa")
    return [dict(zip(FEATURES[1:], row, strict=True)) for row in rows]


def test_a_gene_in_one_piece(tmp_path):
    [gene] = read(
        tmp_path,
        "##gff-version 3",
        "",
        "# a comment",
        "c1\tx\tregion\t1\t40\t.\t.\t.\tID=c1",
        "c1\tx\tCDS\t4\t12\t.\t+\t2\tID=a;product=DNA%2C RNA%3B or both;transl_table=4; translation=MK",
    )
    assert gene == {
        "contig": "c1", "start": 3, "end": 12, "strand": "+", "type": "CDS", "id": "a", "product": "DNA, RNA; or both",
        "translation": "MK", "parts": "", "phase": 2, "table": "4", "flags": "",
    }  # fmt: skip


@pytest.mark.parametrize("strand,parts,phase", [("+", "3-6,9-12", 1), ("-", "9-12,3-6", 2)])
@pytest.mark.parametrize("turned", [False, True])
def test_parts_are_read_in_the_order_of_the_strand(tmp_path, strand, parts, phase, turned):
    """Whatever their order in the file; the phase is that of the part that is read first."""
    left = f"c1\tx\tCDS\t4\t6\t.\t{strand}\t1\tID=a;product=p"
    right = f"c1\tx\tCDS\t10\t12\t.\t{strand}\t2\tID=a;product=p"
    other = "c%202\tx\tCDS\t1\t3\t.\t+\t0\tID=a"
    [gene, second] = read(tmp_path, *([right, other, left] if turned else [left, other, right]))
    assert (gene["parts"], gene["phase"]) == (parts, phase)
    assert (gene["start"], gene["end"], gene["product"]) == (3, 12, "p")
    assert second["contig"] == "c 2"  # an ID counts within a contig


def test_across_the_origin(tmp_path):
    rows = ["c1\tx\tregion\t1\t40\t.\t+\t.\tID=r;Is_circular=true"]
    rows += [f"c1\tx\tCDS\t38\t46\t.\t{strand}\t0\tID={strand}" for strand in "+-"]
    assert [gene["parts"] for gene in read(tmp_path, *rows)] == ["37-40,0-6", "0-6,37-40"]


@pytest.mark.parametrize(
    "attributes,flags",
    [
        ("pseudo=true", "pseudo"),
        ("pseudogene=unitary", "pseudo"),
        ("partial=true", "partial"),
        ("partial=10", "partial"),
        ("partial=00", ""),
        ("pseudo=false", ""),
        ("pseudo=true;start_range=.,4", "pseudo,partial"),
    ],
)
def test_flags(tmp_path, attributes, flags):
    assert read(tmp_path, f"{ROW};{attributes}")[0]["flags"] == flags


def test_rows_of_one_id_on_both_strands_have_no_strand(tmp_path):
    assert read(tmp_path, ROW, ROW.replace("\t+\t", "\t-\t").replace("4\t12", "20\t25"))[0]["strand"] == "."


def test_rows_without_an_id_are_genes_of_their_own(tmp_path):
    rows = read(tmp_path, ROW.replace("ID=a", "locus_tag=b"), ROW.replace("ID=a", "."), ROW.replace("CDS", "exon"))
    assert [row["id"] for row in rows] == ["b", ""]


@pytest.mark.parametrize("end", ["##FASTA\nnot a table", ">c1\nACGT"])
def test_sequences_end_the_table(tmp_path, end):
    assert len(read(tmp_path, ROW, end)) == 1


@pytest.mark.parametrize(
    "line,message",
    [
        (ROW.replace("\tID", " ID"), "line 2: found 8 columns, expected the 9 of GFF3"),
        (ROW.replace("c1\t", "c9\t"), "line 2: contig 'c9' is not in x.fa"),
        (ROW.replace("4\t12", "4\t41"), "line 2: ends at 41, but contig 'c1' has 40 bases"),
        (ROW.replace("4\t12", "12\t4"), "line 2: found start 12 and end 4, expected 1 or more and start <= end"),
        (ROW.replace("4\t12", "0\t4"), "line 2: found start 0 and end 4"),
        (ROW.replace("4\t12", "4\tx"), "line 2: found start '4' and end 'x', expected whole numbers"),
        (ROW.replace("\t+\t", "\t1\t"), "line 2: found strand '1', expected + - . or ?"),
        (ROW.replace("+\t0", "+\t3"), "line 2: found phase '3', expected 0, 1 or 2"),
    ],
)
def test_messages(tmp_path, line, message):
    with pytest.raises(InputError, match=r"x\.gff3 line 2") as error:
        read(tmp_path, "##gff-version 3", line)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# ---- through ingest


def sheet(folder: Path, features: str = "x.gff3.gz") -> Path:
    (folder / "x.fa").write_text(">c1\nAAAATGAAATAACCCCGGGGTTTTACGTAC\n>c2\nACGT\n")
    (folder / "y.fa").write_text(">c1\nACGT\n")
    with gzip.open(folder / "x.gff3.gz", "wt") as stream:
        stream.write("c1\tx\tCDS\t4\t12\t.\t+\t0\tID=a\nc2\tx\tgene\t1\t3\t.\t-\t.\tID=b\n")
    path = folder / "genomes.tsv"
    path.write_text(f"genome\tpath\tfeatures\tspecies\nX\tx.fa\t{features}\ts\nY\ty.fa\t\ts\n")
    return path


def test_ingest_takes_features_from_the_sheet(tmp_path):
    ingest.run([str(sheet(tmp_path))], tmp_path / "store")
    store = TokenStore.open(tmp_path / "store")
    store.verify()
    rows = store.features()[["genome", "contig", "start", "end", "strand", "type", "id", "phase"]]
    assert rows.values.tolist() == [["X", "c1", 3, 12, "+", "CDS", "a", 0], ["X", "c2", 0, 3, "-", "gene", "b", 0]]
    assert store.genomes.columns.tolist() == ["genome", "split", "species"]
    told = (tmp_path / "store" / "store.json.provenance.json").read_text()
    assert '"X features"' in told


def test_other_features_are_another_store(tmp_path):
    sums = []
    for product in ("one", "one", "two"):
        path = sheet(tmp_path, "x.gff3")
        (tmp_path / "x.gff3").write_text(f"c1\tx\tCDS\t4\t12\t.\t+\t0\tID=a;product={product}\n")
        ingest.run([str(path)], tmp_path / "store")
        sums.append(TokenStore.open(tmp_path / "store").checksum())
    assert sums[0] == sums[1] != sums[2]


def test_a_missing_file_is_named(tmp_path):
    path = sheet(tmp_path, "no.gff3")
    with pytest.raises(InputError, match=r"row 1, genome 'X': .*no\.gff3: no such file"):
        ingest.run([str(path)], tmp_path / "store")
    with pytest.raises(InputError, match=r"no\.gff3: no such file, looked for beside the sheet"):
        check._sheet(str(path), "genome")


def test_genbank_has_its_own(tmp_path):
    path = sheet(tmp_path)
    (tmp_path / "x.fa").write_text("LOCUS       TINY\n//\n")
    with pytest.raises(InputError, match=r"x\.fa: is GenBank, which brings its own features; leave .*x\.gff3\.gz out"):
        ingest.run([str(path)], tmp_path / "store")


def test_a_contig_of_another_genome_is_refused(tmp_path):
    path = sheet(tmp_path)
    (tmp_path / "x.fa").write_text(">c2\nACGT\n")
    with pytest.raises(InputError, match=r"x\.gff3\.gz line 1: contig 'c1' is not in .*x\.fa"):
        ingest.run([str(path)], tmp_path / "store")
    assert not (tmp_path / "store").exists()
