"""The training loop: stopped runs end like unbroken ones, test genomes stay out, failures are said in time."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest
import torch
from click.testing import CliRunner

from genossl import config, files, methods
from genossl.cli import cli
from genossl.errors import DiskError, InputError, Stopped
from genossl.evaluation import runs
from genossl.genome import windows
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.model.checkpoint import load_encoder
from genossl.model.encoder import Encoder
from genossl.model.journal import Journal
from genossl.recipe import resolve
from genossl.verbs import pretrain

SGN = methods.load("self_genomenet")
COLUMNS = ["step", "split", "loss", "bits", "top1", "candidates", "std", "rank", "rankme", "alignment", "uniformity"]
COLUMNS += ["lr", "bases", "seconds"]
SMALL = {
    "pretrain": {"steps": 40, "batch": 16, "log_every": 10, "checkpoint_every": 20, "validate_every": 15},
    "encoder": {"k": 3, "width": 25, "stride": 25, "hidden": 16, "channels": 16, "context": 16},
    "self_genomenet": {"length": 100, "distance": 200, "projection": 8},
}


def settings(**loop):
    return config.merge(SMALL, {"pretrain": loop})


def genomes(test_seed=0, validation_seed=0, train_seed=0):
    """Two species, each with a genome to learn from, one to watch and one to keep out."""
    rng = np.random.default_rng(1)
    sources = [planted.symmetric(rng, 4, 0.5) for _ in range(2)]
    seeds = {"train": train_seed, "validation": validation_seed, "test": test_seed}
    return {
        f"{split}{i}": (split, [planted.sample(np.random.default_rng([seed, i, j]), source, 3000) for j in range(3)])
        for split, seed in seeds.items()
        for i, source in enumerate(sources)
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return planted.store(tmp_path_factory.mktemp("data") / "store", genomes())


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    pretrain.run(data, out, SMALL)
    return out


def weights(run: Path) -> str:
    return hashlib.sha256((run / "encoder.safetensors").read_bytes()).hexdigest()


def lines(run: Path, split: str | None = None) -> list[dict[str, str]]:
    header, *rows = (run / "log.tsv").read_text().splitlines()
    assert header.split("\t") == COLUMNS
    found = [dict(zip(COLUMNS, row.split("\t"), strict=True)) for row in rows]
    return [line for line in found if split in (None, line["split"])]


def timeless(run: Path) -> list[dict[str, str]]:
    return [line | {"seconds": ""} for line in lines(run)]


def objects(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_same_run(one: Path, other: Path) -> None:
    assert weights(one) == weights(other)
    assert timeless(one) == timeless(other)
    assert [line | {"seconds": 0} for line in objects(one)] == [line | {"seconds": 0} for line in objects(other)]


def test_the_two_logs_say_the_same_one_with_every_digit(unbroken):
    for row, told in zip(lines(unbroken), objects(unbroken), strict=True):
        assert list(told) == [*COLUMNS, "terms"]
        assert told["loss"] == pytest.approx(sum(told["terms"].values()), rel=1e-6)
        for name in COLUMNS:
            if row[name] == "":
                assert told[name] is None
            elif isinstance(told[name], float):
                assert f"{told[name]:.6g}" == row[name]
            else:
                assert str(told[name]) == row[name]


# ---- a run that was stopped equals one that was not


@pytest.mark.parametrize("steps", [(1,), (7,), (20,), (39,), (3, 14, 15)])
def test_a_run_stopped_by_a_signal_and_resumed_equals_an_unbroken_one(data, unbroken, tmp_path, monkeypatch, steps):
    out, left, count = tmp_path / "run", list(steps), 0

    def after_step(self, progress):
        nonlocal count
        count += 1
        if left and count == left[0]:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(SGN, "after_step", after_step)
    while left:
        with pytest.raises(Stopped, match=rf"stopped at step {left[0]} of 40; run the same command to go on"):
            pretrain.run(data, out, SMALL)
        left.pop(0)
    pretrain.run(data, out, SMALL)
    assert count == 40  # no step was taken twice
    assert_same_run(out, unbroken)


def test_a_run_stopped_by_its_time_limit_after_every_step_equals_an_unbroken_one(data, tmp_path):
    few = settings(steps=6)
    pretrain.run(data, tmp_path / "unbroken", few)
    for step in range(1, 6):
        with pytest.raises(Stopped, match=f"step {step} of 6"):
            pretrain.run(data, tmp_path / "run", few, pretrain.Jobs(time_limit=1e-9))
    pretrain.run(data, tmp_path / "run", few, pretrain.Jobs(time_limit=1e-9))
    assert_same_run(tmp_path / "run", tmp_path / "unbroken")


def test_how_often_it_looks_and_saves_changes_nothing(data, unbroken, tmp_path):
    pretrain.run(data, tmp_path / "run", settings(log_every=1, checkpoint_every=7))
    assert_same_run(tmp_path / "run", unbroken)


def start(data: Path, out: Path, loop: dict, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-c", "from genossl.cli import main; main()", "--quiet", "pretrain", str(data)]
    assignments = config.merge(SMALL, {"pretrain": loop})
    for section, values in assignments.items():
        for key, value in values.items():
            command += ["--set", f"{section}.{key}={value}"]
    command += ["--out", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(process: subprocess.Popen, out: Path, step: int) -> None:
    """Until the run's log has passed a step, or the run has ended."""
    journal, until = out / "state" / "log.tsv", time.monotonic() + 120
    while process.poll() is None:
        assert time.monotonic() < until, f"no step {step} within two minutes"
        last = journal.read_text().splitlines()[-1] if journal.is_file() else ""
        if last[:1].isdigit() and int(last.split("\t")[0]) >= step:
            return
        time.sleep(0.005)


