"""A store, a state or an encoder that was cut short or has a flipped bit is named by whoever reads it."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import commands
import planted
import pytest
import torch
from tally import record

from genossl.errors import InputError
from genossl.genome import inputs
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.verbs import check, ingest

STORE = ("tokens.bin", "contigs.tsv", "genomes.tsv", "features.tsv", "store.json")
IDENTITY = {"seed": 1, "lr": 0.001, "splits": ["train", ""]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    rng = planted.np.random.default_rng(0)
    source = planted.markov(rng, 3, 1.0)
    planted.write_fasta(folder / "a.fa", {f"c{i}": planted.sample(rng, source, 3000) for i in range(2)})
    (folder / "a.gff").write_text("##gff-version 3\nc0\tx\tgene\t1\t90\t.\t+\t.\tID=g\n")
    (folder / "genomes.tsv").write_text("genome\tpath\tsplit\tfeatures\na\ta.fa\ttrain\ta.gff\n")
    ingest.run([str(folder / "genomes.tsv")], folder / "store")
    return folder / "store"


def cuts(path: Path) -> Iterator[Callable[[], None]]:
    """Ways to cut a file, at every sixteenth of it."""
    whole = path.read_bytes()
    for i in range(16):
        yield lambda i=i: path.write_bytes(whole[: len(whole) * i // 16])


def flips(paths: list[Path], n: int, seed: int) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Ways to flip one bit, each time of another file."""
    chance = random.Random(seed)
    for i in range(n):
        path = paths[i % len(paths)]
        raw = bytearray(path.read_bytes())
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        yield path, lambda path=path, raw=raw: path.write_bytes(raw)


def named(action: Callable[[], object], path: Path) -> bool:
    """Whether it is refused with the name of the damaged file."""
    try:
        action()
    except InputError as error:
        return path.name in str(error) and "\n" not in str(error)
    return False


def undamaged(path: Path, damage: Callable[[], None], action: Callable[[], bool]) -> bool:
    """Do it with the damaged file, then put the whole one back."""
    whole = path.read_bytes()
    damage()
    try:
        return action()
    finally:
        path.write_bytes(whole)


def everything(folder: Path) -> None:
    """Read what embed and its kin read, without asking for a check."""
    for _ in inputs.read(folder, 100, 0):
        pass
    TokenStore.open(folder).features()


@pytest.mark.parametrize("name", STORE)
def test_a_store_that_was_cut(store: Path, name: str) -> None:
    path = store / name
    found = [
        undamaged(
            path, cut, lambda: named(lambda: check.artefact(store), path) and named(lambda: everything(store), path)
        )
        for cut in cuts(path)
    ]
    record("file of a store cut short", len(found), wrong=found.count(False))


def test_a_store_with_a_flipped_bit(store: Path) -> None:
    found = [
        undamaged(path, flip, lambda path=path: named(lambda: check.artefact(store), path))
        and undamaged(path, flip, lambda path=path: named(lambda: everything(store), path))
        for path, flip in flips([store / name for name in STORE], 250, 0)
    ]
    record("bit of a store flipped", len(found), wrong=found.count(False))


def test_commands_that_read_a_damaged_store(store: Path, tmp_path: Path) -> None:
    """As a user meets it: exit 2, one line, nothing written."""
    wrong, tried = 0, 0
    for path, flip in flips([store / name for name in STORE if name != "features.tsv"], 12, 1):
        for words in (
            ["embed", "kmer:2", str(store), "--set", "window=100", "--out", str(tmp_path / "x.npy")],
            ["pretrain", str(store), "--set", "pretrain.steps=1", "--out", str(tmp_path / "run")],
        ):
            tried += 1
            code, said = undamaged(path, flip, lambda words=words: commands.run(words))
            wrong += not (code == 2 and said.count("\n") == 1 and path.name in said)
            wrong += any(file.is_file() for file in tmp_path.rglob("*"))
    record("embed and pretrain on a damaged store", tried, wrong=wrong)


@pytest.fixture
def states(tmp_path: Path) -> Path:
    for step in (1, 2):
        state = {"step": step, "weights": torch.full((5000,), float(step))}
        checkpoint.save_state(tmp_path / "state", step, state, IDENTITY)
    return tmp_path / "state"


@pytest.mark.parametrize("kind", ["cut short", "flipped"])
def test_a_damaged_state_gives_way_to_the_one_before(states: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    newest = states / "step-000000002"
    paths = [newest / "state.pt", newest / "manifest.json"]
    ways = [(path, cut) for path in paths for cut in cuts(path)] if kind == "cut short" else flips(paths, 250, 2)
    tried = wrong = 0
    for path, damage in ways:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "genossl"):
            state = undamaged(path, damage, lambda: checkpoint.load_state(states, IDENTITY))
        tried += 1
        wrong += state is None or state["step"] != 1 or not bool((state["weights"] == 1).all())
        wrong += f"{newest} is damaged" not in caplog.text
    record("checkpoint cut short" if kind == "cut short" else "bit of a checkpoint flipped", tried, wrong=wrong)


def test_a_damaged_encoder_is_named(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    paths = [run / "encoder.safetensors", run / "encoder.json"]
    found = [
        undamaged(p, cut, lambda p=p: named(lambda: checkpoint.load_encoder(run), p)) for p in paths for cut in cuts(p)
    ]
    record("encoder cut short", len(found), wrong=found.count(False))
    found = []
    for path, flip in flips(paths, 250, 3):
        # a flipped bit of the recorded checksum is found in encoder.json too, since that is sealed
        found.append(undamaged(path, flip, lambda path=path: named(lambda: checkpoint.load_encoder(run), path)))
    record("bit of an encoder flipped", len(found), wrong=found.count(False))
