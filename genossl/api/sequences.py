"""Sequences in whatever form a notebook holds them, as tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from genossl.errors import InputError
from genossl.genome import fasta


def tokens_of(sequences: Iterable[Any]) -> list[np.ndarray]:
    """Tokens uint8 (L,) of each sequence: str, bytes, Bio.Seq, SeqRecord, or uint8 codes (A, C, G, T = 0..3, N = 4).

    They come as any iterable, or as a frame or an array of one column. Raises InputError for a single sequence, more
    columns, and a sequence that is empty or holds other letters.
    """
    return [_tokens(sequence, i) for i, sequence in enumerate(_column(sequences))]


def _column(sequences: Any) -> Iterable[Any]:
    """What to go through: not the letters of a single sequence, nor the names of a frame's columns."""
    array = isinstance(sequences, np.ndarray)
    if (array and sequences.ndim == 1 and sequences.dtype == np.uint8) or _letters(sequences) is not None:
        raise InputError("embed: expected a list of sequences, found a single one; put it in a list")
    if isinstance(sequences, dict):
        raise InputError("embed: expected a list of sequences, found a dict; give its values")
    frame = hasattr(sequences, "columns")
    if frame or (array and sequences.ndim == 2 and sequences.dtype != np.uint8):
        if sequences.shape[1] != 1:
            raise InputError(f"embed: expected one column of sequences, found {sequences.shape[1]}; choose one")
        return sequences[sequences.columns[0]] if frame else sequences[:, 0]
    return sequences


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
