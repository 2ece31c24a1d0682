"""Masked language model: say the bases that were hidden, from what stands on both sides of them.

Devlin, Chang, Lee, Toutanova: "BERT: pre-training of deep bidirectional transformers for language understanding",
NAACL (2019), arXiv 1810.04805, section 3.1. Of the known bases x_i a share is chosen, the set M; of these 80 % are read
as MASK, 10 % as any of the four bases and 10 % as they are:

    L = -1/|M| sum over i in M of log p(x_i | the window as it is read)

For DNA: DNABERT (Ji, Zhou, Liu, Davuluri 2021, doi 10.1093/bioinformatics/btab083) hides stretches, as its tokens
overlap, and GPN (Benegas, Batra, Song 2023, doi 10.1073/pnas.2311219120) single bases. Here tokens are single bases and
leak nothing; `span` is there to ask for more than what the neighbours say. Both directions are read by the one causal
encoder, each on its own strand. Of bases read as MASK no loss falls below the entropy of a base given both sides, and
bits and top-1 are of these: a base that is read as it is tells something of itself, so that with the shares above the
loss of independent, equally frequent bases falls to 1.91 bits.
"""

# B windows, L bases

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch

from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import Cloze
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import cloze, either_strand

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class MaskedLM(Method):
    """Hidden bases from both sides."""

    preset = "bases"

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 240  # bases of a window
        rate: float = 0.15  # share of the known bases that is chosen
        span: int = 1  # bases of a stretch that is chosen as one; the share stays
        mask_share: float = 0.8  # of the chosen bases, read as MASK
        random_share: float = 0.1  # of the chosen bases, read as any of the four; the rest is read as it is
        hidden: int = 128  # units between the states of both sides and the bases
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.length, self.span, self.hidden) < 1:
                raise ValueError("length, span and hidden must be at least 1")
            if not all(0 <= share <= 1 for share in (self.mask_share, self.random_share, self.strand, self.most_n)):
                raise ValueError("mask_share, random_share, strand and most_n must be from 0 to 1")
            if not 0 < self.rate <= 1 or self.mask_share + self.random_share > 1 + 1e-9:
                raise ValueError("rate must be above 0 and at most 1, mask_share + random_share at most 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.head = Cloze("masked_lm", s.length, encoder, s.hidden)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        return Windows(store, rows, self.settings.length, self.settings.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """masked_tokens, wanted uint8 (B, L)."""
        s = self.settings
        tokens_BL = either_strand(batch.tokens, s.strand, rng)
        return cloze(tokens_BL, self.head.asked, rng, s.rate, s.span, s.mask_share, s.random_share)

    def loss(self, views: Views) -> Loss:
        """Cross-entropy of the chosen bases, log 4 where nothing is known of them; bits of those read as MASK."""
        answer = self.head(self.encoder, views["masked_tokens"], views["wanted"])
        metrics = {
            "top1": answer.top1,
            "candidates": torch.tensor(4.0, device=answer.top1.device),
            "bits": answer.bits,
        }
        return Loss({"masked": answer.loss}, metrics, answer.c_BTC[:, -1, : self.encoder.channels].detach())
