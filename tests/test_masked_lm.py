"""Hidden bases: which are asked for and how they are read, what the answer may rest on, and how good one can get."""

import itertools
import math

import numpy as np
import planted
import pytest
import torch

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import MASK, N, reverse_complement
from genossl.genome.windows import Batch
from genossl.model.encoder import Encoder, Settings

MLM = methods.load("masked_lm")
SHAPES = [(6, 1, 40), (1, 1, 20), (20, 10, 100), (8, 3, 41), (5, 5, 40)]  # width, stride, length


def made(width=6, stride=1, length=40, channels=16, **settings):
    torch.manual_seed(0)
    encoder = Encoder(
        Settings(front="conv", width=width, stride=stride, channels=channels, context=channels, mask=True)
    )
    return MLM(MLM.Settings(length=length, **{"strand": 0.0, "hidden": 24, **settings}), encoder)


def batch(tokens):
    row = torch.zeros(len(tokens), dtype=torch.int64)
    return Batch(torch.from_numpy(np.ascontiguousarray(tokens, np.uint8)), row, row, row)


def bases(n, length, seed=0, unknown=0.0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, length)) < unknown, N, rng.integers(0, 4, (n, length)))


def viewed(method, n=8, seed=0, unknown=0.0):
    return method.views(batch(bases(n, method.length, seed, unknown)), np.random.default_rng(seed + 1))


