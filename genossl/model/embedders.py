"""What turns sequences into vectors, told by its name: a pretrained encoder, its first weights, k-mers or GC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


def same_encoder(origin: Mapping[str, Any], path: str | Path, given: str | None, made: str = "was trained") -> str:
    """The encoder to open for what lies at `path`: the one given, else where it was.

    origin: its spec, path and sha256. Raises InputError unless it is the very one, told by sha256.
    """
    spec, wanted = origin["spec"], origin.get("sha256")
    if not wanted:  # k-mers and GC have no weights, so their name says it all
        if given is not None and given.replace(":", "") != spec.replace(":", ""):
            raise InputError(f"{path}: {made} on vectors of {spec}, found --encoder {given}")
        return spec
    prefix = UNTRAINED if spec.startswith(UNTRAINED) else ""
    where = f"{prefix}{origin.get('path') or spec.removeprefix(UNTRAINED)}" if given is None else given
    folder = where.removeprefix(UNTRAINED)
    if given is None and not Path(folder).exists():
        raise InputError(f"{path}: its encoder was {folder}, which is not there; say where it is: --encoder RUN")
    another = re.fullmatch(r"gc|kmer:?\d+", where) and not Path(where).exists()
    if another or where.startswith(UNTRAINED) != bool(prefix):
        raise InputError(f"{path}: {made} on vectors of {spec}, found --encoder {where}")
    if (found := checkpoint.describe(folder).get("sha256")) != wanted:
        raise InputError(f"{path}: {made} with an encoder of sha256 {wanted}; {folder} has {found}")
    return where
