"""Reading FASTA: the same as slow readers on good files, one sentence with a place for each bad one."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib.util
import io
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from Bio import bgzf
from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from genossl.errors import InputError
from genossl.genome import fasta, source
from genossl.genome.alphabet import encode, reverse_complement
from genossl.genome.source import Source

GOOD = b">a first\nACGT\nacg\n\n>b\nNNRYU\n"


def slow(raw: bytes) -> list[tuple[str, list[int]]]:
    """A second reader: one line at a time, one letter at a time."""
    text = raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[tuple[str, list[int]]] = []
    for line in text.split(b"\n"):
        if line[:1] == b">":
            words = line[1:].replace(b"\t", b" ").split(b" ")
            found.append((next(word for word in words if word).decode("utf-8"), []))
        else:
            for letter in line.rstrip(b" \t").decode("ascii").upper():
                found[-1][1].append("ACGT".find(letter.replace("U", "T")) % 5)
    return found


def slow_reads(raw: bytes) -> list[tuple[str, list[int]]]:
    """The same for FASTQ, by Biopython."""
    reads = FastqGeneralIterator(io.StringIO(raw.decode("ascii")))
    return [(title.split()[0], encode(letters).tolist()) for title, letters, _ in reads]


def read(path: Path | str, **options) -> list[tuple[str, list[int]]]:
    return [(record.name, record.tokens.tolist()) for record in fasta.records(path, **options)]


def write(folder: Path, raw: bytes, name: str = "x.fa") -> Path:
    (folder / name).write_bytes(raw)
    return folder / name


# ---- every file of the malformed set

OUT_OF_SCOPE = {  # no FASTA, and nobody gives them as FASTA
    "made/wide34.bed",
    "FormatSpecimens.jl/records.gff3",
    "FormatSpecimens.jl/spec_match.gff3",
    "FormatSpecimens.jl/tomato_chr4_head.gff3",
    "htslib/faidx.fa.expected.fai",
}

FASTQ = {  # good FASTQ, which the manifest refuses because it was asked about FASTA
    "made/fastq.fa",
    "htslib/longline.fq",
    "biopython/example_dos.fastq",
    "biopython/example.fastq.bgz",
    "seqkit/sana_ground.fq",
}


def test_malformed_files(shared: Path) -> None:
    folder = shared / "malformed"
    rows = [line.split("\t") for line in (folder / "MANIFEST.tsv").read_text().splitlines()[1:]]
    wrong, seen = [], 0
    for name, _, verdict, *_ in rows:
        needs_zstd = name.endswith(".zst") and not importlib.util.find_spec("zstandard")
        if name in OUT_OF_SCOPE or needs_zstd:
            continue
        seen += 1
        verdict = "valid" if name in FASTQ else verdict
        try:
            got = read(folder / name)
        except InputError as error:
            if verdict != "must-be-refused" or str(folder / name) not in str(error) or "\n" in str(error):
                wrong.append((name, verdict, str(error)))
            continue
        raw = b"".join(Source(folder / name).blocks())
        if verdict != "valid" or got != (slow_reads(raw) if name in FASTQ else slow(raw)):
            wrong.append((name, verdict, "other tokens" if verdict == "valid" else "accepted"))
    assert not wrong
    assert seen > 100


# ---- one test per message


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", ": is empty"),
        (b"\xef\xbb\xbf", ": is empty"),
        (b" \n\n", ": has no record"),
        (b"\nhello\n>a\nAC\n", " line 2: found 'hello' before the first '>'"),
        (b"; old comment\n>a\nAC\n", "before the first '>'"),
        (b">a\nAC\n>\nAC\n", " line 3: found '>' without a name"),
        (b">a\nAC\n>b\n>c\nAC\n", " line 3, record 'b': found no sequence"),
        (b">a\nAC\n\n>b", " line 4, record 'b': found no sequence"),
        (b">a x\nAC\n>b\nAC\n>a y\nAC\n", " line 5: found the name 'a' again, first on line 1"),
        (b">" + b"n" * 1025 + b"\nAC\n", " line 1: found a name of 1,025 bytes"),
        (b">a\x1b[31m\nAC\n", r" line 1: found a control character in the name 'a\x1b[31m'"),
        (b">a\0\nAC\n", "found a control character"),
        (b">a\nAC\0GT\n", " line 2 column 3, record 'a': found a zero byte"),
        (b">a\nACGT\nAC GT\n", " line 3 column 3, record 'a': found a blank inside a line"),
        (b">a\n  ACGT\n", " line 2 column 1, record 'a': found a blank inside a line"),
        (b">a\nACGT\n1 ACGT\n", " line 3 column 1, record 'a': found '1', expected nucleotide codes"),
        (b">a\nAC>GT\n", " line 2 column 3, record 'a': found '>'"),
        (b">a\nAC-GT\n", "gaps and stops are no bases"),
        (b">a\nACGT!\n", " line 2 column 5, record 'a': found '!'"),
        (b">a\nACGT\n;x\n", " line 3 column 1, record 'a': found ';'"),
        (b">a\r\nACGT\r\nAC!\r\n", " line 3 column 3, record 'a'"),
        (b">a\rACGT\rAC!\r", " line 3 column 3, record 'a'"),
        (b">p\nMKVLEFILPQ\n", "70% of the letters here are none: is this protein?"),
        (b">a\nACGT\x0bACGT\n", r"found '\x0b'"),
        (b" @r\nACGT\n+\nIIII\n", "before the first '>'"),
        (b"@SQ\tSN:a\n", ": looks like SAM"),
        (b"LOCUS       X 4 bp\n", ": looks like GenBank"),
        (b"ID   X; SV 1\n", ": looks like EMBL"),
        (b"##gff-version 3\n", ": looks like GFF"),
        (b" 3 20\nalpha AC\n", ": looks like PHYLIP"),
        (b"<!DOCTYPE html>\n", ": is an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", ": is a Git LFS pointer"),
        (b"PK\x03\x04....", ": is a zip archive"),
        (b"x" * 257 + b"ustar", ": is a tar archive"),
        (b"\x1f\x9d\x90", ": is packed by `compress`"),
        (">a\nAC\n".encode("utf-16"), ": is UTF-16"),
        (">a\nAC\n".encode("utf-16-le"), ": is UTF-16"),
        (gzip.compress(gzip.compress(GOOD)), ": is compressed twice"),
        (gzip.compress(b""), ": is empty"),
        (gzip.compress(GOOD)[:-4], ": the gzip data ends early"),
        (gzip.compress(GOOD)[:-8] + b"12345678", ": the gzip data is damaged"),
        (gzip.compress(GOOD) + b"rubbish, not zeros", ": the gzip data is damaged or others follow it"),
        (bz2.compress(GOOD)[:-4], ": the bzip2 data ends early"),
        (lzma.compress(GOOD)[:-4], ": the xz data ends early"),
    ],
)
def test_messages(tmp_path: Path, raw: bytes, message: str) -> None:
    path = write(tmp_path, raw)
    with pytest.raises(InputError) as error:
        read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.fa: no such file"):
        read(tmp_path / "nowhere.fa")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="record 'a': found a record of more than 6 bases"):
        read(write(tmp_path, GOOD), max_bases=6)
    monkeypatch.setattr(source, "RATIO_FROM", 1000)
    path = write(tmp_path, gzip.compress(b">a\n" + b"A" * 1_000_000))
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        read(path)
    assert len(read(path, max_ratio=None)[0][1]) == 1_000_000


# ---- what is accepted


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_compression_is_told_by_content(tmp_path: Path, packed) -> None:
    for name in ("x.fa", "x.gz", "x.bz2"):
        assert read(write(tmp_path, packed(GOOD), name)) == slow(GOOD)


def test_gzip_members_and_padding(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]) + bytes(512))
    assert read(path) == slow(GOOD)


def test_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.compress(GOOD[:9]) + zstandard.compress(GOOD[9:])
    assert read(write(tmp_path, packed)) == slow(GOOD)
    with pytest.raises(InputError, match="the zstd data ends early"):
        read(write(tmp_path, packed[:-3]))


def test_zstd_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install zstandard"):
        read(write(tmp_path, b"\x28\xb5\x2f\xfd...."))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (GOOD, gzip.compress(GOOD)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert read("-") == slow(GOOD)
        assert not sys.stdin.buffer.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b">a\nA!\n")))
    with pytest.raises(InputError, match="standard input line 2 column 2"):
        read("-")


def test_names_and_descriptions(tmp_path: Path) -> None:
    raw = b">  a\ttab ends it\nA\n>\xc3\xa9t\xc3\xa9 x\nC\n>c caf\xe9 \nG\n>../../x <b>\nT\n"
    found = [(r.name, r.description, r.line) for r in fasta.records(write(tmp_path, raw))]
    assert found == [("a", "tab ends it", 1), ("été", "x", 3), ("c", "café", 5), ("../../x", "<b>", 7)]


def test_counts(tmp_path: Path) -> None:
    a, b = fasta.records(write(tmp_path, b">a\nACGTNnRyUu\n>b\nACG\n"))
    assert a.counts == fasta.Counts(bases=10, n_N=2, n_iupac=2, n_lower=3, n_U=2)
    assert b.counts == fasta.Counts(bases=3)


@given(st.text("ACGTUNRYacgtunry\n"))
def test_counts_equal_counting_letter_by_letter(text: str) -> None:
    letters = text.replace("\n", "")
    expected = fasta.Counts(
        bases=len(letters),
        n_N=sum(letter in "Nn" for letter in letters),
        n_iupac=sum(letter in "RYry" for letter in letters),
        n_lower=sum(letter.islower() for letter in letters),
        n_U=sum(letter in "Uu" for letter in letters),
    )
    found = fasta.tokenise(text.encode())
    assert (found.counts, found.lines) == (expected, text.count("\n"))
    assert found.tokens.tolist() == encode(letters).tolist()


def test_policies(tmp_path: Path) -> None:
    path = write(tmp_path, b">a\nACgtRn\n")
    assert read(path) == [("a", [0, 1, 2, 3, 4, 4])]
    assert read(path, lowercase="mask") == [("a", [0, 1, 4, 4, 4, 4])]
    with pytest.raises(InputError, match="line 2 column 5, record 'a': found the ambiguity code 'R', expected ACGTU"):
        read(path, ambiguous="refuse")


def test_digest_sees_the_file_on_disk(tmp_path: Path) -> None:
    digest, raw = hashlib.sha256(), gzip.compress(GOOD)
    list(fasta.scan(write(tmp_path, raw), digest=digest))
    assert digest.hexdigest() == hashlib.sha256(raw).hexdigest()


# ---- blocks

EDGES = [
    b"\n\n \n>a some words\nACGT \t\nAC\t\n\n \nGT\n>b\nNNN\n>c\nA",
    b"\xef\xbb\xbf>a\r\nACGT\r\n\r\nAC\r\n>b x\r\nGG",
    b">a\rACGT\r\r>b\rGG\r\r",
    b">a\r\nAC\rGT\nAC \r\n>b\n\rAC  ",
]


@pytest.mark.parametrize("raw", EDGES)
def test_block_size_changes_nothing(tmp_path: Path, raw: bytes) -> None:
    path = write(tmp_path, raw)
    whole = [(r.name, r.description, r.line, r.tokens.tolist(), r.counts) for r in fasta.records(path)]
    assert [(name, tokens) for name, _, _, tokens, _ in whole] == slow(raw)
    for block in range(1, 51):
        found = [(r.name, r.description, r.line, r.tokens.tolist(), r.counts) for r in fasta.records(path, block=block)]
        assert found == whole, block


@pytest.mark.parametrize(
    "raw", [b">a\nAC\nGT  A\n", b">a\r\nAC\r\nGT\r\nA>\r\n", b"\n \n x>a\nAC", b">a\nA\n>b\nC\n>a\nA"]
)
def test_block_size_changes_no_message(tmp_path: Path, raw: bytes) -> None:
    path, messages = write(tmp_path, raw), set()
    for block in [*range(4, 51), 1 << 20]:
        with pytest.raises(InputError) as error:
            read(path, block=block)
        messages.add(str(error.value).split(": found")[0])
    assert len(messages) == 1


LINES = st.text("ACGTacgtNnRYKMU", max_size=12)
RECORDS = st.lists(st.lists(LINES, min_size=1, max_size=6).filter(any), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(sequences=RECORDS, eol=st.sampled_from(["\n", "\r\n", "\r"]), final=st.booleans(), block=st.integers(1, 64))
def test_equals_biopython(tmp_path_factory, sequences: list[list[str]], eol: str, final: bool, block: int) -> None:
    text = eol.join(line for i, lines in enumerate(sequences) for line in (f">s{i} record {i}", *lines))
    path = write(tmp_path_factory.getbasetemp(), (text + eol * final).encode())
    with open(path) as stream:
        expected = [(title, encode(letters).tolist()) for title, letters in SimpleFastaParser(stream)]
    found = [(f"{r.name} {r.description}", r.tokens.tolist()) for r in fasta.records(path, block=block)]
    assert found == expected


BOMB = """
import resource, sys
from genossl.genome import fasta, source
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = sum(item.counts.bases for item in fasta.scan(sys.argv[1], max_ratio=None) if isinstance(item, fasta.Bases))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_is_constant(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fa.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b">a\n")
        for _ in range(1024):
            stream.write(b"A" * (1 << 20))
    found = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True, check=True).stdout
    bases, kilobytes = map(int, found.split())
    assert bases == 1 << 30
    assert kilobytes < 60_000
    with pytest.raises(InputError, match="unpacks to more than 200 times"):
        list(fasta.scan(path))


