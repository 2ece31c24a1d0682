"""How the command line talks: levels on either side of the verb, colour, progress in logs, tables to - and .gz."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from genossl import cli, files, pace
from genossl.cli import talk
from genossl.errors import DiskError
from genossl.evaluation.table import called, read_table

GENOSSL = [sys.executable, "-c", "from genossl.cli import main; main()"]
FASTA = ">a\n" + "ACGTTGCA" * 40 + "\n>b\n" + "GATTACA" * 60 + "\n"


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    (tmp_path / "x.fa").write_text(FASTA)
    return tmp_path / "x.fa"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("option", ["-q", "--quiet", "-v", "--verbose"])
def test_levels_are_taken_on_either_side_of_the_verb(call, option: str, before: bool) -> None:
    words = [option, "methods", "simclr"] if before else ["methods", "simclr", option]
    code, out, err = call(*words)
    assert (code, "temperature" in out) == (0, True)
    if "q" in option:
        assert (err, files.quiet) == ("", True)
    else:
        first, last = err.splitlines()
        assert re.fullmatch(r"genossl: \d\d:\d\d:\d\d genossl [\d.]+ \(Python .*\)", first)
        assert re.fullmatch(r"genossl: \d\d:\d\d:\d\d [\d.]+ s, at most [\d,]+ MB of memory, exit 0", last)
    assert call("methods", "simclr") == (0, out, "")  # and none of it is left for the next command
    assert not files.quiet


def test_every_verb_takes_both() -> None:
    for name, command in cli.cli.commands.items():
        assert {"-q", "-v", "--quiet", "--verbose"} <= {word for p in command.params for word in p.opts}, name


def test_quiet_keeps_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    talk.listen(logging.WARNING)
    talk.log.info("progress")
    talk.log.warning("odd")
    logging.getLogger("another").info("chatter")
    talk.listen(logging.INFO)
    talk.log.info("told")
    assert capfd.readouterr() == ("", "genossl: odd\ngenossl: told\n")


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """Standard error of a command, as a terminal of 80 columns gets it."""
    ours, theirs = pty.openpty()
    changed = {"TERM": "xterm", "NO_COLOR": ""} | environment
    done = subprocess.Popen([*GENOSSL, *arguments], stderr=theirs, stdout=subprocess.PIPE, env=os.environ | changed)
    done.communicate()
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    return said.decode()


def test_colour_on_a_terminal_and_nowhere_else(call) -> None:
    wrong, told = ("rerun", "nowhere"), "genossl: nowhere: no such file"
    assert on_a_terminal(*wrong) == "\x1b[31m\x1b[1mgenossl:\x1b[0m nowhere: no such file\r\n"
    assert on_a_terminal(*wrong, NO_COLOR="1") == on_a_terminal(*wrong, TERM="dumb") == f"{told}\r\n"
    assert call(*wrong) == (2, "", f"{told}\n")


def test_a_log_has_lines_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    assert list(files.progress(range(5), "ingest", "genome")) == [0, 1, 2, 3, 4]
    assert not caplog.messages  # done before the first line is due
    monkeypatch.setattr(pace, "EVERY", 0.1)
    for _ in files.progress(range(6), "ingest", "genome"):
        time.sleep(0.06)
    assert 1 <= len(caplog.messages) <= 4
    for line in caplog.messages:
        assert re.fullmatch(r"ingest: [1-6] of 6 genomes, 1[\d.]+ genomes/s, 00:00 left", line), line
    monkeypatch.setattr(files, "quiet", True)
    caplog.clear()
    for _ in files.progress(range(3), "ingest", "genome"):
        time.sleep(0.06)
    assert not caplog.messages


def test_the_line_by_hand() -> None:
    """30 steps in 10 s are 3 a second, so the 60 that are left take 20 s; those of an earlier process do not count."""
    shared = {"prefix": "pretrain", "unit": "step", "elapsed": 10.0}
    line = pace.told(n=40, total=100, initial=10, postfix="loss 1.5", **shared)
    assert line == "pretrain: 40 of 100 steps, 3 steps/s, 00:20 left, loss 1.5"
    assert pace.told(n=20_000, total=None, **shared) == "pretrain: 20,000 steps, 2e+03 steps/s"
    assert pace.told(n=0, total=5, **shared) == "pretrain: 0 of 5 steps, 0 steps/s"


def test_packed_tables_are_the_same_bytes_whatever_the_name_and_time(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "x": [0.1, 2.5]})
    for name in ("one.tsv.gz", "two.tsv.gz", "plain.tsv"):
        files.write_tsv(tmp_path / name, table)
    packed = (tmp_path / "one.tsv.gz").read_bytes()
    assert packed == (tmp_path / "two.tsv.gz").read_bytes()
    assert packed[3:8] == b"\0\0\0\0\0"  # no flags, so no name, and no time
    assert gzip.decompress(packed) == (tmp_path / "plain.tsv").read_bytes()
    assert files.read_sheet(tmp_path / "one.tsv.gz").equals(files.read_sheet(tmp_path / "plain.tsv"))


def test_a_packed_file_that_failed_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        with files.text(tmp_path / "x.tsv.gz") as stream:
            stream.write(f"half{1 / 0}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "out,beside",
    [("a/x.tsv", "a/x.rules.tsv"), ("x.y.tsv.gz", "x.y.rules.tsv.gz"), ("a.tsv.d/x.tsv", "a.tsv.d/x.rules.tsv")],
)
def test_names_of_tables_beside_a_table(out: str, beside: str) -> None:
    assert files.beside(out, "rules") == Path(beside)
    assert files.is_table(out)
    assert called(Path("v.tsv.gz")) == called(Path("v.npy")) == "v"


def test_quiet_keeps_results_and_says_nothing_of_files(call, fasta: Path, tmp_path: Path) -> None:
    for words in (
        ("embed", "gc", fasta, "--set", "window=100", "--out", tmp_path / "v.npy"),
        ("ingest", fasta, "--out", tmp_path / "store"),
        ("ingest", fasta, "--out", tmp_path / "store"),  # which replaces one
        ("stats", fasta, "--out", tmp_path / "s.tsv"),
        ("init", tmp_path / "mine"),
    ):
        code, told, err = call("-q", *words)
        assert (code, err) == (0, ""), words
        assert words[0] == "stats" or told == ""
        assert "s.tsv" not in told
    assert call("-q", "stats", fasta)[1].startswith("input")


def test_embeddings_as_text_are_the_embeddings(call, fasta: Path, tmp_path: Path, again) -> None:
    words = ("embed", "kmer:3", fasta, "--set", "window=100", "--device", "cpu")
    for name in ("v.npy", "t.tsv", "t.tsv.gz"):
        code, out, err = call(*words, "--out", tmp_path / name)
        assert (code, out, err) == (0, f"{tmp_path / name}: 9 rows\n", "")
    binary = read_table(tmp_path / "v.npy")
    for name in ("t.tsv", "t.tsv.gz"):
        text = read_table(tmp_path / name)
        assert np.array_equal(text.vectors, binary.vectors)  # nine digits are all of float32
        assert text.rows.equals(binary.rows)
    assert again(tmp_path / "t.tsv.gz") == []
    code, out, err = call("-q", *words, "--out", "-")
    assert (code, out, err) == (0, (tmp_path / "t.tsv").read_text(), "")
    code, out, err = call(*words, "--out", "-")
    assert (out, err) == ((tmp_path / "t.tsv").read_text(), "genossl: -: 9 rows\n")
    assert not list(tmp_path.glob("-*"))


@pytest.fixture(scope="module")
def language(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of causal_lm."""
    from genossl.verbs import pretrain

    small = {"name": "causal_lm", "pretrain": {"steps": 2, "batch": 4, "validate_every": 0}}
    small |= {"encoder": {"hidden": 8, "channels": 8, "context": 8}, "causal_lm": {"length": 60}}
    out = tmp_path_factory.mktemp("talk") / "lm"
    pretrain.run(tiny_store, out, small, pretrain.Jobs(device="cpu"))
    return out


