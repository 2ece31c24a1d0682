"""Several processes that write, or read, the same thing at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import kills
import numpy as np
import planted
import pytest
from tally import record

from genossl import files
from genossl.genome import fasta

GENOSSL = [sys.executable, "-c", "from genossl.cli import main; main()", "--quiet"]
FETCH = """
import sys
from genossl.genome import fasta
sys.stdin.readline()
names = [f"r{i}" for i in range(0, 2000, 97)]
found = fasta.fetch(sys.argv[1], [(name, 10, 60, "+") for name in names])
print("".join("ACGTN"[base] for tokens in found for base in tokens))
"""


def together(command: list[str], n: int) -> list[tuple[int, str, str]]:
    """Start it n times, all past their imports or not; exit code, output and errors of each."""
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(n)
    ]
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate() for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, kills.Case]:
    return {case.verb: case for case in kills.prepare(tmp_path_factory.mktemp("at_once") / "data", commands.run)}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["ingest", "embed", "embed into a folder", "probe", "report"])
def test_two_that_write_the_same_file(cases: dict[str, kills.Case], tmp_path: Path, verb: str) -> None:
    """Both may end well; whoever is last, what stands there is whole."""
    (tmp_path / "whole").mkdir()
    code, said = commands.run(commands.in_folder(cases[verb].words, tmp_path / "whole"))
    assert code == 0, said
    wrong, rounds = 0, 5
    for i in range(rounds):
        (folder := tmp_path / str(i)).mkdir()
        ends = together([*GENOSSL, *commands.in_folder(cases[verb].words, folder)], 2)
        problem = [end for end in ends if end[0] != 0]
        wrong += bool(problem) or kills.finals(folder) != kills.finals(tmp_path / "whole") or any(folder.rglob(".*"))
        assert not problem, problem
    record(f"two of `genossl {verb}` write the same at once", rounds, wrong=wrong)


@pytest.mark.slow
def test_two_trainings_in_one_folder(cases: dict[str, kills.Case], tmp_path: Path) -> None:
    """One of them is refused by name, or comes when all is done; the run is that of one alone."""
    (tmp_path / "whole").mkdir()
    words = [*cases["pretrain"].words, "--set=pretrain.steps=400"]
    assert commands.run(commands.in_folder(words, tmp_path / "whole"))[0] == 0
    wrong, rounds, refused = 0, 5, 0
    for i in range(rounds):
        (folder := tmp_path / str(i)).mkdir()
        ends = together([*GENOSSL, *commands.in_folder(words, folder)], 2)
        codes = sorted(code for code, _, _ in ends)
        told = [said for code, _, said in ends if code == 2]
        refused += len(told)
        wrong += codes not in ([0, 2], [0, 0]) or not all("is at work here since" in said for said in told)
        wrong += kills.finals(folder) != kills.finals(tmp_path / "whole")
    assert refused, "they never met"
    record("two trainings in one folder at once", rounds, wrong=wrong)


@pytest.mark.slow
def test_eight_that_index_the_same_fasta(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contigs = {f"r{i}": rng.integers(0, 4, 200).astype(np.uint8) for i in range(2000)}
    path = planted.write_fasta(tmp_path / "many.fa", contigs)
    expected = "".join("ACGTN"[base] for i in range(0, 2000, 97) for base in contigs[f"r{i}"][10:60]) + "\n"
    found = [end for _ in range(5) for end in together([sys.executable, "-c", FETCH, str(path)], 8)]
    record(
        "eight read by index from one FASTA at once", len(found), wrong=sum(end != (0, expected, "") for end in found)
    )
    assert [file.name for file in tmp_path.iterdir()] == ["many.fa"]


# ---- an index beside the user's file that is not its own


INDEX = "a\t90\t3\t60\t61\nb\t90\t98\t60\t61\n"
STALE = {
    "empty": "",
    "cut": INDEX[:-9],
    "garbage": "\x00\xff not an index\n",
    "negative": INDEX.replace("90", "-90"),
    "huge": INDEX.replace("90", "9999999999999"),
    "past the end": INDEX.replace("98", "98000"),
    "no line length": INDEX.replace("60\t61", "0\t0"),
    "of an older file": INDEX.replace("98", "5"),
}


@pytest.mark.parametrize("kind", STALE)
def test_an_index_that_lies_beside_a_fasta_is_not_believed(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    contigs = {name: rng.integers(0, 4, 90).astype(np.uint8) for name in "ab"}
    path = tmp_path / "genome.fa"
    lines = [
        f">{n}\n" + "".join("ACGT"[b] for b in t[:60]) + "\n" + "".join("ACGT"[b] for b in t[60:])
        for n, t in contigs.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    index = tmp_path / "genome.fa.fai"
    index.write_text(STALE[kind])
    os.utime(path, (1, 1))  # the FASTA seems older than its index
    found = fasta.fetch(path, [("b", 50, 80, "+"), ("a", 0, 90, "+")])
    same = np.array_equal(found[0], contigs["b"][50:80]) and np.array_equal(found[1], contigs["a"])
    record("stale .fai beside a FASTA", 1, wrong=not (same and index.read_text() == STALE[kind]))


# ---- input that changes, and too little memory


def test_an_input_that_was_replaced_is_named(cases: dict[str, kills.Case], tmp_path: Path) -> None:
    """One base, the same size, an older time: no time stamp tells."""
    rng, wrong, tried = np.random.default_rng(1), 0, 50
    path = planted.write_fasta(tmp_path / "a.fa", {"c": rng.integers(0, 4, 5000).astype(np.uint8)})
    assert commands.run(["ingest", str(path), "--out", str(tmp_path / "store")])[0] == 0
    whole = path.read_bytes()
    for at in rng.integers(3, len(whole) - 1, tried):
        changed = bytearray(whole)
        changed[at] = ord("N")
        path.write_bytes(changed)
        os.utime(path, (1, 1))
        code, said = commands.run(["check", str(tmp_path / "store")])
        wrong += not (code == 2 and said.count("\n") == 1 and f"{path}: the input a has changed since" in said)
    path.write_bytes(whole)
    assert commands.run(["check", str(tmp_path / "store")]) == (0, "")
    record("input changed after ingest", tried, wrong=wrong)


@pytest.mark.slow
def test_a_worker_of_ingest_that_the_kernel_kills(cases: dict[str, kills.Case], tmp_path: Path) -> None:
    """As the kernel does that has no memory left: one sentence, no store; then the store of an unbroken run."""
    words, rounds, wrong, hit = cases["ingest"].words, 5, 0, 0
    (tmp_path / "whole").mkdir()
    assert commands.run(commands.in_folder(words, tmp_path / "whole"))[0] == 0
    for i in range(rounds):
        (folder := tmp_path / str(i)).mkdir()
        command = [*GENOSSL, *commands.in_folder(words, folder), "--threads", "2"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        victim = _worker(process, folder)
        if victim:
            os.kill(victim, signal.SIGKILL)
            hit += 1
        _, said = process.communicate()
        fine = process.returncode == 2 and "was killed, for want of memory? Read fewer at once: --threads 1" in said
        wrong += victim is not None and not (fine and said.count("\n") == 1 and not list(folder.iterdir()))
        shutil.rmtree(folder)
        folder.mkdir()
        assert commands.run(commands.in_folder(words, folder))[0] == 0
        wrong += kills.finals(folder) != kills.finals(tmp_path / "whole")
    record("worker of ingest killed", hit, wrong=wrong)


def _worker(process: subprocess.Popen, folder: Path) -> int | None:
    """The number of a child that has opened a part of the store, None where the command ended before."""
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            opened = Path(f"/proc/{child}/fd")
            try:
                if any("/part" in os.readlink(link) for link in opened.iterdir()):
                    return int(child)
            except OSError:
                continue
        time.sleep(0.001)
    return None


@pytest.mark.slow
def test_too_little_memory_is_one_sentence(tmp_path: Path) -> None:
    """GenBank is read whole: a limit on the memory of the process is met in the middle of it."""
    lines = ("            " + "x" * 67 + "\n") * 5_000_000
    (tmp_path / "a.gb").write_text("LOCUS       X  1 bp DNA\nCOMMENT     x\n" + lines + "//\n")
    command = ["ingest", str(tmp_path / "a.gb"), "--out", str(tmp_path / "store")]
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (900_000_000,) * 2); "
    done = subprocess.run([GENOSSL[0], "-c", limit + GENOSSL[2], *command], capture_output=True, text=True)
    fine = (
        done.returncode == 2 and done.stderr.startswith("genossl: not enough memory") and done.stderr.count("\n") == 1
    )
    assert fine, done.stderr[-2000:]
    record("ingest out of memory", 1, wrong=not fine or [path.name for path in tmp_path.iterdir()] != ["a.gb"])
    assert files.sha256(tmp_path / "a.gb")
