"""The command that made an artefact, and what is told of it. That it makes the same: the tests of each verb."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from genossl import files
from genossl.cli import cli
from genossl.errors import InputError
from genossl.verbs import ingest, rerun


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a b.fa").write_text(">one\nACGTACGT\n")
    Path("--out").write_text(">two\nACGT\n")
    ingest.run(["a b.fa", "--out"], Path("store"), ingest.Settings(min_contig=2))
    return tmp_path / "store"


def say(*words: str) -> tuple[list[str], str]:
    done = CliRunner().invoke(cli, ["rerun", *words], catch_exceptions=False)
    return shlex.split(done.stdout), done.stderr


def test_the_command_has_every_argument_and_every_setting(store: Path) -> None:
    words, told = say("store")
    settings = {"ambiguous": "N", "lowercase": "keep", "min_contig": 2, "max_ratio": 200.0}
    assert words[:4] == ["genossl", "ingest", "--out", "store"]
    assert words[4] == "--settings"
    assert json.loads(words[5]) == settings
    assert words[6:] == ["--", "a b.fa", "--out"]  # a file that looks like an option stays a file
    assert told == ""
    assert say("store", "--out", "new $(x)")[0][3] == "new $(x)"


def test_from_another_folder_it_goes_there_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert say(str(store))[0][:3] == ["cd", str(store.parent), "&&"]


@pytest.mark.parametrize("name", ["", "store.json", "tokens.bin", "genomes.tsv", "store.json.provenance.json"])
def test_each_file_of_a_store_stands_for_it(store: Path, name: str) -> None:
    assert rerun.run(store / name).given["out"] == "store"


def test_files_beside_an_artefact_stand_for_it_and_no_others(tmp_path: Path) -> None:
    for name in ("reads.tsv", "reads.long.tsv"):
        files.write_provenance(tmp_path / name, "probe", {}, {}, given={"out": name})
    for name in ("reads.tsv", "reads.confusion.tsv", "reads.long.json", "readsx.tsv"):
        (tmp_path / name).touch()
    assert rerun.run(tmp_path / "reads.confusion.tsv").given["out"] == "reads.tsv"
    assert rerun.run(tmp_path / "reads.long.json").given["out"] == "reads.long.tsv"
    with pytest.raises(InputError, match=r"readsx\.tsv: has no \.provenance\.json beside it"):
        rerun.run(tmp_path / "readsx.tsv")
    with pytest.raises(InputError, match=r"nowhere: no such file"):
        rerun.run(tmp_path / "nowhere")


def test_what_has_changed_since_is_told(store: Path) -> None:
    Path("a b.fa").write_text(">one\nACGTACGA\n")
    Path("--out").unlink()
    record = json.loads((store / "store.json.provenance.json").read_text())
    record["versions"] |= {"torch": "1.0", "gone": "3"}
    files.write_json(store / "store.json.provenance.json", record)
    told = say("store")[1].splitlines()
    here = store.parent
    assert told[0] == f"genossl: {here / 'a b.fa'}: the input a b has changed since"
    assert told[1] == f"genossl: {here / '--out'}: the input --out is not there"
    assert told[2] == "genossl: gone was 3, is not there"
    assert told[3].startswith("genossl: torch was 1.0, is ")
    assert len(told) == 4


def test_ranks_go_through_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_provenance(tmp_path / "run", "pretrain", {}, {}, given={"store": "s", "out": "r"}, ranks=4)
    (tmp_path / "run").mkdir()
    assert " ".join(say("run")[0]).startswith("torchrun --standalone --nproc-per-node 4 --no-python genossl pretrain ")


def test_a_record_that_does_not_tell_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").touch()
    for record in ({"verb": "embed"}, [], {"verb": "embed", "given": 3, "folder": "", "inputs": {}, "versions": {}}):
        (tmp_path / "x.tsv.provenance.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match="does not say which command wrote it; an older genossl did"):
            rerun.run(tmp_path / "x.tsv")


def test_the_commit_is_that_of_the_checkout(repository: Path) -> None:
    if not (repository / ".git").exists():
        assert "commit" not in files.versions()
        return
    assert len(files.versions()["commit"].removesuffix("-dirty")) >= 7
