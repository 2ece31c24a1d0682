"""Networks that are trained with labels: any trunk that makes one vector of a sequence, and a linear head on it.

The trunk is a pretrained encoder, the same encoder with new weights, or a supervised convolutional network whose
receptive field covers the whole input. None lets a sequence's answer depend on what stands beside it in a batch.
"""

# B sequences, L bases, A letters, T frames, C channels, F features, K outputs

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.genome.alphabet import N, reverse_complement
from genossl.model.embedding import Pool, padded, read
from genossl.model.encoder import Encoder

PART_BASES = 1 << 17  # padded bases that are read at once, forward and backward
KERNEL = 3  # frames under a dilated convolution


class Reader(nn.Module):
    """An encoder read as `embed` reads it: tokens (B, L) and their lengths to vectors (B, F)."""

    def __init__(self, encoder: Encoder, pool: Pool = "last") -> None:
        super().__init__()
        self.encoder, self.shortest = encoder, encoder.width
        self.pool: Pool = pool
        self.features = encoder.channels * (2 if pool == "both" else 1)

    def forward(self, tokens_BL: Tensor, lengths_B: Tensor) -> Tensor:
        return read(self.encoder, tokens_BL, lengths_B, self.pool)


class Cnn(nn.Module):
    """A convolution that looks for motifs, the best match in each frame, and residual blocks dilated 1, 2, 4, ...

    There are as many blocks as it takes for `receptive_field` to reach `longest` bases: the frame in the middle then
    sees all of the longest input. After Basenji (Kelley et al. 2018, Genome Research 28:739) and BPNet (Avsec et al.
    2021, Nature Genetics 53:354). Norms are over the channels of a frame, and positions outside of a sequence are
    zeros in every layer, so that padding changes nothing. The vector is the mean and the maximum over frames.
    """

    one_hot: Tensor

    def __init__(self, longest: int, channels: int = 64, width: int = 15, frame: int = 8) -> None:
        super().__init__()
        self.width, self.frame, self.shortest, self.features = width, frame, 1, 2 * channels
        self.register_buffer("one_hot", torch.eye(6)[:, :4], persistent=False)  # N and MASK are the zero vector
        self.stem = nn.Linear(4 * width, channels)
        self.dilations: list[int] = []
        while self.receptive_field < longest:
            self.dilations.append(2 ** len(self.dilations))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in self.dilations)
        self.blocks = nn.ModuleList(nn.Linear(KERNEL * channels, channels) for _ in self.dilations)
        self.last = nn.LayerNorm(channels)

    @property
    def receptive_field(self) -> int:
        """Bases that one frame sees after the last block."""
        return self.width + self.frame - 1 + self.frame * (KERNEL - 1) * sum(self.dilations)

    def forward(self, tokens_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Tokens uint8 (B, L), L at least the largest of lengths_B, to (B, 2C)."""
        tokens_BL = F.pad(tokens_BL, (0, -tokens_BL.shape[1] % self.frame), value=N)
        inside_BL = torch.arange(tokens_BL.shape[1], device=tokens_BL.device) < lengths_B[:, None]
        x_BLA = F.embedding(tokens_BL.int(), self.one_hot) * inside_BL[..., None]
        inside_BT1 = inside_BL[:, :: self.frame, None]  # a frame counts where its first base does
        x_BTC = self.frames(x_BLA, inside_BL[..., None], inside_BT1)
        mean_BC = (x_BTC * inside_BT1).sum(1) / inside_BT1.sum(1)
        return torch.cat([mean_BC, x_BTC.masked_fill(~inside_BT1, -torch.inf).amax(1)], -1)

    def frames(self, x_BLA: Tensor, inside_BL1: Tensor, inside_BT1: Tensor) -> Tensor:
        """Letters as vectors to frames (B, T, C); convolutions are linear maps of shifted copies, fast on a CPU."""
        before = (self.width - 1) // 2
        x_BLA = F.pad(x_BLA, (0, 0, before, self.width - 1 - before))
        x_BLC = self.stem(x_BLA.unfold(1, self.width, 1).flatten(2)) * inside_BL1
        x_BTC = F.gelu(F.max_pool1d(x_BLC.mT, self.frame).mT)
        for dilation, norm, block in zip(self.dilations, self.norms, self.blocks, strict=True):
            frames = x_BTC.shape[1]
            read_BTC = F.pad(F.gelu(norm(x_BTC)) * inside_BT1, (0, 0, dilation, dilation))
            shifted = [read_BTC[:, i * dilation : i * dilation + frames] for i in range(KERNEL)]
            x_BTC = x_BTC + block(torch.cat(shifted, -1))
        return self.last(x_BTC)


class Classifier(nn.Module):
    """A trunk and a linear head: logits (B, K)."""

    def __init__(self, trunk: Reader | Cnn, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk, self.dropout, self.head = trunk, nn.Dropout(dropout), nn.Linear(trunk.features, outputs)

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def forward(self, sequences: Sequence[np.ndarray]) -> Tensor:
        return self.head(self.dropout(self.vectors(sequences)))

    def vectors(self, sequences: Sequence[np.ndarray]) -> Tensor:
        """What the head reads, (B, F)."""
        tokens_BL = torch.from_numpy(padded(sequences, self.trunk.shortest)).to(self.device)
        lengths_B = torch.tensor([len(s) for s in sequences], device=self.device)
        return self.trunk(tokens_BL, lengths_B)


def parts(sequences: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Row numbers in portions of similar lengths and at most PART_BASES padded bases (but at least one row)."""
    lengths = np.array([len(s) for s in sequences])
    order, first = np.argsort(lengths, kind="stable"), 0
    for last in range(1, len(order) + 1):
        if last == len(order) or lengths[order[last]] * (last + 1 - first) > PART_BASES:
            yield order[first:last]
            first = last


@torch.inference_mode()
def vectors(model: Classifier, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """What the head would read of each sequence: float32 (n, F)."""
    model.eval()
    out = np.empty((len(sequences), model.trunk.features), np.float32)
    for rows in parts(sequences):
        out[rows] = model.vectors([sequences[i] for i in rows]).float().cpu().numpy()
    return out


@torch.inference_mode()
def logits(model: Classifier, sequences: Sequence[np.ndarray], both_strands: bool) -> Tensor:
    """Logits (n, K) on the CPU; with `both_strands` the mean over a sequence and its reverse complement."""
    model.eval()
    out = torch.empty(len(sequences), model.head.out_features)
    for rows in parts(sequences):
        part = [sequences[i] for i in rows]
        found = model(part)
        if both_strands:
            found = (found + model([reverse_complement(s) for s in part])) / 2
        out[torch.from_numpy(rows)] = found.float().cpu()
    return out
