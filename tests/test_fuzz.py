"""The corpus of the fuzzer, crashers that were mended included, is replayed without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
sys.path.insert(0, str(FUZZ))
import targets  # noqa: E402

CORPUS = sorted((FUZZ / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus(path: Path) -> None:
    targets.TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in CORPUS} == set(targets.TARGETS)


def test_what_the_targets_would_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is wrong in one letter, and one that raises what is no InputError."""
    good = b"\x10>a\nACGT\n"
    targets.sequences(good)
    monkeypatch.setattr(targets, "slow_bases", lambda lines: [0, 1, 2, 2])
    with pytest.raises(AssertionError, match="the slow reader has"):
        targets.sequences(good)
    monkeypatch.setattr(targets.config, "set_path", lambda *_: {}["no InputError"])
    with pytest.raises(KeyError):
        targets.settings(b"\x02a.b=1")
