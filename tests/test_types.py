"""What `import genossl` offers has types that a checker knows, since py.typed says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import genossl

UNTYPED = {"GenomeEmbedder", "KmerProfile"}  # whose base classes are scikit-learn's, which has no types


def test_every_public_name_is_typed(repository: Path) -> None:
    """By pyright's own account of a package that is installed."""
    pytest.importorskip("pyright")
    words = [sys.executable, "-m", "pyright", "--verifytypes", "genossl", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=repository)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright does not run here: {done.stderr[-200:]}")
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    known = {symbol["name"]: symbol["isTypeKnown"] for symbol in symbols}
    names = set(genossl.__all__) - {"__version__", "methods"}
    homes = {f"{getattr(genossl, name).__module__}.{name}": name for name in names}
    assert set(homes) <= set(known)
    unknown = {
        name for name, typed in known.items() for home in homes if f"{name}.".startswith(f"{home}.") and not typed
    }
    assert {homes.get(name, name) for name in unknown} == UNTYPED
