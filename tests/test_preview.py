"""A method's views in letters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import TINY

from genossl.errors import InputError
from genossl.genome.alphabet import decode, reverse_complement
from genossl.genome.store import TokenStore
from genossl.verbs import preview


def sequence(lines: list[str], name: str) -> str:
    """The letters below the heading of one view."""
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  {name} ("))
    rest = lines[at + 1 :]
    return "".join(line.strip() for line in rest[: next((i for i, x in enumerate(rest) if x[:4] != "    "), len(rest))])


def test_letters_are_those_at_the_place_that_is_named(tiny_store: Path) -> None:
    lines = preview.run(tiny_store, TINY)
    assert lines[0] == "method self_genomenet, step 0 of seed 3"
    match = re.fullmatch(r"window 1: genome train, (train_\d):(\d+)-(\d+), \1:(\d+)-(\d+)", lines[1])
    assert match
    tokens = TokenStore.open(tiny_store).contig(match[1])
    first, end, second, stop = map(int, match.groups()[1:])
    assert sequence(lines, "read_tokens") == decode(tokens[first:end])
    assert sequence(lines, "target_tokens") == decode(reverse_complement(tokens[second:stop]))
    assert "  read_tokens (100 bases)" in lines
    assert max(len(line) for line in lines) <= 100


def test_as_many_windows_as_asked_and_always_the_same(tiny_store: Path) -> None:
    lines = preview.run(tiny_store, TINY, 3)
    assert [line.split(":")[0] for line in lines if line.startswith("window")] == ["window 1", "window 2", "window 3"]
    assert lines == preview.run(tiny_store, TINY, 3)


def test_mistakes(tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no token store"):
        preview.run(tmp_path, TINY)
    with pytest.raises(InputError, match="no contig holds 8000 bases"):
        preview.run(tiny_store, TINY | {"self_genomenet": {"length": 4000}})
    with pytest.raises(InputError, match="method 'x' is unknown"):
        preview.run(tiny_store, {"name": "x"})
