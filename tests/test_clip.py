"""CLIP: open_clip's value, closed forms, loops, and what the two towers may see of each other."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pairs
import pytest
import retrieval
import torch
from test_genes import planted
from torch.nn import functional as F

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.windows import Shuffled, generator
from genossl.methods.clip import ProteinTower
from genossl.model.encoder import Encoder, Settings
from genossl.pretext.losses import two_towers

SCALE = torch.tensor(math.log(1 / 0.07))


def made(n=8, seed=0, **settings):
    """The method on a tiny encoder, and its views of n windows with their surroundings."""
    kind = methods.load("clip")
    torch.manual_seed(0)
    small = {"length": 200, "flank": 100, "projection": 6, "hidden": 8, **settings}
    method = kind(kind.Settings(**small), Encoder(Settings(**pairs.ENCODER)))
    return method, method.views(pairs.batch(method, n, seed), generator(seed, 1))


def of_genes(n=8, seed=0, **settings):
    """The same on planted genes and their proteins."""
    kind = methods.load("clip")
    torch.manual_seed(0)
    small = {"pairing": "genes", "length": 60, "residues": 10, "projection": 6, "hidden": 8, **settings}
    method = kind(kind.Settings(**small), Encoder(Settings(**pairs.ENCODER)))
    batch = method.sampler(planted()[0], np.arange(2)).draw(n, generator(seed, 0))
    return method, method.views(batch, generator(seed, 1))


def by_hand(one, two, scale, same=None):
    """Figure 3 of the paper in Python floats; with `same`, others of one name are no candidates."""
    a, b = ([row / row.norm() for row in x.detach().double()] for x in (one, two))
    total = 0.0
    for x, y in ((a, b), (b, a)):
        for i, row in enumerate(x):
            score = {j: math.exp(float(row @ other) * scale) for j, other in enumerate(y)}
            if same is not None:
                score = {j: s for j, s in score.items() if j == i or same[j] != same[i]}
            total -= math.log(score[i] / sum(score.values()))
    return total / (2 * len(a))


# ---- the loss


def test_equals_open_clip():
    """What open_clip 2.32.0's ClipLoss gives for these vectors, normalised, at scales of 1 / 0.07 and 100."""
    torch.manual_seed(0)
    one, two = torch.randn(16, 32), torch.randn(16, 32)
    assert two_towers(one, two, SCALE).loss.item() == pytest.approx(5.552017, abs=1e-5)
    assert two_towers(one, one + 2 * two, torch.tensor(math.log(100))).loss.item() == pytest.approx(2.668877, abs=1e-4)


def test_equal_vectors_are_chance():
    ones = torch.ones(16, 5)
    found = two_towers(ones, ones, SCALE)
    assert found.loss.item() == pytest.approx(math.log(16), abs=1e-6)
    assert found.candidates == 16
    basis = torch.eye(32)
    assert two_towers(basis[:16], basis[16:], SCALE).loss.item() == pytest.approx(math.log(16), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_partners_orthogonal_to_the_rest(scale):
    """log(1 + (N - 1) e^-scale), and every partner found."""
    basis = torch.eye(16)
    found = two_towers(basis, basis, torch.tensor(math.log(scale)))
    assert found.loss.item() == pytest.approx(math.log(1 + 15 * math.exp(-scale)), abs=1e-6)
    assert found.top1 == 1


def test_order_lengths_and_swapped_towers_do_not_matter():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 5)
    expected = two_towers(one, two, SCALE).loss.item()
    order = torch.randperm(9)
    assert two_towers(one[order], two[order], SCALE).loss.item() == pytest.approx(expected, rel=1e-5)
    assert two_towers(two, one, SCALE).loss.item() == pytest.approx(expected, rel=1e-5)
    assert two_towers(7 * one, 0.01 * two, SCALE).loss.item() == pytest.approx(expected, rel=1e-5)


def test_excluded_candidates_do_not_count():
    torch.manual_seed(0)
    one, two = torch.randn(2, 6, 5)
    name = torch.tensor([0, 0, 1, 2, 2, 2])
    found = two_towers(one, two, SCALE, name[:, None] == name)
    assert found.loss.item() == pytest.approx(by_hand(one, two, 1 / 0.07, name.tolist()), rel=1e-5)
    assert found.candidates == pytest.approx((5 + 5 + 6 + 4 + 4 + 4) / 6)
    one.requires_grad_()
    alone = two_towers(one, two, SCALE, torch.ones(6, 6, dtype=torch.bool)).loss
    alone.backward()
    assert alone.item() == 0
    assert one.grad is not None
    assert one.grad.isfinite().all()


