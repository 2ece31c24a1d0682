"""Where the time of training steps goes: one table of the step's parts and of torch's operators."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile, schedule

from genossl import files
from genossl.errors import InputError

PARTS = ("draw", "views", "forward", "backward", "optimiser", "log")  # of a step, as the training loop names them
WARM, STEPS = 3, 10  # steps before any is looked at, and those that are


@contextlib.contextmanager
def profiled(path: Path | None, steps: int, device: torch.device) -> Iterator[Callable[[], None]]:
    """Give what is to be called after each of `steps` steps; what ten of them took is written to `path`.

    Columns: what (part of the step, or operator), name, calls and milliseconds per step (of the CPU, and of the device
    where there is another), share. Parts share the step among them, operators without what they call do so once more.
    Without a path nothing happens. Raises InputError where there are too few steps.
    """
    if path is None:
        yield lambda: None
        return
    if steps < WARM + STEPS:
        raise InputError(f"{path}: a profile takes {WARM + STEPS} steps, {steps} are left of this run")
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    plan = schedule(wait=WARM - 1, warmup=1, active=STEPS, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=lambda p: _write(path, p, on_gpu)) as running:
        yield running.step


def _write(path: Path, found: Any, on_gpu: bool) -> None:
    rows = [_row(event, on_gpu) for event in found.key_averages() if not event.key.startswith("ProfilerStep")]
    table = pd.DataFrame(rows)
    by = "device_ms" if on_gpu else "cpu_ms"
    table["share"] = table[by] / table.groupby("what")[by].transform("sum")
    table = table.sort_values(["what", by], ascending=[False, False])
    files.write_tsv(path, table.round({"calls": 1, "cpu_ms": 3, "device_ms": 3, "share": 4}))


def _row(event: Any, on_gpu: bool) -> dict[str, Any]:
    """Of a part all that it calls counts, of an operator only its own."""
    part = event.key in PARTS
    row = {"what": "part" if part else "operator", "name": event.key, "calls": event.count / STEPS}
    row["cpu_ms"] = (event.cpu_time_total if part else event.self_cpu_time_total) / STEPS / 1e3
    if on_gpu:
        row["device_ms"] = (event.device_time_total if part else event.self_device_time_total) / STEPS / 1e3
    return row