def test_killed_at_random_moments_it_ends_with_the_weights_of_an_unbroken_run(data, tmp_path):
    loop = {"steps": 600, "log_every": 7, "checkpoint_every": 30, "validate_every": 250}
    pretrain.run(data, tmp_path / "unbroken", settings(**loop))
    out, chance, reached = tmp_path / "run", random.Random(), 0
    for _ in range(3):
        process = start(data, out, loop)
        wait_for_step(process, out, reached + chance.randint(10, 120))
        time.sleep(chance.random() * 0.03)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        reached = max((int(path.name[5:]) for path in (out / "state").glob("step-*")), default=0)
        assert not (out / "encoder.json").exists()
    process = start(data, out, loop)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert_same_run(out, tmp_path / "unbroken")


def test_sigterm_is_exit_75_and_one_line(data, tmp_path):
    process = start(data, tmp_path / "run", {"steps": 100_000})
    wait_for_step(process, tmp_path / "run", 10)
    process.terminate()
    said, errors = process.communicate()
    assert (process.returncode, said) == (75, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("genossl: stopped at step ")
    assert errors.endswith("of 100000; run the same command to go on\n")


def test_a_damaged_newest_state_gives_way_to_the_one_before(data, unbroken, tmp_path, monkeypatch, caplog):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SGN, "after_step", stop_at(0.9))
        with pytest.raises(Stopped):
            pretrain.run(data, out, settings(checkpoint_every=10))
    newest = out / "state" / "step-000000036"
    (newest / "state.pt").write_bytes(b"torn")
    pretrain.run(data, out, SMALL)
    assert f"{newest} is damaged" in caplog.text
    assert_same_run(out, unbroken)


def stop_at(share: float):
    def after_step(self, progress):
        if progress >= share:
            os.kill(os.getpid(), signal.SIGTERM)

    return after_step


# ---- whose folder it is


def test_a_finished_run_started_again_takes_no_step(data, unbroken, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in unbroken.iterdir()}
    monkeypatch.setattr(SGN, "loss", lambda *_: pytest.fail("a step was taken"))
    assert pretrain.run(data, unbroken, SMALL) == []
    assert {path: path.stat().st_mtime_ns for path in unbroken.iterdir()} == before
    assert sorted(path.name for path in before) == [
        "encoder.json", "encoder.safetensors", "log.jsonl", "log.tsv", "run.provenance.json",
    ]  # fmt: skip


def test_other_settings_are_refused_with_both_values(data, unbroken, tmp_path, monkeypatch):
    other = settings(lr=0.002)
    with pytest.raises(InputError, match=r"encoder\.json: was saved with lr = 0\.001, this run has 0\.002; use"):
        pretrain.run(data, unbroken, other)
    monkeypatch.setattr(SGN, "after_step", stop_at(0.5))
    with pytest.raises(Stopped):
        pretrain.run(data, tmp_path / "run", SMALL)
    with pytest.raises(InputError, match=r"step-000000020: was saved with lr = 0\.001, this run has 0\.002; use"):
        pretrain.run(data, tmp_path / "run", other)


def test_another_store_is_refused(data, unbroken, tmp_path):
    other = planted.store(tmp_path / "other", genomes(train_seed=9))
    with pytest.raises(InputError, match="the token store has changed since"):
        pretrain.run(other, unbroken, SMALL)


