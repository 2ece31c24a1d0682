"""What a GPU does for genossl, in one command that ends within nine minutes, as JSON.

    python benchmarks/gpu.py --out gpu.json            # on a machine with a GPU
    python benchmarks/gpu.py --tiny --device cpu       # the same code in seconds, to see that it runs

Four parts, each with its share of the time: does the device agree with the CPU (correctness), how fast does it train
(training), how fast does it embed (embedding), and what do two minutes of pretraining buy (pretraining). A part that
cannot run says why and the others go on. Exit 0: all that ran passed; 1: a check failed; 2: there is no such device.
"""

# B windows, L bases, T frames, C context channels

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # a plain checkout is enough

try:
    import numpy as np
    import torch

    from genossl import config, files, methods
    from genossl.errors import InputError, Stopped
    from genossl.genome.alphabet import N
    from genossl.genome.windows import Batch, generator
    from genossl.model import checkpoint
    from genossl.model.embedding import embed
    from genossl.model.encoder import Encoder, encoder_device
    from genossl.pretext.method import Method, Views
    from genossl.recipe import Recipe, resolve
except ImportError as error:
    sys.exit(f"gpu.py: needs the package {error.name}; install what pyproject.toml lists under dependencies")

FORMAT = 1
PRESETS = ("default", "paper_150", "paper_1000")
# against the CPU in fp32, TF32 off: largest difference over largest value, or norm of the difference over norm
LIMITS = {"context": 1e-4, "loss": 1e-4, "gradient": 1e-3, "embedding": 1e-4}
# bf16 against fp32 on the CPU: 1 - cosine, the relative error of the loss
LIMITS_BF16 = {"context": 0.01, "loss": 0.05, "gradient": 0.1}
LIMIT_RESUME = 0.01  # relative difference of the last loss, where two equal runs on the device already differ
SHOTS = (10, 50)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything."""

    seconds: float = 510.0  # of the whole command; each part ends at its share of them
    shares: tuple[float, ...] = (0.18, 0.5, 0.6, 1.0)  # correctness, training, embedding, pretraining: when each ends
    rows: int = 32  # B of the correctness checks
    shrink: dict[str, int] = dataclasses.field(default_factory=dict)  # encoder settings of the paper presets
    batches: dict[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {
            "paper_1000": (128, 512, 2048),
            "paper_150": (512, 2048, 8192),
            "default": (256, 1024, 4096),
        }
    )
    repeats: int = 5  # timed stretches, of which the median counts
    stretch: float = 0.5  # seconds of one of them, about
    sequences: int = 16384  # of 500 bases to embed
    long: int = 4_000_000  # bases of one long sequence to embed
    train_seconds: float = 120.0  # of pretraining
    most_steps: int = 50_000
    labels: int = 0  # labelled rows per class and split; 0: all
    resume_steps: int = 20


TINY = Plan(
    seconds=120.0,
    rows=4,
    shrink={"channels": 32, "context": 16},
    batches={"paper_1000": (4,), "paper_150": (8,), "default": (16,)},
    repeats=2,
    stretch=0.05,
    sequences=64,
    long=100_000,
    train_seconds=2.0,
    most_steps=20,
    labels=40,
    resume_steps=4,
)


@dataclasses.dataclass(frozen=True)
class Bench:
    plan: Plan
    device: torch.device
    store: Path | None  # token store to pretrain on; None: examples/
    labels: Path | None  # labelled table of the probe; None: that of examples/
    work: Path  # temporary files
    until: float  # time.monotonic() at which the running part ends

    def late(self) -> bool:
        return time.monotonic() > self.until


# ---- correctness


def correctness(bench: Bench) -> dict[str, Any]:
    """The device against the CPU: context states, loss, gradients, embeddings; a stopped run against a whole one."""
    checks: list[dict[str, Any]] = []
    with _no_tf32():
        for preset in PRESETS:
            if bench.late():
                return {"status": "out of time", "checks": checks}
            method, views = _small(bench, preset)
            checks += _agreement(bench, preset, method, views)
            checks += _embedding_agreement(bench, preset, method.encoder)
    checks += _resume(bench)
    return {"status": "pass" if all(check["pass"] for check in checks) else "fail", "checks": checks}


def _check(name: str, value: float, limit: float, **more: Any) -> dict[str, Any]:
    finite = value if math.isfinite(value) else None
    return {"name": name, "value": finite, "limit": limit, "pass": finite is not None and finite <= limit, **more}


@contextlib.contextmanager
def _no_tf32() -> Iterator[None]:
    """Full fp32 on the device: recurrences use TF32 by default, which is another precision."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def _recipe(bench: Bench, preset: str, **pretrain: Any) -> dict[str, Any]:
    shrink = bench.plan.shrink if preset.startswith("paper") else {}
    return {"preset": preset, "encoder": dict(shrink), "pretrain": pretrain}


