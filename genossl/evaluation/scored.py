"""The scores of a results folder as they lie on disk, task by task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from genossl.evaluation import drilldown, ranking
from genossl.evaluation import verdict as judge
from genossl.files import read_json, read_sheet

SCORES = ("task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n")
COMPARISONS = ("task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n")
CONFUSION = ("task", "embedding", "head", "shots", "label", "predicted", "count")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The scores of one task; comparisons and confusion may have no rows."""

    name: str
    record: dict[str, Any]
    scores: pd.DataFrame
    comparisons: pd.DataFrame
    confusion: pd.DataFrame
    about: dict[str, Any] = dataclasses.field(default_factory=dict)  # tasks/<task>.json: kind, strand, description
    beside: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)  # the tables of drilldown.TABLES

    @property
    def kind(self) -> str:
        """What its labels are: classes, multilabel or regression."""
        return judge.asked(self.about | self.record)["kind"]

    @property
    def metric(self) -> str:
        """The metric that its verdict goes by."""
        return judge.asked(self.record)["metric"]

    @property
    def per(self) -> str:
        """What a count of labels counts: classes get as many each."""
        return "labels per class" if self.kind == "classes" else "labelled rows"


def read_tasks(results: Path) -> list[Task]:
    """Every scores/<task>.tsv with what lies beside it."""
    folder = results / "scores"
    found = {path.name.removesuffix(".tsv") for path in folder.glob("*.tsv")}
    beside = {f"{name}.{table}" for name in found for table in ("comparisons", "confusion", *drilldown.TABLES)}
    paths = [folder / f"{name}.tsv" for name in sorted(found - beside)]
    return [
        Task(
            name=path.name.removesuffix(".tsv"),
            record=record_of(path.with_suffix(".json")),
            about=record_of(results / "tasks" / path.with_suffix(".json").name),
            beside=drilldown.beside(path),
            scores=numeric(read_sheet(path, SCORES, comments=False), ["value", "low", "high", "n"]),
            comparisons=numeric(
                _optional(path.with_suffix(".comparisons.tsv"), COMPARISONS), ["difference", "low", "high", "n"]
            ),
            confusion=numeric(_optional(path.with_suffix(".confusion.tsv"), CONFUSION), ["count"]),
        )
        for path in paths
    ]


def plain(task: Task) -> Task:
    """The task without the rows of compared methods, which have a section of their own."""
    compared = {name for name in task.scores["embedding"] if ranking.is_compared(name)}
    pairs = task.comparisons
    return dataclasses.replace(
        task,
        scores=task.scores[~task.scores["embedding"].isin(compared)],
        comparisons=pairs[~pairs["embedding"].isin(compared) & ~pairs["baseline"].isin(compared)],
    )


def _optional(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not drilldown.has_rows(path):
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    return read_sheet(path, columns, comments=False)


def record_of(path: Path) -> dict[str, Any]:
    """The JSON object of a file, none where it is not there."""
    return read_json(path) if path.is_file() else {}


def numeric(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The table with these columns as floats, nan for what is none."""
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype(float) for name in columns})
