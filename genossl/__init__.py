"""Self-supervised learning on DNA, from FASTA to a verdict.

The public names are loaded when they are first used, so that importing genossl costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "embed": "genossl.api",
    "embed_fasta": "genossl.api",
    "load_encoder": "genossl.api",
    "GenomeEmbedder": "genossl.api",
    "open_index": "genossl.api",
    "TokenStore": "genossl.genome.store",
    "InputError": "genossl.errors",
}
__all__ = ["GenomeEmbedder", "InputError", "TokenStore", "__version__", "embed", "embed_fasta", "load_encoder"]
__all__ += ["open_index"]

if TYPE_CHECKING:
    from genossl.api import GenomeEmbedder, embed, embed_fasta, load_encoder, open_index
    from genossl.errors import InputError
    from genossl.genome.store import TokenStore


def __getattr__(name: str) -> Any:
    if name == "methods":
        return importlib.import_module("genossl.methods")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'genossl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
