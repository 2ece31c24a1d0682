"""What a second thread buys, by wall time."""

from __future__ import annotations

from dataclasses import replace

from . import embedding, training
from .data import Data
from .machine import fastest
from .table import Contender, Table


def tables(data: Data) -> list[Table]:
    preset = "paper_1000"
    step = training.settings(data, preset, training.BATCHES[preset], fastest())
    return [
        _table("threads_training", "Training step", "windows", Contender("", "training:ours", step)),
        _table("threads_embedding", "Embedding", "kbp", embedding.contender(preset, fastest(), data.tiny)),
    ]


def _table(name: str, title: str, unit: str, contender: Contender) -> Table:
    contenders = [replace(contender, name="1 thread"), replace(contender, name="2 threads", threads=2)]
    title = f"{title}, paper_1000 in {fastest()}, by wall time"
    return Table(name, title, unit, "1 thread", contenders, clock="wall", seconds=2.0)
