"""Training a classifier on few or many labels: early stopping on validation rows, all weights or the head first.

Head first (LP-FT): Kumar, Raghunathan, Jones, Ma, Liang 2022, "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", ICLR, arXiv 2202.10054: a linear probe of the frozen network is where fine-tuning
starts, so that a head that knows nothing does not first spoil what was pretrained.
"""

# N training rows, V watched rows, B rows of a batch, F features, K outputs

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from genossl.genome.alphabet import reverse_complement
from genossl.model.classifier import Classifier, logits, parts, vectors
from genossl.model.objective import Objective

CLIP = 1.0  # largest norm of the gradient
WARMUP, DOWN = 0.1, 0.1  # share of the steps over which the rate rises; what is left of it at the last step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How long and how fast, the same for every network."""

    rate: float  # largest learning rate
    steps: int  # batches at most
    batch: int  # rows
    every: int  # steps from a look at the watched rows to the next
    patience: int  # looks without a better score that end the training
    weight_decay: float  # AdamW


class Rows(NamedTuple):
    """Sequences of tokens and their truth: (n,) class numbers or values, or (n, K) labels."""

    sequences: list[np.ndarray]
    y: np.ndarray


class Scale(NamedTuple):
    """Mean and deviation of the vectors that a frozen trunk makes."""

    mean_F: np.ndarray
    std_F: np.ndarray


class Fitted(NamedTuple):
    """What training came to; the weights are those of `best_step`."""

    best: float  # score of the watched rows
    best_step: int
    steps: int  # done
    curve: list[tuple[int, float]]  # step, score at each look, from step 0 on


def fit(
    module: nn.Module, rows: int, learn: Callable[[np.ndarray], None], judge: Callable[[], float], budget: Budget,
    rng: np.random.Generator,
) -> Fitted:  # fmt: skip
    """Train the weights of `module` and leave it with those that `judge` liked best, the earliest of equals.

    learn(row numbers) leaves gradients on the weights. judge() is asked before the first step, every `every` steps and
    after the last. Raises FloatingPointError for weights that are not finite.
    """
    optimiser = torch.optim.AdamW(module.parameters(), lr=budget.rate, weight_decay=budget.weight_decay)
    curve, best, kept = [(0, judge())], 0, copy.deepcopy(module.state_dict())
    stream, step = _batches(rows, budget.batch, rng), 0
    while step < budget.steps and len(curve) - 1 - best < budget.patience:
        module.train()
        for group in optimiser.param_groups:
            group["lr"] = budget.rate * _pace(step, budget.steps)
        optimiser.zero_grad(set_to_none=True)
        learn(next(stream))
        nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimiser.step()
        step += 1
        if step % budget.every and step < budget.steps:
            continue
        if not all(bool(weights.isfinite().all()) for weights in module.parameters()):
            raise FloatingPointError(f"a weight is not finite after step {step} at a rate of {budget.rate:g}")
        curve.append((step, judge()))
        if curve[-1][1] > curve[best][1]:
            best, kept = len(curve) - 1, copy.deepcopy(module.state_dict())
    module.load_state_dict(kept)
    module.eval()
    return Fitted(curve[best][1], curve[best][0], step, curve)


def tune(
    model: Classifier, train: Rows, watched: Rows, objective: Objective, both_strands: bool, budget: Budget,
    rng: np.random.Generator,
) -> Fitted:  # fmt: skip
    """Train all weights; with `both_strands` a sequence is read from either strand, and judged by the mean of both."""

    def learn(rows: np.ndarray) -> None:
        turned = rng.random(len(rows)) < 0.5 if both_strands else np.zeros(len(rows), bool)
        sequences = [
            reverse_complement(train.sequences[row]) if turn else train.sequences[row]
            for row, turn in zip(rows, turned, strict=True)
        ]
        for part in parts(sequences):  # gradients add up, so the batch is one however it is cut
            loss_B = objective.loss(model([sequences[i] for i in part]), train.y[rows[part]])
            (loss_B.sum() / len(rows)).backward()

    def judge() -> float:
        return score(model, watched, objective, both_strands)

    return fit(model, len(train.y), learn, judge, budget, rng)


def tune_head(
    model: Classifier, scale: Scale, train: Rows, watched: Rows, objective: Objective, both_strands: bool,
    budget: Budget, rng: np.random.Generator,
) -> Fitted:  # fmt: skip
    """Train the head alone, on vectors that the frozen trunk is asked for once; the trunk is not touched.

    It is trained on vectors standardised by `scale`, which is folded into its weights at the end. It starts from zero:
    with fewer rows than features a random start would stay in all directions that no row has.
    """
    mean_F, std_F = torch.from_numpy(scale.mean_F), torch.from_numpy(scale.std_F)

    def standardised(sequences: list[np.ndarray]) -> Tensor:
        return torch.stack([(torch.from_numpy(x) - mean_F) / std_F for x in _strands(model, sequences, both_strands)])

    learnt_SNF, judged_SVF = standardised(train.sequences), standardised(watched.sequences)
    head = nn.Linear(model.head.in_features, model.head.out_features)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def learn(rows: np.ndarray) -> None:
        strand_B = torch.from_numpy(rng.integers(0, len(learnt_SNF), len(rows)))
        objective.loss(head(learnt_SNF[strand_B, torch.from_numpy(rows)]), train.y[rows]).mean().backward()

    @torch.inference_mode()
    def judge() -> float:
        return objective.judge(watched.y, objective.scores(head(judged_SVF).mean(0)))

    fitted = fit(head, len(train.y), learn, judge, budget, rng)
    with torch.no_grad():
        weight_KF = head.weight / std_F
        model.head.weight.copy_(weight_KF)
        model.head.bias.copy_(head.bias - weight_KF @ mean_F)
    return fitted


def scale_of(model: Classifier, sequences: Sequence[np.ndarray], both_strands: bool) -> Scale:
    """How the vectors of these sequences are standardised, (F,) each; what never varies is left as it is."""
    x_NF = np.concatenate(_strands(model, sequences, both_strands))
    std_F = x_NF.std(0, dtype=np.float64)
    mean_F = x_NF.mean(0, dtype=np.float64)
    std_F = np.where(std_F > 1e-6 * np.maximum(np.abs(mean_F), 1e-6), std_F, 1.0)
    return Scale(mean_F.astype(np.float32), std_F.astype(np.float32))


def score(model: Classifier, rows: Rows, objective: Objective, both_strands: bool) -> float:
    """How good the network's answers are on these rows."""
    return objective.judge(rows.y, objective.scores(logits(model, rows.sequences, both_strands)))


def _strands(model: Classifier, sequences: Sequence[np.ndarray], both_strands: bool) -> list[np.ndarray]:
    """What the head reads, (n, F), of each strand that counts."""
    read = [vectors(model, sequences)]
    return [*read, vectors(model, [reverse_complement(s) for s in sequences])] if both_strands else read


def _batches(rows: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers, each once before any comes again; a batch has no more rows than there are."""
    batch = min(batch, rows)
    left = rng.permutation(rows)
    while True:
        if len(left) < batch:
            left = np.concatenate([left, rng.permutation(rows)])
        yield left[:batch]
        left = left[batch:]


def _pace(step: int, steps: int) -> float:
    """The learning rate's factor at a step: up in a straight line, then down."""
    return min(1.0, (step + 1) / max(1.0, WARMUP * steps)) * (1 - (1 - DOWN) * step / steps)
