"""Siamese: one network reads two windows; those of one contig are drawn together, others pushed a margin apart.

Bromley, Guyon, LeCun, Säckinger, Shah: "Signature verification using a 'Siamese' time delay neural network", NIPS 6
(1993), the pair of 1-D convolutional networks with shared weights; the loss is that of Hadsell, Chopra, LeCun:
"Dimensionality reduction by learning an invariant mapping", CVPR (2006), doi 10.1109/CVPR.2006.100, eq. 4:

    L = mean d(u, v)^2 over pairs + mean relu(m - d(u, v'))^2 over windows of different contigs

with d the Euclidean distance (the paper halves both terms). As in SemiBin2 (Pan et al. 2023, doi
10.1093/bioinformatics/btad209), a pair is two disjoint windows of one contig. The two kinds of pairs weigh the same,
however many of each there are. Distances are those of unit vectors, so that length alone cannot meet the margin.
"""

# B windows, L bases, K rows pushed away per row, P projection

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional as F

from genossl.model.encoder import Encoder
from genossl.pretext.heads import projector, summary
from genossl.pretext.losses import attraction, repulsion, retrieval
from genossl.pretext.method import Loss, Views
from genossl.pretext.pairs import PairMethod


class Siamese(PairMethod):
    """Two windows agree or they do not."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        distance: int = 3000  # bases: the second window starts up to this far after the first ends
        margin: float = 1.0  # m: windows of different contigs are pushed this far apart; unit vectors are at most 2
        negatives: int = 16  # windows of other contigs that each window is pushed away from
        projection: int = 64  # P, channels of the vectors whose distance is taken
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if self.distance < 0 or self.margin <= 0 or min(self.length, self.projection, self.negatives) < 1:
                raise ValueError("length, projection and negatives must be at least 1, margin > 0, distance >= 0")
            if not 0 <= self.strand <= 1 or not 0 <= self.most_n <= 1:
                raise ValueError("strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.head = projector(encoder.channels, s.projection)

    def loss(self, views: Views) -> Loss:
        """Near for pairs, far for the rest; row i is pushed from the partners of the K rows that follow it."""
        both_2BL = torch.cat([views["one_tokens"], views["two_tokens"]])
        one_BP, two_BP = F.normalize(self.head(summary(self.encoder, both_2BL)).float(), dim=-1).chunk(2)
        contig_B = views["contig"]
        away = range(1, 1 + min(self.settings.negatives, len(contig_B) - 1))
        other_KBP = torch.stack([two_BP.roll(-k, 0) for k in away])
        differs_KB = torch.stack([contig_B.roll(-k) != contig_B for k in away])
        terms = {
            "near": attraction(one_BP, two_BP),
            "far": repulsion(one_BP, other_KBP, self.settings.margin, differs_KB),
        }
        return Loss(terms, retrieval(one_BP, two_BP)._asdict(), one_BP.detach(), two_BP.detach())
