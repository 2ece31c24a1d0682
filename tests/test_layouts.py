"""Every layout of the same labelled reads gives the same table as the plain TSV; one sentence for each mistake."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genossl.errors import InputError
from genossl.genome import inputs, layouts, regions
from genossl.genome.alphabet import decode, reverse_complement
from genossl.genome.labels import checked
from genossl.genome.layouts import Columns
from genossl.genome.source import Source

RNG = np.random.default_rng(0)
SPLIT_OF = {"train": 6, "validation": 2, "test": 3}
READS = pd.DataFrame(
    [
        (f"{split}_{label[0]}_{i}", label, "".join(RNG.choice(list("ACGT"), 30)), split)
        for split, n in SPLIT_OF.items()
        for label in ("alpha", "beta, or so")
        for i in range(n)
    ],
    columns=["id", "label", "sequence", "split"],
    dtype=object,
)
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def plain(folder: Path) -> Path:
    path = folder / "plain.tsv"
    READS.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE)
    return path


def same(found: layouts.Found, ids: bool = True) -> None:
    """The rows of the plain TSV, whatever their order and, where ids are made, whatever they are called."""
    table, names = checked(found.table, "x"), ["label", "sequence", "split"] + ["id"] * ids
    assert table["id"].is_unique
    ours, theirs = (frame[names].sort_values(names).reset_index(drop=True) for frame in (table, READS))
    pd.testing.assert_frame_equal(ours.astype(object), theirs)


@pytest.mark.parametrize("suffix", PACK)
def test_a_table_passes_through(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.tsv{suffix}"
    path.write_bytes(PACK[suffix](b"# a comment\n" + plain(tmp_path).read_bytes()))
    found = layouts.read(path)
    assert (found.layout, found.told) == ("table", "a table of sequences")
    pd.testing.assert_frame_equal(checked(found.table, path)[list(READS)].astype(object), READS)


def test_columns_of_other_names(tmp_path: Path) -> None:
    """Split, label, id, sequence without quoting, as in published sets; a column that is in the way gives way."""
    path = tmp_path / "t.tsv.gz"
    renamed = READS.rename(columns={"sequence": "dna", "label": "class", "split": "fold"}).assign(label="no", quote='"')
    path.write_bytes(
        gzip.compress(renamed.to_csv(sep="\t", index=False, quoting=csv.QUOTE_NONE, quotechar="'").encode())
    )
    found = layouts.read(path, columns=Columns(sequence="dna", label="class", split="fold", group="fold"))
    same(found)
    assert set(found.table) == {*READS, "group", "quote"}
    assert set(found.table["quote"]) == {'"'}
    assert (found.table["group"] == found.table["split"]).all()


@pytest.mark.parametrize("mark", [">", "@"])
@pytest.mark.parametrize("suffix", PACK)
def test_fasta_and_fastq_beside_labels(tmp_path: Path, mark: str, suffix: str) -> None:
    rest = f"\n+\n{'I' * 30}" if mark == "@" else ""
    text = "".join(f"{mark}{row.id} words\n{row.sequence.lower()}{rest}\n" for row in READS[::-1].itertuples())
    path = tmp_path / f"reads{suffix}"
    path.write_bytes(PACK[suffix](text.encode()))
    labels = tmp_path / "labels.tsv"
    READS.drop(columns="sequence").to_csv(labels, sep="\t", index=False)
    found = layouts.read(path, labels=labels)
    assert (found.layout, found.told) == ("fasta", f"{'FASTQ' if mark == '@' else 'FASTA'} with labels in labels.tsv")
    same(found)


@pytest.mark.parametrize("files_of_a_class", [1, 2])
@pytest.mark.parametrize("as_fastq", [False, True])
def test_a_folder_per_class(tmp_path: Path, files_of_a_class: int, as_fastq: bool) -> None:
    """One FASTA file per class, or a subfolder of several, below the splits; hidden and other files are nobody's."""
    names = {"train": "train", "validation": "dev", "test": "TEST"}
    for (split, label), rows in READS.groupby(["split", "label"]):
        for i in range(files_of_a_class):
            part = rows.iloc[i::files_of_a_class]
            rest = f"\n+\n{'I' * 30}" if as_fastq else ""
            text = "".join(f"{'@' if as_fastq else '>'}r{n}\n{s}{rest}\n" for n, s in enumerate(part["sequence"]))
            place = tmp_path / "t" / names[str(split)]
            file = place / f"{label}.fa.gz" if files_of_a_class == 1 else place / str(label) / f"{i}.fq.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(gzip.compress(text.encode()))
    (tmp_path / "t" / "README").write_text("words")
    (tmp_path / "t" / ".hidden").mkdir()
    found = layouts.read(tmp_path / "t")
    assert found.layout == "folder"
    assert ("subfolder" in found.told) == (files_of_a_class == 2)
    same(found, ids=False)
    first = found.table[found.table["split"] == "test"].iloc[0]
    assert first["id"] == ("TEST/alpha:r0" if files_of_a_class == 1 else "TEST/alpha/0:r0")
    assert ("group" in found.table) == (files_of_a_class == 2)
    assert found.table["id"].tolist() == layouts.read(tmp_path / "t").table["id"].tolist()
    assert len(layouts.files_of(tmp_path / "t")) == 6 * files_of_a_class


