"""Labelled tables of every kind made ready: labels as numbers, splits, draws, units, and refusals in a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genossl.errors import InputError
from genossl.evaluation import tasks

SETTINGS = tasks.Settings(shots=(5, 20), draws=3, replicates=100, cap=40)


def table(labels: list[str], n_groups: int = 10, **columns: list) -> pd.DataFrame:
    rows = [(f"r{i:03d}", label, f"g{i % n_groups}") for i, label in enumerate(labels)]
    return pd.DataFrame(rows, columns=["id", "label", "group"]).assign(**columns)


def numbers(n: int = 100, n_groups: int = 10, **columns: list) -> pd.DataFrame:
    return table([repr(float(x)) for x in np.random.default_rng(0).normal(size=n)], n_groups, **columns)


SETS = ["a", "b", "a;b", "-", "", "b ; a", "c"] * 12


def test_labels_become_numbers() -> None:
    three = tasks.truth(table(SETS[:7]), "multilabel")
    assert three.classes == ["a", "b", "c"]
    assert three.y_N.tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]]
    value = tasks.truth(table(["1", "-2.5e-3", "7"]), "regression")
    assert value.y_N.dtype == np.float64
    assert value.y_N.tolist() == [1, -0.0025, 7]
    assert not value.classes
    assert tasks.truth(table(["x", "y", "x"]), "classes").y_N.tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind, labels", [("multilabel", table(SETS)), ("regression", numbers())])
def test_groups_stay_whole_draws_are_nested_and_their_number_is_of_rows(kind: tasks.Kind, labels: pd.DataFrame) -> None:
    ready = tasks.prepare(labels, SETTINGS, kind=kind)
    side = {row: name for name, rows in ready.rows.items() for row in rows}
    assert set(side.values()) == {"train", "validation", "test"}
    by_group = {g: {side[i] for i in np.flatnonzero(ready.labels["group"] == g)} for g in set(labels["group"])}
    assert all(len(sides) == 1 for sides in by_group.values())
    sizes = [sum(sides == {name} for sides in by_group.values()) for name in ("train", "validation", "test")]
    assert sizes == [6, 2, 2]  # of ten groups 60, 20, 20 %
    for few, many, every in zip(ready.draws["5"], ready.draws["20"], ready.draws["all"], strict=True):
        assert (len(few), len(many), len(every)) == (5, 20, 40)
        assert set(few) < set(many) < set(every) < set(ready.rows["train"])
    assert ready.labels_at("20") == 20
    assert "all: 40 training rows at most" in ready.notes
    assert "groups split by a hash of their name" in ready.notes
    assert ready.units.kind == "rows"
    assert (ready.units.class_U == 0).all()
    assert (ready.weights_RU.sum(1) == len(ready.units.class_U)).all()


def test_the_order_of_rows_does_not_matter_and_the_settings_kind_is_the_default() -> None:
    frame = numbers()
    one = tasks.prepare(frame, tasks.Settings(kind="regression", shots=(5,), replicates=100))
    two = tasks.prepare(frame.sample(frac=1, random_state=1), SETTINGS, kind="regression")
    assert one.kind == two.kind == "regression"
    assert (one.y_N == two.y_N).all()
    assert all((one.rows[side] == two.rows[side]).all() for side in one.rows)


def test_units_are_groups_where_there_are_five_in_test_and_blocks_where_there_are_coordinates() -> None:
    many = tasks.prepare(numbers(n_groups=30), SETTINGS, kind="regression")
    assert many.units.kind == "groups"
    assert len(many.units.class_U) == 6
    placed = numbers().assign(contig="c", start=[400 * i for i in range(100)])
    blocks = tasks.prepare(placed, tasks.Settings(shots=(5,), replicates=100, block=2000), kind="regression")
    assert blocks.units.kind == "2000-base blocks"
    test = blocks.labels.iloc[blocks.rows["test"]]
    block = (test["start"] // 2000).to_numpy()
    assert len(blocks.units.class_U) == len(set(block))
    assert len(set(zip(block, blocks.units.unit_N, strict=True))) == len(set(block))


def test_a_split_column_wins_and_validation_is_cut_from_train() -> None:
    frame = numbers().drop(columns="group").assign(split=["train"] * 60 + ["test"] * 40)
    ready = tasks.prepare(frame, SETTINGS, kind="regression")
    assert [len(ready.rows[side]) for side in ("train", "validation", "test")] == [45, 15, 40]
    assert "validation rows cut from train by rows" in ready.notes


def test_caps_count_rows() -> None:
    settings = tasks.Settings(shots=(5, 50, 70), replicates=100, cap=1000, test_cap=7, validation_cap=9)
    ready = tasks.prepare(numbers(), settings, kind="regression")
    assert [len(ready.rows[side]) for side in ("validation", "test")] == [9, 7]
    assert set(ready.draws) == {"5", "50", "all"}
    assert [len(rows) for rows in ready.draws["all"]] == [60]
    assert {"test rows capped at 7", "validation rows capped at 9"} <= set(ready.notes)
    assert "shots 70 left out: 60 training rows, or as capped" in ready.notes


def test_names_that_cannot_be_judged_or_learnt_are_noted() -> None:
    split = ["train", "validation", "test"] * 28
    labels = [{"train": "a;t", "validation": "a", "test": "e;o"}[s] if i % 2 else "e" for i, s in enumerate(split)]
    frame = table(labels).drop(columns="group").assign(split=split)
    notes = tasks.prepare(frame, SETTINGS, kind="multilabel").notes
    assert "names that no test row or every test row has, left out of all means: a, e, t" in notes
    assert "names that no train row has, so that they cannot be learnt: o" in notes


ALTERNATE = ["train", "test"] * 50


@pytest.mark.parametrize(
    "kind, frame, sentence",
    [
        ("regression", table(["1", "2", "x"]), "id 'r002': label 'x' is no number"),
        ("regression", table(["1", "nan", "2"]), "id 'r001': label 'nan' is no number"),
        ("regression", table(["1", "inf", "2"]), "id 'r001': label 'inf' is no number"),
        ("regression", table(["3"] * 9), "all 9 rows have the label '3'; there is nothing to learn"),
        ("regression", numbers(n_groups=1), "the table has 1 group; expected at least 2"),
        ("regression", numbers(split=["train"] * 100), "the table has no test rows"),
        ("regression", numbers().drop(columns="group"), "no column split, group or genome"),
        (
            "regression",
            table(["1", "2"] * 50).drop(columns="group").assign(split=ALTERNATE),
            "all 50 test rows have the label 2; there is nothing to judge by",
        ),
        ("multilabel", table(["a", "a;a", "b"]), "id 'r001': label 'a;a'; expected different names joined by ;"),
        ("multilabel", table(["a", "a;;b", "b"]), "id 'r001': label 'a;;b'; expected different names"),
        ("multilabel", table(["a", "a;-", "b"]), "id 'r001': label 'a;-'; expected different names"),
        ("multilabel", table(["a"] * 9), "all 9 rows have the label 'a'; there is nothing to learn"),
        (
            "multilabel",
            table(["a", "b"] * 50).drop(columns="group").assign(split=ALTERNATE),
            "no name has both test rows with it and test rows without it",
        ),
    ],
)
def test_what_cannot_be_prepared_gets_a_sentence(kind: tasks.Kind, frame: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        tasks.prepare(frame, SETTINGS, kind=kind)
    assert sentence in str(error.value)
