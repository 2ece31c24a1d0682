"""scikit-learn transformers: sequences in, a matrix out."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from genossl.api.embedding import embed, known, load_encoder
from genossl.api.sequences import tokens_of
from genossl.errors import InputError
from genossl.genome import kmers
from genossl.genome.alphabet import decode
from genossl.model.embedding import Pool
from genossl.model.encoder import Encoder
from genossl.model.precision import Precision


class _OfSequences(TransformerMixin, BaseEstimator):
    """What takes a column of sequences in place of a matrix of numbers."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class GenomeEmbedder(_OfSequences):
    """Embed sequences with a pretrained, frozen encoder.

    Nothing is learnt in `fit`, which loads the encoder. A fitted object carries the encoder along when it is pickled,
    and wakes on the CPU.

    Parameters
    ----------
    checkpoint : str or Path
        What `load_encoder` takes: the folder of a run, or "hf://user/name".
    pool, both_strands, precision
        As of `embed`.
    device : str
        As of `load_encoder`.

    Attributes
    ----------
    encoder_ : Encoder
        The encoder, after `fit`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> model = make_pipeline(genossl.GenomeEmbedder(run, device="cpu"), LogisticRegression())
    >>> model.fit(["GCGGCA" * 20, "TATAAT" * 20], ["high", "low"]).predict(["GGCGCC" * 20])
    array(['high'], dtype='<U4')
    """

    checkpoint: str | Path
    pool: Pool
    both_strands: bool
    device: str
    precision: Precision
    encoder_: Encoder

    def __init__(
        self, checkpoint: str | Path = "", pool: Pool = "last", both_strands: bool = True, device: str = "auto",
        precision: Precision = "auto",
    ) -> None:  # fmt: skip
        self.checkpoint = checkpoint
        self.pool = pool
        self.both_strands = both_strands
        self.device = device
        self.precision = precision

    def fit(self, X: Any = None, y: Any = None) -> GenomeEmbedder:
        """Load the encoder; neither X nor y is looked at.

        Raises
        ------
        InputError
            As `load_encoder` does, and for an unknown pool.
        """
        known(self.pool)
        self.encoder_ = load_encoder(self.checkpoint, self.device)
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:
        """Embed n sequences: float32 (n, C), or (n, 2C) for pool "both".

        Raises
        ------
        InputError
            As `embed` does.
        """
        check_is_fitted(self, "encoder_")
        return embed(self.encoder_, X, self.pool, self.both_strands, self.precision)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """genossl0, genossl1, ..."""
        check_is_fitted(self, "encoder_")
        width = self.encoder_.channels * (2 if self.pool == "both" else 1)
        return np.array([f"genossl{i}" for i in range(width)], dtype=object)

    def __getstate__(self) -> dict[str, Any]:
        whole: Any = super().__getstate__()
        state = dict(whole)
        if "encoder_" in state:
            state["encoder_"] = copy.deepcopy(state["encoder_"]).cpu()
        return state


class KmerProfile(_OfSequences):
    """k-mer frequencies of sequences: what pretraining has to beat.

    Parameters
    ----------
    k : int
        Bases of a k-mer, 1 to 8.
    canonical : bool
        Count a k-mer and its reverse complement as one, so that the strand given does not matter.

    Examples
    --------
    >>> profile = genossl.KmerProfile(k=2)
    >>> profile.get_feature_names_out().tolist()
    ['AA', 'AC', 'AG', 'AT', 'CA', 'CC', 'CG', 'GA', 'GC', 'TA']
    >>> profile.fit_transform(["AAAAC"]).round(2).tolist()
    [[0.75, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """

    k: int
    canonical: bool

    def __init__(self, k: int = 4, canonical: bool = True) -> None:
        self.k = k
        self.canonical = canonical

    def fit(self, X: Any = None, y: Any = None) -> KmerProfile:
        """Nothing is learnt; raises InputError for a k that is not counted."""
        if not 1 <= self.k <= 8:
            raise InputError(f"k {self.k}: must be from 1 to 8")
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:
        """Frequencies float32 (n, V); each row sums to 1, or is 0 without a k-mer free of N."""
        return kmers.profiles(tokens_of(X), self.fit().k, self.canonical)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The k-mers, of two that count as one the first by the alphabet."""
        kind, _ = kmers.kinds(self.k, self.canonical)
        _, codes = np.unique(kind, return_index=True)
        digits = codes[:, None] // 4 ** np.arange(self.k - 1, -1, -1) % 4
        return np.array([decode(row) for row in digits], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
