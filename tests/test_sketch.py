"""k-mer sets by hashes against sets of letters, and identities against planted mutations."""

from __future__ import annotations

import numpy as np
import pytest

from genossl.genome import sketch
from genossl.genome.alphabet import N, decode, reverse_complement


def letters(tokens: np.ndarray, k: int) -> set[str]:
    """The second implementation: canonical k-mers as strings."""
    text, other = decode(tokens), decode(reverse_complement(tokens))
    both = ((text[i : i + k], other[len(text) - k - i : len(text) - i]) for i in range(len(text) - k + 1))
    return {min(a, b) for a, b in both if "N" not in a}


def sequence(rng: np.random.Generator, length: int, unknown: float = 0.0) -> np.ndarray:
    tokens = rng.integers(0, 4, length, dtype=np.uint8)
    tokens[rng.random(length) < unknown] = N
    return tokens


def mutated(rng: np.random.Generator, tokens: np.ndarray, rate: float) -> np.ndarray:
    """Each base replaced by another one with this probability."""
    hit = rng.random(len(tokens)) < rate
    return np.where(hit, (tokens + rng.integers(1, 4, len(tokens))) % 4, tokens).astype(np.uint8)


@pytest.mark.parametrize("k", [1, 2, 3, 7, 15, 16, 21, 30, 31])
def test_as_many_kmers_as_sets_of_letters_hold(k: int) -> None:
    rng = np.random.default_rng(k)
    for length in (0, k - 1, k, k + 1, 400):
        tokens = sequence(rng, length, 0.01)
        assert len(sketch.sketch([tokens], k)) == len(letters(tokens, k))
    one, two = sequence(rng, 300), sequence(rng, 300)
    two[100:200] = one[150:250]
    both = np.intersect1d(sketch.sketch([one], k), sketch.sketch([two], k))
    assert len(both) == len(letters(one, k) & letters(two, k))


def test_strand_order_and_block_size_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    parts = [sequence(rng, 3000, 0.003) for _ in range(3)]
    expected = sketch.sketch(parts, 31, 4)
    np.testing.assert_array_equal(sketch.sketch([reverse_complement(p) for p in parts[::-1]], 31, 4), expected)
    monkeypatch.setattr(sketch, "BLOCK", 64)
    np.testing.assert_array_equal(sketch.sketch(parts, 31, 4), expected)


def test_hashes_come_with_their_places() -> None:
    tokens = sequence(np.random.default_rng(1), 500, 0.02)
    hash_M, at_M = sketch.hashes(tokens, 11)
    assert at_M.tolist() == [i for i in range(490) if (tokens[i : i + 11] < N).all()]
    for h, i in zip(hash_M, at_M, strict=True):
        assert sketch.hashes(tokens[i : i + 11], 11)[0][0] == h


