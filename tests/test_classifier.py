"""Networks that learn from labels: what they see, what does not move them, and the loop that stops them."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, balanced_accuracy_score, r2_score
from torch import nn

from genossl.genome.alphabet import reverse_complement
from genossl.model import classifier, tuning
from genossl.model.classifier import Classifier, Cnn, Reader, logits, parts, vectors
from genossl.model.embedding import embed
from genossl.model.encoder import Encoder, Settings
from genossl.model.objective import HEAVIEST, Classes, Multilabel, Regression
from genossl.model.tuning import Budget, Rows, fit, scale_of, tune, tune_head

SHAPE = Settings(k=3, width=20, stride=20, hidden=16, channels=8, context=8)
CONV = Settings(front="conv", width=20, stride=10, channels=8, rnn="lstm", context=8)
BUDGET = Budget(rate=1e-2, steps=6, batch=4, every=2, patience=9, weight_decay=0.01)


def sequences(n: int = 9, seed: int = 0, low: int = 30, high: int = 120) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 4, int(rng.integers(low, high)), np.uint8) for _ in range(n)]


def trunks() -> dict[str, Reader | Cnn]:
    torch.manual_seed(0)
    return {
        "cnn": Cnn(120, channels=8),
        "kmer": Reader(Encoder(SHAPE)),
        "conv": Reader(Encoder(CONV)),
        "mean": Reader(Encoder(SHAPE), "mean"),
        "both": Reader(Encoder(CONV), "both"),
    }


# ---- networks


@pytest.mark.parametrize("frame,width", [(8, 15), (4, 11), (1, 4)])
def test_the_receptive_field_is_what_the_gradient_says(frame: int, width: int) -> None:
    torch.manual_seed(0)
    net = Cnn(150, channels=48, width=width, frame=frame).double()
    assert net.receptive_field >= 150
    assert net.receptive_field - net.frame * 2 * net.dilations[-1] < 150  # no block more than it takes
    length = 4 * (net.receptive_field // frame + 1) * frame
    letters = torch.eye(4)[torch.from_numpy(np.random.default_rng(1).integers(0, 4, length))]
    x_BLA = letters.double()[None].requires_grad_()
    inside = torch.ones(1, length, 1, dtype=torch.bool)
    frames_BTC = net.frames(x_BLA, inside, inside[:, ::frame])
    middle = frames_BTC.shape[1] // 2
    (gradient,) = torch.autograd.grad(frames_BTC[0, middle].square().sum(), x_BLA)
    seen = torch.nonzero(gradient[0].abs().sum(-1)).flatten()
    assert int(seen[-1] - seen[0]) + 1 == net.receptive_field
    assert len(seen) > 0.9 * net.receptive_field


def test_one_frame_sees_both_ends_of_the_longest_input() -> None:
    torch.manual_seed(0)
    net = Cnn(500, channels=32).double()
    x_BLA = torch.eye(4)[torch.from_numpy(np.random.default_rng(1).integers(0, 4, 504))].double()[None]
    x_BLA.requires_grad_()
    inside = torch.ones(1, 504, 1, dtype=torch.bool)
    frames_BTC = net.frames(x_BLA, inside, inside[:, ::8])
    (gradient,) = torch.autograd.grad(frames_BTC[0, frames_BTC.shape[1] // 2].square().sum(), x_BLA)
    assert gradient[0, :8].abs().sum() > 0
    assert gradient[0, 492:500].abs().sum() > 0


def test_the_longer_the_input_the_more_blocks() -> None:
    blocks = [len(Cnn(longest, channels=4).dilations) for longest in (10, 100, 500, 1000, 20_000)]
    assert blocks == [0, 3, 5, 6, 11]


@pytest.mark.parametrize("name", trunks())
def test_an_answer_does_not_depend_on_its_neighbours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Classifier(trunks()[name], 3).eval()
    reads = [*sequences(), np.array([0, 1, 2], np.uint8)]
    together = logits(model, reads, True)
    alone = torch.cat([logits(model, [read], True) for read in reads])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(classifier, "PART_BASES", 200)
    torch.testing.assert_close(logits(model, reads[::-1], True).flip(0), together, rtol=1e-4, atol=1e-5)


def test_what_lies_behind_a_sequence_is_not_looked_at() -> None:
    torch.manual_seed(0)
    net = Cnn(120, channels=8).eval()
    (read,) = sequences(1)
    lengths = torch.tensor([len(read)])
    tokens = torch.from_numpy(read)[None]
    rubbish = torch.cat([tokens, torch.full((1, 37), 2, dtype=torch.uint8)], 1)
    torch.testing.assert_close(net(rubbish, lengths), net(tokens, lengths), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", trunks())
def test_the_mean_of_both_strands_does_not_know_the_strand(name: str) -> None:
    model = Classifier(trunks()[name], 3)
    reads = sequences()
    turned = [reverse_complement(read) for read in reads]
    torch.testing.assert_close(logits(model, reads, True), logits(model, turned, True), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(logits(model, reads, False), logits(model, turned, False), atol=1e-4)


@pytest.mark.parametrize("shape", [SHAPE, CONV], ids=["kmer", "conv"])
@pytest.mark.parametrize("pool", ["last", "mean", "both"])
def test_an_encoder_is_read_as_it_is_embedded(shape: Settings, pool) -> None:
    torch.manual_seed(0)
    encoder = Encoder(shape)
    found = vectors(Classifier(Reader(encoder, pool), 2), sequences())
    np.testing.assert_allclose(found, embed(encoder, sequences(), pool, False, "fp32"), rtol=1e-5, atol=1e-6)


def test_portions_hold_every_row_once_and_few_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "PART_BASES", 300)
    reads = [*sequences(40), np.zeros(1000, np.uint8)]
    found = list(parts(reads))
    assert sorted(np.concatenate(found)) == list(range(41))
    assert all(len(rows) == 1 or len(rows) * max(len(reads[i]) for i in rows) <= 300 for rows in found)
    assert len(found) < 25


# ---- objectives


def test_classes_in_closed_form_and_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = np.array([0] * 6 + [1] * 3 + [2] * 3)
    objective = Classes(y, 3)
    np.testing.assert_allclose(objective.loss(torch.zeros(12, 3), y).sum(), 12 * math.log(3), rtol=1e-6)
    loss = objective.loss(torch.from_numpy(rng.normal(size=(12, 3))).float(), y)
    assert objective.weight_K.tolist() == pytest.approx([2 / 3, 4 / 3, 4 / 3])  # each class 4 in all
    assert loss.shape == (12,)
    said = objective.scores(torch.from_numpy(rng.normal(size=(12, 3))))
    np.testing.assert_allclose(said.sum(1), 1)
    assert objective.judge(y, said) == pytest.approx(balanced_accuracy_score(y, said.argmax(1)))


def test_labels_in_closed_form_and_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((40, 3)) < [0.5, 0.1, 0]).astype(np.int64)
    objective = Multilabel(y, 3)
    positive = y[:, :2].sum(0)
    np.testing.assert_allclose(objective.weight_K[:2], (40 - positive) / positive, rtol=1e-6)
    assert objective.weight_K[2] == 40  # of none
    assert Multilabel(np.eye(1000, 1), 1).weight_K[0] == HEAVIEST
    # with even logits each positive costs (negatives / positives) log 2 and each negative log 2
    expected = math.log(2) * (2 * (40 - positive).sum() + 40)
    np.testing.assert_allclose(objective.loss(torch.zeros(40, 3), y).sum() * 3, expected, rtol=1e-5)
    said = objective.scores(torch.from_numpy(rng.normal(size=(40, 3))))
    assert objective.judge(y, said) == pytest.approx(
        average_precision_score(y[:, :2], said[:, :2], average="macro")
    )  # the third never occurs
    assert objective.judge(np.zeros((4, 3), int), said[:4]) == 0


def test_numbers_in_closed_form_and_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(50, 7, 30)
    objective = Regression(y)
    np.testing.assert_allclose(objective.loss(torch.zeros(30, 1), y).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(objective.scores(torch.zeros(2, 1)), y.mean(), rtol=1e-6)
    said = objective.scores(torch.from_numpy(rng.normal(size=(30, 1))))
    assert objective.judge(y, said) == pytest.approx(r2_score(y, said[:, 0]))
    assert objective.judge(np.ones(5), said[:5]) == 0
    assert Regression(np.ones(5)).std == 1


# ---- the loop


class Counter(nn.Module):
    """A weight that is the number of steps taken, so that its value says which step was kept."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))


