"""Two ways in which pretraining fails while its loss looks fine: collapse, and a pretext solved by a shortcut."""

# N rows, P channels

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

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
