"""Overlaps against the bases themselves, one by one."""

from __future__ import annotations

import numpy as np

from genossl.genome.intervals import overlaps


def test_as_base_by_base() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 40))
        contig = rng.choice(["x", "y", "z"], n)
        start = rng.integers(0, 100, n)
        end = start + rng.integers(1, 40, n)
        query = rng.random(n) < 0.5
        among = ~query & (rng.random(n) < 0.8)
        share, who = overlaps(contig, start, end, query, among)
        for q, i in enumerate(np.flatnonzero(query)):
            own = set(range(start[i], end[i]))
            others = {j: own & set(range(start[j], end[j])) for j in np.flatnonzero(among) if contig[j] == contig[i]}
            covered = set().union(*others.values()) if others else set()
            assert share[q] == len(covered) / len(own)
            assert (who[q] >= 0) == bool(covered)
            assert who[q] < 0 or others[who[q]]


def test_neighbours_do_not_overlap() -> None:
    share, who = overlaps(
        np.array(["x", "x", "x"]), np.array([0, 10, 20]), np.array([10, 20, 30]),
        np.array([False, True, False]), np.array([True, False, True]),
    )  # fmt: skip
    assert (share.tolist(), who.tolist()) == ([0.0], [-1])