def test_a_folder_without_splits(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "t" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "t" / label / f"g{i}.fa").write_text(">c1\nACGT\n>c2\nAC\n")
    found = layouts.read(tmp_path / "t")
    assert "split" not in found.table
    assert found.table["group"].tolist()[:4] == ["a/g0", "a/g0", "a/g1", "a/g1"]
    assert found.told == "a folder with one subfolder of FASTA files per class; a file is a group"


@pytest.mark.parametrize("names", [("train.csv", "dev.csv", "test.csv"), ("Train.tsv.gz", "val.tsv", "TEST.tsv.xz")])
def test_a_table_per_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The layout of GUE: sequence,label in train.csv, dev.csv and test.csv, with CSV's quoting."""
    (tmp_path / "t").mkdir()
    for name, split in zip(names, SPLIT_OF, strict=True):
        part = READS[READS["split"] == split][["sequence", "label"]]
        text = part.to_csv(index=False, sep="," if ".csv" in name else "\t").encode()
        (tmp_path / "t" / name).write_bytes(PACK.get(Path(name).suffix, bytes)(text))
    found = layouts.read(tmp_path / "t")
    assert (found.layout, len(layouts.files_of(tmp_path / "t"))) == ("csv", 3)
    assert all(name in found.told for name in names)
    same(found, ids=False)
    assert {f"{split}:{i}" for split, n in SPLIT_OF.items() for i in range(1, 2 * n + 1)} == set(found.table["id"])


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_csv(tmp_path: Path, eol: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + READS.drop(columns="id").to_csv(index=False, lineterminator=eol).encode())
    found = layouts.read(path)
    assert (found.layout, found.told) == ("csv", "a table of sequences; ids are row numbers")
    assert found.table["id"].tolist() == [f"row:{i}" for i in range(1, len(READS) + 1)]
    same(found, ids=False)


