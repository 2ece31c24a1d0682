"""Self-GenomeNet against a second implementation written with loops, and what it owes the paper."""

import math

import numpy as np
import pytest
import torch
from pairs import store
from torch.nn import functional as F

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import reverse_complement
from genossl.genome.windows import generator
from genossl.model.encoder import Encoder, Settings

SGN = methods.load("self_genomenet")
PAPER = dict(distance=0, splits=0, temperature=0.0, projection=0, most_n=1.0)
CONV = dict(front="conv", width=24, stride=6, channels=16, rnn="lstm", context=8)
KMER = dict(front="kmer", k=3, width=25, stride=25, hidden=16, channels=8, context=8, dropout=0.0)


def made(encoder, batch=6, seed=0, **settings):
    torch.manual_seed(0)
    net = Encoder(Settings(**encoder))
    method = SGN(SGN.Settings(**settings), net)
    data = store(contigs=3)
    draw = method.sampler(data, np.arange(len(data.contigs))).draw(batch, generator(seed, 0))
    return method, method.views(draw, generator(seed, 1))


def loop(method, views, mask_self=True):
    """The published recipe, one split, one row and one candidate at a time."""
    rows = torch.cat([views["read_tokens"], views["target_tokens"]])
    c = method.encoder(rows).c
    n, frames, _ = c.shape
    most = frames - 1 - method.encoder.gap
    total, count = 0.0, 0
    for j in range(1, most + 1):
        other = most + 1 - j
        for r in range(n):
            query = method.head(c[r, j - 1])
            scores = []
            for k in range(n):
                if k == r and mask_self:
                    continue
                scores.append((k, (query @ c[k, other - 1]).item()))
            positive = r + n // 2 if r < n // 2 else r - n // 2
            top = max(s for _, s in scores)
            log_sum = top + math.log(sum(math.exp(s - top) for _, s in scores))
            total += log_sum - dict(scores)[positive]
            count += 1
    return total / count


@pytest.mark.parametrize("length,encoder", [(150, CONV), (200, KMER)])
def test_equals_the_loop_written_like_the_paper(length, encoder):
    method, views = made(encoder, length=length, **PAPER)
    method.eval()
    assert method.loss(views).terms["contrast"].item() == pytest.approx(loop(method, views), rel=2e-5)


@pytest.mark.parametrize("length,width,stride,splits", [(150, 24, 6, 18), (1000, 40, 20, 47)])
def test_published_numbers_of_splits_and_no_overlap(length, width, stride, splits):
    method, views = made(dict(CONV, width=width, stride=stride), length=length, **PAPER)
    assert method.most_splits == splits
    for j, k in zip(views["split"].tolist(), (splits - 1 - views["split"]).tolist(), strict=True):
        prefix, rest = j * stride + width, k * stride + width
        assert prefix + rest == length  # prefix and remainder share no base and leave no gap


def test_prefix_and_target_share_no_base_by_gradient():
    """Change a base under the prefix: the target's state must not move, and the other way round."""
    method, views = made(CONV, length=150, **PAPER)
    method.eval()
    x = views["read_tokens"][:1]
    most, encoder = method.most_splits, method.encoder
    for j in (0, 7, most - 1):
        k = most - 1 - j
        prefix = j * encoder.stride + encoder.width
        y = x.clone()
        y[0, :prefix] = (y[0, :prefix] + 1) % 4
        before, after = (encoder(reverse_complement(v)).c[0, k] for v in (x, y))
        assert torch.equal(before, after)


def test_the_reverse_complement_does_work():
    """Whatever the settings, a target on the same strand is another task with another loss."""
    for encoder, settings in (
        (CONV, dict(length=150, **PAPER)),
        (KMER, dict(length=200, distance=300, splits=2)),
        (KMER, dict(length=200, distance=300, splits=1)),
    ):
        losses = []
        for flag in (True, False):
            method, views = made(encoder, reverse_complement=flag, **settings)
            losses.append(method.eval().loss(views).terms["contrast"].item())
        assert abs(losses[0] - losses[1]) > 1e-5, "the reverse complement of the target is a no-op"


def test_targets_are_the_other_strand_of_a_disjoint_window():
    method, _ = made(KMER, length=200, distance=300)
    data = store(contigs=3)
    batch = method.sampler(data, np.arange(3)).draw(64, generator(3, 0))
    views = method.views(batch, generator(3, 1))
    for i in range(64):
        row = data.contigs.iloc[int(batch.contig[i])]
        a, b = (batch.start[i] + row.offset).tolist()
        assert 200 <= b - a <= 200 + 300
        assert b - row.offset + 200 <= row.length
        assert (views["read_tokens"][i].numpy() == data.tokens[a : a + 200]).all()
        assert (views["target_tokens"][i].numpy() == reverse_complement(data.tokens[b : b + 200])).all()


@pytest.mark.parametrize("turned", [True, False])
def test_partners_are_window_and_target_or_the_halves_of_one_window(turned):
    for distance in (0, 300):
        method, views = made(KMER, length=200, distance=distance, reverse_complement=turned)
        one, two = method.partners(views)
        if distance:
            assert torch.equal(one, views["read_tokens"])
            assert torch.equal(two, views["target_tokens"])
        else:
            rest = reverse_complement(two) if turned else two
            assert torch.equal(torch.cat([one, rest], 1), views["read_tokens"])


