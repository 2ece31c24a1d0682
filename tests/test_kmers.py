from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genossl.genome import kmers
from genossl.genome.alphabet import MASK, decode, encode, reverse_complement
from genossl.genome.kmers import codes, gc, kinds, profiles


def slow_counts(letters: str, k: int, canonical: bool) -> dict[str, int]:
    """Letter by letter; canonical: a k-mer and its reverse complement under one name, the smaller of the two."""
    found: dict[str, int] = {}
    for i in range(len(letters) - k + 1):
        kmer = letters[i : i + k]
        if "N" not in kmer:
            other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
            name = min(kmer, other) if canonical else kmer
            found[name] = found.get(name, 0) + 1
    return found


def slow_profile(letters: str, k: int, canonical: bool) -> np.ndarray:
    slow = slow_counts(letters, k, canonical)
    kind, v = kinds(k, canonical)
    expected = np.zeros(v, np.float32)
    for name, count in slow.items():
        expected[kind[int(name.translate(str.maketrans("ACGT", "0123")), 4)]] = count
    return expected / np.float32(max(1, sum(slow.values())))


@pytest.mark.parametrize("seed", range(50))
def test_profiles_equal_counting_letter_by_letter(seed):
    rng = np.random.default_rng(seed)
    k = 1 + seed % 6
    letters = "".join(rng.choice(list("ACGTN"), rng.integers(1, 200), p=[0.24, 0.24, 0.24, 0.24, 0.04]))
    np.testing.assert_array_equal(profiles([encode(letters)], k)[0], slow_profile(letters, k, True))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ACGTN#", max_size=20), max_size=8), st.integers(1, 8), st.booleans(), st.integers(1, 300))
def test_blocks_change_no_profile(texts: list[str], k: int, canonical: bool, block: int) -> None:
    sequences = [np.where(np.array(list(text)) == "#", MASK, encode(text)).astype(np.uint8) for text in texts]
    expected = [slow_profile(text.replace("#", "N"), k, canonical) for text in texts]
    with mock.patch.object(kmers, "BLOCK", block):
        found = profiles(sequences, k, canonical)
    assert found.shape == (len(texts), kinds(k, canonical)[1])
    assert found.dtype == np.float32
    assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("k", [*range(1, 10), 15])
def test_codes_are_numbers_of_base_four(k: int) -> None:
    tokens = np.random.default_rng(k).choice(6, (5, 40), p=[0.24, 0.24, 0.24, 0.24, 0.02, 0.02])
    expected = [
        [4**k if max(row[i : i + k]) > 3 else int("".join(map(str, row[i : i + k])), 4) for i in range(41 - k)]
        for row in tokens.tolist()
    ]
    found = codes(torch.from_numpy(tokens.astype(np.uint8)), k)
    assert found.dtype == torch.int64
    assert found.tolist() == expected


@pytest.mark.parametrize("k", range(1, 9))
def test_number_of_kinds(k):
    expected = (4**k + 4 ** (k // 2)) // 2 if k % 2 == 0 else 4**k // 2
    assert kinds(k)[1] == expected
    assert kinds(k, canonical=False)[1] == 4**k


def test_canonical_profiles_do_not_see_the_strand():
    tokens = np.random.default_rng(0).integers(0, 5, 400).astype(np.uint8)
    for k in (1, 3, 4, 6):
        np.testing.assert_array_equal(profiles([tokens], k), profiles([reverse_complement(tokens)], k))
    plain = profiles([tokens], 3, canonical=False)
    assert not np.allclose(plain, profiles([reverse_complement(tokens)], 3, canonical=False))


def test_codes_mark_every_kmer_with_an_unknown_base():
    assert codes(torch.from_numpy(encode("ACGTNA"))[None], 2).tolist() == [[1, 6, 11, 16, 16]]


def test_short_or_unknown_sequences_have_an_empty_profile():
    assert profiles([encode("AC"), encode("NNNNNN")], 3).sum() == 0


def test_gc():
    np.testing.assert_allclose(gc([encode("GGCC"), encode("ATGN"), encode("NN")])[:, 0], [1, 1 / 3, 0.5], rtol=1e-6)
    assert decode(encode("GC")) == "GC"
