"""Wav2vec, both versions: loops, closed forms, what is hidden, who is a distractor, the quantiser's schedule."""

import math

import numpy as np
import pairs
import pytest
import torch
from torch.nn import functional as F

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import MASK
from genossl.genome.windows import generator
from genossl.methods.wav2vec import distractors, hide, under
from genossl.model.encoder import Encoder, Settings
from genossl.recipe import Loop
from genossl.verbs import pretrain

ENCODERS = {
    "kmer": dict(k=3, width=25, stride=25, hidden=16, channels=8, context=12, dropout=0.0),
    "kmer overlapping": dict(k=3, width=30, stride=10, hidden=16, channels=8, context=12, dropout=0.0),
    "conv": dict(front="conv", width=20, stride=20, channels=8, context=12),
    "conv overlapping": dict(front="conv", width=24, stride=8, channels=8, context=12, rnn="conv", layers=2, mask=True),
    "bases": dict(front="conv", width=6, stride=1, channels=8, context=12, mask=True),
}


def made(encoder="kmer", version=1, n=6, seed=0, **settings):
    kind = methods.load("wav2vec")
    torch.manual_seed(seed)
    settings = {"length": 200, "projection": 6, "version": version, **settings}
    method = kind(kind.Settings(**settings), Encoder(Settings(**ENCODERS[encoder])))
    return method, method.views(pairs.batch(method, n), generator(0, 1))


# version 1


def by_hand_ahead(method, views):
    """Eq. 2 in Python floats, one step, place, window and distractor after the other."""
    gap = method.encoder.gap
    read = method.encoder(views["read_tokens"], latents=True)
    z_BTP = method.ahead.head(read.z).detach().double()
    latents = [latent for window in z_BTP for latent in window]
    frames, losses, right = z_BTP.shape[1], [], 0
    for k, step in enumerate(method.ahead.maps, 1):
        for b in range(len(z_BTP)):
            for t in range(frames - gap - k):
                h = step(read.c[b, t]).detach().double()
                place = b * frames + t + gap + k
                true = (latents[place] @ h).item()
                false = [(latents[i] @ h).item() for i in views["negatives"][place].tolist()]
                losses.append(math.log1p(math.exp(-true)) + sum(math.log1p(math.exp(score)) for score in false))
                right += true > max(false)
    return float(np.mean(losses)), right / len(losses), len(losses)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("settings", [{}, {"projection": 0, "same_window": 0.5, "negatives": 4}], ids=str)
def test_version_1_equals_the_loop(encoder, settings):
    length = 26 if encoder == "bases" else 200
    method, views = made(encoder, steps=3, length=length, **settings)
    expected, right, count = by_hand_ahead(method, views)
    frames, gap = method.encoder.frames(length), method.encoder.gap
    assert count == 6 * sum(frames - gap - k for k in range(1, 4))  # the number of predictions
    loss = method.loss(views)
    assert loss.terms["contrast"].item() == pytest.approx(expected, rel=2e-5)
    assert loss.metrics["top1"].item() == pytest.approx(right, abs=1e-6)
    assert loss.metrics["candidates"].item() == 1 + settings.get("negatives", 10)


def test_the_number_of_predictions_is_that_of_every_step_and_place():
    """B sum over k of (T - gap - k): 6 windows of 10 frames, gap 2 and 3 steps give 6 (7 + 6 + 5)."""
    method, views = made("conv overlapping", steps=3, length=96)
    assert (method.frames, method.encoder.gap) == (10, 2)
    predicted = method.ahead(method.encoder(views["read_tokens"]).c)
    assert sum(h_BTP.shape[0] * h_BTP.shape[1] for h_BTP in predicted) == 6 * (7 + 6 + 5)