def _method(recipe: Recipe) -> Method:
    torch.manual_seed(0)
    return methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))


def _small(bench: Bench, preset: str) -> tuple[Method, Views]:
    """A method on the CPU and one batch of random bases, a few of them N; no dropout, so that devices can agree."""
    mapping = config.merge(_recipe(bench, preset), {"encoder": {"dropout": 0.0}})
    recipe, rows = resolve(mapping), bench.plan.rows
    method = _method(recipe)
    rng = generator(0, 0)
    pair = (2,) if getattr(recipe.method, "distance", 0) else ()
    tokens = rng.integers(0, 4, (rows, *pair, method.length)).astype(np.uint8)
    tokens[..., 7:9] = N
    nothing = torch.zeros(rows, dtype=torch.int64)
    views = method.views(Batch(torch.from_numpy(tokens), nothing, torch.arange(rows), nothing), rng)
    method.encoder.fit_statistics(torch.cat([v.flatten(0, -2) for n, v in views.items() if n.endswith("_tokens")]))
    return method, views


def _pass(method: Method, views: Views, device: torch.device, bf16: bool) -> dict[str, torch.Tensor]:
    """Context states, loss and gradients of one step on a device, back on the CPU as fp64."""
    method = copy.deepcopy(method).to(device).train()
    views = {name: view.to(device) for name, view in views.items()}
    rows = next(view for name, view in views.items() if name.endswith("_tokens"))
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        with torch.no_grad():
            context = method.encoder(rows).c
        loss = torch.stack(list(method.loss(views).terms.values())).sum()
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
    found = {"context": context, "loss": loss.detach(), "gradient": gradient}
    return {name: value.double().cpu() for name, value in found.items()}


def _agreement(bench: Bench, preset: str, method: Method, views: Views) -> list[dict[str, Any]]:
    expected = _pass(method, views, torch.device("cpu"), bf16=False)
    found = _pass(method, views, bench.device, bf16=False)
    checks = []
    for name, value in found.items():
        error = (value - expected[name]).norm() / expected[name].norm()
        if name == "context":
            error = (value - expected[name]).abs().max() / expected[name].abs().max()
        checks.append(_check(f"{preset} fp32 {name}", error.item(), LIMITS[name]))
    if bench.device.type == "mps":
        return checks
    found = _pass(method, views, bench.device, bf16=True)
    for name, value in found.items():
        if name == "loss":
            error = ((value - expected[name]) / expected[name]).abs()
        else:
            error = 1 - torch.cosine_similarity(value.flatten(), expected[name].flatten(), dim=0)
        checks.append(_check(f"{preset} bf16 {name}", error.item(), LIMITS_BF16[name]))
    return checks


def _embedding_agreement(bench: Bench, preset: str, encoder: Encoder) -> list[dict[str, Any]]:
    """The same sequences of many lengths, on the device together and one by one, against the CPU."""
    rng = np.random.default_rng(0)
    lengths = [1, encoder.width, 151, 500, 999, 3000]
    sequences = [rng.integers(0, 5, length).astype(np.uint8) for length in lengths]
    there = copy.deepcopy(encoder).to(bench.device)
    expected = embed(encoder, sequences, "both")
    largest = np.abs(expected).max()
    together = np.abs(embed(there, sequences, "both") - expected).max() / largest
    alone = np.concatenate([embed(there, [sequence], "both") for sequence in sequences])
    return [
        _check(f"{preset} embedding, together", float(together), LIMITS["embedding"]),
        _check(f"{preset} embedding, one by one", float(np.abs(alone - expected).max() / largest), LIMITS["embedding"]),
    ]


