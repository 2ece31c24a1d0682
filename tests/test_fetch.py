"""Fetching from an NCBI on this machine that answers as the real one does, and misbehaves as it does."""

from __future__ import annotations

import datetime
import email.utils
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ncbi
import numpy as np
import pytest
from ncbi import Clock, Ncbi
from planted import reads
from test_workflow import planned, snakemake

from genossl import config
from genossl.errors import InputError, Stopped
from genossl.files import read_json, read_sheet
from genossl.genome import accessions, entrez, network
from genossl.genome.network import Client
from genossl.genome.store import TokenStore
from genossl.verbs import fetch, ingest
from genossl.verbs.fetch import Settings

RECORD, ASSEMBLY = "NC_000001.2", "GCF_000000123.1"
KEY = "abc123secret"
ONE = "esummary.fcgi", "efetch.fcgi"


def bases(seed: int, n: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ncbi]:
    for name in ("NCBI_API_KEY", "NCBI_EMAIL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ncbi.serving() as server:
        server.records[RECORD] = bases(1, 5000)
        server.add_assembly(ASSEMBLY, f">c1 x\n{bases(2, 90_000)}\n>c2\n{bases(3, 500)}\n".encode())
        yield server


def client(clock: Clock | None = None, timeout: float = 5.0, **more: object) -> Client:
    clock = clock or Clock()
    given = {"retries": 3, "backoff": 1.0, "interval": 0.0, "now": clock.now, "sleep": clock.sleep} | more
    return Client(timeout=timeout, **given)  # type: ignore[arg-type]


def run(server: Ncbi, folder: Path, wanted: str, clock: Clock | None = None, timeout: float = 5.0, **more: str):
    """Fetch into folder/genomes; the sheet."""
    (folder / "list.txt").write_text(wanted)
    settings = Settings(**(server.settings | more))  # type: ignore[arg-type]
    return fetch.run(folder / "list.txt", folder / "genomes", settings, client(clock, timeout))


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


# ---- what comes when all is well


def test_a_record_and_an_assembly(server: Ncbi, tmp_path: Path) -> None:
    sheet = run(server, tmp_path, f"# two\n\n{RECORD}  # phage\n{ASSEMBLY.lower()}\n")
    folder = tmp_path / "genomes"
    assert unpacked(folder / f"{RECORD}.fna.gz") == f">{RECORD} planted, complete genome\n{bases(1, 5000)}\n\n".encode()
    packed = server.assemblies[f"{ASSEMBLY}_ASM1v1"][f"{ASSEMBLY}_ASM1v1_genomic.fna.gz"]
    assert (folder / f"{ASSEMBLY}.fna.gz").read_bytes() == packed  # so that anyone can compare the MD5
    assert sorted(file.name for file in folder.iterdir() if not file.name.endswith(".provenance.json")) == [
        f"{ASSEMBLY}.fna.gz", f"{RECORD}.fna.gz", "genomes.tsv",
    ]  # fmt: skip
    told = read_sheet(folder / "genomes.tsv")
    assert told.to_dict("list") == sheet.to_dict("list")
    assert told["genome"].tolist() == told["accession"].tolist() == [RECORD, ASSEMBLY]
    for row in told.to_dict("records"):
        assert hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest() == row["sha256"]
    sources = read_json(folder / "genomes.tsv.provenance.json")["sources"]
    assert [one["accession"] for one in sources] == [RECORD, ASSEMBLY]
    assert sources[0]["url"].endswith(f"/entrez/eutils/efetch.fcgi?db=nuccore&id={RECORD}&rettype=fasta&retmode=text")
    assert sources[1]["url"].endswith(f"/GCF/000/000/123/{ASSEMBLY}_ASM1v1/{ASSEMBLY}_ASM1v1_genomic.fna.gz")
    assert sources[1]["md5"] == hashlib.md5(packed).hexdigest()
    assert [path.rpartition("/")[2] for path in server.paths()] == [
        *ONE, "", "md5checksums.txt", "assembly_status.txt", f"{ASSEMBLY}_ASM1v1_genomic.fna.gz",
    ]  # fmt: skip


def test_ingest_reads_what_fetch_writes(server: Ncbi, tmp_path: Path) -> None:
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}\n")
    ingest.run([str(tmp_path / "genomes" / "genomes.tsv")], tmp_path / "store", ingest.Settings())
    store = TokenStore.open(tmp_path / "store")
    assert store.genomes["accession"].tolist() == [RECORD, ASSEMBLY]
    assert store.contigs["length"].tolist() == [5000, 90_000, 500]


