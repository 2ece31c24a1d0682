"""What labels ask of a network, by the kind of the task: a loss of each row, scores, and how good scores are.

Each kind is made from the training rows' truth: weights against imbalance and scales come from nowhere else.
"""

# B rows of a batch, N training rows, M judged rows, K classes or outputs

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genossl.evaluation import scores

Kind = Literal["classes", "multilabel", "regression"]
HEAVIEST = 100.0  # weight of a positive at most, where a label is rare


class Classes:
    """One class of K per row: cross-entropy, each class with the same weight in all, whatever its number of rows."""

    metric = "balanced accuracy"

    def __init__(self, y_N: np.ndarray, outputs: int) -> None:
        self.outputs = outputs
        rows_K = np.bincount(y_N, minlength=outputs)
        self.weight_K = torch.from_numpy(len(y_N) / (outputs * np.maximum(rows_K, 1))).float()

    def loss(self, logits_BK: Tensor, y_B: np.ndarray) -> Tensor:
        """N / (K n_k) times the cross-entropy of each row, (B,): log K for equal logits and equal classes."""
        weight_K, target_B = self.weight_K.to(logits_BK.device), torch.from_numpy(y_B).to(logits_BK.device)
        return F.cross_entropy(logits_BK, target_B, weight_K, reduction="none")

    def scores(self, logits_MK: Tensor) -> np.ndarray:
        """Probabilities, float32 (M, K)."""
        return logits_MK.softmax(-1).numpy()

    def judge(self, y_M: np.ndarray, scores_MK: np.ndarray) -> float:
        """Balanced accuracy."""
        one_M = np.zeros(len(y_M), dtype=np.int64)
        return float(scores.balanced_accuracy(scores.unit_confusions(y_M, scores_MK.argmax(1), one_M, self.outputs)[0]))


class Multilabel:
    """Any of K labels per row, y (N, K) of 0 and 1: binary cross-entropy of each, positives as heavy as negatives."""

    metric = "macro average precision"

    def __init__(self, y_NK: np.ndarray, outputs: int) -> None:
        self.outputs = outputs
        positive_K = y_NK.sum(0)
        ratio_K = (len(y_NK) - positive_K) / np.maximum(positive_K, 1)
        self.weight_K = torch.from_numpy(np.clip(ratio_K, 1 / HEAVIEST, HEAVIEST)).float()

    def loss(self, logits_BK: Tensor, y_BK: np.ndarray) -> Tensor:
        """The mean over labels, (B,); a positive counts (negatives / positives) times."""
        weight_K, target_BK = self.weight_K.to(logits_BK.device), torch.from_numpy(y_BK).to(logits_BK)
        return F.binary_cross_entropy_with_logits(logits_BK, target_BK, pos_weight=weight_K, reduction="none").mean(-1)

    def scores(self, logits_MK: Tensor) -> np.ndarray:
        """One probability per label, float32 (M, K)."""
        return logits_MK.sigmoid().numpy()

    def judge(self, y_MK: np.ndarray, scores_MK: np.ndarray) -> float:
        """The mean average precision of those labels that occur."""
        from sklearn.metrics import average_precision_score

        there = [k for k in range(self.outputs) if y_MK[:, k].any()]
        found = [float(average_precision_score(y_MK[:, k], scores_MK[:, k])) for k in there]
        return float(np.mean(found)) if found else 0.0


class Regression:
    """One number per row: squared error of the standardised truth; scores are in the truth's own unit."""

    metric = "R2"

    def __init__(self, y_N: np.ndarray, outputs: int = 1) -> None:
        self.outputs = outputs
        self.mean, self.std = float(y_N.mean()), float(y_N.std()) or 1.0

    def loss(self, logits_B1: Tensor, y_B: np.ndarray) -> Tensor:
        """(B,); 1 on average where the mean is predicted."""
        target_B = torch.from_numpy((y_B - self.mean) / self.std).to(logits_B1)
        return (logits_B1[:, 0] - target_B) ** 2

    def scores(self, logits_M1: Tensor) -> np.ndarray:
        """Predictions, float32 (M, 1)."""
        return (logits_M1 * self.std + self.mean).numpy()

    def judge(self, y_M: np.ndarray, scores_M1: np.ndarray) -> float:
        """1 - squared error / variance: 1 perfect, 0 for the mean of the judged rows; 0 where these do not vary."""
        spread = float(((y_M - y_M.mean()) ** 2).sum())
        return 1 - float(((y_M - scores_M1[:, 0]) ** 2).sum()) / spread if spread else 0.0


Objective = Classes | Multilabel | Regression
KINDS: dict[str, type[Classes] | type[Multilabel] | type[Regression]] = {
    "classes": Classes,
    "multilabel": Multilabel,
    "regression": Regression,
}
