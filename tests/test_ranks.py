"""Several processes that train together take the steps of one: every method, with dropout, at 1, 2 and 4 ranks."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from safetensors.torch import load_file
from test_methods import ENCODERS, NAMES, ROWS
from torch import distributed, multiprocessing

from genossl import methods
from genossl.errors import InputError
from genossl.genome.store import TokenStore
from genossl.model import ranks
from genossl.model.encoder import Encoder
from genossl.recipe import Loop
from genossl.verbs import pretrain

STEPS = 2
# beside every method's defaults: negatives in groups, which lets each rank keep to its own rows
GROUPED = {"self_genomenet group 2": ("self_genomenet", {"group": 2})}
CASES = {name: (name, {}) for name in NAMES} | GROUPED


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    genomes = {"g": ("train", [planted.sample(rng, planted.symmetric(rng, 4, 0.5), 12_000) for _ in range(4)])}
    return planted.store(tmp_path_factory.mktemp("ranks") / "store", genomes)


def trained(case: str, store: Path, own: ranks.Ranks) -> dict[str, torch.Tensor]:
    """Weights after some steps from weights that only the first rank has, the last gradients, and the losses."""
    name, settings = CASES[case]
    kind = methods.load(name)
    torch.manual_seed(own.rank)
    encoder = Encoder(dataclasses.replace(ENCODERS[kind.preset], dropout=0.1))
    loop = Loop(steps=STEPS, batch=ROWS, precision="fp32", log_every=1, validate_every=0, clip=0)
    opened = TokenStore.open(store)
    method = kind(kind.Settings(**settings), encoder)
    trainer = pretrain.Trainer(loop, method, opened, np.arange(len(opened.contigs)), torch.device("cpu"), own)
    trainer.fit_statistics()
    trainer.load(own.from_first(trainer.state()))
    lines = [line for entries, _, _ in trainer.train(lambda: False) for line in entries]
    gradients = {f"d {name}": p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {**method.state_dict(), **gradients, "loss": torch.tensor([line["loss"] for line in lines])}


def work(rank: int, count: int, port: int, store: Path, folder: Path) -> None:
    """One of the processes; what every rank ends with is written down."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    own = ranks.started()
    for case in CASES:
        torch.save(trained(case, store, own), folder / f"{case} {rank}.pt")
    distributed.destroy_process_group()


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module", params=[2, 4])
def together(request, store, tmp_path_factory) -> tuple[int, Path]:
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    multiprocessing.spawn(work, (request.param, port(), store, folder), nprocs=request.param)
    return request.param, folder


@pytest.mark.parametrize("case", CASES)
def test_ranks_end_with_the_weights_of_one_process(case, store, together):
    count, folder = together
    alone = trained(case, store, ranks.ALONE)
    found = [torch.load(folder / f"{case} {rank}.pt", weights_only=True) for rank in range(count)]
    for name, expected in alone.items():
        assert all(torch.equal(found[0][name], other[name]) for other in found[1:]), name
        error = (found[0][name] - expected).float().norm() / expected.float().norm().clamp(min=1e-3)
        assert error.item() < 1e-3, name


def test_the_first_weights_matter(store):
    """The comparison above can fail: another seed ends elsewhere."""
    one = trained("siamese", store, ranks.ALONE)
    other = trained("siamese", store, ranks.Ranks(rank=1))
    assert max((one[name] - other[name]).abs().max().item() for name in one) > 1e-2


def test_a_batch_that_the_ranks_cannot_share_is_refused(store):
    opened = TokenStore.open(store)
    kind = methods.load("siamese")
    method = kind(kind.Settings(), Encoder(ENCODERS["default"]))
    with pytest.raises(InputError, match=r"pretrain\.batch 10: is no multiple of the 4 ranks"):
        pretrain.Trainer(Loop(batch=10), method, opened, np.arange(4), torch.device("cpu"), ranks.Ranks(0, 4))


def test_a_world_without_torchrun_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE is 4, but LOCAL_RANK is not set; use torchrun"):
        ranks.started()


def test_each_rank_has_a_device_of_its_own(monkeypatch):
    jobs, two = pretrain.Jobs, ranks.Ranks(1, 2)
    assert pretrain._device(jobs("cpu"), two) == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(pretrain, "encoder_device", torch.device)
    with pytest.raises(InputError, match="rank 1 of this machine has no GPU: it has 1; start as many ranks as GPUs"):
        pretrain._device(jobs("cuda"), two)
    for name in ("mps", "cuda:0"):
        with pytest.raises(InputError, match=f"device {name}: expected cuda or cpu where several ranks train"):
            pretrain._device(jobs(name), two)


def test_rows_that_the_ranks_cannot_share_are_no_silent_mistake():
    """In training alone: at other times each process reads what it is given."""
    encoder = Encoder(ENCODERS["default"])
    encoder.join(ranks.Ranks(0, 4))
    tokens = torch.zeros(6, 100, dtype=torch.uint8)
    for read in (encoder, encoder.latents):
        with pytest.raises(ValueError, match="gives its encoder 6 rows, which 4 ranks cannot share evenly"):
            read(tokens)
    assert encoder.eval()(tokens).c.shape[0] == 6


def test_torchrun_trains_stops_and_goes_on_with_as_many_ranks(store, tmp_path):
    """As a user types it; the weights are those of one process."""
    sets = ["pretrain.steps=6", "pretrain.batch=8", "pretrain.log_every=1", "pretrain.precision=fp32"]
    sets += ["pretrain.validate_every=0", "encoder.hidden=16", "encoder.channels=16", "encoder.context=16"]
    given = [word for one in sets for word in ("--set", one)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    genossl = str(Path(sys.executable).parent / "genossl")

    def command(out: str, count: int, *more: str) -> subprocess.CompletedProcess:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        words = [*(start if count > 1 else []), *(["--no-python"] if count > 1 else []), genossl, "pretrain"]
        words += [str(store), "--out", str(tmp_path / out), *given, "--device", "cpu", *more]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    assert command("alone", 1).returncode == 0
    stopped = command("shared", 2, "--time-limit", "1e-9")
    assert stopped.returncode != 0
    assert not (tmp_path / "shared" / "encoder.json").exists()
    assert list((tmp_path / "shared" / "state").glob("step-*")), stopped.stderr
    other = command("shared", 1)  # whose sums are rounded otherwise: on a CPU runs are equal bit for bit, or refused
    assert other.returncode == 2
    assert "was saved with ranks = 2, this run has 1" in other.stderr
    went_on = command("shared", 2)
    assert went_on.returncode == 0, went_on.stderr
    assert "resuming at step 1 of 6" in went_on.stderr
    alone, shared = (load_file(tmp_path / run / "encoder.safetensors") for run in ("alone", "shared"))
    assert all((alone[name] - shared[name]).abs().max() < 1e-4 for name in alone)
    assert (tmp_path / "shared" / "log.tsv").read_text().count("train") == 6
    again = command("shared", 2)
    assert again.returncode == 0, again.stderr
    assert "was finished before" in again.stderr
