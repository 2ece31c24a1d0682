"""Self-GenomeNet as one would write it in PyTorch: what the method with the preset paper_1000 is measured against.

One-hot letters, nn.Conv1d, nn.LSTM, a linear map, and a loop over the split points; a test holds loss and gradients to
those of genossl. Gündüz et al. 2023, Communications Biology 6:928.
"""

# B windows, L bases, A letters, T frames, C context channels, R = 2B rows

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Port(nn.Module):
    """Tokens uint8 (B, L) to the loss of a batch."""

    def __init__(self, channels: int = 1024, context: int = 512, width: int = 40, stride: int = 20) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, channels, width, stride)
        self.lstm = nn.LSTM(channels, context, batch_first=True)
        self.head = nn.Linear(context, context)
        self.gap = -(-width // stride) - 1  # frames to skip so that prefix and remainder share no base

    def states(self, x_BLA: Tensor) -> Tensor:
        """Context states (B, T, C) of one-hot letters."""
        return self.lstm(self.conv(x_BLA.transpose(1, 2)).transpose(1, 2))[0]

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Cross-entropy of finding the remainder on the other strand, for both strands and all split points."""
        x_BLA = one_hot(tokens_BL)
        c_RTC = self.states(torch.cat([x_BLA, reverse_complement(x_BLA)]))
        rows = len(c_RTC)
        itself = torch.eye(rows, dtype=torch.bool)
        other_strand = torch.arange(rows).roll(rows // 2)
        query_RTC = self.head(c_RTC)
        splits = c_RTC.shape[1] - 1 - self.gap
        loss = torch.zeros(())
        for t in range(splits):
            logits_RR = query_RTC[:, t] @ c_RTC[:, splits - 1 - t].T
            loss = loss + F.cross_entropy(logits_RR.float().masked_fill(itself, -torch.inf), other_strand)
        return loss / splits

    def embed(self, tokens_BL: Tensor) -> Tensor:
        """The last state, both strands averaged, (B, C)."""
        x_BLA = one_hot(tokens_BL)
        return (self.states(x_BLA)[:, -1] + self.states(reverse_complement(x_BLA))[:, -1]) / 2


def one_hot(tokens_BL: Tensor) -> Tensor:
    """Letters A, C, G, T as float (B, L, 4); N is the zero vector."""
    return F.one_hot(tokens_BL.long(), 5)[..., :4].float()


def reverse_complement(x_BLA: Tensor) -> Tensor:
    """The other strand, read 5' to 3'."""
    return x_BLA.flip(1, 2)
