"""Letters to codes and back: A, C, G, T are 0 to 3, complement(code) = 3 - code, everything else is N = 4; MASK = 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

N = 4
MASK = 5
IUPAC = b"RYSWKMBDHVN"

LETTERS = np.frombuffer(b"ACGTN#", np.uint8)
CODES = np.full(256, N, np.uint8)  # letter -> code; what is no base is N
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    CODES[list(_letters)] = _code
COMPLEMENT = np.array([3, 2, 1, 0, N, MASK], np.uint8)

Tokens = TypeVar("Tokens", "np.ndarray", "torch.Tensor")


def encode(letters: bytes | str) -> np.ndarray:
    """Codes, uint8 (L,). Lower case counts as upper, U as T, every ambiguity code as N."""
    raw = letters.encode("ascii", "replace") if isinstance(letters, str) else letters
    return CODES[np.frombuffer(raw, np.uint8)]


def decode(tokens: np.ndarray | torch.Tensor) -> str:
    """Letters of codes (L,); MASK is written as #."""
    return LETTERS[np.asarray(tokens)].tobytes().decode("ascii")


def reverse_complement(tokens: Tokens) -> Tokens:
    """The other strand, read 5' to 3': uint8 (..., L), any leading shape; N and MASK stay what they are."""
    if isinstance(tokens, np.ndarray):
        return COMPLEMENT[tokens[..., ::-1]]
    import torch  # here, so that reading FASTA does not wait for it

    return torch.where(tokens < 4, 3 - tokens, tokens).flip(-1)
