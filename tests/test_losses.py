"""InfoNCE against closed forms, a loop, and what it must not depend on."""

import math

import pytest
import torch
from torch.nn import functional as F

from genossl.pretext.losses import diversity, info_nce, logistic_contrast, matching, softmax_contrast


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


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("exclude", [False, True])
def test_matching_rows_equals_cross_entropy_of_the_diagonal(temperature, exclude):
    torch.manual_seed(0)
    q, k = torch.randn(3, 2, 9, 5), torch.randn(3, 2, 9, 5)
    excluded = torch.rand(3, 1, 9, 9) < 0.3 if exclude else None
    losses = []
    for i in range(3):
        for j in range(2):
            for r in range(9):
                kept = [c for c in range(9) if c == r or excluded is None or not excluded[i, 0, r, c]]
                scores = torch.stack([q[i, j, r] @ k[i, j, c] for c in kept])
                if temperature:
                    norms = torch.stack([q[i, j, r].norm() * k[i, j, c].norm() for c in kept])
                    scores = scores / norms / temperature
                losses.append(F.cross_entropy(scores, torch.tensor(kept.index(r))).item())
    found = matching(q, k, temperature, excluded)
    assert found.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_matching_has_the_values_of_cpc_and_wav2vec_for_a_context_of_zero():
    """log 129 and log 11: what the reference implementations give for 128 and for 10 negatives."""
    assert matching(torch.zeros(129, 4), torch.randn(129, 4), 0.0).loss.item() == pytest.approx(4.859813, abs=1e-6)
    eleven = softmax_contrast(torch.zeros(5), torch.zeros(5, 10), torch.zeros(5, 10, dtype=torch.bool))
    assert eleven.loss.item() == pytest.approx(2.397896, abs=1e-6)
    assert eleven.candidates.item() == 11
    assert eleven.top1.item() == 0  # a tie is no answer


def test_logistic_contrast_is_binary_cross_entropy_with_every_candidate_counting():
    torch.manual_seed(0)
    positive, negative = torch.randn(4, 6), 3 * torch.randn(4, 6, 5)
    scores = torch.cat([positive[..., None], negative], -1)
    label = torch.zeros_like(scores).index_fill(-1, torch.tensor([0]), 1.0)
    expected = F.binary_cross_entropy_with_logits(scores, label, reduction="none").sum(-1).mean()
    found = logistic_contrast(positive, negative)
    torch.testing.assert_close(found.loss, expected)
    assert found.top1.item() == pytest.approx((scores.argmax(-1) == 0).float().mean().item())
    assert found.candidates.item() == 6
    assert logistic_contrast(torch.zeros(3), torch.zeros(3, 10)).loss.item() == pytest.approx(11 * math.log(2))


def test_excluded_distractors_are_as_if_they_were_not_there():
    torch.manual_seed(0)
    positive, negative = torch.randn(6), torch.randn(6, 5)
    excluded = torch.zeros(6, 5, dtype=torch.bool)
    excluded[:, [1, 4]] = True
    fewer = softmax_contrast(positive, negative[:, [0, 2, 3]], torch.zeros(6, 3, dtype=torch.bool))
    found = softmax_contrast(positive, negative, excluded)
    assert all(torch.allclose(a, b) for a, b in zip(found, fewer, strict=True))
    none = softmax_contrast(positive.requires_grad_(), negative, torch.ones_like(excluded))
    none.loss.backward()
    assert none.loss.item() == 0
    assert positive.grad.isfinite().all()


@pytest.mark.parametrize("groups,entries", [(2, 320), (1, 5), (4, 64)])
def test_diversity_is_0_for_all_entries_and_largest_for_one(groups, entries):
    size = groups * entries
    uniform = torch.full((groups, entries), 1 / entries)
    one = torch.eye(entries)[:1].repeat(groups, 1)
    assert diversity(uniform).item() == pytest.approx(0, abs=1e-5)
    assert diversity(one).item() == pytest.approx((size - groups) / size, abs=1e-6)
    if size == 640:
        assert diversity(one).item() == pytest.approx(0.996875, abs=1e-6)
    half = torch.where(torch.arange(entries) < entries // 2, 1.0, 0.0).repeat(groups, 1) / (entries // 2)
    assert diversity(half).item() == pytest.approx(1 - groups * (entries // 2) / size, abs=1e-5)
    one.requires_grad_()
    diversity(one).backward()
    assert one.grad.isfinite().all()
