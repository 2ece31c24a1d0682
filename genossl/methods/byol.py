"""BYOL: a student predicts what its own slowly moving average says about another window of the same contig.

Grill et al.: "Bootstrap your own latent: a new approach to self-supervised learning", NeurIPS (2020), arXiv 2006.07733,
algorithm 1. Student theta: encoder, projector g, predictor q. Teacher xi: encoder and projector, no gradient.

    L = 2 - 2 cos(q(g_theta(x)), g_xi(x')) + the same with the windows swapped
    xi <- tau xi + (1 - tau) theta,  tau = 1 - (1 - tau_0) (cos(pi progress) + 1) / 2

No negatives. What keeps it from collapsing is that the predictor stands on one side only and that no gradient reaches
the teacher; without either, all vectors become equal (tests/test_byol.py).
"""

# B windows, L bases, P projection

from __future__ import annotations

import dataclasses
import math

import torch

from genossl.model.encoder import Encoder
from genossl.pretext.heads import Teacher, predictor, projector, summary
from genossl.pretext.losses import regression, retrieval
from genossl.pretext.method import Loss, Views
from genossl.pretext.pairs import PairMethod


class BYOL(PairMethod):
    """Online predictor, averaged teacher."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        distance: int = 3000  # bases: the second window starts up to this far after the first ends
        momentum: float = 0.99  # tau_0, of the teacher at the start; it rises to 1 (0.996 in the paper's long runs)
        hidden: int = 256  # units of the hidden layers of projector and predictor (4096 in the paper)
        projection: int = 64  # P, channels that are predicted (256 in the paper)
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if self.distance < 0 or min(self.length, self.hidden, self.projection) < 1:
                raise ValueError("length, hidden and projection must be at least 1 and distance not negative")
            if not all(0 <= share <= 1 for share in (self.momentum, self.strand, self.most_n)):
                raise ValueError("momentum, strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.head = projector(encoder.channels, s.projection, s.hidden, norm=True)
        self.predictor = predictor(s.projection, s.hidden)
        self.teacher = Teacher(encoder, self.head)

    def loss(self, views: Views) -> Loss:
        """Both directions; 0 when the teacher is predicted, 4 for orthogonal vectors, 8 for opposite ones."""
        one_BL, two_BL = views["one_tokens"], views["two_tokens"]
        self.teacher.match(self.encoder, self.head)
        c_2BC = summary(self.encoder, torch.cat([one_BL, two_BL]))
        one_BP, two_BP = (self.head(c_BC) for c_BC in c_2BC.chunk(2))  # apart: BatchNorm must not see both views
        error = regression(self.predictor(one_BP), self.teacher(two_BL))
        error = error + regression(self.predictor(two_BP), self.teacher(one_BL))
        return Loss({"regression": error}, retrieval(one_BP, two_BP)._asdict(), one_BP.detach(), two_BP.detach())

    def momentum(self, progress: float) -> float:
        """tau at a progress from 0 to 1."""
        return 1 - (1 - self.settings.momentum) * (math.cos(math.pi * progress) + 1) / 2

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """The teacher follows the student."""
        self.teacher.follow(self.encoder, self.head, self.momentum(progress))
