"""Bad files through the command line: one sentence each, exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load, save
from test_fasta import slow, slow_reads

from genossl.config import read_yaml
from genossl.files import sealed, sha256
from genossl.genome import windows
from genossl.genome.alphabet import decode, encode
from genossl.genome.labels import read_labels
from genossl.genome.source import Source
from genossl.genome.store import TokenStore

# ---- every file of the malformed set

BEFORE = r" line 1: found '.*' before the first '>' header, expected '>' and a name"
CODES = r", expected nucleotide codes \(ACGTU RYSWKMBDHVN, any case\)"
NO_SEQUENCE = r", record '.*': found no sequence, expected at least one base"
QUALITIES = r"found \d+ qualities for 25 bases, expected one each"
ENDS = "the file ends inside this read, expected '[+]' and its qualities: an incomplete download[?]"
OTHER_NAME = r"found '[+].*', expected '[+]' alone or followed by the read's own name"
BAD_QUALITY = r"found '.*' in column \d+, expected qualities from '!' to '~'"
OF_ROW = {  # what is said, by the row of the table of forty bad inputs that the manifest names
    "1": ": is empty, expected FASTA or FASTQ",
    "2": ": has no record, expected FASTA",
    "3": BEFORE,
    "6": r": the gzip data ends early \(an incomplete download\?\) or others follow it",
    "7": ": the gzip data is damaged",
    "8": ": the gzip data ends early .* or others follow it",
    "12": ": is a (zip|tar) archive; unpack it first",
    "13": ": unpacks to more than 200 times its size",
    "14": r" line \d+: found '>' without a name, expected one",
    "15": r" line \d+: found the name '.*' again, first on line 1; expected names that differ",
    "16": r" line 3: found the name 'a' again, first on line 1; expected names that differ",
    "18": r" line \d+" + NO_SEQUENCE,
    "32": r" line \d+ column \d+, record '.*': found a blank inside a line" + CODES + " without blanks",
    "33": r" line \d+ column \d+, record '.*': found '.'" + CODES,
    "34": r" line \d+ column \d+, record '.*': found '-'" + CODES + "; gaps and stops are no bases, remove them",
    "35": CODES + r"; \d\d% of the letters here are none: is this protein\?",
}
OF_FILE = {  # where the row says less than the file
    "made/nul_in_seq.fa": "line 2 column 3, record 's1': found a zero byte.*: the file has a hole, copy it again",
    "made/nul_block.fa": "line 3 column 1, record 's1': found a zero byte.*: the file has a hole, copy it again",
    "made/nul_in_name.fa": r" line 1: found a control character in the name 's\\x001', expected none",
    "made/ctrl_name.fa": r" line 1: found a control character in the name 's1\\x1b\[31mred\\x07', expected none",
    "made/utf16.fa": r": is UTF-16 text \(saved by Windows\?\); convert: iconv -f UTF-16 -t UTF-8",
    "made/long_name.fa": " line 1: found a name of 100,000 bytes, 'n{39}…', expected at most 1,024",
    "made/double.fa.gz.gz": ": is compressed twice; unpack it once",
    "made/html_page.fa": r": is an HTML or XML page \(a failed download\?\)",
    "made/lfs_pointer.fa": ": is a Git LFS pointer, not the data; run: git lfs pull",
    "made/digits.fa": "line 2 column 1.* found '1'.*; numbered lines look like the ORIGIN part of a GenBank file",
    "made/gt_in_seq.fa": "line 2 column 5.* found '>'.*; a header's '>' stands at the start of its line",
    "made/semicolon.fa": BEFORE,
    "made/phylip.fa": ": looks like PHYLIP; convert it to FASTA",
    "made/embl.fa": ": looks like EMBL; convert it to FASTA or GenBank",
    "made/sam.fa": ": looks like SAM; convert: samtools fasta",
    "made/gff_given.fa": ": looks like GFF; give the FASTA it belongs to",
    "made/fastq_no_at.fq": BEFORE,
    "made/fastq_no_plus.fq": f" line 3, read 'r1': {ENDS}",
    "made/fastq_no_qual.fq": "line 3, read 'r1': found 0 qualities for 4 bases where the file ends: an incomplete",
    "made/fastq_no_seq.fq": " line 1, read 'r1': found no sequence, expected at least one base",
    "made/wide34.bed": BEFORE,
    "FormatSpecimens.jl/f003.fasta": BEFORE,
    "FormatSpecimens.jl/records.gff3": BEFORE,
    "FormatSpecimens.jl/spec_match.gff3": BEFORE,
    "FormatSpecimens.jl/tomato_chr4_head.gff3": ": looks like GFF; give the FASTA it belongs to",
    "FormatSpecimens.jl/error_diff_ids.fastq": OTHER_NAME,
    "FormatSpecimens.jl/error_double_qual.fastq": " line 13: found '[+]SLXA.*', expected '@' and a name of the next",
    "FormatSpecimens.jl/error_double_seq.fastq": r" line 15 column 1, record 'SLXA.*': found '@'" + CODES,
    "FormatSpecimens.jl/error_long_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_no_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_short_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_trunc_at_plus.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_at_seq.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_seq.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_title.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_plus.fastq": OTHER_NAME,
    "FormatSpecimens.jl/error_trunc_at_qual.fastq": "found 0 qualities for 25 bases where the file ends",
    "FormatSpecimens.jl/error_trunc_in_qual.fastq": "found 24 qualities for 25 bases where the file ends",
    **{
        f"FormatSpecimens.jl/error_{name}.fastq": BAD_QUALITY
        for name in (
            "qual_del", "qual_escape", "qual_null", "qual_space", "qual_tab", "qual_unit_sep", "qual_vtab", "spaces",
            "tabs",
        )
    },
    "needletail/bad_header.fastq": " line 5: found '>Bad header', expected '@' and a name of the next read",
    "needletail/random_tsv.fq": f" line 13, read 'HD': {ENDS}",
    "biopython/no_end_marker.gb": ": the GenBank file ends early, expected // on its last line",
    "seqkit/empty_id_and_seq.fa": " line 3" + NO_SEQUENCE,  # before the line without a name
    "seqkit/empty_id_and_seq2.fa": " line 1" + NO_SEQUENCE,
    "seqkit/sana_sep_id.fq": OTHER_NAME,
}  # fmt: skip
ACCEPTED = {  # on purpose, where the manifest, which was asked about FASTA only, refuses
    "made/fastq.fa": "good FASTQ, which ingest reads",
    "htslib/longline.fq": "good FASTQ",
    "biopython/example_dos.fastq": "good FASTQ",
    "biopython/example.fastq.bgz": "good FASTQ",
    "seqkit/sana_ground.fq": "good FASTQ",
    "made/genbank.fa": "GenBank, which ingest reads",
    "biopython/bad_loc_wrap.gb": "GenBank; Biopython leaves out the feature whose location it cannot read",
}
REFUSED = {"htslib/faidx.fa.expected.fai": BEFORE}  # an index is a valid file, and no genome


def slow_genbank(text: str) -> list[tuple[str, list[int]]]:
    """A second reader of one GenBank record: its version, else its locus, and the letters of ORIGIN."""
    name = (re.search(r"^VERSION +(\S+)", text, re.M) or re.search(r"^LOCUS +(\S+)", text, re.M))[1]  # type: ignore[index]
    letters = re.sub(r"[^a-z]", "", text.split("ORIGIN")[1])
    return [(name, ["acgt".find(letter) % 5 for letter in letters])]


def stored(folder: Path) -> list[tuple[str, list[int]]]:
    store = TokenStore.open(folder)
    store.verify()
    return [(str(name), store.contig(str(name)).tolist()) for name in store.contigs["contig"]]


def test_every_malformed_file_through_the_command_line(call, shared: Path, tmp_path: Path) -> None:
    folder, wrong, refused, accepted = shared / "malformed", [], 0, 0
    for line in (folder / "MANIFEST.tsv").read_text().splitlines()[1:]:
        name, _, verdict, *_, row = line.split("\t")
        code, _, err = call("ingest", folder / name, "--out", tmp_path / "store")
        left = sorted(path.name for path in tmp_path.iterdir())
        if (verdict == "valid" or name in ACCEPTED) and name not in REFUSED:
            accepted += 1
            raw = b"".join(Source(folder / name).blocks())
            reader = slow_reads if raw.startswith(b"@") else slow
            expected = slow_genbank(raw.decode()) if raw.lstrip().startswith(b"LOCUS") else reader(raw)
            if (code, left) != (0, ["store"]) or stored(tmp_path / "store") != expected:
                wrong.append((name, "expected its bases", code, left, err))
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
        else:
            refused += 1
            said = REFUSED.get(name) or OF_FILE.get(name) or OF_ROW[row]
            sentence = rf"genossl: {re.escape(str(folder / name))}(?=[ :]).*{said}.*\n"
            if (code, left) != (2, []) or not re.fullmatch(sentence, err):
                wrong.append((name, said, code, left, err))
    assert not wrong
    assert accepted > 40
    assert refused > 100


# ---- what is no sequence: labels, configurations, models

ROWS = [
    f"{label}_{split}{i}\t{label}\tACGTACGTAC{'ACGT'[i] * 3}\t{split}"
    for label in ("x", "y")
    for split in ("train", "validation", "test")
    for i in range(4)
]
TABLE = "\n".join(["id\tlabel\tsequence\tsplit", *ROWS]) + "\n"


@pytest.mark.parametrize(
    "text,said",
    [
        (TABLE.replace("\ty\t", "\tx\t"), "all 24 rows have the label 'x'; expected at least 2 classes"),
        (TABLE.replace("\ty\t", "\t\t"), " row 13: empty label"),
        (TABLE.replace("y_train0\t", "\t"), " row 13: empty id"),
        (TABLE.replace("y_train0\t", "x_train0\t"), "id 'x_train0' occurs more than once"),
        (TABLE.replace("x_train0\t", "x\0y\t"), r" line 2: found a control character in 'x\x00y', expected none"),
        (TABLE.replace("x_train0\t", "\x1b[2J\t"), r" line 2: found a control character in '\x1b[2J', expected none"),
        (TABLE.replace("validation", "holdout"), " row 5: split 'holdout'; expected train, validation or test"),
        (TABLE.replace("\ttest", "\ttrain"), "expected every class in train and in test"),
        (TABLE.replace("ACGTACGTACAAA", "ACGTJ"), "sequence of id 'x_train0': found 'J', expected nucleotide codes"),
        (TABLE.replace("ACGTACGTACAAA", ""), "id 'x_train0' has no sequence"),
        (TABLE.replace("split\n", "label\n"), " line 1: column 'label' occurs more than once"),
        (TABLE + "z\tx\n", " line 26: 2 columns, expected 4 as in the header line"),
        ("id\tlabel\tsequence\n", "has a header line and no rows"),
        ("id\tlabel\tsequence\na\tx\tAC\nb\ty\tAC\n", "no column split, group or genome; add one"),
    ],
)
def test_labels(call, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    code, _, err = call("tasks", tmp_path / "t.tsv", "--out", tmp_path / "out.tsv")
    assert (code, err.count("\n"), said in err) == (2, 1, True), err
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]


@pytest.mark.parametrize("value", ["NaN", "inf", "", "1,5", "x"])
def test_numbers_to_predict(call, tmp_path: Path, value: str) -> None:
    text = TABLE.replace("\tx\t", "\t1\t").replace("\ty\t", "\t2\t").replace("y_train0\t2", f"y_train0\t{value}")
    (tmp_path / "t.tsv").write_text(text)
    code, _, err = call("tasks", tmp_path / "t.tsv", "--out", tmp_path / "out.tsv", "--kind", "regression")
    assert (code, "row 13: " in err) == (2, True), err


def test_labels_of_other_sequences(call, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(TABLE)
    vectors, scores = tmp_path / "e.npy", tmp_path / "scores.tsv"
    assert call("embed", "gc", tmp_path / "t.tsv", "--out", vectors)[0] == 0
    for text, said in (
        (TABLE + "z\tx\tACGT\ttrain\n", "1 of 25 labelled ids have no vector (z)"),
        (TABLE.replace("x_train0\t", "x_train00\t"), "(x_train00); 1 vectors have no label (x_train0)"),
    ):
        (tmp_path / "other.tsv").write_text(text)
        code, _, err = call("probe", vectors, "--labels", tmp_path / "other.tsv", "--out", scores)
        assert (code, said in err) == (2, True), err
        assert not scores.exists()


def test_identical_sequences_across_splits(call, tmp_path: Path) -> None:
    """Each train sequence is a test sequence as well; the audit says so and stops the workflow."""
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice(list("ACGT"), 100)) for _ in range(24)]
    rows = [line.replace(line.split("\t")[2], letters[i]) for i, line in enumerate(ROWS)]
    rows += [line.replace("_train", "_copy").replace("\ttrain", "\ttest") for line in rows if line.endswith("\ttrain")]
    (tmp_path / "t.tsv").write_text("\n".join(["id\tlabel\tsequence\tsplit", *rows]) + "\n")
    code, _, err = call("audit", tmp_path / "t.tsv", "--out", tmp_path / "audit.json")
    assert (code, "fails the audit: copies: 8 of 16 (50 %) test rows" in err) == (2, True), err


def test_what_stays_text(call, tmp_path: Path) -> None:
    """NA, 001, 1e5 and SEPT2 are names; blanks around a cell are none of it."""
    text = TABLE.replace("\tx\t", "\t NA \t").replace("\ty\t", "\t001\t").replace("x_train0\t", "SEPT2 \t")
    (tmp_path / "t.tsv").write_text(text.replace("y_train0\t", "1e5\t"))
    assert call("tasks", tmp_path / "t.tsv", "--out", tmp_path / "out.tsv")[0] == 0
    table = read_labels(tmp_path / "out.tsv")
    assert set(table["label"]) == {"NA", "001"}
    assert {"SEPT2", "1e5"} < set(table["id"])


CONFIG = "collection: c\ngenomes: g.tsv\ntasks: t.tsv\nruns: {ours: {preset: default, pretrain: {lr: 1e-4}}}\n"


@pytest.mark.parametrize(
    "text,said",
    [
        (CONFIG.replace("lr", "lrr"), "runs.ours: pretrain.lrr: unknown key; did you mean lr?"),
        (CONFIG.replace("runs", "run"), "run: unknown section; known: "),
        (CONFIG + "collection: d\n", ' line 5: found duplicate key "collection"'),
        (CONFIG.replace("1e-4", "&a 1").replace("c\n", "*a\n", 1), " line 1: aliases (*a) are not accepted"),
        (CONFIG + "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n", " line 6: aliases (*a) are not accepted"),
        (CONFIG + "__use_yte__: true\n", "the key __use_yte__ would run code; remove it"),
        (CONFIG + '"\\x5f_use_yte__": true\n', "the key __use_yte__ would run code; remove it"),
        (CONFIG.replace("1e-4", ".inf"), "runs.ours: pretrain.lr: expected finite numbers, found inf"),
        (CONFIG.replace("1e-4", ".nan"), "runs.ours: pretrain.lr: expected finite numbers, found nan"),
        (CONFIG.replace("1e-4", "-1"), "runs.ours: pretrain: lr must not be negative"),
        (CONFIG.replace("1e-4", "fast"), "runs.ours: pretrain.lr: expected a valid number"),
        (CONFIG + "jobs: {device: 'cpu; touch x'}\n", "jobs: device 'cpu; touch x'"),
        (CONFIG + "\ta: 1\n", " line 5: "),
        (CONFIG.replace("g.tsv", "no.tsv"), "no.tsv: no such file"),
    ],
)
def test_configurations(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "g.tsv").write_text("genome\tpath\ng\tg.fa\n")
    (tmp_path / "g.fa").write_text(">g\nACGT\n")
    (tmp_path / "labels.tsv").write_text(TABLE)
    (tmp_path / "t.tsv").write_text("task\tpath\nt\tlabels.tsv\n")
    code, _, err = call("check", "config.yaml")
    assert (code, err.count("\n"), said in err) == (2, 1, True), err


def test_lr_without_a_dot_is_a_number(tmp_path: Path) -> None:
    """YAML 1.1 has it for text."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert read_yaml(tmp_path / "config.yaml")["runs"]["ours"]["pretrain"]["lr"] == 1e-4


