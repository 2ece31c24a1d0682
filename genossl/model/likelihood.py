"""How likely sequences of any length are, the same whatever stands beside them in a batch."""

# B sequences, L bases

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from genossl.genome.alphabet import N
from genossl.model.encoder import Encoder, State

ROWS = 64  # sequences read at once
BLOCK = 2048  # bases of each read at once, the state carried on


class Reader(Protocol):
    """What says which base comes next."""

    encoder: Encoder

    def following(self, bases_BL: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Log-probabilities, nats, of the base after each `encoder.width` bases, and the state to read on from."""
        ...


@torch.inference_mode()
def log2_likelihoods(reader: Reader, sequences: list[np.ndarray]) -> np.ndarray:
    """log2 P of the known bases of each sequence, float64 (n,); N is read and not counted.

    A sequence of N alone gives 0. Memory beside the sequences does not grow with their length.
    """
    sums, lengths = np.zeros(len(sequences)), np.array([len(tokens) for tokens in sequences])
    order, first = np.argsort(lengths, kind="stable"), 0
    while first < len(order):
        last = first + 1
        while last < len(order) and last - first < ROWS and lengths[order[last]] <= 2 * lengths[order[first]]:
            last += 1
        rows = order[first:last]
        sums[rows] = _batch(reader, [sequences[i] for i in rows])
        first = last
    return sums


def _batch(reader: Reader, sequences: list[np.ndarray]) -> np.ndarray:
    """The same for sequences of about one length, filled up with N, block by block."""
    width, device = reader.encoder.width, next(reader.encoder.parameters()).device
    longest = max(map(len, sequences))
    tokens_BL = np.full((len(sequences), width + longest), N, np.uint8)  # N before the first base
    for row_L, tokens_L in zip(tokens_BL, sequences, strict=True):
        row_L[width : width + len(tokens_L)] = tokens_L
    sums_B, state = np.zeros(len(sequences)), None
    for first in range(0, longest, BLOCK):
        block_BL = torch.from_numpy(tokens_BL[:, first : first + BLOCK + width]).to(device)
        log_p_BL4, state = reader.following(block_BL[:, :-1], state)
        base_BL = block_BL[:, width:]
        nats_BL = log_p_BL4.gather(2, base_BL.clamp(max=3).long()[..., None])[..., 0]
        # summed in float64: differences of long sums must keep their digits
        sums_B += torch.where(base_BL < N, nats_BL, 0).cpu().double().sum(1).numpy()
    return sums_B / np.log(2)
