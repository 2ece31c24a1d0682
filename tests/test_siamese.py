"""Siamese: the published values of the margin loss, a loop, and one set of weights."""

import math

import pairs
import pytest
import torch
from torch.nn import functional as F

from genossl.pretext.heads import summary
from genossl.pretext.losses import attraction, repulsion


def rows(*values):
    return torch.tensor([[value, 0.0] for value in values])


def test_values_of_the_margin_loss():
    assert attraction(rows(1, 2), rows(1, 2)).item() == 0
    assert attraction(rows(0, 0), rows(3, 1)).item() == pytest.approx((9 + 1) / 2)
    assert repulsion(rows(1), rows(1), 1.0).item() == pytest.approx(1, abs=3e-4)  # margin^2
    assert repulsion(rows(1), rows(1), 1.5).item() == pytest.approx(2.25, abs=4e-4)
    assert repulsion(rows(0, 0), rows(1, 7), 1.0).item() == 0
    assert repulsion(rows(0), rows(0.25), 1.0).item() == pytest.approx(0.5625, abs=1e-5)


def test_only_the_rows_that_are_kept_count():
    kept = torch.tensor([True, False])
    assert repulsion(rows(0, 0), rows(0.5, 0.1), 1.0, kept).item() == pytest.approx(0.25, abs=1e-5)
    assert repulsion(rows(0, 0), rows(0.5, 0.1), 1.0, ~kept & False).item() == 0


def test_gradients_pull_on_both_ends_and_are_finite_at_distance_zero():
    torch.manual_seed(0)
    u, v = (torch.randn(5, 3, requires_grad=True) for _ in range(2))
    (attraction(u, v) + repulsion(u, v, 4.0)).backward()
    torch.testing.assert_close(u.grad, -v.grad)
    same = torch.ones(4, 3, requires_grad=True)
    repulsion(same, torch.ones(4, 3), 1.0).backward()
    assert same.grad.isfinite().all()


def test_swapped_towers_give_the_same_loss():
    torch.manual_seed(0)
    u, v = torch.randn(2, 5, 3)
    assert attraction(u, v) == attraction(v, u)
    assert repulsion(u, v, 3.0) == repulsion(v, u, 3.0)


def test_the_method_equals_a_loop():
    method, views = pairs.made("siamese", n=7, negatives=3, margin=1.2)
    u, v = (F.normalize(method.head(summary(method.encoder, views[f"{n}_tokens"])), dim=-1) for n in ("one", "two"))
    contig = views["contig"].tolist()
    near = [math.dist(a, b) ** 2 for a, b in zip(u.tolist(), v.tolist(), strict=True)]
    far = [
        max(0.0, 1.2 - math.dist(u[i].tolist(), v[(i + k) % 7].tolist())) ** 2
        for i in range(7)
        for k in (1, 2, 3)
        if contig[i] != contig[(i + k) % 7]
    ]
    assert 0 < len(far) < 21  # some are of the same contig
    terms = method.loss(views).terms
    assert terms["near"].item() == pytest.approx(sum(near) / 7, rel=1e-4)
    assert terms["far"].item() == pytest.approx(sum(far) / len(far), rel=1e-4)


def test_both_windows_are_read_by_one_set_of_weights():
    method, views = pairs.made("siamese")
    assert {name.split(".")[0] for name, _ in method.named_parameters()} == {"encoder", "head"}
    swapped = dict(views, one_tokens=views["two_tokens"], two_tokens=views["one_tokens"])
    assert torch.equal(method.loss(views).terms["near"], method.loss(swapped).terms["near"])
    # the gradient is the sum of what each tower asks for, the other one held still
    weight = method.head[1].weight
    one, two = (summary(method.encoder, views[f"{name}_tokens"]).detach() for name in ("one", "two"))

    def gradient(first, second):
        u, v = (F.normalize(method.head(c), dim=-1) for c in (one, two))
        return torch.autograd.grad(attraction(u if first else u.detach(), v if second else v.detach()), weight)[0]

    torch.testing.assert_close(gradient(True, True), gradient(True, False) + gradient(False, True))


def test_a_batch_of_one_contig_only_attracts():
    method, views = pairs.made("siamese")
    terms = method.loss(dict(views, contig=torch.zeros_like(views["contig"]))).terms
    assert terms["far"].item() == 0
    assert terms["near"].item() > 0


@pytest.mark.parametrize("wrong", [{"margin": 0.0}, {"negatives": 0}, {"strand": -0.1}, {"distance": -1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        pairs.made("siamese", **wrong)
