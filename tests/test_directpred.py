"""DirectPred: the predictor is the closed form of what was read, and nothing but buffers remembers it."""

import pairs
import pytest
import torch
from torch.nn import functional as F

from genossl.pretext.heads import direct_copy, direct_set, summary


def read(method, views):
    """f of both windows, as the student projects them."""
    return [method.head(summary(method.encoder, views[f"{n}_tokens"])).detach() for n in ("one", "two")]


def correlated(method, views):
    """The mean of f f', row by row."""
    rows = torch.cat(read(method, views))
    return sum(torch.outer(row, row) for row in rows) / len(rows)


@pytest.mark.parametrize(
    "settings,rule",
    [
        ({}, lambda f: direct_set(f, 0.5, 0.01)),
        ({"rule": "directset", "alpha": 0.3, "epsilon": 0.1}, lambda f: direct_set(f, 0.3, 0.1)),
        ({"rule": "directcopy", "epsilon": 0.3}, lambda f: direct_copy(f, 0.3)),
    ],
    ids=["directpred", "directset", "directcopy"],
)
def test_the_predictor_is_the_closed_form_of_the_running_correlation(settings, rule):
    method, first = pairs.made("directpred", hidden=8, **settings)
    batches = [first] + [pairs.made("directpred", seed=seed)[1] for seed in (1, 2, 3)]
    assert torch.equal(method.weight, torch.eye(6))
    running = None
    for views in batches:
        latest = correlated(method, views)
        running = latest if running is None else 0.3 * running + 0.7 * latest
        method.loss(views)
        method.after_step(0.1)
        torch.testing.assert_close(method.correlation, running, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(method.weight, rule(method.correlation))
    # closed form of four steps of the average
    f = [correlated(method, views) for views in batches]
    expected = 0.3**3 * f[0] + 0.7 * (0.3**2 * f[1] + 0.3 * f[2] + f[3])
    torch.testing.assert_close(method.correlation, expected, rtol=1e-4, atol=1e-6)


def test_the_loss_predicts_each_window_from_the_other():
    method, views = pairs.made("directpred", hidden=8)
    method.loss(views)
    method.after_step(0.1)
    with torch.no_grad():
        for p in method.teacher.parameters():
            p.add_(0.1 * torch.randn_like(p))
    one, two = read(method, views)
    taught_one, taught_two = (method.teacher(views[f"{n}_tokens"]) for n in ("one", "two"))
    expected = 0.0
    for f, target in ((one, taught_two), (two, taught_one)):
        for a, b in zip(f, target, strict=True):
            expected += 2 - 2 * F.cosine_similarity((method.weight @ a)[None], b[None]).item()
    assert method.loss(views).terms["regression"].item() == pytest.approx(expected / len(one), rel=1e-4)


def test_predictor_and_teacher_learn_by_rule_alone():
    method, views = pairs.made("directpred", hidden=8)
    names = {name for name, _ in method.named_parameters()}
    assert not [name for name in names if name == "weight" or "correlation" in name]
    method.loss(views).terms["regression"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert not method.weight.requires_grad
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        for p in (*method.encoder.parameters(), *method.head.parameters()):
            p.add_(0.5)
    method.after_step(0.7)
    students = [*method.encoder.parameters(), *method.head.parameters()]
    for own, was, student in zip(method.teacher.parameters(), before, students, strict=True):
        tau = method.settings.momentum
        torch.testing.assert_close(own, tau * was + (1 - tau) * student, rtol=1e-5, atol=1e-6)


def test_validation_leaves_the_correlation_alone():
    method, views = pairs.made("directpred")
    method.loss(views)
    latest = method.latest.clone()
    method.eval()
    method.loss(pairs.made("directpred", seed=5)[1])
    assert torch.equal(method.latest, latest)


def test_all_that_a_resumed_run_needs_is_in_the_state():
    method, views = pairs.made("directpred")
    method.loss(views)
    method.after_step(0.1)
    assert {"latest", "correlation", "weight"} <= method.state_dict().keys()
    assert "teacher.encoder.front.mean" in method.state_dict()


def test_a_step_before_any_batch_leaves_the_identity():
    method, _ = pairs.made("directpred")
    method.after_step(0.0)
    assert torch.equal(method.weight, torch.eye(6))


@pytest.mark.parametrize("wrong", [{"rho": 1.5}, {"momentum": -0.1}, {"epsilon": -1.0}, {"hidden": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        pairs.made("directpred", **wrong)
