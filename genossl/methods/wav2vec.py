"""Wav2vec: tell the latents that come next, or the hidden ones, from distractors drawn from other frames.

Version 1, Schneider, Baevski, Collobert, Auli: "wav2vec: unsupervised pre-training for speech recognition", Interspeech
(2019), arXiv 1904.05862, eq. 2. The context c_t predicts the latents z_{t+gap+k} of K steps, each by a map h_k; of n
distractors z~ each counts as much as the true one:

    L_k = -sum over t of [ log sigma(z_{t+gap+k} . h_k(c_t)) + sum over n of log sigma(-z~ . h_k(c_t)) ]

Version 2, Baevski, Zhou, Mohamed, Auli: "wav2vec 2.0", NeurIPS (2020), arXiv 2006.11477, eq. 2 to 4. Spans of frames
are hidden, and what is read on both sides picks q_t, the quantised true latent, among distractors Q_t:

    L = -mean over hidden t of log( exp(cos(c_t, q_t) / kappa) / sum over q_t and Q_t of exp(cos(c_t, q) / kappa) )
        + alpha (GV - sum over groups g of exp H(p_g)) / GV

The papers' networks are `front: conv`; version 1's aggregator is `rnn: conv`. The papers draw distractors from the same
clip; frames of one stretch of DNA are too much alike for that, so here they are of the whole batch (`same_window`).
The bases under hidden frames are hidden, not the latents: frames overlap, and a neighbour would tell. The gap is the
encoder's. Version 2 reads both directions with the one causal encoder instead of a transformer.
"""

