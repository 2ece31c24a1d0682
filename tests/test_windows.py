"""Windows: a function of (seed, step), uniform, inside their contigs."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import planted
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from genossl.errors import InputError
from genossl.genome import windows
from genossl.genome.alphabet import N
from genossl.genome.store import TokenStore
from genossl.genome.windows import Batch, Pairs, Windows, _too_many_n, composition, generator

LENGTHS = (30, 7, 12, 45)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """Each contig is full of its own base, so that a window that leaves it is seen."""
    contigs = [np.full(length, i, np.uint8) for i, length in enumerate(LENGTHS)]
    genomes = {"a": ("train", contigs[:2]), "b": ("train", contigs[2:])}
    return TokenStore.open(planted.store(tmp_path_factory.mktemp("windows") / "store", genomes))


ROWS = np.arange(len(LENGTHS))


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("tokens", "genome", "contig", "start"))


def test_draws_are_functions_of_seed_and_step(store: TokenStore) -> None:
    for sampler in (Windows(store, ROWS, 5), Pairs(store, ROWS, 5, 6)):
        batch = sampler.draw(64, generator(1, 7))
        sampler.draw(64, generator(1, 8))  # nothing is remembered
        assert equal(batch, sampler.draw(64, generator(1, 7)))
        for other in (generator(1, 8), generator(2, 7), generator(1, 7, stream=1)):
            assert not equal(batch, sampler.draw(64, other))


def test_every_start_is_equally_likely(store: TokenStore) -> None:
    length = 5
    batch = Windows(store, ROWS, length).draw(40_000, generator(0, 0))
    counts = [torch.bincount(batch.start[batch.contig == i], minlength=n - length + 1) for i, n in enumerate(LENGTHS)]
    assert [len(c) for c in counts] == [n - length + 1 for n in LENGTHS], "a start from which no window fits"
    assert chisquare(torch.cat(counts).numpy()).pvalue > 1e-3


def test_windows_are_the_bases_at_their_place_and_never_cross_an_end(store: TokenStore) -> None:
    batch = Windows(store, ROWS, 7).draw(500, generator(0, 1))
    assert batch.tokens.shape == (500, 7)
    assert batch.tokens.dtype == torch.uint8
    assert torch.equal(batch.tokens, batch.contig[:, None].expand(-1, 7).to(torch.uint8))
    assert torch.equal(batch.genome, (batch.contig >= 2).long())
    assert set(batch.contig.tolist()) == {0, 1, 2, 3}, "a contig of exactly one window is usable"


def test_only_the_chosen_contigs_are_drawn_from(store: TokenStore) -> None:
    batch = Windows(store, np.array([2, 3]), 5).draw(200, generator(0, 0))
    assert set(batch.contig.tolist()) == {2, 3}
    assert torch.equal(batch.tokens[:, 0].long(), batch.contig)


@pytest.mark.parametrize("distance", [1, 4, 1000])
def test_pairs_are_disjoint_within_the_distance_and_inside_their_contig(store: TokenStore, distance: int) -> None:
    length = 6
    batch = Pairs(store, ROWS, length, distance).draw(4000, generator(0, 0))
    assert batch.tokens.shape == (4000, 2, length)
    assert torch.equal(batch.tokens, batch.contig[:, None, None].expand(-1, 2, length).to(torch.uint8))
    gap = batch.start[:, 1] - batch.start[:, 0] - length
    assert gap.min() == 0
    assert gap.max() == min(distance, max(LENGTHS) - 2 * length)
    ends = torch.tensor(LENGTHS)[batch.contig]
    assert (batch.start[:, 1] + length <= ends).all()
    assert set(batch.contig.tolist()) == {0, 2, 3}, "a contig of exactly two windows is usable, a shorter one is not"


def test_every_gap_is_equally_likely(store: TokenStore) -> None:
    batch = Pairs(store, np.array([3]), 5, 3).draw(8000, generator(0, 0))
    inner = batch.start[:, 0] <= 45 - 2 * 5 - 3  # elsewhere the end of the contig is nearer
    gap = (batch.start[:, 1] - batch.start[:, 0] - 5)[inner]
    assert chisquare(torch.bincount(gap).numpy()).pvalue > 1e-3


def test_windows_with_too_many_n_are_drawn_anew(tmp_path: Path) -> None:
    tokens = np.zeros(400, np.uint8)
    tokens[100:160] = N
    store = TokenStore.open(planted.store(tmp_path / "store", {"g": ("", [tokens])}))
    rng = generator(0, 0)
    rows = np.arange(1)

    def worst(batch: Batch) -> float:
        return (batch.tokens == N).float().mean(-1).max().item()

    assert worst(Windows(store, rows, 10, 1.0).draw(2000, rng)) == 1
    assert worst(Windows(store, rows, 10, 0.2).draw(2000, rng)) <= 0.2 + 1e-6
    assert worst(Pairs(store, rows, 10, 20, 0.2).draw(2000, rng)) <= 0.2 + 1e-6, "each window of a pair counts"
    assert worst(Pairs(store, rows, 10, 20, 1.0).draw(2000, rng)) == 1


@pytest.mark.parametrize("shape", [(40, 30), (40, 2, 30)])
def test_too_many_n_is_a_share_of_each_window(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(np.where(rng.random(shape) < rng.random((shape[0], *[1] * (len(shape) - 1))), N, 2))
    for most in (0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0):
        share = (tokens == N).float().mean(-1)
        slow = [i for i in range(shape[0]) if (share[i] > most).any()]
        assert _too_many_n(tokens.to(torch.uint8), most).tolist() == slow


def test_composition_counts_the_known_bases_of_the_chosen_contigs(store: TokenStore) -> None:
    with mock.patch.object(windows, "BLOCK", 4):
        assert composition(store, np.array([0, 2, 3])).tolist() == [30 / 87, 0, 12 / 87, 45 / 87]


def test_a_collection_full_of_n_still_gives_windows(tmp_path: Path) -> None:
    store = TokenStore.open(planted.store(tmp_path / "store", {"g": ("", [np.full(50, N, np.uint8)])}))
    assert (Windows(store, np.arange(1), 10, 0.1).draw(4, generator(0, 0)).tokens == N).all()


def test_no_usable_contig(store: TokenStore) -> None:
    with pytest.raises(InputError, match=r"no contig holds 46 bases, .*4 contigs to draw from, the longest has 45"):
        Windows(store, ROWS, 46)
    with pytest.raises(InputError, match="no contig holds 46 bases"):
        Pairs(store, ROWS, 23, 5)
    with pytest.raises(InputError, match=r"no contig holds 5 bases, .*0 contigs to draw from, the longest has 0"):
        Windows(store, ROWS[:0], 5)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    length=st.integers(1, 20),
    distance=st.integers(0, 30),
    seed=st.integers(0, 1 << 40),
    data=st.data(),
)
def test_every_draw_is_one_of_the_windows_that_there_are(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], length: int, distance: int, seed: int, data
) -> None:
    """Beside a list of all windows and pairs of the chosen contigs, by loops over starts."""
    rng = np.random.default_rng(seed)
    contigs = [rng.integers(0, 5, n).astype(np.uint8) for n in lengths]
    half = (len(contigs) + 1) // 2
    genomes = (
        {"a": ("train", contigs[:half]), "b": ("train", contigs[half:])} if contigs[half:] else {"a": ("", contigs)}
    )
    store = TokenStore.open(planted.store(tmp_path_factory.mktemp("w") / "store", genomes))
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(contigs) - 1), min_size=1))))
    singles = {(i, a): contigs[i][a : a + length] for i in rows.tolist() for a in range(lengths[i] - length + 1)}
    pairs = {
        (i, a, b): np.stack([contigs[i][a : a + length], contigs[i][b : b + length]])
        for i in rows.tolist()
        for a in range(lengths[i] - 2 * length + 1)
        for b in range(a + length, min(a + length + distance, lengths[i] - length) + 1)
    }
    for sampler, all_of_them in ((Windows, singles), (Pairs, pairs)):
        more = (distance,) if sampler is Pairs else ()
        if not all_of_them:
            with pytest.raises(InputError, match="no contig holds"):
                sampler(store, rows, length, *more)
            continue
        batch = sampler(store, rows, length, *more).draw(40, generator(seed, 0))
        for contig, start, genome, tokens in zip(
            batch.contig.tolist(), batch.start.view(40, -1).tolist(), batch.genome.tolist(), batch.tokens, strict=True
        ):
            assert np.array_equal(tokens.numpy(), all_of_them[contig, *start])
            assert genome == (contig >= half)