def test_genbank_brings_genes(server: Ncbi, tmp_path: Path) -> None:
    server.add_assembly(ASSEMBLY, b">c1\nACGT\n", text=ncbi.genbank("NZ_AAAA01000001.1", bases(4, 600)))
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}", format="genbank")
    assert (tmp_path / "genomes" / f"{RECORD}.gbff.gz").is_file()
    ingest.run([str(tmp_path / "genomes" / "genomes.tsv")], tmp_path / "store", ingest.Settings())
    store = TokenStore.open(tmp_path / "store")
    assert store.contigs["length"].tolist() == [5000, 600]
    assert store.features()["id"].tolist() == ["T_1", "T_1"]


def test_an_accession_without_a_version_is_the_newest(server: Ncbi, tmp_path: Path) -> None:
    server.add_assembly("GCF_000000123.2", b">c1\nAACC\n", name="ASM1v2")
    sheet = run(server, tmp_path, "NC_000001\nGCF_000000123")
    assert sheet["accession"].tolist() == [RECORD, "GCF_000000123.2"]
    assert sheet["path"].tolist() == ["NC_000001.fna.gz", "GCF_000000123.fna.gz"]
    assert unpacked(tmp_path / "genomes" / "GCF_000000123.fna.gz") == b">c1\nAACC\n"


def test_a_sheet_keeps_files_of_its_own_and_all_columns(server: Ncbi, tmp_path: Path) -> None:
    (tmp_path / "own.fa").write_text(">x\nACGT\n")
    (tmp_path / "s.tsv").write_text(
        "genome\taccession\tpath\tsplit\tfeatures\thost\n"
        f"phage\t{RECORD}\t\ttest\t\tpig\nmine\tin our freezer\town.fa\ttrain\tx.gff\thorse\n"
    )
    settings = Settings(**server.settings)
    sheet = fetch.run(tmp_path / "s.tsv", tmp_path / "a" / "b", settings, client())
    assert sheet.to_dict("list") == {
        "genome": ["phage", "mine"], "path": [f"{RECORD}.fna.gz", "../../own.fa"],
        "accession": [RECORD, "in our freezer"], "sha256": [sheet["sha256"][0], ""],
        "split": ["test", "train"], "features": ["", "../../x.gff"], "host": ["pig", "horse"],
    }  # fmt: skip


def test_the_same_command_writes_the_same_bytes_and_asks_nobody(server: Ncbi, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "genomes").iterdir()}

    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}")
    before, asked = content(), len(server.asked)
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}")
    assert (content(), len(server.asked)) == (before, asked)
    (tmp_path / "genomes" / f"{RECORD}.fna.gz").write_bytes(b"damaged")
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}")
    assert content() == before
    assert [path.rpartition("/")[2] for path in server.paths()[asked:]] == list(ONE)


