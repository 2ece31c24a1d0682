"""What many windows say together about their contig or genome: the mean of their evidence, by known bases."""

# N windows, K classes

from __future__ import annotations

import numpy as np


class Pool:
    """Sums over the windows of one contig or genome; which windows come together does not change them."""

    def __init__(self, n_classes: int) -> None:
        self.windows = 0
        self.known = 0  # bases that are not N in windows that were told; overlaps count twice
        self.evidence_K = np.zeros(n_classes)
        self.votes_K = np.zeros(n_classes)  # known bases of the windows that each class is largest in

    def add_(self, evidence_NK: np.ndarray, known_N: np.ndarray) -> None:
        """Windows, each weighing as much as it has known bases; none where its evidence is not finite."""
        told_N = np.isfinite(evidence_NK).all(1)
        self.windows += len(known_N)
        evidence_NK, weight_N = evidence_NK[told_N], known_N[told_N]
        self.known += int(weight_N.sum())
        self.evidence_K += weight_N @ evidence_NK
        self.votes_K += np.bincount(evidence_NK.argmax(1), weight_N, len(self.votes_K))

    def mean(self) -> np.ndarray:
        """Evidence (K,), for a head to answer; not a number where no base is known."""
        return self.evidence_K / self.known if self.known else np.full_like(self.evidence_K, np.nan)

    def agreement(self) -> float:
        """Share of the known bases that lie in windows of the pooled class; not a number where none is known."""
        return float(self.votes_K[self.mean().argmax()] / self.known) if self.known else float("nan")
