from itertools import product

import numpy as np
import pytest
import torch

from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.kmers import codes, gc, kinds, profiles


def slow_counts(letters: str, k: int) -> dict[str, int]:
    """k-mers and their reverse complements under one name: the smaller of the two, letter by letter."""
    found: dict[str, int] = {}
    for i in range(len(letters) - k + 1):
        kmer = letters[i : i + k]
        if "N" not in kmer:
            other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
            found[min(kmer, other)] = found.get(min(kmer, other), 0) + 1
    return found


@pytest.mark.parametrize("seed", range(50))
def test_profiles_equal_counting_letter_by_letter(seed):
    rng = np.random.default_rng(seed)
    k = 1 + seed % 6
    letters = "".join(rng.choice(list("ACGTN"), rng.integers(1, 200), p=[0.24, 0.24, 0.24, 0.24, 0.04]))
    row = profiles([encode(letters)], k)[0]
    slow = slow_counts(letters, k)
    total = max(1, sum(slow.values()))
    kind, _ = kinds(k)
    names = {"".join(p): kind[i] for i, p in enumerate(product("ACGT", repeat=k))}
    expected = np.zeros(len(row))
    for name, count in slow.items():
        expected[names[name]] = count / total
    np.testing.assert_allclose(row, expected, atol=1e-7)


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