def test_memory_of_one_long_line(tmp_path: Path) -> None:
    import tracemalloc

    path = write(tmp_path, b">a\n" + b"ACGTN" * 6_000_000)  # 30 MB
    tracemalloc.start()
    try:
        assert sum(len(item.tokens) for item in fasta.scan(path) if isinstance(item, fasta.Bases)) == 30_000_000
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_blanks_take_linear_time(tmp_path: Path) -> None:
    raw = b">a\nA" + b" " * 3_000_000 + b"\nC\n"
    assert read(write(tmp_path, raw)) == [("a", [0, 1])]


# ---- regions


def genome(folder: Path, form: str) -> tuple[Path, dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    letters = {
        name: bytes(rng.choice(list(b"ACGTNacgt"), n).tolist()) for name, n in (("a", 1234), ("b", 70), ("c", 9))
    }
    width = {"ragged": 61}.get(form, 70)
    lines = [
        b">%b x\n" % n.encode() + b"\n".join(s[i : i + width] for i in range(0, len(s), width))
        for n, s in letters.items()
    ]
    raw = b"\n".join(lines) + b"\n"
    raw = {
        "ragged": raw.replace(b"\n", b"\n\n", 5),
        "crlf": raw.replace(b"\n", b"\r\n"),
        "cr": raw.replace(b"\n", b"\r"),
    }.get(form, raw)
    path = folder / "genome.fa"
    if form == "bgzip":
        with bgzf.BgzfWriter(str(path)) as stream:
            stream.write(raw)
    else:
        path.write_bytes(gzip.compress(raw) if form == "gzip" else raw)
    return path, {name: encode(s) for name, s in letters.items()}


@pytest.mark.parametrize("form", ["plain", "bgzip", "gzip", "ragged", "crlf", "cr"])
def test_fetch(tmp_path: Path, form: str) -> None:
    path, tokens = genome(tmp_path, form)
    rng = np.random.default_rng(7)
    requests = [("a", 0, 1234, "+"), ("c", 8, 9, "-"), ("b", 0, 70, "-"), ("a", 69, 71, "+")]
    for _ in range(30):
        start, end = sorted(rng.choice(1235, 2, replace=False).tolist())
        requests.append(("a", start, end, "+-"[int(rng.integers(2))]))
    found = fasta.fetch(path, requests)
    for (name, start, end, strand), got in zip(requests, found, strict=True):
        expected = tokens[name][start:end]
        assert np.array_equal(got, reverse_complement(expected) if strand == "-" else expected)
    assert [file.name for file in tmp_path.iterdir()] == ["genome.fa"]  # no index beside the user's file


@pytest.mark.parametrize("form", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (("z", 0, 5, "+"), "genome.fa: no contig 'z'"),
        (("c", 5, 10, "+"), "genome.fa: c has 9 bases, no region 5-10"),
        (("a", 5, 5, "+"), "expected 0 <= start < end"),
        (("a", -1, 5, "+"), "expected 0 <= start < end"),
        (("a", 1, 5, "x"), "strand + or -"),
    ],
)
def test_fetch_messages(tmp_path: Path, form: str, request_, message: str) -> None:
    path, _ = genome(tmp_path, form)
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        fasta.fetch(path, [("a", 0, 5, "+"), request_])


def test_fetch_nothing(tmp_path: Path) -> None:
    assert fasta.fetch(genome(tmp_path, "plain")[0], []) == []


def test_pyfaidx_is_used_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("streamed")

    monkeypatch.setattr(fasta, "records", never)
    for form in ("plain", "bgzip"):
        fasta.fetch(genome(tmp_path, form)[0], [("a", 3, 9, "+")])


def test_memory_that_runs_out_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def read(self, size: int) -> bytes:
            raise MemoryError

    (tmp_path / "a.fa").write_bytes(b">a\nACGT\n")
    with Source(tmp_path / "a.fa") as source:
        monkeypatch.setattr(source, "_stream", Full())
        with pytest.raises(MemoryError):
            source.read(10)