def test_the_command_line(server: Ncbi, tmp_path: Path, call, again, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text(f"{RECORD}\n{ASSEMBLY}\n")
    given = ["--set", f"entrez={server.settings['entrez']}", "--set", f"genomes={server.settings['genomes']}"]
    code, out, err = call("fetch", "list.txt", "--out", "genomes", *given, "--dry-run")
    assert (code, err, server.asked, Path("genomes").exists()) == (0, "", [], False)
    assert [line.split("\t")[:2] for line in out.splitlines()] == [[RECORD, "fetch"], [ASSEMBLY, "fetch"]]
    code, out, _ = call("fetch", "list.txt", "--out", "genomes", *given)
    assert (code, out) == (0, "genomes/genomes.tsv: 2 genomes, 2 of them from NCBI\n")
    lines = call("fetch", "list.txt", "--out", "genomes", *given, "--dry-run")[1].splitlines()
    assert lines == [f"{name}\tthere\tgenomes/{name}.fna.gz" for name in (RECORD, ASSEMBLY)]
    assert again(tmp_path / "genomes") == []


def test_a_list_from_standard_input_and_a_packed_one(server: Ncbi, tmp_path: Path, monkeypatch) -> None:
    class Input:
        buffer = io.BytesIO(f"{RECORD}\n".encode())

    monkeypatch.setattr(sys, "stdin", Input)
    settings = Settings(**server.settings)
    assert fetch.run("-", tmp_path / "a", settings, client())["genome"].tolist() == [RECORD]
    (tmp_path / "list.gz").write_bytes(gzip.compress(f"{RECORD}\r\n".encode()))
    assert fetch.run(tmp_path / "list.gz", tmp_path / "b", settings, client())["genome"].tolist() == [RECORD]


# ---- what goes wrong and passes: asked again, after longer and longer

JSON_LIMIT = b'{"error":"API rate limit exceeded","count":"11"}'
HTML = b"<!DOCTYPE html><html><body>We are down for maintenance</body></html>"
XML = b'<?xml version="1.0"?><eFetchResult><ERROR>Unable to obtain query #1</ERROR></eFetchResult>'
PASSING = {
    "too many": ncbi.status(429, JSON_LIMIT), "internal": ncbi.status(500, HTML), "gateway": ncbi.status(502),
    "hang up": ncbi.hang_up, "html": ncbi.body(HTML), "limit with 200": ncbi.body(JSON_LIMIT),
    "error with 200": ncbi.body(b"Error: F a i l e d"), "xml error with 200": ncbi.body(XML), "empty": ncbi.body(b""),
    "cut": ncbi.cut(40), "cut without a length": ncbi.chunked(40),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["esummary.fcgi", "efetch.fcgi", "/123/", "md5checksums.txt", "genomic.fna.gz"])
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_asked_again(server: Ncbi, tmp_path: Path, fault: str, ending: str) -> None:
    server.faults = [(ending, PASSING[fault])] * 2
    clock = Clock()
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}", clock)
    assert clock.slept == [1.0, 2.0]
    assert len(server.paths(ending)) == 3
    assert len(server.asked) == 6 + 2
    name = f"{ASSEMBLY}_ASM1v1"
    packed = server.assemblies[name][f"{name}_genomic.fna.gz"]
    assert (tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz").read_bytes() == packed
    assert unpacked(tmp_path / "genomes" / f"{RECORD}.fna.gz").count(b"\n") == 3


@pytest.mark.parametrize(
    "told",
    [[], "x", {}, {"result": []}, {"result": {"uids": 5}}, {"result": {"uids": ["1"]}}, {"result": {"uids": [[]]}},
     {"error": {"error": 5}}, {"result": {"uids": ["1"], "1": "x"}},
     {"result": {"uids": ["1"], "1": {"accessionversion": RECORD}}}, {"result": {"uids": ["1"], "1": {"slen": "x"}}}],
)  # fmt: skip
def test_a_summary_that_is_none_is_asked_for_again(server: Ncbi, tmp_path: Path, told: object) -> None:
    server.faults = [("esummary.fcgi", ncbi.body(json.dumps(told).encode()))]
    clock = Clock()
    run(server, tmp_path, RECORD, clock)
    assert clock.slept == [1.0]


@pytest.mark.parametrize("name", ["GCF_000000123.1_\u00e9", "GCF_000000123.1_a b", "GCF_000000124.1_x", "../../x"])
def test_a_listing_of_strange_names_is_none(server: Ncbi, tmp_path: Path, name: str) -> None:
    server.faults = [("/123/", ncbi.body(f'<a href="{name}/">'.encode()))]
    clock = Clock()
    run(server, tmp_path, ASSEMBLY, clock)
    assert clock.slept == [1.0]


@pytest.mark.parametrize("fault", [ncbi.body(f">{RECORD}\nACGT\n".encode()), ncbi.body(b">a\nA\n>b\nA\n")])
def test_a_record_of_another_length_is_never_taken(server: Ncbi, tmp_path: Path, fault: ncbi.Fault) -> None:
    server.faults = [("efetch.fcgi", fault)] * 4
    with pytest.raises(Stopped, match=r"NC_000001\.2: .*4 tries in vain; 0 of 1 genomes are there, run the same"):
        run(server, tmp_path, RECORD)
    assert [file.name for file in (tmp_path / "genomes").iterdir()] == []
    run(server, tmp_path, RECORD)


def test_a_genbank_record_without_its_end_is_never_taken(server: Ncbi, tmp_path: Path) -> None:
    whole = ncbi.genbank(RECORD, bases(1, 5000))
    server.faults = [("efetch.fcgi", ncbi.body(whole[: len(whole) // 2])), ("efetch.fcgi", ncbi.body(XML))]
    run(server, tmp_path, RECORD, format="genbank")
    assert len(server.paths("efetch.fcgi")) == 3


@pytest.mark.parametrize("content", [b"x" * 1000, gzip.compress(b">c1\nACGT\n"), b"PK\x03\x04 a zip that is cut"])
def test_a_wrong_md5_is_fetched_again_from_the_start(server: Ncbi, tmp_path: Path, content: bytes) -> None:
    server.faults = [("genomic.fna.gz", ncbi.body(content))]
    run(server, tmp_path, ASSEMBLY)
    assert all("Range" not in headers for path, _, headers in server.asked if path.endswith(".fna.gz"))
    server.faults = [("genomic.fna.gz", ncbi.body(content))] * 4
    (tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz").unlink()
    with pytest.raises(Stopped, match=r"came with the MD5 [0-9a-f]{32}, expected [0-9a-f]{32}; 4 tries in vain"):
        run(server, tmp_path, ASSEMBLY)
    assert not (tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz").exists()


def test_a_stalled_transfer_ends_with_the_timeout(server: Ncbi, tmp_path: Path) -> None:
    server.faults = [("genomic.fna.gz", ncbi.stall(10_000)), ("efetch.fcgi", ncbi.stall(100))]
    run(server, tmp_path, f"{ASSEMBLY}\n{RECORD}", timeout=0.3)
    ranges = [headers.get("Range") for path, _, headers in server.asked if path.endswith(".fna.gz")]
    assert ranges == [None, "bytes=10000-"]


def test_a_transfer_that_drips_ends_too(server: Ncbi, tmp_path: Path) -> None:
    server.faults = [("genomic.fna.gz", ncbi.drip)]
    run(server, tmp_path, ASSEMBLY, Clock(tick=1.0))
    assert len(server.paths(".fna.gz")) == 2


def test_the_server_says_how_long_to_wait(server: Ncbi, tmp_path: Path) -> None:
    date = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100))
    server.faults = [
        ("esummary.fcgi", ncbi.status(429, Retry_After="17")),
        ("efetch.fcgi", ncbi.status(503, Retry_After=date)),
    ]
    clock = Clock()
    run(server, tmp_path, RECORD, clock)
    assert clock.slept[0] == 17.0
    assert clock.slept[1] == pytest.approx(100, abs=3)


def test_who_asks_for_hours_is_left_alone(server: Ncbi, tmp_path: Path) -> None:
    server.faults = [("esummary.fcgi", ncbi.status(503, Retry_After="7200"))]
    clock = Clock()
    with pytest.raises(Stopped, match=r"the server asks for a pause of 7,200 s; 0 of 1 genomes are there"):
        run(server, tmp_path, RECORD, clock)
    assert clock.slept == []


def test_an_outage_stops_after_three_genomes_and_the_same_command_goes_on(server: Ncbi, tmp_path: Path) -> None:
    names = [f"NC_10000{i}.1" for i in range(6)]
    server.records |= {name: bases(i, 200) for i, name in enumerate(names)}
    server.faults = [("esummary.fcgi", ncbi.well), ("efetch.fcgi", ncbi.well), *[("", ncbi.status(503))] * 99]
    with pytest.raises(Stopped, match=r"503.*; 1 of 6 genomes are there, run the same command to go on"):
        run(server, tmp_path, "\n".join(names))
    assert len(server.asked) == 2 + 3 * 4
    server.faults = []
    run(server, tmp_path, "\n".join(names))
    assert len(server.asked) == 2 + 3 * 4 + 2 * 5


def test_exit_75_when_nobody_answers(tmp_path: Path, call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "list.txt").write_text(RECORD)
    given = ["--set", "entrez=http://127.0.0.1:9", "--set", "retries=1", "--set", "backoff=0"]
    code, out, err = call("--quiet", "fetch", tmp_path / "list.txt", "--out", tmp_path / "genomes", *given)
    assert (code, out) == (75, "")
    assert "ConnectionRefusedError" in err
    assert err.count("\n") == 1


# ---- going on in the middle


def test_a_cut_transfer_goes_on_where_it_was(server: Ncbi, tmp_path: Path) -> None:
    server.faults = [("genomic.fna.gz", ncbi.cut(9000)), ("genomic.fna.gz", ncbi.cut(100))]
    run(server, tmp_path, ASSEMBLY)
    ranges = [headers.get("Range") for path, _, headers in server.asked if path.endswith(".fna.gz")]
    assert ranges == [None, "bytes=9000-", "bytes=9100-"]


def test_a_server_that_cannot_go_on_sends_all(server: Ncbi, tmp_path: Path) -> None:
    server.ranges = False
    server.faults = [("genomic.fna.gz", ncbi.cut(9000))]
    packed = server.assemblies[f"{ASSEMBLY}_ASM1v1"][f"{ASSEMBLY}_ASM1v1_genomic.fna.gz"]
    run(server, tmp_path, ASSEMBLY)
    assert (tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz").read_bytes() == packed


@pytest.mark.parametrize("left", ["none of it", "more than all of it", "all of it"])
def test_what_is_left_of_a_transfer_is_never_trusted(server: Ncbi, tmp_path: Path, left: str) -> None:
    packed = server.assemblies[f"{ASSEMBLY}_ASM1v1"][f"{ASSEMBLY}_ASM1v1_genomic.fna.gz"]
    (tmp_path / "genomes").mkdir()
    part = tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz.part"
    part.write_bytes({"none of it": b"?" * 500, "more than all of it": packed + b"x", "all of it": packed}[left])
    run(server, tmp_path, ASSEMBLY)
    assert (tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz").read_bytes() == packed
    assert not part.exists()
    assert len(server.paths(".fna.gz")) == {"none of it": 2, "more than all of it": 2, "all of it": 0}[left]


def test_a_kill_costs_what_had_not_come(server: Ncbi, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{RECORD}\n{ASSEMBLY}")
    words = ["fetch", "list.txt", "--out", "genomes", "--settings", json.dumps(server.settings | {"timeout": 60})]
    command = [sys.executable, "-c", "from genossl.cli import main; main()", "--quiet", *words]
    server.faults = [("genomic.fna.gz", ncbi.stall(10_000))]
    part = tmp_path / "genomes" / f"{ASSEMBLY}.fna.gz.part"
    process = subprocess.Popen(command, cwd=tmp_path)
    until = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size == 10_000) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    asked = len(server.asked)
    assert not (tmp_path / "genomes" / "genomes.tsv").exists()
    run(server, tmp_path, f"{RECORD}\n{ASSEMBLY}")
    later = server.asked[asked:]
    assert len(later) == 4  # nothing of the record
    assert later[-1][2]["Range"] == "bytes=10000-"
    assert not [path.name for path in (tmp_path / "genomes").iterdir() if path.name.startswith(".")]


# ---- what is final: one sentence, and all others are fetched all the same


def final(server: Ncbi, tmp_path: Path, accession: str) -> str:
    clock = Clock()
    with pytest.raises(InputError) as error:
        run(server, tmp_path, f"{accession}\nNC_000009.1", clock)
    assert clock.slept == []  # asked once
    assert str(error.value).endswith("(1 of 2 genomes are there)")
    assert (tmp_path / "genomes" / "NC_000009.1.fna.gz").is_file()
    assert not (tmp_path / "genomes" / "genomes.tsv").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def with_another(server: Ncbi) -> Ncbi:
    server.records["NC_000009.1"] = bases(9, 50)
    return server


@pytest.mark.parametrize(
    ("accession", "message"),
    [
        ("NC_999999.1", "NC_999999.1: NCBI has no such nucleotide record"),
        ("GCF_999999999", "GCF_999999999: NCBI has no such assembly (nothing at http://127.0.0.1"),
        ("GCF_000000123.7", "GCF_000000123.7: NCBI has no such version, only GCF_000000123.1"),
    ],
)
def test_what_ncbi_has_not(with_another: Ncbi, tmp_path: Path, accession: str, message: str) -> None:
    assert message in final(with_another, tmp_path, accession)


@pytest.mark.parametrize("accession", [RECORD, "GCF_000000124.1"])
def test_what_ncbi_has_taken_back(with_another: Ncbi, tmp_path: Path, accession: str) -> None:
    with_another.status[accession] = "suppressed"
    with_another.add_assembly("GCF_000000124.1", b">c\nA\n")
    assert f"{accession}: was suppressed by NCBI; take another" in final(with_another, tmp_path, accession)


def test_another_record(with_another: Ncbi, tmp_path: Path) -> None:
    with_another.faults = [("efetch.fcgi", ncbi.body(b">NC_000002.1\nACGT\n"))]
    assert "answers with the record 'NC_000002.1', which is another" in final(with_another, tmp_path, RECORD)
    told = json.dumps({"result": {"uids": ["1"], "1": {"accessionversion": "AB123456.1", "slen": 4}}}).encode()
    with_another.faults = [("esummary.fcgi", ncbi.body(told))]
    (tmp_path / "more").mkdir()
    assert "'AB123456.1', which is another" in final(with_another, tmp_path / "more", RECORD)


def test_a_format_that_an_assembly_has_not(server: Ncbi, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NCBI has no genbank file of it in http"):
        run(server, tmp_path, ASSEMBLY, format="genbank")


@pytest.mark.parametrize("ending", ["esummary.fcgi", "genomic.fna.gz"])
def test_a_redirection_to_another_host_is_not_followed(with_another: Ncbi, tmp_path: Path, ending: str) -> None:
    with ncbi.serving() as other:
        with_another.faults = [(ending, ncbi.status(302, Location=f"{other.base}/x"))]
        accession = RECORD if ending.startswith("e") else ASSEMBLY
        assert "sends us on to http://127.0.0.1:" in final(with_another, tmp_path, accession)
        assert other.asked == []


def test_a_redirection_within_the_host_is_followed(server: Ncbi, tmp_path: Path) -> None:
    name = f"{ASSEMBLY}_ASM1v1"
    place = f"/genomes/all/GCF/000/000/123/{name}/{name}_genomic.fna.gz"
    server.faults = [("genomic.fna.gz", ncbi.status(301, Location=place))]
    run(server, tmp_path, ASSEMBLY)


@pytest.mark.parametrize("code", [401, 403, 407])
def test_who_is_not_let_in_does_not_go_on_asking(with_another: Ncbi, tmp_path: Path, code: int) -> None:
    with_another.faults = [("esummary.fcgi", ncbi.status(code, b"blocked"))]
    with pytest.raises(InputError, match=rf"HTTP {code} .*\(blocked\): the server does not let us in"):
        run(with_another, tmp_path, f"{RECORD}\nNC_000009.1")
    assert len(with_another.asked) == 1


def test_numbers_that_are_none_in_headers(server: Ncbi, tmp_path: Path) -> None:
    server.faults = [("esummary.fcgi", ncbi.status(503, Retry_After=text)) for text in ("\u00b2", "soon")]
    clock = Clock()
    run(server, tmp_path, RECORD, clock)
    assert clock.slept == [1.0, 2.0]


# ---- politeness


@pytest.mark.parametrize(("key", "least"), [("", 0.37), (KEY, 0.11)])
def test_no_more_requests_a_second_than_ncbi_allows(server: Ncbi, tmp_path: Path, monkeypatch, key, least) -> None:
    """Retries count, too; the times are those of the requests."""
    clock, times = Clock(), []
    monkeypatch.setenv("NCBI_API_KEY", key)
    monkeypatch.setattr(fetch, "Client", lambda **given: Client(**given, now=clock.now, sleep=clock.sleep))
    monkeypatch.setattr(Client, "_wait_for_turn", noting(Client._wait_for_turn, lambda: times.append(clock.time)))
    server.faults = [("efetch.fcgi", ncbi.status(500))]
    (tmp_path / "list.txt").write_text(f"{RECORD}\n{ASSEMBLY}")
    fetch.run(tmp_path / "list.txt", tmp_path / "genomes", Settings(**server.settings, backoff=0.0))
    assert len(times) == len(server.asked) == 7
    assert np.diff(times).min() == pytest.approx(least)


def noting(function, note):
    def wrapped(self):
        function(self)
        note()

    return wrapped


def test_who_asks_says_who_it_is(server: Ncbi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBI_EMAIL", "me@lab.org")
    run(server, tmp_path, RECORD)
    form, headers = server.asked[0][1:]
    assert (form["tool"], form["email"]) == ("genossl", "me@lab.org")
    assert headers["User-Agent"].startswith("genossl/")
    run(server, tmp_path, "NC_000001", email="you@lab.org")
    assert server.asked[-1][1]["email"] == "you@lab.org"


# ---- the key, addresses and names


def test_the_key_goes_to_entrez_and_nowhere_else(server: Ncbi, tmp_path: Path, monkeypatch, call) -> None:
    monkeypatch.setenv("NCBI_API_KEY", KEY)
    (tmp_path / "list.txt").write_text(f"{RECORD}\n{ASSEMBLY}\nNC_000002.1\n")
    echo = f'{{"error":"no, {KEY}"}}'.encode()
    server.faults = [("efetch.fcgi", ncbi.status(500, echo)), ("esummary.fcgi", ncbi.body(echo))]
    given = json.dumps(server.settings | {"backoff": 0, "retries": 1})
    command = ("fetch", tmp_path / "list.txt", "--out", tmp_path / "genomes", "--settings", given)
    code, out, err = call(*command)
    assert code == 2
    server.records["NC_000002.1"] = "ACGT"
    told = out + err + "".join(call(*command)[1:])
    assert "again in 0 s" in told
    assert "***" in told
    forms = [form for path, form, _ in server.asked if path.startswith("/entrez")]
    assert {form["api_key"] for form in forms} == {KEY}
    assert all(KEY not in json.dumps([path, headers]) for path, _, headers in server.asked)
    assert all(not form for path, form, _ in server.asked if not path.startswith("/entrez"))
    written = b"".join(path.read_bytes() for path in (tmp_path / "genomes").iterdir())
    assert KEY not in told
    assert KEY.encode() not in written


def test_a_key_that_ncbi_does_not_know(server: Ncbi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'{{"error":"API key invalid","api-key":"{KEY}","type":"invalid"}}'.encode()
    server.faults = [("esummary.fcgi", ncbi.status(400, body))]
    with pytest.raises(InputError, match="NCBI_API_KEY: NCBI does not know this key"):
        run(server, tmp_path, RECORD)
    monkeypatch.setenv("NCBI_API_KEY", "a b\nc")
    with pytest.raises(InputError, match="NCBI_API_KEY: expected letters and digits alone") as error:
        run(server, tmp_path, RECORD)
    assert "a b" not in str(error.value)


@pytest.mark.parametrize(
    ("base", "sent"),
    [
        ("https://eutils.ncbi.nlm.nih.gov/entrez/eutils", True), ("http://localhost:1", True),
        ("https://ncbi.nlm.nih.gov.evil.org", False), ("https://evilncbi.nlm.nih.gov", False),
    ],
)  # fmt: skip
def test_a_mirror_never_sees_the_key(base: str, sent: bool) -> None:
    assert entrez.takes_key(base) == sent


@pytest.mark.parametrize(
    "url", ["http://ftp.ncbi.nlm.nih.gov", "ftp://ftp.ncbi.nlm.nih.gov", "file:///etc", "https://me:pw@x.org", "x", "",
            "https://x.org/?a=b", "http://localhost.evil.org", "https://[x", "http://127.0.0.1.evil.org/"],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    for name in ("entrez", "genomes"):
        with pytest.raises(InputError, match=rf"fetch: {name}: expected https://HOST/PATH"):
            config.build(Settings, {name: url}, "fetch")


def test_settings() -> None:
    assert config.mistakes(Settings, {}, "fetch") == []
    assert network.base_mistake("http://[::1]:80/x") is None
    for wrong in ({"format": "gff"}, {"retries": -1}, {"timeout": 0}, {"api_key": KEY}):
        assert config.mistakes(Settings, wrong, "fetch")


@pytest.mark.parametrize(
    "text",
    ["NC_000913.3", "nc_000913", "NZ_CP012345.1", "NZ_ABCD01000001.1", "U00096.3", "CP000001", "AE014075.1",
     "MN908947.3", "AAAA02000001.1", "JAABCD010000001.1", "GCF_000005845.2", "GCA_000005845", "NW_123456789.1"],
)  # fmt: skip
def test_accessions(text: str) -> None:
    assert accessions.accession(text) == text.upper()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../../etc/passwd", "expected an acc"), ("NC_000913.3/../x", "expected an acc"), ("-rf", "expected an acc"),
        ("NC_000913.3;rm", "expected an acc"), ("GCF_000005845.2_ASM584v2", "expected an acc"),
        ("NC_000913.3 \x1b[2J", "expected an acc"), ("٠NC_000913", "expected an acc"), ("WP_000001.1", "is a protein"),
        ("AAA12345.1", "is a protein"), ("SRR123456", "is of sequencing reads"), ("PRJNA123456", "is a BioProject"),
        ("SAMN12345678", "is a BioSample"), ("GCF_00584.2", "expected an acc"),
        ("AAAA02000000", "is the master record of a draft"), ("NZ_ABCD00000000.1", "is the master record of a draft"),
    ],
)  # fmt: skip
def test_what_is_no_accession(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(f"{RECORD}\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"list\.txt: .*{message}"):
        fetch.planned(tmp_path / "list.txt", tmp_path / "genomes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.txt"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "# nothing\n", "lists nothing"),
        ("a.txt", f"{RECORD}\n{RECORD}\n", f"{RECORD} occurs more than once"),
        ("a.tsv", "genome\tsplit\na\ttest\n", "no column path or accession"),
        ("a.tsv", "genome\taccession\na\t\n", "genome 'a' has neither path nor accession"),
        ("a.tsv", "genome\taccession\na\tNC_\u0660\u0660\u0660\u0661\u0662\u0663\n", "a.tsv: found 'NC_"),
        ("a.tsv", "genome\tpath\taccession\na\t\tWP_1\n", "a.tsv: WP_1 is a protein"),
        ("b.tsv", None, "no such file"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        fetch.run(tmp_path / name, tmp_path / "genomes", Settings())
    assert message in str(error.value)
    assert not (tmp_path / "genomes").exists()


def test_the_sheet_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "genomes.tsv").write_text(f"genome\taccession\na\t{RECORD}\n")
    with pytest.raises(InputError, match="is read, and would be written over"):
        fetch.run(tmp_path / "genomes.tsv", tmp_path, Settings())


def test_ingest_names_fetch(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_text(f"genome\taccession\na\t{RECORD}\n")
    with pytest.raises(InputError, match=r"genome 'a': has an accession and no path; `genossl fetch .*` first"):
        ingest.run([str(tmp_path / "s.tsv")], tmp_path / "store", ingest.Settings())


# ---- in the workflow

SMALL = """
collection: tiny
genomes: data/genomes.tsv
tasks: tasks.tsv
runs:
  ours:
    pretrain: {steps: 3, batch: 8}
    encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
    self_genomenet: {length: 200, distance: 300}
baselines: [kmer2]
probe: {shots: [5], draws: 1, heads: [logistic], replicates: 100, block: 1000}
report: {verdict_shots: 5}
audit: {stop: false}
"""


@pytest.fixture
def project(server: Ncbi, tmp_path: Path) -> Path:
    """A collection of which one genome has a file and two have accessions."""
    reads(tmp_path, {"train": 10, "validation": 6, "test": 20})
    sheet = read_sheet(tmp_path / "data" / "genomes.tsv")
    rows = ["\t".join(["genome", "path", "accession", "split"])]
    for i, row in enumerate(sheet.to_dict("records")):
        fasta = (tmp_path / "data" / row["path"]).read_bytes()
        accession = f"GCF_00000{i:04d}.1"
        server.add_assembly(accession, fasta)
        rows.append("\t".join([row["genome"], "" if i else row["path"], accession, row["split"]]))
    (tmp_path / "data" / "genomes.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "config.yaml").write_text(f"{SMALL}fetch: {json.dumps(server.settings | {'backoff': 0.1})}\n")
    return tmp_path


def test_the_workflow_fetches_what_has_no_path(server: Ncbi, project: Path, call, monkeypatch) -> None:
    monkeypatch.chdir(project)
    n = len(read_sheet("data/genomes.tsv"))
    code, out, _ = call("check", "config.yaml")
    assert code == 0
    assert f"{n - 1} of the genomes will be fetched from NCBI, the first of them GCF_000000001.1" in out
    assert planned(project)["fetch"] == 1
    assert server.asked == []  # neither check nor a dry run asks anybody
    server.faults = [("genomic.fna.gz", ncbi.cut(50))]
    snakemake(project, "results/tiny/store", "--cores", "1")
    assert len(server.paths(".fna.gz")) == n
    store = TokenStore.open("results/tiny/store")
    assert store.genomes["genome"].tolist() == read_sheet("data/genomes.tsv")["genome"].tolist()
    assert planned(project, "results/tiny/store") == {}
    text = Path("data/genomes.tsv").read_text()
    Path("data/genomes.tsv").write_text(text.replace("\ttest\n", "\tvalidation\n", 1))
    asked = len(server.asked)
    snakemake(project, "results/tiny/store", "--cores", "1")
    assert len(server.asked) == asked  # a changed split fetches nothing
    Path("data/genomes.tsv").write_text(text)


@pytest.mark.slow
def test_an_outage_fails_the_rule_and_keeps_what_came(server: Ncbi, project: Path) -> None:
    server.faults = [("/000/000/002/", ncbi.status(503, Retry_After="7200"))]
    done = snakemake(project, "results/tiny/store", "--cores", "1", check=False)
    assert done.returncode
    assert "the server asks for a pause of 7,200 s" in (project / "logs" / "tiny" / "fetch.log").read_text()
    before = len(server.paths(".fna.gz"))
    assert before
    snakemake(project, "results/tiny/store", "--cores", "1")
    assert len(server.paths(".fna.gz")) == len(read_sheet(project / "data" / "genomes.tsv")) - 1


@pytest.mark.slow
def test_the_whole_workflow_from_accessions_to_the_report(project: Path) -> None:
    snakemake(project, "--cores", "2")
    assert "<html" in (project / "results" / "tiny" / "report.html").read_text()[:200]
    assert planned(project) == {}


@pytest.mark.skipif(not os.environ.get("GENOSSL_LIVE"), reason="asks the real NCBI; set GENOSSL_LIVE=1")
def test_the_real_ncbi(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("NC_001422.1\nGCF_000819615.1\n")  # phiX174, as a record and as an assembly
    sheet = fetch.run(tmp_path / "list.txt", tmp_path / "genomes", Settings())
    ingest.run([str(tmp_path / "genomes" / "genomes.tsv")], tmp_path / "store", ingest.Settings())
    assert TokenStore.open(tmp_path / "store").contigs["length"].tolist() == [5386, 5386]
    assert sheet["accession"].tolist() == ["NC_001422.1", "GCF_000819615.1"]
