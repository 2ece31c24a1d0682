"""Sequences of any length to one vector each, the same whatever stands beside them in a batch."""

# B sequences, L bases, T frames, C context channels

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from genossl.genome.alphabet import N, reverse_complement
from genossl.model.encoder import ConvFront, Encoder, State
from genossl.model.precision import Precision, Product, autocast, chosen

Pool = Literal["last", "mean", "both"]
BATCH_BASES = {"cpu": 1 << 18, "cuda": 1 << 22, "mps": 1 << 20}  # padded bases read at once
BLOCK = 1 << 16  # bases of a long sequence read at once, the state carried on


@torch.inference_mode()
def embed(
    encoder: Encoder,
    sequences: Sequence[np.ndarray],
    pool: Pool = "last",
    both_strands: bool = True,
    precision: Precision = "auto",
) -> np.ndarray:
    """One vector per sequence of tokens: float32 (n, C), or (n, 2C) for pool "both"; the order is kept.

    "last" is the context after the whole sequence, "mean" the mean over its frames. With `both_strands` the vectors of
    the sequence and of its reverse complement are averaged. Sequences shorter than a frame are filled up with N.
    `precision` is that of `product`.
    """
    encoder.eval()
    found = product(encoder, precision)
    with autocast(found, device_of(encoder)), _whole_fp32(found):
        vectors = _one_strand(encoder, sequences, pool)
        if both_strands:
            vectors = (vectors + _one_strand(encoder, [reverse_complement(s) for s in sequences], pool)) / 2
    return vectors


def product(encoder: Encoder, precision: Precision = "auto") -> Product:
    """The format of the matrix products: bf16 moves a vector by about half a percent from where fp32 puts it.

    auto is bf16 only on a CPU that is faster in it, and of an LSTM over a convolution, whose states come out the same
    in any batch. Any other network in bf16, and any on a GPU, may differ by as much from batch to batch.
    """
    device, recurrent = device_of(encoder), isinstance(encoder.rnn, nn.LSTM) and isinstance(encoder.front, ConvFront)
    if precision == "auto" and not (device.type == "cpu" and recurrent):
        return "fp32"
    return chosen(precision, device)


@contextmanager
def _whole_fp32(precision: Product) -> Iterator[None]:
    """fp32 in all its bits: cuDNN may round to 10 of them (TF32), in batches of one shape and not of another."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before and precision != "fp32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def device_of(encoder: Encoder) -> torch.device:
    """Where its weights lie."""
    return next(encoder.parameters()).device


def _one_strand(encoder: Encoder, sequences: Sequence[np.ndarray], pool: Pool) -> np.ndarray:
    width = encoder.channels * (2 if pool == "both" else 1)
    vectors = np.empty((len(sequences), width), np.float32)
    lengths = np.array([max(len(s), encoder.width) for s in sequences])
    order = np.argsort(lengths, kind="stable")
    first, longest, most = 0, max(BLOCK, encoder.width), BATCH_BASES[device_of(encoder).type]
    while first < len(order):
        last = first + 1
        if lengths[order[first]] > longest:
            vectors[order[first]] = _long(encoder, sequences[order[first]], pool)
        else:
            while last < len(order) and (length := lengths[order[last]]) <= longest:
                if length * (last + 1 - first) > most:
                    break
                last += 1
            rows = order[first:last]
            vectors[rows] = _batch(encoder, [sequences[i] for i in rows], lengths[rows], pool)
        first = last
    return vectors


def _batch(encoder: Encoder, sequences: list[np.ndarray], lengths: np.ndarray, pool: Pool) -> np.ndarray:
    device = device_of(encoder)
    tokens_BL = torch.from_numpy(padded(sequences, encoder.width)).to(device)
    return read(encoder, tokens_BL, torch.from_numpy(lengths).to(device), pool).float().cpu().numpy()


def padded(sequences: Sequence[np.ndarray], shortest: int = 1) -> np.ndarray:
    """Sequences of tokens filled up with N to one length, that of the longest or `shortest`: uint8 (B, L)."""
    tokens_BL = np.full((len(sequences), max(shortest, *map(len, sequences))), N, np.uint8)
    for row, tokens in zip(tokens_BL, sequences, strict=True):
        row[: len(tokens)] = tokens
    return tokens_BL


def read(encoder: Encoder, tokens_BL: Tensor, lengths_B: Tensor, pool: Pool) -> Tensor:
    """One vector per row, (B, C) or (B, 2C): what lies behind a sequence's own frames is never looked at."""
    frames_B1 = ((lengths_B.clamp(min=encoder.width) - encoder.width) // encoder.stride + 1)[:, None]
    if pool == "last":
        return encoder(tokens_BL, at_BS=frames_B1 - 1).c[:, 0]
    c_BTC = encoder(tokens_BL).c
    last_BC = c_BTC[torch.arange(len(c_BTC), device=c_BTC.device), frames_B1[:, 0] - 1]
    inside_BT = torch.arange(c_BTC.shape[1], device=c_BTC.device) < frames_B1
    return _pooled(last_BC, (c_BTC * inside_BT[..., None]).sum(1), frames_B1, pool)


def _long(encoder: Encoder, tokens: np.ndarray, pool: Pool) -> np.ndarray:
    """One long sequence, block by block in constant memory: the state that is carried makes the cuts invisible."""
    device = device_of(encoder)
    frames, step = encoder.frames(len(tokens)), max(1, BLOCK // encoder.stride)
    state: State | None = None
    last_C = sum_C = torch.zeros(encoder.channels, device=device)
    for first in range(0, frames, step):
        until = min(first + step, frames)
        bases = np.asarray(tokens[first * encoder.stride : (until - 1) * encoder.stride + encoder.width])
        read = encoder(torch.from_numpy(bases.copy())[None].to(device), state)
        state, last_C, sum_C = read.state, read.c[0, -1], sum_C + read.c[0].sum(0)
    vector_1C = _pooled(last_C[None], sum_C[None], torch.tensor([[frames]], device=device), pool)
    return vector_1C[0].float().cpu().numpy()


def _pooled(last_BC: Tensor, sum_BC: Tensor, frames_B1: Tensor, pool: Pool) -> Tensor:
    parts = {"last": [last_BC], "mean": [sum_BC / frames_B1], "both": [last_BC, sum_BC / frames_B1]}[pool]
    return torch.cat(parts, -1)
