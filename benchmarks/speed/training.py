"""Training steps: the paper's network beside the same function in plain PyTorch, and the default preset."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import kmers
from .data import Data
from .machine import fastest
from .measure import Work
from .table import Contender, Goal, Row, Rows, Table

if TYPE_CHECKING:
    from torch import Tensor

    from genossl.verbs.pretrain import Trainer

BATCHES = {"paper_1000": 64, "default": 256}  # windows of a step
PORT = "plain PyTorch, fp32"
SIZE = 2048  # of the matrices whose product shows the limit
TINY = {"paper_1000": {"channels": 32, "context": 16}, "default": {}}  # encoder settings of a tiny run


def tables(data: Data) -> list[Table]:
    contexts = (512,) if data.tiny else (512, 256)  # shrunk they are the same
    return [*(_paper(data, context) for context in contexts), _default(data)]


def _paper(data: Data, context: int) -> Table:
    shape = TINY["paper_1000"] if data.tiny else {"context": context}
    own = {p: settings(data, "paper_1000", BATCHES["paper_1000"], p, shape) for p in ("fp32", "bf16", "auto")}
    port = {k: own["fp32"][k] for k in ("store", "batch")} | {"channels": 1024, "context": context} | shape
    goals = [
        Goal("training in fp32, over plain PyTorch", "genossl, fp32", PORT, least=1.9),
        Goal("training in bf16, over plain PyTorch", "genossl, bf16", PORT, least=3),
    ]
    ours = [Contender(f"genossl, {p}", "training:ours", own[p], left_out=no(p)) for p in own]
    others = [
        Contender(PORT, "training:port", port | {"precision": "fp32"}),
        Contender("plain PyTorch, autocast bf16", "training:port", port | {"precision": "bf16"}, left_out=no("bf16")),
    ]
    return Table(
        f"training_lstm{context}",
        f"Training the network of paper_1000, LSTM {context}, {BATCHES['paper_1000']} windows of 1,000 bases",
        "windows",
        PORT,
        [*others, *ours, *limits(), *kmers.rows_of(BATCHES["paper_1000"])],
        goals if context == 512 else [],
        seconds=3.0,
        columns=COLUMNS,
        notes=("Plain PyTorch computes the same loss and gradients with the same optimiser (speed/port.py, tested).",),
        conclude=lambda rows: kmers.sentences(rows, [c.name for c in ours]),
    )


def _default(data: Data) -> Table:
    own = {p: settings(data, "default", BATCHES["default"], p) for p in ("fp32", "bf16", "auto")}
    ours = [Contender(f"genossl, {p}", "training:ours", own[p], left_out=no(p)) for p in own]
    return Table(
        "training_default",
        f"Training the default preset, {BATCHES['default']} pairs of windows of 500 bases",
        "pairs",
        "genossl, fp32",
        [*ours, *limits(), *kmers.rows_of(BATCHES["default"])],
        seconds=2.0,
        columns=COLUMNS,
        conclude=lambda rows: kmers.sentences(rows, [c.name for c in ours]),
    )


def settings(data: Data, preset: str, batch: int, precision: str, encoder: dict[str, Any] | None = None) -> dict:
    shape = encoder or (TINY[preset] if data.tiny else {})
    return {"store": data.store, "preset": preset, "batch": batch, "precision": precision, "encoder": shape}


def limits() -> list[Contender]:
    """The rows of what this CPU multiplies at most."""
    return [
        Contender(_limit(p), "training:product", {"precision": p}, unit="GFLOP", left_out=no(p))
        for p in ("fp32", "bf16")
    ]


def no(precision: str) -> str:
    """Why a precision is not measured on this machine, or ""."""
    return "this CPU is not faster in bf16" if precision == "bf16" and fastest() != "bf16" else ""


def _limit(precision: str) -> str:
    return f"product of two {SIZE} x {SIZE} matrices, {precision}"


def _gflops(row: Row, rows: Rows) -> float | None:
    gflop = row.rounds[0].get("gflop")
    return statistics.median(row.rates("cpu")) * gflop if gflop else None


def _share(row: Row, rows: Rows) -> float | None:
    """Of the fastest product of matrices in the same precision."""
    limit, found = rows.get(_limit(row.rounds[0].get("precision", ""))), _gflops(row, rows)
    top = _gflops(limit, rows) if limit and not limit.left_out else None
    return found / top if found and top else None


COLUMNS: dict[str, Callable[[Row, Rows], Any]] = {
    "precision": lambda row, rows: row.rounds[0].get("precision"),
    "GFLOP per CPU second": _gflops,
    "share of the product's": _share,
}


# ---- contenders


def trainer(store: str, preset: str, batch: int, precision: str, encoder: dict[str, Any]) -> Trainer:
    """The loop of `genossl pretrain`, without validation and saved states, on one thread's CPU."""
    import torch

    from genossl import methods
    from genossl.genome.store import TokenStore
    from genossl.model.encoder import Encoder
    from genossl.recipe import resolve
    from genossl.verbs.pretrain import Trainer

    never = 10**9
    loop = {"steps": never, "batch": batch, "precision": precision, "validate_every": 0}
    loop |= {"log_every": never, "checkpoint_every": never}
    recipe = resolve({"preset": preset, "encoder": encoder, "pretrain": loop})
    torch.manual_seed(0)
    method = methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))
    opened = TokenStore.open(store)
    made = Trainer(recipe.pretrain, method, opened, np.arange(len(opened.contigs)), torch.device("cpu"))
    made.fit_statistics()
    return made


