"""The GPU benchmark runs tiny on the CPU: its shape, its checks, its refusals. Figures come from real devices only."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gpu
import gpu_plan
import gpu_speed
import pytest
import torch

from genossl import methods

PRESETS = ("default", "paper_150", "paper_1000")
PARTS = ["correctness", "peaks", "training", "embedding", "pretraining", "experiments"]
LENGTHS = {"default": 500, "paper_150": 150, "paper_1000": 1000}


def command(repository: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess:
    """As a user types it: another working folder, and no genossl but the checkout's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = [sys.executable, str(repository / "benchmarks" / "gpu.py"), *options]
    return subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(repository, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    done = command(repository, folder, "--tiny", "--device", "cpu", "--out", "gpu.json")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def tiny(folder) -> dict:
    return json.loads((folder / "gpu.json").read_text())


@pytest.fixture
def bench(tmp_path) -> gpu_plan.Bench:
    return gpu_plan.Bench(gpu_plan.TINY, torch.device("cpu"), None, None, tmp_path, time.monotonic() + 600)


# ---- the tiny run


def test_it_names_what_was_measured(tiny):
    assert tiny["benchmark"] == "gpu"
    assert tiny["format"] == gpu.FORMAT
    assert tiny["tiny"] is True
    assert tiny["machine"]["device"] == "cpu"
    assert tiny["machine"]["name"]
    assert tiny["machine"]["cuda"] == torch.version.cuda
    assert tiny["versions"]["torch"]
    assert list(tiny["parts"]) == PARTS


def test_the_cpu_agrees_with_itself(tiny):
    part = tiny["parts"]["correctness"]
    assert part["status"] == "pass"
    names = {check["name"] for check in part["checks"]}
    cases = [(name, methods.load(name).preset, "fp32") for name in methods.available()]
    cases += [("self_genomenet", preset, precision) for preset in PRESETS for precision in ("fp32", "bf16")]
    for name, preset, precision in cases:
        assert {f"{name} on {preset}, {precision} {what}" for what in ("context", "loss", "gradient")} <= names
    for preset in PRESETS:
        assert {f"embedding with {preset}, {what}" for what in ("fp32", "bf16", "one by one", "in blocks")} <= names
    assert all(check["pass"] and check["value"] <= check["limit"] for check in part["checks"])
    resume = part["checks"][-1]
    assert resume["two_runs_equal_bit_for_bit"]
    assert resume["stopped_run_equal_bit_for_bit"]


def test_bf16_is_another_precision(tiny):
    """Where it was asked for and fp32 was computed, the difference would be nothing."""
    checks = {check["name"]: check["value"] for check in tiny["parts"]["correctness"]["checks"]}
    for preset in PRESETS:
        assert checks[f"embedding with {preset}, bf16"] > 0
        assert checks[f"self_genomenet on {preset}, bf16 gradient"] > 0


def test_training_is_measured_for_every_preset_batch_and_group(tiny):
    part = tiny["parts"]["training"]
    rows, peaks = part["rows"], {row["precision"]: row.get("tflops") for row in tiny["parts"]["peaks"]["rows"]}
    assert {(row["preset"], row["precision"]) for row in rows} == {(p, q) for p in PRESETS for q in ("fp32", "bf16")}
    of_paper = [(r["batch"], r["group"]) for r in rows if (r["preset"], r["precision"]) == ("paper_1000", "bf16")]
    assert of_paper == [(4, 0), (8, 4), (8, 0)]  # a group that is the whole batch is measured once
    for row in rows:
        assert row["windows_per_second"] * row["milliseconds_per_step"] == pytest.approx(1000 * row["batch"])
        # both views of a window are read
        read = row["windows_per_second"] * 2 * LENGTHS[row["preset"]]
        assert row["mbp_per_second"] * 1e6 == pytest.approx(read)
        assert row["share_of_data"] < 1
        assert row["share_of_host_syncs"] < 1
        assert row["fraction_of_peak"] == pytest.approx(row["tflops"] / peaks[row["precision"]])
    best = max(row["windows_per_second"] for row in rows if row["preset"] == "paper_1000")
    assert part["paper"]["seconds"] == pytest.approx(51.2e6 / best)
    assert part["paper"]["computed"] is True


def test_embedding_is_measured_for_every_preset(tiny):
    rows = tiny["parts"]["embedding"]["rows"]
    kinds = {(row["preset"], row["precision"], row["what"]) for row in rows}
    whats = ("many", "long", "on the device")
    assert kinds == {
        (preset, precision, what) for preset in PRESETS for precision in ("fp32", "bf16") for what in whats
    }
    assert {row["at_once"] for row in rows if row["what"] == "many"} == set(gpu_plan.TINY.at_once)
    assert all(row["mbp_per_second"] > 0 for row in rows)


def test_pretraining_is_probed_against_what_needs_none(tiny):
    part = tiny["parts"]["pretraining"]
    assert part["status"] == "pass"
    assert part["bases_seen"] == part["steps"] * part["batch"] * 2 * 500
    assert {row["embedding"] for row in part["balanced_accuracy"]} == {"trained", "untrained", "kmer4", "kmer5"}
    assert {row["over"] for row in part["differences"]} == {"untrained", "kmer4", "kmer5"}
    for row in part["balanced_accuracy"] + part["differences"]:
        assert row["low"] <= row["value"] <= row["high"]


def test_experiments_compute_the_same_and_ask_for_cuda_where_they_must(tiny):
    rows = tiny["parts"]["experiments"]["rows"]
    assert {row["left_out"] for row in rows if row["graph"]} == {"CUDA only"}
    eager = [row for row in rows if row["precision"] == "bf16" and not row["graph"]]
    plain, padded = sorted(eager, key=lambda row: row["padded"])
    assert padded["loss"] == pytest.approx(plain["loss"], rel=1e-3)
    assert plain["times_as_fast"] == 1
    assert padded["times_as_fast"] == pytest.approx(plain["milliseconds"] / padded["milliseconds"])


def test_a_cpu_meets_no_goal_and_fills_no_cell(tiny, folder):
    assert len(tiny["goals"]) == len(gpu_speed.GOALS)
    assert all(goal["met"] is None and goal["value"] is not None for goal in tiny["goals"])
    text = (folder / "gpu.md").read_text()
    assert text.rstrip().endswith("| " + " | ".join(["not measured"] * 6) + " |")
    rows = sum(len(tiny["parts"][name]["rows"]) for name in ("peaks", "training", "embedding", "experiments"))
    others = [tiny["goals"], tiny["parts"]["pretraining"]["differences"], tiny["parts"]["correctness"]["checks"]]
    headings = 2 * 7  # lines of a table that are no row
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == rows + sum(map(len, others)) + headings + 1


# ---- its pieces


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("batch,group", [(6, 3), (8, 8)])
def test_operations_follow_from_three_counts(bench, preset, batch, group):
    count = gpu_speed.operations(bench, preset)
    assert gpu_speed.step_operations(count, batch, group) == gpu_speed.counted(bench, preset, batch, group)


def test_operations_of_the_whole_batch_are_those_of_one_group(bench):
    count = {"once": 1.0, "window": 10.0, "logit": 100.0}
    assert gpu_speed.step_operations(count, 4, 0) == gpu_speed.step_operations(count, 4, 4) == 1 + 4 * 10 + 4 * 4 * 100


def test_one_batch_is_reused_and_nothing_is_drawn(bench):
    recipe = gpu_speed._recipe(bench, "default", "fp32", 4, 0)
    method = gpu_plan.method_of(recipe)
    store = gpu_plan.random_store(bench)
    with gpu_speed._one_batch(bench, recipe, method):
        assert method.sampler(store, None).draw(4, None) is None
        one, two = method.views(None, None), method.views(None, None)
        assert all(one[name] is two[name] and one[name].pin_memory() is one[name] for name in one)
        assert one["read_tokens"].shape == (4, 500)
    assert "views" not in vars(method)  # the method's own again
    assert "sampler" not in vars(method)


def broken(bench: gpu_plan.Bench, batch: int) -> dict:
    raise ValueError("no such kernel\nat all")


def full(bench: gpu_plan.Bench, batch: int) -> dict:
    raise torch.OutOfMemoryError("4 TiB")


def test_a_row_that_fails_says_why_and_the_others_go_on(bench):
    assert gpu_plan.row(bench, broken, batch=3) == {"batch": 3, "error": "ValueError: no such kernel"}
    assert gpu_plan.row(bench, full, batch=3) == {"batch": 3, "left_out": "out of memory"}
    late = dataclasses.replace(bench, until=0.0)
    assert gpu_plan.row(late, broken, batch=3) == {"batch": 3, "left_out": "out of time"}
    assert gpu_plan.status([{"batch": 1}]) == "pass"
    assert gpu_plan.status([{"batch": 1}, {"left_out": "out of time"}]) == "incomplete"
    assert gpu_plan.status([{"left_out": "out of time"}, {"error": "ValueError"}]) == "fail"
    columns = {"B": ("batch", ""), "ms": ("milliseconds", ".1f")}
    lines = list(gpu._lines([{"batch": 1, "milliseconds": 2.0}, gpu_plan.row(bench, broken, batch=3)], columns))
    assert lines == ["| B | ms |", "|---|---|", "| 1 | 2.0 |", "| 3 | ValueError: no such kernel |"]


def test_a_check_that_fails_or_comes_too_late_is_recorded(bench, monkeypatch):
    def crash(*_):
        raise RuntimeError("kernel\nlost")

    monkeypatch.setattr(gpu, "_agreement", crash)
    monkeypatch.setattr(gpu, "_embedding_agreement", lambda *_: [])
    monkeypatch.setattr(gpu, "_resume", lambda *_: [])
    found = gpu.correctness(bench)
    assert found["status"] == "fail"
    assert {check["error"] for check in found["checks"]} == {"RuntimeError: kernel"}
    late = gpu.correctness(dataclasses.replace(bench, until=0.0))
    assert late["status"] == "incomplete"
    assert {(check["pass"], check["left_out"]) for check in late["checks"]} == {(None, "out of time")}


def test_a_part_that_fails_leaves_the_others(bench, monkeypatch, capsys):
    def crash(name):
        def part(*_):
            raise RuntimeError(f"no {name}")

        part.__name__ = name
        return part

    for name, home in zip(PARTS, (gpu, gpu_speed, gpu_speed, gpu_speed, gpu, gpu_speed), strict=True):
        monkeypatch.setattr(home, name, crash(name))
    *_, found = gpu.run(bench)
    assert [(part["status"], part["why"]) for part in found["parts"].values()] == [
        ("error", f"RuntimeError: no {name}") for name in PARTS
    ]
    assert all(goal["value"] is None for goal in found["goals"])
    assert "training: error, RuntimeError: no training" in gpu.markdown(found)
    assert capsys.readouterr().err.splitlines() == [f"{name}: error RuntimeError: no {name}" for name in PARTS]


def measured(rate: float, data: float, mbp: float) -> dict:
    """Parts as a GPU would give them, with rows that must not count."""
    row = {"preset": "paper_1000", "precision": "bf16", "batch": 512, "group": 256, "share_of_data": data}
    other = {**row, "preset": "default", "windows_per_second": 9e9, "share_of_data": 0.0}
    read = {"preset": "paper_1000", "what": "many", "mbp_per_second": mbp}
    return {
        "training": {"rows": [{**row, "left_out": "out of memory"}, {**row, "windows_per_second": rate}, other]},
        "embedding": {"rows": [read, {**read, "what": "on the device", "mbp_per_second": 9e9}]},
    }


@pytest.mark.parametrize(
    "rate,data,mbp,met",
    [
        (400_000, 0.02, 1500, [True] * 4),
        (80_000, 0.03, 1499, [False] * 4),
        (90_000, 0.0, 0, [False, False, True, True]),
    ],
)
def test_goals_are_judged_on_cuda_alone(rate, data, mbp, met):
    found = gpu_speed.goals(measured(rate, data, mbp), torch.device("cuda"))
    assert [goal["met"] for goal in found] == met
    assert [goal["value"] for goal in found] == pytest.approx([rate / 1e6, mbp / 1e3, data, 51.2e6 / rate])
    assert {goal["met"] for goal in gpu_speed.goals(measured(rate, data, mbp), torch.device("mps"))} == {None}


def test_the_readme_row_of_a_gpu_holds_the_best_rows():
    parts = measured(400_000, 0.02, 1500) | {
        "pretraining": {
            "differences": [
                {"over": over, "shots": "10", "value": value, "low": value - 0.1, "high": value + 0.1}
                for over, value in (("untrained", -0.5), ("kmer4", 0.25), ("kmer5", 0.125))
            ]
        }
    }
    cells = gpu._cells({"parts": parts, "machine": {"device": "cuda", "name": "Abacus 9"}})
    # no row of paper_150, and none of the default's embedding; the best k-mers are those that least is won over
    assert cells == ["Abacus 9", "400,000", "not measured", "9,000,000,000", "not measured", "+0.125 [+0.025, +0.225]"]


# ---- refusals


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
