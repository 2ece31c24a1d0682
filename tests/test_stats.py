"""genossl stats: hand-computed, beside Biopython's reader and NumPy, and a store beside the files it was made of."""

from __future__ import annotations

import gzip
import io
import itertools
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO

from genossl.errors import InputError
from genossl.verbs import ingest, stats

LETTERS = "ACGTacgtNnRYSWKMBDHV"


@pytest.mark.parametrize(
    "lengths,expected",
    [
        ([2, 2, 2, 3, 3, 4, 8, 8], 8),  # the published example: of 32 bases the two of 8 hold half
        ([10], 10),
        ([1, 1], 1),
        ([5, 4, 1], 5),  # 5 of 10 is half
        ([4, 3, 3], 3),
        ([], 0),
    ],
)
def test_n50_by_hand(lengths: list[int], expected: int) -> None:
    assert stats.n50(Counter(lengths)) == expected


def test_n50_is_that_of_all_bases_in_a_row() -> None:
    """Write the length of its contig beside every base, the longest first: N50 stands in the middle."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 40, rng.integers(1, 30))
        beside = np.repeat(np.sort(lengths)[::-1], np.sort(lengths)[::-1])
        assert stats.n50(Counter(lengths.tolist())) == beside[(len(beside) - 1) // 2]


def test_a_file_by_hand(tmp_path: Path) -> None:
    (tmp_path / "x.fa").write_text(">a\nACGT\nNNNN\n>b\nggr\n")
    row = stats.run([str(tmp_path / "x.fa")]).to_dict("records")[0]
    assert (row["genome"], row["contigs"], row["bases"], row["min"], row["max"], row["N50"]) == ("x", 2, 11, 3, 8, 8)
    assert row["mean"] == 5.5
    assert row["GC%"] == pytest.approx(100 * 4 / 6)
    assert row["N%"] == pytest.approx(100 * 5 / 11)
    assert row["IUPAC%"] == pytest.approx(100 / 11)
    assert row["lower%"] == pytest.approx(300 / 11)


@pytest.fixture
def genomes(tmp_path: Path) -> Path:
    """Three files of random letters, one packed, and a sheet with their splits."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "genomes"
    folder.mkdir()
    for name in ("one.fa", "two.fna.gz", "three.fa"):
        records = ["".join(rng.choice(list(LETTERS), rng.integers(1, 300))) for _ in range(7)]
        text = "".join(f">c{i} x\n{record[:60]}\n{record[60:]}\n" for i, record in enumerate(records))
        (gzip.open if name.endswith("gz") else open)(folder / name, "wb").write(text.encode())
    rows = ["one\tone.fa\ttrain", "two\ttwo.fna.gz\ttrain", "three\tthree.fa\ttest"]
    (folder / "genomes.tsv").write_text("\n".join(["genome\tpath\tsplit", *rows]) + "\n")
    return folder


def second(records: list[str]) -> dict[str, float]:
    """The same from strings."""
    text = "".join(records)
    lengths = np.sort([len(record) for record in records])[::-1]
    known = sum(text.upper().count(base) for base in "ACGT")
    return {
        "contigs": len(records), "bases": len(text), "min": lengths[-1], "mean": lengths.mean(), "max": lengths[0],
        "N50": lengths[np.searchsorted(np.cumsum(lengths), len(text) / 2)],
        "GC%": 100 * sum(text.upper().count(base) for base in "GC") / known,
        "N%": 100 * (len(text) - known) / len(text),
        "IUPAC%": 100 * sum(text.upper().count(base) for base in "RYSWKMBDHV") / len(text),
        "lower%": 100 * sum(map(str.islower, text)) / len(text),
    }  # fmt: skip


def by_biopython(path: Path) -> list[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        return [str(record.seq) for record in SeqIO.parse(stream, "fasta")]


def test_files_and_a_store_of_them_and_a_second_implementation_agree(genomes: Path, tmp_path: Path) -> None:
    paths = [genomes / name for name in ("one.fa", "two.fna.gz", "three.fa")]
    expected = pd.DataFrame([second(by_biopython(path)) for path in paths])
    found = stats.run([str(path) for path in paths])
    assert list(found["genome"]) == ["one", "two", "three"]
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_dtype=False)
    ingest.run([str(genomes / "genomes.tsv")], tmp_path / "store")
    store = stats.run([str(tmp_path / "store")])
    pd.testing.assert_frame_equal(store.drop(columns="input"), found.drop(columns="input"))
    split = stats.run([str(tmp_path / "store")], stats.Settings(by="split"))
    together = [[r for path in paths[:2] for r in by_biopython(path)], by_biopython(paths[2])]
    assert list(split["split"]) == ["train", "test"]
    pd.testing.assert_frame_equal(split[list(expected)], pd.DataFrame(list(map(second, together))), check_dtype=False)
    everything = stats.run([str(path) for path in paths], stats.Settings(by="all"))
    of_all = second(list(itertools.chain.from_iterable(map(by_biopython, paths))))
    pd.testing.assert_frame_equal(everything, pd.DataFrame([of_all]), check_dtype=False)


