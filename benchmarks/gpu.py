"""What a GPU does for genossl, in one command that ends within nine minutes, as JSON and as Markdown tables.

    python benchmarks/gpu.py --out gpu.json            # on a machine with a GPU; writes gpu.md too
    python benchmarks/gpu.py --tiny --device cpu       # the same code in less than a minute, to see that it runs

Six parts, each with its share of the time: does the device agree with the CPU (correctness), what can it do at most
(peaks), how fast does it train (training), how fast does it embed (embedding), what do two minutes of pretraining buy
(pretraining), and what could be faster (experiments). A part or a row that cannot run says why and the others go on.
Exit 0: all that ran passed; 1: a check or a row failed; 2: there is no such device.
"""

# B windows, L bases, C context channels

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # a plain checkout is enough

try:
    import gpu_speed as speed
    import numpy as np
    import torch
    from gpu_plan import PRESETS, TINY, Bench, Plan, first_line, method_of, no_tf32, random_store, recipe_of
    from speed.machine import machine as host

    from genossl import files, methods
    from genossl.errors import InputError, Stopped
    from genossl.genome.windows import generator
    from genossl.model import checkpoint
    from genossl.model import embedding as reader
    from genossl.model.encoder import encoder_device
    from genossl.pretext.method import Method, Views
except ImportError as error:
    sys.exit(f"gpu.py: needs the package {error.name}; install what pyproject.toml lists under dependencies")

FORMAT = 2
# against the CPU in fp32, TF32 off: largest difference over largest value, or norm of the difference over norm. On the
# CPU one rounding of every weight moves gradients by up to 1e-5 and all else by 1e-6; TF32 rounds at 5e-4
LIMITS = {"context": 1e-4, "loss": 1e-4, "gradient": 1e-4, "embedding": 1e-4}
# bf16 against fp32 on the CPU: 1 - cosine, the relative error of the loss
LIMITS_BF16 = {"context": 0.01, "loss": 0.05, "gradient": 0.1, "embedding": 0.01}
LIMIT_INVARIANCE = 1e-5  # of an embedding on the device, whatever stands beside it and wherever a sequence is cut
LIMIT_RESUME = 0.01  # relative difference of the last loss, where two equal runs on the device already differ
SHOTS = (10, 50)


# ---- correctness


def correctness(bench: Bench) -> dict[str, Any]:
    """The device against the CPU: context states, loss, gradients, embeddings; a stopped run against a whole one."""
    checks: list[dict[str, Any]] = []
    with no_tf32():
        for name, preset in _cases():
            checks += _guarded(f"{name} on {preset}", _agreement, bench, name, preset)
        for preset in PRESETS:
            checks += _guarded(f"embedding with {preset}", _embedding_agreement, bench, preset)
    checks += _guarded("resume", _resume, bench)
    if any(check["pass"] is False for check in checks):
        return {"status": "fail", "checks": checks}
    return {"status": "incomplete" if any("left_out" in check for check in checks) else "pass", "checks": checks}


def _cases() -> list[tuple[str, str]]:
    """Every method on the encoder that serves it, and Self-GenomeNet on the paper's two."""
    own = [(name, methods.load(name).preset) for name in methods.available()]
    return own + [("self_genomenet", preset) for preset in PRESETS if preset.startswith("paper")]


def _guarded(name: str, check: Callable[..., list[dict[str, Any]]], bench: Bench, *which: str) -> list[dict[str, Any]]:
    """The checks; or one without a value, that failed and says how, or for which no time was left."""
    nothing: dict[str, Any] = {"name": name, "value": None, "limit": None, "pass": None}
    if bench.late():
        return [nothing | {"left_out": "out of time"}]
    try:
        return check(bench, *which)
    except Exception as error:  # the others still have something to say
        return [nothing | {"pass": False, "error": first_line(error)}]


def _check(name: str, value: float, limit: float, **more: Any) -> dict[str, Any]:
    finite = value if math.isfinite(value) else None
    return {"name": name, "value": finite, "limit": limit, "pass": finite is not None and finite <= limit, **more}


