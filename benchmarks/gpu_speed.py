"""How fast a device is at what genossl does: its own peaks, training steps, embeddings, and what could be faster."""

# B windows, L bases, T frames, I numbers of a patch

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch
from gpu_plan import (
    PRESETS,
    Bench,
    forget_peak,
    median_seconds,
    method_of,
    no_tf32,
    peak_gib,
    random_store,
    recipe_of,
    row,
    status,
)
from torch.nn import functional as F

from genossl.genome.alphabet import reverse_complement
from genossl.genome.windows import generator
from genossl.model import embedding as reader
from genossl.model.encoder import ConvFront, Encoder
from genossl.model.precision import Precision, Product, autocast
from genossl.pretext.method import Method, Views
from genossl.recipe import Recipe
from genossl.verbs.pretrain import Trainer

PAPER_WINDOWS = 51_200_000  # 400,000 steps of 128 windows of 1000 nt
GOALS = {  # on one H200
    "training on paper_1000, Gbp/s, each window's bases counted once": (">=", 0.4),
    "embedding with paper_1000, Gbp/s, both strands read": (">=", 1.5),
    "drawing and sending, share of the fastest step on paper_1000": ("<=", 0.02),
    "the paper's 51.2 million windows, seconds (computed)": ("<=", 600.0),
}
PADDED = 256  # numbers of a patch that cuDNN's persistent kernels could take: a multiple of 128


# ---- the device


def peaks(bench: Bench) -> dict[str, Any]:
    """What the device can do at most, measured: products of square matrices, and copies, bytes read plus written."""
    rows = [row(bench, _matmul, precision=precision) for precision in bench.precisions()]
    rows.append(row(bench, _copy, precision="bytes"))
    return {"status": status(rows), "rows": rows}


def _matmul(bench: Bench, precision: str) -> dict[str, Any]:
    n = bench.plan.square
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=bench.device, dtype=dtype) for _ in range(2))
    with no_tf32():
        seconds = median_seconds(bench, lambda: a @ b)
    return {"side": n, "tflops": 2 * n**3 / seconds / 1e12}


