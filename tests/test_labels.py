"""Labelled tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genossl.errors import InputError
from genossl.genome.labels import files_of, of_task, read_labels


def read(folder: Path, *lines: str):
    path = folder / "labels.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return read_labels(path)


def test_everything_stays_text_but_the_coordinates(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "id\tlabel\tcontig\tstart\tend\tstrand\tsplit\tgroup\tnote",
        "001\tNA\t1e5\t0\t10\t+\tdev\t7\tx",
        "b\t1\tc\t010\t11\t-\tVal\t\t",
        "c\t1\tc\t3\t4\t.\t\tnan\t",
    )
    assert table["id"].tolist() == ["001", "b", "c"]
    assert table["label"].tolist() == ["NA", "1", "1"]
    assert table["contig"].tolist() == ["1e5", "c", "c"]
    assert table["split"].tolist() == ["validation", "validation", ""]
    assert table["group"].tolist() == ["7", "", "nan"]
    assert table["start"].tolist() == [0, 10, 3]
    assert table["start"].dtype == table["end"].dtype == "int64"


def test_sequences_need_no_coordinates(tmp_path: Path) -> None:
    table = read(tmp_path, "id\tlabel\tsequence\tsplit", "a\tx\tACGT\ttrain", "b\ty\tac\tTEST")
    assert table["split"].tolist() == ["train", "test"]


@pytest.mark.parametrize(
    "header,row,message",
    [
        ("id\tclass", "a\tx", "no column label; found id, class"),
        ("id\tlabel", "\tx", "row 2: empty id"),
        ("id\tlabel", "a\t", "row 2: empty label"),
        ("id\tlabel", "first\tx", "id 'first' occurs more than once"),
        ("id\tlabel\tsplit", "a\tx\tholdout", "row 2: split 'holdout'; expected train, validation or test"),
        ("id\tlabel\tstart\tend", "a\tx\t1\t2", "coordinates need contig, start and end; no column contig"),
        ("id\tlabel\tcontig\tend", "a\tx\tc\t2", "coordinates need contig, start and end; no column start"),
        ("id\tlabel\tcontig\tstart\tend", "a\tx\tc\t-1\t2", "row 2: start '-1' is no whole number"),
        ("id\tlabel\tcontig\tstart\tend", "a\tx\tc\t1\t2.5", "row 2: end '2.5' is no whole number"),
        ("id\tlabel\tcontig\tstart\tend", f"a\tx\tc\t1\t{10**30}", "row 2: end '10*' is no whole number"),
        ("id\tlabel\tcontig\tstart\tend", "a\tx\tc\t5\t5", "row 2: start must be smaller than end"),
        ("id\tlabel\tstrand", "a\tx\tforward", "row 2: strand 'forward'; expected . or -"),
    ],
)
def test_what_is_refused(tmp_path: Path, header: str, row: str, message: str) -> None:
    values = {"id": "first", "label": "x", "start": "1", "end": "2", "strand": "+", "contig": "c"}
    good = "\t".join(values.get(name, "") for name in header.split("\t"))
    with pytest.raises(InputError, match=rf"labels\.tsv:? {message}"):
        read(tmp_path, header, good, row)


def test_what_the_task_of_a_table_is(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("id\tlabel\na\tx\n")
    assert of_task(table) == {}
    assert files_of(table) == [table]
    (tmp_path / "t.json").write_text('{"task": "t", "kind": "multilabel", "strand": "as_given", "rows": 1}')
    assert of_task(table) == {"kind": "multilabel", "strand": "as_given"}
    assert files_of(table) == [table, tmp_path / "t.json"]
    (tmp_path / "t.json").write_text('{"model": "cnn"}')
    assert of_task(table) == {}


CELL = st.sampled_from(
    ["", "a", "b", "NA", "001", "nan", " x ", "é", "0", "3", "10", "-1", "+", "-", ".", "train", "DEV", "#", '"']
)
GOOD = {  # mostly, so that whole tables are accepted
    "id": st.integers(0, 10**9).map(str),
    "label": st.sampled_from(["a", "NA", "001"]),
    "split": st.sampled_from(["", "train", "Dev"]),
    "group": CELL,
    "sequence": st.just("ACGT"),
    "contig": st.just("c"),
    "start": st.sampled_from(["0", "03", "5"]),
    "end": st.sampled_from(["5", "6"]),
    "strand": st.sampled_from(["+", "-", "."]),
    "note": CELL,
}


@st.composite
def tables(draw: Callable) -> tuple[list[str], list[list[str]]]:
    """Header and rows; half of the tables have one cell or column that may be wrong."""
    places = ["contig", "start", "end"] if draw(st.booleans()) else []
    others = draw(st.sets(st.sampled_from(["split", "group", "sequence", "strand", "note"])))
    header = draw(st.permutations(["id", "label", *places, *sorted(others)]))
    rows = [[draw(GOOD[name]) for name in header] for _ in range(draw(st.integers(0, 4)))]
    if draw(st.booleans()):
        if rows and draw(st.booleans()):
            rows[-1][draw(st.integers(0, len(header) - 1))] = draw(CELL)
        else:
            header[0] = "other"
    return header, rows


def slow(header: list[str], rows: list[list[str]]) -> list[list[str | int]] | None:
    """The rows as read, cell by cell; None where one is refused."""
    seen, found = set(), []
    rows = [row for row in rows if "\t".join(row).strip() and not row[0].startswith("#")]
    if (
        not rows
        or not {"id", "label"} <= set(header)
        or ({"start", "end"} & set(header) and not {"contig", "start", "end"} <= set(header))
    ):
        return None
    for row in rows:
        cells: dict[str, str | int] = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        if cells["id"] in seen or "" in (cells["id"], cells["label"]):
            return None
        seen.add(cells["id"])
        if "split" in cells:
            known = {"": "", "train": "train", "dev": "validation"}
            if str(cells["split"]).lower() not in known:
                return None
            cells["split"] = known[str(cells["split"]).lower()]
        if "start" in cells:
            if not str(cells["start"]).isdigit() or not str(cells["end"]).isdigit():
                return None
            cells |= {"start": int(cells["start"]), "end": int(cells["end"])}
            if int(cells["start"]) >= int(cells["end"]):
                return None
        if cells.get("strand", "+") not in ("+", "-", "."):
            return None
        found.append(list(cells.values()))
    return found


@given(table=tables())
def test_tables_are_read_as_a_slow_reader_reads_them(tmp_path_factory: pytest.TempPathFactory, table) -> None:
    header, rows = table
    path = tmp_path_factory.getbasetemp() / "labels.tsv"
    path.write_text("\n".join("\t".join(cells) for cells in [header, *rows]) + "\n", encoding="utf-8")
    expected = slow(header, rows)
    if expected is None:
        with pytest.raises(InputError, match=r"labels\.tsv"):
            read_labels(path)
    else:
        assert read_labels(path).values.tolist() == expected
