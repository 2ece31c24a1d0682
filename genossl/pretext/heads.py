"""What stands on the encoder during pretraining only: projectors, teachers, predictors set in closed form."""

# B windows, L bases, T frames, S bases of a stride, C context channels, P projection, M frames that are asked

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.errors import InputError
from genossl.genome.alphabet import MASK, N, reverse_complement
from genossl.model.encoder import Encoder


def check_length(name: str, length: int, encoder: Encoder) -> None:
    """Raises InputError for windows that hold no frame."""
    if encoder.frames(length) < 1:
        raise InputError(f"{name}.length {length}: holds no frame of {encoder.width} bases (encoder.width)")


def summary(encoder: Encoder, tokens_BL: Tensor) -> Tensor:
    """The context after the whole window, (B, C): what embeddings are made of."""
    last_11 = torch.full((1, 1), encoder.frames(tokens_BL.shape[1]) - 1, device=tokens_BL.device)
    return encoder(tokens_BL, at_BS=last_11).c[:, 0]


def read_both_ways(encoder: Encoder, tokens_BL: Tensor) -> Tensor:
    """What is read up to each frame from the left and, on the other strand, from the right, (B, T, 2C).

    A causal encoder thus sees the whole window around every frame, and both directions share its weights. The window
    must end with a frame, else the strands' frames do not cover the same bases: see check_whole_frames.
    """
    left_BTC, right_BTC = encoder(torch.cat([tokens_BL, reverse_complement(tokens_BL)])).c.chunk(2)
    return torch.cat([left_BTC, right_BTC.flip(1)], -1)


def check_whole_frames(name: str, length: int, encoder: Encoder) -> None:
    """Raises InputError for windows that hold no frame or do not end with one."""
    check_length(name, length, encoder)
    if over := (length - encoder.width) % encoder.stride:
        raise InputError(
            f"{name}.length {length}: the last {over} bases are in no frame of {encoder.width} bases every "
            f"{encoder.stride}; use {length - over} or {length - over + encoder.stride}"
        )


def check_sees_bases(name: str, encoder: Encoder, preset: str) -> None:
    """Raises InputError for a front end that counts k-mers, from which single bases cannot be told."""
    if encoder.settings.front != "conv":
        raise InputError(
            f"{name}: needs encoder.front conv, found {encoder.settings.front}, which counts and cannot tell single "
            f"bases; start from --config {preset}"
        )


def projector(inputs: int, outputs: int, hidden: int = 0, norm: bool = False) -> nn.Sequential:
    """GELU and a linear map, or with `hidden` units two of them and optionally a BatchNorm between.

    It opens with a nonlinearity because an encoder ends with a linear map. There are no biases: losses of differences
    and BatchNorm cancel them, and a weight that cancels out would drift.
    """
    if not hidden:
        return nn.Sequential(nn.GELU(), nn.Linear(inputs, outputs, bias=False))
    between = nn.BatchNorm1d(hidden) if norm else nn.Identity()
    layers = (nn.Linear(inputs, hidden, bias=False), between, nn.GELU(), nn.Linear(hidden, outputs, bias=False))
    return nn.Sequential(nn.GELU(), *layers)


def predictor(width: int, hidden: int, norm: bool = True) -> nn.Sequential:
    """P -> hidden -> P, from the student's projection to the teacher's (Grill et al. 2020, section 3.2)."""
    between = nn.BatchNorm1d(hidden) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(width, hidden, bias=False), between, nn.ReLU(), nn.Linear(hidden, width))


class Teacher(nn.Module):
    """A copy of a student's encoder and projector that no gradient reaches and that follows their moving average."""

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = copy.deepcopy(encoder), copy.deepcopy(head)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, tokens_BL: Tensor) -> Tensor:
        """The projection of the whole window, (B, P)."""
        return self.head(summary(self.encoder, tokens_BL))

    @torch.no_grad()
    def match(self, encoder: Encoder, head: nn.Module) -> None:
        """Take over the student's statistics: of k-mers, fitted after the copy was made, and of BatchNorm."""
        for own, student in ((self.encoder, encoder), (self.head, head)):
            for mine, theirs in zip(own.buffers(), student.buffers(), strict=True):
                mine.copy_(theirs)

    @torch.no_grad()
    def follow(self, encoder: Encoder, head: nn.Module, momentum: float) -> None:
        """Weights become momentum * own + (1 - momentum) * the student's."""
        for own, student in ((self.encoder, encoder), (self.head, head)):
            for mine, theirs in zip(own.parameters(), student.parameters(), strict=True):
                mine.mul_(momentum).add_(theirs, alpha=1 - momentum)


