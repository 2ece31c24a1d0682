"""SimCLR: closed forms of NT-Xent, a loop, another library, and views that share no base."""

import logging
import math

import numpy as np
import pairs
import pytest
import torch

from genossl.errors import InputError
from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.windows import generator
from genossl.pretext.heads import summary
from genossl.pretext.losses import info_nce


def nt_xent(one, two, temperature):
    z = torch.cat([one, two])
    return info_nce(z, z, temperature).loss.item()


def by_hand(one, two, temperature, contig=None):
    """Eq. 1 of the paper in Python floats; with contigs, others of one contig are no candidates."""
    rows = [row / row.norm() for row in torch.cat([one, two]).detach().double()]
    n, total = len(one), 0.0
    for i, z in enumerate(rows):
        partner = (i + n) % (2 * n)
        score = {k: math.exp(float(z @ other) / temperature) for k, other in enumerate(rows) if k != i}
        if contig is not None:
            score = {k: s for k, s in score.items() if k == partner or contig[k % n] != contig[i % n]}
        total -= math.log(score[partner] / sum(score.values()))
    return total / (2 * n)


@pytest.mark.parametrize("temperature,value", [(1.0, 2.487934), (0.5, 1.621378), (0.1, 0.001361)])
def test_aligned_pairs_orthogonal_to_the_rest(temperature, value):
    one = torch.eye(16)
    expected = math.log(1 + 30 * math.exp(-1 / temperature))
    assert expected == pytest.approx(value, abs=1e-6)
    assert nt_xent(one, one, temperature) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_orthogonal_and_collapsed_are_chance(temperature):
    z = torch.eye(32)
    assert nt_xent(z[:16], z[16:], temperature) == pytest.approx(math.log(31), abs=1e-5)
    assert nt_xent(torch.ones(16, 5), torch.ones(16, 5), temperature) == pytest.approx(math.log(31), abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_the_simplex_is_the_floor(temperature):
    n = 8
    simplex = torch.eye(n) - 1 / n
    floor = math.log(1 + (2 * n - 2) * math.exp(-(1 + 1 / (n - 1)) / temperature))
    assert nt_xent(simplex, simplex, temperature) == pytest.approx(floor, abs=1e-6)
    torch.manual_seed(0)
    for width in (2, 8, 30):
        one = torch.randn(n, width)
        assert nt_xent(one, one + 0.1 * torch.randn(n, width), temperature) >= floor


def test_order_scale_and_swapped_views_do_not_matter():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 5)
    expected = nt_xent(one, two, 0.3)
    order = torch.randperm(9)
    assert nt_xent(one[order], two[order], 0.3) == pytest.approx(expected, rel=1e-5)
    assert nt_xent(two, one, 0.3) == pytest.approx(expected, rel=1e-5)
    assert nt_xent(7 * one, 0.01 * two, 0.3) == pytest.approx(expected, rel=1e-5)


def test_equals_pytorch_metric_learning():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    torch.manual_seed(0)
    one, two = torch.randn(2, 12, 7)
    found = losses.NTXentLoss(temperature=0.2)(torch.cat([one, two]), torch.arange(12).repeat(2)).item()
    assert nt_xent(one, two, 0.2) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("group,masked", [(0, False), (0, True), (4, False), (4, True)])
def test_the_method_equals_the_loop(group, masked):
    method, views = pairs.made("simclr", n=8, group=group, same_contig_negatives=not masked)
    one, two = (method.head(summary(method.encoder, views[f"{name}_tokens"])) for name in ("one", "two"))
    contig = views["contig"].tolist()
    size = group or 8
    parts = [
        by_hand(one[i : i + size], two[i : i + size], 0.1, contig[i : i + size] if masked else None)
        for i in range(0, 8, size)
    ]
    assert len(set(contig)) < 8  # something is masked
    assert method.loss(views).terms["contrast"].item() == pytest.approx(float(np.mean(parts)), rel=2e-5)


