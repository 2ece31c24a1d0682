"""Kill genossl at random moments, look at what is left, start it again, and compare the end with an unbroken run.

python tests/faults/kills.py --kills 200 --checkpoints 500 --seed 0      prints a line of JSON for each kind of kill

A command runs in a fork of this process, which has imported what takes seconds to import. Half of the moments are
points in time, spread evenly over the run; the other half are events: the n-th time that it opens, renames, removes or
syncs a file, so that moments lie within writes however short these are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["OMP_NUM_THREADS"] = "1"  # bitwise results are promised at equal threads; and a fork keeps one thread only

import numpy as np
import pandas as pd
import planted
import torch

from genossl import cli, files
from genossl.model import checkpoint
from genossl.verbs import embed, ingest, pretrain, probe, report  # noqa: F401  what a fork finds imported

EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod"}  # and open for writing, and fsync
SETTINGS = {
    "pretrain": {"steps": 60, "batch": 8, "log_every": 3, "checkpoint_every": 4, "precision": "fp32"},
    "encoder": {"k": 3, "width": 20, "stride": 20, "hidden": 16, "channels": 8, "context": 8},
    "self_genomenet": {"length": 100, "distance": 200, "projection": 8},
}
PROBE = {"shots": [1, 5], "draws": 2, "replicates": 100}


@dataclass
class Case:
    """A command whose last word but options is made of `{out}`, the folder that it writes into."""

    verb: str
    words: list[str]
    older: list[str] = field(default_factory=list)  # the same on other input: what stood there before
    leader_only: bool = True  # kill the process alone, as the kernel does that is out of memory, or with its children
    whole: dict[str, str] = field(default_factory=dict)  # fingerprints of an unbroken run's files
    before: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    events: int = 0
    sizes: list[int] = field(default_factory=list)  # bytes of the unbroken run's files


# ---- a command in a fork


def start(words: list[str], log: Path, at_event: int = 0, count: bool = False) -> tuple[int, int]:
    """Process and the reading end of what it acknowledges: steps that were saved, and its events if they count."""
    reader, writer = os.pipe()
    if process := os.fork():
        os.close(writer)
        return process, reader
    code = 1
    try:
        os.setsid()
        os.close(reader)
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        seen = _watch(at_event)
        _acknowledge(writer)
        sys.argv = ["genossl", "--quiet", *words]
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        if count:
            os.write(writer, f"events {seen()}\n".encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(at: int) -> Callable[[], int]:
    """Count events of writing; at number `at` this process kills itself."""
    n = 0

    def event() -> None:
        nonlocal n
        n += 1
        if n == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, given: tuple) -> None:
        writes = name == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or name in EVENTS:
            event()

    plain = os.fsync

    def fsync(descriptor: int) -> None:
        event()
        plain(descriptor)

    os.fsync = fsync
    sys.addaudithook(hook)
    return lambda: n


def _acknowledge(writer: int) -> None:
    plain = checkpoint.save_state

    def save_state(folder: Path, step: int, *given: object) -> None:
        plain(folder, step, *given)
        os.write(writer, f"saved {step}\n".encode())

    checkpoint.save_state = save_state


def told(reader: int) -> dict[str, int]:
    """The last number of each word that a process said before it ended."""
    with os.fdopen(reader) as stream:
        return {line.split()[0]: int(line.split()[1]) for line in stream if line.endswith("\n")}


def _kill(process: int, with_children: bool) -> None:
    if with_children:
        with contextlib.suppress(ProcessLookupError):  # before it leads a group
            os.killpg(process, signal.SIGKILL)
    os.kill(process, signal.SIGKILL)


def end(process: int) -> int:
    """Its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# ---- what is left


def fingerprint(path: Path, folder: Path) -> str:
    """Checksum of a file without its times and the folder that it was written into, in which equal runs may differ."""
    if path.name.endswith(".provenance.json"):
        return path.read_text().replace(str(folder), "{out}")
    if path.name == "log.tsv":
        lines = [line.rpartition("\t")[0] for line in path.read_text().splitlines()]
        return files.hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if path.name == "log.jsonl":
        return json.dumps([json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()])
    if path.name == "encoder.json":
        about = json.loads(path.read_text())
        files.check_seal(path, about)
        return json.dumps({name: value for name, value in about.items() if name not in ("seconds", "seal")})
    return files.sha256(path)


