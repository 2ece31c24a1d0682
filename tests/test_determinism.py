"""What docs/reproducibility.md promises: the same bytes, whatever else is different about a process."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted import reads

CHAIN = """
from pathlib import Path

from conftest import TINY
from genossl.verbs import embed, ingest, pretrain, probe, report

threads, out = 2, Path("results")
ingest.run(["data/genomes.tsv"], out / "store", ingest.Settings(), threads)
method = {"name": "simclr", "encoder": TINY["encoder"] | {"dropout": 0.2}}
method |= {"pretrain": TINY["pretrain"] | {"precision": "auto"}}
pretrain.run(out / "store", out / "runs" / "ours", method, pretrain.Jobs(device="cpu", threads=threads))
vectors = []
for encoder in (str(out / "runs" / "ours"), "kmer:3"):
    name = "kmer3" if encoder == "kmer:3" else "ours"
    vectors.append(out / "embeddings" / "reads" / f"{name}.npy")
    embed.run(encoder, "reads.tsv", vectors[-1], embed.Settings(), out / "store", "cpu", threads)
small = probe.Settings(
    shots=(1, 5), draws=2, replicates=100, block=1000, heads=("logistic", "knn", "mlp", "forest", "yarowsky")
)
probe.run(vectors, Path("reads.tsv"), "reads", out / "scores" / "reads.tsv", small, threads)
report.run(out, out / "report.html", report.Settings(verdict_shots=5))
"""


def made(folder: Path, **environment: str) -> dict[str, str]:
    """Checksums of everything that a chain of verbs writes in a process of its own, but for how long it took."""
    reads(folder, {"train": 12, "validation": 12, "test": 12})
    words = [sys.executable, "-c", CHAIN]
    root = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{root}:{root.parent}", "OMP_NUM_THREADS": "2"} | environment
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    timed = ("provenance.json", "log.tsv", "log.jsonl", "encoder.json", "efficiency.tsv", "report.html")
    written = [path for path in (folder / "results").rglob("*") if path.is_file() and not path.name.endswith(timed)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in written}


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Another order of sets and dictionaries, home, place for temporary files, time zone and language.

    On two threads, by a method that draws views, with dropout, and with the heads that draw.
    """
    (tmp_path / "tmp").mkdir()
    other = {"HOME": "/nonexistent", "TMPDIR": str(tmp_path / "tmp"), "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    first = made(tmp_path / "one", PYTHONHASHSEED="1")
    second = made(tmp_path / "two", PYTHONHASHSEED="2", **other)
    assert len(first) == 14
    assert first == second


SOURCE = sorted((Path(__file__).parent.parent / "genossl").rglob("*.py"))
UNSEEDED = {"random", "secrets", "uuid"}  # modules
NUMPY = {"Generator", "Philox", "SeedSequence", "default_rng"}  # of numpy.random: all that is not one global state


@pytest.mark.parametrize("path", SOURCE, ids=lambda path: path.stem)
def test_no_randomness_without_a_seed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not UNSEEDED & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in UNSEEDED
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            assert node.attr in NUMPY
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("default_rng", "Philox", "SeedSequence")):
            assert node.args, f"line {node.lineno}: {ast.unparse(node)}"