def test_tables_go_to_standard_output_whole_and_alone(call, language: Path, fasta: Path, tmp_path: Path) -> None:
    """Of each verb with one table: what - prints is what lies in the file, packed or not."""
    rng, reads, seeds = np.random.default_rng(0), tmp_path / "reads.fa", tmp_path / "seeds.tsv"
    letters = {"x": "AAAT", "y": "CCCG"}  # two classes that differ in their letters
    records = {f"{name}{i}": "".join(rng.choice(list(letters[name]), 60)) for i in range(40) for name in letters}
    reads.write_text("".join(f">{name}\n{record}\n" for name, record in records.items()))
    seeds.write_text("id\tlabel\n" + "".join(f"{name}\t{name[0]}\n" for name in list(records)[:30]))
    commands = {
        "label": ("label", reads, "--seeds", seeds, "--k", "3"),
        "score": ("score", language, fasta, "--device", "cpu"),
        "stats": ("stats", fasta),
    }
    for name, words in commands.items():
        files_ = [tmp_path / f"{name}.tsv", tmp_path / f"{name}.tsv.gz"]
        for path in files_:
            assert call(*words, "--out", path)[0] == 0
            assert path.with_name(f"{path.name}.provenance.json").is_file()
        code, out, err = call("-q", *words, "--out", "-")
        assert (code, err) == (0, "")
        assert out == files_[0].read_text() == gzip.open(files_[1], "rt").read()
        assert "genossl" not in call(*words, "--out", "-")[1]
    assert (tmp_path / "label.rules.tsv.gz").is_file()
    code, _, err = call("score", language, fasta, "--variants", "x.vcf", "--out", "-")
    assert (code, err) == (2, "genossl: --variants makes a second table; give --out a name for both\n")


