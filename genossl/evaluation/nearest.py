"""The rows of a matrix that are most like a query: all compared, block by block, or those of the nearest cells (faiss).

Similarity is the cosine. Products are made in float64 and rounded to nine decimals, which hides in which block, with
which neighbours and by how many threads they were made: a tie is a tie everywhere, and the first row wins it.
"""

# Q queries, N rows, B rows of a block, C dimensions, K hits, G groups

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genossl.errors import InputError

BLOCK = 1 << 13  # rows compared at once
POINTS = 64  # rows for each cell that cells are learnt from
SAMPLED = 200  # rows that tell how many of the nearest an approximate index finds
NEAREST = 10  # of which that is told


class Hits(NamedTuple):
    """The best rows of each query, the best first; -1, of similarity -inf, where there are no more."""

    row_QK: np.ndarray
    similarity_QK: np.ndarray


def unit(vectors_NC: np.ndarray) -> np.ndarray:
    """The same directions, of length 1, in float64; a vector of zeros stays what it is."""
    vectors_NC = np.asarray(vectors_NC, np.float64)
    length_N1 = np.linalg.norm(vectors_NC, axis=1, keepdims=True)
    return np.divide(vectors_NC, length_N1, out=np.zeros_like(vectors_NC), where=length_N1 > 0)