def _small(bench: Bench, name: str, preset: str) -> tuple[Method, Views]:
    """A method on the CPU and the views of one batch; no dropout, so that devices can agree."""
    method = method_of(recipe_of(bench, {"name": name, "preset": preset}, dropout=0.0))
    store, rng = random_store(bench), generator(0, 0)
    batch = method.sampler(store, np.arange(len(store.contigs))).draw(bench.plan.rows, rng)
    views = method.views(batch, rng)
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


def _agreement(bench: Bench, name: str, preset: str) -> list[dict[str, Any]]:
    """fp32 for every method; bf16, which rounds, for the recipes whose speed is measured."""
    method, views = _small(bench, name, preset)
    expected = _pass(method, views, torch.device("cpu"), bf16=False)
    found = _pass(method, views, bench.device, bf16=False)
    checks = []
    for what, value in found.items():
        error = (value - expected[what]).norm() / expected[what].norm()
        if what == "context":
            error = (value - expected[what]).abs().max() / expected[what].abs().max()
        checks.append(_check(f"{name} on {preset}, fp32 {what}", error.item(), LIMITS[what]))
    if "bf16" not in bench.precisions() or name != "self_genomenet":
        return checks
    found = _pass(method, views, bench.device, bf16=True)
    for what, value in found.items():
        if what == "loss":
            error = ((value - expected[what]) / expected[what]).abs()
        else:
            error = 1 - torch.cosine_similarity(value.flatten(), expected[what].flatten(), dim=0)
        checks.append(_check(f"{name} on {preset}, bf16 {what}", error.item(), LIMITS_BF16[what]))
    return checks


def _embedding_agreement(bench: Bench, preset: str) -> list[dict[str, Any]]:
    """Sequences of many lengths on the device against the CPU; together against one by one, whole against in blocks."""
    encoder = _small(bench, "self_genomenet", preset)[0].encoder
    rng = np.random.default_rng(0)
    lengths = [1, encoder.width, 151, 500, 999, 3000]
    sequences = [rng.integers(0, 5, length).astype(np.uint8) for length in lengths]
    there = copy.deepcopy(encoder).to(bench.device)
    expected = reader.embed(encoder, sequences, "both", precision="fp32")
    together = reader.embed(there, sequences, "both", precision="fp32")
    alone = np.concatenate([reader.embed(there, [s], "both", precision="fp32") for s in sequences])
    with mock.patch.object(reader, "BLOCK", 1 << 9):
        in_blocks = reader.embed(there, sequences, "both", precision="fp32")
    name = f"embedding with {preset}"
    checks = [
        _check(f"{name}, fp32", _apart(together, expected), LIMITS["embedding"]),
        _check(f"{name}, one by one", _apart(alone, together), LIMIT_INVARIANCE),
        _check(f"{name}, in blocks", _apart(in_blocks, together), LIMIT_INVARIANCE),
    ]
    if "bf16" in bench.precisions():
        found = torch.from_numpy(reader.embed(there, sequences, "both", precision="bf16"))
        # the first sequence is filled up with N, the zero vector: it has no direction
        cosine = torch.cosine_similarity(found[1:], torch.from_numpy(expected)[1:], dim=1).min().item()
        checks.append(_check(f"{name}, bf16", 1 - cosine, LIMITS_BF16["embedding"]))
    return checks


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _resume(bench: Bench) -> list[dict[str, Any]]:
    """Two equal runs and one that is stopped after its first step and resumed, on the device."""
    from genossl.verbs import pretrain

    store = random_store(bench).folder
    recipe = _default(steps=bench.plan.resume_steps, batch=32, validate_every=0)
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
    warnings = pretrain.run(store, run, _default(steps=steps), jobs)
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


def _default(**pretrain: Any) -> dict[str, Any]:
    """The default preset with another loop."""
    return {"preset": "default", "pretrain": pretrain}


