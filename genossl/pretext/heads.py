"""What stands on the encoder during pretraining only: projectors, teachers, predictors set in closed form."""

# B windows, L bases, C context channels, P projection

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from genossl.errors import InputError
from genossl.genome.alphabet import reverse_complement
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
            f"bases; start from --preset {preset}"
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
