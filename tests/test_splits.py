"""Splits: a group is on one side only, nothing depends on the order of rows, and every refusal says why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genossl.errors import InputError
from genossl.evaluation import splits

FRACTIONS = (0.6, 0.2, 0.2)


def table(groups_per_class: dict[str, int], rows: int = 4, **columns: list[str]) -> pd.DataFrame:
    groups = [(label, g) for label, n in groups_per_class.items() for g in range(n)]
    lines = [(f"{label}_{g}_{i}", label, f"{label}_{g}") for label, g in groups for i in range(rows)]
    frame = pd.DataFrame(lines, columns=["id", "label", "group"])
    return frame.assign(**columns) if columns else frame


def sides(frame: pd.DataFrame, split_N: np.ndarray) -> dict[tuple[str, str], int]:
    """Number of groups of each (class, side)."""
    return frame.assign(side=split_N).groupby(["label", "side"])["group"].nunique().to_dict()


def test_a_group_is_on_one_side_and_each_class_is_cut_60_20_20() -> None:
    frame = table({"a": 10, "b": 20})
    split = splits.assign(frame, FRACTIONS, 20_000)
    assert sides(frame, split.split_N) == {
        ("a", "test"): 2, ("a", "train"): 6, ("a", "validation"): 2,
        ("b", "test"): 4, ("b", "train"): 12, ("b", "validation"): 4,
    }  # fmt: skip
    assert frame.assign(side=split.split_N).groupby("group")["side"].nunique().max() == 1


def test_the_order_of_rows_does_not_matter() -> None:
    frame = table({"a": 7, "b": 9})
    shuffled = frame.sample(frac=1, random_state=1)
    one = dict(zip(frame["id"], splits.assign(frame, FRACTIONS, 20_000).split_N, strict=True))
    two = dict(zip(shuffled["id"], splits.assign(shuffled, FRACTIONS, 20_000).split_N, strict=True))
    assert one == two


def test_a_group_of_two_classes_stays_whole() -> None:
    frame = table({"a": 6, "b": 6})
    frame["group"] = [name[2:] for name in frame["group"]]  # six groups that hold both classes
    split = splits.assign(frame, FRACTIONS, 20_000)
    assert frame.assign(side=split.split_N).groupby("group")["side"].nunique().max() == 1
    assert set(split.split_N) == {"train", "validation", "test"}


def test_two_groups_are_one_train_and_one_test_and_validation_comes_from_train() -> None:
    frame = table({"a": 2, "b": 2}, rows=10)
    split = splits.assign(frame, FRACTIONS, 20_000)
    counts = frame.assign(side=split.split_N).groupby(["label", "side"]).size().to_dict()
    assert counts == {(c, s): n for c in "ab" for s, n in (("test", 10), ("train", 8), ("validation", 2))}
    assert split.notes[-1] == "validation rows of class a, b cut from train by rows"


def test_genome_is_the_group_where_no_group_is_given() -> None:
    frame = table({"a": 5, "b": 5})
    renamed = frame.rename(columns={"group": "genome"})
    assert (splits.assign(frame, FRACTIONS, 1).split_N == splits.assign(renamed, FRACTIONS, 1).split_N).all()


def test_a_split_column_wins() -> None:
    frame = table({"a": 3, "b": 3}, rows=1, split=["train", "validation", "test"] * 2)
    assert list(splits.assign(frame, FRACTIONS, 20_000).split_N) == ["train", "validation", "test"] * 2


def test_without_validation_rows_whole_groups_are_cut_from_train() -> None:
    frame = table({"a": 5, "b": 5}, rows=1, split=(["train"] * 4 + ["test"]) * 2)
    split = splits.assign(frame, FRACTIONS, 20_000)
    counts = sides(frame, split.split_N)
    assert {key: counts[key] for key in counts if key[0] == "a"} == {
        ("a", "test"): 1, ("a", "train"): 3, ("a", "validation"): 1,
    }  # fmt: skip
    assert "cut from train by groups" in split.notes[-1]


def test_blocks_are_cut_where_a_class_has_one_train_genome() -> None:
    frame = table({"a": 2, "b": 2}, rows=40, split=(["train"] * 40 + ["test"] * 40) * 2, contig=["c"] * 160)
    frame["start"] = [500 * (i % 40) for i in range(160)]
    split = splits.assign(frame.rename(columns={"group": "genome"}), FRACTIONS, 5000)
    assert "cut from train by 5000-base blocks" in split.notes[-1]
    blocks = frame.assign(side=split.split_N, block=frame["group"] + (frame["start"] // 5000).astype(str))
    assert blocks.groupby("block")["side"].nunique().max() == 1


@pytest.mark.parametrize(
    "frame, sentence",
    [
        (table({"a": 3}), "all 12 rows have the label 'a'; expected at least 2 classes"),
        (
            table({"a": 3, "b": 1}),
            "class 'b' has 1 group; expected at least 2, one for train and one for test (a group is a value of the "
            "column group, else genome)",
        ),
        (table({"a": 3, "b": 3}).drop(columns="group"), "no column split, group or genome; add one"),
        (table({"a": 2, "b": 2}, rows=1, split=["train", "test", "train", ""]), "id 'b_1_0': empty split"),
        (table({"a": 2, "b": 2}, rows=1, split=["train", "test", "train", "train"]), "class 'b' has no test rows"),
        (table({"a": 2, "b": 2}, rows=1, split=["train", "test", "test", "test"]), "class 'b' has no train rows"),
        (table({"a": 2, "b": 2}, rows=1, split=["train", "test"] * 2), "too few train rows"),
        (table({"a": 2, "b": 2}, rows=1, group=["x", "", "y", "z"]), "id 'a_1_0': empty group"),
        (
            table({"a": 2, "b": 2}, rows=1, group=["x", "x", "y", "z"], split=["train", "test"] * 2),
            "group 'x' is in test and in train or validation",
        ),
    ],
)
def test_what_cannot_be_split_gets_a_sentence(frame: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        splits.assign(frame, FRACTIONS, 20_000)
    assert sentence in str(error.value)


def test_draws_are_nested_permutations_of_their_class() -> None:
    rows = np.arange(100, 140)
    drawn = splits.permutation(rows, "a", seed=3, draw=2)
    assert sorted(drawn) == list(rows)
    assert (drawn == splits.permutation(rows, "a", seed=3, draw=2)).all()
    for other in (("a", 3, 1), ("a", 4, 2), ("b", 3, 2)):
        assert (drawn != splits.permutation(rows, *other)).any()


def unit_test_rows(n_groups: int, coordinates: bool) -> pd.DataFrame:
    frame = table({"a": n_groups, "b": n_groups}, rows=6).rename(columns={"group": "genome"})
    return frame.assign(contig="c", start=[10_000 * (i % 6) for i in range(len(frame))]) if coordinates else frame


@pytest.mark.parametrize(
    "n_groups, coordinates, kind, per_class",
    [
        (5, True, "groups", 5),
        (4, True, "20000-base blocks within each class", 12),  # 4 genomes of 60 kb
        (4, False, "rows within each class", 24),
    ],
)
def test_units_are_groups_then_blocks_then_rows(n_groups: int, coordinates: bool, kind: str, per_class: int) -> None:
    frame = unit_test_rows(n_groups, coordinates)
    y_N = (frame["label"] == "b").to_numpy().astype(int)
    units = splits.units(frame, y_N, 20_000, 2)
    assert units.kind == kind
    assert (np.bincount(units.class_U) == per_class).all()
    assert (units.class_U[units.unit_N] == y_N).all()
    together = frame.assign(unit=units.unit_N, block=frame.get("start", pd.Series(range(len(frame)))) // 20_000)
    by = {"groups": ["genome"], "rows within each class": ["id"]}.get(kind, ["genome", "block"])
    assert (together.groupby(by)["unit"].nunique() == 1).all()


def test_many_rows_are_bundled_evenly() -> None:
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(3000)]})
    units = splits.units(frame, np.arange(3000) % 2, 20_000, 2)
    assert len(units.class_U) == 1000
    assert set(np.bincount(units.unit_N)) == {3}
