"""Random windows of 1,000 bases for training, and what share of a training step drawing them takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import training
from .data import CODES, Data
from .measure import Work
from .table import Contender, Goal, Table

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore

LENGTH, BATCH, EPOCH = 1000, 512, 50  # bases, windows, batches
OURS = "genossl Windows.draw"
LEAN = "pyfaidx per item, DataLoader"


def tables(data: Data) -> list[Table]:
    return [_drawing(data), *(_share(data, preset, batch) for preset, batch in training.BATCHES.items())]


def _drawing(data: Data) -> Table:
    sampling = {"path": data.fasta}
    flat = {"store": data.store}
    return Table(
        "windows",
        f"Windows of {LENGTH:,} bases, {BATCH} at once",
        "windows",
        LEAN,
        [
            Contender(OURS, "windows:single", flat),
            Contender("genossl Pairs.draw (default preset, 2 x 500 bases)", "windows:pairs", flat),
            Contender("flat memory map per item, DataLoader", "windows:memmap_items", flat),
            Contender(LEAN, "windows:pyfaidx_items", sampling),
        ],
        [Goal("windows, over a lean pyfaidx Dataset", OURS, LEAN, least=30)],
        notes=("Starts are uniform over all windows that lie inside a record. DataLoaders have no workers.",),
    )


def _share(data: Data, preset: str, batch: int) -> Table:
    step, draw = f"training step, {preset}", f"drawing and views, {preset}"
    settings = training.settings(data, preset, batch, "auto")
    return Table(
        f"windows_{preset}",
        f"Drawing windows as a share of a training step, preset {preset}",
        "windows",
        draw,
        [Contender(step, "training:ours", settings), Contender(draw, "windows:draw_and_views", settings)],
        [Goal(f"drawing windows as a share of a training step, {preset}", step, draw, most=0.01)],
        notes=("The step's ratio is the share of it that drawing windows and making views takes.",),
    )


# ---- contenders


def single(store: str) -> Work:
    from genossl.genome.store import TokenStore
    from genossl.genome.windows import Windows, generator

    yield {}
    opened = TokenStore.open(store)
    windows = Windows(opened, np.arange(len(opened.contigs)), LENGTH)
    step = 0
    while True:
        windows.draw(BATCH, generator(0, step))
        step += 1
        yield {"units": BATCH}


def pairs(store: str) -> Work:
    from genossl.genome.store import TokenStore
    from genossl.genome.windows import Pairs, generator
    from genossl.recipe import resolve

    yield {}
    opened, s = TokenStore.open(store), resolve({"preset": "default"}).method
    sampler = Pairs(opened, np.arange(len(opened.contigs)), s.length, s.distance, s.most_n)
    step = 0
    while True:
        sampler.draw(BATCH, generator(0, step))
        step += 1
        yield {"units": BATCH}


def draw_and_views(store: str, preset: str, batch: int, precision: str, encoder: dict[str, Any]) -> Work:
    from genossl.genome.windows import generator
    from genossl.verbs import pretrain  # noqa: F401

    yield {}
    trainer = training.trainer(store, preset, batch, precision, encoder)
    step = 0
    while True:
        rng = generator(0, step)
        trainer.method.views(trainer.sampler.draw(batch, rng), rng)
        step += 1
        yield {"units": batch}


def pyfaidx_items(path: str) -> Work:
    from pyfaidx import Fasta
    from torch.utils.data import DataLoader

    yield {}
    dataset: Any = from_fasta(Fasta(path, as_raw=True, rebuild=False))
    yield from _batches(DataLoader(dataset, BATCH))


def memmap_items(store: str) -> Work:
    from torch.utils.data import DataLoader

    from genossl.genome.store import TokenStore

    yield {}
    dataset: Any = from_store(TokenStore.open(store))
    yield from _batches(DataLoader(dataset, BATCH))


def from_fasta(fasta: Any) -> Starts:
    """Windows cut by pyfaidx, an item at a time."""
    codes, names = np.frombuffer(CODES, np.uint8), list(fasta.keys())

    def item(name: str, start: int) -> np.ndarray:
        return codes[np.frombuffer(fasta[name][start : start + LENGTH].encode(), np.uint8)]

    return Starts(names, [len(fasta[name]) for name in names], item)


def from_store(store: TokenStore) -> Starts:
    """Windows copied from the flat file of tokens, an item at a time."""

    def item(offset: int, start: int) -> np.ndarray:
        return np.array(store.tokens[offset + start : offset + start + LENGTH])

    return Starts(store.contigs["offset"].tolist(), store.contigs["length"].tolist(), item)


class Starts:
    """A map-style dataset of one epoch: which record and which base of it, drawn beforehand."""

    def __init__(self, records: list[Any], lengths: list[int], item: Callable[[Any, int], np.ndarray]) -> None:
        until = np.cumsum([max(0, length - LENGTH + 1) for length in lengths])
        drawn = np.random.default_rng(0).integers(0, until[-1], EPOCH * BATCH)
        which = np.searchsorted(until, drawn, "right")
        self.record = [records[i] for i in which]
        self.start = (drawn - np.concatenate([[0], until])[which]).tolist()
        self.item = item

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.item(self.record[i], self.start[i])


def _batches(loader: Iterable[Any]) -> Work:
    while True:
        for batch in loader:
            yield {"units": len(batch)}