@pytest.mark.parametrize("negatives", [1, 10])
def test_version_1_knowing_nothing_is_log_2_for_every_candidate(negatives):
    method, views = made(negatives=negatives)
    with torch.no_grad():
        for parameter in method.ahead.maps.parameters():
            parameter.zero_()
    loss = method.loss(views)
    assert loss.terms["contrast"].item() == pytest.approx((1 + negatives) * math.log(2), rel=1e-6)
    assert loss.metrics["top1"].item() == 0  # a tie is no answer


# distractors


@pytest.mark.parametrize("same_window", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("counts", [[4, 4, 4], [1, 3, 2, 5]], ids=str)
def test_a_distractor_is_any_other_and_never_the_positive(counts, same_window):
    """By enumeration: over many draws all others turn up, equally often, and the item itself never does."""
    n, repeats = 4, 1500
    counts = np.array(counts)
    window = np.arange(len(counts)).repeat(counts)
    total, near = len(window), round(same_window * n)
    rng = generator(0, 0)
    drawn = np.stack([distractors(counts, n, same_window, rng).numpy() for _ in range(repeats)])
    assert drawn.shape == (repeats, total, n)
    for item in range(total):
        anyone = {other for other in range(total) if other != item}
        close = {other for other in anyone if window[other] == window[item]}
        for part, expected in ((drawn[:, item, :near], close or anyone), (drawn[:, item, near:], anyone)):
            found, often = np.unique(part, return_counts=True)
            assert set(found.tolist()) == (expected if part.size else set())
            mean = part.size / len(expected)
            assert (abs(often - mean) < 6 * mean**0.5).all()


# version 2


def by_hand_hidden(method, views):
    """Eq. 3 in Python floats, from codes looked up in the codebooks."""
    s, quantiser = method.settings, method.quantiser
    c_BTC = both_ways(method.encoder, views["hidden_tokens"])
    z_BTD = method.encoder.latents(views["read_tokens"])
    places = [(b, t) for b, row in enumerate(views["hidden"].tolist()) for t, is_hidden in enumerate(row) if is_hidden]
    codes, targets, probabilities = [], [], []
    for b, t in places:
        logits = quantiser.logits(quantiser.norm(z_BTD[b, t])).view(s.groups, s.entries)
        code = [int(row.argmax()) for row in logits]
        entries = [quantiser.book_GVP[g, v] for g, v in enumerate(code)]
        codes.append(code)
        targets.append(quantiser.out(torch.cat(entries)).detach().double())
        probabilities.append(logits.softmax(-1).detach().double().numpy())
    losses, candidates = [], []
    for i, (b, t) in enumerate(places):
        c = method.head(c_BTC[b, t]).detach().double()
        kept = [j for j in views["negatives"][i].tolist() if codes[j] != codes[i]]
        scores = [F.cosine_similarity(c, targets[j], dim=0).item() / s.temperature for j in (i, *kept)]
        losses.append(math.log(sum(math.exp(score) for score in scores)) - scores[0])
        candidates.append(len(scores))
    shares = np.mean(probabilities, 0)
    used = sum(math.exp(-sum(p * math.log(p) for p in group)) for group in shares)
    size = s.groups * s.entries
    return float(np.mean(losses)), s.diversity * (size - used) / size, float(np.mean(candidates))


def both_ways(encoder, tokens):
    """The states from the left, and of the other strand turned round."""
    turned = torch.where(tokens < 4, 3 - tokens, tokens).flip(1)
    return torch.cat([encoder(tokens).c, encoder(turned).c.flip(1)], -1)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("settings", [{}, {"same_window": 0.5, "entries": 2, "groups": 3}], ids=str)
def test_version_2_equals_the_loop(encoder, settings):
    length = 40 if encoder == "bases" else 200
    method, views = made(encoder, 2, length=length, span=3, start=0.2, **settings)
    method.eval()
    contrast, spread, candidates = by_hand_hidden(method, views)
    loss = method.loss(views)
    assert loss.terms["contrast"].item() == pytest.approx(contrast, rel=2e-5)
    assert loss.terms["diversity"].item() == pytest.approx(spread, rel=1e-4, abs=1e-6)
    assert loss.metrics["candidates"].item() == pytest.approx(candidates, rel=1e-6)
    assert candidates < 11  # distractors with the positive's code are none


def test_where_all_codes_are_equal_nothing_is_left_to_choose():
    method, views = made(version=2)
    with torch.no_grad():
        method.quantiser.logits.weight.zero_()
    loss = method.eval().loss(views)
    assert loss.terms["contrast"].item() == pytest.approx(0, abs=1e-6)
    assert loss.metrics["candidates"].item() == 1


def test_version_2_knowing_nothing_is_the_log_of_the_candidates():
    method, views = made(version=2, negatives=7)
    with torch.no_grad():
        for parameter in method.head.parameters():
            parameter.zero_()
    method.eval()
    views["negatives"] = views["negatives"][:, :1].expand(-1, 7)  # one distractor, seven times: all out, or none
    loss, (b, t) = method.loss(views), views["hidden"].nonzero().T
    codes = method.quantiser(method.encoder.latents(views["read_tokens"])[b, t]).code_XG
    same = (codes[views["negatives"][:, 0]] == codes).all(1)
    assert loss.terms["contrast"].item() == pytest.approx(math.log(8) * (~same).float().mean().item(), rel=1e-5)


@pytest.mark.parametrize("start,span", [(0.065, 10), (0.2, 3)])
def test_the_share_of_hidden_frames(start, span):
    """1 - (1 - p)^span at every frame, so 0.489 for p .065 and spans of 10; measured where no window is drawn anew."""
    hidden = hide(2000, 400, start, span, generator(0, 0)).double()
    expected = 1 - (1 - start) ** span
    if span == 10:
        assert expected == pytest.approx(0.489, abs=5e-4)
    # frames of a window are dependent, windows are not
    error = hidden.mean(1).std().item() / 2000**0.5
    assert abs(hidden.mean().item() - expected) < 4 * error
    edge = hidden[:, 0].mean().item()
    assert abs(edge - expected) < 4 * (expected * (1 - expected) / 2000) ** 0.5


@pytest.mark.parametrize("start", [0.0, 0.065, 0.9, 1.0])
@pytest.mark.parametrize("frames,span", [(2, 10), (3, 1), (5, 10), (24, 10)])
def test_every_window_has_hidden_and_visible_frames(frames, span, start):
    hidden = hide(300, frames, start, span, generator(0, 0))
    assert hidden.shape == (300, frames)
    assert hidden.any(1).all()
    assert not hidden.all(1).any()
    if start in (0.0, 1.0):  # one span, anywhere
        assert (hidden.sum(1) == min(span, frames // 2)).all()
        assert hidden.any(0).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_hidden_bases_are_those_under_hidden_frames(encoder):
    method, views = made(encoder, 2)
    width, stride = method.encoder.width, method.encoder.stride
    for read, shown, hidden in zip(views["read_tokens"], views["hidden_tokens"], views["hidden"], strict=True):
        covered = {at for t in hidden.nonzero().flatten().tolist() for at in range(t * stride, t * stride + width)}
        assert {int(at) for at in (shown == MASK).nonzero()} == covered
        seen = shown != MASK
        assert torch.equal(shown[seen], read[seen])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_hidden_bases_have_no_influence_on_what_is_read_and_all_on_what_is_asked(encoder):
    """Change every base under the hidden frames: exactly the same context, other targets."""
    method, views = made(encoder, 2, strand=0.0)
    method.eval()
    drawn = pairs.batch(method, 6)
    under_hidden = under(views["hidden"], method.encoder)
    other = torch.where(under_hidden, (drawn.tokens + 1) % 4, drawn.tokens)
    assert torch.equal(views["read_tokens"], drawn.tokens)
    again = method.views(type(drawn)(other, drawn.genome, drawn.contig, drawn.start), generator(0, 1))
    assert torch.equal(again["hidden"], views["hidden"])
    c, changed = (both_ways(method.encoder, v["hidden_tokens"]) for v in (views, again))
    assert (changed - c).abs().max().item() == 0
    z, moved = (method.encoder.latents(v["read_tokens"])[views["hidden"]] for v in (views, again))
    assert ((z - moved).abs().amax(1) > 0).all()


def test_a_visible_base_reaches_the_context_of_hidden_frames_from_either_side():
    method, _ = made("conv", 2)
    tokens = torch.zeros(1, 200, dtype=torch.uint8)
    tokens[0, 80:120] = MASK  # frames 4 and 5
    before = both_ways(method.encoder, tokens)[0, 4]
    for at in (0, 199):
        changed = tokens.clone()
        changed[0, at] = 2
        assert not torch.equal(both_ways(method.encoder, changed)[0, 4], before)


@pytest.mark.parametrize("noise", [2.0, 8.0])
def test_the_noise_falls_geometrically_to_a_quarter(noise):
    method, _ = made(version=2, noise=noise)
    temperature = method.quantiser.temperature
    assert temperature.item() == noise
    for progress, expected in ((0.0, noise), (0.25, noise * 0.25**0.25), (0.5, noise / 2), (1.0, noise / 4)):
        method.after_step(progress)
        assert temperature.item() == pytest.approx(expected, rel=1e-6)
    assert "quantiser.temperature" in method.state_dict()


# both


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_learns(encoder, version):
    method, views = made(encoder, version)
    torch.stack(list(method.loss(views).terms.values())).sum().backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all(p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("version", [1, 2])
def test_views_follow_the_generator_alone_and_are_left_as_they_were(version):
    method, views = made(version=version)
    again = method.views(pairs.batch(method, 6), generator(0, 1))
    assert all(torch.equal(views[name], again[name]) for name in views)
    method.loss(views)
    assert all(torch.equal(views[name], again[name]) for name in views)
    assert method.bases(views) == version * 6 * 200


@pytest.mark.parametrize("version", [1, 2])
def test_stopped_and_resumed_equals_unbroken_bit_for_bit(version, tmp_path):
    data = pairs.store()
    loop = Loop(steps=6, batch=8, seed=2, precision="fp32", log_every=1, validate_every=0)

    def trainer(seed):
        method, _ = made(version=version, seed=seed)
        return pretrain.Trainer(loop, method, data, np.arange(6), torch.device("cpu"))

    def steps(one, until):
        for _ in one.train(lambda: False):
            if one.step == until:
                break
        return one

    unbroken, stopped, resumed = trainer(0), trainer(0), trainer(1)
    for one in (unbroken, stopped):
        one.fit_statistics()
    steps(unbroken, 6)
    torch.save(steps(stopped, 3).state(), tmp_path / "state")
    resumed.load(torch.load(tmp_path / "state", weights_only=True))
    steps(resumed, 6)
    expected, found = unbroken.method.state_dict(), resumed.method.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("version", [1, 2])
def test_it_is_finite_in_reduced_precision(version):
    method, views = made("conv", version)
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss(views)
    torch.stack(list(loss.terms.values())).sum().backward()
    assert all(p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize(
    "version,length,told",
    [
        (1, 49, "50 bases would do"),
        (2, 25, "at least two"),
        (2, 190, "the last 15 bases are in no frame"),
        (2, 20, "no"),
    ],
)
def test_windows_that_cannot_serve_are_refused(version, length, told):
    with pytest.raises(InputError, match=rf"wav2vec\.length {length}: .*{told}"):
        made(version=version, length=length)


def test_the_codebooks_share_the_channels():
    with pytest.raises(InputError, match=r"wav2vec\.projection 8: expected a multiple of wav2vec\.groups \(3\)"):
        made(version=2, projection=0, groups=3)
    assert made(version=2, projection=0)[0].quantiser.book_GVP.shape == (2, 64, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"negatives": 0},
        {"same_window": 1.5},
        {"projection": -1},
        {"noise": 0.0},
        {"start": -0.1},
        {"span": 0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        made(**wrong)
