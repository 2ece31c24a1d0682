"""Next-base prediction: an exact, causal likelihood that reaches a source's entropy and does not beat it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import planted
import pytest
import torch

from genossl.errors import InputError
from genossl.genome.alphabet import N
from genossl.genome.store import TokenStore
from genossl.genome.windows import Windows, generator
from genossl.methods.causal_lm import CausalLM
from genossl.model import likelihood
from genossl.model.encoder import Encoder, Settings
from genossl.model.likelihood import log2_likelihoods
from genossl.recipe import Loop
from genossl.verbs.pretrain import Trainer


def made(rnn="gru", width: int = 4, sharp: float = 3.0, **settings) -> CausalLM:
    """Untrained; the head's weights are enlarged so that the distributions are far from uniform."""
    torch.manual_seed(0)
    shape = Settings(front="conv", width=width, stride=1, channels=16, rnn=rnn, layers=2, context=16, mask=True)
    model = CausalLM(CausalLM.Settings(**settings), Encoder(shape)).eval()
    with torch.no_grad():
        model.head[2].weight.mul_(10 * sharp)
    return model


def drawn(b: int, length: int, letters: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, letters, (b, length)).astype(np.uint8))


RNNS = pytest.mark.parametrize("rnn", ["gru", "lstm", "conv"])


@RNNS
@torch.inference_mode()
def test_a_base_changes_what_is_expected_after_it_and_nothing_before(rnn):
    model, tokens = made(rnn), drawn(1, 40)
    before = model.log_probabilities(tokens)
    for t in (0, 7, 38, 39):
        other = tokens.clone()
        other[0, t] = (tokens[0, t] + 1) % 4
        moved = (model.log_probabilities(other) - before).abs().amax(-1)[0]
        assert moved[: t + 1].max() == 0.0
        assert t == 39 or moved[t + 1] > 0


@RNNS
@torch.inference_mode()
def test_the_probabilities_of_all_6_mers_sum_to_one(rnn):
    model = made(rnn, sharp=10)
    words = torch.tensor(list(itertools.product(range(4), repeat=6)), dtype=torch.uint8)
    p = 2.0 ** log2_likelihoods(model, list(words.numpy()))
    assert len(p) == 4096
    assert abs(p.sum() - 1) < 1e-5
    assert p.max() > 10 / 4096  # far from uniform, so that the sum says something


@torch.inference_mode()
def test_the_first_base_has_a_distribution_which_nothing_moves():
    first = made().log_probabilities(drawn(50, 8))[:, 0]
    torch.testing.assert_close(first.exp().sum(1), torch.ones(50))
    assert (first == first[0]).all()


@RNNS
@torch.inference_mode()
def test_read_base_by_base_equals_read_at_once(rnn):
    model, tokens = made(rnn), drawn(3, 30)
    width, read = model.encoder.width, model.before(tokens)
    whole = model.log_probabilities(tokens)
    state, parts = None, []
    for first, until in [(0, 1), (1, 2), (2, 9), (9, 30)]:
        found = model.following(read[:, first : until + width - 1], state)
        state = found.state
        parts.append(found.log_p)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_likelihoods_whatever_the_batch_and_the_blocks(monkeypatch):
    """Of each sequence alone, by hand: the log-probability of each known base, summed."""
    model, rng = made(), np.random.default_rng(1)
    sequences = [rng.choice(5, n, p=[0.23] * 4 + [0.08]).astype(np.uint8) for n in (1, 90, 3, 40, 41, 300, 77)]
    expected = []
    for tokens in sequences:
        log_p = model.log_probabilities(torch.from_numpy(tokens)[None])[0].double()
        expected.append(sum(log_p[t, base].item() for t, base in enumerate(tokens) if base < N) / math.log(2))
    for rows, block in ((64, 2048), (1, 2048), (3, 7), (64, 1)):
        monkeypatch.setattr(likelihood, "ROWS", rows)
        monkeypatch.setattr(likelihood, "BLOCK", block)
        np.testing.assert_allclose(log2_likelihoods(model, sequences), expected, rtol=1e-5)
    assert log2_likelihoods(model, [np.full(9, N, np.uint8)]).tolist() == [0.0]


def test_the_loss_equals_a_loop_over_known_bases():
    model, tokens = made(length=20), drawn(5, 20, letters=5)
    tokens[0, 3] = 5  # a hidden base is not known either
    loss = model.loss({"read_tokens": tokens})
    log_p, nats, right = model.log_probabilities(tokens), [], []
    for b, t in itertools.product(range(5), range(20)):
        if tokens[b, t] < N:
            nats.append(-log_p[b, t, int(tokens[b, t])].item())
            right.append(int(log_p[b, t].argmax()) == int(tokens[b, t]))
    assert 60 < len(nats) < 100
    assert loss.terms["next_base"].item() == pytest.approx(np.mean(nats), rel=1e-5)
    assert loss.metrics["bits"].item() == pytest.approx(np.mean(nats) / math.log(2), rel=1e-5)
    assert loss.metrics["top1"].item() == pytest.approx(np.mean(right), rel=1e-5)
    assert loss.metrics["candidates"] == 4


def test_an_untrained_head_of_zeros_gives_two_bits():
    model = made(sharp=0)
    torch.nn.init.zeros_(model.head[2].bias)
    loss = model.loss({"read_tokens": drawn(4, 30)})
    assert loss.metrics["bits"].item() == pytest.approx(2, abs=1e-6)


