"""Views of DNA: what may happen to a window and leave its meaning as it was. All randomness comes from `rng`."""

# B windows, L bases, F bases of flank

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genossl.genome.alphabet import MASK, N, reverse_complement
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


def choose(tokens_BL: Tensor, rate: float, span: int, rng: np.random.Generator) -> Tensor:
    """Which bases to hide, bool (B, L): each with probability `rate`, in stretches of `span` bases. N never is.

    A stretch may start at any base and before the first, with probability 1 - (1 - rate)^(1 / span), so that every base
    has the same chance; stretches may overlap.
    """
    b, length = tokens_BL.shape
    starts = torch.from_numpy(rng.random((b, length + span - 1), np.float32)) < 1 - (1 - rate) ** (1 / span)
    return starts.unfold(1, span, 1).any(-1) & (tokens_BL < 4)


def hide(tokens_BL: Tensor, chosen_BL: Tensor, masked: float, random: float, rng: np.random.Generator) -> Tensor:
    """The chosen bases behind MASK with probability `masked`, else any of the four with `random`, else as they are.

    One random base in four is the right one. Devlin et al. 2018, arXiv 1810.04805, section 3.1, has 0.8 and 0.1.
    """
    fate_BL = torch.from_numpy(rng.random(tokens_BL.shape, np.float32))
    base_BL = torch.from_numpy(rng.integers(0, 4, tokens_BL.shape, np.uint8))
    read_BL = torch.where(fate_BL < masked + random, base_BL, tokens_BL).masked_fill(fate_BL < masked, MASK)
    return torch.where(chosen_BL, read_BL, tokens_BL)


def cloze(
    tokens_BL: Tensor,
    asked: slice,
    rng: np.random.Generator,
    rate: float = 0.15,
    span: int = 1,
    masked: float = 0.8,
    random: float = 0.1,
) -> Views:
    """masked_tokens, wanted, uint8 (B, L): what to read, and the bases to say; N where none is asked for.

    Bases are chosen among `asked`.
    """
    chosen_BL = torch.zeros_like(tokens_BL, dtype=torch.bool)
    chosen_BL[:, asked] = choose(tokens_BL[:, asked], rate, span, rng)
    read_BL = hide(tokens_BL, chosen_BL, masked, random, rng)
    return {"masked_tokens": read_BL, "wanted": tokens_BL.masked_fill(~chosen_BL, N)}