def test_generated_dna_packs_by_its_name_and_is_read_again(call, language: Path, tmp_path: Path) -> None:
    words = ("generate", language, "--n", "3", "--length", "50", "--device", "cpu")
    for name in ("made.fa", "made.fa.gz"):
        assert call(*words, "--out", tmp_path / name)[0] == 0
    assert gzip.open(tmp_path / "made.fa.gz", "rt").read() == (tmp_path / "made.fa").read_text()
    assert call("-q", *words, "--out", "-")[:2] == (0, (tmp_path / "made.fa").read_text())
    counted = json.loads(pd.DataFrame(files.read_sheet(_stats(call, tmp_path))).iloc[0].to_json())
    assert (counted["contigs"], counted["bases"]) == ("3", "150")


def _stats(call, folder: Path) -> Path:
    assert call("stats", folder / "made.fa.gz", "--out", folder / "s.tsv")[0] == 0
    return folder / "s.tsv"


def test_a_reader_that_takes_a_line_is_no_error(fasta: Path) -> None:
    """More than a pipe holds, so that writing goes on after head is gone."""
    words = [*GENOSSL, "embed", "kmer:5", str(fasta), "--set", "window=10", "--set", "step=1", "--out", "-", "-q"]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.stdout
    assert writer.stderr
    first = writer.stdout.readline()
    writer.stdout.close()
    assert first.startswith("id\tcontig\tstart\tend\tn_N\tv0\t")
    assert (writer.wait(), writer.stderr.read()) == (128 + signal.SIGPIPE, "")
    writer.stderr.close()


def test_a_full_disk_behind_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(DiskError, match="standard output: cannot be written, No space left on device"):
            with files.text("-") as stream:
                stream.write("x" * 100_000)
        monkeypatch.undo()


# Verbs without --threads or --device, and why. A new verb has them, or a line here.
NO_THREADS = {
    "audit": "one pass over the rows, on one core",
    "check": "reads tables, and files once for their checksums",
    "completion": "prints text",
    "doctor": "looks around",
    "fetch": "waits for a server that asks for patience",
    "init": "writes text",
    "label": "counts with sparse matrices, on one core",
    "methods": "prints text",
    "preview": "one batch",
    "report": "draws figures, on one core",
    "rerun": "prints text",
    "share": "copies weights and writes text",
    "stats": "as fast as one core unpacks",
    "tasks": "one pass over the rows",
}
NO_DEVICE = dict.fromkeys(("ingest", "probe", "cluster"), "no network in it") | NO_THREADS


@pytest.mark.parametrize("option,without", [("--threads", NO_THREADS), ("--device", NO_DEVICE)])
def test_threads_and_device_can_be_chosen_where_there_is_work(option: str, without: dict[str, str]) -> None:
    verbs = cli.cli.commands
    assert set(without) <= set(verbs)
    having = {name for name, command in verbs.items() for p in command.params if option in p.opts}
    assert having == set(verbs) - set(without)
    for name in having:
        assert isinstance(next(p for p in verbs[name].params if option in p.opts), click.Option)


def test_exit_codes_are_told_in_help_and_readme_alike(call, repository: Path) -> None:
    told = " ".join(call("--help")[1].split()).partition("Exit codes: ")[2]
    in_help = set(re.findall(r"(?:^|; )(\d+) ", told))
    table = (repository / "README.md").read_text().partition("| exit code | meaning |")[2].partition("\n\n")[0]
    assert in_help == set(re.findall(r"^\| (\d+) \|", table, re.M)) == {"0", "1", "2", "75", "130", "141"}