def test_unknown_bases_give_no_loss_and_no_gradient():
    """An N in the place of any base leaves the rest of the sum; a batch of N gives 0, with gradients of 0."""
    model, tokens = made(length=12), drawn(1, 12)
    tokens[0, 11] = N
    short = model.loss({"read_tokens": tokens}).terms["next_base"]
    torch.testing.assert_close(short, model.loss({"read_tokens": tokens[:, :11]}).terms["next_base"])
    nothing = model.loss({"read_tokens": torch.full((3, 12), N, dtype=torch.uint8)})
    nothing.terms["next_base"].backward()
    assert nothing.terms["next_base"].item() == nothing.metrics["top1"].item() == 0
    assert all(value.grad is not None and not value.grad.any() for value in model.parameters())


def test_windows_are_read_on_either_strand(tmp_path):
    store = TokenStore.open(planted.store(tmp_path / "s", {"g": ("train", [drawn(1, 300)[0].numpy()])}))
    batch = Windows(store, np.arange(1), 50).draw(400, generator(0, 0))
    views = {p: made(length=50, strand=p).views(batch, generator(0, 1))["read_tokens"] for p in (0.0, 0.5, 1.0)}
    assert torch.equal(views[0.0], batch.tokens)
    assert torch.equal(views[1.0], 3 - batch.tokens.flip(1))
    turned = (views[0.5] == views[1.0]).all(1)
    assert torch.equal(views[0.5][~turned], views[0.0][~turned])
    assert 150 < turned.sum() < 250


@pytest.mark.parametrize(
    "shape,message",
    [
        (Settings(k=3), "causal_lm: needs encoder.front conv, found kmer.*--config bases"),
        (Settings(front="conv", width=8, stride=2), "causal_lm: needs encoder.stride 1, found 2.*--config bases"),
        (Settings(front="conv", width=300, stride=1), "causal_lm.length 250: holds no frame of 300"),
    ],
)
def test_encoders_that_cannot_serve_are_refused(shape, message):
    with pytest.raises(InputError, match=message):
        CausalLM(CausalLM.Settings(), Encoder(shape))


@pytest.mark.parametrize("wrong", [{"length": 0}, {"hidden": 0}, {"strand": 1.1}, {"most_n": -0.1}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="must be"):
        CausalLM.Settings(**wrong)


# ---- what it learns


def trained(tmp_path, source: np.ndarray, steps: int, length: int, context: int, lr: float = 1e-2) -> CausalLM:
    """A model of one strand of a source."""
    rng = np.random.default_rng(0)
    folder = planted.store(tmp_path / "store", {"g": ("train", [planted.sample(rng, source, 300_000)])})
    torch.manual_seed(0)
    shape = Settings(front="conv", width=4, stride=1, channels=32, context=context)
    model = CausalLM(CausalLM.Settings(length=length, hidden=context, strand=0.0), Encoder(shape))
    loop = Loop(steps=steps, batch=64, lr=lr, precision="fp32", validate_every=0)
    trainer = Trainer(loop, model, TokenStore.open(folder), np.arange(1), torch.device("cpu"))
    for _ in trainer.train(lambda: False):
        pass
    return model.eval()


def above_entropy(model: CausalLM, source: np.ndarray, order: int, windows: int, length: int) -> tuple[float, float]:
    """Model's bits minus the source's own, per base, on the same new windows; mean and standard error over them.

    The first `order` bases of a window are left out: the source's own context for them is not in it.
    """
    rng = np.random.default_rng(1)
    gaps = []
    for _ in range(windows):
        tokens = planted.sample(rng, source, length).copy()
        with torch.inference_mode():
            log_p = model.log_probabilities(torch.from_numpy(tokens)[None])[0].numpy() / math.log(2)
        context = sum(tokens[order - i : length - i].astype(int) * 4 ** (i - 1) for i in range(1, order + 1))
        true = np.log2(source[context if order else np.zeros(length, int), tokens[order:]])
        gaps.append((true - log_p[np.arange(order, length), tokens[order:]]).mean())
    return float(np.mean(gaps)), float(np.std(gaps, ddof=1) / windows**0.5)


def test_the_entropy_of_a_source_of_order_1_is_reached_and_not_beaten(tmp_path):
    """Paired with the source's own log-probabilities, so that 3 standard errors are a thousandth of a bit."""
    source = planted.markov(np.random.default_rng(5), 1, 1.5)
    gap, error = above_entropy(trained(tmp_path, source, 60, 60, 24), source, 1, 60, 300)
    assert -3 * error < gap < 0.03, (gap, error)


def test_any_base_equally_likely_is_two_bits(tmp_path):
    source = np.full((1, 4), 0.25)
    gap, error = above_entropy(trained(tmp_path, source, 30, 60, 16), source, 0, 60, 300)
    assert -3 * error < gap < 0.01, (gap, error)


def test_one_base_for_ever_costs_nothing(tmp_path):
    source = np.array([[0.0, 1.0, 0.0, 0.0]])
    gap, _ = above_entropy(trained(tmp_path, source, 40, 30, 8, lr=0.03), source, 0, 3, 300)
    assert 0 < gap < 0.05  # of a source of 0 bits


@pytest.mark.slow
def test_the_entropy_of_a_source_of_order_3_is_reached_and_not_beaten(tmp_path):
    source = planted.markov(np.random.default_rng(5), 3, 1.5)
    gap, error = above_entropy(trained(tmp_path, source, 300, 200, 64), source, 3, 100, 500)
    assert -3 * error < gap < 0.03, (gap, error)
