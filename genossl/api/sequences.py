"""Sequences in whatever form a notebook holds them, as tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from genossl.errors import InputError
from genossl.genome import fasta


def tokens_of(sequences: Iterable[Any]) -> list[np.ndarray]:
    """Tokens uint8 (L,) of each sequence: str, bytes, Bio.Seq, SeqRecord, or codes (A, C, G, T = 0..3, N = 4), uint8.

    They come as any iterable, or as a frame or an array of one column. Raises InputError for a single sequence, more
    columns, and a sequence that is empty or holds other letters.
    """
    return [_tokens(_array(sequence), i) for i, sequence in enumerate(_column(_array(sequences)))]


def _array(sequences: Any) -> Any:
    """A tensor as an array, and anything else as it is."""
    return sequences.numpy(force=True) if isinstance(sequences, torch.Tensor) else sequences


def _column(sequences: Any) -> Iterable[Any]:
    """What to go through: not the letters of a single sequence, nor the names of a frame's columns."""
    if isinstance(sequences, np.ndarray):
        single, columns = sequences.ndim == 1 and sequences.dtype == np.uint8, None
        if sequences.ndim == 2 and sequences.dtype != np.uint8:  # that would be codes, a sequence per row
            columns = list(sequences.T)
    else:
        single, names = _letters(sequences) is not None, getattr(sequences, "columns", None)
        columns = None if names is None else [sequences[name] for name in names]
    if single:
        raise InputError("embed: expected a list of sequences, found a single one; put it in a list")
    if isinstance(sequences, dict):
        raise InputError("embed: expected a list of sequences, found a dict; give its values")
    if columns is None:
        return sequences
    if len(columns) != 1:
        raise InputError(f"embed: expected one column of sequences, found {len(columns)}; choose one")
    return columns[0]


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
