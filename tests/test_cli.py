"""The command line: help, exit codes, one line for the user's mistakes, and which setting wins."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from conftest import TINY

from genossl import __version__, cli
from genossl.errors import InputError, Stopped

VERBS = sorted(cli.cli.commands)
GENOSSL = [sys.executable, "-c", "from genossl.cli import main; main()"]


def test_the_verbs() -> None:
    expected = {"ingest", "pretrain", "embed", "probe", "report", "check", "methods", "preview"}
    assert expected <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_complete(call, verb: str) -> None:
    command = cli.cli.commands[verb]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{verb} {parameter.name} has no help text"
        else:
            assert parameter.metavar or parameter.name
    code, out, err = call(verb, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: genossl {verb}" in out
    assert "Exit codes: 0 done; 2 your input is wrong" in " ".join(out.split())
    assert call(verb, "-h")[1] == out


def test_help_and_version_come_without_the_heavy_libraries() -> None:
    code = """
import sys
sys.argv = ["genossl", sys.argv[1]]
from genossl import cli
try:
    cli.main()
finally:
    heavy = {"torch", "sklearn", "pandas", "numpy", "scipy", "matplotlib", "Bio", "pydantic"} & set(sys.modules)
    print("heavy:", sorted(heavy))
"""
    for option, part in (("--help", "pretrain"), ("--version", __version__)):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True)
        assert part in done.stdout
        assert done.stdout.endswith("heavy: []\n")


def test_version_matches_the_package(call, repository: Path) -> None:
    code, out, err = call("--version")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert out.startswith(f"genossl {__version__} (Python {platform.python_version()}, torch {torch.__version__} with")
    assert (f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA") in out
    assert f'version = "{__version__}"' in (repository / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["embed"], ["embed", "gc", "x.fa"], ["methods", "--nonsense"], ["pretrain", "x", "--threads", "a"]],
)
def test_a_wrong_call_is_exit_2_and_says_how(call, arguments: list[str]) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: genossl" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["embed", "gc", "nowhere.fa", "--out", "x.npy"], "nowhere.fa: no such file"),
        (["ingest", "nowhere", "--out", "store"], "nowhere: no such file"),
        (["pretrain", "nowhere", "--out", "run"], "nowhere: no token store"),
        (["preview", "nowhere"], "nowhere: no token store"),
        (["probe", "x.npy", "--labels", "nowhere.tsv", "--out", "s.tsv"], "nowhere.tsv: no such file"),
        (["audit", "nowhere.tsv", "--out", "a.json"], "nowhere.tsv: no such file"),
        (["report", "nowhere", "--out", "r.html"], "nowhere"),
        (["check", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["methods", "nothing"], "method 'nothing' is unknown"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--settings", "{"], "--settings: is not JSON"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--settings", "[1]"], "--settings: expected a JSON object"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--set", "probe.cap=1"], "--set probe: expected embed.key=value"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--set", "pool"], "expected section.key=value"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--set", "pool=max"], "embed.pool: expected"),
        (["embed", "gc", "x.fa", "--out", "x.npy", "--set", "pol=last"], "embed.pol: unknown key; did you mean pool?"),
        (["pretrain", "x", "--out", "r", "--config", "papier"], "preset 'papier' is unknown"),
        (["pretrain", "x", "--out", "r", "--set", "pretrain.stps=1"], "unknown key; did you mean steps?"),
        (["pretrain", "x", "--out", "r", "--set", "steps=5"], "did you mean pretrain.steps=5?"),
        (["pretrain", "x", "--out", "r", "--set", "hiden=8"], "did you mean encoder.hidden=8?"),
        (["pretrain", "x", "--out", "r", "--method", "simclr", "--set", "temperature=1"], "mean method.temperature=1?"),
        (
            ["pretrain", "x", "--out", "r", "--set", "zzz=1"],
            "expected pretrain.KEY, encoder.KEY or method.KEY, such",
        ),
        (["fetch", "nc_000913.3", "--out", "f"], "echo nc_000913.3 | genossl fetch - --out genomes"),
    ],
)
def test_the_users_mistake_is_one_line_and_exit_2(call, tmp_path: Path, monkeypatch, arguments, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("genossl: ")
    assert message in err
    assert err.count("\n") == 1


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_: Any) -> list[str]:
        raise error

    monkeypatch.setattr("genossl.verbs.methods.run", run)


def test_other_ends(call, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, Stopped("stopped at step 3 of 9"))
    assert call("methods") == (75, "", "genossl: stopped at step 3 of 9\n")
    raising(monkeypatch, KeyboardInterrupt())
    code, out, err = call("methods")
    assert (code, out, err.strip()) == (130, "", "")
    raising(monkeypatch, KeyboardInterrupt("stopped at step 3 of 9"))
    assert call("methods")[0] == 130
    assert "stopped at step 3 of 9" in call("methods")[2]
    raising(monkeypatch, InputError("bad\x1b[2J\nname"))
    assert call("methods") == (2, "", "genossl: bad\\x1b[2J\\nname\n")
    raising(monkeypatch, ZeroDivisionError("a bug"))
    monkeypatch.setattr(sys, "argv", ["genossl", "methods"])
    with pytest.raises(ZeroDivisionError):  # not swallowed: Python shows the traceback and exits with 1
        cli.main()


def test_a_bug_shows_its_traceback_and_is_exit_1() -> None:
    code = "import genossl.verbs.methods as m; m.run = None; from genossl.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "methods"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*GENOSSL, "methods"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.fixture
def embed_settings(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What `genossl embed` would run with, given some options."""
    seen: list[Any] = []
    monkeypatch.setattr("genossl.verbs.embed.run", lambda *arguments: seen.append(arguments[3]) or 0)

    def run(*options: str | Path) -> Any:
        code, _, err = call("embed", "gc", "x.fa", "--out", "x.npy", *options)
        assert code == 0, err
        return seen.pop()

    return run