def test_a_sequence_longer_than_pythons_csv_takes(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    (tmp_path / "t.csv").write_text(f"sequence,label\n{'ACGT' * 100_000},a\nAC,b\n")
    assert layouts.read(tmp_path / "t.csv").table["sequence"].str.len().tolist() == [400_000, 2]
    assert csv.field_size_limit() == limit


# ---- intervals


def intervals_of(seed: int) -> tuple[dict[str, np.ndarray], list[tuple]]:
    """Two contigs, and (contig, start, end, strand, label) on them, with ends at 0 and at the contigs' ends."""
    rng = np.random.default_rng(seed)
    contigs = {"c1": rng.integers(0, 5, 120).astype(np.uint8), "c2": rng.integers(0, 4, 37).astype(np.uint8)}
    found = [("c1", 0, 1, "-", "x"), ("c1", 119, 120, "+", "y"), ("c2", 0, 37, "-", "x")]
    for _ in range(6):
        contig = ("c1", "c2")[int(rng.integers(2))]
        start, end = sorted(rng.choice(len(contigs[contig]) + 1, 2, replace=False).tolist())
        found.append((contig, start, end, "+-."[int(rng.integers(3))], "xy"[int(rng.integers(2))]))
    return contigs, found


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bed_gff_and_tsv_are_the_same_bases(tmp_path_factory, seed: int) -> None:
    """Also on the other strand: the letters are those of a slice that this test makes itself."""
    folder = tmp_path_factory.mktemp("x")
    contigs, wanted = intervals_of(seed)
    (folder / "g.fa").write_text("".join(f">{name}\n{decode(tokens)}\n" for name, tokens in contigs.items()))
    bed = "track name=x\n#a comment\n" + "".join(f"{c}\t{a}\t{b}\t{x}\t0\t{s}\n" for c, a, b, s, x in wanted)
    gff = "##gff-version 3\n" + "".join(f"{c}\t.\tCDS\t{a + 1}\t{b}\t.\t{s}\t0\tkind={x}\n" for c, a, b, s, x in wanted)
    tsv = "id\tlabel\tcontig\tstart\tend\tstrand\n" + "".join(
        f"i{i}\t{x}\t{c}\t{a}\t{b}\t{s}\n" for i, (c, a, b, s, x) in enumerate(wanted)
    )
    for name, text in (("x.bed", bed), ("x.gff3", gff), ("x.tsv", tsv)):
        (folder / name).write_text(text)
    tables = [
        checked(layouts.read(folder / name, columns=Columns(label=label)).table, name)
        for name, label in (("x.bed", ""), ("x.gff3", "kind"), ("x.tsv", ""))
    ]
    for table in tables:
        assert table[["contig", "start", "end", "strand", "label"]].to_records(index=False).tolist() == wanted
        assert table["id"].is_unique
        for (_, tokens), (contig, start, end, strand, _) in zip(
            inputs.cut(folder, table, folder / "g.fa"), wanted, strict=True
        ):
            part = contigs[contig][start:end]
            assert np.array_equal(tokens, reverse_complement(part) if strand == "-" else part)
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()


def test_ids_of_intervals_say_where_and_stay_unique(tmp_path: Path) -> None:
    (tmp_path / "x.bed").write_text("c 1 5 a 0 +\nc 1 5 b 0 +\nc 1 5 a 0 -\nc 1 5 a 0 +\n")
    found = layouts.read(tmp_path / "x.bed")
    assert found.table["id"].tolist() == ["c:1-5(+)", "c:1-5(+)#2", "c:1-5(-)", "c:1-5(+)#3"]
    assert found.told == "BED intervals, labelled by their name"


def test_roles_of_intervals(tmp_path: Path) -> None:
    (tmp_path / "x.bed").write_text("c\t1\t5\ta\t7\t+\ttrain\tg1\n")
    row = layouts.read(tmp_path / "x.bed", columns=Columns("", "score", "7", "8")).table.iloc[0]
    assert (row["label"], row["split"], row["group"]) == ("7", "train", "g1")
    (tmp_path / "x.gff").write_text("c\tme\tCDS\t2\t5\t3.5\t+\t0\tID=a;product=p%3Bq;side=dev\n")
    row = layouts.read(tmp_path / "x.gff", columns=Columns("", "product", "side", "contig")).table.iloc[0]
    assert (row["label"], row["split"], row["group"]) == ("p;q", "dev", "c")
    for label, value in (("score", "3.5"), ("source", "me"), ("", "CDS")):
        assert layouts.read(tmp_path / "x.gff", columns=Columns(label=label)).table["label"].tolist() == [value]


def test_a_gff_without_its_first_line_is_told_by_its_suffix_and_bed_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "x.gff3.gz").write_bytes(gzip.compress(b"c\tme\tCDS\t2\t5\t.\t+\t0\tID=a\n"))
    (tmp_path / "x.txt").write_text("browser x\nc\t1\t5\n")
    assert layouts.layout_of(tmp_path / "x.gff3.gz") == layouts.layout_of(tmp_path / "x.txt") == "intervals"


def test_real_malformed_intervals(shared: Path) -> None:
    with pytest.raises(InputError, match="line 1: found 34 columns, expected 3 to 12 as BED has"):
        regions.read_bed(Source(shared / "malformed" / "made" / "wide34.bed"), regions.Roles())
    for name in ("spec_match.gff3", "tomato_chr4_head.gff3"):
        with pytest.raises(InputError, match=r"found \d+ columns|found phase"):
            layouts.read(shared / "malformed" / "FormatSpecimens.jl" / name)


# ---- mistakes

GOOD = "id\tlabel\tsequence\na\tx\tAC\n"


