"""DirectPred: as BYOL, but the predictor is not learnt: it is set from the correlations of what it reads.

Tian, Chen, Ganguli: "Understanding self-supervised learning dynamics without contrastive pairs", ICML (2021),
arXiv 2102.06810, section 4; Wang, Chen, Du, Tian: "Towards demystifying representation learning with non-contrastive
self-supervision" (2021), arXiv 2110.04947 (DirectSet, DirectCopy). With f the student's projections:

    F <- rho F + (1 - rho) mean f f',  F = U diag(s) U',  W = U diag((s / max s)^alpha + epsilon) U'
    L = 2 - 2 cos(W f(x), f_xi(x')) + the same with the windows swapped,  xi <- tau xi + (1 - tau) theta

alpha is 1/2 in DirectPred and free in DirectSet; DirectCopy, W = F / |F| + epsilon I, needs no eigenvectors. The first
batch sets F; the predictor is the identity until then.
"""

# B windows, L bases, P projection

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from genossl.model.encoder import Encoder
from genossl.pretext.heads import Teacher, direct_copy, direct_set, projector, summary
from genossl.pretext.losses import regression, retrieval
from genossl.pretext.method import Loss, Views
from genossl.pretext.pairs import PairMethod


class DirectPred(PairMethod):
    """A linear predictor in closed form, an averaged teacher."""

    latest: Tensor
    correlation: Tensor
    weight: Tensor

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        distance: int = 3000  # bases: the second window starts up to this far after the first ends
        rule: Literal["directpred", "directset", "directcopy"] = "directpred"  # how the predictor is set
        alpha: float = 0.5  # exponent of the eigenvalues (directset; directpred has 0.5, directcopy 1)
        rho: float = 0.3  # share of the old correlation that is kept at each step
        epsilon: float = 0.01  # added to every eigenvalue of the predictor (0.3 published for directcopy)
        momentum: float = 0.99  # tau, of the teacher (0.996 in the paper's long runs)
        hidden: int = 256  # units of the projector's hidden layer
        projection: int = 64  # P, channels that are predicted (128 in the paper)
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if self.distance < 0 or min(self.length, self.hidden, self.projection) < 1:
                raise ValueError("length, hidden and projection must be at least 1 and distance not negative")
            if not all(0 <= share <= 1 for share in (self.rho, self.momentum, self.strand, self.most_n)):
                raise ValueError("rho, momentum, strand and most_n must be from 0 to 1")
            if self.epsilon < 0 or self.alpha < 0:
                raise ValueError("epsilon and alpha must not be negative")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.head = projector(encoder.channels, s.projection, s.hidden, norm=True)
        self.teacher = Teacher(encoder, self.head)
        self.register_buffer("latest", torch.zeros(s.projection, s.projection))  # mean f f' of the last training batch
        self.register_buffer("correlation", torch.zeros(s.projection, s.projection))  # F
        self.register_buffer("weight", torch.eye(s.projection))  # W

    def loss(self, views: Views) -> Loss:
        """Both directions; 0 when the teacher is predicted, 4 for orthogonal vectors, 8 for opposite ones."""
        one_BL, two_BL = views["one_tokens"], views["two_tokens"]
        self.teacher.match(self.encoder, self.head)
        c_2BC = summary(self.encoder, torch.cat([one_BL, two_BL]))
        one_BP, two_BP = (self.head(c_BC).float() for c_BC in c_2BC.chunk(2))  # apart: BatchNorm must not see both
        if self.training:
            f_2BP = torch.cat([one_BP, two_BP]).detach()
            with torch.autocast(f_2BP.device.type, enabled=False):  # eigenvalues need all their digits
                self.latest.copy_(f_2BP.T @ f_2BP / len(f_2BP))
        error = regression(one_BP @ self.weight, self.teacher(two_BL))
        error = error + regression(two_BP @ self.weight, self.teacher(one_BL))
        return Loss({"regression": error}, retrieval(one_BP, two_BP)._asdict(), one_BP.detach(), two_BP.detach())

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """The predictor is set from the running correlation; the teacher follows the student."""
        s = self.settings
        moved_PP = s.rho * self.correlation + (1 - s.rho) * self.latest
        self.correlation.copy_(torch.where(self.correlation.any(), moved_PP, self.latest))
        if s.rule == "directcopy":
            self.weight.copy_(direct_copy(self.correlation, s.epsilon))
        else:
            alpha = s.alpha if s.rule == "directset" else 0.5
            self.weight.copy_(direct_set(self.correlation, alpha, s.epsilon))
        self.teacher.follow(self.encoder, self.head, s.momentum)
