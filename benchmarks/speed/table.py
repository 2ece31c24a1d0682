"""A table: contenders that are measured in turn, what is told of each, and the goals that they are held to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contender:
    """What is measured, in a process of its own (speed/measure.py)."""

    name: str
    call: str  # module:function of this package, a generator as speed.measure wants it
    settings: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the function
    peers: bool = False  # runs in the environment of the peers
    threads: int = 1
    unit: str = ""  # where it is not the table's, so that its rate is compared with nobody's
    left_out: str = ""  # why it is not measured on this machine


@dataclass(frozen=True)
class Goal:
    """A ratio of rates (`row` over `over`), or the memory of `row`, and the least or the most that it may be."""

    text: str
    row: str
    over: str = ""  # "": the memory of `row` in MiB
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Table:
    """Contenders of one unit. `clock` decides rates and ratios: cpu, or wall where several threads are the point."""

    name: str
    title: str
    unit: str  # of what is done per second
    against: str  # the contender whose rate is 1 in the column of ratios
    contenders: list[Contender]
    goals: list[Goal] = field(default_factory=list)
    clock: str = "cpu"
    seconds: float = 1.0  # of one measurement, at least
    columns: dict[str, Callable[[Row, Rows], Any]] = field(default_factory=dict)  # more of them
    notes: tuple[str, ...] = ()  # sentences under the table
    conclude: Callable[[Rows], list[str]] = lambda rows: []  # sentences that follow from the figures


@dataclass
class Row:
    """A contender's measurements, one per round; none where it was left out."""

    name: str
    rounds: list[dict[str, Any]]
    left_out: str = ""
    failed: bool = False

    def rates(self, clock: str) -> list[float]:
        return [once["units"] / max(once[clock], 1e-9) for once in self.rounds]

    def peak(self) -> float:
        return max(once["peak"] for once in self.rounds)


Rows = dict[str, Row]


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)}-{short(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def short(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def ratio(row: Row, over: Row, clock: str) -> Spread:
    """The rate of one over the other's, round by round."""
    return spread([a / b for a, b in zip(row.rates(clock), over.rates(clock), strict=True)])