def test_groups_are_separate_batches():
    """Groups of 4 in a batch of 8 give the mean of the two halves, so loss memory is O(batch x group)."""
    method, views = made(KMER, batch=8, length=200, distance=300, group=4)
    method.eval()
    whole = method.loss(views).terms["contrast"]
    halves = []
    for part in (slice(0, 4), slice(4, 8)):
        cut = {k: (v[part] if len(v) == 8 else v) for k, v in views.items()}
        halves.append(method.loss(cut).terms["contrast"])
    torch.testing.assert_close(whole, torch.stack(halves).mean())


def test_same_contig_negatives_can_be_left_out():
    on, views = made(KMER, batch=16, length=200, distance=300)
    off, _ = made(KMER, batch=16, length=200, distance=300, same_contig_negatives=False)
    on.eval(), off.eval()
    assert off.loss(views).metrics["candidates"] < on.loss(views).metrics["candidates"]
    one = dict(views, contig=torch.zeros_like(views["contig"]))
    assert off.loss(one).terms["contrast"].item() == pytest.approx(0, abs=1e-6)
    # in groups the same blocks are cut out
    grouped, _ = made(KMER, batch=16, length=200, distance=300, same_contig_negatives=False, group=8)
    grouped.eval()
    halves = [
        off.loss({k: (v[s] if len(v) == 16 else v) for k, v in views.items()}).terms["contrast"]
        for s in (slice(0, 8), slice(8, 16))
    ]
    torch.testing.assert_close(grouped.loss(views).terms["contrast"], torch.stack(halves).mean())


def test_a_context_that_says_nothing_gives_the_log_of_the_candidates():
    method, views = made(CONV, batch=5, length=150, **PAPER)
    with torch.no_grad():
        for p in method.head.parameters():
            p.zero_()
    assert method.loss(views).terms["contrast"].item() == pytest.approx(math.log(9), abs=1e-6)


def test_views_depend_on_the_generator_alone():
    first, second = (made(KMER, length=200, distance=300, splits=3, seed=4)[1] for _ in range(2))
    other = made(KMER, length=200, distance=300, splits=3, seed=5)[1]
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["read_tokens"], other["read_tokens"])


def test_too_short_a_window_says_what_would_do():
    with pytest.raises(InputError, match="too short for frames of 24 bases"):
        made(CONV, length=40, **PAPER)


def test_equals_a_compact_second_writing():
    """A dozen lines with one-hot convolution, the library's LSTM and one einsum over all splits."""
    method, views = made(CONV, batch=7, length=150, **PAPER)
    method.eval()
    e = method.encoder
    x = F.one_hot(torch.cat([views["read_tokens"], reverse_complement(views["read_tokens"])]).long(), 4).float()
    z = F.conv1d(x.transpose(1, 2), e.front.weight, e.front.bias, stride=e.stride).transpose(1, 2)
    c = e.rnn(z)[0]
    m = c.shape[1] - 1 - e.gap
    s = torch.einsum("amd,bmd->mab", method.head(c[:, :m]), c[:, :m].flip(1)) - 1e3 * torch.eye(14)
    y = torch.arange(14).roll(-7).repeat(m)
    expected = F.cross_entropy(s.reshape(m * 14, 14), y)
    torch.testing.assert_close(method.loss(views).terms["contrast"], expected, rtol=1e-5, atol=1e-6)


def test_hidden_bases_are_a_second_term_beside_an_unchanged_first():
    settings = dict(length=150, distance=300, splits=3)
    plain, views = made(CONV, **settings)
    joint, both = made(CONV, masked=0.5, **settings)
    assert all(torch.equal(both[key], views[key]) for key in views)
    assert set(both) - set(views) == {"masked_tokens", "wanted"}
    assert (plain.bases(views), joint.bases(both)) == (2 * 6 * 150, 3 * 6 * 150)
    loss, expected = joint.loss(both), plain.loss(views)
    assert torch.equal(loss.terms["contrast"], expected.terms["contrast"])
    assert set(loss.terms) == {"contrast", "masked"}
    answer = joint.cloze(joint.encoder, both["masked_tokens"], both["wanted"])
    torch.testing.assert_close(loss.terms["masked"], 0.5 * answer.loss)
    torch.testing.assert_close(loss.metrics["bits"], answer.bits)
    sum(loss.terms.values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in joint.parameters())


def test_hidden_bases_are_those_of_the_window_that_is_read():
    _, views = made(CONV, batch=64, length=150, distance=300, masked=1.0)
    read, masked, wanted = views["read_tokens"], views["masked_tokens"], views["wanted"]
    chosen = wanted < 4
    asked = 64 * 132  # 22 frames every 6 bases
    assert abs(chosen.sum() - 0.15 * asked) < 4 * (asked * 0.15 * 0.85) ** 0.5
    assert torch.equal(wanted[chosen], read[chosen])
    assert torch.equal(masked[~chosen], read[~chosen])
    assert 0.7 < (masked[chosen] == 5).float().mean() < 0.9


def test_without_hidden_bases_nothing_is_added():
    plain, views = made(CONV, length=150, distance=300)
    assert not [key for key in plain.state_dict() if "cloze" in key]
    assert "masked_tokens" not in views
    with pytest.raises(InputError, match=r"self_genomenet: needs encoder\.front conv.*--config conv"):
        made(KMER, length=200, distance=300, masked=0.1)