def test_a_damaged_encoder_is_made_again(data, unbroken, tmp_path):
    out = tmp_path / "run"
    pretrain.run(data, out, SMALL)
    (out / "encoder.safetensors").write_bytes(b"torn")
    pretrain.run(data, out, SMALL)
    assert_same_run(out, unbroken)


# ---- what goes in


def test_test_genomes_never_enter(data, unbroken, tmp_path, monkeypatch):
    seen = []
    plain = SGN.sampler

    def sampler(self, store, rows):
        split = store.genomes.set_index("genome")["split"]
        seen.append(set(split[store.contigs["genome"].iloc[rows]]))
        return plain(self, store, rows)

    monkeypatch.setattr(SGN, "sampler", sampler)
    pretrain.run(data, tmp_path / "run", SMALL)
    assert seen == [{"train"}, {"validation"}]
    # and by what comes out: bases of the test genomes move nothing, those of validation only what is watched
    pretrain.run(planted.store(tmp_path / "test", genomes(test_seed=9)), tmp_path / "other test", SMALL)
    assert_same_run(tmp_path / "other test", unbroken)
    watched = planted.store(tmp_path / "validation", genomes(validation_seed=9))
    pretrain.run(watched, tmp_path / "other validation", SMALL)
    assert weights(tmp_path / "other validation") == weights(unbroken)
    assert timeless(tmp_path / "other validation") != timeless(unbroken)


def test_a_store_without_a_genome_to_learn_from_is_refused(tmp_path):
    only = {name: genome for name, genome in genomes().items() if genome[0] == "test"}
    folder = planted.store(tmp_path / "store", only)
    with pytest.raises(InputError, match=r"no genome to learn from; expected a split of train, .*found test"):
        pretrain.run(folder, tmp_path / "run", SMALL)
    for side in ("train_splits", "validation_splits"):
        with pytest.raises(InputError, match="test genomes never enter pretraining"):
            pretrain.run(folder, tmp_path / "run", settings(**{side: ["test"]}))


def test_validation_is_watched_and_changes_no_weight(data, unbroken, tmp_path):
    assert [int(line["step"]) for line in lines(unbroken, "validation")] == [15, 30, 40]
    pretrain.run(data, tmp_path / "run", settings(validate_every=0))
    assert weights(tmp_path / "run") == weights(unbroken)
    assert not lines(tmp_path / "run", "validation")
    assert [line | {"seconds": ""} for line in lines(unbroken, "train")] == timeless(tmp_path / "run")


# ---- what is written


def test_the_log_has_every_step_once(unbroken):
    train = lines(unbroken, "train")
    assert [int(line["step"]) for line in train] == list(range(1, 41))
    bases = 16 * 2 * 100  # windows, both halves of a pair, length
    assert [int(line["bases"]) for line in train] == [bases * step for step in range(1, 41)]
    assert all(float(line["candidates"]) == 31 for line in train)


def test_the_encoder_comes_with_what_made_it(data, unbroken):
    about = files.read_json(unbroken / "encoder.json")
    assert about["steps"] == 40
    assert about["bases_seen"] == 40 * 3200
    assert about["method"] == "self_genomenet"
    assert about["geometry"] == {"stride": 25, "width": 25, "gap": 0, "channels": 16}
    assert about["store"] == files.read_json(data / "store.json")["checksum"]
    assert load_encoder(unbroken).settings.k == 3
    provenance = files.read_json(unbroken / "run.provenance.json")
    assert provenance["inputs"]["store"]["sha256"] == files.sha256(data / "store.json")


def test_no_steps_give_the_untrained_encoder(data, unbroken, tmp_path):
    from genossl.model.checkpoint import untrained

    pretrain.run(data, tmp_path / "run", settings(steps=0))
    expected = untrained(unbroken).state_dict()
    for name, tensor in load_encoder(tmp_path / "run").state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_learning_rates(data, tmp_path, schedule):
    loop = {"steps": 50, "lr": 0.01, "schedule": schedule, "warmup": 0.2, "batch": 4, "validate_every": 0}
    pretrain.run(data, tmp_path / "run", settings(**loop))
    rate = {int(line["step"]): float(line["lr"]) for line in lines(tmp_path / "run")}
    share = {
        "linear": lambda p: 1 - p,
        "cosine": lambda p: (1 + np.cos(np.pi * p)) / 2,
        "constant": lambda p: 1.0,
    }[schedule]
    assert rate[1] == pytest.approx(0.001)  # the first of ten steps of warm-up
    for step in (1, 5, 10, 11, 26, 49, 50):
        expected = 0.01 * max(0.02, share((step - 1) / 50)) * min(1, step / 10)
        assert rate[step] == pytest.approx(expected, rel=1e-5), step


