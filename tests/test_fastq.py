"""Reading FASTQ: what Biopython reads, and what FASTA of the same reads gives; a sentence for each bad file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest
from Bio import bgzf
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given, settings
from hypothesis import strategies as st

import genossl
from genossl.errors import InputError
from genossl.evaluation.table import read_table
from genossl.genome import fasta, fastq, inputs
from genossl.genome.alphabet import encode
from genossl.genome.store import TokenStore
from genossl.verbs import embed, ingest

GOOD = b"@a first\nACGT\n+\n@+I!\n\n@b\nNNR\nYU\n+b\n@@@\n~~\n"  # qualities may look like marks
AS_FASTA = b">a first\nACGT\n>b\nNNRYU\n"


def write(folder: Path, raw: bytes, name: str = "x.fq") -> Path:
    (folder / name).write_bytes(raw)
    return folder / name


def read(path: Path | str, **options) -> list[tuple]:
    return [(r.name, r.description, r.tokens.tolist(), r.counts) for r in fasta.records(path, **options)]


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("head", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_reads_are_those_of_the_same_fasta_whatever_the_block(tmp_path: Path, eol: bytes, head: bytes) -> None:
    expected = read(write(tmp_path, AS_FASTA, "x.fa"))
    path = write(tmp_path, head + GOOD.replace(b"\n", eol))
    for block in [*range(1, 40), 1 << 20]:
        assert read(path, block=block) == expected, block
    assert [record.line for record in fasta.records(path)] == [1 + head.count(b"\n"), 6 + head.count(b"\n")]
    assert read(write(tmp_path, GOOD.rstrip(b"\n"))) == expected


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed(tmp_path: Path, pack) -> None:
    assert read(write(tmp_path, pack(GOOD), "x.anything")) == read(write(tmp_path, AS_FASTA))


def test_bgzip_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bgzf.BgzfWriter(str(tmp_path / "x.fq.gz")) as stream:
        stream.write(GOOD)
    expected = read(write(tmp_path, AS_FASTA))
    assert read(tmp_path / "x.fq.gz") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    assert read("-") == expected


READS = st.lists(st.tuples(st.text("ACGTacgtNnRY", min_size=1, max_size=30), st.randoms()), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(drawn=READS, wrap=st.integers(1, 31), again=st.booleans(), block=st.integers(1, 64))
def test_equals_biopython(tmp_path_factory, drawn, wrap: int, again: bool, block: int) -> None:
    """Reads wrapped at any width, with any qualities, also those that look like the marks @ and +."""
    lines = []
    for i, (letters, rng) in enumerate(drawn):
        quality = "".join(rng.choice("!+@I~") for _ in letters)
        # a sequence line that begins with + is none; a quality line may, and may begin with @ too
        parts = [[text[j : j + wrap] for j in range(0, len(text), wrap)] for text in (letters, quality)]
        lines += [f"@r{i} {i}", *parts[0], f"+r{i} {i}" if again else "+", *parts[1]]
    text = "\n".join(lines) + "\n"
    expected = [(title, encode(letters).tolist()) for title, letters, _ in FastqGeneralIterator(io.StringIO(text))]
    path = write(tmp_path_factory.getbasetemp(), text.encode())
    assert [(f"{name} {about}", tokens) for name, about, tokens, _ in read(path, block=block)] == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"@r\nACGT\nIIII\n", " line 3, read 'r': the file ends inside this read, expected '+' and its qualities"),
        (b"@r\nACGT\n+\n", " line 3, read 'r': found 0 qualities for 4 bases where the file ends"),
        (b"@r\nACGT\n+\nIII", " line 4, read 'r': found 3 qualities for 4 bases where the file ends"),
        (b"@r\nACGT\n+\nIII\n@s\nA\n+\nI\n", " line 4, read 'r': found 3 qualities for 4 bases, expected one each"),
        (b"@r\nACGT\n+\nIIIII\n", " line 4, read 'r': found 5 qualities for 4 bases, expected one each"),
        (b"@r\n+\nIIII\n", " line 1, read 'r': found no sequence"),
        (b"@r\n\n+\n\n@s\nA\n+\nI\n", " line 1, read 'r': found no sequence"),
        (b"@r\nACGT\n+s\nIIII\n", " line 3, read 'r': found '+s', expected '+' alone or followed by the read's own"),
        (b"@r\nACGT\n+\nII I\n", " line 4, read 'r': found ' ' in column 3, expected qualities from '!' to '~'"),
        (b"@r\nACGT\n+\nII\x7fI\n", r" line 4, read 'r': found '\x7f' in column 3"),
        (b"@r\nACGT\n+\nIIII\n>s\nACGT\n", " line 5: found '>s', expected '@' and a name of the next read"),
        (b"@r\nACGT\n+\nIIII\n@r\nA\n+\nI\n", " line 5: found the name 'r' again, first on line 1; expected names"),
        (b"@r 1\nACGT\n+\nIIII\n@r 2\nA\n+\nI\n", "(the two mates of a pair? give them names that differ)"),
        (b"@\nACGT\n+\nIIII\n", " line 1: found '@' without a name"),
        (b"@r\nAC-T\n+\nIIII\n", " line 2 column 3, record 'r': found '-'"),
        (b"@r\nACGT\nA CG\n+\nIIIIIIII\n", " line 3 column 2, record 'r': found a blank inside a line"),
        (b"@r\nACGT\n+\nIIII\n@SQ\tSN:a\n@SQ\tSN:b\n", " line 6, read 'SQ': the file ends inside this read"),
    ],
)
def test_messages(tmp_path: Path, raw: bytes, message: str) -> None:
    path = write(tmp_path, raw)
    with pytest.raises(InputError) as error:
        list(fasta.records(path))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    for block in range(1, 9):
        with pytest.raises(InputError) as again:
            list(fasta.records(path, block=block))
        assert str(again.value) == str(error.value)


def test_policies_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"@r\nACgR\n+\nIIII\n")
    assert read(path, lowercase="mask")[0][2] == [0, 1, 4, 4]
    with pytest.raises(InputError, match="line 2 column 4, record 'r': found the ambiguity code 'R'"):
        read(path, ambiguous="refuse")
    with pytest.raises(InputError, match="more than 3 bases"):
        read(path, max_bases=3)
    monkeypatch.setattr(fastq, "LONGEST", 8)
    with pytest.raises(InputError, match="found a read of more than 8 bases, the limit"):
        read(write(tmp_path, b"@r\nACGTA\nACGT\n+\nIIIIIIIII\n"))
    with pytest.raises(InputError, match="found a line of more than 8 bytes, the limit"):
        read(write(tmp_path, b"@r\n" + b"A" * 100), block=4)


def test_regions(tmp_path: Path) -> None:
    found = fasta.fetch(write(tmp_path, GOOD), [("b", 3, 5, "+"), ("a", 0, 3, "-")])
    assert [tokens.tolist() for tokens in found] == [[4, 3], [1, 2, 3]]


# ---- wherever FASTA is


def test_ingest_embed_and_the_python_interface(tmp_path: Path, tiny_run: Path) -> None:
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice(list("ACGT"), 120)) for _ in range(6)]
    for folder, mark, rest in (("fa", ">", ""), ("fq", "@", "\n+\n" + "I" * 120)):
        (tmp_path / folder).mkdir()
        text = "".join(f"{mark}r{i}\n{bases}{rest}\n" for i, bases in enumerate(letters))
        (tmp_path / folder / f"g.{'fastq' if folder == 'fq' else 'fa'}.gz").write_bytes(gzip.compress(text.encode()))
    stores = []
    for folder in ("fa", "fq"):
        ingest.run([str(tmp_path / folder)], tmp_path / f"store_{folder}")
        stores.append(TokenStore.open(tmp_path / f"store_{folder}"))
    assert np.array_equal(stores[0].tokens, stores[1].tokens)
    assert stores[1].contigs["genome"].tolist() == ["g"] * 6
    files = [tmp_path / "fa" / "g.fa.gz", tmp_path / "fq" / "g.fastq.gz"]
    tables = []
    for file in files:
        embed.run(str(tiny_run), file, tmp_path / "x.npy", embed.Settings(window=-1), device="cpu")
        tables.append(read_table(tmp_path / "x.npy"))
    assert np.array_equal(tables[0].vectors, tables[1].vectors)
    assert tables[0].rows.equals(tables[1].rows)
    plain, other = (genossl.embed_fasta(tiny_run, file, window=100) for file in files)
    assert plain.drop(columns="vector").equals(other.drop(columns="vector"))


def test_a_labelled_table_on_reads(tmp_path: Path) -> None:
    reads = write(tmp_path, GOOD)
    labels = tmp_path / "labels.tsv"
    labels.write_text("id\tlabel\tcontig\tstart\tend\tstrand\nx\t1\ta\t1\t4\t-\n")
    (item,) = inputs.read(labels, 0, 0, reads)
    assert item.tokens.tolist() == [0, 1, 2]
