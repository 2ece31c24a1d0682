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


def two_towers(one_NP: Tensor, two_NP: Tensor, log_scale: Tensor, excluded_NN: Tensor | None = None) -> Contrast:
    """The symmetric contrast of two towers, whose row i belongs with row i: the mean of finding either from the other.

    Cosines times exp(log_scale). `excluded_NN` removes candidates (True), never the partner. Radford et al. 2021, arXiv
    2103.00020, figure 3. Equal vectors everywhere give log N; a row without other candidates gives 0.
    """
    with torch.autocast(one_NP.device.type, enabled=False):  # exp(log_scale) may be 100
        one_NP, two_NP = F.normalize(one_NP.float(), dim=-1), F.normalize(two_NP.float(), dim=-1)
        logits_NN = log_scale.float().exp() * one_NP @ two_NP.T
    row = torch.arange(len(logits_NN), device=logits_NN.device)
    removed_NN = torch.zeros_like(logits_NN, dtype=torch.bool)
    if excluded_NN is not None:
        removed_NN = excluded_NN & (row[:, None] != row)
    logits_2NN = torch.stack(
        [logits_NN.masked_fill(removed_NN, -torch.inf), logits_NN.T.masked_fill(removed_NN.T, -torch.inf)]
    )
    loss = F.cross_entropy(logits_2NN.flatten(0, 1), row.repeat(2))
    with torch.no_grad():
        top1 = (logits_2NN.argmax(-1) == row).float().mean()
        candidates = (~removed_NN).float().sum(-1).mean()
    return Contrast(loss, top1, candidates)


def matching(queries_XNP: Tensor, keys_XNP: Tensor, temperature: float, excluded_XNN: Tensor | None = None) -> Contrast:
    """Softmax cross-entropy where query r of a group belongs to key r, and all N keys of the group are candidates.

    `temperature` and `excluded_XNN` (broadcast over X) as in info_nce; positives are never excluded. van den Oord, Li,
    Vinyals 2018, arXiv 1807.03748, eq. 4: log N minus the loss is a lower bound of the mutual information of the pair.
    Queries of zero give log N.
    """
    if temperature > 0:
        queries_XNP, keys_XNP = F.normalize(queries_XNP, dim=-1), F.normalize(keys_XNP, dim=-1) / temperature
    logits_XNN = (queries_XNP @ keys_XNP.transpose(-1, -2)).float()
    n = logits_XNN.shape[-1]
    row_N = torch.arange(n, device=logits_XNN.device)
    candidates = torch.tensor(float(n), device=row_N.device)
    if excluded_XNN is not None:
        excluded_XNN = excluded_XNN & (row_N[:, None] != row_N)
        logits_XNN = logits_XNN.masked_fill(excluded_XNN, -torch.inf)
        candidates = (~excluded_XNN).sum(-1).float().mean()
    loss = F.cross_entropy(logits_XNN.flatten(0, -2), row_N.expand(logits_XNN.shape[:-1]).flatten())
    return Contrast(loss, (logits_XNN.detach().argmax(-1) == row_N).float().mean(), candidates)


def logistic_contrast(positive_X: Tensor, negative_XM: Tensor) -> Contrast:
    """-log sigma(positive) - sum over M of log sigma(-negative), mean over X; scores of zero give (1 + M) log 2.

    Schneider, Baevski, Collobert, Auli 2019, arXiv 1904.05862, eq. 2, with lambda = M.
    """
    positive_X, negative_XM = positive_X.float(), negative_XM.float()
    loss = F.softplus(-positive_X).mean() + F.softplus(negative_XM).sum(-1).mean()
    return Contrast(loss, *_choice(positive_X, negative_XM))


def softmax_contrast(positive_X: Tensor, negative_XM: Tensor, excluded_XM: Tensor) -> Contrast:
    """Softmax cross-entropy of the positive among itself and the negatives that are not excluded, mean over X.

    Baevski, Zhou, Mohamed, Auli 2020, arXiv 2006.11477, eq. 3. Equal scores give the mean log of the candidates.
    """
    negative_XM = negative_XM.float().masked_fill(excluded_XM, -torch.inf)
    positive_X = positive_X.float()
    everything_X = torch.cat([positive_X[..., None], negative_XM], -1).logsumexp(-1)
    return Contrast((everything_X - positive_X).mean(), *_choice(positive_X, negative_XM))


@torch.no_grad()
def _choice(positive_X: Tensor, negative_XM: Tensor) -> tuple[Tensor, Tensor]:
    """Share of positives above all negatives, and the mean number of candidates; -inf is no candidate."""
    top1 = (positive_X[..., None] > negative_XM).all(-1).float().mean()
    return top1, 1 + negative_XM.isfinite().sum(-1).float().mean()


def diversity(shares_GV: Tensor) -> Tensor:
    """(GV - sum over G of exp H(p_g)) / GV: 0 where every entry is used alike, (V - 1) / V where each group uses one.

    Baevski, Zhou, Mohamed, Auli 2020, arXiv 2006.11477: its eq. 4 names the entropy H, its authors' code exp H.
    """
    entropy_G = -torch.xlogy(shares_GV, shares_GV.clamp(min=1e-30)).sum(-1)
    return 1 - entropy_G.exp().sum() / shares_GV.numel()
