"""Self-supervised learning on DNA, from FASTA to a verdict.

The public names are loaded when they are first used, so that importing genossl costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "embed": "genossl.api.embedding",
    "embed_fasta": "genossl.api.embedding",
    "load_encoder": "genossl.api.embedding",
    "to_anndata": "genossl.api.frames",
    "GenomeEmbedder": "genossl.api.transformers",
    "KmerProfile": "genossl.api.transformers",
    "WindowDataset": "genossl.api.datasets",
    "LabelledSequences": "genossl.api.datasets",
    "GenomeIndex": "genossl.api.search",
    "open_index": "genossl.api.search",
    "from_pretrained": "genossl.api.sharing",
    "save_pretrained": "genossl.api.sharing",
    "Encoder": "genossl.model.encoder",
    "TokenStore": "genossl.genome.store",
    "InputError": "genossl.errors",
}
__all__ = [
    "Encoder",
    "GenomeEmbedder",
    "GenomeIndex",
    "InputError",
    "KmerProfile",
    "LabelledSequences",
    "TokenStore",
    "WindowDataset",
    "__version__",
    "embed",
    "embed_fasta",
    "from_pretrained",
    "load_encoder",
    "methods",
    "open_index",
    "save_pretrained",
    "to_anndata",
]

if TYPE_CHECKING:
    from genossl import methods
    from genossl.api.datasets import LabelledSequences, WindowDataset
    from genossl.api.embedding import embed, embed_fasta, load_encoder
    from genossl.api.frames import to_anndata
    from genossl.api.search import GenomeIndex, open_index
    from genossl.api.sharing import from_pretrained, save_pretrained
    from genossl.api.transformers import GenomeEmbedder, KmerProfile
    from genossl.errors import InputError
    from genossl.genome.store import TokenStore
    from genossl.model.encoder import Encoder


def __getattr__(name: str) -> Any:
    if name == "methods":
        return importlib.import_module("genossl.methods")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'genossl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
