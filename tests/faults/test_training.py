"""Training that meets numbers that are not finite, signals, and memory that is not there."""

from __future__ import annotations

import random
import re
from pathlib import Path

import commands
import kills
import pytest
import torch
from tally import record

from genossl import methods

SGN = methods.load("self_genomenet")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> kills.Case:
    work = tmp_path_factory.mktemp("training")
    found = next(c for c in kills.prepare(work / "data", commands.run) if c.verb == "pretrain")
    assert commands.run(commands.in_folder(found.words, work / "whole"))[0] == 0
    found.whole = kills.finals(work / "whole")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(
    case: kills.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """It names step and term, twice; the third start is refused; without the fault the run ends as an unbroken one."""
    plain, chance, wrong, rounds = SGN.loss, random.Random(0), 0, 10
    for i in range(rounds):
        at, folder = chance.randint(1, 60), tmp_path / str(i)
        words = commands.in_folder([*case.words, "--set=pretrain.validate_every=0"], folder)

        def loss(self, views, at=at, folder=folder):
            result = plain(self, views)
            journal = (folder / "run" / "state" / "log.tsv").read_text().splitlines()
            done = int(journal[-1].split("\t")[0]) if len(journal) > 1 else 0  # as far as it has looked
            self.seen = max(getattr(self, "seen", 0), done) + 1
            return result._replace(terms={"contrast": result.terms["contrast"] * (bad if self.seen == at else 1)})

        with monkeypatch.context() as patch:
            patch.setattr(SGN, "loss", loss)
            for _ in range(2):
                code, said = commands.run(words)
                expected = (
                    f"genossl: the loss is not finite at step {at} (contrast {bad:g}); the last saved state is kept"
                )
                wrong += code != 2 or not said.startswith(expected) or said.count("\n") != 1
                steps = kills.states(folder)
                wrong += max(steps, default=0) != (at - 1) // 4 * 4
            code, said = commands.run(words)
            wrong += code != 2 or "2 starts failed at the same step, so this one is not tried" not in said
        (folder / "run" / "state" / "failed.json").unlink()
        code, said = commands.run(words)
        found = kills.finals(folder)
        wrong += code != 0 or found["run/encoder.safetensors"] != case.whole["run/encoder.safetensors"]
    record(f"loss becomes {bad:g}", rounds, wrong=wrong)


@pytest.mark.parametrize("raised", ["CUDA out of memory. Tried to allocate 2.00 GiB", None])
def test_out_of_memory(case: kills.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str | None) -> None:
    def loss(self, views):
        if raised:
            raise torch.OutOfMemoryError(raised)
        torch.empty(10**15)

    monkeypatch.setattr(SGN, "loss", loss)
    code, said = commands.run(commands.in_folder(case.words, tmp_path))
    sentence = r"genossl: out of memory on cpu; lower pretrain\.batch \(8\), the length of .*\n"
    record("training out of memory", 1, wrong=code != 2 or not re.fullmatch(sentence, said))