def _blocks(
    query_QC: np.ndarray, vectors_NC: np.ndarray, without_Q2: np.ndarray | None, block: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The first row of each block and its similarities (Q, B); -inf for rows that a query is not to find."""
    query_QC = np.asarray(query_QC, np.float64)
    for first in range(0, len(vectors_NC), block):
        rows_BC = np.asarray(vectors_NC[first : first + block], np.float64)
        similarity_QB = np.round(query_QC @ rows_BC.T, 9)
        if without_Q2 is not None:
            at_Q2 = np.clip(without_Q2 - first, 0, len(rows_BC))
            for q in np.flatnonzero(at_Q2[:, 0] < at_Q2[:, 1]):
                similarity_QB[q, at_Q2[q, 0] : at_Q2[q, 1]] = -np.inf
        yield first, similarity_QB


def exact(
    query_QC: np.ndarray, vectors_NC: np.ndarray, top: int, without_Q2: np.ndarray | None = None, block: int = BLOCK
) -> Hits:
    """The `top` rows most similar to each query, all rows compared; of equal ones the first.

    query_QC and vectors_NC are unit vectors; the latter may be memory-mapped, of which a block is held at a time.
    without_Q2: first and last (half-open) of the rows that a query is not to find.
    """
    best = Hits(np.full((len(query_QC), top), -1), np.full((len(query_QC), top), -np.inf))
    for first, similarity_QB in _blocks(query_QC, vectors_NC, without_Q2, block):
        better_QB = similarity_QB > best.similarity_QK[:, -1:]
        if first == 0 and top < similarity_QB.shape[1]:  # later, few are better than the best so far
            better_QB &= similarity_QB >= np.partition(similarity_QB, -top, axis=1)[:, -top, None]
        at, row = np.nonzero(better_QB)
        best = _merged(best, at, row + first, similarity_QB[at, row])
    return best


def _merged(best: Hits, at: np.ndarray, row: np.ndarray, similarity: np.ndarray) -> Hits:
    """The best of the hits so far and of new ones, of which `at` is the query."""
    q, k = best.row_QK.shape
    query = np.concatenate([np.repeat(np.arange(q), k), at])
    rows = np.concatenate([best.row_QK.ravel(), row])
    similarities = np.concatenate([best.similarity_QK.ravel(), similarity])
    order = np.lexsort((rows, -similarities, query))
    first_Q1 = np.searchsorted(query[order], np.arange(q))[:, None]
    chosen_QK = order[first_Q1 + np.arange(k)]
    return Hits(rows[chosen_QK], similarities[chosen_QK])


def of_groups(
    query_QC: np.ndarray, vectors_NC: np.ndarray, starts_G: np.ndarray, without_Q2: np.ndarray | None = None,
    block: int = BLOCK,
) -> np.ndarray:  # fmt: skip
    """The similarity of each query to the most similar row of each group, (Q, G); -inf where it may find none.

    Groups are consecutive rows; starts_G says where each begins, 0 first.
    """
    best_QG = np.full((len(query_QC), len(starts_G)), -np.inf)
    for first, similarity_QB in _blocks(query_QC, vectors_NC, without_Q2, block):
        last = first + similarity_QB.shape[1]
        from_group, until_group = np.searchsorted(starts_G, [first, last - 1], "right") - [1, 0]
        inside = np.maximum(starts_G[from_group:until_group] - first, 0)
        part = best_QG[:, from_group:until_group]
        np.maximum(part, np.maximum.reduceat(similarity_QB, inside, axis=1), out=part)
    return best_QG


# ---- approximate: an inverted file, of which the cells nearest to a query are read


def has_faiss() -> bool:
    """Whether it is installed, without loading it."""
    return importlib.util.find_spec("faiss") is not None


def require_faiss() -> None:
    """InputError where it is not installed."""
    if not has_faiss():
        raise InputError("an approximate index needs faiss; pip install 'genossl[search]'")


def faiss() -> Any:
    """The library, on one thread: its cells are then the same each time, and its OpenMP does not meet torch's."""
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells what it finds of the processor
    require_faiss()
    import faiss as library

    library.omp_set_num_threads(1)
    return library


def build_cells(vectors_NC: np.ndarray, recall: float, seed: int, block: int = BLOCK) -> tuple[Any, float]:
    """An inverted file of unit vectors, and the share of the ten nearest others that it finds for rows of its own.

    Of its 4 sqrt(N) cells so many are read, a power of two, that the share is at least `recall`.
    """
    library, rng = faiss(), np.random.default_rng(seed)
    n, c = vectors_NC.shape
    cells = int(min(max(1, 4 * n**0.5), n))
    index = library.IndexIVFFlat(library.IndexFlatIP(c), c, cells, library.METRIC_INNER_PRODUCT)
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # below 39 it only warns
    learnt_from = np.sort(rng.permutation(n)[: POINTS * cells])
    index.train(np.ascontiguousarray(vectors_NC[learnt_from], np.float32))
    for first in range(0, n, block):
        index.add(np.ascontiguousarray(vectors_NC[first : first + block], np.float32))
    own_Q, probes = np.sort(rng.permutation(n)[:SAMPLED]), 1
    query_QC = vectors_NC[own_Q]
    truth = _others(exact(query_QC, vectors_NC, NEAREST + 1), own_Q)
    while True:
        index.nprobe = min(probes, cells)
        found = recalled(_others(approximate(index, vectors_NC, query_QC, NEAREST + 1), own_Q), truth)
        if found >= recall or probes >= cells:
            return index, found
        probes *= 2


def _others(hits: Hits, own_Q: np.ndarray) -> Hits:
    """Without the hit that is the query itself."""
    return Hits(hits.row_QK, np.where(hits.row_QK == own_Q[:, None], -np.inf, hits.similarity_QK))


def approximate(index: Any, vectors_NC: np.ndarray, query_QC: np.ndarray, top: int) -> Hits:
    """As `exact`, among the rows of the cells that are read: similarities and ties as there."""
    row_QK = np.sort(index.search(np.ascontiguousarray(query_QC, np.float32), top)[1], axis=1)
    similarity_QK = np.full(row_QK.shape, -np.inf)
    for q, row_K in enumerate(row_QK):
        known_K = row_K >= 0
        rows_KC = np.asarray(vectors_NC[row_K[known_K]], np.float64)
        similarity_QK[q, known_K] = np.round(rows_KC @ np.asarray(query_QC[q], np.float64), 9)
    order_QK = np.argsort(-similarity_QK, axis=1, kind="stable")
    return Hits(np.take_along_axis(row_QK, order_QK, 1), np.take_along_axis(similarity_QK, order_QK, 1))


def recalled(found: Hits, truth: Hits) -> float:
    """The share of the true hits that were found; one as similar as the last true hit counts for it."""
    least_Q1 = np.where(np.isfinite(truth.similarity_QK), truth.similarity_QK, np.inf).min(1, keepdims=True)
    return float((found.similarity_QK >= least_Q1).sum() / max(np.isfinite(truth.similarity_QK).sum(), 1))


def write_cells(path: Path, index: Any) -> None:
    """Write an inverted file."""
    faiss().write_index(index, str(path))


def read_cells(path: Path, probes: int) -> Any:
    """Read an inverted file; `probes`: how many of its cells a query is compared with. Raises InputError."""
    try:
        index = faiss().read_index(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: is no inverted file ({error})") from None
    index.nprobe = probes
    return index
