"""VICReg against loops over rows and channels, and its values for collapsed and for perfect batches."""

import math

import pairs
import pytest
import torch

from genossl.pretext.heads import summary
from genossl.pretext.losses import variance_invariance_covariance


def by_hand(one, two):
    """Equations 1 to 6 of the paper, a channel at a time, in Python floats."""
    n, width = one.shape
    views = one.tolist(), two.tolist()
    invariance = sum((views[0][i][j] - views[1][i][j]) ** 2 for i in range(n) for j in range(width)) / (n * width)
    variance = covariance = 0.0
    for rows in views:
        mean = [sum(row[j] for row in rows) / n for j in range(width)]
        for a in range(width):
            for b in range(width):
                c = sum((row[a] - mean[a]) * (row[b] - mean[b]) for row in rows) / (n - 1)
                if a == b:
                    variance += max(0.0, 1 - math.sqrt(c + 1e-4)) / width / 2
                else:
                    covariance += c**2 / width
    return invariance, variance, covariance


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_equals_the_loop(scale):
    torch.manual_seed(0)
    one, two = scale * torch.randn(2, 9, 4)
    assert variance_invariance_covariance(one, two) == pytest.approx(by_hand(one, two), rel=1e-4, abs=1e-7)


def test_a_collapsed_batch():
    found = variance_invariance_covariance(torch.full((6, 4), 2.0), torch.full((6, 4), 2.0))
    assert found == pytest.approx((0.0, 0.99, 0.0), abs=1e-6)


def test_a_perfect_batch_costs_nothing():
    """Orthogonal channels of deviation 1, equal in both views."""
    signs = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * (3 / 4) ** 0.5 * 1.01
    assert variance_invariance_covariance(signs, signs) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


def test_copies_of_one_channel_are_the_dearest_covariance():
    torch.manual_seed(0)
    x = torch.randn(50, 1)
    x = (x - x.mean()) / x.std()
    found = variance_invariance_covariance(x.expand(-1, 5), x.expand(-1, 5))
    assert found.covariance.item() == pytest.approx(2 * 5 * 4 / 5, rel=1e-5)


def test_no_order_of_rows_or_channels_matters():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 4)
    rows, channels = torch.randperm(9), torch.randperm(4)
    expected = [x.item() for x in variance_invariance_covariance(one, two)]
    for a, b in ((one[rows], two[rows]), (one[:, channels], two[:, channels]), (two, one)):
        assert [x.item() for x in variance_invariance_covariance(a, b)] == pytest.approx(expected, rel=1e-5)


def test_the_method_weighs_the_terms_as_published():
    method, views = pairs.made("vicreg", hidden=8)
    one, two = (method.head(summary(method.encoder, views[f"{name}_tokens"])) for name in ("one", "two"))
    invariance, variance, covariance = by_hand(one, two)
    terms = {name: term.item() for name, term in method.loss(views).terms.items()}
    expected = {"invariance": 25 * invariance, "variance": 25 * variance, "covariance": covariance}
    assert terms == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_collapsed_network_costs_24_75():
    method, views = pairs.made("vicreg", hidden=8)
    with torch.no_grad():
        method.head[-1].weight.zero_()
    total = sum(term.item() for term in method.loss(views).terms.values())
    assert total == pytest.approx(24.75, abs=1e-5)


def test_batchnorm_stands_in_the_head_alone():
    method, _ = pairs.made("vicreg")
    norms = [name for name, module in method.named_modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert norms
    assert all(name.startswith("head") for name in norms)