# B windows, L bases, T frames, K steps, n distractors of a latent, P channels that are compared
# Q latents that distractors are drawn for; in scores, predictions of a window

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genossl.errors import InputError
from genossl.genome.alphabet import MASK
from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import Ahead, Quantiser, check_whole_frames, projector, read_both_ways
from genossl.pretext.losses import diversity, logistic_contrast, softmax_contrast
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import either_strand

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class Wav2Vec(Method):
    """Step predictions (version 1) or hidden, quantised latents (version 2) against distractors."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        version: Literal[1, 2] = 1  # 1: the frames to come; 2: hidden frames, quantised
        length: int = 500  # bases of a window
        negatives: int = 10  # n, distractors of a latent (100 in the paper of version 2)
        same_window: float = 0.0  # share of them from the same window, the others from the batch (1 in the papers)
        steps: int = 12  # K of version 1, frames ahead that are predicted, or as many as the window holds
        start: float = 0.065  # p of version 2, probability that a hidden span starts at a frame
        span: int = 10  # frames of a hidden span (version 2), at most half of the window
        temperature: float = 0.1  # kappa, divides cosines (version 2)
        projection: int = 0  # P, channels that are compared; 0: the latent's own, or as many (version 2)
        groups: int = 2  # G, codebooks (version 2)
        entries: int = 64  # V, entries of a codebook (version 2; 320 in the paper)
        diversity: float = 0.5  # alpha, weight of using all entries (version 2; 0.1 in the paper)
        noise: float = 2.0  # temperature of the choice of entries at the start of version 2; it falls to a quarter
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.length, self.negatives, self.steps, self.span, self.groups, self.entries) < 1:
                raise ValueError("length, negatives, steps, span, groups and entries must be at least 1")
            if min(self.temperature, self.noise) <= 0 or min(self.diversity, self.projection) < 0:
                raise ValueError("temperature and noise must be greater than 0, diversity and projection not negative")
            if not all(0 <= share <= 1 for share in (self.same_window, self.start, self.strand, self.most_n)):
                raise ValueError("same_window, start, strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        self.frames = encoder.frames(s.length)
        if s.version == 1:
            self.ahead = Ahead("wav2vec", s.length, encoder, s.steps, s.projection, bias=True)
            return
        check_whole_frames("wav2vec", s.length, encoder)
        if self.frames < 2:
            raise InputError(f"wav2vec.length {s.length}: holds one frame; hiding one takes at least two")
        channels = encoder.settings.channels
        width = s.projection or channels
        if width % s.groups:
            raise InputError(f"wav2vec.projection {width}: expected a multiple of wav2vec.groups ({s.groups})")
        self.head = projector(2 * encoder.channels, width)
        self.quantiser = Quantiser(channels, width, s.groups, s.entries, s.noise)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        return Windows(store, rows, self.settings.length, self.settings.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """read_tokens uint8 (B, L); negatives int64 (Q, n); in version 2 hidden_tokens (B, L) and hidden bool (B, T).

        The Q frames are all of the batch, or all hidden ones, in order; distractors are indices of these.
        """
        s = self.settings
        read_BL = either_strand(batch.tokens, s.strand, rng)
        if s.version == 1:
            return {
                "read_tokens": read_BL,
                "negatives": distractors(np.full(len(read_BL), self.frames), s.negatives, s.same_window, rng),
            }
        hidden_BT = hide(len(read_BL), self.frames, s.start, s.span, rng)
        return {
            "read_tokens": read_BL,
            "hidden_tokens": read_BL.masked_fill(under(hidden_BT, self.encoder), MASK),
            "hidden": hidden_BT,
            "negatives": distractors(hidden_BT.sum(1).numpy(), s.negatives, s.same_window, rng),
        }

    def loss(self, views: Views) -> Loss:
        """Version 1: (1 + n) log 2 where nothing is known. Version 2: the log of the candidates, and the diversity."""
        return self._ahead(views) if self.settings.version == 1 else self._hidden(views)

    def _ahead(self, views: Views) -> Loss:
        read = self.encoder(views["read_tokens"], latents=True)
        z_BTP, predicted = self.ahead.head(read.z), self.ahead(read.c)
        # distractors are drawn once for each frame, and the predictions of all steps stand at the frame they are of
        z_BTnP = z_BTP.flatten(0, 1)[views["negatives"]].unflatten(0, (-1, self.frames))
        h_BTKP = torch.stack([F.pad(h, (0, 0, far, 0)) for far, h in zip(self.ahead.far, predicted, strict=True)], 2)
        frame_T1 = torch.arange(self.frames, device=z_BTP.device)[:, None]
        made_TK = frame_T1 >= torch.tensor(self.ahead.far, device=z_BTP.device)
        scores_BTKn = h_BTKP @ torch.cat([z_BTP[:, :, None], z_BTnP], 2).mT
        scores_BQn = scores_BTKn[:, made_TK]
        contrast = logistic_contrast(scores_BQn[..., 0], scores_BQn[..., 1:])
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        # the last latent of each window and its prediction, which shares its bias with all others
        return Loss({"contrast": contrast.loss}, metrics, z_BTP[:, -1].detach(), predicted[0][:, -1].detach())

    def _hidden(self, views: Views) -> Loss:
        s, hidden_BT, negatives_Qn = self.settings, views["hidden"], views["negatives"]
        c_QP = self.head(read_both_ways(self.encoder, views["hidden_tokens"])[hidden_BT])
        target = self.quantiser(self.encoder.latents(views["read_tokens"])[hidden_BT])
        c_QP, q_QP = F.normalize(c_QP.float(), dim=-1), F.normalize(target.q_XP.float(), dim=-1)
        right_Q = (c_QP * q_QP).sum(-1) / s.temperature
        wrong_Qn = (c_QP[:, None] * q_QP[negatives_Qn]).sum(-1) / s.temperature
        same_Qn = (target.code_XG[negatives_Qn] == target.code_XG[:, None]).all(-1)
        contrast = softmax_contrast(right_Q, wrong_Qn, same_Qn)
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        terms = {"contrast": contrast.loss, "diversity": s.diversity * diversity(target.shares_GV)}
        last_B = hidden_BT.sum(1).cumsum(0) - 1  # of each window, one hidden frame
        return Loss(terms, metrics, q_QP[last_B].detach(), c_QP[last_B].detach())

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """The noise falls geometrically, as in the paper, to a quarter at the end: from 2 to 0.5."""
        if self.settings.version == 2:
            self.quantiser.temperature.fill_(self.settings.noise * 0.25**progress)


def hide(windows: int, frames: int, start: float, span: int, rng: np.random.Generator) -> Tensor:
    """Which frames to hide, bool (B, T): spans start at each frame with probability `start`, and may overlap.

    They start before the first frame too, so that every frame is hidden with probability 1 - (1 - start)^span. In
    windows where that hides nothing or everything one span is hidden, so that some of both is left.
    """
    span = min(span, frames // 2)
    starts = torch.from_numpy(rng.random((windows, frames + span - 1)) < start)
    hidden_BT = starts.unfold(1, span, 1).any(-1)
    first_B1 = torch.from_numpy(rng.integers(0, frames - span + 1, (windows, 1)))
    at_T = torch.arange(frames)
    one_BT = (at_T >= first_B1) & (at_T < first_B1 + span)
    usable_B1 = hidden_BT.any(1, keepdim=True) & ~hidden_BT.all(1, keepdim=True)
    return torch.where(usable_B1, hidden_BT, one_BT)


def under(hidden_BT: Tensor, encoder: Encoder) -> Tensor:
    """All bases that a hidden frame reads, bool (B, L)."""
    ones = torch.ones(1, 1, encoder.width)
    return F.conv_transpose1d(hidden_BT[:, None].float(), ones, stride=encoder.stride)[:, 0] > 0


def distractors(counts_B: np.ndarray, n: int, same_window: float, rng: np.random.Generator) -> Tensor:
    """Of Q = sum of counts items, one window after another, n others for each: indices int64 (Q, n), never its own.

    The first `same_window` of them are any others of the same window, where it has others; the rest any of all.
    """
    counts_Q1 = counts_B.repeat(counts_B)[:, None]
    first_Q1 = (counts_B.cumsum() - counts_B).repeat(counts_B)[:, None]
    item_Q1 = np.arange(counts_B.sum())[:, None]
    within_Qn = (np.arange(n) < round(same_window * n)) & (counts_Q1 > 1)
    first_Qn, count_Qn = np.where(within_Qn, first_Q1, 0), np.where(within_Qn, counts_Q1, len(item_Q1))
    drawn_Qn = first_Qn + rng.integers(0, count_Qn - 1)
    return torch.from_numpy(drawn_Qn + (drawn_Qn >= item_Q1))  # skip the item itself
