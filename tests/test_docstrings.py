"""What the docstrings of the public names show runs, and each has what a reader looks for."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest

import genossl
from genossl.verbs import index

NAMES = [name for name in genossl.__all__ if name not in ("__version__", "methods", "InputError")]


@pytest.fixture(scope="module")
def given(tiny_run: Path, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples take for granted: a run, its encoder, a store, a FASTA file of one contig, a labelled table, an
    index of a contig of A and T and one of G and C."""
    folder = tmp_path_factory.mktemp("docstrings")
    table = folder / "reads.tsv"
    lines = [
        "id\tlabel\tsequence\tsplit",
        "a\thigh\tGCGCGGCACGCC\ttrain",
        "b\tlow\tATTATAT\ttrain",
        "c\tlow\tATA\ttest",
    ]
    table.write_text("\n".join(lines) + "\n")
    fasta = planted.write_fasta(folder / "g.fa", {"c": np.arange(150, dtype=np.uint8) % 4})
    two = np.random.default_rng(0).integers(0, 2, 300).astype(np.uint8)
    other = planted.write_fasta(folder / "two.fa", {"at": two * 3, "gc": two + 1})
    index.run("kmer:3", other, folder / "index", index.Settings(window=60))
    return {
        "genossl": genossl, "run": tiny_run, "encoder": genossl.load_encoder(tiny_run, "cpu"), "store": tiny_store,
        "fasta": fasta, "table": table, "tmp": folder,
        "indexed": folder / "index",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str, given: dict[str, Any]) -> None:
    public = getattr(genossl, name)
    module = importlib.import_module(public.__module__)
    tests = doctest.DocTestFinder(recurse=False).find(public, name, module, globs=dict(given))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries, f"{name} has no example"


@pytest.mark.parametrize("name", NAMES)
def test_sections_name_every_parameter(name: str) -> None:
    """In the order and by the names of the signature, in NumPy's style."""
    public = getattr(genossl, name)
    doc = inspect.getdoc(public) or ""
    parameters = [p for p in inspect.signature(public).parameters if p not in ("self", "cls")]
    if name == "TokenStore":  # made by open, whose only parameter its docstring names
        return
    shown = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    heads = [line.partition(" :")[0] for line in shown.splitlines() if line and not line.startswith(" ")]
    assert sorted(part.strip() for head in heads for part in head.split(",")) == sorted(parameters)