def test_bf16_is_near_fp32(data, tmp_path):
    still = config.merge(settings(steps=10, validate_every=0), {"encoder": {"dropout": 0.0}})
    losses = []
    for precision in ("fp32", "bf16"):
        pretrain.run(data, tmp_path / precision, config.merge(still, {"pretrain": {"precision": precision}}))
        losses.append([float(line["loss"]) for line in lines(tmp_path / precision)])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)
    dtypes = {tensor.dtype for tensor in load_encoder(tmp_path / "bf16").state_dict().values()}
    assert dtypes == {torch.float32}


def test_the_paper_preset_runs_when_shrunk_on_the_command_line(data, tmp_path):
    small = ["pretrain.steps=3", "pretrain.batch=8", "pretrain.log_every=1", "encoder.channels=16", "encoder.context=8"]
    command = ["--quiet", "pretrain", str(data), "--out", str(tmp_path / "run"), "--config", "paper_150"]
    for assignment in small:
        command += ["--set", assignment]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    about = files.read_json(tmp_path / "run" / "encoder.json")
    assert about["geometry"] == {"stride": 6, "width": 24, "gap": 3, "channels": 8}
    assert [float(line["candidates"]) for line in lines(tmp_path / "run", "train")] == [15, 15, 15]
    assert {line["lr"] for line in lines(tmp_path / "run")} == {"0.0001"}


# ---- when it goes wrong


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_terms(data, unbroken, tmp_path, monkeypatch):
    plain, calls = SGN.loss, 0

    def loss(self, views):
        nonlocal calls
        calls += 1
        result = plain(self, views)
        return result._replace(terms={"contrast": result.terms["contrast"] * (float("nan") if calls == 26 else 1)})

    out, often = tmp_path / "run", settings(checkpoint_every=8, validate_every=0)
    with monkeypatch.context() as patch:
        patch.setattr(SGN, "loss", loss)
        with pytest.raises(FloatingPointError, match=r"not finite at step 26 \(contrast nan\); the last saved state"):
            pretrain.run(data, out, often)
    assert sorted(path.name for path in (out / "state").glob("step-*")) == ["step-000000016", "step-000000024"]
    assert not (out / "encoder.json").exists()
    pretrain.run(data, out, often)
    assert weights(out) == weights(unbroken)


def test_a_run_that_fails_at_the_same_step_again_is_not_started_a_third_time(data, tmp_path, monkeypatch):
    plain, steps = SGN.after_step, []

    def after_step(self, progress):
        steps.append(round(progress * 40))
        if steps[-1] == 26:
            next(self.parameters()).data.fill_(float("nan"))
        return plain(self, progress)

    monkeypatch.setattr(SGN, "after_step", after_step)
    often = settings(checkpoint_every=8, log_every=1)
    for first in (1, 25):
        with pytest.raises(FloatingPointError, match="a weight is not finite after step 26"):
            pretrain.run(data, tmp_path / "run", often)
        assert steps == list(range(first, 27))
        steps.clear()
    with pytest.raises(InputError, match=r"2 starts failed at the same step, .*after step 26; .* delete this folder"):
        pretrain.run(data, tmp_path / "run", often)
    assert not steps
    monkeypatch.setattr(SGN, "after_step", plain)
    (tmp_path / "run" / "state" / "failed.json").unlink()
    pretrain.run(data, tmp_path / "run", often)


def test_other_settings_after_a_failure_are_another_run(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SGN, "after_step", lambda self, _: next(self.parameters()).data.fill_(float("nan")))
        for _ in range(2):
            with pytest.raises(FloatingPointError):
                pretrain.run(data, tmp_path / "run", settings(log_every=1))
    pretrain.run(data, tmp_path / "run", settings(log_every=1, lr=0.002))


