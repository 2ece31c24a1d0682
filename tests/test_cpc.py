"""CPC: closed forms, a loop, what a prediction may share with its target, a planted period."""

import math

import numpy as np
import pairs
import pytest
import torch
from torch.nn import functional as F

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import reverse_complement
from genossl.genome.kmers import codes
from genossl.genome.windows import generator
from genossl.model.encoder import Encoder, Settings
from genossl.pretext.losses import matching

ENCODERS = {
    "kmer": dict(k=3, width=25, stride=25, hidden=16, channels=8, context=12, dropout=0.0),
    "kmer overlapping": dict(k=3, width=30, stride=12, hidden=16, channels=8, context=12, dropout=0.0),
    "conv": dict(front="conv", width=20, stride=20, channels=8, context=12),
    "conv overlapping": dict(front="conv", width=24, stride=10, channels=8, context=12, rnn="conv", layers=2),
    "bases": dict(front="conv", width=6, stride=1, channels=8, context=12),
}


def made(encoder="kmer", n=8, **settings):
    kind = methods.load("cpc")
    torch.manual_seed(0)
    method = kind(kind.Settings(**{"length": 200, "projection": 6, **settings}), Encoder(Settings(**ENCODERS[encoder])))
    return method, method.views(pairs.batch(method, n), generator(0, 1))


def by_hand(method, views):
    """Eq. 4 in Python floats: every step, place and window on its own."""
    s, gap = method.settings, method.encoder.gap
    read = method.encoder(views["read_tokens"], latents=True)
    z, contig = method.ahead.head(read.z), views["contig"].tolist()
    n, frames, _ = z.shape
    size, losses = s.group or n, []
    for k, step in enumerate(method.ahead.maps, 1):
        for t in range(frames - gap - k):
            for b in range(n):
                scores = {}
                for other in range(b // size * size, b // size * size + size):
                    if other != b and contig[other] == contig[b] and not s.same_contig_negatives:
                        continue
                    h, target = step(read.c[b, t]).double(), z[other, t + gap + k].double()
                    if s.temperature:
                        h, target = h / h.norm(), target / target.norm() / s.temperature
                    scores[other] = (h @ target).item()
                losses.append(math.log(sum(math.exp(v) for v in scores.values())) - scores[b])
    return float(np.mean(losses)), len(losses)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.0, "projection": 0}, {"group": 2, "same_contig_negatives": True}, {"group": 4}],
    ids=str,
)
def test_equals_the_loop(encoder, settings):
    length = 25 if encoder == "bases" else 200
    method, views = made(encoder, n=4, steps=3, length=length, **settings)
    expected, count = by_hand(method, views)
    frames, gap = method.encoder.frames(length), method.encoder.gap
    assert count == 4 * sum(frames - gap - k for k in range(1, 4))  # the number of predictions
    assert method.loss(views).terms["contrast"].item() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
@pytest.mark.parametrize("group", [0, 4])
def test_a_context_that_says_nothing_gives_the_log_of_the_candidates(temperature, group):
    method, views = made(temperature=temperature, group=group, same_contig_negatives=True)
    with torch.no_grad():
        for step in method.ahead.maps:
            step.weight.zero_()
    loss = method.loss(views)
    assert loss.terms["contrast"].item() == pytest.approx(math.log(group or 8), abs=1e-6)
    assert loss.metrics["candidates"].item() == (group or 8)