def test_a_batch_of_one_contig_has_no_candidates_and_finite_gradients():
    method, views = pairs.made("simclr")
    loss = method.loss(dict(views, contig=torch.zeros_like(views["contig"]))).terms["contrast"]
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_the_state_after_the_whole_window_is_compared():
    method, views = pairs.made("simclr")
    tokens = views["one_tokens"]
    torch.testing.assert_close(summary(method.encoder, tokens), method.encoder(tokens).c[:, -1])


@pytest.mark.parametrize("indel", [0, 12])
def test_the_views_are_disjoint_windows_of_one_contig(indel):
    method, _ = pairs.made("simclr", strand=0.0, indel=indel)
    drawn = pairs.batch(method, 64)
    assert drawn.tokens.shape == (64, 2, 200 + indel)
    assert (drawn.start[:, 1] - drawn.start[:, 0] >= 200 + indel).all()  # the flank is no part of the other view either
    if not indel:
        views = method.views(drawn, generator(0, 1))
        data = pairs.store()
        for i, (name, column) in enumerate((("one", 0), ("two", 1)) * 8):
            at = int(drawn.start[i, column]) + int(data.contigs["offset"][int(drawn.contig[i])])
            assert views[f"{name}_tokens"][i].tolist() == data.tokens[at : at + 200].tolist()


@pytest.mark.parametrize("refill", ["flank", "n"])
def test_after_an_indel_a_view_is_filled_up(refill):
    _, views = pairs.made("simclr", n=64, indel=12, refill=refill)
    assert views["one_tokens"].shape == (64, 200)
    assert (views["one_tokens"] == N).any() == (refill == "n")


def test_views_are_read_on_either_strand():
    method, _ = pairs.made("simclr")
    drawn = pairs.batch(method, 64)
    view = method.views(drawn, generator(0, 1))["one_tokens"]
    given = drawn.tokens[:, 0]
    as_given, turned = (view == given).all(1), (view == reverse_complement(given)).all(1)
    assert (as_given | turned).all()
    assert 16 < turned.sum() < 48


def test_substitutions_reach_the_views():
    method, views = pairs.made("simclr", n=64, strand=0.0, substitutions=0.2)
    changed = (views["one_tokens"] != pairs.batch(method, 64).tokens[:, 0]).float().mean().item()
    assert abs(changed - 0.2) < 4 * (0.16 / (64 * 200)) ** 0.5


def test_overlapping_crops_are_off_and_warned_of(caplog):
    assert pairs.made("simclr")[0].settings.crop_from == 0
    with caplog.at_level(logging.WARNING, "genossl"):
        pairs.made("simclr", crop_from=300, substitutions=0.2)
        assert not caplog.text
        _, views = pairs.made("simclr", crop_from=300, substitutions=0.03)
    assert "found by their k-mers" in caplog.text
    assert views["one_tokens"].shape == (8, 200)


def test_overlapping_crops_share_bases():
    """Why they are off: with shared bases the pretext is a lookup."""
    _, views = pairs.made("simclr", n=32, strand=0.0, crop_from=220)
    words = [
        [{bytes(row[i : i + 14].tolist()) for i in range(186)} for row in views[f"{n}_tokens"]] for n in ("one", "two")
    ]
    assert min(len(a & b) for a, b in zip(*words, strict=True)) > 100
    _, views = pairs.made("simclr", n=32, strand=0.0)
    words = [
        [{bytes(row[i : i + 14].tolist()) for i in range(186)} for row in views[f"{n}_tokens"]] for n in ("one", "two")
    ]
    assert max(len(a & b) for a, b in zip(*words, strict=True)) == 0


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"strand": 1.5}, {"crop_from": 100}, {"indel": -1}, {"projection": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        pairs.made("simclr", **wrong)


def test_too_short_a_window_is_refused():
    with pytest.raises(InputError, match=r"simclr\.length 20: holds no frame of 25 bases"):
        pairs.made("simclr", length=20)