def test_the_mixer_is_a_bijection() -> None:
    """Undone step by step: multiplication by the inverse modulo 2**64, xorshift by repeated xorshift."""
    code = np.random.default_rng(2).integers(0, 2**62, 10_000, dtype=np.uint64)
    h = sketch.mix(code)
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        x = h.copy()
        for _ in range(64 // shift + 1):
            x = h ^ (x >> np.uint64(shift))
        h = x * np.uint64(pow(factor, -1, 2**64))
    np.testing.assert_array_equal(h - np.uint64(0x9E3779B97F4A7C15), code)


@pytest.mark.parametrize("scaled", [10, 100])
def test_a_sketch_is_an_even_sample_of_the_kmers(scaled: int) -> None:
    whole = sketch.sketch([sequence(np.random.default_rng(3), 100_000)], 31)
    part = sketch.sketch([sequence(np.random.default_rng(3), 100_000)], 31, scaled)
    assert np.isin(part, whole).all()
    mean = len(whole) / scaled
    assert abs(len(part) - mean) < 4 * mean**0.5  # Poisson


def deviation(n: int, k: int, r: float) -> float:
    """Of the share of n k-mers that survive mutation: those that overlap live and die together."""
    p = (1 - r) ** k
    together = sum((1 - r) ** (k + d) - p**2 for d in range(1, k))
    return ((p * (1 - p) + 2 * together) / n) ** 0.5


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("k", [15, 31])
def test_identity_of_planted_mutations(rate: float, k: int) -> None:
    rng = np.random.default_rng(int(rate * 1000))
    one = sequence(rng, 200_000)
    two = mutated(rng, one, rate)
    a, b = sketch.sketch([one], k), sketch.sketch([two], k)
    share = len(np.intersect1d(a, b)) / len(a)
    by_chance = len(b) / 4**k * 2  # of k-mers that a random sequence of this length has too
    assert abs(share - (1 - rate) ** k) < 4 * deviation(len(a), k, rate) + by_chance
    assert float(sketch.identity((1 - rate) ** k, k)) == pytest.approx(1 - rate)
    a, b = sketch.sketch([one], k, 20), sketch.sketch([two], k, 20)
    sampled = len(np.intersect1d(a, b)) / len(a)
    p = (1 - rate) ** k
    spread = 4 * ((p * (1 - p) / len(a)) ** 0.5 + deviation(200_000, k, rate)) + by_chance
    assert abs(sampled - p) < spread


def test_identity_at_its_ends() -> None:
    assert sketch.identity(np.array([0.0, 1.0]), 15).tolist() == [0.0, 1.0]


def related(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows and others of which some share stretches, on either strand, with N; one row is empty, one shorter than k."""
    rng = np.random.default_rng(seed)
    others = [sequence(rng, int(rng.integers(20, 400)), 0.005) for _ in range(30)]
    rows = [sequence(rng, 0), sequence(rng, 6)]
    for _ in range(20):
        parts = [sequence(rng, 50)]
        for _ in range(int(rng.integers(0, 3))):
            source = others[int(rng.integers(30))]
            start = int(rng.integers(len(source)))
            piece = source[start : start + 60]
            parts.append(reverse_complement(piece) if rng.random() < 0.5 else piece)
        rows.append(np.concatenate(parts))
    return rows, others


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [7, 11])
def test_containment_and_nearest_are_those_of_sets(k: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, others = related(seed)
    sets, other_sets = [letters(r, k) for r in rows], [letters(o, k) for o in others]
    together = set().union(*other_sets)
    share, one = sketch.contained(rows, k, lambda: iter(others))
    best, who = sketch.nearest(rows, k, lambda: iter(others))
    for i, own in enumerate(sets):
        each = [len(own & other) / max(1, len(own)) for other in other_sets]
        assert share[i] == pytest.approx(len(own & together) / max(1, len(own)))
        assert best[i] == pytest.approx(max(each))
        assert who[i] == (int(np.argmax(each)) if max(each) else -1)
        assert (one[i] >= 0) == (share[i] > 0)
        assert one[i] < 0 or each[one[i]] > 0
    monkeypatch.setattr(sketch, "PAIRS", 60)  # two others at once
    again = sketch.nearest(rows, k, lambda: iter(others))
    few = [index.nearest(others) for index in sketch.batches(rows, k, held=300)]
    assert len(few) > 2
    for found in (again, (np.concatenate([b for b, _ in few]), np.concatenate([w for _, w in few]))):
        np.testing.assert_array_equal(found[0], best)
        np.testing.assert_array_equal(found[1], who)


def test_the_one_named_is_the_one_that_has_most() -> None:
    rng = np.random.default_rng(5)
    others = [sequence(rng, 500) for _ in range(3)]
    row = np.concatenate([others[0][:50], others[2][100:300], others[1][:40]])
    assert sketch.contained([row], 21, lambda: others)[1].tolist() == [2]


def test_a_long_row_is_compared_by_a_sample() -> None:
    rng = np.random.default_rng(6)
    row = sequence(rng, 200_000)
    index = sketch.Index.of([row], 31)
    assert abs(index.size_Q[0] - sketch.WHOLE) < 4 * sketch.WHOLE**0.5
    share, _ = index.contained([row[:60_000]])
    assert abs(share[0] - 0.3) < 4 * (0.3 * 0.7 / sketch.WHOLE) ** 0.5


def test_shared_hashes_of_each_two() -> None:
    rng = np.random.default_rng(7)
    base = sequence(rng, 300)
    sequences = [base, base[:200], sequence(rng, 100), np.array([], np.uint8)]
    found = sketch.shared([sketch.sketch([s], 9) for s in sequences]).toarray()
    sets = [letters(s, 9) for s in sequences]
    np.testing.assert_array_equal(found, [[len(a & b) for b in sets] for a in sets])
    assert not sketch.shared([np.array([], np.uint64)] * 2).toarray().any()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="k 32"):
        sketch.hashes(np.zeros(50, np.uint8), 32)
    with pytest.raises(ValueError, match=r"scaled 0\.5"):
        sketch.sketch([], 31, 0.5)