def test_windows_of_one_contig_are_no_candidates_unless_asked_for():
    method, views = made()
    contig = views["contig"]
    expected = 1 + (contig[:, None] != contig).sum(1).float().mean().item()
    assert method.loss(views).metrics["candidates"].item() == pytest.approx(expected)
    loss = method.loss(dict(views, contig=torch.zeros_like(contig))).terms["contrast"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def bases_under(encoder, length, wanted):
    """Bases whose value moves what `wanted` picks of c and z, by autograd: letters and counts get weights of 1."""
    tokens = torch.randint(0, 4, (1, length), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    s = encoder.settings
    if s.front == "conv":
        x_BLA = F.embedding(tokens.int(), encoder.front.one_hot).requires_grad_()
        encoder.front.patches = lambda _: x_BLA.unfold(1, s.width, s.stride).flatten(2)
        wide = 1
    else:
        kinds = encoder.front.index[codes(tokens, s.k)]  # which k-mer stands where
        x_BLA = F.one_hot(kinds, encoder.front.V).float().requires_grad_()

        def counts(_):
            counted = x_BLA.unfold(1, s.width - s.k + 1, s.stride).sum(-1)
            return counted, counted.sum(2, keepdim=True)

        encoder.front.counts, wide = counts, s.k
    read = encoder(tokens, latents=True)
    (slope,) = torch.autograd.grad(wanted(read.c[0], read.z[0]).square().sum(), x_BLA)
    return {int(at) + i for at in slope[0].abs().sum(-1).nonzero() for i in range(wide)}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_base_is_under_both_a_context_and_its_target(encoder):
    length = 30 if encoder == "bases" else 120
    method, t = made(encoder, length=length)[0], 1
    s, gap = method.encoder, method.encoder.gap
    assert method.ahead.far[0] == gap + 1

    def under(wanted):
        torch.manual_seed(0)
        return bases_under(Encoder(Settings(**ENCODERS[encoder])).eval(), length, wanted)

    read = under(lambda c, z: c[t])
    assert read == set(range(t * s.stride + s.width))
    for far in method.ahead.far:
        if t + far < s.frames(length):
            seen = under(lambda c, z, far=far: z[t + far])
            assert seen == set(range((t + far) * s.stride, (t + far) * s.stride + s.width))
            assert not seen & read
    assert under(lambda c, z: z[t + gap]) & read  # one frame nearer would share bases


@pytest.mark.parametrize("n,distance", [(16, 0.3), (256, 0.06), (1024, 0.03)])
def test_bound_of_mutual_information_on_correlated_gaussians(n, distance):
    """With the best critic log N - L stays below the information and, with many candidates, comes close."""
    draws = torch.Generator().manual_seed(0)
    rho, width, repeats = 0.7, 4, 4096 // n
    x = torch.randn(repeats, n, width, generator=draws, dtype=torch.float64)
    noise = torch.randn(repeats, n, width, generator=draws, dtype=torch.float64)
    y = rho * x + (1 - rho**2) ** 0.5 * noise
    # log p(y | x) - log p(y), less what is the same for all y, as a dot product
    one = torch.ones(repeats, n, 1, dtype=torch.float64)
    queries = torch.cat([rho / (1 - rho**2) * x, one], -1)
    keys = torch.cat([y, -(rho**2) / (2 * (1 - rho**2)) * y.square().sum(-1, keepdim=True)], -1)
    bounds = torch.stack([math.log(n) - matching(q, k, 0.0).loss for q, k in zip(queries, keys, strict=True)])
    information = -width / 2 * math.log(1 - rho**2)
    assert information == pytest.approx(1.3467, abs=1e-4)
    error = bounds.std().item() / len(bounds) ** 0.5
    assert bounds.mean().item() <= min(information, math.log(n)) + 3 * error
    assert bounds.mean().item() > information - distance - 3 * error


def test_a_planted_period_is_found_and_chance_elsewhere():
    """Windows that repeat a 60-mer of their own have equal frames, so that copying the context is the answer."""
    kind = methods.load("cpc")
    torch.manual_seed(0)
    shape = Settings(k=3, width=60, stride=60, hidden=32, channels=16, context=16, rnn="none", dropout=0.0)
    method = kind(kind.Settings(length=480, projection=0, same_contig_negatives=True, strand=0.0), Encoder(shape))
    with torch.no_grad():
        for step in method.ahead.maps:
            step.weight.copy_(torch.eye(16))
    random = torch.randint(0, 4, (64, 480), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    method.encoder.fit_statistics(random)
    contig = torch.arange(64)
    periodic = method.loss({"read_tokens": random[:, :60].repeat(1, 8), "contig": contig}).metrics
    assert periodic["top1"].item() == 1
    assert periodic["candidates"].item() == 64
    top1 = method.loss({"read_tokens": random, "contig": contig}).metrics["top1"].item()
    assert top1 < 1 / 64 + 5 * (1 / 64 / (64 * 7)) ** 0.5  # 28 predictions of a window are not independent


def test_windows_are_read_on_either_strand():
    method, _ = made()
    drawn = pairs.batch(method, 64)
    view = method.views(drawn, generator(0, 1))["read_tokens"]
    as_given, turned = (view == drawn.tokens).all(1), (view == reverse_complement(drawn.tokens)).all(1)
    assert (as_given | turned).all()
    assert 16 < turned.sum() < 48


def test_steps_are_those_that_the_window_holds():
    assert len(made(length=200, steps=12)[0].ahead.maps) == 7
    assert len(made(length=200, steps=3)[0].ahead.maps) == 3
    assert len(made("bases", length=30, steps=99)[0].ahead.maps) == 25 - 1 - 5


@pytest.mark.parametrize("encoder,enough", [("kmer", 50), ("conv overlapping", 54), ("bases", 12)])
def test_a_window_without_a_frame_ahead_is_refused(encoder, enough):
    with pytest.raises(InputError, match=rf"cpc\.length {enough - 1}: .* {enough} bases would do"):
        made(encoder, length=enough - 1)
    method, views = made(encoder, length=enough)
    assert method.loss(views).terms["contrast"].isfinite()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": -1.0}, {"strand": 2.0}, {"projection": -1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        made(**wrong)


def test_targets_belong_to_the_vectors_row_by_row():
    method, views = made()
    loss = method.loss(views)
    read = method.encoder(views["read_tokens"], latents=True)
    torch.testing.assert_close(loss.vectors, method.ahead.maps[0](read.c[:, -2]).detach())
    torch.testing.assert_close(loss.partners, method.ahead.head(read.z)[:, -1].detach())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_partners_are_the_bases_under_the_longest_context_and_the_first_frame_after_it(encoder):
    method, views = made(encoder)
    method.eval()
    context, target = method.partners(views)
    read = method.encoder(views["read_tokens"], latents=True)
    at = read.c.shape[1] - 1 - method.ahead.far[0]
    torch.testing.assert_close(method.encoder(context).c[:, -1], read.c[:, at])
    assert method.encoder.frames(context.shape[1]) == at + 1
    torch.testing.assert_close(method.encoder.latents(target), read.z[:, -1:])
