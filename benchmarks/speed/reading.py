"""Readers of FASTA fill one array of tokens; what they share, for any environment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .data import CODES
from .measure import Work

Reader = Callable[[str, np.ndarray], int]  # (path, tokens to fill, uint8) -> bases


def put(tokens: np.ndarray, at: int, letters: bytes) -> int:
    """Codes of the letters into `tokens` from `at` on; where they end."""
    end = at + len(letters)
    tokens[at:end] = np.frombuffer(letters.translate(CODES), np.uint8)
    return end


def filled(read: Reader, path: str, bases: int) -> Work:
    """A contender that reads a file of `bases` bases again and again."""
    yield {}
    tokens = np.zeros(bases, np.uint8)
    while True:
        yield {"units": read(path, tokens) / 1e6}
