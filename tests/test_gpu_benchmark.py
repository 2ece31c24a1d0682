"""The GPU benchmark runs tiny on the CPU: its shape, its checks, its refusals. Figures come from real devices only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PRESETS = ("default", "paper_150", "paper_1000")


def command(repository: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess:
    """As a user types it: another working folder, and no genossl but the checkout's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = [sys.executable, str(repository / "benchmarks" / "gpu.py"), *options]
    return subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tiny(repository, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("gpu")
    done = command(repository, folder, "--tiny", "--device", "cpu", "--out", "gpu.json")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "gpu.json").read_text())


def test_it_names_what_was_measured(tiny):
    assert tiny["benchmark"] == "gpu"
    assert tiny["format"] == 1
    assert tiny["tiny"] is True
    assert tiny["machine"]["device"] == "cpu"
    assert tiny["machine"]["name"]
    assert tiny["machine"]["cuda"] == torch.version.cuda
    assert tiny["versions"]["torch"]
    assert list(tiny["parts"]) == ["correctness", "training", "embedding", "pretraining"]


def test_the_cpu_agrees_with_itself(tiny):
    part = tiny["parts"]["correctness"]
    assert part["status"] == "pass"
    names = {check["name"] for check in part["checks"]}
    for preset in PRESETS:
        for precision in ("fp32", "bf16"):
            assert {f"{preset} {precision} {what}" for what in ("context", "loss", "gradient")} <= names
        assert {f"{preset} embedding, together", f"{preset} embedding, one by one"} <= names
    assert all(check["pass"] and check["value"] <= check["limit"] for check in part["checks"])
    resume = part["checks"][-1]
    assert resume["two_runs_equal_bit_for_bit"]
    assert resume["stopped_run_equal_bit_for_bit"]


def test_speed_is_measured_for_every_preset(tiny):
    rows = tiny["parts"]["training"]["rows"]
    assert {(row["preset"], row["precision"]) for row in rows} == {(p, q) for p in PRESETS for q in ("fp32", "bf16")}
    length = {"default": 500, "paper_150": 150, "paper_1000": 1000}
    for row in rows:
        assert row["windows_per_second"] > 0
        # both views of a window are read
        assert row["mbp_per_second"] * 1e6 == pytest.approx(row["windows_per_second"] * 2 * length[row["preset"]])
        assert 0 < row["milliseconds_to_draw_and_send"] < row["milliseconds_per_step"]
    assert {(row["preset"], row["what"]) for row in tiny["parts"]["embedding"]["rows"]} == {
        (preset, what) for preset in PRESETS for what in ("short", "long")
    }
    assert all(row["mbp_per_second"] > 0 for row in tiny["parts"]["embedding"]["rows"])


def test_pretraining_is_probed_against_what_needs_none(tiny):
    part = tiny["parts"]["pretraining"]
    assert part["status"] == "pass"
    assert part["bases_seen"] == part["steps"] * part["batch"] * 2 * 500
    assert {row["embedding"] for row in part["balanced_accuracy"]} == {"trained", "untrained", "kmer4", "kmer5"}
    assert {row["over"] for row in part["differences"]} == {"untrained", "kmer4", "kmer5"}
    for row in part["balanced_accuracy"] + part["differences"]:
        assert row["low"] <= row["value"] <= row["high"]


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(repository, tmp_path):
    done = command(repository, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"gpu.py: no GPU that torch {torch.__version__} can use; give --tiny, or --device cpu to insist\n"
    )


@pytest.mark.parametrize(
    "options,said",
    [
        (["--device", "abacus"], "device 'abacus' is unknown"),
        (["--tiny", "--data", "x"], "--data and --labels go together"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(repository, tmp_path, options, said):
    done = command(repository, tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
