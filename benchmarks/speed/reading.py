"""Readers of FASTA fill one array of tokens; what they share, for any environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .data import CODES
from .measure import Work

Reader = Callable[[str, np.ndarray], int]  # (path, tokens to fill, uint8) -> bases


def translated(records: Callable[[str], Iterator[bytes]]) -> Reader:
    """A reader from what gives the letters of each record: their codes, one record after the other."""

    def read(path: str, tokens: np.ndarray) -> int:
        at = 0
        for letters in records(path):
            end = at + len(letters)
            tokens[at:end] = np.frombuffer(letters.translate(CODES), np.uint8)
            at = end
        return at

    return read


def filled(read: Reader, path: str, bases: int) -> Work:
    """A contender that reads a file of `bases` bases again and again."""
    yield {}
    tokens = np.zeros(bases, np.uint8)
    while True:
        yield {"units": read(path, tokens) / 1e6}