class Code:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "what,said",
    [
        ("empty", "encoder.safetensors: is damaged, its checksum differs"),
        ("cut", "encoder.safetensors: is damaged, its checksum differs"),
        ("bit", "encoder.safetensors: is damaged, its checksum differs"),
        ("pickle", "encoder.safetensors: does not fit encoder.json"),
        ("nan", "encoder.safetensors: found numbers that are not finite in "),
        ("other", "encoder.safetensors: does not fit encoder.json"),
        ("missing", "encoder.safetensors: no such file"),
        ("newer", "encoder.json: format 99; this genossl reads format "),
        ("deep", "encoder.json: is damaged, not JSON (maximum recursion depth"),
        ("nothing", "holds no encoder.json; expected a folder written by genossl pretrain"),
    ],
)
def test_models(call, tiny_run: Path, tmp_path: Path, what: str, said: str) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    weights, about = run / "encoder.safetensors", run / "encoder.json"
    raw = weights.read_bytes()
    tensors = load(raw)
    first = next(iter(tensors))
    bad = {
        "empty": b"",
        "cut": raw[: len(raw) // 2],
        "bit": raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
        "pickle": pickle.dumps(Code(tmp_path / "executed")),
        "nan": save(tensors | {first: tensors[first] * float("nan")}),
        "other": save(tensors | {first: tensors[first].flatten()[:-1].clone()}),
    }.get(what, raw)
    weights.write_bytes(bad)
    if what in ("pickle", "nan", "other"):  # whoever shares a model writes the checksum, too
        told = json.loads(about.read_text()) | {"sha256": sha256(weights)}
        told.pop("seal")
        about.write_text(json.dumps(sealed(told)))
    if what == "newer":
        about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    if what == "deep":
        about.write_text("[" * 100_000)
    if what == "missing":
        weights.unlink()
    if what == "nothing":
        about.unlink()
    (tmp_path / "x.fa").write_text(">a\nACGTACGTACGTACGTACGTACGT\n")
    code, _, err = call("embed", run, tmp_path / "x.fa", "--out", tmp_path / "e.npy", "--device", "cpu")
    assert (code, said in err) == (2, True), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x.fa"]


# ---- limits: a sentence, or the answer, within bounded memory

MB = 1 << 20
# not ru_maxrss, which a process has from the one that it was forked from
PEAK = """
import atexit, re, sys
from pathlib import Path
atexit.register(lambda: print(re.search("VmHWM:.*", Path("/proc/self/status").read_text())[0], flush=True))
from genossl.cli import main
main()
"""


def genossl(*arguments: str | Path, given: Iterable[bytes] = ()) -> tuple[int, str, float]:
    """Exit code, what was said, and peak memory in MB of a command that reads `given` from standard input."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):  # it said no before the end
        for block in given:
            process.stdin.write(block)
        process.stdin.close()
    said, _, memory = process.stdout.read().decode().rpartition("VmHWM:")
    return process.wait(), said, int(memory.split()[0]) / 1024


@pytest.mark.parametrize(
    "start,code,said",
    [
        (b">", 2, "line 1: found a name of 1,048,576 bytes"),
        (b">a ", 0, "1 genomes, 1 records, 4 bases"),
        (b"@a ", 2, "found a line of more than 100,000,000 bytes, the limit"),
        (b"LOCUS ", 2, "found a line of more than 100,000,000 bytes, the limit"),
    ],
)
def test_a_header_of_a_gigabyte(tmp_path: Path, start: bytes, code: int, said: str) -> None:
    line = itertools.chain([start], itertools.repeat(b"n" * MB, 1024), [b"\nACGT\n"])
    found = genossl("ingest", "-", "--out", tmp_path / "store", given=line)
    assert (found[0], said in found[1]) == (code, True), found
    assert found[2] < 600
    assert [path.name for path in tmp_path.iterdir()] == ["store"] * (code == 0)


def test_a_gigabyte_in_one_packed_line(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fa.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(b">a\n")
        for _ in range(1024):
            stream.write(b"A" * MB)
    code, said, memory = genossl("ingest", path, "--out", tmp_path / "store")
    assert (code, "unpacks to more than 200 times its size" in said) == (2, True), said
    assert memory < 300
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.fa.gz"]


def test_a_million_classes(tmp_path: Path) -> None:
    rows = (f"r{i}\tclass{i}\tACGTACGT\tgroup{i}\n" for i in range(1_000_000))
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\tgroup\n" + "".join(rows))
    code, said, memory = genossl("tasks", tmp_path / "t.tsv", "--out", tmp_path / "out.tsv")
    assert (code, "class 'class0' has 1 group; expected at least 2" in said) == (2, True), said
    assert memory < 2000
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]


def test_a_hundred_thousand_columns(tmp_path: Path) -> None:
    header = "\t".join(["id", "label", "sequence", "split", *(f"x{i}" for i in range(100_000))])
    rows = ["\t".join([f"r{i}", "ab"[i % 2], "ACGT", ("train", "test")[i // 4], *["1"] * 100_000]) for i in range(8)]
    (tmp_path / "t.tsv").write_text("\n".join([header, *rows]) + "\n")
    start = time.monotonic()
    code, said, memory = genossl("tasks", tmp_path / "t.tsv", "--out", tmp_path / "out.tsv")
    assert (code, "8 rows, 2 classes" in said) == (0, True), said
    assert memory < 600
    assert time.monotonic() - start < 60  # comparing every name with every other took two minutes


@pytest.mark.parametrize(
    "text,said",
    [
        ('{"a":' * 100_000, "is not JSON (maximum recursion depth"),
        ('{"min_contig": ' + "9" * 5000 + "}", "is not JSON (Exceeds the limit (4300 digits)"),
        ('{"min_contig": "' + "x" * 100_000 + '"}', "ingest.min_contig: expected a valid integer"),
        ('{"min_contig": NaN}', "ingest.min_contig: expected finite numbers, found nan"),
    ],
)
def test_settings_that_are_too_much(call, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    code, _, err = call("ingest", tmp_path / "x.fa", "--out", tmp_path / "store", "--settings", text)
    assert (code, said in err) == (2, True), err
    assert len(err) < 500


def test_more_than_there_is_memory_for(call, tiny_store: Path, tmp_path: Path) -> None:
    code, _, err = call("pretrain", tiny_store, "--out", tmp_path / "run", "--set", "pretrain.batch=100000000000000")
    assert code == 2
    assert re.search(
        r"^genossl: out of memory on cpu; lower pretrain\.batch \(100000000000000\), the length of .*\n\Z", err, re.M
    )


# ---- odd and large, and right

TEN = b"ACGTNACGTA"


@pytest.mark.slow
def test_more_than_two_to_the_31_bases(tmp_path: Path) -> None:
    """2.2 billion bases of two contigs through standard input: offsets, windows and the last bases are right."""
    line = TEN * 100_000 + b"\n"
    given = itertools.chain([b">a\n"], itertools.repeat(line, 2150), [b">b\n"], itertools.repeat(line, 50), [b"TTTT\n"])
    code, said, memory = genossl("ingest", "-", "--out", tmp_path / "store", given=given)
    assert (code, "2,200,000,004 bases" in said) == (0, True), said
    assert memory < 300
    store = TokenStore.open(tmp_path / "store")
    assert store.contigs["offset"].tolist() == [0, 2_150_000_000]
    assert store.contigs["length"].tolist() == [2_150_000_000, 50_000_004]
    assert store.contigs["offset"].dtype == np.int64
    assert decode(store.tokens[-14:]) == TEN.decode() + "TTTT"
    period = np.tile(encode(TEN.decode()), 20)
    batch = windows.Windows(store, np.arange(2), 100).draw(500, windows.generator(0, 0))
    assert int(batch.start.max()) > 1 << 30
    for tokens, contig, start in zip(batch.tokens.numpy(), batch.contig.tolist(), batch.start.tolist(), strict=True):
        assert np.array_equal(tokens, period[start % 10 : start % 10 + 100]) or (contig, start) > (1, 49_999_904)
    last = windows.Windows(store, np.array([1]), 50_000_004).draw(1, windows.generator(0, 0))
    assert decode(last.tokens[0, -14:].numpy()) == TEN.decode() + "TTTT"


@pytest.mark.slow
def test_ten_million_tiny_contigs(tmp_path: Path) -> None:
    many = 10_000_000
    given = (b"".join(b">contig_%d\nACGT\n" % j for j in range(i, i + 1000)) for i in range(0, many, 1000))
    code, said, memory = genossl("ingest", "-", "--out", tmp_path / "store", given=given)
    assert (code, "10,000,000 records, 40,000,000 bases" in said) == (0, True), said
    assert memory < 2500  # 0.13 kB of each name, to know one that comes again
    code, said, memory = genossl("embed", "gc", tmp_path / "store", "--part", "2/2", "--out", tmp_path / "x.npy")
    assert (code, "at most its 1 genomes" in said) == (2, True), said  # it opened the store
    assert memory < 5000
    contigs = TokenStore.open(tmp_path / "store").contigs
    assert contigs.iloc[-1][["contig", "offset", "length"]].tolist() == ["contig_9999999", 4 * (many - 1), 4]
