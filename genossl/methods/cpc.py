"""CPC: what has been read so far picks the frames that come next from those of other windows.

van den Oord, Li, Vinyals: "Representation learning with contrastive predictive coding" (2018), arXiv 1807.03748, eq. 4.
With latents z_t (frames before any context), the context c_t of all frames up to t, and a linear map W_k per step:

    L = -mean over t, k of log( exp(z_{t+gap+k} . W_k c_t) / sum over X of exp(z_j . W_k c_t) ),  k = 1 .. K

X holds the true latent and those at the same place of the other windows of the batch. log |X| - L is a lower bound of
the information that the context has about what follows. The gap is the encoder's: no base is under both a context and
its target. Cosines over a temperature stand in for the dot products, which can win by the length of a latent alone;
`temperature: 0` brings the paper's back. The paper's networks are `front: conv` with `rnn: gru`.
"""

# B windows, L bases, T frames, C context channels, D frame channels, Q predictions of a window, G windows of a group

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import Ahead
from genossl.pretext.losses import matching
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import either_strand

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class CPC(Method):
    """InfoNCE over the frames to come."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        steps: int = 12  # K, frames ahead that are predicted, or as many as the window holds
        temperature: float = 0.5  # divides cosines; 0: raw dot products (paper)
        projection: int = 64  # P, channels that are compared; 0: the latents themselves (paper)
        strand: float = 0.5  # probability that a window is read on the other strand
        same_contig_negatives: bool = False  # windows of one contig are candidates for each other (paper)
        group: int = 0  # windows that serve each other as negatives, a divisor of the batch; 0: the whole batch
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.length, self.steps) < 1 or min(self.temperature, self.projection, self.group) < 0:
                raise ValueError("length and steps must be at least 1; temperature, projection and group not negative")
            if not all(0 <= share <= 1 for share in (self.strand, self.most_n)):
                raise ValueError("strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.ahead = Ahead("cpc", s.length, encoder, s.steps, s.projection, bias=False)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        return Windows(store, rows, self.settings.length, self.settings.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """read_tokens uint8 (B, L); contig int64 (B,)."""
        return {"read_tokens": either_strand(batch.tokens, self.settings.strand, rng), "contig": batch.contig}

    def partners(self, views: Views) -> tuple[Tensor, Tensor]:
        """The longest context and the first frame after it."""
        read_BL, last = views["read_tokens"], self.encoder.frames(self.settings.length) - 1
        until = (last - self.ahead.far[0]) * self.encoder.stride + self.encoder.width
        first = last * self.encoder.stride
        return read_BL[:, :until], read_BL[:, first : first + self.encoder.width]

    def loss(self, views: Views) -> Loss:
        """The cross-entropy of choosing each frame to come; log B for a context that says nothing, B or the group."""
        s = self.settings
        read = self.encoder(views["read_tokens"], latents=True)
        predicted, true = self.ahead(read.c), self.ahead.targets(self.ahead.head(read.z))
        contig_XG = views["contig"].view(-1, s.group or len(views["contig"]))
        same_X1GG = None if s.same_contig_negatives else (contig_XG[:, :, None] == contig_XG[:, None])[:, None]
        size = contig_XG.shape[1]
        contrast = matching(_groups(predicted, size), _groups(true, size), s.temperature, same_X1GG)
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        # the longest context of each window and the first frame after it
        return Loss({"contrast": contrast.loss}, metrics, predicted[0][:, -1].detach(), true[0][:, -1].detach())


def _groups(steps: list[Tensor], size: int) -> Tensor:
    """The steps' (B, T - gap - k, D) side by side, (B / G, Q, G, D): each prediction beside those of its group."""
    return torch.cat(steps, 1).unflatten(0, (-1, size)).transpose(1, 2)
