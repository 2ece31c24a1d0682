"""No code comes out of data, nothing but fetch talks to the network, and what is written stays where it belongs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import planted
import pytest

FILES = sorted((Path(__file__).parent.parent / "genossl").rglob("*.py"))
# what runs code that it is given, or reads pickles
NEVER = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads"}
NEVER |= {"joblib.load", "marshal.loads", "shelve.open", "pd.read_pickle", "numpy.load", "torch.hub.load"}
NETWORK = {"socket", "ssl", "http", "urllib.request", "urllib3", "requests", "ftplib", "smtplib", "asyncio", "httpx"}
TALKS = {"network"}  # the one file that may, for the verb fetch alone
UNSAFE = {"pickle", "marshal", "shelve", "yaml"}


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def options(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_executed_or_unpickled(path: Path) -> None:
    for call, name in calls(path):
        assert name not in NEVER, name
        assert options(call).get("shell", "False") == "False", name
        if name == "torch.load":
            assert options(call).get("weights_only") == "True"
        if name == "np.load":
            assert options(call).get("allow_pickle") == "False"
        if name == "YAML":
            assert options(call) == {"typ": "'safe'", "pure": "True"}
        if name.endswith("Environment"):
            assert options(call).get("autoescape") == "True"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_imports_what_talks_to_a_network_or_unpickles(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        refused = UNSAFE if path.stem in TALKS else NETWORK | UNSAFE
        assert not {name for name in names if {name, name.split(".")[0]} & refused}, path


def test_only_fetch_knows_the_file_that_talks_to_a_network() -> None:
    knows = {path.stem for path in FILES if "genossl.genome.network" in path.read_text()}
    assert knows == {"entrez", "assemblies", "fetch"}
    for name in ("entrez", "assemblies"):
        assert {path.stem for path in FILES if f"genossl.genome.{name}" in path.read_text()} == {"fetch"}
    assert [path.parent.name for path in FILES if path.stem == "fetch"] == ["cli", "verbs"]


def test_one_file_knows_the_hub_and_only_when_it_is_called() -> None:
    """huggingface_hub talks to a network: genossl.sharing.hub asks it for what is called hf://, or user/name."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        known = [line for line in found if "huggingface_hub" in line]
        assert known == (["import huggingface_hub"] if path.parts[-2:] == ("sharing", "hub.py") else []), path
        assert not [node for node in tree.body if "huggingface_hub" in ast.unparse(node) and hasattr(node, "names")]


# Python's own account of every socket, connection and look-up of a name
WATCH = """
import os, sys
def watch(event, arguments):
    if event.startswith("socket."):
        with open(os.environ["SOCKETS"], "a") as stream:
            print(event, arguments[1:], file=stream)
sys.addaudithook(watch)
"""


def test_all_other_verbs_need_no_network_and_open_no_socket(tiny_store: Path, tmp_path: Path) -> None:
    """In a namespace without a network where the system lets us make one; by Python's audit in any case."""
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        alone = []
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    sockets = tmp_path / "sockets"
    python = [*alone, sys.executable, "-c", "from genossl.cli import main; main()", "--quiet"]
    environment = os.environ | {"SOCKETS": str(sockets), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"

    def run(*arguments: str | Path) -> None:
        command = [*python, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    rng = np.random.default_rng(0)
    source = planted.markov(rng, 3, 1.0)
    planted.write_fasta(tmp_path / "g.fa", {f"c{i}": planted.sample(rng, source, 3000) for i in range(3)})
    rows = [
        f"{s}{i}\t{'xy'[i % 2]}\tc{i % 3}\t{100 * i}\t{100 * i + 90}\t{s}" for s in ("train", "test") for i in range(12)
    ]
    (tmp_path / "t.tsv").write_text("\n".join(["id\tlabel\tcontig\tstart\tend\tsplit", *rows]) + "\n")
    small = ["--set", "pretrain.steps=2", "--set", "pretrain.batch=8", "--set", "encoder.hidden=16"]
    (tmp_path / "list.txt").write_text("NC_000913.3\n")
    run("fetch", "list.txt", "--out", "genomes", "--dry-run")
    run("ingest", "g.fa", "--out", "store")
    run("pretrain", "store", "--out", "results/runs/ours", "--device", "cpu", *small)
    for name, encoder in (("ours", "results/runs/ours"), ("kmer4", "kmer:4")):
        out = f"results/embeddings/t/{name}.npy"
        run("embed", encoder, "t.tsv", "--sequences", "g.fa", "--out", out, "--device", "cpu")
    vectors = [f"results/embeddings/t/{name}.npy" for name in ("ours", "kmer4")]
    run("probe", *vectors, "--labels", "t.tsv", "--task", "t", "--out", "results/scores/t.tsv", "--set", "draws=1")
    run("report", "results", "--out", "results/report.html")
    run("share", "results/runs/ours", "--results", "results", "--out", "shared")
    assert "<html" in (tmp_path / "results" / "report.html").read_text()[:200]
    assert not sockets.exists(), sockets.read_text()
    # the watch itself: a socket would have been written down
    subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], env=environment, check=True)
    assert "socket.__new__" in sockets.read_text()
