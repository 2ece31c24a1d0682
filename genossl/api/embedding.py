"""Sequences or a FASTA file in, vectors out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
import pandas as pd

from genossl.api import frames
from genossl.api.sequences import tokens_of
from genossl.errors import InputError
from genossl.genome import inputs
from genossl.model import checkpoint, embedding
from genossl.model.embedding import Pool
from genossl.model.encoder import Encoder, encoder_device
from genossl.model.precision import Precision
from genossl.sharing import hub

if TYPE_CHECKING:
    import anndata
    import polars


def load_encoder(path: str | Path, device: str = "auto") -> Encoder:
    """Load the encoder of a run, in eval mode.

    Parameters
    ----------
    path : str or Path
        The folder that `genossl pretrain`, `genossl share` or `save_pretrained` wrote, or its encoder.safetensors; or
        a model of the Hugging Face hub as "hf://user/name", or "hf://user/name@revision".
    device : str
        auto (cuda, else mps, else cpu), cpu, cuda, cuda:N or mps.

    Returns
    -------
    Encoder
        An `nn.Module` on that device.

    Raises
    ------
    InputError
        For a missing or damaged file, a device that is not there, or a hub that does not give the model.

    Examples
    --------
    >>> encoder = genossl.load_encoder(run, device="cpu")
    >>> encoder.width, encoder.stride, encoder.channels
    (20, 20, 8)
    """
    return checkpoint.load_encoder(hub.local(path), str(encoder_device(device)))


def embed(
    encoder: Encoder | str | Path,
    sequences: Iterable[Any],
    pool: Pool = "last",
    both_strands: bool = True,
    precision: Precision = "auto",
) -> np.ndarray:
    """Embed sequences: one vector each, in the order given.

    The result does not depend on the order or on what else is embedded in the same call, to 1e-5.

    Parameters
    ----------
    encoder : Encoder, str or Path
        An encoder, or what `load_encoder` takes.
    sequences : iterable
        str, bytes, Bio.Seq, SeqRecord, or uint8 arrays or tensors of codes (A, C, G, T = 0..3, N = 4), of any lengths;
        also a column of pandas or polars.
    pool : {"last", "mean", "both"}
        The context after the whole sequence, the mean over its frames, or the one beside the other.
    both_strands : bool
        Average a sequence and its reverse complement, so that the strand given does not matter.
    precision : {"auto", "fp32", "bf16"}
        Of the matrix products. bf16 is faster on hardware made for it, half a percent away, and only to a percent
        independent of the batch. auto: bf16 where that is faster and independent of the batch nevertheless, as of LSTM
        encoders on such CPUs.

    Returns
    -------
    numpy.ndarray
        float32 (n, C), or (n, 2C) for pool "both".

    Raises
    ------
    InputError
        For a sequence that is empty or holds other letters, named by its place.

    Examples
    --------
    >>> genossl.embed(encoder, ["ACGTTGCA" * 10, "GATTACA"]).shape
    (2, 8)
    """
    if isinstance(encoder, (str, Path)):
        encoder = load_encoder(encoder)
    return embedding.embed(encoder, tokens_of(sequences), known(pool), both_strands, precision)


@overload
def embed_fasta(
    encoder: Encoder | str | Path, path: str | Path, window: int = ..., step: int = ..., pool: Pool = ...,
    both_strands: bool = ..., precision: Precision = ..., output: Literal["pandas"] = ...,
) -> pd.DataFrame: ...  # fmt: skip
@overload
def embed_fasta(
    encoder: Encoder | str | Path, path: str | Path, window: int = ..., step: int = ..., pool: Pool = ...,
    both_strands: bool = ..., precision: Precision = ..., *, output: Literal["polars"],
) -> polars.DataFrame: ...  # fmt: skip
@overload
def embed_fasta(
    encoder: Encoder | str | Path, path: str | Path, window: int = ..., step: int = ..., pool: Pool = ...,
    both_strands: bool = ..., precision: Precision = ..., *, output: Literal["anndata"],
) -> anndata.AnnData: ...  # fmt: skip


def embed_fasta(
    encoder: Encoder | str | Path,
    path: str | Path,
    window: int = 0,
    step: int = 0,
    pool: Pool = "last",
    both_strands: bool = True,
    precision: Precision = "auto",
    output: Literal["pandas", "polars", "anndata"] = "pandas",
) -> Any:
    """Embed the windows of a FASTA file.

    All vectors are held in memory; `genossl embed` streams a file of any size to disk.

    Parameters
    ----------
    encoder, pool, both_strands, precision
        As of `embed`.
    path : str or Path
        FASTA or FASTQ, plain or compressed.
    window : int
        Bases; 0 for as many as the encoder was trained on, -1 for whole records. The last window of a record ends with
        it.
    step : int
        Bases from one window to the next; 0 for no overlap.
    output : {"pandas", "polars", "anndata"}
        The kind of table.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or anndata.AnnData
        Columns contig, start, end (0-based, half-open), n_N (bases that are N) and vector, float32 (C,). In AnnData
        the vectors are X and the rest is obs, under the name contig:start-end.

    Raises
    ------
    InputError
        For a file that `genossl ingest` would refuse, in its words, and for window 0 of an encoder that was not
        trained.

    Examples
    --------
    >>> table = genossl.embed_fasta(encoder, fasta, window=60)
    >>> table[["contig", "start", "end", "n_N"]].head(2)
      contig  start  end  n_N
    0      c      0   60    0
    1      c     60  120    0
    >>> genossl.embed_fasta(encoder, fasta, window=60, output="anndata").shape
    (3, 8)
    """
    if isinstance(encoder, (str, Path)):
        encoder = load_encoder(encoder)
    items = list(inputs.read(path, _bases(window, encoder), step))
    rows = pd.DataFrame([item.row for item in items])
    vectors_NC = embedding.embed(encoder, [item.tokens for item in items], known(pool), both_strands, precision)
    return frames.of_kind(output, rows, vectors_NC)


def _bases(window: int, encoder: Encoder) -> int:
    """Bases of a window as `inputs.read` takes them, 0 for whole records; InputError for what is none."""
    if window < -1:
        raise InputError(f"window {window}: expected bases, 0 for as many as in training, or -1 for whole records")
    if window == 0 and not encoder.length:
        raise InputError("window 0: the encoder was not trained on windows; expected bases, or -1 for whole records")
    return inputs.window_bases(window, encoder.length)


def known(pool: Pool) -> Pool:
    """The same; InputError for what is none."""
    if pool not in get_args(Pool):
        raise InputError(f"pool {pool!r} is unknown; expected {', '.join(get_args(Pool))}")
    return pool
