"""The contract of a pretext method."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from genossl.genome.windows import Batch, Sampler
from genossl.model.encoder import Encoder

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

Views = dict[str, Tensor]


class Loss(NamedTuple):
    """What a method asks the trainer to minimise, and to log."""

    terms: dict[str, Tensor]  # named scalars, weights already in; the trainer minimises their sum
    metrics: dict[str, Tensor]  # named scalars for the log: top1 and candidates where the task is a choice
    vectors: Tensor  # (N, P) what the loss compares, watched for collapse
    partners: Tensor | None = None  # (N, P) what row by row should come to lie near `vectors`, where there is such


class Method(nn.Module, abc.ABC):
    """A pretext task on a shared encoder. One file in genossl/methods/ holds one subclass; being there registers it.

    `Settings` is a frozen, keyword-only dataclass. Everything in the module but the encoder serves pretraining only.
    """

    Settings: ClassVar[type]
    preset: ClassVar[str] = "default"  # what a run starts from that names no preset: an encoder that serves the method
    keeps_heads: ClassVar[bool] = False  # whether a verb uses what stands on the encoder after pretraining

    def __init__(self, settings: Any, encoder: Encoder) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = encoder

    @abc.abstractmethod
    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        """What draws this method's batches from the contigs `rows` of the store."""

    @abc.abstractmethod
    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """The pretext task of one batch; pure, all randomness from `rng`. Token views are uint8, named `..._tokens`."""

    @abc.abstractmethod
    def loss(self, views: Views) -> Loss:
        """The terms to minimise."""

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Bases of the sequences that the encoder reads; the default window of embeddings."""

    @property
    def together(self) -> int:
        """Rows of a batch that meet in the loss, which is a mean over such groups; 0 where all rows of the batch meet.

        Groups are contiguous. Where they are small enough, processes that train together take whole groups each.
        """
        return 0

    def part(self, views: Views, rows: slice) -> Views:
        """Views of these rows of the batch alone; asked for only where `together` is not 0."""
        raise NotImplementedError

    def partners(self, views: Views) -> tuple[Tensor, Tensor] | None:
        """Bases of two kinds, uint8 (B, ...) each, that the pretext pairs row by row; None where it pairs no such.

        What composition alone finds of them is told beside the pretext's own top-1.
        """
        return None

    def bases(self, views: Views) -> int:
        """Bases that the encoder reads in one step: the axis on which methods are compared."""
        return sum(view.numel() for name, view in views.items() if name.endswith("_tokens"))

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """What moves by rule after each step; progress runs from 0 to 1."""
        return None
