"""genossl in a notebook: sequences or a FASTA file in, vectors out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from genossl import config
from genossl.errors import InputError
from genossl.genome import fasta, inputs
from genossl.genome.alphabet import N
from genossl.model import checkpoint, embedding, index, neighbours
from genossl.model.embedding import Pool
from genossl.model.encoder import Encoder, encoder_device
from genossl.model.index import Index
from genossl.model.precision import Precision


def load_encoder(path: str | Path, device: str = "auto") -> Encoder:
    """The encoder that `genossl pretrain` wrote into a folder, in eval mode on `device`.

    `path` is the folder or its encoder.safetensors; device is auto (cuda, else mps, else cpu), cpu, cuda, cuda:N or
    mps. Raises InputError for a missing or damaged file, or a device that is not there.
    """
    return checkpoint.load_encoder(path, str(encoder_device(device)))


def embed(
    encoder: Encoder | str | Path,
    sequences: Iterable[Any],
    pool: Pool = "last",
    both_strands: bool = True,
    precision: Precision = "auto",
) -> np.ndarray:
    """One vector per sequence, float32 (n, C) in the order given; (n, 2C) for pool "both".

    sequences: str, bytes, Bio.Seq, SeqRecord, or uint8 arrays of codes (A, C, G, T = 0..3, N = 4); any lengths.
    `both_strands` averages a sequence and its reverse complement, so the strand given does not matter. The result does
    not depend on the order or on what else is embedded in the same call, to 1e-5. `precision` is fp32, bf16 (faster on
    hardware made for it, half a percent away, and only to a percent independent of the batch) or auto: bf16 where that
    is faster and independent of the batch nevertheless, as of LSTM encoders on such CPUs.
    Raises InputError for a sequence that is empty or holds other letters.
    """
    if isinstance(encoder, (str, Path)):
        encoder = load_encoder(encoder)
    tokens = [_tokens(sequence, i) for i, sequence in enumerate(_many(sequences))]
    return embedding.embed(encoder, tokens, _known(pool), both_strands, precision)


def embed_fasta(
    encoder: Encoder | str | Path,
    path: str | Path,
    window: int = 500,
    step: int = 0,
    pool: Pool = "last",
    both_strands: bool = True,
    precision: Precision = "auto",
) -> pd.DataFrame:
    """Windows of a FASTA file (plain or compressed): contig, start, end (0-based, half-open), n_N, vector.

    window: bases, 0 for whole records; step: bases from one window to the next, 0 for no overlap. The last window of a
    record ends with it. Raises InputError as ingest does.
    """
    if isinstance(encoder, (str, Path)):
        encoder = load_encoder(encoder)
    items = list(inputs.read(path, window, step))
    table = pd.DataFrame([item.row for item in items]).drop(columns="id")
    vectors = embedding.embed(encoder, [item.tokens for item in items], _known(pool), both_strands, precision)
    return table.assign(vector=list(vectors))


class GenomeEmbedder(TransformerMixin, BaseEstimator):
    """scikit-learn transformer: sequences to embeddings of a pretrained, frozen encoder.

    Parameters are those of `embed`; `checkpoint` is the folder of a run. Nothing is learnt in `fit`.
    """

    def __init__(
        self, checkpoint: str | Path = "", pool: Pool = "last", both_strands: bool = True, device: str = "auto",
        precision: Precision = "auto",
    ) -> None:  # fmt: skip
        self.checkpoint = checkpoint
        self.pool: Pool = pool
        self.both_strands = both_strands
        self.device = device
        self.precision: Precision = precision

    def fit(self, X: Sequence[Any], y: Any = None) -> GenomeEmbedder:
        """Load the encoder."""
        self.encoder_ = load_encoder(self.checkpoint, self.device)
        return self

    def transform(self, X: Sequence[Any]) -> np.ndarray:
        """float32 (n, C) for n sequences."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "encoder_")
        return embed(self.encoder_, X, self.pool, self.both_strands, self.precision)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """genossl0, genossl1, ..."""
        width = self.encoder_.channels * (2 if self.pool == "both" else 1)
        return np.array([f"genossl{i}" for i in range(width)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


class GenomeIndex:
    """An index that `genossl index` wrote, for sequences in Python; `index` has its rows, vectors and description."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def search(self, sequences: Iterable[Any], **settings: Any) -> pd.DataFrame:
        """The nearest windows of each sequence, or with by="contig" or "genome" what the sequence as a whole is near.

        sequences: as for `embed`; those longer than the index's window are cut into such windows. settings: top (10),
        by and least, as of `genossl search`, whose columns the table has; `query` counts the sequences from 0.
        Raises InputError.
        """
        chosen = config.build(neighbours.Settings, settings, "search")
        tokens = [_tokens(sequence, i) for i, sequence in enumerate(_many(sequences))]
        hits = neighbours.search(self.index, self._windows(tokens), chosen)
        return pd.DataFrame(hits, columns=list(neighbours.COLUMNS[chosen.by]))

    def _windows(self, sequences: list[np.ndarray]) -> Iterator[neighbours.Window]:
        window, step = self.index.about["window"], self.index.about["settings"]["step"]
        for i, tokens in enumerate(sequences):
            for start in inputs.starts(len(tokens), window, step):
                part = tokens[start : start + window] if window else tokens
                row = {"id": "", "start": start, "end": start + len(part), "n_N": int((part == N).sum())}
                yield i, inputs.Item(row, part)


def open_index(path: str | Path, encoder: str | None = None, device: str = "auto") -> GenomeIndex:
    """Open the index in a folder; `encoder` says where the encoder is now, if not where it was. Raises InputError."""
    return GenomeIndex(index.open_index(path, encoder, device))


def _many(sequences: Iterable[Any]) -> Iterable[Any]:
    single = isinstance(sequences, np.ndarray) and sequences.ndim == 1 and sequences.dtype == np.uint8
    if single or _letters(sequences) is not None:
        raise InputError("embed: expected a list of sequences, found a single one; put it in a list")
    return sequences


def _known(pool: Pool) -> Pool:
    if pool not in get_args(Pool):
        raise InputError(f"pool {pool!r} is unknown; expected {', '.join(get_args(Pool))}")
    return pool


def _letters(sequence: Any) -> bytes | None:
    """The letters of str, bytes, Bio.Seq or SeqRecord; None for anything else."""
    if isinstance(sequence, (bytes, bytearray)):
        return bytes(sequence)
    if isinstance(sequence, str) or hasattr(sequence, "reverse_complement"):  # the latter is Biopython's
        return str(getattr(sequence, "seq", sequence)).encode()
    return None


def _tokens(sequence: Any, i: int) -> np.ndarray:
    if isinstance(sequence, np.ndarray) and sequence.dtype == np.uint8 and sequence.ndim == 1:
        tokens = sequence
        if tokens.size and tokens.max() > 5:
            raise InputError(f"sequence {i}: codes go from 0 to 5, found {tokens.max()}")
    else:
        letters = _letters(sequence)
        if letters is None:
            raise InputError(f"sequence {i}: expected letters or a uint8 array, found {type(sequence).__name__}")
        try:
            tokens = fasta.tokenise(letters).tokens
        except fasta.BadLetter as error:
            raise InputError(f"sequence {i}: {error}") from None
    if not len(tokens):
        raise InputError(f"sequence {i}: is empty")
    return tokens
