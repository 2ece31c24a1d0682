"""BYOL: values of the loss, the schedule, and collapse as soon as a part is missing."""

import copy
import math

import pairs
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genossl.model.collapse import spread
from genossl.pretext.heads import predictor, summary
from genossl.pretext.losses import regression


def test_values_of_the_regression():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [5.0, 0.0]])
    assert regression(a, 7 * a).item() == pytest.approx(0, abs=1e-6)
    assert regression(a, b).item() == pytest.approx(2, abs=1e-6)
    assert regression(a, -a).item() == pytest.approx(4, abs=1e-6)
    torch.manual_seed(0)
    x, y = torch.randn(2, 9, 5)
    apart = [(p / p.norm() - q / q.norm()).square().sum().item() for p, q in zip(x, y, strict=True)]
    assert regression(x, y).item() == pytest.approx(sum(apart) / 9, rel=1e-5)


def test_no_gradient_reaches_the_target():
    x, y = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    regression(x, y).backward()
    assert y.grad is None
    assert x.grad is not None


def test_the_method_predicts_each_window_from_the_other():
    method, views = pairs.made("byol", hidden=8)
    with torch.no_grad():  # a teacher that differs
        for p in method.teacher.parameters():
            p.add_(0.1 * torch.randn_like(p))
    one, two = (method.head(summary(method.encoder, views[f"{n}_tokens"])) for n in ("one", "two"))
    taught_one, taught_two = (method.teacher(views[f"{n}_tokens"]) for n in ("one", "two"))
    expected = sum(
        2 - 2 * F.cosine_similarity(a[None], b[None]).item()
        for prediction, target in ((method.predictor(one), taught_two), (method.predictor(two), taught_one))
        for a, b in zip(prediction, target, strict=True)
    )
    assert method.loss(views).terms["regression"].item() == pytest.approx(expected / len(one), rel=1e-4)


def test_the_teacher_gets_no_gradient_and_moves_by_rule_alone():
    method, views = pairs.made("byol", hidden=8)
    optimiser = torch.optim.AdamW(method.parameters(), lr=0.1, weight_decay=0.1)
    before = [p.clone() for p in method.teacher.parameters()]
    method.loss(views).terms["regression"].backward()
    optimiser.step()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert all(p not in optimiser.state for p in method.teacher.parameters())
    assert all(torch.equal(p, was) for p, was in zip(method.teacher.parameters(), before, strict=True))
    method.after_step(0.25)
    tau = method.momentum(0.25)
    students = [*method.encoder.parameters(), *method.head.parameters()]
    for own, was, student in zip(method.teacher.parameters(), before, students, strict=True):
        torch.testing.assert_close(own, tau * was + (1 - tau) * student, rtol=1e-6, atol=1e-7)


def test_the_schedule():
    method, _ = pairs.made("byol", momentum=0.996)
    found = [method.momentum(k / 1000) for k in (0, 250, 500, 1000)]
    assert found == pytest.approx([0.996, 0.996586, 0.998, 1.0], abs=5e-7)
    for k in (1, 10, 333):
        expected = 1 - (1 - 0.996) * (math.cos(math.pi * k / 1000) + 1) / 2
        assert method.momentum(k / 1000) == pytest.approx(expected, abs=1e-12)


def test_the_teacher_has_the_encoders_statistics():
    """The k-mer statistics are fitted after the teacher was copied."""
    method, views = pairs.made("byol")
    method.encoder.fit_statistics(views["one_tokens"])
    method.loss(views)
    assert torch.equal(method.teacher.encoder.front.mean, method.encoder.front.mean)
    assert method.encoder.front.mean.abs().sum() > 0


def bootstrapped(with_predictor: bool, stop_gradient: bool) -> float:
    """The spread of a linear network's vectors after 200 steps on noisy copies; 1 is healthy, 0 collapsed."""
    torch.manual_seed(0)
    student = nn.Linear(16, 8)
    guess = predictor(8, 32, norm=False) if with_predictor else nn.Identity()
    teacher = copy.deepcopy(student).requires_grad_(False) if stop_gradient else student
    optimiser = torch.optim.SGD([*student.parameters(), *guess.parameters()], lr=0.3)
    for _ in range(200):
        signal = torch.randn(128, 16) * (torch.arange(16) < 4)
        one, two = (signal + 0.5 * torch.randn(128, 16) for _ in range(2))
        if stop_gradient:
            loss = regression(guess(student(one)), teacher(two)) + regression(guess(student(two)), teacher(one))
        else:
            error = (F.cosine_similarity(guess(student(a)), student(b)) for a, b in ((one, two), (two, one)))
            loss = sum((2 - 2 * cosine).mean() for cosine in error)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if stop_gradient:
            with torch.no_grad():
                for own, p in zip(teacher.parameters(), student.parameters(), strict=True):
                    own.lerp_(p, 0.1)
    return spread(student(one).detach()).item()


def test_without_predictor_or_stop_gradient_it_collapses():
    assert bootstrapped(with_predictor=True, stop_gradient=True) > 0.5
    assert bootstrapped(with_predictor=False, stop_gradient=True) < 0.05
    assert bootstrapped(with_predictor=True, stop_gradient=False) < 0.05
    assert bootstrapped(with_predictor=False, stop_gradient=False) < 0.05
