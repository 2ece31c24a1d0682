"""Contenders that live in an environment of their own (peers.txt): no line here may need genossl.

Networks have the published shape and random weights; nothing is fetched.
"""
# pyright: reportMissingImports=false

# B windows, L bases, T tokens

from __future__ import annotations

from collections.abc import Iterator

from .measure import Work
from .reading import Reader, filled, translated

BASES_PER_BPE = 5  # a token of DNABERT-2's vocabulary, about


def fill(reader: str, path: str, bases: int) -> Work:
    return filled(READERS[reader](), path, bases)


def pysam() -> Reader:
    from pysam import FastxFile

    def records(path: str) -> Iterator[bytes]:
        with FastxFile(path, persist=False) as stream:
            for record in stream:
                yield record.sequence.encode()

    return translated(records)


def pyfastx() -> Reader:
    from pyfastx import Fastx

    return translated(lambda path: (letters.encode() for _, letters in Fastx(path)))


def needletail() -> Reader:
    from needletail import parse_fastx_file

    return translated(lambda path: (record.seq.encode() for record in parse_fastx_file(path)))


READERS = {reader.__name__: reader for reader in (pysam, pyfastx, needletail)}


def hyenadna(windows: int, length: int, layers: int) -> Work:
    """HyenaDNA-tiny: one token per base."""
    import torch
    from multimolecule.models import HyenaDnaConfig, HyenaDnaModel

    yield {}
    config = HyenaDnaConfig(hidden_size=128, num_hidden_layers=layers, max_position_embeddings=length + 2)
    tokens_BT = torch.randint(6, 10, (windows, length))
    yield from _read(HyenaDnaModel(config), tokens_BT, windows * length)


def nucleotide_transformer(windows: int, length: int, layers: int) -> Work:
    """Nucleotide Transformer v2 50M: 6-mer tokens; its gated units as a plain layer of as many operations."""
    import torch
    from transformers import EsmConfig, EsmModel

    yield {}
    config = EsmConfig(
        vocab_size=4107, hidden_size=512, num_hidden_layers=layers, num_attention_heads=16, intermediate_size=3072,
        position_embedding_type="rotary", max_position_embeddings=2050, token_dropout=False, pad_token_id=1,
    )  # fmt: skip
    tokens_BT = torch.randint(5, 4101, (windows, -(-length // 6) + 1))
    yield from _read(EsmModel(config, add_pooling_layer=False), tokens_BT, windows * length)


def dnabert2(windows: int, length: int, layers: int) -> Work:
    """DNABERT-2: byte-pair tokens, whose making is not counted."""
    import torch
    from multimolecule.models import DnaBert2Config, DnaBert2Model

    yield {}
    tokens_BT = torch.randint(5, 4096, (windows, length // BASES_PER_BPE + 2))
    yield from _read(DnaBert2Model(DnaBert2Config(num_hidden_layers=layers)), tokens_BT, windows * length)


def _read(model, tokens_BT, bases: int) -> Work:
    import torch

    model.eval()
    mask_BT = torch.ones_like(tokens_BT)
    with torch.inference_mode():
        while True:
            model(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state.mean(1).numpy()
            yield {"units": bases / 1e3}
