"""InfoNCE against closed forms, a loop, and what it must not depend on."""

import math

import pytest
import torch
from torch.nn import functional as F

from genossl.pretext.losses import info_nce


def by_hand(q, k, temperature, excluded=None):
    """One row after the other, in Python floats."""
    n = len(q)
    total = 0.0
    for r in range(n):
        positive = (r + n // 2) % n
        scores = {}
        for c in range(n):
            if c == r or (excluded is not None and excluded[r][c] and c != positive):
                continue
            dot = float(q[r] @ k[c])
            if temperature > 0:
                dot /= float(q[r].norm() * k[c].norm()) * temperature
            scores[c] = dot
        total += math.log(sum(math.exp(s) for s in scores.values())) - scores[positive]
    return total / n


@pytest.mark.parametrize("temperature", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("exclude", [False, True])
def test_equals_a_loop(temperature, exclude):
    torch.manual_seed(0)
    q, k = torch.randn(12, 5, dtype=torch.float64), torch.randn(12, 5, dtype=torch.float64)
    excluded = torch.rand(12, 12) < 0.3 if exclude else None
    found = info_nce(q, k, temperature, excluded).loss.item()
    assert found == pytest.approx(by_hand(q, k, temperature, excluded), rel=1e-5)


@pytest.mark.parametrize("pairs,temperature", [(16, 1.0), (16, 0.5), (16, 0.1), (4, 0.2)])
def test_equal_positives_and_orthogonal_negatives(pairs, temperature):
    z = torch.eye(pairs).repeat(2, 1)
    expected = math.log(1 + (2 * pairs - 2) * math.exp(-1 / temperature))
    assert info_nce(z, z, temperature).loss.item() == pytest.approx(expected, abs=1e-6)


def test_collapse_and_chance():
    same = torch.ones(16, 8)
    found = info_nce(same, same, 0.1)
    assert found.loss.item() == pytest.approx(math.log(15), abs=1e-5)
    assert found.candidates.item() == 15
    zero = torch.zeros(16, 8)  # a context that says nothing: log of the number of candidates
    assert info_nce(zero, torch.randn(16, 8), 0.0).loss.item() == pytest.approx(math.log(15), abs=1e-6)


def test_never_below_the_simplex_bound():
    torch.manual_seed(0)
    n, t = 8, 0.3
    bound = math.log(1 + (2 * n - 2) * math.exp(-(1 + 1 / (n - 1)) / t))
    for _ in range(50):
        z = torch.randn(n, 32).repeat(2, 1) + 0.1 * torch.randn(2 * n, 32)
        assert info_nce(z, z, t).loss.item() >= bound


def test_known_value_of_nt_xent():
    """The value that two independent libraries give for these tensors (NT-Xent, 16 pairs, 32 channels, 0.2)."""
    torch.manual_seed(0)
    a, b = torch.randn(16, 32), torch.randn(16, 32)
    z = F.normalize(torch.cat([a, b]), dim=1)
    logits = z @ z.T / 0.2
    logits.fill_diagonal_(-1e9)
    target = torch.arange(32).roll(16)
    assert info_nce(torch.cat([a, b]), torch.cat([a, b]), 0.2).loss.item() == pytest.approx(
        F.cross_entropy(logits, target).item(), abs=1e-6
    )


def test_scale_invariance_of_cosine_and_permutation_of_pairs():
    torch.manual_seed(1)
    q = torch.randn(20, 6)
    assert torch.allclose(info_nce(q, q, 0.2).loss, info_nce(7 * q, 0.1 * q, 0.2).loss, atol=1e-6)
    order = torch.randperm(10)
    both = torch.cat([order, order + 10])
    assert torch.allclose(info_nce(q, q, 0.2).loss, info_nce(q[both], q[both], 0.2).loss, atol=1e-6)


def test_without_negatives_the_loss_is_zero_and_finite():
    q = torch.randn(8, 4, requires_grad=True)
    found = info_nce(q, q, 0.1, torch.ones(8, 8, dtype=torch.bool))
    found.loss.backward()
    assert found.loss.item() == pytest.approx(0, abs=1e-6)
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_leading_dimensions_are_averaged():
    torch.manual_seed(2)
    q, k = torch.randn(3, 2, 8, 5), torch.randn(3, 2, 8, 5)
    parts = [info_nce(q[i, j], k[i, j], 0.1).loss for i in range(3) for j in range(2)]
    assert torch.allclose(info_nce(q, k, 0.1).loss, torch.stack(parts).mean(), atol=1e-6)
