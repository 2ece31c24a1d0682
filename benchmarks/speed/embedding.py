"""Embedding a genome in windows of 1,000 bases: genossl, plain PyTorch, foundation models' shapes, k-mers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import kmers
from .data import Data
from .kmers import LENGTH
from .machine import fastest
from .measure import Work
from .table import Contender, Goal, Table
from .training import TINY, no

if TYPE_CHECKING:
    from genossl.model.precision import Precision

PORT = "plain PyTorch, fp32"
# name -> contender, windows at once, layers
PEERS = {
    "HyenaDNA-tiny shape": ("hyenadna", 8, 2),
    "Nucleotide Transformer 50M shape": ("nucleotide_transformer", 8, 12),
    "DNABERT-2 shape": ("dnabert2", 4, 12),
}
LEAST = {PORT: 4, "HyenaDNA-tiny shape": 10, "Nucleotide Transformer 50M shape": 100, "DNABERT-2 shape": 250}


def tables(data: Data) -> list[Table]:
    windows = _windows(data.tiny)
    ours = [contender(preset, p, data.tiny) for preset in TINY for p in ("fp32", "bf16")]
    shape = {"channels": 1024, "context": 512} | (TINY["paper_1000"] if data.tiny else {})
    plain = Contender(PORT, "embedding:port", {"windows": min(windows, 128), **shape})
    peers = [
        Contender(name, f"peers:{call}", _peer(batch, layers, data.tiny), peers=True)
        for name, (call, batch, layers) in PEERS.items()
    ]
    best = f"genossl paper_1000, {fastest()}"
    return [
        Table(
            "embedding",
            f"Embedding a genome in windows of {LENGTH:,} bases",
            "kbp",
            PORT,
            [*ours, plain, *peers, *kmers.rows_of(windows)],
            [
                *(Goal(f"embedding, over {name}", best, name, least=least) for name, least in LEAST.items()),
                Goal("memory of embedding, MiB above the interpreter's", best, most=400),
            ],
            seconds=2.0,
            notes=(
                "genossl and plain PyTorch read both strands, the others one; a base counts once. Weights are random. "
                "Nucleotide Transformer: 6-mer tokens, its gated units as a plain layer of as many operations. "
                "DNABERT-2: a token per five bases, its tokeniser not counted. They run in fp32, as users run them.",
            ),
            conclude=lambda rows: kmers.sentences(rows, [c.name for c in ours]),
        )
    ]


def contender(preset: str, precision: str, tiny: bool) -> Contender:
    """genossl with a preset's untrained encoder."""
    shape = TINY[preset] if tiny else {}
    settings = {"preset": preset, "precision": precision, "windows": _windows(tiny), "encoder": shape}
    return Contender(f"genossl {preset}, {precision}", "embedding:ours", settings, left_out=no(precision))


def _windows(tiny: bool) -> int:
    """Windows of one call."""
    return 4 if tiny else 512


def _peer(batch: int, layers: int, tiny: bool) -> dict[str, int]:
    return {"windows": 1 if tiny else batch, "length": LENGTH, "layers": 1 if tiny else layers}


# ---- contenders


def ours(preset: str, precision: Precision, windows: int, encoder: dict[str, Any]) -> Work:
    import torch

    from genossl.model.embedding import embed
    from genossl.model.encoder import Encoder
    from genossl.recipe import resolve

    yield {}
    torch.manual_seed(0)
    network, sequences = Encoder(resolve({"preset": preset, "encoder": encoder}).encoder), list(_genome(windows))
    while True:
        embed(network, sequences, precision=precision)
        yield {"units": windows}


def port(windows: int, channels: int, context: int) -> Work:
    import torch

    from .port import Port

    yield {}
    torch.manual_seed(0)
    network, tokens_BL = Port(channels, context).eval(), torch.from_numpy(_genome(windows))
    with torch.inference_mode():
        while True:
            network.embed(tokens_BL).numpy()
            yield {"units": windows}


def _genome(windows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (windows, LENGTH), np.uint8)
