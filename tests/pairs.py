"""A method on random contigs, small, with one batch of its views."""

from __future__ import annotations

import types

import numpy as np
import pandas as pd
import torch

from genossl import methods
from genossl.genome.windows import generator
from genossl.model.encoder import Encoder, Settings

ENCODER = dict(k=3, width=25, stride=25, hidden=16, channels=8, context=8, dropout=0.0)


def store(length=4000, contigs=6):
    rng = np.random.default_rng(0)
    return types.SimpleNamespace(
        tokens=rng.integers(0, 4, contigs * length).astype(np.uint8),
        contigs=pd.DataFrame(
            {
                "genome": [f"g{i}" for i in range(contigs)],
                "contig": [f"c{i}" for i in range(contigs)],
                "offset": np.arange(contigs) * length,
                "length": length,
            }
        ),
        genomes=pd.DataFrame({"genome": [f"g{i}" for i in range(contigs)], "split": "train"}),
    )


def batch(method, n=8, seed=0):
    data = store()
    return method.sampler(data, np.arange(len(data.contigs))).draw(n, generator(seed, 0))


def made(name, n=8, seed=0, **settings):
    """The method on a tiny encoder, and its views of n pairs."""
    kind = methods.load(name)
    torch.manual_seed(0)
    method = kind(
        kind.Settings(**{"length": 200, "distance": 300, "projection": 6, **settings}), Encoder(Settings(**ENCODER))
    )
    return method, method.views(batch(method, n, seed), generator(seed, 1))