def direct_set(correlation_PP: Tensor, alpha: float, epsilon: float) -> Tensor:
    """U diag(p) U' for the correlation U diag(s) U', with p = (s / max s)^alpha + epsilon, at least 1e-4.

    Tian, Chen, Ganguli 2021, arXiv 2102.06810, eq. 18 with s normalised first; alpha 1/2 is DirectPred, any other
    DirectSet (Wang et al. 2021, arXiv 2110.04947). diag(4, 1, .25, 0) with alpha .5 and epsilon .01 gives
    diag(1.01, .51, .26, .01); a correlation of zero gives the identity.
    """
    s_P, u_PP = torch.linalg.eigh(correlation_PP)
    largest = s_P[-1]
    p_P = ((s_P.clamp(min=0) / largest.clamp(min=1e-30)).pow(alpha) + epsilon).clamp(min=1e-4)
    return torch.where(largest > 0, (u_PP * p_P) @ u_PP.T, torch.eye(len(s_P), device=s_P.device))


def direct_copy(correlation_PP: Tensor, epsilon: float) -> Tensor:
    """The correlation over its spectral norm, plus epsilon I: DirectSet with alpha 1, without its eigenvectors.

    Wang, Chen, Du, Tian 2021, arXiv 2110.04947. A correlation of zero gives the identity.
    """
    largest = torch.linalg.matrix_norm(correlation_PP, 2)
    eye_PP = torch.eye(len(correlation_PP), device=correlation_PP.device)
    return torch.where(largest > 0, correlation_PP / largest.clamp(min=1e-30) + epsilon * eye_PP, eye_PP)


class Answer(NamedTuple):
    """How well hidden bases were said."""

    loss: Tensor  # cross-entropy over the bases asked for, nats, scalar; 0 where none was
    bits: Tensor  # the same over those read as MASK, where there are any: what a base that is not shown costs, scalar
    top1: Tensor  # share of these that was right, scalar; chance is 1 / 4
    c_BTC: Tensor  # what was read, from both sides (B, T, 2C)


class Cloze(nn.Module):
    """Says hidden bases from what both sides read.

    Each frame answers for the `stride` bases in the middle of those it covers, so that every base is asked of one frame
    only. `asked` are the bases for which there is one: all but a few at the edges.
    """

    def __init__(self, name: str, length: int, encoder: Encoder, hidden: int, preset: str = "bases") -> None:
        super().__init__()
        check_sees_bases(name, encoder, preset)
        check_whole_frames(name, length, encoder)
        if encoder.width < encoder.stride:
            raise InputError(
                f"{name}: needs frames that cover every base, found encoder.width {encoder.width} every "
                f"{encoder.stride} bases; start from --config {preset}"
            )
        first, self.stride = (encoder.width - encoder.stride) // 2, encoder.stride
        self.asked = slice(first, first + encoder.frames(length) * encoder.stride)
        self.say = nn.Sequential(
            nn.Linear(2 * encoder.channels, hidden), nn.GELU(), nn.Linear(hidden, 4 * encoder.stride)
        )

    def forward(self, encoder: Encoder, read_BL: Tensor, wanted_BL: Tensor) -> Answer:
        """Asked are the bases that `wanted_BL` knows; no others have a part in the loss."""
        c_BTC = read_both_ways(encoder, read_BL)
        wanted_BTS = wanted_BL[:, self.asked].unflatten(1, (-1, self.stride)).long()
        at_BT = (wanted_BTS < N).any(-1)  # frames without a question need no answer
        logits_M4S = self.say(c_BTC[at_BT]).unflatten(-1, (4, -1)).float()
        wanted_MS = wanted_BTS[at_BT]
        known_MS = wanted_MS < N
        losses_MS = F.cross_entropy(logits_M4S, wanted_MS, ignore_index=N, reduction="none")
        loss = losses_MS.sum() / known_MS.sum().clamp(min=1)
        hidden_MS = known_MS & (read_BL[:, self.asked].unflatten(1, (-1, self.stride))[at_BT] == MASK)
        told_MS = torch.where(hidden_MS.any(), hidden_MS, known_MS)
        told, right_MS = told_MS.sum().clamp(min=1), logits_M4S.argmax(1) == wanted_MS
        bits = (losses_MS.detach() * told_MS).sum() / (told * math.log(2))
        return Answer(loss, bits, (right_MS & told_MS).sum() / told, c_BTC)


