"""What turns sequences into vectors, told by its name: a pretrained encoder, its first weights, k-mers or GC."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genossl.errors import InputError
from genossl.genome import kmers
from genossl.model import checkpoint
from genossl.model.embedding import Pool, embed, product
from genossl.model.encoder import encoder_device
from genossl.model.precision import Precision, Product

Embedder = Callable[[list[np.ndarray]], np.ndarray]  # n sequences -> float32 (n, C)
UNTRAINED = "untrained:"


class Opened(NamedTuple):
    """What turns sequences into vectors, and what is known of it."""

    embedder: Embedder
    window: int = 500  # bases that it was trained on; 500 where it was not
    weights: Path | None = None  # the file that they come from
    precision: Product = "fp32"  # of its products


def open_encoder(
    spec: str, pool: Pool, both_strands: bool, device: str, threads: int = 0, precision: Precision = "auto"
) -> Opened:
    """The encoder, or what stands in for one, of that name.

    spec: a run or model folder, `kmer:K`, `gc`, or `untrained:RUN`. k-mers are those of one strand where `both_strands`
    is false, since a floor that is blind to the strand would be too low a bar there. Raises InputError.
    """
    if spec == "gc":
        return Opened(kmers.gc)
    if match := re.fullmatch(r"kmer:?(\d+)", spec):
        k = int(match[1])
        if not 1 <= k <= 8:
            raise InputError(f"encoder {spec}: k must be from 1 to 8")
        return Opened(lambda sequences: kmers.profiles(sequences, k, both_strands))
    if threads:
        import torch

        torch.set_num_threads(threads)
    where = encoder_device(device)
    path = spec.removeprefix(UNTRAINED)
    load = checkpoint.untrained if spec.startswith(UNTRAINED) else checkpoint.load_encoder
    encoder = load(path, str(where))
    about = checkpoint.describe(path)
    weights, found = checkpoint.encoder_folder(path) / "encoder.safetensors", product(encoder, precision)

    def embedder(sequences: list[np.ndarray]) -> np.ndarray:
        return embed(encoder, sequences, pool, both_strands, found)

    return Opened(embedder, int(about.get("length", 500)), weights, found)
