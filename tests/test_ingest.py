"""Files, folders, sheets, GenBank and standard input to a token store; nothing is left behind by an error."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from genossl.errors import InputError
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.store import TokenStore
from genossl.verbs import ingest
from genossl.verbs.ingest import Settings

GENBANK = """LOCUS       TINY                      36 bp    DNA     circular BCT 01-JAN-2000
DEFINITION  A tiny record.
ACCESSION   TINY
VERSION     TINY.1
FEATURES             Location/Qualifiers
     source          1..36
     gene            4..12
                     /gene="abc"
     CDS             4..12
                     /locus_tag="T_1"
                     /product="small
                     thing"
                     /translation="MK"
     CDS             complement(join(1..6,31..36))
                     /protein_id="P1.1"
     tRNA            <13..>20
ORIGIN
        1 aaaatgaaat aaccccgggg ttttnnnnrr acgtac
//
"""


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files: dict[str, bytes | str] = {"b.fna": ">c1\nACGTN\n>c2\nGG\n", "a.1.fa.gz": gzip.compress(b">c1\nacgRUu\n")}
    return write(tmp_path / "data", {**files, "c.gbk": GENBANK, "notes.txt": "no genome", ".hidden.fa": ""})


def test_folder(data: Path, tmp_path: Path) -> None:
    summary = ingest.run([str(data)], tmp_path / "store", Settings()).set_index("genome")
    store = TokenStore.open(tmp_path / "store")
    store.verify()
    assert store.genomes.genome.tolist() == ["a.1", "b", "c"]  # sorted by file name
    assert store.genomes.split.tolist() == ["", "", ""]
    assert store.contigs[["genome", "contig"]].values.tolist() == [
        ["a.1", "c1"],
        ["b", "c1"],
        ["b", "c2"],
        ["c", "TINY.1"],
    ]
    assert decode(store.contig("c1", "a.1")) == "ACGNTT"
    assert decode(store.contig("c1", "b")) == "ACGTN"
    assert store.contigs.sha256[0] == hashlib.sha256(encode("ACGNTT").tobytes()).hexdigest()
    a = {
        "records": 1,
        "bases": 6,
        "n_N": 0,
        "n_iupac": 1,
        "n_lower": 4,
        "n_U": 2,
        "n_N_tokens": 1,
        "gc": 0.4,
        "dropped": 0,
    }
    assert {key: summary.loc["a.1", key] for key in a} == a
    assert summary.loc["a.1", "sha256"] == hashlib.sha256((data / "a.1.fa.gz").read_bytes()).hexdigest()
    assert summary.loc["b", "gc"] == pytest.approx(4 / 6)
    recorded = {row["genome"]: row for row in store.meta["genomes"]}
    assert recorded["b"]["n_N"] == 1
    assert recorded["c"]["bases"] == 36
    assert store.meta["policy"] == dataclasses.asdict(Settings())


def test_tokens_equal_biopython(shared: Path, tmp_path: Path) -> None:
    path = shared / "examples/bacteria/Vibrio_cholerae_O1_Inaba_G4.fa.gz"
    ingest.run([str(path)], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    with gzip.open(path, "rt") as stream:
        expected = {record.id: encode(str(record.seq)) for record in SeqIO.parse(stream, "fasta")}
    assert store.contigs.contig.tolist() == list(expected)
    assert all(np.array_equal(store.contig(name), tokens) for name, tokens in expected.items())
    assert store.contigs.n_N.sum() == sum((tokens == 4).sum() for tokens in expected.values()) > 0


def test_sheet_of_the_examples(shared: Path, tmp_path: Path) -> None:
    import pandas as pd

    sheet = shared / "examples/genomes.tsv"
    summary = ingest.run([str(sheet)], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    expected = pd.read_csv(sheet, sep="\t", dtype=str, keep_default_na=False)
    assert store.genomes[["genome", "species", "accession", "split"]].equals(
        expected[["genome", "species", "accession", "split"]]
    )
    assert summary.bases.tolist() == expected.bases.astype(int).tolist()
    assert summary.records.tolist() == expected.contigs.astype(int).tolist()
    assert np.allclose(summary.gc, expected.gc.astype(float), atol=1e-3)
    assert set(store.contigs.genome[store.select({"pretrain"})]) == {"Streptococcus_suis_SC84"}


def test_sheet(data: Path, tmp_path: Path) -> None:
    sheet = "# comment\ngenome\tpath\tsplit\tstrain\nX\tb.fna\tdev\t001\nY\t{}\tTrain\tNA\n".format(data / "a.1.fa.gz")
    ingest.run([str(write(data, {"s.tsv": sheet}) / "s.tsv"), str(data / "c.gbk")], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    assert store.genomes.columns.tolist() == ["genome", "split", "strain"]
    assert store.genomes.values.tolist() == [["X", "validation", "001"], ["Y", "train", "NA"], ["c", "", ""]]
    assert store.contigs.contig[store.select({"validation"})].tolist() == ["c1", "c2"]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b">a\nACGT\n")))
    ingest.run(["-"], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    assert store.contigs[["genome", "contig", "source"]].values.tolist() == [["stdin", "a", "-"]]
    assert store.meta["genomes"][0]["sha256"] == hashlib.sha256(b">a\nACGT\n").hexdigest()


def test_policies(data: Path, tmp_path: Path) -> None:
    path = str(data / "a.1.fa.gz")
    ingest.run([path], tmp_path / "store", Settings(lowercase="mask"))
    assert decode(TokenStore.open(tmp_path / "store").tokens) == "NNNNTN"
    with pytest.raises(InputError, match=r"a\.1\.fa\.gz line 2 column 4, record 'c1': found the ambiguity code 'R'"):
        ingest.run([path], tmp_path / "other", Settings(ambiguous="refuse"))


def test_short_contigs_are_left_out_and_counted(data: Path, tmp_path: Path) -> None:
    summary = ingest.run([str(data / "b.fna")], tmp_path / "store", Settings(min_contig=3))
    store = TokenStore.open(tmp_path / "store")
    assert store.contigs.contig.tolist() == ["c1"]
    assert len(store.tokens) == 5
    found = summary.iloc[0]
    assert (found.records, found.bases, found.dropped, found.dropped_bases) == (2, 5, 1, 2)
    with pytest.raises(InputError, match=r"b\.fna: found no contig of 6 bases or more in genome 'b'"):
        ingest.run([str(data / "b.fna")], tmp_path / "other", Settings(min_contig=6))


def test_provenance(data: Path, tmp_path: Path) -> None:
    ingest.run([str(data / "b.fna")], tmp_path / "store", Settings(min_contig=1))
    record = json.loads((tmp_path / "store" / "store.json.provenance.json").read_text())
    assert record["verb"] == "ingest"
    assert record["settings"]["min_contig"] == 1
    assert record["inputs"]["b"]["sha256"] == hashlib.sha256((data / "b.fna").read_bytes()).hexdigest()


def test_the_same_twice(data: Path, tmp_path: Path) -> None:
    sums = []
    for name in ("one", "two"):
        ingest.run([str(data)], tmp_path / name, Settings())
        sums.append(TokenStore.open(tmp_path / name).checksum())
    assert sums[0] == sums[1]


# ---- several processes


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("settings", [Settings(), Settings(min_contig=3, lowercase="mask")])
def test_any_number_of_processes_writes_the_same_store(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.chdir(data)  # relative paths mean the same to every process
    gff = "##gff-version 3\nc1\t.\tgene\t1\t4\t.\t+\t.\tID=x\nc2\t.\tgene\t1\t2\t.\t+\t.\tID=y\n"
    write(data, {"b.gff": gff, "s.tsv": "genome\tpath\tfeatures\nB\tb.fna\tb.gff\nA\ta.1.fa.gz\t\n"})
    stores = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b">a\nACGT\n>b\nAC\n")))
        ingest.run(["c.gbk", "-", "s.tsv"], tmp_path / "store", settings, threads)
        TokenStore.open(tmp_path / "store").verify()
        stores.append(contents(tmp_path / "store"))
    assert stores[0] == stores[1] == stores[2]
    assert {"features.tsv", "tokens.bin"} <= stores[0].keys()


def test_several_processes_name_the_first_bad_genome_and_leave_nothing(data: Path, tmp_path: Path) -> None:
    late = ">a\n" + "ACGT\n" * 100_000 + "!\n"  # found wrong after the others are
    write(data, {"a.2.fa": late, "d.fa": ">a\nAC!\n", "e.fa": ""})
    messages = set()
    for threads in (1, 3):
        with pytest.raises(InputError) as error:
            ingest.run([str(data)], tmp_path / "store", Settings(), threads)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert "a.2.fa line 100002 column 1" in messages.pop()
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_a_process_that_is_killed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_read_part", kill)
    with pytest.raises(InputError, match=r"a process that read genomes was killed.*--threads 1"):
        ingest.run([str(data)], tmp_path / "store", Settings(), 2)
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def kill(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_are_as_many_as_are_worth_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genomes, _ = ingest.collection([str(data)])
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert [ingest._processes(genomes, threads) for threads in (0, 1, 2, 9)] == [1, 1, 2, 3]
    monkeypatch.setattr(ingest, "WORTH", 1)
    assert ingest._processes(genomes, 0) == 2


# ---- GenBank


def test_genbank_features(data: Path, tmp_path: Path) -> None:
    ingest.run([str(data / "c.gbk")], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    assert decode(store.contig("TINY.1")) == "AAAATGAAATAACCCCGGGGTTTTNNNNNNACGTAC"
    assert store.meta["genomes"][0]["n_N"] == 4
    assert store.meta["genomes"][0]["n_iupac"] == 2
    assert store.features().drop(columns=["genome", "contig"]).values.tolist() == [
        [3, 12, "+", "gene", "abc", "", "", "", 0, "", ""],
        [3, 12, "+", "CDS", "T_1", "small thing", "MK", "", 0, "", ""],
        [0, 36, "-", "CDS", "P1.1", "", "", "30-36,0-6", 0, "", ""],
        [12, 20, "+", "tRNA", "", "", "", "", 0, "", "partial"],
    ]


def test_genbank_phase_code_and_flags(tmp_path: Path) -> None:
    text = GENBANK.replace('/locus_tag="T_1"', '/locus_tag="T_1"\n                     /codon_start=2\n')
    text = text.replace("/codon_start=2\n", "/codon_start=2\n                     /transl_table=4")
    text = text.replace('/protein_id="P1.1"', '/protein_id="P1.1"\n                     /pseudo')
    ingest.run([str(write(tmp_path, {"x.gb": text}) / "x.gb")], tmp_path / "store", Settings())
    rows = TokenStore.open(tmp_path / "store").features()[["type", "phase", "table", "flags"]].values.tolist()
    assert rows[1:3] == [["CDS", 1, "4", ""], ["CDS", 0, "", "pseudo"]]


def test_features_of_dropped_contigs_go_too(tmp_path: Path) -> None:
    other = GENBANK.replace("TINY", "LONG").replace("36 bp", "46 bp").replace("acgtac\n", "acgtacgtac gtacgt\n")
    path = write(tmp_path, {"x.gb": GENBANK + other}) / "x.gb"
    ingest.run([str(path)], tmp_path / "store", Settings(min_contig=40))
    store = TokenStore.open(tmp_path / "store")
    assert store.contigs.contig.tolist() == ["LONG.1"]
    assert set(store.features().contig) == {"LONG.1"}


def test_genbank_of_a_bacterium(shared: Path, tmp_path: Path) -> None:
    path = shared / "annotated/leptospira_kirschneri_H1.gbk.gz"
    ingest.run([str(path)], tmp_path / "store", Settings())
    store = TokenStore.open(tmp_path / "store")
    features = store.features()
    genes = features[features.type == "CDS"]
    assert len(genes) == 4162
    checked = 0
    for gene in genes[(genes.translation != "") & (genes.parts == "")].iloc[::40].itertuples():
        tokens = store.contig(str(gene.contig))[int(str(gene.start)) : int(str(gene.end))]
        letters = decode(reverse_complement(np.asarray(tokens)) if gene.strand == "-" else tokens)
        if len(letters) % 3 or "N" in letters:
            continue
        protein = str(Seq(letters).translate(table="Bacterial")).rstrip("*")
        assert protein[1:] == str(gene.translation)[1:]  # the first is M whatever the start codon
        checked += 1
    assert checked > 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GENBANK.replace("//\n", ""), "the GenBank file ends early"),
        (GENBANK.split("ORIGIN")[0] + "ORIGIN\n//\n", "record 1, 'TINY.1': found no sequence"),
        (GENBANK.split("ORIGIN")[0] + "CONTIG      join(X:1..36)\n//\n", "record 1, 'TINY.1': found no sequence"),
        (GENBANK.split("ORIGIN")[0] + "//\n", "is no GenBank file that can be read"),
        (GENBANK + GENBANK, "record 2: found the name 'TINY.1' again"),
        (GENBANK.replace("aaaatgaaat", "aaaatgaaae"), "record 1, 'TINY.1', base 10: found 'E'"),
        (GENBANK.replace("36 bp    DNA", "xx bp    DNA"), "is no GenBank file that can be read"),
    ],
)
def test_genbank_messages(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, {"x.gb": text}) / "x.gb"
    with pytest.raises(InputError) as error:
        ingest.run([str(path)], tmp_path / "store", Settings())
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["x.gb"]


def test_genbank_without_end(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no_end_marker\.gb: the GenBank file ends early"):
        ingest.run([str(shared / "malformed/biopython/no_end_marker.gb")], tmp_path / "store", Settings())


# ---- one test per message


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ({}, [], "no input, expected"),
        ({}, ["x.fa"], "x.fa: no such file"),
        ({"x.fa": ""}, ["x.fa"], "x.fa: is empty"),
        ({"x.fa": "\n"}, ["x.fa"], "x.fa: has no record"),
        ({"x.fa": ">a\nAC\n>a\nAC\n"}, ["x.fa"], "x.fa line 3: found the name 'a' again"),
        ({"x.fa": ">a\nMKLPEF\n"}, ["x.fa"], "is this protein?"),
        ({"d/notes.txt": ""}, ["d"], "d: no file to read in this folder, expected .fa"),
        ({"d/x.fa": ">a\nA", "d/x.gbk": GENBANK}, ["d"], "both are genome 'x'"),
        ({"s.tsv": "genome\tfile\nx\tx.fa\n"}, ["s.tsv"], "s.tsv: no column path"),
        (
            {"s.csv": "genome,path\nx,x.fa\n"},
            ["s.csv"],
            "s.csv line 1: found commas between the columns, expected",
        ),
        ({"s.tsv": '"genome"; "path"\nx;x.fa\n'}, ["s.tsv"], "line 1: found semicolons between the columns, expected"),
        ({"s.tsv": "genome  path\nx  x.fa\n"}, ["s.tsv"], "line 1: found blanks between the columns, expected tabs"),
        ({"s.tsv": "genome\tpath\nx\tx.fa\n"}, ["s.tsv"], "x.fa: no such file"),
        ({"s.tsv": "genome\tpath\n\tx.fa\n"}, ["s.tsv"], "s.tsv row 1: found no genome name"),
        (
            {"s.tsv": "genome\tpath\nx\tx.fa\nx\ty.fa\n", "x.fa": ">a\nA", "y.fa": ">a\nA"},
            ["s.tsv"],
            "both are genome 'x'",
        ),
        (
            {"s.tsv": "genome\tpath\tsplit\nx\tx.fa\ttset\n", "x.fa": ">a\nA"},
            ["s.tsv"],
            "genome 'x': found split 'tset'",
        ),
    ],
)
def test_messages(tmp_path: Path, files: dict[str, bytes | str], given: list[str], message: str) -> None:
    write(tmp_path, files)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error:
        ingest.run([str(tmp_path / name) for name in given], tmp_path / "store", Settings())
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(ambiguous="skip"), "ingest.ambiguous: found 'skip', expected N or refuse"),
        (Settings(lowercase="drop"), "ingest.lowercase: found 'drop', expected keep or mask"),
        (Settings(min_contig=-1), "ingest.min_contig"),
    ],
)
def test_settings(data: Path, tmp_path: Path, settings: Settings, message: str) -> None:
    with pytest.raises(InputError) as error:
        ingest.run([str(data)], tmp_path / "store", settings)
    assert message in str(error.value)


def test_a_store_that_gives_way_is_told(tmp_path: Path, call) -> None:
    file, out = tmp_path / "a.fa", tmp_path / "store"
    file.write_text(">a\nACGT\n")
    assert "replaces" not in call("ingest", file, "--out", out)[2]
    assert f"{out}: replaces a store of 1 genomes" in call("ingest", file, "--out", out)[2]
    (out / "store.json").write_text("damaged")
    assert call("ingest", file, "--out", out)[0] == 0


def test_an_error_keeps_the_old_store(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    ingest.run([str(data / "b.fna")], out, Settings())
    before = TokenStore.open(out).checksum()
    bad = write(tmp_path, {"bad.fa": ">a\nACGT\n>b\nAC!\n"}) / "bad.fa"
    with pytest.raises(InputError):
        ingest.run([str(data / "b.fna"), str(bad)], out, Settings())
    assert TokenStore.open(out).checksum() == before
    ingest.run([str(data / "c.gbk")], out, Settings())
    assert TokenStore.open(out).genomes.genome.tolist() == ["c"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.fa", "data", "store"]


def test_a_folder_of_other_files_is_never_replaced(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists and is no token store"):
        ingest.run([str(data / "b.fna")], data, Settings())
    assert (data / "notes.txt").exists()
    (tmp_path / "empty").mkdir()
    ingest.run([str(data / "b.fna")], tmp_path / "empty", Settings())
    shutil.rmtree(tmp_path / "empty")


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path / "caf") + b"\xe9.fa"))
    path.write_bytes(b">a\nACGT\n")
    with pytest.raises(InputError, match="the file's name is no UTF-8 text, expected one; rename it"):
        ingest.run([str(path)], tmp_path / "store", Settings())