def test_set_wins_over_settings_and_settings_over_config(embed_settings, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("embed: {window: 1, step: 1, rows: 1}\nprobe: {cap: 3}\n")
    built = embed_settings("--config", path, "--settings", '{"step": 2, "rows": 2}', "--set", "embed.rows=3")
    assert (built.window, built.step, built.rows, built.pool) == (1, 2, 3, "last")
    built = embed_settings("--set", "rows=3", "--set", "rows=4", "--set", "pool=mean")
    assert (built.rows, built.pool) == (4, "mean")
    path.write_text("probe: {cap: 3}\nembed:\n")
    assert embed_settings("--config", path, "--set", "embed.rows=5").rows == 5


@pytest.mark.parametrize("section", ["5", "last", "[1]"])
def test_a_section_that_is_none(call, tmp_path: Path, section: str) -> None:
    (tmp_path / "c.yaml").write_text(f"embed: {section}\n")
    code, _, err = call("embed", "gc", "x.fa", "--out", "x.npy", "--config", tmp_path / "c.yaml")
    assert code == 2
    assert "c.yaml: embed: expected key: value pairs" in err


@pytest.fixture
def recipe_of(call, monkeypatch: pytest.MonkeyPatch):
    """What `genossl pretrain` would train, given some options."""
    from genossl import recipe

    seen: list[Any] = []
    monkeypatch.setattr("genossl.verbs.pretrain.run", lambda *arguments: seen.append(arguments[2]))

    def run(*options: str | Path) -> recipe.Recipe:
        code, _, err = call("pretrain", "store", "--out", "run", *options)
        assert code == 0, err
        return recipe.resolve(seen.pop())

    return run


def test_recipes_of_the_command_line(recipe_of, tmp_path: Path) -> None:
    from genossl import recipe

    assert recipe_of() == recipe.resolve({})
    assert recipe_of("--method", "self_genomenet") == recipe.resolve({})
    for name in recipe.presets():
        assert recipe_of("--config", name) == recipe.resolve({"preset": name})
    path = tmp_path / "mine.yaml"
    path.write_text("preset: short\npretrain: {steps: 1, batch: 2, lr: 3}\n")
    options = ("--config", path, "--settings", json.dumps({"pretrain": {"batch": 4, "lr": 5}}))
    found = recipe_of(*options, "--set", "pretrain.lr=6", "--set", "method.length=151")
    assert (found.pretrain.steps, found.pretrain.batch, found.pretrain.lr) == (1, 4, 6)
    assert (found.encoder.k, found.method.length) == (4, 151)


def test_a_preset_stands_in_place_of_the_default_one(
    recipe_of, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the default preset says must not leak into another that is silent about it."""
    from genossl import recipe

    (tmp_path / "default.yaml").write_text("name: self_genomenet\nencoder: {hidden: 7}\n")
    (tmp_path / "other.yaml").write_text("name: self_genomenet\npretrain: {steps: 7}\n")
    monkeypatch.setattr(recipe, "PRESETS", tmp_path)
    assert recipe_of().encoder.hidden == 7
    assert recipe_of("--config", "other").encoder.hidden == 512


def test_the_verbs_end_to_end(call, tiny_store: Path, tmp_path: Path) -> None:
    run, table = tmp_path / "run", tmp_path / "x.npy"
    settings = json.dumps(TINY | {"pretrain": TINY["pretrain"] | {"steps": 2}})
    code, out, err = call("--quiet", "pretrain", tiny_store, "--out", run, "--settings", settings, "--device", "cpu")
    assert (code, out, err) == (0, "", "")
    assert call("embed", run, tiny_store, "--out", table, "--device", "cpu")[:2] == (0, f"{table}: 180 rows\n")
    code, out, err = call("preview", tiny_store, "--settings", settings, "--rows", "2")
    assert code == 0
    assert out.count("read_tokens (100 bases)") == 2
    code, out, _ = call("methods", "self_genomenet")
    assert code == 0
    assert "temperature: float" in out


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two names a row, made by `genossl tasks`."""
    path, letters = tmp_path / "given.tsv", np.random.default_rng(0).choice(list("ACGT"), (60, 40))
    names = ["a;b", "a", "-"]
    rows = [f"r{i}\t{names[i % 3]}\t{''.join(row)}\tg{i // 3}" for i, row in enumerate(letters)]
    path.write_text("\n".join(["id\tlabel\tsequence\tgroup", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "verb",
    [
        "embed gc {t} --out {n}.npy",
        "tasks {t} --kind multilabel --out {t}",
        "probe {v} --labels {t} --out {t}",
        "probe {v} --labels {t} --out {o}.tsv --save-head {n}",
        "cluster {v} --labels {t} --out {t}",
        "strands gc --labels {t} --out {t}",
        "finetune cnn {t} --out {n}.npz",
        "audit {t} --out {n}.json",
    ],
)
def test_no_verb_writes_over_what_it_reads(call, table: Path, tmp_path: Path, verb: str) -> None:
    task = tmp_path / "task.tsv"
    assert call("tasks", table, "--kind", "multilabel", "--out", task)[0] == 0
    assert call("embed", "gc", task, "--out", tmp_path / "gc.npy")[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    places = {"t": task, "n": task.with_suffix(""), "v": tmp_path / "gc.npy", "o": tmp_path / "o"}
    code, _, err = call(*verb.format(**places).split(" "))
    assert code == 2
    assert "is read, and would be written over" in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_verbs_take_the_kind_from_the_task(call, table: Path, tmp_path: Path) -> None:
    task, vectors = tmp_path / "task.tsv", tmp_path / "kmer2.npy"
    assert call("tasks", table, "--kind", "multilabel", "--strand", "as_given", "--out", task)[0] == 0
    assert call("embed", "kmer:2", task, "--out", vectors)[0] == 0
    code, out, _ = call("probe", vectors, "--labels", task, "--out", tmp_path / "s.tsv", "--set", "shots=[5]")
    assert (code, "average precision, logistic" in out) == (0, True)
    assert call("audit", task, "--out", tmp_path / "a.json", "--set", "stop=false")[0] == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert (record["kind"], record["strand"]) == ("multilabel", "as_given")
    for verb in (["cluster", vectors, "--rival", ""], ["strands", "kmer:2"]):
        code, _, err = call(*verb, "--labels", task, "--out", tmp_path / "c.tsv")
        assert code == 2
        assert "the task is of the kind multilabel" in err
