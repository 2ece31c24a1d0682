"""How much of everything `gpu.py` does, and what its parts share: methods, random bases, rows, clocks."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genossl import methods
from genossl.genome.alphabet import N
from genossl.genome.store import TokenStore
from genossl.model.encoder import Encoder
from genossl.pretext.method import Method
from genossl.recipe import Recipe, resolve

PRESETS = ("paper_1000", "default", "paper_150")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything."""

    seconds: float = 510.0  # of the whole command; each part ends at its share of them
    shares: dict[str, float] = dataclasses.field(
        default_factory=lambda: {
            "correctness": 0.19,
            "peaks": 0.2,
            "training": 0.49,
            "embedding": 0.58,
            "pretraining": 0.94,
            "experiments": 1.0,
        }
    )
    rows: int = 32  # B of the correctness checks
    shrink: dict[str, int] = dataclasses.field(default_factory=dict)  # encoder settings, but of the pretraining
    square: int = 8192  # side of the matrices that are multiplied for the peak
    copied: int = 1 << 30  # bytes that are copied for the bandwidth
    batches: dict[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {
            "paper_1000": (128, 256, 512, 1024, 2048, 4096),
            "default": (256, 1024, 4096),
            "paper_150": (512, 2048, 8192),
        }
    )
    groups: tuple[int, ...] = (256, 512, 0)  # windows that are negatives of each other, paper_1000; 0: the batch
    repeats: int = 5  # timed stretches, of which the median counts
    stretch: float = 0.2  # seconds of one of them, about
    sequences: int = 16384  # to embed
    length: int = 1000  # bases of each
    long: int = 250_000  # bases of one long sequence to embed
    at_once: tuple[int, ...] = (1 << 18, 1 << 20, 1 << 22)  # bases that `embed` reads at once
    train_seconds: float = 120.0  # of pretraining
    most_steps: int = 50_000
    labels: int = 0  # labelled rows per class and split; 0: all
    resume_steps: int = 20
    tried: tuple[int, ...] = (128, 512)  # B of the experiments


TINY = Plan(
    seconds=480.0,  # a machine may be busy; alone it takes half a minute
    rows=4,
    shrink={"channels": 32, "context": 16, "hidden": 32},
    square=256,
    copied=1 << 22,
    batches={"paper_1000": (4, 8), "default": (16,), "paper_150": (8,)},
    groups=(4, 0),
    repeats=2,
    stretch=0.01,
    sequences=16,
    length=500,
    long=70_000,
    at_once=(1 << 12, 1 << 18),
    train_seconds=2.0,
    most_steps=20,
    labels=40,
    resume_steps=4,
    tried=(4,),
)


@dataclasses.dataclass(frozen=True)
class Bench:
    """What a part is given."""

    plan: Plan
    device: torch.device
    store: Path | None  # token store to pretrain on; None: examples/
    labels: Path | None  # labelled table of the probe; None: that of examples/
    work: Path  # temporary files
    until: float  # time.monotonic() at which the running part ends

    def late(self) -> bool:
        return time.monotonic() > self.until

    def precisions(self) -> tuple[str, ...]:
        return ("fp32",) if self.device.type == "mps" else ("fp32", "bf16")


# ---- what is measured


def recipe_of(bench: Bench, mapping: dict[str, Any], **encoder: Any) -> Recipe:
    """A recipe with the plan's smaller encoder, where it has one."""
    return resolve({**mapping, "encoder": {**bench.plan.shrink, **encoder}})


def method_of(recipe: Recipe) -> Method:
    torch.manual_seed(0)
    return methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))


def random_store(bench: Bench) -> TokenStore:
    """Random bases, one in 499 an N: enough for speed and agreement, and no file is needed for it."""
    import pandas as pd

    from genossl.genome.store import Writer

    folder = bench.work / "random"
    if not (folder / "store.json").is_file():
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        with Writer(folder) as writer:
            for i in range(8):
                tokens = rng.integers(0, 4, 500_000).astype(np.uint8)
                tokens[::499] = N
                writer.begin("random", f"contig{i}", "random")
                writer.append(tokens)
                writer.end()
            writer.close(pd.DataFrame({"genome": ["random"], "split": ["train"]}), None, {"genomes": []})
    return TokenStore.open(folder)


@contextlib.contextmanager
def no_tf32() -> Iterator[None]:
    """Full fp32 on the device: recurrences use TF32 by default, which is another precision."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


# ---- rows


def row(bench: Bench, measure: Callable[..., dict[str, Any]], **about: Any) -> dict[str, Any]:
    """What was asked and what was found; or why nothing was: `left_out` for want of time or memory, `error`."""
    if bench.late():
        return about | {"left_out": "out of time"}
    try:
        return about | measure(bench, **about)
    except torch.OutOfMemoryError:
        return about | {"left_out": "out of memory"}
    except Exception as error:  # the other rows still have something to say
        return about | {"error": first_line(error)}


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def status(rows: list[dict[str, Any]]) -> str:
    if any("error" in row for row in rows):
        return "fail"
    return "incomplete" if any("left_out" in row for row in rows) else "pass"


# ---- clocks


def median_seconds(bench: Bench, act: Callable[[], Any]) -> float:
    """Median over stretches of the seconds that one call takes, the device's work waited for."""
    for _ in range(2):  # kernels are chosen and memory is taken
        act()
    calls = max(1, round(bench.plan.stretch / max(_seconds(bench, act, 1), 1e-6)))
    measured = [_seconds(bench, act, calls)]
    while len(measured) < bench.plan.repeats and not bench.late():
        measured.append(_seconds(bench, act, calls))
    return statistics.median(measured)


def _seconds(bench: Bench, act: Callable[[], Any], calls: int) -> float:
    """Seconds of one of so many calls."""
    _wait(bench.device)
    started = time.perf_counter()
    for _ in range(calls):
        act()
    _wait(bench.device)
    return (time.perf_counter() - started) / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
