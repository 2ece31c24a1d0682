"""Self-GenomeNet: the prefix on one strand predicts the reverse complement of what follows.

Gündüz, Binder, To, Mreches, Bischl, McHardy, Münch, Rezaei: "A self-supervised deep learning method for data-efficient
training in genomics", Communications Biology 6:928 (2023), doi 10.1038/s42003-023-05310-2.

As published, a window and its reverse complement are read by the same encoder; the context after t bases of one strand
must pick, among the windows of the batch and both strands, the context of the other strand after the remaining N - t
bases, for all t at once (Fig. 1). The loss is the cross-entropy of raw dot products after one linear map. The settings
below that are off in the `paper` presets are what later work added: cosine similarity with a temperature and a
projector on both sides (Chen et al. 2020), a target that lies further along the contig, no same-contig negatives, and
a second term that says hidden bases of the same windows (Devlin et al. 2018, arXiv 1810.04805; 15 %, 80/10/10).

Sources differ on whether a row's own state is a candidate; here it never is (docs/decisions.md). The patches of prefix
and remainder share no base: the encoder's gap sees to it.
"""

# B windows, L bases, R = 2B rows, T frames, S splits, C context channels, P projection, G windows of a group

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from genossl.errors import InputError
from genossl.genome.alphabet import reverse_complement
from genossl.genome.windows import Batch, Pairs, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import Cloze
from genossl.pretext.losses import info_nce
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import cloze

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

HIDDEN = 128  # units between the states of both sides and the hidden bases