class Ahead(nn.Module):
    """A linear map per step: the context after frame t predicts the latent of frame t + gap + k, k = 1 to K.

    The gap is the encoder's, so that no base is under both. K is `steps`, or less where the window holds no more. What
    is predicted are `projection` channels made of the latent, or with 0 the D channels of the latent itself.
    """

    def __init__(self, name: str, length: int, encoder: Encoder, steps: int, projection: int, bias: bool) -> None:
        super().__init__()
        frames = encoder.frames(length)
        most = frames - 1 - encoder.gap
        if most < 1:
            raise InputError(
                f"{name}.length {length}: holds {max(frames, 0)} frames of {encoder.width} bases every "
                f"{encoder.stride}, so that none lies ahead of another; "
                f"{encoder.width + (encoder.gap + 1) * encoder.stride} bases would do"
            )
        self.far = [encoder.gap + k for k in range(1, min(steps, most) + 1)]  # frames from the context to its target
        width = projection or encoder.settings.channels
        self.maps = nn.ModuleList(nn.Linear(encoder.channels, width, bias) for _ in self.far)
        self.head = projector(encoder.settings.channels, width) if projection else nn.Identity()

    def forward(self, c_BTC: Tensor) -> list[Tensor]:
        """Per step the predictions of all contexts that have a target, (B, T - gap - k, P)."""
        return [step(c_BTC[:, :-far]) for far, step in zip(self.far, self.maps, strict=True)]

    def targets(self, x_BTX: Tensor) -> list[Tensor]:
        """Per step what belongs to the predicted frames, (B, T - gap - k, ...)."""
        return [x_BTX[:, far:] for far in self.far]


class Quantised(NamedTuple):
    """Vectors replaced by entries of a codebook."""

    q_XP: Tensor
    code_XG: Tensor  # which entry of each group, int64
    shares_GV: Tensor  # mean probability of each entry, without noise


class Quantiser(nn.Module):
    """A product quantiser: of each of G groups one of V entries, chosen by a hard Gumbel softmax.

    Baevski, Zhou, Mohamed, Auli 2020, arXiv 2006.11477, section 2; Jang, Gu, Poole 2017, arXiv 1611.01144. The forward
    pass takes one entry, the backward pass the soft choice. In eval mode the likeliest entry is taken, without noise.
    """

    temperature: Tensor

    def __init__(self, inputs: int, outputs: int, groups: int, entries: int, temperature: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.logits = nn.Linear(inputs, groups * entries)
        self.book_GVP = nn.Parameter(torch.randn(groups, entries, outputs // groups))
        self.out = nn.Linear(outputs, outputs)
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        nn.init.normal_(self.logits.weight, std=1.0)  # so that at first the noise does not choose

    def forward(self, z_XD: Tensor) -> Quantised:
        """(X, D) to Quantised."""
        logits_XGV = self.logits(self.norm(z_XD)).float().unflatten(-1, self.book_GVP.shape[:2])
        noise_XGV = -torch.empty_like(logits_XGV).exponential_().log() if self.training else 0.0
        soft_XGV = ((logits_XGV + noise_XGV) / self.temperature).softmax(-1)
        code_XG = soft_XGV.argmax(-1)
        choice_XGV = F.one_hot(code_XG, logits_XGV.shape[-1]) + (soft_XGV - soft_XGV.detach())
        chosen_XP = torch.einsum("xgv,gvp->xgp", choice_XGV, self.book_GVP).flatten(1)
        return Quantised(self.out(chosen_XP), code_XG, logits_XGV.softmax(-1).mean(0))
