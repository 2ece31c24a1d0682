"""Spread, effective rank, and the watch that says once, in time, what went wrong."""

from __future__ import annotations

import math

import numpy as np
import planted
import pytest
import torch

from genossl.genome.alphabet import reverse_complement
from genossl.model.collapse import (
    Watch,
    alignment,
    composition_retrieval,
    effective_rank,
    rank_me,
    spread,
    uniformity,
)


def test_spread_in_closed_form() -> None:
    for p in (2, 8, 64):
        assert spread(torch.eye(p)).item() == pytest.approx(math.sqrt(1 - 1 / p), rel=1e-5)
        both = torch.cat([torch.ones(5, p), -torch.ones(5, p)])
        assert spread(both).item() == pytest.approx(1, rel=1e-5)
        assert spread(torch.ones(9, p)).item() == pytest.approx(0, abs=1e-3)
    gaussian = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert spread(gaussian).item() == pytest.approx(1, abs=0.02)
    assert spread(7 * gaussian).item() == pytest.approx(spread(gaussian).item(), rel=1e-5)


@pytest.mark.parametrize("directions", [1, 2, 5, 16])
def test_rank_counts_orthogonal_directions_of_equal_variance(directions: int) -> None:
    axes = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)))[0][:directions]
    rows = torch.cat([axes, -axes]) + torch.randn(16, generator=torch.Generator().manual_seed(2))
    assert effective_rank(rows).item() == pytest.approx(directions, rel=1e-3)


def test_rank_is_the_participation_ratio_of_the_eigenvalues() -> None:
    x = np.random.default_rng(0).normal(size=(200, 6)) * [5, 3, 1, 1, 0.1, 0]
    values = np.linalg.eigvalsh(np.cov(x.T))
    expected = values.sum() ** 2 / (values**2).sum()
    assert effective_rank(torch.from_numpy(x)).item() == pytest.approx(expected, rel=1e-4)
    assert effective_rank(torch.full((7, 5), 0.25)).item() == 0


def test_rankme_in_closed_form() -> None:
    q = torch.linalg.qr(torch.randn(64, 16, generator=torch.Generator().manual_seed(0)))[0]
    assert rank_me(q).item() == pytest.approx(16, rel=1e-4)
    assert rank_me(torch.ones(9, 1) @ q[:1]).item() == pytest.approx(1, rel=1e-3)
    assert rank_me(torch.cat([q[:, :3], torch.zeros(64, 5)], 1)).item() == pytest.approx(3, rel=1e-3)
    assert rank_me(7 * q).item() == pytest.approx(rank_me(q).item(), rel=1e-5)


def test_rankme_sees_an_offset_and_the_participation_ratio_does_not() -> None:
    x = 1 + 1e-3 * torch.randn(500, 16, generator=torch.Generator().manual_seed(0))
    assert rank_me(x).item() < 1.1
    assert effective_rank(x).item() > 14


def test_alignment_in_closed_form() -> None:
    eye = torch.eye(6)
    assert alignment(eye, 3 * eye).item() == pytest.approx(0, abs=1e-6)
    assert alignment(eye, eye.roll(1, 0)).item() == pytest.approx(2)
    assert alignment(eye, -eye).item() == pytest.approx(4)


def test_uniformity_in_closed_form() -> None:
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0, abs=1e-5)
    assert uniformity(5 * torch.eye(7)).item() == pytest.approx(-4, rel=1e-5)
    # evenly on the sphere of P dimensions the cosine has variance 1 / P: log E exp(4 cos - 4) is near -4 + 8 / P
    sphere = torch.randn(3000, 64, generator=torch.Generator().manual_seed(0))
    assert uniformity(sphere).item() == pytest.approx(-4 + 8 / 64, abs=0.005)


def test_composition_finds_partners_that_share_it_and_no_others() -> None:
    rng = np.random.default_rng(0)
    sources = [planted.symmetric(rng, 4, 0.8) for _ in range(40)]
    pair = [torch.from_numpy(np.stack([planted.sample(rng, source, 400) for source in sources])) for _ in range(2)]
    found = composition_retrieval(*pair)
    assert found["candidates"] == 40
    assert found["kmer4"] > 0.5
    turned = composition_retrieval(pair[0], reverse_complement(pair[1]))
    assert turned == found
    by_gc = [
        torch.from_numpy(np.stack([rng.choice(4, 3000, p=[(1 - g) / 2, g / 2, g / 2, (1 - g) / 2]) for g in shares]))
        for shares in [np.linspace(0.1, 0.9, 12)] * 2
    ]
    assert composition_retrieval(*(view.byte() for view in by_gc))["gc"] > 0.9
    any_base = [torch.from_numpy(rng.integers(0, 4, (200, 400)).astype(np.uint8)) for _ in range(2)]
    null = composition_retrieval(*any_base)
    assert max(null["kmer4"], null["gc"]) < 8 / 200
    same = composition_retrieval(any_base[0], any_base[0])
    assert same["kmer4"] == 1


def look(watch: Watch, steps: int, std: float = 0.9, top1: float | None = 0.5, keys: float | None = 255):
    """What the watch says over the first `steps` steps of equal numbers: (step, sentence)."""
    said = [(step, watch.look(step, std, top1, keys)) for step in range(1, steps + 1)]
    return [(step, sentence) for step, sentence in said if sentence]


@pytest.mark.parametrize("numbers", [{"std": 0.01}, {"std": 0.0, "top1": None}])
def test_collapse_is_said_once_and_before_a_fifth_of_the_steps(numbers: dict) -> None:
    for steps in (100, 800):
        watch = Watch(steps)
        [(step, sentence)] = look(watch, steps, **numbers)
        assert step < steps / 5
        assert sentence.startswith(f"collapse at step {step}: ")
        assert watch.warned == {"collapse": step}


def test_a_shortcut_is_said_once_and_before_a_fifth_of_the_steps() -> None:
    for steps in (100, 800):
        [(step, sentence)] = look(Watch(steps), steps, top1=1.0)
        assert step < steps / 5
        assert sentence.startswith(f"shortcut at step {step}: ")
        assert "top-1 1.000 of 255" in sentence


def test_both_can_be_said() -> None:
    assert len(look(Watch(100), 100, std=0, top1=1.0)) == 2


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"std": 0.11},
        {"top1": 0.98},
        {"top1": 1.0, "keys": 15},
        {"top1": None, "keys": None},
    ],
)
def test_healthy_series_are_never_complained_about(numbers: dict) -> None:
    assert look(Watch(500), 500, **numbers) == []


def test_single_bad_steps_and_a_pretext_solved_late_are_healthy() -> None:
    watch = Watch(500)
    for step in range(1, 501):
        bad = step % 10 != 0  # nine in a row, then a good one
        top1 = 1.0 if step >= 100 or bad else 0.5
        assert watch.look(step, 0.01 if bad else 0.9, top1, 255) is None


def test_a_watch_that_is_saved_goes_on_where_it_was() -> None:
    import dataclasses

    watch = Watch(100)
    assert look(watch, 9, std=0) == []
    again = Watch(**dataclasses.asdict(watch))
    assert again.look(10, 0, 0.5, 255)
    assert again.look(11, 0, 0.5, 255) is None