class SelfGenomeNet(Method):
    """Prefix and remainder of a window, or two windows of one contig, on opposite strands."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window (N of the paper)
        distance: int = (
            3000  # bases: the target starts up to this far after the window ends; 0: it is the window's rest
        )
        splits: int = 2  # prefix lengths t that predict in one step, the longest among them; 0: all of them (paper)
        temperature: float = 0.1  # divides cosines; 0: raw dot products (paper)
        projection: int = 64  # P, projector on both sides; 0: a linear map on the predicting side only (paper)
        reverse_complement: bool = True  # the target is read on the other strand; off only for an ablation
        same_contig_negatives: bool = True  # windows of one contig are candidates for each other (paper)
        group: int = 0  # windows that serve each other as negatives, a divisor of the batch; 0: the whole batch
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never (paper)
        masked: float = 0.0  # weight of the loss of saying hidden bases of the same windows; 0: none (paper)

        def __post_init__(self) -> None:
            for name in ("distance", "splits", "temperature", "projection", "group", "masked"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name} must not be negative")
            if self.length < 1 or not 0 <= self.most_n <= 1:
                raise ValueError("length must be at least 1 and most_n from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        frames = encoder.frames(s.length)
        self.most_splits = frames if s.distance else frames - 1 - encoder.gap  # M of the paper
        if self.most_splits < 1:
            raise InputError(
                f"self_genomenet.length {s.length}: too short for frames of {encoder.width} bases every "
                f"{encoder.stride}; {encoder.width + (encoder.gap + 1) * encoder.stride} would do"
            )
        width = encoder.channels
        self.head: nn.Module = (
            nn.Sequential(nn.GELU(), nn.Linear(width, s.projection)) if s.projection else nn.Linear(width, width)
        )
        if not s.projection:
            assert isinstance(self.head, nn.Linear)
            nn.init.xavier_uniform_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.cloze = Cloze("self_genomenet", s.length, encoder, HIDDEN, "conv") if s.masked else None

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        s = self.settings
        if s.distance:
            return Pairs(store, rows, s.length, s.distance, s.most_n)
        return Windows(store, rows, s.length, s.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """read_tokens, target_tokens uint8 (B, L); contig int64 (B,); split int64 (S,), frames counted from 0.

        With `masked` also masked_tokens, wanted uint8 (B, L): the read windows with bases hidden, and these.
        """
        read_BL, target_BL = batch.tokens.unbind(1) if self.settings.distance else (batch.tokens, batch.tokens)
        if self.settings.reverse_complement:
            target_BL = reverse_complement(target_BL)
        wanted = self.settings.splits or self.most_splits
        shorter = rng.permutation(self.most_splits - 1)[: wanted - 1]
        split_S = np.sort(np.append(shorter, self.most_splits - 1))
        return {
            "read_tokens": read_BL,
            "target_tokens": target_BL,
            "contig": batch.contig,
            "split": torch.from_numpy(split_S),
            **(cloze(read_BL, self.cloze.asked, rng) if self.cloze else {}),
        }

    @property
    def together(self) -> int:
        """Negatives stay within a group. Hidden bases are as many as chance has it, so their mean needs the batch."""
        return 0 if self.cloze else self.settings.group

    def part(self, views: Views, rows: slice) -> Views:
        """The same prefix lengths, fewer windows."""
        return {name: view if name == "split" else view[rows] for name, view in views.items()}

    def partners(self, views: Views) -> tuple[Tensor, Tensor]:
        """Window and target; where one window makes both, its two halves, the middle one of its splits."""
        read_BL, target_BL = views["read_tokens"], views["target_tokens"]
        if self.settings.distance:
            return read_BL, target_BL
        half = self.settings.length // 2
        # read on the other strand, the target begins with what comes last
        rest = target_BL[:, : self.settings.length - half] if self.settings.reverse_complement else target_BL[:, half:]
        return read_BL[:, :half], rest

    def loss(self, views: Views) -> Loss:
        """The cross-entropy of choosing the right continuation, both directions; chance is log(2B - 1)."""
        rows_RL = torch.cat([views["read_tokens"], views["target_tokens"]])
        split_S = views["split"]
        # after frame j of one strand M - 1 - j frames of the other are left; a target further on has its own length
        read_S = split_S if self.settings.distance else torch.cat([split_S, self.most_splits - 1 - split_S])
        c_RSC = self.encoder(rows_RL, at_BS=read_S[None]).c
        queries_RSP, keys_RSC = self.head(c_RSC[:, : len(split_S)]), c_RSC[:, -len(split_S) :]
        keys_RSP = self.head(keys_RSC) if self.settings.projection else keys_RSC
        same_RR = None
        if not self.settings.same_contig_negatives:
            contig_R = views["contig"].repeat(2)
            same_RR = contig_R[:, None] == contig_R
        group = self.settings.group or len(views["read_tokens"])
        contrast = info_nce(
            _groups(queries_RSP, group),
            _groups(keys_RSP, group),
            self.settings.temperature,
            None if same_RR is None else _group_pairs(same_RR, group),
        )
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        terms = {"contrast": contrast.loss}
        if self.cloze:
            answer = self.cloze(self.encoder, views["masked_tokens"], views["wanted"])
            terms["masked"] = self.settings.masked * answer.loss
            metrics["bits"] = answer.bits
        queries_RP, keys_RP = queries_RSP[:, -1].detach(), keys_RSP[:, -1].detach()
        return Loss(terms, metrics, queries_RP, keys_RP.roll(len(keys_RP) // 2, 0))


def _groups(x_RSP: Tensor, group: int) -> Tensor:
    """Rows of both halves to (S, B / G, 2G, P), so that each group holds G windows and their G targets."""
    x_2BGSP = x_RSP.unflatten(0, (2, -1, group))
    return x_2BGSP.permute(3, 1, 0, 2, 4).flatten(2, 3)


def _group_pairs(x_RR: Tensor, group: int) -> Tensor:
    """The blocks (B / G, 2G, 2G) of a matrix over all rows that lie within one group."""
    blocks = x_RR.unflatten(0, (2, -1, group)).unflatten(3, (2, -1, group))  # 2 B G 2 B G
    return blocks.diagonal(dim1=1, dim2=4).permute(4, 0, 1, 2, 3).flatten(1, 2).flatten(2, 3)
