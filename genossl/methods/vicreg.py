"""VICReg: two windows of one contig get the same vector, whose channels must vary and must not repeat each other.

Bardes, Ponce, LeCun: "VICReg: variance-invariance-covariance regularization for self-supervised learning", ICLR (2022),
arXiv 2105.04906, eq. 1 to 6. With Z, Z' the projections of the two windows of each pair:

    L = lambda mean (Z - Z')^2 + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z'))
    v = mean over channels of relu(1 - sqrt(var + 1e-4)),  c = sum of squared off-diagonal covariances / P

No negatives, so no pair of windows is wrongly pushed apart; no teacher. A collapsed batch costs 24.75, exactly.
"""

# B windows, L bases, P projection

from __future__ import annotations

import dataclasses

import torch

from genossl.model.encoder import Encoder
from genossl.pretext.heads import projector, summary
from genossl.pretext.losses import retrieval, variance_invariance_covariance
from genossl.pretext.method import Loss, Views
from genossl.pretext.pairs import PairMethod


class VICReg(PairMethod):
    """Invariance, variance and covariance of two windows of one contig."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        distance: int = 3000  # bases: the second window starts up to this far after the first ends
        invariance: float = 25.0  # lambda
        variance: float = 25.0  # mu
        covariance: float = 1.0  # nu
        hidden: int = 256  # units of the projector's hidden layer (8192 in the paper)
        projection: int = 256  # P, channels that are compared (8192 in the paper)
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.distance, self.invariance, self.variance, self.covariance) < 0:
                raise ValueError("distance, invariance, variance and covariance must not be negative")
            if min(self.length, self.hidden, self.projection) < 1:
                raise ValueError("length, hidden and projection must be at least 1")
            if not 0 <= self.strand <= 1 or not 0 <= self.most_n <= 1:
                raise ValueError("strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.head = projector(encoder.channels, s.projection, s.hidden, norm=True)

    def loss(self, views: Views) -> Loss:
        """invariance + variance + covariance, weighted; 24.75 when all vectors are equal."""
        s = self.settings
        c_2BC = summary(self.encoder, torch.cat([views["one_tokens"], views["two_tokens"]]))
        one_BP, two_BP = (self.head(c_BC) for c_BC in c_2BC.chunk(2))  # apart: BatchNorm must not see both views
        found = variance_invariance_covariance(one_BP, two_BP)
        terms = {
            "invariance": s.invariance * found.invariance,
            "variance": s.variance * found.variance,
            "covariance": s.covariance * found.covariance,
        }
        return Loss(terms, retrieval(one_BP, two_BP)._asdict(), one_BP.detach(), two_BP.detach())
