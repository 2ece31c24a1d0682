"""Views of DNA: what they change, what they leave, and that they follow the generator alone."""

import numpy as np
import pytest
import torch

from genossl.genome.alphabet import MASK, N, decode, encode
from genossl.genome.windows import Batch
from genossl.pretext.views import crop, either_strand, indels, pair, substitute


def rng(seed=0):
    return np.random.default_rng(seed)


def bases(b=64, length=200, seed=1):
    return torch.from_numpy(rng(seed).integers(0, 4, (b, length)).astype(np.uint8))


def letters(text):
    return torch.from_numpy(encode(text))[None]


def test_the_other_strand_is_the_reverse_complement_and_not_the_complement():
    assert decode(either_strand(letters("AACGN"), 1.0, rng())[0]) == "NCGTT"
    x = bases()
    assert torch.equal(either_strand(either_strand(x, 1.0, rng()), 1.0, rng()), x)
    assert not torch.equal(either_strand(x, 1.0, rng()), 3 - x)
    assert torch.equal(either_strand(x, 0.0, rng()), x)


def test_each_window_is_turned_with_the_probability_on_its_own():
    x = bases(2000, 20)
    turned = (either_strand(x, 0.5, rng()) != x).any(1).sum().item()
    assert abs(turned - 1000) < 4 * (2000 * 0.25) ** 0.5


@pytest.mark.parametrize("rate", [0.02, 0.15, 0.6])
def test_substitutions_change_the_share_of_bases_that_was_asked_for(rate):
    x = bases(200, 500)
    y = substitute(x, rate, rng())
    changed = (y != x).sum().item()
    n = x.numel()
    assert abs(changed - rate * n) < 4 * (n * rate * (1 - rate)) ** 0.5
    # each of the three others is as likely
    shift = ((y.int() - x.int()) % 4)[y != x]
    for other in (1, 2, 3):
        assert abs((shift == other).sum().item() - changed / 3) < 4 * (changed * 2 / 9) ** 0.5


def test_a_substituted_base_always_differs_and_n_stays_n():
    x = bases()
    assert ((substitute(x, 1.0, rng()) != x) & (substitute(x, 1.0, rng()) < 4)).all()
    assert torch.equal(substitute(x, 0.0, rng()), x)
    for code in (N, MASK):
        other = torch.full((4, 50), code, dtype=torch.uint8)
        assert torch.equal(substitute(other, 1.0, rng()), other)


def by_hand(row, flank, deleted, inserted, cut, place, new):
    """Delete, fill up from the right, insert, cut to length: with Python lists."""
    length = len(row)
    line = list(row) + list(flank)
    del line[cut : cut + deleted]
    line[place:place] = new[place : place + inserted]
    return line[:length]


@pytest.mark.parametrize("with_flank", [True, False])
def test_indels_equal_lists_cut_and_joined(with_flank):
    length, longest = 40, 9
    x, flank = bases(300, length), bases(300, longest + 3, seed=2) if with_flank else None
    found = indels(x, longest, rng(5), flank)
    draws = rng(5)
    deleted, inserted = (draws.integers(0, longest + 1, (300, 1)) for _ in range(2))
    cut, place = (draws.integers(0, length, (300, 1)) for _ in range(2))
    new = draws.integers(0, 4, (300, length), np.uint8)
    for i in range(300):
        behind = flank[i].tolist() if flank is not None else [N] * longest
        numbers = (int(a[i, 0]) for a in (deleted, inserted, cut, place))
        assert found[i].tolist() == by_hand(x[i].tolist(), behind, *numbers, new[i].tolist()), i
    assert found.shape == x.shape
    assert found.dtype == torch.uint8
    assert (found == N).any() == (not with_flank)


def test_no_indel_changes_nothing():
    x = bases()
    assert torch.equal(indels(x, 0, rng()), x)


def test_crops_are_stretches_of_their_window():
    x = bases(50, 60)
    found = crop(x, 25, rng())
    starts = [decode(row).find(decode(part)) for row, part in zip(x, found, strict=True)]
    assert min(starts) >= 0
    assert max(starts) <= 35
    assert len(set(starts)) > 10
    assert torch.equal(crop(x, 60, rng()), x)


@pytest.mark.parametrize(
    "view",
    [
        lambda x, r: either_strand(x, 0.5, r),
        lambda x, r: substitute(x, 0.1, r),
        lambda x, r: indels(x, 10, r),
        lambda x, r: crop(x, 50, r),
    ],
    ids=["strand", "substitute", "indels", "crop"],
)
def test_a_view_follows_the_generator_alone_and_leaves_its_input(view):
    x = bases()
    before = x.clone()
    torch.manual_seed(1)
    one = view(x, rng(3))
    torch.manual_seed(2)
    assert torch.equal(one, view(x, rng(3)))
    assert not torch.equal(one, view(x, rng(4)))
    assert torch.equal(x, before)


def test_a_pair_turns_its_windows_independently():
    tokens = torch.stack([bases(1000, 20, 1), bases(1000, 20, 2)], 1)
    place = torch.arange(1000)
    views = pair(Batch(tokens, place, place, torch.zeros(1000, 2)), 0.5, rng())
    one, two = ((views[f"{name}_tokens"] != tokens[:, i]).any(1) for i, name in enumerate(("one", "two")))
    both = (one & two).sum().item()
    assert abs(both - 250) < 4 * (1000 * 0.25 * 0.75) ** 0.5
    assert torch.equal(views["contig"], place)