def full_at(calls: set[int], monkeypatch) -> None:
    """Saves that find no room, by their number."""
    plain, count = checkpoint.save_state, iter(range(1, 1000))

    def save_state(*given):
        if next(count) in calls:
            raise files._failed(given[0], OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        plain(*given)

    monkeypatch.setattr(checkpoint, "save_state", save_state)


def test_a_full_disk_is_borne_as_long_as_it_may_pass(data, unbroken, tmp_path, monkeypatch, caplog):
    full_at({2, 3, 5, 6}, monkeypatch)
    pretrain.run(data, tmp_path / "run", settings(checkpoint_every=5))
    assert_same_run(tmp_path / "run", unbroken)
    told = [record.message for record in caplog.records if "was not saved" in record.message]
    assert [line.split(" (")[-1] for line in told] == [f"failure {n}, it stops at 3 in a row)" for n in (1, 2, 1, 2)]
    assert "step 10 was not saved, " in told[0]
    assert "No space left on device" in told[0]


def test_a_disk_that_stays_full_stops_the_run_and_keeps_its_state(data, unbroken, tmp_path, monkeypatch):
    full_at({3, 4, 5}, monkeypatch)
    loop = settings(checkpoint_every=5)
    with pytest.raises(DiskError, match=r"step 25 was not saved, .*No space left .*; training stops, the states befo"):
        pretrain.run(data, tmp_path / "run", loop)
    states = sorted(path.name for path in (tmp_path / "run" / "state").glob("step-*"))
    assert states == ["step-000000005", "step-000000010"]
    pretrain.run(data, tmp_path / "run", loop)
    assert_same_run(tmp_path / "run", unbroken)


def test_a_stop_that_cannot_be_saved_is_no_stop_to_go_on_from(data, tmp_path, monkeypatch):
    full_at({1}, monkeypatch)
    with pytest.raises(DiskError, match="step 1 was not saved"):
        pretrain.run(data, tmp_path / "run", SMALL, pretrain.Jobs(time_limit=1e-9))


def test_lines_of_the_log_wait_for_a_full_disk(tmp_path):
    journal = Journal(tmp_path, 0)
    line = dict.fromkeys(COLUMNS) | {"terms": {"contrast": float("nan")}}
    journal.write([line | {"step": 1}])
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "log.tsv").stat().st_size + 5, resource.RLIM_INFINITY))
    try:
        journal.write([line | {"step": 2}])  # five of its bytes fit
        with pytest.raises(DiskError, match=r"log\.tsv: cannot be written"):
            journal.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.write([line | {"step": 3}])
    rest = "\t" * (len(COLUMNS) - 1)
    assert (tmp_path / "log.tsv").read_text() == "\n".join(["\t".join(COLUMNS), *(f"{n}{rest}" for n in (1, 2, 3)), ""])
    told = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["terms"]) for line in told] == [(n, {"contrast": None}) for n in (1, 2, 3)]


def test_a_line_that_was_cut_is_forgotten_at_a_resume(tmp_path):
    line = dict.fromkeys(COLUMNS) | {"terms": {}}
    Journal(tmp_path, 0).write([line | {"step": step} for step in (1, 2, 3)])
    whole = {name: (tmp_path / name).read_bytes() for name in ("log.tsv", "log.jsonl")}
    for cut in (1, 2, 9):  # of the last line; without its end alone it could be read, and glued to the next
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content[:-cut])
        Journal(tmp_path, 3).write([line | {"step": 3}])
        assert {name: (tmp_path / name).read_bytes() for name in whole} == whole
    Journal(tmp_path, 2)
    assert all(whole[name].startswith((tmp_path / name).read_bytes()) for name in whole)
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 2


def test_two_in_one_folder_the_second_is_refused_and_the_first_goes_on(data, unbroken, tmp_path, monkeypatch):
    refused = []

    def after_step(self, progress):
        if progress == 0.5:
            with pytest.raises(InputError, match=rf"process {os.getpid()} on .* is at work here") as found:
                pretrain.run(data, tmp_path / "run", SMALL)
            refused.append(found)

    monkeypatch.setattr(SGN, "after_step", after_step)
    pretrain.run(data, tmp_path / "run", SMALL)
    assert len(refused) == 1
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), "the processor's"])
def test_too_little_memory_is_said_with_what_to_lower(data, tmp_path, monkeypatch, error):
    def loss(self, views):
        if isinstance(error, str):
            torch.empty(10**15)
        raise error

    monkeypatch.setattr(SGN, "loss", loss)
    with pytest.raises(InputError, match=r"out of memory on cpu; lower pretrain\.batch \(16\), the length of"):
        pretrain.run(data, tmp_path / "run", SMALL)


def test_another_number_of_threads_is_refused_on_a_cpu(data, tmp_path):
    with pytest.raises(Stopped):
        pretrain.run(data, tmp_path / "run", SMALL, pretrain.Jobs(time_limit=1e-9))
    before = torch.get_num_threads()
    try:
        with pytest.raises(InputError, match=rf"saved with threads = {before}, this run has {before + 1}"):
            pretrain.run(data, tmp_path / "run", SMALL, pretrain.Jobs(threads=before + 1))
    finally:
        torch.set_num_threads(before)