@pytest.mark.parametrize(
    "files,options,message",
    [
        ({"t": ""}, {}, "t: is empty; expected labelled sequences"),
        ({"t": "words of prose\n"}, {}, "t: has no layout that is known (FASTA, FASTQ, BED, GFF3, or a table with"),
        ({"t": GOOD}, {"layout": "fasta"}, "t: has the layout table, not fasta as was said"),
        ({"t": ">a\nAC\n"}, {}, "t: is FASTA or FASTQ; say which table has its labels: --labels TSV"),
        ({"t": GOOD, "l": GOOD}, {"labels": "l"}, "t: brings its own labels (layout table); leave "),
        ({"t": GOOD}, {"columns": Columns(label="no")}, "t: no column 'no'; found id, label, sequence"),
        ({"t": GOOD}, {"columns": Columns(group="no")}, "t: no column 'no'; found id, label, sequence"),
        (
            {"t": "id\tlabel\na\tx\n"},
            {},
            "t: no column 'sequence'; found id, label; say which it is: --sequence COLUMN",
        ),
        (
            {"t": "dna,kind\nAC,x\n"},
            {"columns": Columns("dna")},
            "t: no column 'label'; found dna, kind; say which it is",
        ),
        ({"t": 'sequence,label\n"AC,x\n'}, {}, "t line 2: is no CSV (unexpected end of data)"),
        ({"t": "sequence,label\nAC,x,y\n"}, {}, "t line 2: 3 columns, expected 2 as in the header line"),
        ({"t": "sequence,label\n"}, {}, "t: has a header line and no rows"),
        (
            {"t": ">a\nAC\n>c\nAC\n", "l": "id\tlabel\na\tx\nb\ty\n"},
            {"labels": "l"},
            "are no records of it (b); 1 of its",
        ),
        ({"t": ">a\nAC\n>c\nAC\n", "l": "id\tlabel\na\tx\n"}, {"labels": "l"}, "1 of its records have no label in "),
        (
            {"t": ">a\nAC\n", "l": "name\tlabel\na\tx\n"},
            {"labels": "l"},
            "l: no column 'id', which names the records of",
        ),
        ({"t": ">a\nAC\n", "l": GOOD}, {"labels": "l"}, "l: has a column sequence, and "),
        ({"t": ">a\nAC\n", "l": GOOD}, {"labels": "l", "columns": Columns("x")}, "where no column can be the sequence"),
        (
            {"t/a/x.fa": ">a\nAC\n"},
            {"columns": Columns(group="x")},
            "has the layout folder, where no column can be the gr",
        ),
        ({"t/a/x.fa": ">a\nAC\n", "t/b/x": ""}, {}, "b: has no FASTA file; expected those of the class 'b'"),
        (
            {"t/a/x.fa": ">a\nAC\n", "t/b.fa": ">b\nA\n"},
            {},
            "t: has the subfolder a and the file b.fa; expected one kind",
        ),
        (
            {"t/train/x.fa": ">a\nAC\n", "t/b.fa": ">b\nA\n"},
            {},
            "t: has the split train and b.fa beside it; expected spl",
        ),
        (
            {"t/train/x.fa": ">a\nAC\n", "t/test/x/y.fa": ">b\nA\n"},
            {},
            "t: has subfolders in one split and FASTA files in another; expected the same in each",
        ),
        ({"t/README": ""}, {}, "t: has no train, dev or test table, no FASTA file and no subfolder of such files"),
        ({"t/a.fa": ">a\nA!\n"}, {}, "a.fa line 2 column 2, record 'a': found '!'"),
        (
            {"t/dev.csv": "sequence,label\nA,x\n", "t/val.tsv": "a\tb\n"},
            {},
            "t: dev.csv and val.tsv are both validation",
        ),
        ({"t/train.csv": "seq,label\nA,x\n"}, {}, "train.csv: no column 'sequence'; found seq, label; say which it is"),
        (
            {"t/train.csv": "sequence,label,split\nA,x,test\n"},
            {},
            "train.csv: has a column split, and the file's own name",
        ),
        (
            {"t/train.csv": "sequence,label\nA,x\n", "t/test.csv": "sequence,label,more\nA,x,y\n"},
            {},
            "train.csv: has other columns than test.csv; expected the same",
        ),
        (
            {"t/train.csv": "sequence,label\nA,x\n"},
            {"columns": Columns(split="s")},
            "t: its files are the splits, so no",
        ),
        (
            {"t": "c\t1\t5\n"},
            {},
            "t: no column name for the label; found 3: chrom, start, end, or their numbers from 1",
        ),
        ({"t": "c\t1\t5\ta\n"}, {"columns": Columns(label="9")}, "t: no column 9 for the label; found 4: chrom, start"),
        (
            {"t": "c\t1\t5\ta\nc\t5\t5\ta\n"},
            {},
            "t line 2: found start '5' and end '5', expected whole numbers, start <",
        ),
        ({"t": "c\t1\t5\ta\nc\t5\t9\n"}, {}, "t line 2: found 3 columns, expected 4 as in the first line"),
        ({"t": "c\t1\t5\ta\t0\tx\n"}, {}, "t line 1: found strand 'x', expected + - or ."),
        (
            {"t": "c\t1\t5\ta\n"},
            {"columns": Columns("s")},
            "t: intervals have no column of sequences; say which genome",
        ),
        ({"t": "##gff-version 3\n"}, {}, "t: holds no interval, expected GFF3"),
        (
            {"t": "##gff-version 3\nc\tme\tCDS\t2\t5\t.\t+\t0\tID=a\n"},
            {"columns": Columns(label="product")},
            "t line 2: no product for the label; found ID, contig, score, source, type",
        ),
        (
            {"t": "##gff-version 3\nc\tme\tCDS\t0\t5\t.\t+\t0\tID=a\n"},
            {},
            "t line 2: found start 0 and end 5, expected 1",
        ),
    ],
)
def test_mistakes(tmp_path: Path, files: dict[str, str], options: dict, message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if "labels" in options:
        options = options | {"labels": tmp_path / options["labels"]}
    with pytest.raises(InputError) as error:
        layouts.read(tmp_path / "t", **options)
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file"):
        layouts.read(tmp_path / "nowhere")