@pytest.mark.parametrize(
    "curve,kept,done",
    [
        ([0.1, 0.5, 0.9, 0.2, 0.3, 0.4, 0.8], 4, 10),  # best in the middle
        ([0.9, 0.1, 0.2, 0.3], 0, 6),  # never better than at the start: stopped by patience
        ([0.1, 0.2, 0.2, 0.2, 0.2], 2, 8),  # the earliest of equals
        ([0.1, 0.2, 0.1, 0.3, 0.1, 0.4, 0.5], 12, 12),  # patience starts anew with each better one
    ],
)
def test_the_best_look_is_what_is_kept(curve: list[float], kept: int, done: int) -> None:
    module, answers = Counter(), iter(curve)

    def learn(rows: np.ndarray) -> None:
        module.seen += 1
        module.step.grad = torch.ones(())

    budget = Budget(rate=1e-2, steps=12, batch=3, every=2, patience=3, weight_decay=0)
    fitted = fit(module, 7, learn, lambda: next(answers), budget, np.random.default_rng(0))
    assert (fitted.best_step, fitted.steps, int(module.seen)) == (kept, done, kept)
    assert fitted.curve == list(zip(range(0, done + 1, 2), curve, strict=False))
    assert fitted.best == max(curve[: done // 2 + 1])
    assert bool(module.step == 0) == (kept == 0)
    assert not module.training


def test_each_row_is_read_once_before_any_comes_again() -> None:
    seen: list[np.ndarray] = []
    module = Counter()

    def learn(rows: np.ndarray) -> None:
        seen.append(rows)
        module.step.grad = torch.ones(())

    budget = Budget(rate=1e-2, steps=14, batch=4, every=99, patience=9, weight_decay=0)
    fit(module, 7, learn, lambda: 0.0, budget, np.random.default_rng(0))
    flat = np.concatenate(seen)
    assert len(flat) == 14 * 4
    assert all(sorted(flat[i : i + 7]) == list(range(7)) for i in range(0, 56, 7))


def test_a_rate_that_breaks_the_weights_is_said() -> None:
    module = Counter()

    def learn(rows: np.ndarray) -> None:
        module.step.grad = torch.tensor(torch.nan)

    with pytest.raises(FloatingPointError, match=r"not finite after step 2 at a rate of 0\.01"):
        fit(module, 7, learn, lambda: 0.0, BUDGET, np.random.default_rng(0))


def labelled(n: int = 24) -> Rows:
    return Rows(sequences(n), np.arange(n) % 3)


def tuned(model: Classifier, **changes: float) -> Classifier:
    torch.manual_seed(0)
    rows = labelled()
    budget = Budget(**{**vars(BUDGET), **changes})
    tune(model, rows, rows, Classes(rows.y, 3), True, budget, np.random.default_rng(0))
    return model


def test_a_batch_is_one_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    first = Classifier(Cnn(120, channels=8), 3, dropout=0)
    whole = tuned(copy.deepcopy(first))
    monkeypatch.setattr(classifier, "PART_BASES", 150)
    for a, b in zip(whole.parameters(), tuned(copy.deepcopy(first)).parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_no_step_leaves_every_weight_and_a_step_moves_all() -> None:
    torch.manual_seed(1)
    first = Classifier(Reader(Encoder(SHAPE)), 3)
    same = tuned(copy.deepcopy(first), steps=0)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    rows, moved = labelled(), copy.deepcopy(first)
    answers = iter(range(9))
    kept = Classes(rows.y, 3)
    kept.judge = lambda y, s: next(answers)  # the last look is the best
    tune(moved, rows, rows, kept, True, BUDGET, np.random.default_rng(0))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), moved.parameters(), strict=True))