def test_a_store_with_a_changed_byte_is_not_learnt_from(tmp_path):
    folder = planted.store(tmp_path / "store", genomes())
    raw = bytearray((folder / "tokens.bin").read_bytes())
    raw[12345] ^= 1
    (folder / "tokens.bin").write_bytes(raw)
    with pytest.raises(InputError, match=r"tokens\.bin: differs from what ingest wrote \(sha256\); rebuild the store"):
        pretrain.run(folder, tmp_path / "run", SMALL)


def test_weights_that_are_not_finite_are_never_saved(data, tmp_path, monkeypatch):
    plain, calls = SGN.loss, 0

    def loss(self, views):
        nonlocal calls
        calls += 1
        result = plain(self, views)
        if calls == 20:  # the step after which a state is due; its loss is finite, its gradient is not
            result.terms["contrast"].register_hook(lambda gradient: gradient * float("inf"))
        return result

    monkeypatch.setattr(SGN, "loss", loss)
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 20"):
        pretrain.run(data, tmp_path / "run", settings(validate_every=0))
    assert not list((tmp_path / "run" / "state").glob("step-*"))


def repeats(motifs: list[str], length: int = 3000) -> list[np.ndarray]:
    return [np.resize(np.array(["ACGT".index(base) for base in motif], np.uint8), length) for motif in motifs]


@pytest.mark.parametrize("motifs", [["A"], ["ACAT"]])
def test_a_collapsed_run_warns_before_a_fifth_of_its_steps(tmp_path, caplog, motifs):
    """Windows that hardly differ leave nothing to tell them by."""
    folder = planted.store(tmp_path / "store", {"g": ("train", repeats(motifs * 3))})
    found = pretrain.run(folder, tmp_path / "run", settings(steps=300))
    assert len(found) == 1
    assert found[0].startswith("collapse at step ")
    assert int(found[0].split()[3].rstrip(":")) < 60
    assert found[0] in caplog.text
    assert files.read_json(tmp_path / "run" / "encoder.json")["warnings"] == found


def test_a_run_whose_weights_vanish_warns_of_collapse(data, tmp_path):
    """A decay that outweighs every gradient: lr x decay = 0.5 halves the weights at each step."""
    found = pretrain.run(data, tmp_path / "run", settings(steps=200, weight_decay=500.0))
    assert [text.split(" at ")[0] for text in found] == ["collapse"]
    assert int(found[0].split()[3].rstrip(":")) < 40


def test_a_solved_pretext_warns_before_a_fifth_of_its_steps(tmp_path, caplog):
    """Each contig is one repeat of its own, so that a marker tells which windows belong together."""
    rng = np.random.default_rng(0)
    motifs = ["".join(rng.choice(list("ACGT"), 9)) for _ in range(400)]
    folder = planted.store(tmp_path / "store", {"g": ("train", repeats(motifs, 1000))})
    able = {
        "encoder": {"hidden": 64, "channels": 64, "context": 64},
        "self_genomenet": {"length": 200, "projection": 32, "same_contig_negatives": False},
    }
    marked = config.merge(settings(steps=200, lr=0.003), able)
    found = pretrain.run(folder, tmp_path / "run", marked)
    assert len(found) == 1
    assert found[0].startswith("shortcut at step ")
    assert int(found[0].split()[3].rstrip(":")) < 40
    assert found[0] in caplog.text


@pytest.mark.parametrize("seed", [0, 1])
def test_a_healthy_run_never_warns(tmp_path, caplog, seed):
    rng = np.random.default_rng(seed)
    species = [planted.symmetric(rng, 4, 0.5) for _ in range(8)]
    contigs = {f"g{i}": ("train", [planted.sample(rng, t, 5000) for _ in range(4)]) for i, t in enumerate(species)}
    folder = planted.store(tmp_path / "store", contigs)
    with caplog.at_level(logging.WARNING):
        assert pretrain.run(folder, tmp_path / "run", settings(steps=300, batch=64, seed=seed)) == []
    assert not caplog.records


def test_a_run_never_goes_into_a_store(data):
    with pytest.raises(InputError, match="is a token store; expected a folder of its own"):
        pretrain.run(data, data, settings())


def test_a_budget_in_bases_takes_the_place_of_steps(data, tmp_path):
    pretrain.run(data, tmp_path / "run", settings(bases=10 * 16 * 2 * 100))
    about = files.read_json(tmp_path / "run" / "encoder.json")
    assert (about["steps"], about["bases_seen"]) == (10, 10 * 16 * 2 * 100)
    assert about["pretrain"]["steps"] == 40  # as asked, so that the same command finds its own run
    pretrain.run(data, tmp_path / "run", settings(bases=10 * 16 * 2 * 100))


