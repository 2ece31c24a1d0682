"""Markov models by counting: closed forms, a naive loop, and the entropy of a source that we planted."""

from __future__ import annotations

import math

import numpy as np
import planted
import pytest

from genossl.genome import markov
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.markov import Markov


def fitted(order: int, *sequences: np.ndarray) -> Markov:
    model = Markov(order)
    for tokens in sequences:
        model.read(tokens)
    return model


def naive_bits(training: list[str], scored: str, order: int) -> float:
    """Letters, dictionaries and loops."""
    other = dict(zip("ACGTN", "TGCAN", strict=True))
    seen: dict[str, dict[str, int]] = {}
    for letters in training:
        for strand in (letters, "".join(other[base] for base in reversed(letters))):
            for t, base in enumerate(strand):
                for j in range(min(t, order) + 1):
                    context = strand[t - j : t]
                    if "N" not in context + base:
                        seen.setdefault(context, dict.fromkeys("ACGT", 0))[base] += 1
    total = 0.0
    for t, base in enumerate(scored):
        if base == "N":
            continue
        context = scored[max(0, t - order) : t].rpartition("N")[2]
        counts = seen.get(context, dict.fromkeys("ACGT", 0))
        total -= math.log2((counts[base] + 0.5) / (sum(counts.values()) + 2))
    return total


def long_run(transitions: np.ndarray) -> np.ndarray:
    """How often each context is followed by each base, found by letting the source run; sums to 1."""
    n = len(transitions)
    weight = np.full(n, 1 / n)
    follows = (np.arange(n)[:, None] * 4 + np.arange(4)) % n
    for _ in range(500):
        weight = np.bincount(follows.ravel(), (weight[:, None] * transitions).ravel(), n)
    return weight[:, None] * transitions


def both_strands(transitions: np.ndarray, order: int) -> np.ndarray:
    """The source whose k-mers are as frequent as those of a source and of its other strand together."""
    frequency = long_run(transitions).ravel()
    words = (np.arange(4 ** (order + 1))[:, None] // 4 ** np.arange(order, -1, -1) % 4).astype(np.uint8)
    other = reverse_complement(words).astype(int) @ 4 ** np.arange(order, -1, -1)
    joint = (frequency + frequency[other]).reshape(-1, 4)
    return joint / joint.sum(1, keepdims=True)


def entropy_rate(transitions: np.ndarray) -> float:
    """Bits per base of a source."""
    return float(-(long_run(transitions) * np.log2(transitions)).sum())


def test_order_0_counts_both_strands() -> None:
    """Three A and one G are, with the other strand, 3 A, 1 C, 1 G, 3 T of 8; the prior adds 1/2 of 2."""
    model = fitted(0, encode("AAGA"))
    np.testing.assert_allclose(model.probabilities(0), [[0.35, 0.15, 0.15, 0.35]])
    np.testing.assert_allclose(model.bits(encode("ACGTN")), [-2 * math.log2(0.35) - 2 * math.log2(0.15)])


def test_order_1_by_hand() -> None:
    """AAC and its other strand GTT: after A one A and one C, after G one T, after T one T, after C nothing."""
    model = fitted(1, encode("AAC"))
    expected = np.array([[1.5, 1.5, 0.5, 0.5], [0.5] * 4, [0.5, 0.5, 0.5, 1.5], [0.5, 0.5, 0.5, 1.5]])
    np.testing.assert_allclose(model.probabilities(1), expected / expected.sum(1, keepdims=True))
    first = -math.log2(model.probabilities(0)[0, 0])  # the first base has no context
    np.testing.assert_allclose(model.bits(encode("AAC"))[1], first - 2 * math.log2(1.5 / 4))


def test_nothing_read_is_two_bits_whatever_the_order() -> None:
    np.testing.assert_allclose(Markov(6).bits(encode("ACGTNNACCA")), [16.0] * 7)
    assert Markov(3).bits(encode("")).tolist() == [0.0] * 4
    assert fitted(2, encode("NNNN")).bits(encode("NN")).tolist() == [0.0] * 3


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_naive_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = [decode(rng.choice(5, n, p=[0.3, 0.2, 0.2, 0.2, 0.1]).astype(np.uint8)) for n in (300, 1, 2, 40)]
    model = fitted(4, *(encode(text) for text in letters[1:]))
    found = model.bits(encode(letters[0]))
    np.testing.assert_allclose(found, [naive_bits(letters[1:], letters[0], order) for order in range(5)], rtol=1e-9)


def test_blocks_are_invisible(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.choice(5, 1000, p=[0.24] * 4 + [0.04]).astype(np.uint8) for _ in range(2))
    whole = fitted(3, one)
    bits = whole.bits(two)
    for block in (1, 2, 7, 999):
        monkeypatch.setattr(markov, "BLOCK", block)
        cut = fitted(3, one)
        assert all(np.array_equal(a, b) for a, b in zip(cut.counts, whole.counts, strict=True))
        np.testing.assert_allclose(cut.bits(two), bits, rtol=1e-12)


def test_the_strand_read_makes_no_difference() -> None:
    tokens = np.random.default_rng(1).integers(0, 4, 500).astype(np.uint8)
    one, two = fitted(3, tokens), fitted(3, reverse_complement(tokens))
    assert all(np.array_equal(a, b) for a, b in zip(one.counts, two.counts, strict=True))


def test_probabilities_sum_to_one() -> None:
    model = fitted(5, np.random.default_rng(1).integers(0, 5, 500).astype(np.uint8))
    for order in range(6):
        assert model.probabilities(order).shape == (4**order, 4)
        np.testing.assert_allclose(model.probabilities(order).sum(1), 1)


def test_the_entropy_rate_of_a_planted_source_is_reached_and_not_beaten() -> None:
    """At the true order; a lower one sees less, and one that the data cannot fill is worse for it."""
    rng = np.random.default_rng(0)
    source = both_strands(planted.markov(rng, 3, 1.0), 3)
    model = fitted(10, planted.sample(rng, source, 400_000))
    held_out = planted.sample(rng, source, 400_000)
    bits = model.bits(held_out) / len(held_out)
    h = entropy_rate(source)
    three_errors = 3 * 1.5 / len(held_out) ** 0.5  # a base's bits deviate by less than 1.5
    assert h - three_errors < bits[3] < h + three_errors + 0.001  # 3/2 log2(n) bits for each of 64 contexts
    assert bits[0] > bits[1] > bits[2] > bits[3] + 0.01
    assert bits[3] < bits[6] < bits[10]


def test_order_12_fits_where_the_data_does_not() -> None:
    model = fitted(markov.HIGHEST, encode("ACGT" * 10))
    assert model.counts[-1].nbytes == 4 * 4**13
    # ACGT is its own reverse complement: 2 x 40 bases of period 4, 2 x 7 (j + 1)-mers of each phase at j = 12
    np.testing.assert_allclose(model.bits(encode("ACGT" * 3 + "A"))[-1] - model.bits(encode("ACGT" * 3))[-1],
                               -math.log2(14.5 / 16))  # fmt: skip
