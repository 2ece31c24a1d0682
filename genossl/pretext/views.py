"""Views of DNA: what may happen to a window and leave its meaning as it was. All randomness comes from `rng`."""

# B windows, L bases, F bases of flank

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.windows import Batch
from genossl.pretext.method import Views


def pair(batch: Batch, strand: float, rng: np.random.Generator) -> Views:
    """Both windows of each pair, each on the other strand with probability `strand`, and the contig they are of."""
    one_BL, two_BL = batch.tokens.unbind(1)
    return {
        "one_tokens": either_strand(one_BL, strand, rng),
        "two_tokens": either_strand(two_BL, strand, rng),
        "contig": batch.contig,
    }


def either_strand(tokens_BL: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """Each window replaced by its reverse complement with that probability."""
    turned_B1 = torch.from_numpy(rng.random((len(tokens_BL), 1)) < probability)
    return torch.where(turned_B1, reverse_complement(tokens_BL), tokens_BL)


def substitute(tokens_BL: Tensor, rate: float, rng: np.random.Generator) -> Tensor:
    """Each base replaced with probability `rate`, always by another one, so that `rate` is what changes. N stays N."""
    hit_BL = torch.from_numpy(rng.random(tokens_BL.shape, np.float32) < rate)
    shift_BL = torch.from_numpy(rng.integers(1, 4, tokens_BL.shape, np.uint8))
    return torch.where(hit_BL & (tokens_BL < 4), (tokens_BL + shift_BL) % 4, tokens_BL)


def indels(tokens_BL: Tensor, longest: int, rng: np.random.Generator, flank_BF: Tensor | None = None) -> Tensor:
    """One deletion and one insertion per window, each of 0 to `longest` random bases at a random place.

    The length stays L: what overhangs on the right is cut, and what is missing there is filled with the first bases of
    `flank_BF` (F >= longest; the bases that follow the window in its contig) or, without it, with N.
    """
    b, length = tokens_BL.shape
    deleted_B1, inserted_B1 = (torch.from_numpy(rng.integers(0, longest + 1, (b, 1))) for _ in range(2))
    cut_B1, place_B1 = (torch.from_numpy(rng.integers(0, length, (b, 1))) for _ in range(2))
    base_BL = torch.from_numpy(rng.integers(0, 4, (b, length), np.uint8))
    if flank_BF is None:
        flank_BF = tokens_BL.new_full((b, longest), N)
    at_BL = torch.arange(length).expand(b, -1)
    new_BL = (at_BL >= place_B1) & (at_BL < place_B1 + inserted_B1)
    from_BL = at_BL - inserted_B1 * (at_BL >= place_B1 + inserted_B1)
    from_BL = from_BL + deleted_B1 * (from_BL >= cut_B1)
    return torch.where(new_BL, base_BL, torch.cat([tokens_BL, flank_BF], 1).gather(1, from_BL))


def crop(tokens_BL: Tensor, length: int, rng: np.random.Generator) -> Tensor:
    """`length` bases in a row of each window, from a random place of its own."""
    first_B1 = torch.from_numpy(rng.integers(0, tokens_BL.shape[1] - length + 1, (len(tokens_BL), 1)))
    return tokens_BL.gather(1, first_B1 + torch.arange(length))