def _resume(bench: Bench) -> list[dict[str, Any]]:
    """Two equal runs and one that is stopped after its first step and resumed, on the device."""
    from genossl.verbs import pretrain

    store = _random_store(bench)
    recipe = _recipe(bench, "default", steps=bench.plan.resume_steps, batch=32, validate_every=0)
    plain, soon = pretrain.Jobs(str(bench.device)), pretrain.Jobs(str(bench.device), time_limit=1e-9)
    for name in ("one", "two"):
        pretrain.run(store, bench.work / name, recipe, plain)
    try:
        pretrain.run(store, bench.work / "stopped", recipe, soon)
        raise AssertionError("a run with no time did not stop")
    except Stopped:
        pretrain.run(store, bench.work / "stopped", recipe, plain)
    runs = [bench.work / name for name in ("one", "two", "stopped")]
    sums = [files.sha256(run / "encoder.safetensors") for run in runs]
    losses = [float((run / "log.tsv").read_text().splitlines()[-1].split("\t")[2]) for run in runs]
    repeats, equal = sums[0] == sums[1], sums[0] == sums[2]
    error = abs(losses[2] - losses[0]) / abs(losses[0])
    bits = {"two_runs_equal_bit_for_bit": repeats, "stopped_run_equal_bit_for_bit": equal}
    check = _check("resume, relative difference of the last loss", error, LIMIT_RESUME, **bits)
    # where the device gives the same weights twice, a stop must not change them
    return [check | {"pass": check["pass"] and (equal or not repeats)}]


def _random_store(bench: Bench) -> Path:
    """A token store of random bases: enough for speed, and no file is needed for it."""
    import pandas as pd

    from genossl.genome.store import Writer

    folder = bench.work / "random"
    if (folder / "store.json").is_file():
        return folder
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    with Writer(folder) as writer:
        for i in range(8):
            writer.begin("random", f"contig{i}", "random")
            writer.append(rng.integers(0, 4, 500_000).astype(np.uint8))
            writer.end()
        writer.close(pd.DataFrame({"genome": ["random"], "split": ["train"]}), None, {"genomes": []})
    return folder


# ---- speed


def training(bench: Bench) -> dict[str, Any]:
    """Windows and bases per second of whole training steps, windows drawn and sent along, as the loop runs them."""
    rows = []
    precisions = ("fp32",) if bench.device.type == "mps" else ("fp32", "bf16")
    for preset, batches in bench.plan.batches.items():
        for precision in precisions:
            for batch in batches:
                row = {"preset": preset, "precision": precision, "batch": batch}
                rows.append(row | ({"left_out": "out of time"} if bench.late() else _train_speed(bench, **row)))
    done = all("left_out" not in row for row in rows)
    return {"status": "pass" if done else "incomplete", "rows": rows}


def _train_speed(bench: Bench, preset: str, precision: str, batch: int) -> dict[str, Any]:
    from genossl.genome.store import TokenStore
    from genossl.verbs.pretrain import Trainer

    loop = dict(steps=10**9, batch=batch, precision=precision, validate_every=0, log_every=10**9)
    recipe = resolve(_recipe(bench, preset, checkpoint_every=10**9, **loop))
    method = _method(recipe)
    store = TokenStore.open(_random_store(bench))
    _forget_peak(bench.device)
    try:
        trainer = Trainer(recipe.pretrain, method, store, np.arange(len(store.contigs)), bench.device)
        trainer.fit_statistics()
        steps = trainer.train(lambda: False)
        step_seconds = _median_seconds(bench, lambda: next(steps))
        draws = iter(range(10**9))

        def draw() -> None:
            rng = generator(0, next(draws))
            trainer._views(method.views(trainer.sampler.draw(batch, rng), rng))

        draw_seconds = _median_seconds(bench, draw)
    except torch.OutOfMemoryError:
        return {"left_out": "out of memory"}
    bases = trainer.bases / trainer.step
    return {
        "windows_per_second": batch / step_seconds,
        "mbp_per_second": bases / step_seconds / 1e6,  # bases that the encoder reads, both views
        "milliseconds_per_step": step_seconds * 1e3,
        "milliseconds_to_draw_and_send": draw_seconds * 1e3,
        "peak_gib": _peak_gib(bench.device),
    }


