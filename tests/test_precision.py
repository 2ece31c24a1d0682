"""bf16 where it pays: what `auto` means, and that the choice is kept by what depends on it."""

from __future__ import annotations

import json
import subprocess
import sys

import learning
import pytest
import torch

from genossl.errors import InputError
from genossl.model import precision

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """Say how much faster bf16 is, in place of measuring it."""

    def say(ratio: float) -> None:
        monkeypatch.setattr(precision, "_seconds", lambda dtype: ratio if dtype == torch.float32 else 1.0)
        precision._pays.cache_clear()

    yield say
    precision._pays.cache_clear()


@pytest.mark.parametrize("ratio,expected", [(0.01, "fp32"), (1.0, "fp32"), (1.4, "fp32"), (1.6, "bf16"), (6.0, "bf16")])
def test_auto_is_what_the_processor_is_clearly_faster_in(measured, ratio, expected):
    measured(ratio)
    assert precision.chosen("auto", CPU) == expected
    assert precision.chosen("fp32", CPU) == "fp32"
    assert precision.chosen("bf16", CPU) == "bf16"


def test_the_same_answer_on_the_same_machine_whatever_else_runs_on_it():
    """With several threads the product waits for those that others have pushed aside, and waiting is counted."""
    found, threads = set(), torch.get_num_threads()
    torch.set_num_threads(2)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        for _ in range(10):
            precision._pays.cache_clear()
            found.add(precision.chosen("auto", CPU))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
        for one in busy:
            one.kill()
            one.wait()
    assert len(found) == 1


def test_there_is_no_bf16_on_mps():
    assert precision.chosen("auto", torch.device("mps")) == "fp32"
    with pytest.raises(InputError, match="precision bf16: is not available on mps; use fp32"):
        precision.chosen("bf16", torch.device("mps"))


def test_another_precision_is_refused():
    with pytest.raises(InputError, match="precision 'fp16' is unknown; expected auto, fp32, bf16"):
        precision.chosen("fp16", CPU)


def test_products_are_formed_in_it():
    one = torch.randn(8, 8)
    with precision.autocast("bf16", CPU):
        assert (one @ one).dtype == torch.bfloat16
    with precision.autocast("fp32", CPU):
        assert (one @ one).dtype == torch.float32


def test_the_benchmark_of_learning_pairs_precisions_by_seed(monkeypatch, tmp_path, capsys):
    small = {
        "preset": "default",
        "pretrain": {"steps": 2, "batch": 8},
        "encoder": {"k": 3, "hidden": 8, "channels": 8, "context": 8},
    }
    monkeypatch.setattr(learning, "RECIPES", {"small": small})
    monkeypatch.setattr("sys.argv", ["learning.py", "--out", str(tmp_path / "out.json"), "--seeds", "2", "--jobs", "1"])
    learning.main()
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["precision"], row["seed"]) for row in rows] == [("fp32", 0), ("bf16", 0), ("fp32", 1), ("bf16", 1)]
    assert all(0 <= row["top1"] <= 1 and row["candidates"] == 15 for row in rows)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("| small | 2 | 0.0667 |")
    assert "95 % interval" in line
