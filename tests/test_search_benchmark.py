"""The search benchmark's arithmetic: recalls and their replicates, of ranks that we wrote down."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import search as benchmark


def ranks(of: dict[str, list[int]]) -> pd.DataFrame:
    """Ranks of the queries of each genome."""
    rows = [(f"{genome}.{i}", "500", rank) for genome, own in of.items() for i, rank in enumerate(own)]
    return pd.DataFrame(rows, columns=["query", "asked", "rank"])


def test_recall_is_the_mean_over_genomes_and_a_replicate_a_mean_of_drawn_ones() -> None:
    tables = {
        "pretrained, raw": ranks({"a": [1, 1], "b": [1, 11], "c": [10, 2]}),
        "kmer4, raw": ranks({"a": [1, 1], "b": [1, 1], "c": [1, 2]}),
    }
    found = benchmark.recalls(tables, seed=0)
    ours = found[found["vectors"] == "pretrained, raw"].set_index("at")["recall_R"]
    assert ours[1][0] == pytest.approx((1 + 0.5 + 0) / 3)
    assert ours[10][0] == pytest.approx((1 + 0.5 + 1) / 3)
    possible = {round((a + 0.5 * b) / 3, 6) for a in range(4) for b in range(4 - a)}
    assert set(np.round(ours[1], 6)) <= possible
    theirs = found[found["vectors"] == "kmer4, raw"].set_index("at")["recall_R"]
    assert ((theirs[1] - ours[1]) >= 0).all()  # drawn alike: theirs is at least as good on each genome
    lines = benchmark.report(found, genera=66, queries=2)
    assert lines[0].endswith("chance is 0.015 at 1 and 0.152 at 10.")
    assert "| pretrained, raw | 0.500 (0.000, 1.000) |" in lines
    assert "* recall@1, 500: pretrained, raw against kmer4, raw, -0.333 (-0.500, +0.000): no difference shown" in lines