def test_an_excluded_pair_need_not_be_mutual():
    """Each direction has its own candidates."""
    torch.manual_seed(0)
    one, two = torch.randn(2, 3, 4)
    excluded = torch.tensor([[False, True, False], [False, False, False], [False, False, False]])
    logits = torch.exp(SCALE) * F.normalize(one, dim=-1) @ F.normalize(two, dim=-1).T
    rows = [math.log(sum(math.exp(logits[i, j]) for j in range(3) if not excluded[i, j])) for i in range(3)]
    columns = [math.log(sum(math.exp(logits[i, j]) for i in range(3) if not excluded[i, j])) for j in range(3)]
    expected = (sum(rows) + sum(columns) - 2 * logits.diagonal().sum().item()) / 6
    assert two_towers(one, two, SCALE, excluded).loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_scale_rises_where_partners_are_nearest_and_falls_where_they_are_not():
    basis = torch.eye(8) + 0.3
    for other, sign in ((basis, -1), (basis.roll(1, 0), 1)):
        scale = SCALE.clone().requires_grad_()
        two_towers(basis, other, scale).loss.backward()
        assert scale.grad is not None
        assert scale.grad.sign() == sign


def test_the_scale_starts_at_the_temperature_and_stays_below_a_hundred():
    method, _ = made()
    assert method.log_scale.exp().item() == pytest.approx(1 / 0.07, rel=1e-6)
    assert made(temperature=0.5)[0].log_scale.exp().item() == pytest.approx(2, rel=1e-6)
    for value, expected in ((9.0, math.log(100)), (3.0, 3.0), (-2.0, -2.0)):
        with torch.no_grad():
            method.log_scale.fill_(value)
        method.after_step(0.5)
        assert method.log_scale.item() == pytest.approx(expected, rel=1e-6)


def test_reduced_precision_does_not_touch_the_logits():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = two_towers(one, two, torch.tensor(math.log(100)))
    assert found.loss.item() == pytest.approx(two_towers(one, two, torch.tensor(math.log(100))).loss.item(), rel=1e-6)


# ---- the method


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("made_of", [made, of_genes])
def test_the_method_equals_the_loop(made_of, same):
    method, views = made_of(n=24, same_negatives=same)
    loss = method.loss(views)
    a, b = method.windows(views["window_tokens"]), method.other(views.get("protein", views.get("surroundings")))
    names = views["same"].tolist()
    assert len(set(names)) < 24  # something is masked
    expected = by_hand(a, b, 1 / 0.07, None if same else names)
    assert loss.terms["contrast"].item() == pytest.approx(expected, rel=2e-5)
    torch.testing.assert_close(loss.vectors, a.detach())
    torch.testing.assert_close(loss.partners, b.detach())


def test_the_surroundings_are_counted_beside_the_window_only():
    """Against a count in words; no word is over the joint, and either strand has the same."""
    method, views = made(n=16, strand=0.0)
    batch = pairs.batch(method, 16)
    left, window, right = batch.tokens.split([100, 200, 100], 1)
    profile = method.other.profile(views["surroundings"])
    for row, found in zip(batch.tokens, profile, strict=True):
        counts: dict[bytes, int] = defaultdict(int)
        for part in (row[:100], row[300:]):
            for i in range(97):
                word = part[i : i + 4]
                counts[min(bytes(word.tolist()), bytes(reverse_complement(word).tolist()))] += 1
        expected = [counts[word] / 194 for word in sorted(counts)]
        assert sorted(found[found > 0].tolist()) == pytest.approx(sorted(expected))
    torch.testing.assert_close(method.other.profile(reverse_complement(views["surroundings"])), profile)
    assert torch.equal(views["window_tokens"], window)
    one, two = method.partners(views)
    assert torch.equal(one, window)
    assert torch.equal(two, torch.cat([left, torch.full((16, 1), N), right], 1))


def test_surroundings_without_a_known_base_are_finite():
    method, views = made()
    empty = torch.full((8, 201), N, dtype=torch.uint8)
    assert method.other.profile(empty).abs().sum() == 0
    assert method.loss({**views, "surroundings": empty}).terms["contrast"].isfinite()


@pytest.mark.parametrize("made_of", [made, of_genes])
def test_windows_are_read_on_either_strand(made_of):
    method, views = made_of(n=128)
    as_given = made_of(n=128, strand=0.0)[1]["window_tokens"]
    turned = (views["window_tokens"] == reverse_complement(as_given)).all(1)
    assert (turned | (views["window_tokens"] == as_given).all(1)).all()
    assert 40 < turned.sum() < 88
    assert method.bases(views) == 128 * method.length  # the second tower's bases are not the encoder's


