"""Causal LM: predict every base from the bases before it.

Radford, Narasimhan, Salimans, Sutskever: "Improving language understanding by generative pre-training", OpenAI (2018),
eq. 1; single bases of DNA as in HyenaDNA (Nguyen et al., NeurIPS 2023, arXiv 2306.15794):

    L = -mean_t log p(x_t | x_1 ... x_{t-1}),   p = softmax(head(c_t)),   bits per base = L / log 2

The window is preceded by as many N as a frame is wide, so the state at base t has seen the bases before t and no
others, and the first base has a distribution too: the product of all is an exact likelihood. N is read and never
predicted.
"""

# B windows, L bases, C context channels

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.errors import InputError
from genossl.genome.alphabet import N
from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder, State
from genossl.pretext.heads import check_length, check_sees_bases
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import either_strand

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class Following(NamedTuple):
    """What may come next, and what is needed to read on."""

    log_p: Tensor  # nats, float (B, T, 4): of the base that follows each frame
    state: State


class CausalLM(Method):
    """Next-base prediction with an exact likelihood."""

    preset = "bases"
    keeps_heads = True  # genossl generate and genossl score

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 250  # bases of a window
        hidden: int = 128  # units between the context and the four logits
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.length, self.hidden) < 1:
                raise ValueError("length and hidden must be at least 1")
            if not (0 <= self.strand <= 1 and 0 <= self.most_n <= 1):
                raise ValueError("strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        check_sees_bases("causal_lm", encoder, self.preset)
        if encoder.stride != 1:
            raise InputError(
                f"causal_lm: needs encoder.stride 1, found {encoder.stride}, whose frames pass over bases; start from "
                f"--config {self.preset}"
            )
        check_length("causal_lm", s.length, encoder)
        self.head = nn.Sequential(nn.Linear(encoder.channels, s.hidden), nn.GELU(), nn.Linear(s.hidden, 4))

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        return Windows(store, rows, self.settings.length, self.settings.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """read_tokens uint8 (B, L)."""
        return {"read_tokens": either_strand(batch.tokens, self.settings.strand, rng)}

    def loss(self, views: Views) -> Loss:
        """Mean over the known bases, nats; windows of N alone give 0. Chance is log 4, or 2 bits."""
        tokens_BL = views["read_tokens"]
        c_BLC = self.encoder(self.before(tokens_BL)).c
        logits_BL4 = self.head(c_BLC).float()
        known_BL = tokens_BL < N
        known = known_BL.sum().clamp(min=1)
        target_BL = torch.where(known_BL, tokens_BL, 0).long()
        nats_BL = F.cross_entropy(logits_BL4.mT, target_BL, reduction="none")
        next_base = (nats_BL * known_BL).sum() / known
        right_BL = (logits_BL4.argmax(-1) == target_BL) & known_BL
        metrics = {
            "bits": next_base.detach() / math.log(2),
            "top1": right_BL.sum() / known,
            "candidates": torch.tensor(4.0, device=tokens_BL.device),
        }
        return Loss({"next_base": next_base}, metrics, c_BLC[:, -1].detach())

    def before(self, tokens_BL: Tensor) -> Tensor:
        """What is read to predict each base, (B, width + L - 1): N in front, and not the last base."""
        none_BW = tokens_BL.new_full((len(tokens_BL), self.encoder.width), N)
        return torch.cat([none_BW, tokens_BL[:, :-1]], 1)

    def following(self, bases_BL: Tensor, state: State | None = None) -> Following:
        """Log-probabilities of the base after each `encoder.width` bases, (B, L - width + 1, 4), on from `state`."""
        frames = self.encoder(bases_BL, state)
        return Following(self.head(frames.c).float().log_softmax(-1), frames.state)

    def log_probabilities(self, tokens_BL: Tensor) -> Tensor:
        """Log-probabilities of A, C, G and T at each base given the bases before it, nats, (B, L, 4)."""
        return self.following(self.before(tokens_BL)).log_p