def ours(store: str, preset: str, batch: int, precision: str, encoder: dict[str, Any]) -> Work:
    import torch

    from genossl.genome.windows import generator
    from genossl.verbs import pretrain  # noqa: F401

    yield {}
    loop = trainer(store, preset, batch, precision, encoder)
    rng = generator(0, 0)
    views = loop.method.views(loop.sampler.draw(batch, rng), rng)
    gflop = _count(lambda: torch.stack(list(loop.method.loss(views).terms.values())).sum()) / batch
    loop.method.zero_grad(set_to_none=True)
    told: dict[str, Any] = {"units": batch, "gflop": gflop}

    def look(*_: Any) -> None:
        told["precision"] = "bf16" if torch.is_autocast_enabled("cpu") else "fp32"

    loop.method.encoder.register_forward_pre_hook(look)
    for _ in loop.train(lambda: False):
        yield dict(told)


def port(store: str, batch: int, channels: int, context: int, precision: str) -> Work:
    import torch

    from genossl.recipe import resolve

    from .port import Port

    yield {}
    torch.manual_seed(0)
    network, loop = Port(channels, context), resolve({"preset": "paper_1000"}).pretrain
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=loop.lr, weight_decay=loop.weight_decay, eps=loop.epsilon, fused=True
    )
    genome, rng = np.memmap(Path(store) / "tokens.bin", np.uint8, "r"), np.random.default_rng(0)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    def loss() -> Tensor:
        start = rng.integers(0, len(genome) - kmers.LENGTH, (batch, 1))
        with autocast:
            return network(torch.from_numpy(genome[start + np.arange(kmers.LENGTH)]))

    gflop = _count(loss) / batch
    while True:
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()
        yield {"units": batch, "precision": precision, "gflop": gflop}


def product(precision: str) -> Work:
    import torch

    yield {}
    a, b = torch.randn(2, SIZE, SIZE, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    while True:
        torch.matmul(a, b)
        yield {"units": 2 * SIZE**3 / 1e9, "precision": precision, "gflop": 1}


def _count(loss: Callable[[], Tensor]) -> float:
    """GFLOP of a loss and its gradients, as torch counts them, without computing anything."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    # fused recurrences are not counted, so they are taken apart
    with FakeTensorMode(allow_non_fake_inputs=True), torch.backends.mkldnn.flags(enabled=False):
        with FlopCounterMode(display=False) as counter:
            loss().backward()
    return counter.get_total_flops() / 1e9
