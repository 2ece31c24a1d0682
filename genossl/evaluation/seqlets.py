"""The short regions that a decision hangs on most, from an attribution for each base."""

# L bases

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Seqlet(NamedTuple):
    """A region of a sequence, half-open, and the sum of its attributions."""

    start: int
    end: int
    score: float


def seqlets(attribution_L: np.ndarray, width: int, top: int) -> list[Seqlet]:
    """The `top` best regions of `width` bases that do not overlap and speak for the decision, the best first.

    Greedy on sliding sums, as TF-MoDISco takes its seqlets (Shrikumar et al. 2018, arXiv:1811.00416, section 2.1).
    Of equal regions the first; fewer than `top` where the rest has no region of a positive sum.
    """
    width = min(width, len(attribution_L))
    sums = np.lib.stride_tricks.sliding_window_view(attribution_L, width).sum(1)
    found: list[Seqlet] = []
    while len(found) < top and sums.max() > 0:
        start = int(sums.argmax())
        found.append(Seqlet(start, start + width, float(sums[start])))
        sums[max(0, start - width + 1) : start + width] = -np.inf
    return found
