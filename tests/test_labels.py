"""Labelled tables."""

from __future__ import annotations

from pathlib import Path

import pytest

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