def test_shuffled_bases_have_the_composition_of_the_genomes_and_nothing_else(data):
    store = TokenStore.open(data)
    rows = store.select({"train"})
    plain = windows.Windows(store, rows, 200)
    null = windows.Shuffled(plain, store, rows)
    drawn, shuffled = (sampler.draw(500, windows.generator(0, 0)) for sampler in (plain, null))
    assert torch.equal(drawn.start, shuffled.start)
    known = np.concatenate(
        [store.tokens[c.offset : c.offset + c.length] for c in store.contigs.iloc[rows].itertuples()]
    )
    expected = np.bincount(known, minlength=4)[:4] / len(known)
    np.testing.assert_allclose(null.share, expected)
    pairs = np.bincount((shuffled.tokens[:, :-1].int() * 4 + shuffled.tokens[:, 1:].int()).flatten(), minlength=16)
    independent = np.outer(expected, expected).ravel()
    z = (pairs / pairs.sum() - independent) / np.sqrt(independent * (1 - independent) / pairs.sum())
    assert np.abs(z).max() < 5
    real = np.bincount((drawn.tokens[:, :-1].int() * 4 + drawn.tokens[:, 1:].int()).flatten(), minlength=16)
    assert np.abs((real / real.sum() - independent) / np.sqrt(independent / real.sum())).max() > 10


def test_shuffling_leaves_n_where_it_was():
    tokens = torch.tensor([[0, 1, 4, 3, 5, 2]], dtype=torch.uint8)
    batch = windows.Batch(tokens, *[torch.zeros(1, dtype=torch.int64)] * 3)
    sampler = types.SimpleNamespace(draw=lambda n, rng: batch)
    store = types.SimpleNamespace(
        tokens=tokens[0].numpy(), contigs=pd.DataFrame({"genome": ["g"], "contig": ["c"], "offset": [0], "length": [6]})
    )
    found = windows.Shuffled(sampler, store, np.array([0])).draw(1, windows.generator(0, 0)).tokens
    assert found[0, 2] == 4
    assert found[0, 4] == 5
    assert (found[0, [0, 1, 3, 5]] < 4).all()


def test_a_null_run_says_what_entropy_is_left(data, tmp_path):
    pretrain.run(data, tmp_path / "run", settings(steps=2, shuffled=True))
    about = files.read_json(tmp_path / "run" / "encoder.json")
    assert 1.9 < about["order0_bits"] <= 2
    pretrain.run(data, tmp_path / "plain", settings(steps=2))
    assert files.read_json(tmp_path / "plain" / "encoder.json")["order0_bits"] is None


def test_a_masked_null_run_stays_at_its_floor_though_its_loss_does_not(data, tmp_path):
    """Bases that were chosen and are shown tell of themselves: the loss falls below the entropy, the bits must not."""
    recipe = {
        "name": "masked_lm",
        "pretrain": {"steps": 80, "batch": 32, "lr": 0.02, "validate_every": 0, "shuffled": True},
        "encoder": {"front": "conv", "width": 1, "stride": 1, "channels": 8, "context": 8, "mask": True},
        "masked_lm": {"length": 60, "rate": 0.5, "hidden": 16},
    }
    pretrain.run(data, tmp_path / "run", recipe)
    about, log = files.read_json(tmp_path / "run" / "encoder.json"), pd.read_csv(tmp_path / "run" / "log.tsv", sep="\t")
    control = runs.null_control(runs.Run(name="masked_lm.null", record=about, log=log))
    assert (control["outcome"], control["chance"]) == ("chance", about["order0_bits"])
    assert log["loss"].tail(20).mean() / np.log(2) < about["order0_bits"] - 0.03


def test_the_audit_tells_what_composition_alone_finds(data, tmp_path, caplog):
    with caplog.at_level("INFO", "genossl"):
        pretrain.run(data, tmp_path / "run", settings(steps=2))
    assert "of 16 candidates GC content alone finds 0." in caplog.text
    audit = files.read_json(tmp_path / "run" / "encoder.json")["audit"]
    assert audit["candidates"] == 16
    assert 0 <= audit["gc"] <= 1
    assert 0 <= audit["kmer4"] <= 1
    wav2vec = {**settings(steps=2), "name": "wav2vec", "method": {"length": 100}}
    del wav2vec["self_genomenet"]
    pretrain.run(data, tmp_path / "other", wav2vec)
    assert files.read_json(tmp_path / "other" / "encoder.json")["audit"] == {}  # frames, of which a window has several