def _steps(bench: Bench, store: Path) -> int:
    """As many steps as fit into the plan's seconds, from a short run's speed."""
    from genossl.verbs import pretrain

    short = _default(steps=min(60, bench.plan.most_steps), validate_every=0)
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


# ---- tables

NONE = "not measured"
TRAINING = {  # heading: what is in a row, and how it is written
    "preset": ("preset", ""),
    "precision": ("precision", ""),
    "B": ("batch", ""),
    "group": ("group", ""),
    "windows/s": ("windows_per_second", ",.0f"),
    "Mbp/s read": ("mbp_per_second", ",.0f"),
    "ms/step": ("milliseconds_per_step", ".2f"),
    "TFLOP/s": ("tflops", ".3g"),
    "of peak": ("fraction_of_peak", ".1%"),
    "data": ("share_of_data", ".1%"),
    "host syncs": ("share_of_host_syncs", ".1%"),
    "peak GiB": ("peak_gib", ".1f"),
}
EMBEDDING = {
    "preset": ("preset", ""),
    "precision": ("precision", ""),
    "sequences": ("sequences", ","),
    "bases each": ("length", ","),
    "what": ("what", ""),
    "read at once": ("at_once", ","),
    "Mbp/s": ("mbp_per_second", ",.1f"),
}
EXPERIMENTS = {
    "B": ("batch", ""),
    "precision": ("precision", ""),
    "padded": ("padded", ""),
    "CUDA graph": ("graph", ""),
    "ms": ("milliseconds", ".2f"),
    "times eager bf16": ("times_as_fast", ".2f"),
    "loss": ("loss", ".4f"),
}
PEAKS = {"what": ("precision", ""), "TFLOP/s": ("tflops", ".3g"), "GB/s": ("gb_per_second", ",.0f")}
CHECKS = {"check": ("name", ""), "found": ("value", ".1e"), "limit": ("limit", ".0e"), "pass": ("pass", "")}
GOALS = {"goal": ("goal", ""), "value": ("value", ".3g"), "met": ("met", "")}
PROBED = {"that of": ("over", ""), "labels": ("shots", ""), "value": ("value", "+.3f"), "low": ("low", "+.3f"),
          "high": ("high", "+.3f")}  # fmt: skip


def markdown(found: dict[str, Any]) -> str:
    """Every part as a table, and the device's row for benchmarks/README.md."""
    parts, about = found["parts"], found["machine"]
    lines = [f"# {about['name']}, torch {found['versions']['torch']}, CUDA {about['cuda']}", ""]
    lines += [f"{name}: {part['status']}{_because(part)}  " for name, part in parts.items()]
    for heading, rows, columns in (
        ("Goals on one H200", found["goals"], GOALS),
        ("Peaks", parts["peaks"].get("rows", []), PEAKS),
        ("Training", parts["training"].get("rows", []), TRAINING),
        ("Embedding, both strands", parts["embedding"].get("rows", []), EMBEDDING),
        ("Experiments", parts["experiments"].get("rows", []), EXPERIMENTS),
        (
            "Pretraining: balanced accuracy of the trained encoder minus",
            parts["pretraining"].get("differences", []),
            PROBED,
        ),
        ("Correctness", parts["correctness"].get("checks", []), CHECKS),
    ):
        lines += ["", f"## {heading}", "", *_lines(rows, columns)]
    lines += ["", "## For benchmarks/README.md", "", "| " + " | ".join(_cells(found)) + " |", ""]
    return "\n".join(lines)