@pytest.mark.skipif(not shutil.which("seqkit"), reason="no seqkit here; Debian has it")
def test_seqkit_says_the_same(genomes: Path) -> None:
    paths = [str(genomes / name) for name in ("one.fa", "two.fna.gz", "three.fa")]
    done = subprocess.run(["seqkit", "stats", "--all", "--tabular", *paths], capture_output=True, text=True, check=True)
    theirs = pd.read_csv(io.StringIO(done.stdout), sep="\t")
    ours = stats.run(paths)
    for mine, name in (
        ("contigs", "num_seqs"),
        ("bases", "sum_len"),
        ("min", "min_len"),
        ("max", "max_len"),
        ("N50", "N50"),
    ):
        assert ours[mine].tolist() == theirs[name].tolist(), name
    assert np.allclose(ours["mean"], theirs["avg_len"], atol=0.051)  # it has one decimal


def test_contigs_of_a_file_and_of_its_store(genomes: Path, tmp_path: Path) -> None:
    ingest.run([str(genomes / "genomes.tsv")], tmp_path / "store")
    by = stats.Settings(by="contig")
    records = by_biopython(genomes / "one.fa")
    of_file = stats.run([str(genomes / "one.fa")], by)
    assert list(of_file["contig"]) == [f"c{i}" for i in range(7)]
    pd.testing.assert_frame_equal(
        of_file.drop(columns=["input", "contig"]), pd.DataFrame([second([r]) for r in records]), check_dtype=False
    )
    of_store = stats.run([str(tmp_path / "store")], by).iloc[:7]
    assert list(of_store["contig"]) == [f"one:c{i}" for i in range(7)]
    same = ["bases", "N50", "GC%", "N%"]
    pd.testing.assert_frame_equal(of_store[same], of_file[same])
    assert of_store["lower%"].isna().all()  # a store does not know it by contig


def test_the_command(call, genomes: Path, tmp_path: Path, again) -> None:
    code, out, err = call("stats", genomes / "one.fa", genomes / "three.fa")
    assert (code, err) == (0, "")
    header, first, _ = out.splitlines()
    assert header.split()[:3] == ["input", "genome", "contigs"]
    assert len(header) == len(first)
    table = tmp_path / "s.tsv.gz"
    assert call("stats", genomes / "one.fa", "--out", table)[0] == 0
    tabular = call("stats", genomes / "one.fa", "-T")[1]
    assert tabular == gzip.open(table, "rt").read() == call("stats", genomes / "one.fa", "--out", "-")[1]
    assert tabular.startswith("input\tgenome\tcontigs\tbases\tmin\tmean\tmax\tN50\tGC%\tN%\tIUPAC%\tlower%\n")
    assert again(table) == []


def test_a_folder_and_a_sheet_stand_for_their_files(genomes: Path, tmp_path: Path, call, again) -> None:
    names = ["one.fa", "three.fa", "two.fna.gz"]
    each = stats.run([str(genomes / name) for name in names])
    pd.testing.assert_frame_equal(stats.run([str(genomes)]), each)
    sheet = genomes / "named.tsv"
    sheet.write_text("genome\tpath\tcolour\n" + "".join(f"g{i}\t{name}\tred\n" for i, name in enumerate(names)))
    pd.testing.assert_frame_equal(stats.run([str(sheet)]), each.assign(genome=["g0", "g1", "g2"]))
    ours = stats.run([str(sheet)], stats.Settings(by="all"))
    ingest.run([str(sheet)], tmp_path / "store")
    of_store = stats.run([str(tmp_path / "store")], stats.Settings(by="all"))
    pd.testing.assert_frame_equal(of_store, ours)
    for name, given in (("a", genomes), ("b", sheet)):
        assert call("stats", given, "--out", tmp_path / name / "s.tsv")[0] == 0
        assert again(tmp_path / name / "s.tsv") == []
    sheet.write_text("genome\taccession\ng\tNC_000913.3\n")
    with pytest.raises(InputError, match=r"genome 'g' has no path; `genossl fetch .*named\.tsv --out genomes` first"):
        stats.run([str(sheet)])


def test_standard_input(genomes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO((genomes / "two.fna.gz").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    row = stats.run(["-"]).to_dict("records")[0]
    assert row["genome"] == "-"
    assert row["bases"] == second(by_biopython(genomes / "two.fna.gz"))["bases"]


def test_mistakes(genomes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one\.fa: is no token store, and only a store knows splits"):
        stats.run([str(genomes / "one.fa")], stats.Settings(by="split"))
    with pytest.raises(InputError, match=r"s\.csv: statistics are written as \.tsv, \.tsv\.gz or -"):
        stats.run([str(genomes / "one.fa")], out=tmp_path / "s.csv")
    with pytest.raises(InputError, match="no such file"):
        stats.run([str(genomes / "nowhere.fa")])