def spread(n, share):
    return 4 * (n * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("span", [1, 6])
def test_fractions_of_chosen_hidden_and_changed_bases(span):
    method = made(length=245, span=span)
    tokens = bases(2000, 245, unknown=0.1)
    views = method.views(batch(tokens), np.random.default_rng(1))
    read, wanted = views["masked_tokens"].numpy(), views["wanted"].numpy()
    chosen, clean = wanted < N, tokens[:, method.head.asked]
    known, n = (clean < N).sum(), chosen.sum()
    assert abs(n - 0.15 * known) < spread(known, 0.15) * span**0.5  # a stretch is one draw
    assert not (chosen & (tokens == N)).any()
    assert (wanted[chosen] == tokens[chosen]).all()
    assert (read[~chosen] == tokens[~chosen]).all()
    assert (read[tokens == N] == N).all()
    seen = read[chosen]
    # one random base of four is the right one: 0.1 * 3 / 4 differ, 0.1 + 0.1 / 4 are as they were
    for found, share in ((seen == MASK, 0.8), ((seen < N) & (seen != tokens[chosen]), 0.075)):
        assert abs(found.sum() - share * n) < spread(n, share)
    assert abs((seen == tokens[chosen]).sum() - 0.125 * n) < spread(n, 0.125)


@pytest.mark.parametrize("width,stride,length", SHAPES)
def test_every_base_that_is_asked_for_lies_under_the_one_frame_that_answers(width, stride, length):
    method = made(width, stride, length)
    encoder, asked = method.encoder, method.head.asked
    assert asked.stop - asked.start == encoder.frames(length) * stride
    assert asked.start + (length - asked.stop) == width - stride  # the edges
    tokens = torch.from_numpy(bases(1, length).astype(np.uint8))
    before = encoder.latents(tokens)[0]
    for i in range(asked.start, asked.stop):
        other = tokens.clone()
        other[0, i] = (other[0, i] + 1) % 4
        moved = (encoder.latents(other)[0] != before).any(1).nonzero().flatten().tolist()
        assert (i - asked.start) // stride in moved
    views = made(width, stride, length, rate=1.0)
    assert (viewed(views)["wanted"] < N).nonzero()[:, 1].unique().tolist() == list(range(asked.start, asked.stop))


def by_hand(method, views):
    """One window, one base at a time; both sides read on their own: loss of all, loss and share right of the hidden."""
    encoder, head = method.encoder, method.head
    losses, hidden, right = [], [], []
    for read, wanted in zip(views["masked_tokens"], views["wanted"], strict=True):
        left = encoder(read[None]).c[0]
        from_right = encoder(reverse_complement(read)[None]).c[0]
        for i in range(len(read)):
            if wanted[i] == N:
                continue
            frame, place = divmod(i - (encoder.width - encoder.stride) // 2, encoder.stride)
            seen = torch.cat([left[frame], from_right[len(left) - 1 - frame]])
            scores = [head.say(seen)[letter * encoder.stride + place].item() for letter in range(4)]
            losses.append(math.log(sum(math.exp(x) for x in scores)) - scores[wanted[i]])
            if read[i] == MASK:
                hidden.append(losses[-1])
                right.append(max(range(4), key=scores.__getitem__) == wanted[i])
    return np.mean(losses), np.mean(hidden), np.mean(right)


@pytest.mark.parametrize("width,stride,length", SHAPES)
def test_the_loss_equals_a_loop(width, stride, length):
    method = made(width, stride, length)
    views = viewed(method, unknown=0.05)
    loss, hidden, top1 = by_hand(method, views)
    found = method.loss(views)
    assert found.terms["masked"].item() == pytest.approx(loss, rel=1e-5)
    assert found.metrics["top1"].item() == pytest.approx(top1)
    assert found.metrics["bits"].item() == pytest.approx(hidden / math.log(2), rel=1e-5)


def logits(method, read, i):
    """What is said of base i, (4,)."""
    wanted = torch.full_like(read, N)
    wanted[0, i] = 0
    caught = []
    hook = method.head.say.register_forward_hook(lambda *args: caught.append(args[2]))
    method.head(method.encoder, read, wanted)
    hook.remove()
    return caught[0].detach().view(4, -1)[:, (i - method.head.asked.start) % method.encoder.stride]


@pytest.mark.parametrize("width,stride,length", [(6, 1, 40), (20, 10, 100)])
def test_both_sides_count_and_the_hidden_base_does_not(width, stride, length):
    method = made(width, stride, length, rate=0.15, mask_share=1.0, random_share=0.0)
    tokens = bases(1, length)
    views = method.views(batch(tokens), np.random.default_rng(3))
    asked = (views["wanted"][0] < N).nonzero().flatten().tolist()
    i = asked[len(asked) // 2]
    before = logits(method, views["masked_tokens"], i)
    for there in (0, length - 1, i - 1, i + 1, i):
        other = tokens.copy()
        other[0, there] = (other[0, there] + 1) % 4
        after = logits(method, method.views(batch(other), np.random.default_rng(3))["masked_tokens"], i)
        hidden = views["wanted"][0, there] < N
        assert torch.equal(before, after) == bool(hidden), there


def test_only_what_is_said_of_chosen_bases_gets_a_gradient():
    method = made(20, 10, 100)
    views = viewed(method)
    caught = []

    def keep(module, inputs, said):
        said.retain_grad()
        caught.append(said)

    method.head.say.register_forward_hook(keep)
    method.loss(views).terms["masked"].backward()
    chosen = (views["wanted"][:, method.head.asked] < N).unflatten(1, (-1, 10))
    chosen = chosen[chosen.any(-1)]
    assert torch.equal(caught[0].grad.unflatten(-1, (4, 10)) != 0, chosen[:, None].expand(-1, 4, -1))


def test_nothing_to_say_is_a_loss_of_zero():
    method = made()
    loss = method.loss(method.views(batch(np.full((4, 40), N)), np.random.default_rng(0)))
    assert loss.terms["masked"].item() == loss.metrics["top1"].item() == 0
    loss.terms["masked"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("share", [0.8, 0.0])  # with none hidden, all that were chosen count
def test_knowing_nothing_costs_two_bits(share):
    method = made(mask_share=share)
    with torch.no_grad():
        method.head.say[-1].weight.zero_(), method.head.say[-1].bias.zero_()
    assert method.loss(viewed(method)).metrics["bits"].item() == pytest.approx(2, abs=1e-6)


class Says(torch.nn.Module):
    """The same answers whatever it reads, one row per base that is asked for."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, _):
        return self.logits


def test_a_base_that_is_shown_tells_of_itself_and_is_no_part_of_the_bits():
    """Independent bases and the best answer there is. Chosen and shown, a base is right with .1 + .1 / 4 of .2, 5/8."""
    right, wrong = math.log2(8 / 5), 3  # bits, of 5/8 and of 1/8 each
    method = made(1, 1, 64, rate=1.0)
    views, answer = viewed(method, n=400), torch.zeros(400, 64, 4)
    shown = views["masked_tokens"] < N
    answer[shown] = torch.nn.functional.one_hot(views["masked_tokens"][shown].long(), 4) * math.log(5)
    method.head.say = Says(answer.flatten(0, 1))
    found = method.loss(views)
    assert found.metrics["bits"].item() == pytest.approx(2, abs=1e-6)
    best = 0.8 * 2 + 0.2 * (5 / 8 * right + 3 / 8 * wrong)
    assert best == pytest.approx(1.91, abs=5e-3)
    assert found.terms["masked"].item() / math.log(2) == pytest.approx(best, abs=0.01)


def chains(rng, transitions, n, length):
    """n sequences of a Markov source of order 1, side by side."""
    tokens = rng.integers(0, 4, (n, length))
    for i in range(1, length):
        tokens[:, i] = (rng.random((n, 1)) > transitions.cumsum(1)[tokens[:, i - 1], :3]).sum(1)
    return tokens[:, 20:]  # the start is forgotten


def entropy(transitions, left, right):
    """Bits of a base given the nearest known ones, `left` and `right` bases away: by enumeration of all 64 triples."""
    share = np.linalg.matrix_power(transitions, 200)[0]
    a, b = (np.linalg.matrix_power(transitions, d) for d in (left, right))
    joint = {(x, y, z): share[x] * a[x, y] * b[y, z] for x, y, z in itertools.product(range(4), repeat=3)}
    given = {(x, z): sum(joint[x, y, z] for y in range(4)) for x in range(4) for z in range(4)}
    return -sum(p * math.log2(p / given[x, z]) for (x, _, z), p in joint.items())


def test_the_floor_of_a_markov_source_is_reached_and_not_beaten():
    """The oracle knows the source and answers by the nearest bases that are not hidden, exactly: no one does better."""
    source, rng = planted.markov(np.random.default_rng(1), 1, 2.0), np.random.default_rng(2)
    rate, length = 0.15, 32
    method = made(3, 1, length, channels=32, hidden=64, mask_share=1.0, random_share=0.0, rate=rate)
    steps, optimiser = 120, torch.optim.Adam(method.parameters())
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        loss = method.loss(method.views(batch(chains(rng, source, 64, length + 20)), rng)).terms["masked"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()

    powers = [np.linalg.matrix_power(source, d) for d in range(length)]
    said, best = [], []
    for _ in range(40):
        views = method.views(batch(chains(rng, source, 64, length + 20)), rng)
        with torch.no_grad():
            said.append(method.loss(views).metrics["bits"].item())
        bits = []
        for read, wanted in zip(views["masked_tokens"].numpy(), views["wanted"].numpy(), strict=True):
            seen = np.flatnonzero(read < N)
            for i in np.flatnonzero(wanted < N):
                left, right = seen[seen < i][-1], seen[seen > i][0]
                odds = powers[i - left][read[left]] * powers[right - i][:, read[right]]
                bits.append(-math.log2(odds[wanted[i]] / odds.sum()))
        best.append(np.mean(bits))
    said, best = np.array(said), np.array(best)
    floor = sum(
        (1 - rate) ** 2 * rate ** (a + b - 2) * entropy(source, a, b) for a in range(1, 12) for b in range(1, 12)
    )
    error = 3 / len(best) ** 0.5
    assert abs(best.mean() - floor) < error * best.std(ddof=1)
    gap = said - best  # the same bases
    assert -error * gap.std(ddof=1) < gap.mean() < 0.03
    assert entropy(source, 1, 1) < floor < entropy(source, 1, 50) - 0.1  # one side alone would not do


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"rate": 0.0}, "rate must be above 0"),
        ({"mask_share": 0.95}, "at most 1"),
        ({"span": 0}, "at least 1"),
        ({"strand": 1.5}, "from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MLM.Settings(**settings)


def test_encoders_that_cannot_serve_are_refused():
    for encoder, message in (
        (Settings(), "--config bases"),
        (Settings(front="conv", width=20, stride=44), "frames that cover every base.*--config bases"),
        (Settings(front="conv", width=40, stride=30), "the last 20 bases are in no frame.*use 220 or 250"),
    ):
        with pytest.raises(InputError, match=message):
            MLM(MLM.Settings(), Encoder(encoder))