def _lines(rows: list[dict[str, Any]], columns: dict[str, tuple[str, str]]) -> Iterator[str]:
    """A Markdown table; a row that was not measured says why in its last cell."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        cells = [_written(row.get(name), how) for name, how in columns.values()]
        why = row.get("left_out") or row.get("error")
        if why:
            cells[-1] = why.replace("|", "/")
        yield "| " + " | ".join(cells) + " |"


def _written(value: Any, how: str) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else format(value, how)


def _because(part: dict[str, Any]) -> str:
    return f", {part['why']}" if "why" in part else ""


def _cells(found: dict[str, Any]) -> list[str]:
    """Device, training of three presets, embedding of the default, gain at 10 labels; a CPU measures none of it."""
    parts, cuda = found["parts"], found["machine"]["device"] == "cuda"
    if not cuda:
        return [NONE] * 6
    trained = [_most(parts["training"], "windows_per_second", name) for name in ("paper_1000", "paper_150", "default")]
    over = [row for row in parts["pretraining"].get("differences", []) if row["over"] != "untrained"]
    few = min((row for row in over if str(row["shots"]) == "10"), key=lambda row: row["value"], default=None)
    gain = f"{few['value']:+.3f} [{few['low']:+.3f}, {few['high']:+.3f}]" if few else NONE
    return [found["machine"]["name"], *trained, _most(parts["embedding"], "mbp_per_second", "default"), gain]


def _most(part: dict[str, Any], name: str, preset: str) -> str:
    rows = [row for row in part.get("rows", []) if row["preset"] == preset and name in row]
    rows = [row for row in rows if row.get("what") != "on the device"]
    return f"{max(row[name] for row in rows):,.0f}" if rows else NONE


# ---- the command


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured, by name."""
    here = host()
    about: dict[str, Any] = {
        "device": device.type,
        "name": platform.processor() or platform.machine(),
        "cpu": here["cpu"],
        "cores": here["cores"],
        "threads": torch.get_num_threads(),
        "system": here["system"],
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


def run(bench: Bench) -> Iterator[dict[str, Any]]:
    """What was found after each part, each within its share of the time; one that fails is recorded."""
    began = time.monotonic()
    parts: dict[str, Any] = {}

    def training(bench: Bench) -> dict[str, Any]:
        rows = parts["peaks"].get("rows", [])
        return speed.training(bench, {row["precision"]: row["tflops"] for row in rows if "tflops" in row})

    for part in (correctness, speed.peaks, training, speed.embedding, pretraining, speed.experiments):
        name, started = part.__name__, time.monotonic()
        try:
            result = part(dataclasses.replace(bench, until=began + bench.plan.shares[name] * bench.plan.seconds))
        except ImportError as error:
            result = {"status": "left out", "why": f"needs the package {error.name}"}
        except Exception as error:  # the other parts still have something to say
            result = {"status": "error", "why": first_line(error)}
        parts[name] = result | {"part_seconds": time.monotonic() - started}
        print(f"{name}: {result['status']} {result.get('why', '')}".rstrip(), file=sys.stderr, flush=True)
        yield {
            "benchmark": "gpu",
            "format": FORMAT,
            "tiny": bench.plan is TINY,
            "machine": machine(bench.device),
            "versions": files.versions(),
            "plan": dataclasses.asdict(bench.plan),
            "limits": {"fp32": LIMITS, "bf16": LIMITS_BF16, "invariance": LIMIT_INVARIANCE, "resume": LIMIT_RESUME},
            "seconds": time.monotonic() - began,
            "goals": speed.goals(parts, bench.device),
            "parts": parts,
        }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, smaller networks")
    parser.add_argument("--data", type=Path, metavar="STORE", help="token store to pretrain on (default: examples/)")
    parser.add_argument("--labels", type=Path, metavar="TSV", help="labelled table whose sequences are in STORE")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="JSON file, Markdown tables beside it (default: JSON to standard output)",
    )
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
            if given.tiny:
                torch.set_num_threads(1)  # on networks this small threads wait for each other more than they work
            found: dict[str, Any] = {}
            for found in run(Bench(plan, device, given.data, given.labels, Path(work), 0.0)):
                if given.out:  # after each part, so that a run that is cut short leaves what it found
                    files.write_json(given.out, found)
        if given.out:
            given.out.with_suffix(".md").write_text(markdown(found))
            print(markdown(found))
    except InputError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    if not given.out:
        json.dump(found, sys.stdout, indent=1)
        print()
    return int(any(part["status"] in ("fail", "error") for part in found["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
