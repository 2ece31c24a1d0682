"""Nearest rows: exact against a sort of all similarities, approximate against exact, groups against a loop."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from genossl.errors import InputError
from genossl.evaluation import nearest


def vectors(n: int, seed: int = 0, c: int = 24) -> np.ndarray:
    """Unit vectors around 30 directions, float32; a third of them occur twice, and one is zero."""
    rng = np.random.default_rng(seed)
    x = np.random.default_rng(99).normal(size=(30, c))[rng.integers(0, 30, n)] + 0.4 * rng.normal(size=(n, c))
    x[n // 3 : 2 * (n // 3)] = x[: n // 3]
    x[-1] = 0
    return nearest.unit(x).astype(np.float32)


def test_unit_vectors_are_of_length_one_and_zeros_stay() -> None:
    x = nearest.unit(np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32) * 1e-20)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1)
    assert (nearest.unit(np.zeros((2, 3))) == 0).all()


@pytest.mark.parametrize("block", [1, 7, 100, 10_000])
@pytest.mark.parametrize("top", [1, 5, 400])
def test_exact_is_a_stable_sort_of_all_similarities(block: int, top: int) -> None:
    x, query = vectors(300), nearest.unit(vectors(40, seed=1))
    found = nearest.exact(query, x, top, block=block)
    for q, direction in enumerate(query):
        similarity = [round(sum(float(a) * float(b) for a, b in zip(direction, row, strict=True)), 9) for row in x]
        order = sorted(range(300), key=lambda i: (-similarity[i], i))[:top]
        assert found.row_QK[q, :300].tolist() == order
        np.testing.assert_allclose(found.similarity_QK[q, :300], [similarity[i] for i in order], atol=1e-9)
    assert (found.row_QK[:, 300:] == -1).all()
    assert np.isneginf(found.similarity_QK[:, 300:]).all()


@pytest.mark.parametrize("block", [1, 13, 10_000])
def test_rows_that_a_query_is_not_to_find(block: int) -> None:
    x, query = vectors(200), nearest.unit(vectors(6, seed=2))
    without = np.array([[0, 0], [0, 200], [10, 60], [199, 200], [0, 1], [150, 150]])
    found = nearest.exact(query, x, 200, without, block)
    everything = nearest.exact(query, x, 200)
    for q, (first, last) in enumerate(without):
        kept = [row for row in everything.row_QK[q] if not first <= row < last]
        assert found.row_QK[q, : len(kept)].tolist() == kept
        assert (found.row_QK[q, len(kept) :] == -1).all()


@pytest.mark.parametrize("block", [1, 9, 10_000])
def test_the_best_row_of_each_group_is_that_of_a_loop(block: int) -> None:
    x, query = vectors(200), nearest.unit(vectors(11, seed=3))
    starts = np.array([0, 1, 2, 40, 90, 91, 199])
    without = np.tile([30, 95], (11, 1))
    for rows_out in (None, without):
        found = nearest.of_groups(query, x, starts, rows_out, block)
        for q in range(11):
            for g, (first, last) in enumerate(zip(starts, [*starts[1:], 200], strict=True)):
                rows = [i for i in range(first, last) if rows_out is None or not 30 <= i < 95]
                best = max((round(float(query[q] @ x[i].astype(float)), 9) for i in rows), default=-np.inf)
                assert found[q, g] == pytest.approx(best, abs=2e-9)


def test_cells_find_what_they_promise_and_are_the_same_each_time(tmp_path: Path) -> None:
    x, query = vectors(4000), nearest.unit(vectors(300, seed=4))
    truth = nearest.exact(query, x, 10)
    index, told = nearest.build_cells(x, 0.95, seed=1)
    assert told >= 0.95
    assert index.nprobe < index.nlist == int(4 * 4000**0.5)
    found = nearest.approximate(index, x, query, 10)
    assert nearest.recalled(found, truth) > 0.9  # of queries that are no rows
    for name in ("a", "b"):
        nearest.write_cells(tmp_path / name, nearest.build_cells(x, 0.95, seed=1)[0])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = nearest.approximate(nearest.read_cells(tmp_path / "a", index.nprobe), x, query, 10)
    np.testing.assert_array_equal(again.row_QK, found.row_QK)
    everything = nearest.approximate(nearest.read_cells(tmp_path / "a", index.nlist), x, query[:50], 4000)
    np.testing.assert_array_equal(everything.row_QK, nearest.exact(query[:50], x, 4000).row_QK)  # ties too


def test_recall_is_the_share_of_true_hits() -> None:
    truth = nearest.Hits(
        np.array([[3, 1, 2, 0], [5, 6, -1, -1]]), np.array([[0.9, 0.8, 0.7, 0.6], [1, 1, -np.inf, -np.inf]])
    )
    assert nearest.recalled(truth, truth) == 1
    half = nearest.Hits(np.array([[3, 1, 8, 9], [6, 7, 8, 9]]), np.array([[0.9, 0.8, 0.5, 0.4], [1, 0.9, 0.8, 0.7]]))
    assert nearest.recalled(half, truth) == pytest.approx(3 / 6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_rows_are_enough(n: int) -> None:
    x = vectors(30)[:n]
    index, _ = nearest.build_cells(x, 1.0, seed=0)
    assert (nearest.approximate(index, x, x, 9).row_QK[:, :n].max(1) == n - 1).all()


def test_faiss_is_missing_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"needs faiss; pip install 'genossl\[search\]'"):
        nearest.build_cells(vectors(10), 0.9, 0)


def test_a_file_that_is_no_inverted_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not an index")
    with pytest.raises(InputError, match="is no inverted file"):
        nearest.read_cells(tmp_path / "x", 1)
