import numpy as np
import pytest
import torch

from genossl.genome.alphabet import MASK, N, decode, encode, reverse_complement


def test_worked_example():
    assert decode(reverse_complement(encode("AACG"))) == "CGTT"
    assert decode(encode("acgtuRYN-")) == "ACGTTNNNN"


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_reverse_complement_is_an_involution_with_n_and_mask(shape, kind):
    tokens = np.random.default_rng(0).integers(0, 6, shape).astype(np.uint8)
    x = torch.from_numpy(tokens) if kind == "torch" else tokens
    before = tokens.copy()
    once = reverse_complement(x)
    assert (np.asarray(reverse_complement(once)) == tokens).all()
    assert (np.asarray(x) == before).all()  # the input is left as it was
    assert (np.asarray(once)[tokens[..., ::-1] == N] == N).all()
    assert (np.asarray(once)[tokens[..., ::-1] == MASK] == MASK).all()


def test_is_not_the_complement_and_not_the_reverse():
    letters = "AACGTC"
    complement = letters.translate(str.maketrans("ACGT", "TGCA"))
    assert decode(reverse_complement(encode(letters))) not in (complement, letters[::-1])
    assert decode(reverse_complement(encode(letters))) == complement[::-1]


def test_agrees_with_biopython():
    from Bio.Seq import Seq

    letters = "".join(np.random.default_rng(1).choice(list("ACGTN"), 500))
    assert decode(reverse_complement(encode(letters))) == str(Seq(letters).reverse_complement())
