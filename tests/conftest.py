"""Fixtures that all tests share."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.load_profile("ci")  # the same examples everywhere; another: pytest --hypothesis-profile default
os.environ.setdefault("OMP_NUM_THREADS", "1")  # bitwise results are promised at equal thread counts
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development data beside the checkout; nothing that users run needs it."""
    folder = Path(os.environ.get("GENOSSL_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"development data not found at {folder}")
    return folder


SPLITS = ("train", "validation", "test")
TINY = {
    "pretrain": {"steps": 5, "batch": 8, "precision": "fp32", "log_every": 1, "validate_every": 5, "seed": 3},
    "encoder": {"k": 3, "width": 20, "stride": 20, "hidden": 16, "channels": 8, "context": 8},
    "self_genomenet": {"length": 100, "distance": 200, "projection": 8},
}


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three planted genomes, one of each split, of two contigs of 3,000 bases."""
    import numpy as np
    import planted

    rng = np.random.default_rng(0)
    source = planted.markov(rng, 3, 1.0)
    genomes = {name: (name, [planted.sample(rng, source, 3000) for _ in range(2)]) for name in SPLITS}
    return planted.store(tmp_path_factory.mktemp("tiny") / "store", genomes)


@pytest.fixture(scope="session")
def tiny_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps with a tiny encoder; read it, do not write into it."""
    from genossl.verbs import pretrain

    out = tmp_path_factory.mktemp("tiny") / "run"
    pretrain.run(tiny_store, out, TINY, pretrain.Jobs(device="cpu"))
    return out


@pytest.fixture
def again(tmp_path: Path):
    """Run the command that `genossl rerun` prints for an artefact, with another --out; the files that then differ."""
    import shlex

    from click.testing import CliRunner

    from genossl.cli import cli

    def run(artefact: Path) -> list[str]:
        out = tmp_path / "made again" / artefact.name
        said = CliRunner().invoke(cli, ["--quiet", "rerun", str(artefact), "--out", str(out)], catch_exceptions=False)
        words = shlex.split(said.stdout)
        if words[0] == "cd":
            assert words[2] == "&&"
            os.chdir(words[1])
            words = words[3:]
        assert (words[0], said.stderr) == ("genossl", "")
        done = CliRunner().invoke(cli, ["--quiet", *words[1:]], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        folder = out if artefact.is_dir() else out.parent
        written = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".provenance.json")]
        assert written
        before = artefact if artefact.is_dir() else artefact.parent
        differ = [path.name for path in written if _timeless(path) != _timeless(before / path.name)]
        shutil.rmtree(folder)
        return differ

    here = Path.cwd()
    yield run
    os.chdir(here)


def _timeless(path: Path) -> object:
    """What a file says, but for how long it took, and that a run's precision was left to the machine."""
    if path.suffix == ".json":

        def without(value: object) -> object:
            if isinstance(value, dict):
                return {name: without(one) for name, one in value.items() if not name.endswith("seconds")}
            return [without(one) for one in value] if isinstance(value, list) else value

        told = without(json.loads(path.read_text()))
        if path.name == "encoder.json":
            told["pretrain"]["precision"] = told["precision"]
            del told["seal"]  # of all this
        return told
    if path.name == "log.tsv":
        return [line.rpartition("\t")[0] for line in path.read_text().splitlines()]
    if path.name == "log.jsonl":
        return [json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()]
    return path.read_bytes()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run a command in this process: exit code, stdout, stderr."""
    from genossl import cli, files

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genossl", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code, *capfd.readouterr())  # type: ignore[return-value]

    yield run
    files.quiet = False
