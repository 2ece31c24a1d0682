"""How much of a decision hangs on each base, by changing bases and asking again; captum's perturbations.

Asking works for whatever turns bases into a number. Gradients would not: the k-mer front end counts, and so do the
k-mer baselines; a count has no derivative in a base.
"""

# L bases, B sequences

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genossl.errors import InputError
from genossl.genome.alphabet import N

Method = Literal["ism", "occlusion"]
Score = Callable[[list[np.ndarray]], np.ndarray]  # B sequences of tokens -> float64 (B,)


def library() -> Any:
    """captum.attr; InputError where it is not installed."""
    try:
        import captum.attr
    except ImportError:
        raise InputError("explain needs captum; pip install 'genossl[explain]'") from None
    return captum.attr


def in_silico_mutagenesis(score: Score, tokens_L: np.ndarray, rows: int) -> np.ndarray:
    """By how much the score falls when a base is replaced, the mean of its three substitutions: float64 (L,).

    An N stays, and has 0. `rows`: sequences asked at once, of 3 L in all. For a score that is a sum over bases, such as
    a linear head on the share of G and C, the sum over a sequence is 4 / 3 of its distance from that of mean letters.
    """
    ablation = library().FeatureAblation(_forward(score))
    tokens_1L = torch.from_numpy(tokens_L.astype(np.int64))[None]
    total_L = np.zeros(len(tokens_L))
    for other in (1, 2, 3):
        replaced_1L = torch.where(tokens_1L < N, (tokens_1L + other) % 4, tokens_1L)
        drop_1L = ablation.attribute(tokens_1L, baselines=replaced_1L, perturbations_per_eval=rows)
        total_L += drop_1L[0].numpy()
    return total_L / 3


def occlusion(score: Score, tokens_L: np.ndarray, rows: int, span: int, stride: int) -> np.ndarray:
    """By how much the score falls when `span` bases are N, every `stride` bases: float64 (L,).

    A base has the mean over the spans that cover it. As many sequences are asked as there are spans.
    """
    hidden = library().Occlusion(_forward(score))
    tokens_1L = torch.from_numpy(tokens_L.astype(np.int64))[None]
    span = min(span, len(tokens_L))
    drop_1L = hidden.attribute(
        tokens_1L, sliding_window_shapes=(span,), strides=min(stride, span), baselines=N, perturbations_per_eval=rows
    )
    return drop_1L[0].numpy().astype(np.float64)


def _forward(score: Score) -> Callable[[Tensor], Tensor]:
    def forward(tokens_BL: Tensor) -> Tensor:
        return torch.from_numpy(score(list(tokens_BL.numpy().astype(np.uint8))))

    return forward