def _copy(bench: Bench, precision: str) -> dict[str, Any]:
    source = torch.randint(0, 256, (bench.plan.copied,), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = median_seconds(bench, lambda: target.copy_(source))
    return {"bytes": bench.plan.copied, "gb_per_second": 2 * bench.plan.copied / seconds / 1e9}


# ---- training


def training(bench: Bench, peaks: dict[str, float]) -> dict[str, Any]:
    """Whole training steps as the loop runs them, per batch and group: bf16, and fp32 at one batch.

    `peaks` are TFLOP/s by precision, of which a row's fraction is taken.
    """
    counts = [row(bench, operations, preset=preset) for preset in bench.plan.batches]
    sizes = [(preset, batch) for preset, batches in bench.plan.batches.items() for batch in batches]
    rows = []
    for preset, batch in sizes:
        for group in _groups(bench, preset, batch):
            rows.append(row(bench, _train, preset=preset, precision=bench.precisions()[-1], batch=batch, group=group))
    for preset, batches in bench.plan.batches.items():
        batch = batches[len(batches) // 2]
        group = _groups(bench, preset, batch)[0]
        rows.append(row(bench, _train, preset=preset, precision="fp32", batch=batch, group=group))
    known = {count["preset"]: count for count in counts if "once" in count}
    for found in rows:
        if "milliseconds_per_step" in found and found["preset"] in known:
            done = step_operations(known[found["preset"]], found["batch"], found["group"])
            found["tflops"] = done / found["milliseconds_per_step"] / 1e9
            peak = peaks.get(found["precision"])
            found["fraction_of_peak"] = found["tflops"] / peak if peak else None
    return {"status": status([*counts, *rows]), "operations": counts, "rows": rows, "paper": _paper(rows)}


def _groups(bench: Bench, preset: str, batch: int) -> list[int]:
    """Numbers of windows that are each other's negatives: divisors of the batch, 0 for all of it."""
    if preset != "paper_1000":
        return [0]
    return [group for group in bench.plan.groups if not group or (group < batch and batch % group == 0)]


def _recipe(bench: Bench, preset: str, precision: str, batch: int, group: int) -> Recipe:
    loop = dict(steps=10**9, batch=batch, precision=precision, validate_every=0, checkpoint_every=10**9)
    return recipe_of(bench, {"preset": preset, "pretrain": loop, "self_genomenet": {"group": group}})


def _train(bench: Bench, preset: str, precision: str, batch: int, group: int) -> dict[str, Any]:
    recipe = _recipe(bench, preset, precision, batch, group)
    method = method_of(recipe).to(bench.device)
    forget_peak(bench.device)
    seconds, bases = _step(bench, recipe, method, log_every=1000)
    peak = peak_gib(bench.device)
    watched, _ = _step(bench, recipe, method, log_every=1)
    with _one_batch(bench, recipe, method):
        reused, _ = _step(bench, recipe, method, log_every=1000)
    return {
        "windows_per_second": batch / seconds,
        "mbp_per_second": bases / seconds / 1e6,  # bases that the encoder reads, both views
        "milliseconds_per_step": seconds * 1e3,
        "share_of_data": 1 - reused / seconds,
        "share_of_host_syncs": 1 - seconds / watched,
        "peak_gib": peak,
    }


def _step(bench: Bench, recipe: Recipe, method: Method, log_every: int) -> tuple[float, float]:
    """Seconds and bases of one step of the real loop."""
    store = random_store(bench)
    settings = dataclasses.replace(recipe.pretrain, log_every=log_every)
    trainer = Trainer(settings, method, store, np.arange(len(store.contigs)), bench.device)
    trainer.fit_statistics()
    steps = trainer.train(lambda: False)
    return median_seconds(bench, lambda: next(steps)), trainer.bases / trainer.step


def _one_batch(bench: Bench, recipe: Recipe, method: Method) -> Any:
    """While it lasts, the method's views are one batch that lies on the device: nothing is drawn or sent."""
    views = _views(bench, recipe, method)
    for view in views.values():
        vars(view)["pin_memory"] = lambda view=view: view  # what is there cannot be pinned, and need not be
    nothing = types.SimpleNamespace(draw=lambda n, rng: None)
    return mock.patch.multiple(method, sampler=lambda store, rows: nothing, views=lambda batch, rng: views)


def _views(bench: Bench, recipe: Recipe, method: Method) -> Views:
    """One batch on the device."""
    store, rng = random_store(bench), generator(0, 0)
    batch = method.sampler(store, np.arange(len(store.contigs))).draw(recipe.pretrain.batch, rng)
    return {name: view.to(bench.device) for name, view in method.views(batch, rng).items()}


def operations(bench: Bench, preset: str) -> dict[str, Any]:
    """Operations of a step, from three counts: `once`, per `window`, and per `logit`, of which there are B times G.

    What is done once is the product of two weight matrices; logits are of each window and each of its group.
    """
    f11, f21, f22 = (counted(bench, preset, *size) for size in ((1, 1), (2, 1), (2, 2)))
    logit = (f22 - f21) / 2
    window = f21 - f11 - logit
    return {"once": f11 - window - logit, "window": window, "logit": logit}


def step_operations(count: dict[str, Any], batch: int, group: int) -> float:
    """Operations of one step of B windows in groups of G, 0 for the batch."""
    return count["once"] + batch * (count["window"] + count["logit"] * (group or batch))


def counted(bench: Bench, preset: str, batch: int, group: int) -> int:
    """Operations of one step as torch counts them on the CPU, where recurrences can be taken apart."""
    recipe, store = _recipe(bench, preset, "fp32", batch, group), random_store(bench)
    settings = dataclasses.replace(recipe.pretrain, steps=1)
    rows = np.arange(len(store.contigs))
    return Trainer(settings, method_of(recipe), store, rows, torch.device("cpu")).flops()


def _paper(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How long the published pretraining for 1000 nt would take at the best rate measured: computed, not run."""
    best = _best(rows, "windows_per_second")
    size = {name: best[name] for name in ("precision", "batch", "group")} if best else None
    seconds = PAPER_WINDOWS / best["windows_per_second"] if best else None
    return {"windows": PAPER_WINDOWS, "seconds": seconds, "computed": True, "at": size}


def _best(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    of_paper = [row for row in rows if row["preset"] == "paper_1000" and name in row]
    return max(of_paper, key=lambda row: row[name], default=None)


# ---- embedding


def embedding(bench: Bench) -> dict[str, Any]:
    """Bases of input per second, both strands read: many sequences, a long one, and tokens that lie on the device."""
    plan, rows = bench.plan, []
    for preset in PRESETS:
        for precision in reversed(bench.precisions()):
            about: dict[str, Any] = dict(preset=preset, precision=precision)
            many = about | dict(sequences=plan.sequences, length=plan.length)
            for at_once in plan.at_once:
                rows.append(row(bench, _embed, what="many", **many, at_once=at_once))
            rows.append(row(bench, _embed, what="long", **about, sequences=1, length=plan.long, at_once=reader.BLOCK))
            held = plan.at_once[-1] // plan.length
            there = about | dict(sequences=held, length=plan.length, at_once=plan.at_once[-1])
            rows.append(row(bench, _read, what="on the device", **there))
    return {"status": status(rows), "rows": rows}


def _embed(
    bench: Bench, preset: str, precision: Precision, what: str, sequences: int, length: int, at_once: int
) -> dict[str, Any]:
    encoder = method_of(recipe_of(bench, {"preset": preset})).encoder.to(bench.device)
    tokens = list(np.random.default_rng(0).integers(0, 4, (sequences, length)).astype(np.uint8))
    with mock.patch.dict(reader.BATCH_BASES, {} if what == "long" else {bench.device.type: at_once}):
        seconds = median_seconds(bench, lambda: reader.embed(encoder, tokens, precision=precision))
    return {"mbp_per_second": sequences * length / seconds / 1e6}


def _read(
    bench: Bench, preset: str, precision: Product, what: str, sequences: int, length: int, at_once: int
) -> dict[str, Any]:
    """The network alone: no list of arrays, no padding, no way to the device and back."""
    encoder = method_of(recipe_of(bench, {"preset": preset})).encoder.to(bench.device).eval()
    tokens_BL = torch.randint(0, 4, (sequences, length), dtype=torch.uint8, device=bench.device)
    lengths_B = torch.full((sequences,), length, device=bench.device)

    @torch.inference_mode()
    def both_strands() -> None:
        with autocast(precision, bench.device):
            for strand_BL in (tokens_BL, reverse_complement(tokens_BL)):
                reader.read(encoder, strand_BL, lengths_B, "last")

    return {"mbp_per_second": sequences * length / median_seconds(bench, both_strands) / 1e6}


# ---- goals


def goals(parts: dict[str, dict[str, Any]], device: torch.device) -> list[dict[str, Any]]:
    """Each goal with its value; `met` is null where no GPU was measured."""
    trained = _best(parts.get("training", {}).get("rows", []), "windows_per_second")
    embedded = [row for row in parts.get("embedding", {}).get("rows", []) if row["what"] != "on the device"]
    read = _best(embedded, "mbp_per_second")
    values = (
        trained["windows_per_second"] * 1000 / 1e9 if trained else None,
        read["mbp_per_second"] / 1e3 if read else None,
        trained["share_of_data"] if trained else None,
        PAPER_WINDOWS / trained["windows_per_second"] if trained else None,
    )
    found = []
    for (goal, (sign, limit)), value in zip(GOALS.items(), values, strict=True):
        met = None
        if device.type == "cuda" and value is not None:
            met = value >= limit if sign == ">=" else value <= limit
        found.append({"goal": f"{goal}: {sign} {limit:g}", "value": value, "met": met})
    return found


# ---- experiments


def experiments(bench: Bench) -> dict[str, Any]:
    """What could be faster on the paper's 1000 nt network: experiments that nothing depends on, none fails the run.

    Forward and backward alone, on one batch on the device. cuDNN has persistent LSTM kernels for fp16 only, up to 128
    rows and inputs of a multiple of 128: hence fp16, and patches filled up with zeros from 160 to 256 numbers. A CUDA
    graph replays the whole at one call. `times_as_fast` is over eager bf16 at the same batch.
    """
    rows = [
        row(bench, _experiment, batch=batch, precision=precision, padded=padded, graph=graph)
        for graph in (False, True)  # last, since a capture that fails may spoil what comes after it
        for batch in bench.plan.tried
        for precision in ("bf16", "fp16")
        for padded in (False, True)
    ]
    timed = [found for found in rows if "milliseconds" in found]
    plain = {"precision": "bf16", "padded": False, "graph": False}
    eager = {found["batch"]: found["milliseconds"] for found in timed if plain.items() <= found.items()}
    for found in timed:
        found["times_as_fast"] = eager[found["batch"]] / found["milliseconds"] if found["batch"] in eager else None
    return {"status": "pass" if status(rows) == "pass" else "incomplete", "rows": rows}


def _experiment(bench: Bench, batch: int, precision: str, padded: bool, graph: bool) -> dict[str, Any]:
    if graph and bench.device.type != "cuda":
        return {"left_out": "CUDA only"}
    recipe = _recipe(bench, "paper_1000", "bf16", batch, group=math.gcd(batch, 256))
    method = method_of(recipe).to(bench.device).train()
    views, losses = _views(bench, recipe, method), {}
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16

    def step() -> None:
        method.zero_grad(set_to_none=True)
        # weights that autocast has kept from outside of a graph would not be read anew by its replays
        with torch.autocast(bench.device.type, dtype, cache_enabled=False):
            loss = torch.stack(list(method.loss(views).terms.values())).sum()
        losses["last"] = loss.detach()
        loss.backward()

    with _padded(method.encoder) if padded else contextlib.nullcontext():
        seconds = median_seconds(bench, _captured(step) if graph else step)
    loss = losses["last"].item()
    return {"milliseconds": seconds * 1e3, "loss": loss if math.isfinite(loss) else None}


def _padded(encoder: Encoder) -> Any:
    """While it lasts, patches and the weights that read them are filled up with zeros: the same function."""
    front = encoder.front
    assert isinstance(front, ConvFront)
    patches, folded = front.patches, front.folded

    def wider(x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (0, PADDED - x.shape[-1]))

    def wider_weights(weight_ih: torch.Tensor, bias_ih: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = folded(weight_ih, bias_ih)
        return wider(weight), bias

    return mock.patch.multiple(front, patches=lambda tokens_BL: wider(patches(tokens_BL)), folded=wider_weights)


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step as one CUDA graph: warmed up on a stream of its own, as capturing asks for."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
