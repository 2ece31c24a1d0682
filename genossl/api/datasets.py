"""Genomes and labelled tables as PyTorch datasets, for training loops of one's own."""

# B rows, L bases

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from genossl.errors import InputError
from genossl.genome import inputs, windows
from genossl.genome.labels import SPLITS, read_labels
from genossl.genome.store import TokenStore
from genossl.model.embedding import padded

STREAM = 4  # of randomness; pretraining has 0 to 3


class Window(NamedTuple):
    """A window of a genome; a `DataLoader` makes a Window of batches of it."""

    tokens: Tensor  # uint8 (L,): A, C, G, T = 0..3, N = 4
    genome: Tensor  # int64 (): row of store.genomes
    contig: Tensor  # int64 (): row of store.contigs
    start: Tensor  # int64 (): 0-based, in the contig


class WindowDataset(Dataset[Window]):
    """Windows drawn from a token store, every start equally likely.

    Window i is drawn with (seed, i) alone: a `DataLoader` gives the same windows in the same order for any number of
    workers and any batch size, each once, and a `DistributedSampler` shares them out. Another seed is another epoch.

    Parameters
    ----------
    store : TokenStore, str or Path
        What `genossl ingest` wrote.
    length : int
        Bases of a window; shorter contigs are left out.
    split : str or sequence of str
        Of the genomes to draw from; "" are those without one. If not given, what pretraining learns from.
    windows : int, optional
        How many; as many as cover the genomes once on average if not given.
    seed : int
        Of all randomness.
    most_n : float
        Largest share of N in a window; one with more is drawn anew, at most 8 times.

    Raises
    ------
    InputError
        For a folder that is no store, or a split without a contig of that length.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> data = genossl.WindowDataset(store, length=100, split="train")
    >>> len(data), data[0].tokens.shape, data[0].tokens.dtype
    (60, torch.Size([100]), torch.uint8)
    >>> batch = next(iter(DataLoader(data, batch_size=16)))
    >>> batch.tokens.shape, batch.start.shape
    (torch.Size([16, 100]), torch.Size([16]))
    """

    store: TokenStore
    length: int
    split: tuple[str, ...]
    windows: int
    seed: int
    most_n: float

    def __init__(
        self, store: TokenStore | str | Path, length: int, split: str | Sequence[str] = ("train", "pretrain", ""),
        windows: int | None = None, seed: int = 0, most_n: float = 1.0,
    ) -> None:  # fmt: skip
        self.store = store if isinstance(store, TokenStore) else TokenStore.open(store)
        self.length, self.seed, self.most_n = length, seed, most_n
        self.split = (split,) if isinstance(split, str) else tuple(split)
        self._sampler = _sampler(self.store, self.length, self.split, most_n)
        self.windows = -(-self._sampler.bases // length) if windows is None else windows

    def __len__(self) -> int:
        return self.windows

    def __getitem__(self, index: int) -> Window:
        if not -self.windows <= index < self.windows:
            raise IndexError(f"window {index} of {self.windows}")  # which ends a for loop
        batch = self._sampler.draw(1, windows.generator(self.seed, index % self.windows, STREAM))
        return Window(batch.tokens[0], batch.genome[0], batch.contig[0], batch.start[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers that are not forked open the store again: its bases are not copied."""
        rest = (self.length, self.split, self.windows, self.seed, self.most_n)
        return type(self), (self.store.folder, *rest)


def _sampler(store: TokenStore, length: int, split: Sequence[str], most_n: float) -> windows.Windows:
    rows = store.select(set(split))
    if not len(rows):
        found = ", ".join(repr(name) for name in sorted(set(store.genomes["split"])))
        raise InputError(f"{store.folder}: no genome of split {', '.join(map(repr, split))}; found {found}")
    return windows.Windows(store, rows, length, most_n)


class Labelled(NamedTuple):
    """A labelled sequence."""

    tokens: Tensor  # uint8 (L,)
    label: Tensor  # int64 (): place in `classes`


class LabelledBatch(NamedTuple):
    """Labelled sequences, filled up with N to the length of the longest."""

    tokens: Tensor  # uint8 (B, L)
    lengths: Tensor  # int64 (B,), without what was filled up
    labels: Tensor  # int64 (B,)


class LabelledSequences(Dataset[Labelled]):
    """The rows of a labelled table, in its order; `collate` makes batches of them.

    Parameters
    ----------
    table : str or Path
        A labelled table: id, label, and sequence or coordinates.
    sequences : str or Path, optional
        The store or FASTA that coordinates refer to.
    split : {"train", "validation", "test"}, optional
        Only the rows of this split; all rows if not given.

    Attributes
    ----------
    ids : list of str
        Of the rows.
    classes : list of str
        Labels of the whole table, sorted, so that all splits count alike.

    Raises
    ------
    InputError
        For a table or sequences that `genossl embed` would refuse, in its words, and a split without rows.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> data = genossl.LabelledSequences(table, split="train")
    >>> data.classes, len(data), data[0].tokens.shape, data[0].label
    (['high', 'low'], 2, torch.Size([12]), tensor(0))
    >>> batch = next(iter(DataLoader(data, batch_size=2, collate_fn=data.collate)))
    >>> batch.tokens.shape, batch.lengths, batch.labels
    (torch.Size([2, 12]), tensor([12,  7]), tensor([0, 1]))
    """

    ids: list[str]
    classes: list[str]

    def __init__(self, table: str | Path, sequences: str | Path | None = None, split: str | None = None) -> None:
        labels = read_labels(table)
        kept = [True] * len(labels)
        if split is not None:
            if split not in SPLITS.values():
                raise InputError(f"split {split!r} is unknown; expected train, validation or test")
            kept = (labels["split"] == split).tolist() if "split" in labels else [False] * len(labels)
        if not any(kept):
            raise InputError(f"{table}: no row of split {split}")
        self.classes = sorted(set(labels["label"]))
        self.ids = labels.loc[kept, "id"].tolist()
        code = {name: i for i, name in enumerate(self.classes)}
        self._labels = [code[name] for name in labels.loc[kept, "label"]]
        items = inputs.read(table, 0, 0, sequences)
        self._tokens = [torch.tensor(item.tokens) for item, wanted in zip(items, kept, strict=True) if wanted]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Labelled:
        return Labelled(self._tokens[index], torch.tensor(self._labels[index]))

    @staticmethod
    def collate(rows: Iterable[Labelled]) -> LabelledBatch:
        """Rows as one batch: the `collate_fn` of a `DataLoader`."""
        rows = list(rows)
        tokens_BL = torch.from_numpy(padded([row.tokens.numpy() for row in rows]))
        lengths_B = torch.tensor([len(row.tokens) for row in rows])
        return LabelledBatch(tokens_BL, lengths_B, torch.stack([row.label for row in rows]))