@pytest.mark.parametrize("both", [True, False])
def test_the_head_first_leaves_the_encoder_bit_by_bit(both: bool) -> None:
    torch.manual_seed(1)
    encoder = Encoder(SHAPE)
    before = copy.deepcopy(encoder.state_dict())
    model, rows = Classifier(Reader(encoder), 3), labelled()
    objective = Classes(rows.y, 3)
    scale = scale_of(model, rows.sequences, both)
    budget = Budget(**{**vars(BUDGET), "steps": 60, "every": 10})
    fitted = tune_head(model, scale, rows, rows, objective, both, budget, np.random.default_rng(0))
    assert fitted.best > fitted.curve[0][1] == pytest.approx(1 / 3)  # from a head that says nothing
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    # folding the standardisation into the head changed nothing: the network says what the head was judged by
    assert tuning.score(model, rows, objective, both) == fitted.best
    strands = [rows.sequences, [reverse_complement(s) for s in rows.sequences]][: 2 if both else 1]
    x = [embed(encoder, reads, "last", False, "fp32") for reads in strands]
    said = np.mean([v @ model.head.weight.detach().numpy().T for v in x], 0) + model.head.bias.detach().numpy()
    np.testing.assert_allclose(logits(model, rows.sequences, both), said, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_the_other_kinds_learn_what_is_planted(kind: str) -> None:
    """The share of A of a sequence, and whether it exceeds thresholds."""
    rng = np.random.default_rng(0)
    share = rng.uniform(0.05, 0.7, 160)
    reads = [rng.choice(4, 60, p=[a, (1 - a) / 3, (1 - a) / 3, (1 - a) / 3]).astype(np.uint8) for a in share]
    number = np.array([(read == 0).mean() for read in reads])
    y = 1000 + 50 * number if kind == "regression" else (number[:, None] > [0.3, 0.5]).astype(np.int64)
    train, rest = Rows(reads[:100], y[:100]), Rows(reads[100:], y[100:])
    objective = Regression(train.y) if kind == "regression" else Multilabel(train.y, 2)
    torch.manual_seed(0)
    model = Classifier(Cnn(60, channels=16), objective.outputs)
    budget = Budget(rate=1e-2, steps=120, batch=32, every=20, patience=9, weight_decay=0.01)
    tune(model, train, train, objective, False, budget, rng)
    assert tuning.score(model, rest, objective, False) > 0.9