def finals(folder: Path) -> dict[str, str]:
    """Fingerprint of every file that stands under a final name; temporary names begin with a dot."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "state" not in parts and not any(part.startswith(".") for part in parts):
            found["/".join(parts)] = fingerprint(path, folder)
    return found


def states(folder: Path) -> list[int]:
    """Steps of the saved states below; ValueError where one is not whole."""
    steps = []
    for path in sorted(folder.rglob("step-*")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            manifest = json.loads((path / "manifest.json").read_text())
            files.check_seal(path, manifest)
            if files.sha256(path / "state.pt") != manifest["sha256"]:
                raise ValueError(f"{path} is not whole")
            steps.append(manifest["step"])
    return steps


def wrong(case: Case, folder: Path) -> str | None:
    """What stands under a final name and should not: neither the old file nor the new one, or some of both."""
    try:
        found = finals(folder)
        states(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for generation in (case.whole, case.before):
        if found.items() <= generation.items():
            return None
    return f"files of neither the unbroken run nor what was there before: {sorted(found)}"


# ---- the trials


def trial(case: Case, work: Path, chance: random.Random, kills: int) -> tuple[int, int, int, list[str]]:
    """Kill a command up to four times, then let it end. Returns kills, lost, wrong and what was amiss."""
    folder = work / case.verb
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if case.before and chance.random() < 0.5:
        shutil.copytree(work / f"{case.verb}.before", folder, dirs_exist_ok=True)
    words = [word.replace("{out}", str(folder)) for word in case.words]
    killed, lost, amiss, saved = 0, 0, [], 0
    for _ in range(min(kills, chance.randint(1, 4))):
        by_event = chance.random() < 0.5
        moment = chance.random()
        process, reader = start(words, work / "log", 1 + int(moment * case.events) if by_event else 0)
        if not by_event:
            time.sleep(moment * case.seconds)
            _kill(process, with_children=not case.leader_only)
        code, said = end(process), told(reader)
        if code == 0:  # it was faster
            break
        if code != -signal.SIGKILL:
            amiss.append(f"{case.verb}: exit {code}: {(work / 'log').read_text()[-1000:]}")
            break
        killed += 1
        saved = max(saved, said.get("saved", 0))
        if problem := wrong(case, folder):
            amiss.append(f"{case.verb}: {problem}")
        if saved and not (folder / "run" / "encoder.json").exists() and max(states(folder), default=0) < saved:
            lost += 1
    code, said = in_a_fork(words, work / "log")
    if code:
        lost += 1
        amiss.append(f"{case.verb}: exit {code} of the last start: {said[-1000:]}")
    if finals(folder) != case.whole:
        amiss.append(f"{case.verb}: the end differs from an unbroken run's")
    if left := [str(path) for path in folder.rglob(".*")]:
        amiss.append(f"{case.verb}: left over: {left}")
    return killed, lost, len(amiss), amiss


def unbroken(case: Case, work: Path) -> None:
    """Run it once: fingerprints, seconds, number of events; and once on other input for what was there before."""
    folder = work / case.verb  # the same as later, since provenance names it
    for words in filter(None, (case.older, case.words)):
        folder.mkdir()
        began = time.monotonic()
        process, reader = start([word.replace("{out}", str(folder)) for word in words], work / "log", count=True)
        code = end(process)
        assert code == 0, (work / "log").read_text()
        case.seconds, case.events = time.monotonic() - began, told(reader)["events"]
        if words is case.older:
            case.before = finals(folder)
            folder.rename(work / f"{case.verb}.before")
    case.whole = finals(folder)


def in_a_fork(words: list[str], log: Path) -> tuple[int, str]:
    """Exit code of a command that nobody kills, and what it said."""
    process, reader = start(words, log)
    code = end(process)
    os.close(reader)
    return code, log.read_text()


def prepare(data: Path, run_command: Callable[[list[str], Path], tuple[int, str]] = in_a_fork) -> list[Case]:
    """Two species, a table of their reads, and what each verb needs of the verbs before it."""
    data.mkdir()
    rng = np.random.default_rng(0)
    sources = {name: planted.symmetric(rng, 4, 0.5) for name in ("one", "two")}
    sheet = planted.collection(data / "genomes", sources, 2, 8000, 1)
    rows = []
    for split, n in (("train", 60), ("validation", 20), ("test", 30)):
        for species in sources:
            genome = f"{species}_{split}"
            places = rng.integers(0, 7800, n)
            rows += [(genome, f"{genome}_{i % 2}", at, at + 150, species, split) for i, at in enumerate(places)]
    labels = pd.DataFrame(rows, columns=["genome", "contig", "start", "end", "label", "split"])
    labels.insert(0, "id", [f"r{i}" for i in range(len(labels))])
    labels.to_csv(data / "species.tsv", sep="\t", index=False)
    labels.assign(id=labels["id"][::-1].to_list()).to_csv(data / "other.tsv", sep="\t", index=False)
    for name in "abc":  # large enough that writing them takes a while
        letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 6_000_000)].tobytes()
        lines = b"\n".join(letters[i : i + 80] for i in range(0, len(letters), 80))
        (data / f"{name}.fa").write_bytes(b">" + name.encode() + b"\n" + lines + b"\n")
    sets = [f"--set={section}.{key}={value}" for section, loop in SETTINGS.items() for key, value in loop.items()]
    results = data / "results"
    store, run, table = results / "store", results / "runs" / "ours", data / "species.tsv"
    vectors = results / "embeddings" / "species"
    probed = ["--labels", str(table), "--settings", json.dumps(PROBE)]
    for words in (
        ["ingest", str(sheet), "--out", str(store)],
        ["pretrain", str(store), "--out", str(run), *sets],
        ["embed", str(run), str(table), "--sequences", str(store), "--out", str(vectors / "ours.npy")],
        ["embed", "kmer:2", str(table), "--sequences", str(store), "--out", str(vectors / "kmer2.npy")],
        ["probe", *(str(vectors / f"{name}.npy") for name in ("ours", "kmer2")), *probed, "--task", "species",
         "--out", str(results / "scores" / "species.tsv")],
    ):  # fmt: skip
        code, said = run_command(words, data / "log")
        assert code == 0, said
    genomes = [str(data / f"{name}.fa") for name in "abc"]
    embedded = ["--sequences", str(store), "--set", "rows=32", "--out", "{out}/x.npy"]
    one, two = (["probe", str(vectors / f"{name}.npy"), *probed, "--out", "{out}/x.tsv"] for name in ("ours", "kmer2"))
    return [
        Case("ingest", ["ingest", *genomes, "--out", "{out}/store"], ["ingest", *genomes[:2], "--out", "{out}/store"]),
        Case("pretrain", ["pretrain", str(store), "--out", "{out}/run", *sets]),
        Case(
            "embed", ["embed", str(run), str(table), *embedded], ["embed", str(run), str(data / "other.tsv"), *embedded]
        ),
        Case("embed into a folder", ["embed", "kmer:4", str(store), "--set", "rows=16", "--out", "{out}/v/"]),
        Case("probe", one, two),
        Case(
            "report",
            ["report", str(results), "--out", "{out}/report.html"],
            ["report", str(results), "--out", "{out}/report.html", "--set", "verdict_shots=1"],
        ),
    ]


def kill_commands(work: Path, kills: int, chance: random.Random) -> Iterator[dict]:
    """`kills` kills shared among the cases; a line for each."""
    cases = prepare(work / "data")
    for case in cases:
        unbroken(case, work)
    for i, case in enumerate(cases):
        share = kills * (i + 1) // len(cases) - kills * i // len(cases)
        line = {"kind": f"SIGKILL of `genossl {case.verb}`", "tried": 0, "lost": 0, "wrong": 0, "amiss": []}
        while line["tried"] < share and len(line["amiss"]) < 5:
            case.leader_only = chance.random() < 0.5
            killed, lost, bad, amiss = trial(case, work, chance, share - line["tried"])
            line = {**line, "tried": line["tried"] + killed, "lost": line["lost"] + lost,
                    "wrong": line["wrong"] + bad, "amiss": line["amiss"] + amiss}  # fmt: skip
        yield line | {"seconds": round(case.seconds, 2), "events": case.events}
    yield terminate(next(case for case in cases if case.verb == "pretrain"), work, kills // 10, chance)


def terminate(case: Case, work: Path, signals: int, chance: random.Random) -> dict:
    """SIGTERM, as a cluster sends it: exit 75 with the step saved, where training had begun; then the same end."""
    line = {"kind": f"SIGTERM of `genossl {case.verb}`", "tried": 0, "lost": 0, "wrong": 0, "amiss": []}
    while line["tried"] < signals:
        folder = work / f"{case.verb}.stopped"
        shutil.rmtree(folder, ignore_errors=True)
        words = [word.replace("{out}", str(folder)) for word in case.words]
        for stops in reversed(range(4)):
            process, reader = start(words, work / "log")
            if stops:
                time.sleep(chance.random() * case.seconds)
                os.kill(process, signal.SIGTERM)
            code, said, log = end(process), told(reader), (work / "log").read_text()
            line["tried"] += code != 0
            if code == 75 and (
                f"stopped at step {said['saved']} of" not in log or max(states(folder)) != said["saved"]
            ):
                line["lost"] += 1
                line["amiss"].append(f"{log} {said} {states(folder)}")
            elif code not in (0, 75, -signal.SIGTERM):  # the last: before it could listen, or when all was done
                line["wrong"] += 1
                line["amiss"].append(f"exit {code}: {log}")
            if code == 0:
                break
        if finals(folder) != case.whole or any(folder.rglob(".*")):
            line["wrong"] += 1
            line["amiss"].append(f"{finals(folder)} differ from an unbroken run's, or are not all")
    return line


def kill_writer(folder: Path, kills: int, chance: random.Random) -> dict:
    """A process that does nothing but save states, filled with their step, and acknowledges each."""
    folder.mkdir()
    line = {"kind": "SIGKILL of the writer of checkpoints", "tried": 0, "lost": 0, "wrong": 0, "amiss": []}
    warned: list[str] = []
    logging.getLogger("genossl").addHandler(handler := logging.Handler())
    handler.emit = lambda record: warned.append(record.getMessage())
    last = 0
    for _ in range(kills):
        reader, writer = os.pipe()
        if not (process := os.fork()):
            try:
                os.close(reader)
                step = last
                while True:
                    step += 1
                    filled = {name: torch.full((200_000,), float(step)) for name in ("weights", "moments")}
                    checkpoint.save_state(folder, step, {"step": step, **filled}, {"run": 1})
                    os.write(writer, f"saved {step}\n".encode())
            finally:
                os._exit(1)
        os.close(writer)
        time.sleep(0.002 + chance.random() * 0.12)
        os.kill(process, signal.SIGKILL)
        assert end(process) == -signal.SIGKILL
        saved = told(reader).get("saved", last)
        state = checkpoint.load_state(folder, {"run": 1})
        line["tried"] += 1
        reached = state["step"] if state else 0
        if reached < saved:
            line["lost"] += 1
            line["amiss"].append(f"step {saved} was acknowledged, {reached} is there")
        if state and not all(bool((state[name] == reached).all()) for name in ("weights", "moments")):
            line["wrong"] += 1
            line["amiss"].append(f"the state of step {reached} holds another step's numbers")
        left = [path.name for path in folder.iterdir() if not path.name.startswith("step-")]
        if warned or left or len(list(folder.iterdir())) > checkpoint.KEPT:
            line["wrong"] += 1
            line["amiss"].append(f"{warned} {left} {sorted(path.name for path in folder.iterdir())}")
            warned.clear()
        last = reached
    return line | {"steps": last}


def main() -> None:
    """Print what was found, a line of JSON per kind."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--kills", type=int, default=200, help="over ingest, pretrain, embed, probe and report together")
    given.add_argument("--checkpoints", type=int, default=500, help="kills of a process that only saves states")
    given.add_argument("--seed", type=int, default=0, help="of the moments")
    options = given.parse_args()
    torch.set_num_threads(1)
    files.commit()  # asks git, once for all forks
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        if options.checkpoints:
            sys.stdout.write(json.dumps(kill_writer(Path(folder) / "states", options.checkpoints, chance)) + "\n")
            sys.stdout.flush()
        if options.kills:
            (work := Path(folder) / "work").mkdir()
            for line in kill_commands(work, options.kills, chance):
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
