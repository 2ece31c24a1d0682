"""CLIP: two towers that read different things of one place meet, and all other pairs of the batch part.

Radford et al.: "Learning transferable visual models from natural language supervision", ICML (2021), arXiv 2103.00020,
figure 3. a_i, b_i the normalised outputs of the towers for pair i, t learnt:

    L = 1/2 mean_i CE(exp(t) a_i B', i) + 1/2 mean_i CE(exp(t) b_i A', i),  exp(t) = 1/0.07 at the start, at most 100

The first tower is the encoder on a window of DNA. What the second one reads is `pairing`:

* `surroundings`: the canonical 4-mer profile of the bases on both sides of the window, which is not in it. Needs FASTA
  only and teaches composition: what a stretch of genome has in common.
* `genes`: residues of the protein of the gene that the window lies in, whose codons are not in the window, so that the
  genetic code does not help: the two share the gene's family and its genome. Needs annotation (GenBank, or FASTA with
  GFF3). `genossl retrieve` then finds genes by proteins in genomes without annotation.
"""

# B windows, L bases, K bases of the surroundings and an N between, V kinds of 4-mer, M residues, E protein channels
# P projection

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.genome.alphabet import N
from genossl.genome.genes import LETTERS, Genes, genetic_code
from genossl.genome.kmers import codes, kinds
from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import check_length, projector, summary
from genossl.pretext.losses import two_towers
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import either_strand

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

K_MER = 4  # bases of a k-mer of the surroundings


class CLIP(Method):
    """A window and its surroundings, or a window of a gene and another part of its protein."""

    keeps_heads = True

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        pairing: Literal["surroundings", "genes"] = "surroundings"  # what the second tower reads
        length: int = 500  # bases of a window
        flank: int = 2000  # bases on each side of the window (surroundings)
        residues: int = 100  # M, residues of a protein (genes); shorter genes than length + 3 * residues are left out
        code: int = 11  # NCBI's number of the genetic code, where a record names none (genes)
        temperature: float = 0.07  # exp(-t) at the start; learnt from there on
        hidden: int = 128  # units of the second tower
        projection: int = 64  # P, channels that are compared (512 in the paper)
        strand: float = 0.5  # probability that a window is read on the other strand
        same_negatives: bool = False  # windows of one contig, or genes of one protein, are candidates for each other
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never (surroundings)

        def __post_init__(self) -> None:
            if min(self.length, self.flank, self.residues, self.hidden, self.projection) < 1:
                raise ValueError("length, flank, residues, hidden and projection must be at least 1")
            if not 0.01 <= self.temperature <= 1:
                raise ValueError("temperature must be from 0.01 to 1")
            if not all(0 <= share <= 1 for share in (self.strand, self.most_n)):
                raise ValueError("strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        check_length("clip", s.length, encoder)
        genetic_code(s.code)
        self.head = projector(encoder.channels, s.projection)
        self.other = (ProfileTower if s.pairing == "surroundings" else ProteinTower)(s.hidden, s.projection)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(s.temperature)))

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        s = self.settings
        if s.pairing == "genes":
            return Genes(store, rows, s.length, s.residues, s.code)
        return Windows(store, rows, s.length + 2 * s.flank, s.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """window_tokens uint8 (B, L); protein uint8 (B, M) or surroundings uint8 (B, K); same int64 (B,): equal where
        rows may be true partners too."""
        s = self.settings
        if s.pairing == "genes":
            assert batch.protein is not None
            assert batch.gene is not None
            window_BL, other, same = batch.tokens, {"protein": batch.protein}, batch.gene
        else:
            left, window_BL, right = batch.tokens.split([s.flank, s.length, s.flank], 1)
            none = left.new_full((len(left), 1), N)  # so that no k-mer lies over the joint
            other, same = {"surroundings": torch.cat([left, none, right], 1)}, batch.contig
        return {"window_tokens": either_strand(window_BL, s.strand, rng), **other, "same": same}

    def loss(self, views: Views) -> Loss:
        """Chance is log B."""
        a_BP = self.windows(views["window_tokens"])
        b_BP = self.other(views["protein"] if self.settings.pairing == "genes" else views["surroundings"])
        same_BB = None if self.settings.same_negatives else views["same"][:, None] == views["same"]
        contrast = two_towers(a_BP, b_BP, self.log_scale, same_BB)
        metrics = {"top1": contrast.top1, "candidates": contrast.candidates}
        return Loss({"contrast": contrast.loss}, metrics, a_BP.detach(), b_BP.detach())

    def partners(self, views: Views) -> tuple[Tensor, Tensor] | None:
        """Window and surroundings; a protein has no bases."""
        return None if self.settings.pairing == "genes" else (views["window_tokens"], views["surroundings"])

    def windows(self, tokens_BL: Tensor) -> Tensor:
        """The first tower, (B, P)."""
        return self.head(summary(self.encoder, tokens_BL))

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """exp(t) stays at most 100 (section 2.5)."""
        self.log_scale.clamp_(max=math.log(100))


class ProfileTower(nn.Module):
    """A perceptron of the roots of 4-mer frequencies, which vary alike however frequent a 4-mer is; either strand."""

    kind: Tensor

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        kind, self.v = kinds(K_MER)
        self.register_buffer("kind", torch.from_numpy(np.append(kind, self.v)), persistent=False)  # the last: with N
        self.layers = nn.Sequential(
            nn.LayerNorm(self.v), nn.Linear(self.v, hidden), nn.GELU(), nn.Linear(hidden, outputs)
        )

    def forward(self, tokens_BK: Tensor) -> Tensor:
        return self.layers(self.profile(tokens_BK).sqrt())

    def profile(self, tokens_BK: Tensor) -> Tensor:
        """Canonical 4-mer frequencies, float (B, V); 0 where no 4-mer is free of N."""
        kind_BK = self.kind[codes(tokens_BK, K_MER)]
        counts_BV = torch.zeros(len(kind_BK), self.v + 1, device=kind_BK.device)
        one = torch.ones((), device=kind_BK.device).expand(kind_BK.shape)
        counts_BV = counts_BV.scatter_add_(1, kind_BK, one)[:, : self.v]
        return counts_BV / counts_BV.sum(1, keepdim=True).clamp(min=1)


class ProteinTower(nn.Module):
    """Convolutions over residues, and the mean and the largest value of each channel: proteins of any length."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.residues = nn.Embedding(len(LETTERS), hidden // 2)
        self.first = nn.Conv1d(hidden // 2, hidden, 5, padding=2)
        self.second = nn.Conv1d(hidden, hidden, 5, padding=2)
        self.out = nn.Linear(2 * hidden, outputs)

    def forward(self, protein_BM: Tensor) -> Tensor:
        x_BEM = self.residues(protein_BM.int()).mT
        x_BEM = F.gelu(self.first(x_BEM))
        x_BEM = F.gelu(self.second(x_BEM))
        return self.out(torch.cat([x_BEM.mean(2), x_BEM.amax(2)], 1))
