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
