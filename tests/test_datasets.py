"""Datasets for training loops of one's own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import genossl
from genossl.genome.alphabet import N, encode


def rows(data: genossl.WindowDataset, **options: object) -> list[tuple]:
    """All windows that a loader gives, in its order."""
    batches = list(DataLoader(data, **options))  # type: ignore[arg-type]
    found = [torch.cat([getattr(batch, name) for batch in batches]) for name in ("contig", "start", "genome")]
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_windows_are_what_the_store_holds(tiny_store: Path) -> None:
    store = genossl.TokenStore.open(tiny_store)
    data = genossl.WindowDataset(store, 90, split=("train", "test"), windows=50)
    for window in data:
        contig = store.contigs.iloc[int(window.contig)]
        start = int(window.start)
        assert np.array_equal(window.tokens, store.whole(int(window.contig))[start : start + 90])
        assert window.tokens.dtype == torch.uint8
        assert store.genomes["genome"][int(window.genome)] == contig["genome"]
        assert contig["genome"] in ("train", "test")


def test_the_order_is_the_same_for_any_number_of_workers_and_rows(tiny_store: Path) -> None:
    data = genossl.WindowDataset(tiny_store, 90, seed=3, windows=40)
    alone = rows(data, batch_size=8)
    assert len(alone) == len(data) == 40
    for options in ({"num_workers": 2}, {"num_workers": 1, "batch_size": 7}, {"batch_size": 40}):
        assert rows(data, **{"batch_size": 8, **options}) == alone
    assert len(set(alone)) > 35  # no two workers draw the same; 6,000 starts seldom repeat in 40
    assert rows(genossl.WindowDataset(tiny_store, 90, seed=4, windows=40), batch_size=8) != alone


def test_every_start_is_as_likely(tmp_path: Path) -> None:
    """Of a contig of 12 bases and windows of 10 there are 3 starts: 600 each of 1,800, within four deviations of 20."""
    store = planted.store(tmp_path / "s", {"g": ("train", [np.arange(12, dtype=np.uint8) % 4])})
    starts = [int(window.start) for window in genossl.WindowDataset(store, 10, windows=1800)]
    assert all(abs(count - 600) < 80 for count in np.bincount(starts))
    assert sorted(set(starts)) == [0, 1, 2]


def test_a_dataset_that_travels_opens_the_store_again(tiny_store: Path) -> None:
    data = genossl.WindowDataset(tiny_store, 90, split="test", seed=5)
    whole = pickle.dumps(data)
    assert len(whole) < 1000  # no genome in it
    again = pickle.loads(whole)
    assert rows(again) == rows(data)
    assert len(again) == 67  # 6,000 bases in windows of 90


def test_windows_with_too_many_n_are_drawn_anew(tmp_path: Path) -> None:
    tokens = np.full(400, N, np.uint8)
    tokens[50:350] = 1
    store = planted.store(tmp_path / "s", {"g": ("", [tokens])})
    shares = [float((w.tokens == N).float().mean()) for w in genossl.WindowDataset(store, 20, windows=60, most_n=0.1)]
    assert max(shares) < 0.11


def test_what_windows_cannot_be_drawn(tiny_store: Path) -> None:
    with pytest.raises(genossl.InputError, match="no genome of split 'dev'; found 'test', 'train', 'validation'"):
        genossl.WindowDataset(tiny_store, 90, split="dev")
    with pytest.raises(genossl.InputError, match="no contig holds 4000 bases"):
        genossl.WindowDataset(tiny_store, 4000)
    with pytest.raises(genossl.InputError, match="no token store"):
        genossl.WindowDataset(tiny_store / "none", 90)
    with pytest.raises(IndexError):
        genossl.WindowDataset(tiny_store, 90, windows=2)[2]


LINES = ["id\tlabel\tsequence\tsplit", "a\tx\tACGT\ttrain", "b\ty\tACGTNA\ttest", "c\tz\tGG\ttrain", "d\tx\tC\tdev"]


def test_labelled_sequences(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("\n".join(LINES) + "\n")
    data = genossl.LabelledSequences(path)
    assert (data.ids, data.classes) == (["a", "b", "c", "d"], ["x", "y", "z"])
    assert [row.label.item() for row in (data[i] for i in range(4))] == [0, 1, 2, 0]
    assert [row.tokens.tolist() for row in (data[i] for i in range(4))] == [
        encode(line.split("\t")[2]).tolist() for line in LINES[1:]
    ]
    train = genossl.LabelledSequences(path, split="train")
    (batch,) = DataLoader(train, batch_size=4, collate_fn=train.collate)
    assert batch.tokens.tolist() == [[0, 1, 2, 3], [2, 2, N, N]]
    assert (batch.lengths.tolist(), batch.labels.tolist()) == ([4, 2], [0, 2])
    assert genossl.LabelledSequences(path, split="validation").ids == ["d"]
    with pytest.raises(genossl.InputError, match="split 'dev' is unknown; expected train, validation or test"):
        genossl.LabelledSequences(path, split="dev")
    path.write_text("id\tlabel\tsequence\na\tx\tACGT\n")
    with pytest.raises(genossl.InputError, match=r"t\.tsv: no row of split train"):
        genossl.LabelledSequences(path, split="train")


def test_labelled_coordinates(tiny_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("id\tlabel\tcontig\tstart\tend\tstrand\na\tx\ttrain_0\t5\t9\t-\n")
    (row,) = [genossl.LabelledSequences(path, tiny_store)[0]]
    tokens = genossl.TokenStore.open(tiny_store).contig("train_0")[5:9]
    assert row.tokens.tolist() == [3 - base for base in tokens[::-1].tolist()]


def test_a_loop_of_ones_own(tiny_run: Path, tiny_store: Path) -> None:
    """The encoder in a module of the user's: all its parameters get a gradient, and the loop's own head, too."""

    class Composition(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = genossl.load_encoder(tiny_run, device="cpu")
            self.head = nn.Linear(self.encoder.channels, 1)

        def forward(self, tokens_BL: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(tokens_BL).c[:, -1])[:, 0]

    model = Composition().train()
    batch = next(iter(DataLoader(genossl.WindowDataset(tiny_store, 100), batch_size=8)))
    gc_B = ((batch.tokens == 1) | (batch.tokens == 2)).float().mean(1)
    F.mse_loss(model(batch.tokens), gc_B).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())