def test_each_tower_reads_its_own_view():
    """A view moves one tower's vectors, and beside a frozen encoder the protein tower learns."""
    method, views = of_genes()
    before = method.loss(views)
    after = method.loss({**views, "protein": views["protein"].flip(0)})
    assert torch.equal(before.vectors, after.vectors)
    assert not torch.equal(before.partners, after.partners)
    method.encoder.requires_grad_(False)
    method.loss(views).terms["contrast"].backward()
    assert all(value.grad is None for value in method.encoder.parameters())
    assert all(value.grad.abs().sum() > 0 for value in method.other.parameters())


def test_the_protein_tower_reads_proteins_of_any_length():
    tower = ProteinTower(8, 6)
    assert [tower(torch.randint(0, 20, (3, m))).shape for m in (1, 5, 200)] == [(3, 6)] * 3


def test_a_planted_bijection_is_found():
    """Two linear towers on two views of one hidden vector: every partner of rows never seen is found."""
    torch.manual_seed(0)
    one, two = torch.nn.Linear(24, 8, bias=False), torch.nn.Linear(24, 8, bias=False)
    turn = torch.linalg.qr(torch.randn(2, 24, 24)).Q
    hidden = torch.randn(600, 8)
    x, y = (F.pad(hidden, (0, 16)) @ t for t in turn)
    adam = torch.optim.Adam([*one.parameters(), *two.parameters()], lr=1e-2)
    for step in range(150):
        rows = torch.arange(128) + 128 * (step % 4)
        loss = two_towers(one(x[rows]), two(y[rows]), SCALE).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert two_towers(one(x[512:]), two(y[512:]), SCALE).top1 == 1
    shuffled = two_towers(one(x[512:]), two(y[512:].roll(1, 0)), SCALE).top1
    assert shuffled < 5 / 88


def test_shuffled_pairs_stay_at_chance_on_held_out_genes():
    """The whole method on the null control: what it learns there says nothing of other genes."""
    method, _ = of_genes(hidden=8)
    data = planted(n=60)[0]
    sampler = Shuffled(method.sampler(data, np.arange(2)), data, np.arange(2))
    other = planted(seed=9, n=60)[0]
    held_out = method.sampler(other, np.arange(2))
    adam = torch.optim.Adam(method.parameters(), lr=3e-3)
    for step in range(60):
        rng = generator(0, step)
        loss = method.loss(method.views(sampler.draw(32, rng), rng))
        adam.zero_grad()
        loss.terms["contrast"].backward()
        adam.step()
    method.eval()
    right = asked = 0
    expected = 0.0
    for seed in range(12):
        rng = generator(1, seed)
        views = method.views(Shuffled(held_out, other, np.arange(2)).draw(32, rng), rng)
        found = method.loss(views).metrics
        right, asked = right + 64 * found["top1"].item(), asked + 64
        expected += 64 / found["candidates"].item()
    assert abs(right - expected) < 4 * (2 * expected) ** 0.5  # both directions of a pair go together


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0.0}, {"strand": 1.5}, {"flank": 0}, {"residues": 0}, {"most_n": -0.1}, {"projection": 0}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        made(**wrong)


def test_mistakes():
    with pytest.raises(InputError, match=r"clip\.length 20: holds no frame of 25 bases"):
        made(length=20)
    with pytest.raises(InputError, match="genetic code 7: is unknown"):
        made(code=7)
    with pytest.raises(InputError, match="no contig holds 4400 bases"):
        made(flank=2100)


# ---- real genes


@pytest.mark.slow
def test_genes_of_phages_held_out_are_found_above_chance(shared, tmp_path):
    """Two minutes of training. What composition finds is told beside it, and is not promised to be less."""
    from genossl.verbs import ingest, pretrain, retrieve

    (tmp_path / "phages").mkdir()
    ingest.run([str(retrieval.sheet(shared, tmp_path / "phages"))], tmp_path / "store")
    pretrain.run(tmp_path / "store", tmp_path / "run", retrieval.recipe(steps=600), pretrain.Jobs(device="cpu"))
    lines = retrieve.evaluate(tmp_path / "run", tmp_path / "store", out=tmp_path / "scores.tsv")
    table = [line.split("\t") for line in (tmp_path / "scores.tsv").read_text().splitlines()]
    low = {tuple(row[:3]): row[4] for row in table[1:]}
    for direction in ("dna to protein", "protein to dna"):
        assert float(low["clip", direction, "recall@10"]) > 2 * 10 / 1000, lines
