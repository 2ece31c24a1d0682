"""Two ways in which pretraining fails while its loss looks fine: collapse, and a pretext solved by a shortcut."""

# N rows, P channels

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from genossl.genome.kmers import gc, profiles

LOW = (
    0.07  # spread; runs that learn stay above 0.5, one too small to learn anything fell to 0.09, collapsed ones to 0.05
)


@torch.no_grad()
def spread(vectors_NP: Tensor) -> Tensor:
    """Mean standard deviation of the normalised vectors, times sqrt(P): near 1 when healthy, 0 when collapsed."""
    return F.normalize(vectors_NP.float(), dim=-1).std(0, correction=0).mean() * vectors_NP.shape[-1] ** 0.5


@torch.no_grad()
def effective_rank(vectors_NP: Tensor) -> Tensor:
    """Participation ratio of the covariance's eigenvalues, (sum l)^2 / sum l^2: how many directions are used.

    Orthogonal directions of equal variance give their number, one direction 1, equal vectors 0. Traces alone, so no
    decomposition and no wait for the GPU.
    """
    x_NP = vectors_NP.float() - vectors_NP.float().mean(0)
    gram = x_NP.T @ x_NP
    return gram.trace().square() / gram.square().sum().clamp(min=1e-30)


@torch.no_grad()
def rank_me(vectors_NP: Tensor) -> Tensor:
    """RankMe: the exponential of the entropy of the singular values, up to P; not centred, so an offset lowers it.

    Garrido, Balestriero, Najman, LeCun 2023, arXiv 2210.02885, eq. 1. Orthonormal columns give P, equal rows 1.
    """
    singular = torch.linalg.svdvals(vectors_NP.float().nan_to_num())
    p = singular / singular.sum().clamp(min=1e-30) + 1e-7
    return torch.exp(-(p * p.log()).sum())


@torch.no_grad()
def alignment(one_NP: Tensor, two_NP: Tensor) -> Tensor:
    """Mean squared distance of normalised partners: 0 equal, 2 orthogonal, 4 opposite.

    Wang and Isola 2020, arXiv 2005.10242, with alpha 2.
    """
    return (F.normalize(one_NP.float(), dim=-1) - F.normalize(two_NP.float(), dim=-1)).square().sum(-1).mean()


@torch.no_grad()
def uniformity(vectors_NP: Tensor) -> Tensor:
    """Log of the mean over pairs of exp(-2 d^2), d between normalised vectors: 0 collapsed, towards -4 when spread out.

    Wang and Isola 2020, arXiv 2005.10242, with t 2. Orthonormal vectors give -4.
    """
    x_NP = F.normalize(vectors_NP.float(), dim=-1)
    n = len(x_NP)
    kernel_NN = torch.exp(4 * (x_NP @ x_NP.T) - 4)
    return ((kernel_NN.sum() - kernel_NN.diagonal().sum()) / (n * (n - 1))).log()


@torch.no_grad()
def composition_retrieval(one_BL: Tensor, two_BL: Tensor) -> dict[str, float]:
    """How often a window's partner is the nearest in the other view, by GC content and by canonical 4-mers (cosine).

    gc, kmer4: shares of both directions; candidates: B, so that chance is 1 / B. Strands make no difference.
    """
    found: dict[str, float] = {"candidates": float(len(one_BL))}
    rows = torch.arange(len(one_BL))
    for name, measure in (("gc", gc), ("kmer4", functools.partial(profiles, k=4))):
        one_BV, two_BV = (torch.from_numpy(measure(list(view.cpu().numpy()))) for view in (one_BL, two_BL))
        if name == "gc":
            near_BB = -(one_BV - two_BV.T).abs()
        else:
            one_BV, two_BV = one_BV - one_BV.mean(0), two_BV - two_BV.mean(0)
            near_BB = F.normalize(one_BV, dim=-1) @ F.normalize(two_BV, dim=-1).T
        hits = torch.cat([near_BB.argmax(0) == rows, near_BB.argmax(1) == rows])
        found[name] = float(hits.float().mean())
    return found


@dataclasses.dataclass
class Watch:
    """Looks at every step and says once what has gone wrong.

    * collapse: for ten steps in a row the vectors hardly differ (spread below LOW). The rank is logged and no alarm:
      the published network learns one direction (GC content) first, and is healthy;
    * shortcut: within the first fifth of the run, ten steps in a row, at least 99 % of the right answers are picked
      from 16 candidates or more. Real pretext tasks on disjoint windows are not solved that soon; shared bases,
      copies and markers of a contig are.
    """

    steps: int
    low: int = 0  # steps in a row
    solved: int = 0  # steps in a row
    warned: dict[str, int] = dataclasses.field(default_factory=dict)  # warning -> step

    def look(self, step: int, std: float, top1: float | None, candidates: float | None) -> str | None:
        """One sentence when a failure becomes certain, else None."""
        self.low = self.low + 1 if std < LOW else 0
        early = step < self.steps / 5 or "shortcut" in self.warned
        known = top1 is not None and candidates is not None and candidates >= 16
        self.solved = self.solved + 1 if known and early and top1 is not None and top1 >= 0.99 else 0
        if self.low >= 10 and "collapse" not in self.warned:
            self.warned["collapse"] = step
            return (
                f"collapse at step {step}: the embeddings hardly differ (spread {std:.3f}, healthy near 1); "
                "lower the learning rate or look at the data"
            )
        if self.solved >= 10 and "shortcut" not in self.warned:
            self.warned["shortcut"] = step
            return (
                f"shortcut at step {step}: the pretext is solved (top-1 {top1:.3f} of {candidates:.0f}) before a fifth "
                "of the steps; views may share bases, or each contig may carry a marker"
            )
        return None
