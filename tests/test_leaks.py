"""What an audit wrote of its test rows, read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genossl.errors import InputError
from genossl.evaluation import leaks

ROWS = "id\tclean\tidentity\tnearest\tpretrained\na\t1\t0.5\tx\t0.0\n#b\t0\t1.0\ty\t0.75\nc\t1\t0.0\t\t\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.rows.tsv"
    path.write_text(ROWS)
    return path


def test_rows_come_in_the_order_of_the_ids(path: Path) -> None:
    found = leaks.read_rows(path, np.array(["c", "#b"], dtype=object))
    assert found.clean_N.tolist() == [True, False]
    assert found.identity_N.tolist() == [0.0, 1.0]
    assert np.isnan(found.pretrained_N[0])
    assert found.pretrained_N[1] == 0.75


@pytest.mark.parametrize(
    "old,new,message",
    [
        ("a\t1", "d\t1", "1 of 2 test ids are not in the audit (a)"),
        ("a\t1", "c\t1", "id 'c' occurs more than once"),
        ("a\t1", "a\tyes", "clean is 'yes'; expected 1 or 0"),
        ("0.5", "1.5", "id 'a': identity '1.5'; expected a number from 0 to 1"),
        ("0.5", "", "id 'a': identity ''; expected a number from 0 to 1"),
    ],
)
def test_what_no_audit_writes_is_refused(path: Path, old: str, new: str, message: str) -> None:
    path.write_text(ROWS.replace(old, new))
    with pytest.raises(InputError) as error:
        leaks.read_rows(path, np.array(["a", "c"]))
    assert message in str(error.value)


def test_bins_part_the_rows_and_hold_their_lower_edge() -> None:
    identity = np.array([0.0, 0.79, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0])
    found = leaks.bins(identity)
    assert [(name, np.flatnonzero(mask).tolist()) for name, mask in found] == [
        ("below 0.8", [0, 1]), ("0.8-0.9", [2]), ("0.9-0.95", [3]), ("0.95-0.99", [4, 5]), ("0.99-1", [6, 7]),
    ]  # fmt: skip
    assert [name for name, _ in leaks.bins(identity[:2])] == ["below 0.8"]
    assert leaks.bins(np.array([])) == []
