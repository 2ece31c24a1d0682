"""The speed tables run tiny: their shape, and that contenders do the same work. Figures come from full runs only."""

from __future__ import annotations

import ast
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from speed import ingest, page, windows
from speed.data import Data, write_fasta
from speed.machine import fastest
from speed.port import Port
from speed.rounds import measure
from speed.table import Contender, Goal, Row, Table, ratio

from genossl import methods
from genossl.genome import fasta
from genossl.genome.store import TokenStore
from genossl.genome.windows import Batch, generator
from genossl.model.embedding import embed
from genossl.model.encoder import Encoder
from genossl.recipe import resolve

TABLES = {
    "ingest": ["ingest", "ingest_gz", "ingest_files"],
    "windows": ["windows", "windows_paper_1000", "windows_default"],
    "training": ["training_lstm512", "training_default"],
    "embedding": ["embedding"],
    "kmers": ["kmers_4", "kmers_6"],
    "threads": ["threads_training", "threads_embedding"],
}


@pytest.fixture(scope="module")
def peers(repository) -> Path:
    return repository / ".venv-peers" / "bin" / "python"


# ---- the command


def command(repository: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    """As a user types it, in another working folder."""
    script = [sys.executable, str(repository / "benchmarks" / "bench.py"), *options]
    return subprocess.run(script, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tiny(repository, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    done = command(repository, folder, "--tiny", "--out", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{sum(map(len, TABLES.values()))} tables, about " in done.stderr
    return folder / "out"


@pytest.mark.parametrize("name", TABLES)
def test_every_contender_of_every_table_has_a_row(tiny, peers, name):
    told = json.loads((tiny / f"{name}.json").read_text())
    text = (tiny / f"{name}.md").read_text()
    assert told["tiny"] is True
    assert told["machine"]["cores"] >= 1
    assert [table["name"] for table in told["tables"]] == TABLES[name]
    for table in told["tables"]:
        assert f"### {table['title']}\n\n| contender | {table['unit']} per " in text
        for row in table["rows"]:
            assert f"| {row['name']} " in text
            if row["left_out"]:
                assert (row["peers"] and not peers.exists()) or ("bf16" in row["name"] and fastest() == "fp32")
                continue
            (once,) = row["rounds"]
            assert min(once["units"], once["cpu"], once["wall"]) > 0
            assert once["peak"] >= 0
            assert row["rate"]["median"] == pytest.approx(once["units"] / once[table["clock"]])


def test_every_goal_is_in_the_summary(tiny):
    goals = json.loads((tiny / "summary.json").read_text())["goals"]
    lines = (tiny / "summary.md").read_text().splitlines()
    assert len(goals) == 2 + 2 + 3 + 2 + 5 + 4
    for goal in goals:
        assert [line for line in lines if line.startswith(f"| {goal['goal']} | {goal['asked']} | ")]
        assert (goal["met"] is None) == (goal["measured"] is None)


def test_training_tells_precision_and_operations(tiny):
    first = json.loads((tiny / "training.json").read_text())["tables"][0]
    once = {row["name"]: row["rounds"][0] for row in first["rows"] if not row["left_out"]}
    assert once["genossl, fp32"]["precision"] == "fp32"
    assert once["genossl, auto"]["precision"] in ("fp32", "bf16")
    assert fastest() == "fp32" or once["genossl, bf16"]["precision"] == "bf16"
    assert once["plain PyTorch, fp32"]["gflop"] > 0
    assert "| precision | GFLOP per CPU second | share of the product's |" in (tiny / "training.md").read_text()


def test_where_k_mers_are_faster_a_sentence_says_so(tiny):
    for name in ("training", "embedding"):
        assert "a network is worth its time only where it is better" in (tiny / f"{name}.md").read_text()


@pytest.mark.parametrize(
    "options,said",
    [
        (["abacus"], "no table 'abacus'; expected some of ingest, "),
        (["--rounds", "0"], "--rounds 0: expected at least 1"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(repository, tmp_path, options, said):
    done = command(repository, tmp_path, *options, "--out", "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---- rounds and ratios


def test_what_is_missing_or_fails_is_a_row_that_says_so():
    rows = measure(
        Table(
            "t", "T", "kbp", "k-mers",
            [
                Contender("k-mers", "kmers:profiles", {"k": 2, "windows": 1}),
                Contender("absent", "peers:hyenadna", {"windows": 1, "length": 100, "layers": 1}),
                Contender("broken", "kmers:profiles", {"k": 2, "windows": -1}),
                Contender("no environment", "peers:fill", {}, peers=True),
            ],
            seconds=0.0,
        ),
        2,
        Path("no such python"),
    )  # fmt: skip
    assert [len(row.rounds) for row in rows.values()] == [2, 0, 0, 0]
    assert rows["absent"].left_out == "needs the package multimolecule"
    assert not rows["absent"].failed
    assert rows["broken"].left_out.startswith("ValueError: ")
    assert rows["broken"].failed
    assert rows["no environment"].left_out == "needs the peers' environment: make peers"


def row(name: str, *cpu: float, peak: float = 1.0) -> Row:
    return Row(name, [{"units": 1.0, "cpu": seconds, "wall": 2 * seconds, "peak": peak} for seconds in cpu])


def test_ratios_are_taken_round_by_round():
    """A machine that halves its speed in the second round changes no ratio."""
    found = ratio(row("a", 1, 2, 1), row("b", 3, 6, 4), "cpu")
    assert (found.median, found.low, found.high) == (3, 3, 4)


@pytest.mark.parametrize(
    "goal,met",
    [
        (Goal("", "a", "b", least=3), True),
        (Goal("", "a", "b", least=3.1), False),
        (Goal("", "b", "a", most=1 / 3), True),
        (Goal("", "a", most=10), True),
        (Goal("", "a", most=9), False),
        (Goal("", "a", "c", least=1), None),
    ],
)
def test_goals_are_met_or_not_or_not_measured(goal, met):
    rows = {"a": row("a", 1, 2, peak=10), "b": row("b", 3, 6), "c": Row("c", [], "gone")}
    told = page.judged(goal, Table("t", "T", "kbp", "a", []), rows)
    assert told["met"] is met
    assert (told["measured"] is None) == (met is None)


# ---- contenders do the same work


def test_the_port_is_self_genomenet():
    """The same weights and windows: loss to 1e-5, each gradient to 1e-4 in norm, embeddings to 1e-5."""
    recipe = resolve({"preset": "paper_1000", "encoder": {"channels": 32, "context": 16}})
    method, port = methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder)), Port(32, 16)
    own = {
        name.replace("encoder.front", "conv").replace("encoder.rnn", "lstm"): p for name, p in method.named_parameters()
    }
    with torch.no_grad():
        for parameter in own.values():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)  # biases are not zero either
    port.load_state_dict(own)
    tokens_BL = torch.from_numpy(generator(0, 0).integers(0, 5, (6, 1000)).astype(np.uint8))
    nothing = torch.zeros(6, dtype=torch.int64)
    ours = method.loss(method.views(Batch(tokens_BL, nothing, nothing, nothing), generator(0, 0))).terms["contrast"]
    theirs = port(tokens_BL)
    assert theirs.item() == pytest.approx(ours.item(), rel=1e-5)
    ours.backward()
    theirs.backward()
    for name, parameter in port.named_parameters():
        assert parameter.grad is not None
        expected = own[name].grad
        assert expected is not None
        assert (parameter.grad - expected).norm() <= 1e-4 * expected.norm(), name
    with torch.no_grad():
        found = embed(method.encoder, list(tokens_BL.numpy()), precision="fp32")
        np.testing.assert_allclose(port.embed(tokens_BL), found, atol=1e-5)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return Data(tmp_path_factory.mktemp("data"), tiny=True)


@pytest.mark.parametrize("packed", [False, True])
def test_all_readers_give_the_same_tokens(data, packed):
    path, bases = (data.gz, 100_000) if packed else (data.fasta, 400_000)
    expected = np.concatenate([record.tokens for record in fasta.records(path)])
    assert len(expected) == bases
    for name in ["scan", "simple_fasta_parser", "seqio", *([] if packed else ["pyfaidx"])]:
        tokens = np.full(bases, 9, np.uint8)
        assert ingest.READERS[name]()(path, tokens) == bases, name
        np.testing.assert_array_equal(tokens, expected, name)


def test_the_peers_readers_give_these_tokens_too(data, peers, repository, tmp_path):
    if not peers.exists():
        pytest.skip("the peers' environment is not there: make peers")
    code = (
        "import numpy as np; from speed.peers import READERS\n"
        "for name, reader in READERS.items():\n"
        f"    tokens = np.full(400_000, 9, np.uint8); reader()({data.fasta!r}, tokens)\n"
        f"    np.save({str(tmp_path)!r} + '/' + name, tokens)"
    )
    subprocess.run([peers, "-c", code], check=True, env={"PYTHONPATH": str(repository / "benchmarks")})
    expected = np.concatenate([record.tokens for record in fasta.records(data.fasta)])
    assert len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(np.load(path), expected, path.name)


@pytest.mark.parametrize("module", ["peers", "reading", "data", "measure"])
def test_peers_import_no_genossl(repository, module):
    """data makes stores for the others, in a function that peers do not call."""
    tree = ast.parse((repository / "benchmarks" / "speed" / f"{module}.py").read_text())
    nodes = tree.body if module == "data" else list(ast.walk(tree))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in names if name and name.startswith("genossl")]


def test_generated_fasta_is_what_it_should_be(tmp_path):
    write_fasta(tmp_path / "a.fa", 1_000_000, seed=3)
    write_fasta(tmp_path / "b.fa", 1_000_000, seed=3)
    text = (tmp_path / "a.fa").read_bytes()
    assert text == (tmp_path / "b.fa").read_bytes()
    assert max(map(len, text.splitlines())) == 80
    records = list(fasta.records(tmp_path / "a.fa"))
    total = fasta.Counts()
    for record in records:
        total.add_(record.counts)
        known = np.bincount(record.tokens, minlength=5)[:4]
        assert 0.28 < known[1:3].sum() / known.sum() < 0.72
    assert total.bases == 1_000_000
    assert 0.1 < total.n_lower / total.bases < 0.14
    assert total.n_N > 0
    assert 0 < total.n_iupac <= 10


def test_the_packed_file_is_a_part_of_the_whole(data):
    packed = gzip.decompress(Path(data.gz).read_bytes())
    assert Path(data.fasta).read_bytes().startswith(packed)


def test_items_of_both_datasets_are_the_same_windows(data):
    from pyfaidx import Fasta

    store = TokenStore.open(data.store)
    with Fasta(data.fasta, as_raw=True) as opened:
        cut, copied = windows.from_fasta(opened), windows.from_store(store)
        assert len(cut) == len(copied) == windows.EPOCH * windows.BATCH
        for i in range(0, len(cut), 97):
            assert cut[i].shape == (windows.LENGTH,)
            np.testing.assert_array_equal(cut[i], copied[i])
