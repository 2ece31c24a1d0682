"""Views of DNA: what they change, what they leave, and that they follow the generator alone."""

import numpy as np
import pytest
import torch

from genossl.genome.alphabet import MASK, N, decode, encode
from genossl.genome.windows import Batch
from genossl.pretext.views import choose, cloze, crop, either_strand, hide, indels, pair, substitute


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
        lambda x, r: choose(x, 0.15, 3, r),
        lambda x, r: hide(x, x < 2, 0.8, 0.1, r),
    ],
    ids=["strand", "substitute", "indels", "crop", "choose", "hide"],
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


@pytest.mark.parametrize("rate,span", [(0.15, 1), (0.15, 6), (0.5, 10)])
def test_every_base_is_chosen_as_often_as_asked_wherever_it_stands(rate, span):
    x = bases(4000, 60)
    share = choose(x, rate, span, rng()).float().mean(0)
    assert ((share - rate).abs() < 4.5 * (rate * (1 - rate) / 4000) ** 0.5).all()


@pytest.mark.parametrize("span", [1, 3, 7])
def test_stretches_are_chosen_whole(span):
    """Away from the edges a run of chosen bases is never shorter than the span, and without another one next to it
    exactly as long; lengths beyond it come from stretches that meet."""
    chosen = choose(bases(500, 80), 0.1, span, rng()).numpy()
    lengths = []
    for row in chosen:
        change = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]]).astype(int)))
        lengths += [b - a for a, b in change.reshape(-1, 2) if a > 0 and b < 80]
    assert min(lengths) == span
    start = 1 - 0.9 ** (1 / span)  # a stretch ends where none starts within `span` bases
    alone, n = (1 - start) ** span, len(lengths)
    assert abs(lengths.count(span) - alone * n) < 4 * (n * alone * (1 - alone)) ** 0.5 + 0.02 * n


def test_n_is_never_chosen_and_extremes_are_exact():
    x = bases().masked_fill(bases(seed=2) == 0, N)
    assert torch.equal(choose(x, 1.0, 4, rng()), x < 4)
    assert not choose(x, 0.0, 4, rng()).any()
    assert not choose(x, 0.5, 4, rng())[x == N].any()


def test_hidden_bases_are_masked_replaced_or_left():
    x, every = bases(), torch.ones(64, 200, dtype=torch.bool)
    assert (hide(x, every, 1.0, 0.0, rng()) == MASK).all()
    assert torch.equal(hide(x, every, 0.0, 0.0, rng()), x)
    assert torch.equal(hide(x, ~every, 1.0, 0.0, rng()), x)
    counts = torch.bincount(hide(torch.zeros_like(x), every, 0.0, 1.0, rng()).flatten().long(), minlength=4)
    assert ((counts - x.numel() / 4).abs() < 4 * (x.numel() * 3 / 16) ** 0.5).all()


def test_a_cloze_asks_within_its_bounds_and_keeps_the_answers():
    x = bases().masked_fill(bases(seed=2) == 0, N)
    views = cloze(x, slice(20, 150), rng(), rate=0.5, span=4, masked=1.0, random=0.0)
    asked = views["wanted"] < 4
    assert not asked[:, :20].any()
    assert not asked[:, 150:].any()
    assert torch.equal(views["wanted"][asked], x[asked])
    assert torch.equal(views["masked_tokens"], x.masked_fill(asked, MASK))
    assert {view.dtype for view in views.values()} == {torch.uint8}
