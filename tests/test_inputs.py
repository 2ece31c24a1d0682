"""What can be embedded: stores, FASTA and labelled tables as one stream."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import planted
import pytest

from genossl.errors import InputError
from genossl.genome import inputs
from genossl.genome.alphabet import decode, encode, reverse_complement

CONTIGS = {"c1": encode("ACGTNACGTAAC"), "c2": encode("GGCA")}


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return planted.write_fasta(tmp_path / "g.fa", CONTIGS)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return planted.store(tmp_path / "store", {"g": ("train", list(CONTIGS.values())), "h": ("", [encode("TTTT")])})


def table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("length", [1, 5, 10, 11, 29, 30, 100])
@pytest.mark.parametrize("window,step", [(10, 0), (10, 10), (10, 3), (10, 1), (1, 0), (0, 0)])
def test_each_base_is_in_a_window_and_the_last_ends_with_the_record(length: int, window: int, step: int) -> None:
    starts = inputs.starts(length, window, step)
    size = min(window or length, length)
    assert set().union(*(range(s, s + size) for s in starts)) == set(range(length))
    assert starts[-1] + size == length
    assert starts == sorted(set(starts))


def test_fasta(fasta: Path) -> None:
    items = list(inputs.read(fasta, 5, 0))
    assert [item.row for item in items] == [
        {"id": "c1:0-5", "contig": "c1", "start": 0, "end": 5, "n_N": 1},
        {"id": "c1:5-10", "contig": "c1", "start": 5, "end": 10, "n_N": 0},
        {"id": "c1:7-12", "contig": "c1", "start": 7, "end": 12, "n_N": 0},
        {"id": "c2:0-4", "contig": "c2", "start": 0, "end": 4, "n_N": 0},
    ]
    assert [decode(item.tokens) for item in items] == ["ACGTN", "ACGTA", "GTAAC", "GGCA"]
    assert [decode(item.tokens) for item in inputs.read(fasta, 0, 0)] == ["ACGTNACGTAAC", "GGCA"]


def test_a_store_gives_what_its_fasta_gives(fasta: Path, store: Path) -> None:
    of_store = list(inputs.read(store, 5, 2))
    of_fasta = list(inputs.read(fasta, 5, 2))
    assert of_store[-1].row["id"] == "h:h_0:0-4"
    assert of_store[0].row["genome"] == "g"
    for ours, theirs in zip(of_store[:-1], of_fasta, strict=True):
        assert np.array_equal(ours.tokens, theirs.tokens)
        assert ours.row["start"] == theirs.row["start"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("head", ["", "# a comment\n\n", "\ufeff"])
def test_a_table_is_told_by_its_header(tmp_path: Path, packed: bool, head: str) -> None:
    text = f"{head}id \t sequence\tlabel\r\na\tacgu\tx\r\nb\tRN\ty\r\n".encode()
    path = tmp_path / "labels.tsv"
    path.write_bytes(gzip.compress(text) if packed else text)
    items = list(inputs.read(path, 2, 1))
    assert [item.row for item in items] == [{"id": "a", "length": 4, "n_N": 0}, {"id": "b", "length": 2, "n_N": 2}]
    assert [decode(item.tokens) for item in items] == ["ACGT", "NN"]


@pytest.mark.parametrize("kind", ["store", "fasta"])
def test_coordinates_on_both_strands(tmp_path: Path, store: Path, fasta: Path, kind: str) -> None:
    names = {"store": ("g_0", "g_1"), "fasta": ("c1", "c2")}[kind]
    rows = [(f"r{i}", names[i % 2], i, i + 3, strand) for i, strand in enumerate("+-.-") if i + 3 <= 4 or not i % 2]
    lines = ["id\tlabel\tcontig\tstart\tend\tstrand", *("\t".join(map(str, (r[0], "x", *r[1:]))) for r in rows)]
    items = list(inputs.read(table(tmp_path, *lines), 0, 0, {"store": store, "fasta": fasta}[kind]))
    assert [item.row["id"] for item in items] == [r[0] for r in rows]
    for item, (_, contig, start, end, strand) in zip(items, rows, strict=True):
        part = CONTIGS[("c1", "c2")[names.index(contig)]][start:end]
        assert np.array_equal(item.tokens, reverse_complement(part) if strand == "-" else part)
        assert item.row["n_N"] == (part == 4).sum()


def test_a_genome_column_tells_contigs_of_one_name_apart(tmp_path: Path, store: Path) -> None:
    lines = ("id\tlabel\tgenome\tcontig\tstart\tend", "a\tx\tg\tg_1\t0\t2", "b\tx\th\th_0\t1\t3")
    items = list(inputs.read(table(tmp_path, *lines), 0, 0, store))
    assert [decode(item.tokens) for item in items] == ["GG", "TT"]
    assert [item.row["genome"] for item in items] == ["g", "h"]


@pytest.mark.parametrize(
    "lines,message",
    [
        (["id\tlabel", "a\tx"], "expected a column sequence, or contig, start and end"),
        (["id\tlabel\tsequence", "a\tx\tACXT"], "sequence of id 'a': "),
        (["id\tlabel\tsequence", "a\tx\t"], "id 'a' has no sequence"),
        (["id\tlabel\tcontig\tstart\tend", "a\tx\tc1\t0\t2"], "holds coordinates; say where the sequences are: --seq"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"labels\.tsv: {message}"):
        list(inputs.read(table(tmp_path, *lines), 0, 0))


def test_coordinates_on_a_damaged_contig(tmp_path: Path, store: Path) -> None:
    """Told when it is read, and of no row of another contig."""
    damaged = shutil.copytree(store, tmp_path / "damaged")
    tokens = bytearray((damaged / "tokens.bin").read_bytes())
    tokens[0] ^= 1
    (damaged / "tokens.bin").write_bytes(tokens)
    header = "id\tlabel\tcontig\tstart\tend"
    assert len(list(inputs.read(table(tmp_path, header, "a\tx\tg_1\t0\t2"), 0, 0, damaged))) == 1
    with pytest.raises(InputError, match=r"tokens\.bin: contig 'g_0' of genome 'g' differs from what ingest wrote"):
        list(inputs.read(table(tmp_path, header, "a\tx\tg_0\t5\t7"), 0, 0, damaged))


def test_coordinates_that_are_nowhere(tmp_path: Path, store: Path, fasta: Path) -> None:
    header = "id\tlabel\tcontig\tstart\tend"
    with pytest.raises(InputError, match=r"labels\.tsv: id 'a' ends at 13; g_0 has 12 bases"):
        list(inputs.read(table(tmp_path, header, "a\tx\tg_0\t0\t13"), 0, 0, store))
    with pytest.raises(InputError, match="no contig 'c9'"):
        list(inputs.read(table(tmp_path, header, "a\tx\tc9\t0\t1"), 0, 0, store))
    with pytest.raises(InputError, match="no contig 'c9'"):
        list(inputs.read(table(tmp_path, header, "a\tx\tc9\t0\t1"), 0, 0, fasta))
    with pytest.raises(InputError, match="c1 has 12 bases"):
        list(inputs.read(table(tmp_path, header, "a\tx\tc1\t0\t13"), 0, 0, fasta))


def test_other_inputs_that_are_refused(tmp_path: Path, fasta: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file"):
        list(inputs.read(tmp_path / "nowhere", 5, 0))
    with pytest.raises(InputError, match="cannot be read"):
        list(inputs.read(tmp_path, 5, 0))
    with pytest.raises(InputError, match="window -5, step 0: expected 0 or more bases"):
        inputs.read(fasta, -5, 0)


@pytest.mark.parametrize("lengths", [[1], [9, 1, 1, 1, 1], [1, 1, 1, 1, 9], [5] * 7, [1, 50, 1, 50, 1, 50]])
def test_parts_of_a_store_are_its_genomes_once_each_in_order(tmp_path: Path, lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    genomes = {f"g{i}": ("", [rng.integers(0, 4, 100 * n).astype(np.uint8)]) for i, n in enumerate(lengths)}
    folder = planted.store(tmp_path / "store", genomes)
    whole = [item.row["id"] for item in inputs.read(folder, 50, 0)]
    for n in range(1, len(lengths) + 1):
        parts = [[item.row["id"] for item in inputs.read(folder, 50, 0, part=(i, n))] for i in range(1, n + 1)]
        assert [row for part in parts for row in part] == whole
        assert all(parts)
    if lengths == [5] * 7:  # about as many bases each
        assert sorted(len(part) for part in parts) == [10] * 7
    for wrong in ((0, 1), (2, 1), (1, len(lengths) + 1)):
        with pytest.raises(InputError, match=f"expected 1/N to N/N, N at most its {len(lengths)} genomes"):
            list(inputs.read(folder, 50, 0, part=wrong))


def test_only_a_store_has_parts(fasta: Path) -> None:
    with pytest.raises(InputError, match=r"is no token store, of whose genomes there could be a part 1/2"):
        inputs.read(fasta, 5, 0, part=(1, 2))
