"""Losses of tensors and numbers."""

# X leading dimensions, N rows, P channels

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Contrast(NamedTuple):
    """A contrast's loss, and how well its choice went."""

    loss: Tensor  # scalar, nats
    top1: Tensor  # share of rows whose positive scores highest, scalar
    candidates: Tensor  # mean number of keys that a row chooses among, scalar; 1 / candidates is chance


def info_nce(queries_XNP: Tensor, keys_XNP: Tensor, temperature: float, excluded_XNN: Tensor | None = None) -> Contrast:
    """Softmax cross-entropy of finding each row's positive among the keys of its group.

    The N rows of a group are two halves that belong together: row r's positive is key r + N/2 (mod N), and the key of
    its own index is never a candidate. `temperature` > 0 takes cosines divided by it; 0 takes raw dot products.
    `excluded_XNN` removes more candidates (True), never positives. van den Oord et al. 2018, arXiv 1807.03748, eq. 4;
    Chen et al. 2020, arXiv 2002.05709, eq. 1 for two equal towers.

    Equal vectors everywhere give log(N - 1); a row without negatives gives 0.
    """
    if temperature > 0:
        queries_XNP, keys_XNP = F.normalize(queries_XNP, dim=-1), F.normalize(keys_XNP, dim=-1) / temperature
    logits_XNN = (queries_XNP @ keys_XNP.transpose(-1, -2)).float()
    n = logits_XNN.shape[-1]
    row = torch.arange(n, device=logits_XNN.device)
    positive = row.roll(-(n // 2))
    removed = torch.eye(n, dtype=torch.bool, device=row.device)
    if excluded_XNN is not None:
        kept = F.one_hot(positive, n).bool()
        removed = removed | (excluded_XNN & ~kept)
    logits_XNN = logits_XNN.masked_fill(removed, -torch.inf)
    target = positive.expand(logits_XNN.shape[:-1]).reshape(-1)
    loss = F.cross_entropy(logits_XNN.reshape(-1, n), target)
    with torch.no_grad():
        top1 = (logits_XNN.argmax(-1) == positive).float().mean()
        candidates = (~removed).float().sum(-1).mean()
    return Contrast(loss, top1, candidates)


class Choice(NamedTuple):
    """How often the partner is the nearest, on the log beside every loss of pairs."""

    top1: Tensor  # share of rows, both directions, scalar
    candidates: Tensor  # rows to choose among, scalar


@torch.no_grad()
def retrieval(one_NP: Tensor, two_NP: Tensor) -> Choice:
    """Each row looks for its partner, the row of the same index, by cosine in the other view; chance is 1 / N."""
    cosine_NN = F.normalize(one_NP.float(), dim=-1) @ F.normalize(two_NP.float(), dim=-1).T
    row = torch.arange(len(one_NP), device=one_NP.device)
    found = torch.cat([cosine_NN.argmax(0) == row, cosine_NN.argmax(1) == row])
    return Choice(found.float().mean(), torch.tensor(float(len(row)), device=row.device))


def attraction(one_XP: Tensor, two_XP: Tensor) -> Tensor:
    """Mean squared distance of rows that belong together; 0 for equal rows.

    Hadsell, Chopra, LeCun 2006, doi 10.1109/CVPR.2006.100, eq. 4 at Y = 0, twice.
    """
    return (one_XP.float() - two_XP.float()).square().sum(-1).mean()


def repulsion(one_XP: Tensor, two_XP: Tensor, margin: float, kept_X: Tensor | None = None) -> Tensor:
    """Mean of relu(margin - d)^2 over rows that do not belong together (those of `kept_X`); eq. 4 at Y = 1, twice.

    Equal rows give margin^2, rows at least `margin` apart 0; no row at all gives 0.
    """
    squared_X = (one_XP.float() - two_XP.float()).square().sum(-1)
    push_X = (margin - (squared_X + 1e-8).sqrt()).relu().square()  # 1e-8: the root has no slope at 0
    if kept_X is None:
        return push_X.mean()
    return (push_X * kept_X).sum() / kept_X.sum().clamp(min=1)


def regression(predictions_NP: Tensor, targets_NP: Tensor) -> Tensor:
    """2 - 2 cosine, the squared distance of the normalised vectors: 0 for equal directions, 4 for opposite ones.

    Grill et al. 2020, arXiv 2006.07733, eq. 2. No gradient flows to the targets.
    """
    cosine_N = F.cosine_similarity(predictions_NP.float(), targets_NP.detach().float(), dim=-1)
    return (2 - 2 * cosine_N).mean()


class Regularised(NamedTuple):
    """The three terms of VICReg, without weights."""

    invariance: Tensor  # mean squared difference of partners
    variance: Tensor  # how far the channels' deviations fall short of 1, mean of both views
    covariance: Tensor  # squared covariances of different channels over P, sum of both views


def variance_invariance_covariance(one_NP: Tensor, two_NP: Tensor) -> Regularised:
    """Partners alike, every channel with a deviation of 1, no two channels saying the same.

    Bardes, Ponce, LeCun 2022, arXiv 2105.04906, eq. 1 to 6. Constant rows give invariance 0, variance 1 - sqrt(1e-4) =
    0.99 and covariance 0.
    """
    one_NP, two_NP = one_NP.float(), two_NP.float()
    short = [(1 - (x_NP.var(0) + 1e-4).sqrt()).relu().mean() for x_NP in (one_NP, two_NP)]
    shared = []
    for x_NP in (one_NP, two_NP):
        n, width = x_NP.shape
        centred_NP = x_NP - x_NP.mean(0)
        with torch.autocast(x_NP.device.type, enabled=False):
            covariance_PP = centred_NP.T @ centred_NP / (n - 1)
        shared.append((covariance_PP.square().sum() - covariance_PP.diagonal().square().sum()) / width)
    return Regularised(F.mse_loss(one_NP, two_NP), (short[0] + short[1]) / 2, shared[0] + shared[1])
