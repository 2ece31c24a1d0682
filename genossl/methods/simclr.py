"""SimCLR: of all windows in the batch, find the one that comes from the same stretch of DNA.

Chen, Kornblith, Norouzi, Hinton: "A simple framework for contrastive learning of visual representations", ICML (2020),
arXiv 2002.05709, eq. 1. NT-Xent over the 2B projections z of B pairs:

    L = mean_i -log( exp(cos(z_i, z_j) / tau) / sum over k != i of exp(cos(z_i, z_k) / tau) ),  j the partner of i

The views are made for DNA. By default the pair is two disjoint windows of one contig, as in DNABERT-S (Zhou et al.
2024, arXiv 2402.08777), each on either strand; substitutions and indels can be added. Two crops of one window that
overlap are a solved puzzle: counting 4-mers finds the partner of 128 every time when 3 % of the bases are changed, and
51 % of the time at 15 %. So `crop_from` is off, and asks for substitutions of 0.15 or more.
"""

# B windows, L bases, G pairs of a group, P projection

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from genossl.genome.windows import Batch, Pairs, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import check_length, projector, summary
from genossl.pretext.losses import info_nce
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import crop, either_strand, indels, substitute

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

log = logging.getLogger("genossl")


class SimCLR(Method):
    """NT-Xent on two views of one stretch of DNA."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        distance: int = 3000  # bases: the second window starts up to this far after the first ends
        temperature: float = 0.1  # tau
        projection: int = 64  # P, channels that are compared
        strand: float = 0.5  # probability that a view is read on the other strand
        substitutions: float = 0.0  # share of the bases of a view that are replaced by another
        indel: int = 0  # largest length of the one deletion and the one insertion in a view; 0: none
        refill: Literal["flank", "n"] = "flank"  # what fills a view up after a deletion: the bases that follow, or N
        crop_from: int = 0  # bases of one window that both views are cut from, so that they may overlap; 0: disjoint
        same_contig_negatives: bool = False  # windows of one contig are candidates for each other
        group: int = 0  # pairs that serve each other as negatives, a divisor of the batch; 0: the whole batch
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.distance, self.indel, self.group, self.crop_from) < 0:
                raise ValueError("distance, indel, group and crop_from must not be negative")
            if min(self.length, self.projection) < 1 or self.temperature <= 0:
                raise ValueError("length and projection must be at least 1 and temperature greater than 0")
            if not all(0 <= share <= 1 for share in (self.strand, self.substitutions, self.most_n)):
                raise ValueError("strand, substitutions and most_n must be from 0 to 1")
            if self.crop_from and self.crop_from < self.length + self.indel:
                raise ValueError("crop_from must be at least length + indel")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        check_length("simclr", s.length, encoder)
        if s.crop_from and s.crop_from < 2 * s.length and s.substitutions < 0.15:
            log.warning("simclr.crop_from: views that share bases are found by their k-mers; set substitutions >= 0.15")
        self.head = projector(encoder.channels, s.projection)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        s = self.settings
        if s.crop_from:
            return Windows(store, rows, s.crop_from, s.most_n)
        return Pairs(store, rows, s.length + s.indel, s.distance, s.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """one_tokens, two_tokens uint8 (B, L); contig int64 (B,)."""
        s = self.settings
        if s.crop_from:
            drawn = [crop(batch.tokens, s.length + s.indel, rng) for _ in range(2)]
        else:
            drawn = list(batch.tokens.unbind(1))
        one_BL, two_BL = (self._view(tokens, rng) for tokens in drawn)
        return {"one_tokens": one_BL, "two_tokens": two_BL, "contig": batch.contig}

    def _view(self, tokens: Tensor, rng: np.random.Generator) -> Tensor:
        """A window of `length` bases with `indel` bases of flank to one view of it."""
        s = self.settings
        view_BL, flank = tokens[:, : s.length], tokens[:, s.length :]
        if s.indel:
            view_BL = indels(view_BL, s.indel, rng, flank if s.refill == "flank" else None)
        if s.substitutions:
            view_BL = substitute(view_BL, s.substitutions, rng)
        return either_strand(view_BL, s.strand, rng)

    def partners(self, views: Views) -> tuple[Tensor, Tensor]:
        """The two views."""
        return views["one_tokens"], views["two_tokens"]

    def loss(self, views: Views) -> Loss:
        """Chance is log(2B - 1); with groups, B is the group."""
        s = self.settings
        z_RP = self.head(summary(self.encoder, torch.cat([views["one_tokens"], views["two_tokens"]])))
        group = s.group or len(views["contig"])
        z_XNP = z_RP.unflatten(0, (2, -1, group)).transpose(0, 1).flatten(1, 2)
        contig_XN = views["contig"].view(-1, group).repeat(1, 2)
        same_XNN = None if s.same_contig_negatives else contig_XN[:, :, None] == contig_XN[:, None]
        contrast = info_nce(z_XNP, z_XNP, s.temperature, same_XNN)
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        z_RP = z_RP.detach()
        return Loss({"contrast": contrast.loss}, metrics, z_RP, z_RP.roll(len(z_RP) // 2, 0))