def test_flops_are_those_of_the_matrices(data, tmp_path):
    """A published network: input, recurrent and head matrices, a multiplication is two operations."""
    width, stride, d, c, b, length = 20, 10, 8, 12, 16, 100
    recipe = {
        "pretrain": {"steps": 3, "batch": b, "validate_every": 0},
        "encoder": {"front": "conv", "width": width, "stride": stride, "channels": d, "rnn": "gru", "context": c},
        "self_genomenet": {"length": length, "distance": 200, "projection": 0, "splits": 1, "temperature": 0},
    }
    pretrain.run(data, tmp_path / "run", recipe)
    rows, frames = 2 * b, (length - width) // stride + 1
    fold = 2 * 3 * c * d * 4 * width + 2 * 3 * c * d
    read = 2 * rows * frames * 3 * c * 4 * width
    recur = 2 * rows * frames * 3 * c * c
    head, logits = 2 * rows * c * c, 2 * rows * rows * c
    bases_need_no_gradient = read
    expected = 3 * (fold + read + recur + head + logits) - bases_need_no_gradient
    found = files.read_json(tmp_path / "run" / "encoder.json")["flops"] / 3
    assert found == pytest.approx(expected, rel=0.01)


def test_a_resumed_run_stays_in_the_precision_it_began_in(data, tmp_path, monkeypatch):
    """A queue may move a run to a machine that would choose another."""
    recipe = settings(steps=4, precision="auto")
    monkeypatch.setattr(pretrain, "chosen", lambda *_: "bf16")
    with pytest.raises(Stopped):
        pretrain.run(data, tmp_path / "run", recipe, pretrain.Jobs("cpu", time_limit=1e-9))
    monkeypatch.setattr(pretrain, "chosen", lambda *_: "fp32")
    pretrain.run(data, tmp_path / "run", recipe, pretrain.Jobs("cpu"))
    pretrain.run(data, tmp_path / "other", recipe, pretrain.Jobs("cpu"))
    assert checkpoint.describe(tmp_path / "run")["precision"] == "bf16"
    assert checkpoint.describe(tmp_path / "other")["precision"] == "fp32"
    assert weights(tmp_path / "run") != weights(tmp_path / "other")


def test_a_thread_that_draws_ahead_gives_the_same_steps(data, monkeypatch):
    """What runs beside a GPU, here beside a device that only says it is none."""
    recipe = resolve(settings(steps=5))
    opened = TokenStore.open(data)
    method = methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))
    trainer = pretrain.Trainer(recipe.pretrain, method, opened, np.arange(len(opened.contigs)), torch.device("cpu"))
    expected = list(trainer._coming())
    trainer.device = torch.device("meta")
    monkeypatch.setattr(trainer, "_views", lambda views: views)
    found = list(trainer._coming())
    assert len(found) == len(expected) == 5
    for (one, bases), (other, others) in zip(found, expected, strict=True):
        assert bases == others
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    trainer.step = 5
    assert list(trainer._coming()) == []


def test_a_profile_says_where_the_time_of_ten_steps_goes(data, tmp_path):
    done = CliRunner().invoke(
        cli, ["pretrain", str(data), "--out", str(tmp_path / "run"), "--profile", "--device", "cpu", "--settings",
              json.dumps(settings(steps=20))],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "run" / "profile.tsv", sep="\t")
    parts = table[table["what"] == "part"].set_index("name")
    assert set(parts.index) == {"draw", "views", "forward", "backward", "optimiser", "log"}
    assert (parts["calls"] == 1).all()
    assert (parts["cpu_ms"] > 0).all()
    operators = table[table["what"] == "operator"]
    assert "aten::addmm" in set(operators["name"])
    for rows in (parts, operators):
        assert rows["share"].sum() == pytest.approx(1, abs=0.01)
        assert rows["share"].is_monotonic_decreasing
    pretrain.run(data, tmp_path / "plain", settings(steps=20), pretrain.Jobs("cpu"))
    assert weights(tmp_path / "run") == weights(tmp_path / "plain")
    assert not (tmp_path / "plain" / "profile.tsv").exists()


def test_a_profile_of_too_few_steps_is_refused(data, tmp_path):
    with pytest.raises(InputError, match=r"profile\.tsv: a profile takes 13 steps, 4 are left of this run"):
        pretrain.run(data, tmp_path / "run", settings(steps=4), pretrain.Jobs("cpu", profile=True))
