"""What methods share that read pairs of disjoint windows of one contig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from genossl.genome.windows import Batch, Pairs, Sampler
from genossl.model.encoder import Encoder
from genossl.pretext.heads import check_length
from genossl.pretext.method import Method, Views
from genossl.pretext.views import pair

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class PairMethod(Method):
    """A method on pairs, each window on either strand. Its Settings have length, distance, strand and most_n."""

    def __init__(self, settings: Any, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        check_length(type(self).__module__.rpartition(".")[2], settings.length, encoder)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        s = self.settings
        return Pairs(store, rows, s.length, s.distance, s.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """one_tokens, two_tokens uint8 (B, L); contig int64 (B,)."""
        return pair(batch, self.settings.strand, rng)

    def partners(self, views: Views) -> tuple[Tensor, Tensor]:
        """The two windows."""
        return views["one_tokens"], views["two_tokens"]