def _median_seconds(bench: Bench, act: Callable[[], Any]) -> float:
    """Median over stretches of the seconds that one call takes, the device's work waited for."""
    for _ in range(3):  # kernels are chosen and memory is taken
        act()
    _wait(bench.device)
    started = time.perf_counter()
    act()
    _wait(bench.device)
    one = time.perf_counter() - started
    calls = max(1, round(bench.plan.stretch / max(one, 1e-6)))
    measured = []
    for _ in range(bench.plan.repeats):
        started = time.perf_counter()
        for _ in range(calls):
            act()
        _wait(bench.device)
        measured.append((time.perf_counter() - started) / calls)
        if bench.late():
            break
    return statistics.median(measured)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_gib(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None


def embedding(bench: Bench) -> dict[str, Any]:
    """Bases of input per second, both strands read: many sequences of 500 bases, and one long one."""
    rng, rows = np.random.default_rng(0), []
    for preset in PRESETS:
        encoder = _method(resolve(_recipe(bench, preset))).encoder.to(bench.device)
        for what, count, length in (("short", bench.plan.sequences, 500), ("long", 1, bench.plan.long)):
            row: dict[str, Any] = {"preset": preset, "what": what, "sequences": count, "length": length}
            if bench.late():
                rows.append(row | {"left_out": "out of time"})
                continue
            sequences = list(rng.integers(0, 4, (count, length)).astype(np.uint8))
            embed(encoder, sequences[: max(1, count // 8)])
            _wait(bench.device)
            measured = []
            while len(measured) < bench.plan.repeats and not (measured and bench.late()):
                started = time.perf_counter()
                embed(encoder, sequences)  # ends on the CPU, so it has waited
                measured.append(time.perf_counter() - started)
            rows.append(row | {"mbp_per_second": count * length / statistics.median(measured) / 1e6})
    done = all("left_out" not in row for row in rows)
    return {"status": "pass" if done else "incomplete", "rows": rows}


# ---- what it buys


def pretraining(bench: Bench) -> dict[str, Any]:
    """The default recipe for a fixed time on real genomes, then few labels: trained, untrained and k-mers."""
    from genossl.verbs import embed as embed_verb
    from genossl.verbs import ingest, pretrain, probe

    store, labels, run = bench.store or bench.work / "store", _labels(bench), bench.work / "run"
    if bench.store is None:
        ingest.run([str(REPOSITORY / "examples" / "genomes.tsv")], store, ingest.Settings())
    steps = _steps(bench, store)
    if bench.late():
        return {"status": "out of time"}
    started = time.perf_counter()
    jobs = pretrain.Jobs(str(bench.device), time_limit=3 * bench.plan.train_seconds / 60)
    warnings = pretrain.run(store, run, _recipe(bench, "default", steps=steps), jobs)
    about = checkpoint.describe(run)
    found = {
        "steps": steps,
        "seconds": time.perf_counter() - started,
        "batch": about["pretrain"]["batch"],
        "bases_seen": about["bases_seen"],
        "warnings": warnings,
        "data": store.name if bench.store else "examples",
        "task": labels.name,
    }
    if bench.late():
        return {"status": "out of time", **found}
    named = {"trained": str(run), "untrained": f"untrained:{run}", "kmer4": "kmer:4", "kmer5": "kmer:5"}
    tables = [bench.work / f"{name}.npy" for name in named]
    for spec, table in zip(named.values(), tables, strict=True):
        embed_verb.run(spec, labels, table, embed_verb.Settings(), store, str(bench.device))
    few = probe.Settings(shots=SHOTS, cap=max(SHOTS), heads=("logistic",), replicates=200, test_cap=600)
    scores = bench.work / "scores.tsv"
    probe.run(tables, labels, labels.stem, scores, few)
    return {"status": "pass", **found, "balanced_accuracy": _scores(scores), "differences": _differences(scores)}


def _steps(bench: Bench, store: Path) -> int:
    """As many steps as fit into the plan's seconds, from a short run's speed."""
    from genossl.verbs import pretrain

    short = _recipe(bench, "default", steps=min(60, bench.plan.most_steps), validate_every=0)
    pretrain.run(store, bench.work / "short", short, pretrain.Jobs(str(bench.device)))
    seconds = [float(line.split("\t")[-1]) for line in (bench.work / "short" / "log.tsv").read_text().splitlines()[1:]]
    middle = len(seconds) // 2  # the first steps choose kernels
    one = (seconds[-1] - seconds[middle - 1]) / (len(seconds) - middle)
    return max(1, min(bench.plan.most_steps, round(0.9 * bench.plan.train_seconds / one)))  # validation takes its part


def _labels(bench: Bench) -> Path:
    """The labelled table, cut to the plan's number of rows per class and split."""
    path = bench.labels or REPOSITORY / "examples" / "species_500.tsv"
    if not bench.plan.labels:
        return path
    table = files.read_sheet(path, ("id", "label"))
    by = ["label", "split"] if "split" in table else ["label"]
    short = bench.work / path.name
    files.write_tsv(short, table.groupby(by, sort=False).head(bench.plan.labels))
    return short


def _scores(scores: Path) -> list[dict[str, Any]]:
    table = files.read_sheet(scores)
    rows = table[(table["draw"] == "mean") & (table["metric"] == "balanced_accuracy")]
    return [{"embedding": row.pop("embedding"), **_numbers(row, "value")} for row in rows.to_dict("records")]


def _differences(scores: Path) -> list[dict[str, Any]]:
    """Trained minus each other embedding, with the paired interval."""
    table = files.read_sheet(scores.with_suffix(".comparisons.tsv"))
    rows = table[(table["embedding"] == "trained") & (table["metric"] == "balanced_accuracy")]
    return [{"over": row.pop("baseline"), **_numbers(row, "difference")} for row in rows.to_dict("records")]


def _numbers(row: dict[Any, Any], name: str) -> dict[str, Any]:
    return {"shots": row["shots"], "value": float(row[name]), "low": float(row["low"]), "high": float(row["high"])}


# ---- the command


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured, by name."""
    about: dict[str, Any] = {
        "device": device.type,
        "name": platform.processor() or platform.machine(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about |= {
            "name": properties.name,
            "memory_gib": properties.total_memory / 2**30,
            "capability": f"{properties.major}.{properties.minor}",
        }
    return about


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


PARTS = (correctness, training, embedding, pretraining)


def run(bench: Bench) -> dict[str, Any]:
    """Every part within its share of the time; one that fails is recorded and the next begins."""
    began = time.monotonic()
    found: dict[str, Any] = {}
    for part, share in zip(PARTS, bench.plan.shares, strict=True):
        started = time.monotonic()
        try:
            result = part(dataclasses.replace(bench, until=began + share * bench.plan.seconds))
        except ImportError as error:
            result = {"status": "left out", "why": f"needs the package {error.name}"}
        except Exception as error:  # the other parts still have something to say
            result = {"status": "error", "why": f"{type(error).__name__}: {error}"}
        found[part.__name__] = result | {"part_seconds": time.monotonic() - started}
        print(f"{part.__name__}: {result['status']} {result.get('why', '')}".rstrip(), file=sys.stderr, flush=True)
    return {
        "benchmark": "gpu",
        "format": FORMAT,
        "machine": machine(bench.device),
        "versions": files.versions(),
        "plan": dataclasses.asdict(bench.plan),
        "limits": {"fp32": LIMITS, "bf16": LIMITS_BF16, "resume": LIMIT_RESUME},
        "seconds": time.monotonic() - began,
        "parts": found,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, smaller networks")
    parser.add_argument("--data", type=Path, metavar="STORE", help="token store to pretrain on (default: examples/)")
    parser.add_argument("--labels", type=Path, metavar="TSV", help="labelled table whose sequences are in STORE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file (default: standard output)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    given = parser.parse_args(arguments)
    try:
        device = encoder_device(given.device)
        if device.type == "cpu" and given.device == "auto" and not given.tiny:
            raise InputError(f"no GPU that torch {torch.__version__} can use; give --tiny, or --device cpu to insist")
        if (given.data is None) != (given.labels is None):
            raise InputError("--data and --labels go together: the labels' sequences are in the store")
        with tempfile.TemporaryDirectory() as work:
            plan = TINY if given.tiny else Plan()
            found = run(Bench(plan, device, given.data, given.labels, Path(work), 0.0)) | {"tiny": given.tiny}
        if given.out:
            files.write_json(given.out, found)
    except InputError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    if not given.out:
        json.dump(found, sys.stdout, indent=1)
        print()
    return int(any(part["status"] in ("fail", "error") for part in found["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
