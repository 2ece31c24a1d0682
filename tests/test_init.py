"""genossl init: a project that checks, that the defaults are the real ones, and that runs with and without a task."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from planted import reads

from genossl import shipped
from genossl.config import read_yaml
from genossl.errors import InputError
from genossl.files import read_sheet
from genossl.verbs import check, init

BIN = Path(sys.executable).parent
SMALL = {  # of config.yaml, so that a run takes seconds
    "  ours: {preset: default}": "  ours: {preset: default, pretrain: {steps: 3, batch: 8, validate_every: 0}, "
    "encoder: {hidden: 8, channels: 8, context: 8}, self_genomenet: {length: 200, distance: 300}}",
    "  kmer_mlp: {preset: kmer_mlp}": "",
    "baselines: [untrained, kmer3, kmer4, kmer5, kmer6, gc]": "baselines: [kmer2, kmer4]",
    "    ours_finetuned: ours": "",
    "    ours_scratch: scratch:ours": "",
    "  # rates: [3.0e-3]": "  rates: [3.0e-3]",
    "  # steps: 250": "  steps: 2",
    "  # passes: 0": "  passes: 1",
    "  shots: [1, 5, 10, 50, 100, 400]": "  shots: [10]",
    "  draws: 5 ": "  draws: 2 ",
    "  stop: true": "  stop: false",
    "  replicates: 1000": "  replicates: 100",
    "embedded: []": "embedded: [kmer2]",
    "embed_parts: 8": "embed_parts: 2",
}


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    command = [str(BIN / "snakemake"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def planned(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    table = done.stdout.rpartition("Job stats:")[2]
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M) if name != "total"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two genomes of each split and no task, small enough to run."""
    folder = tmp_path / "my project"
    reads(folder, {"train": 10, "validation": 6, "test": 20})
    for name in ("genomes.tsv", "tasks.tsv"):  # kept aside: init writes its own
        for path in folder.rglob(name):
            path.rename(path.with_name(f"planted_{name}"))
    init.run(folder, folder / "data")
    text = (folder / "config.yaml").read_text()
    for old, new in SMALL.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "config.yaml").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def test_the_configuration_is_that_of_the_repository(repository: Path, tmp_path: Path) -> None:
    """Line by line the same but for the name, the sheets, and lines of the demo that became comments."""
    init.run(tmp_path / "ecoli 2026")
    ours = (tmp_path / "ecoli 2026" / "config.yaml").read_text().splitlines()
    theirs = (repository / "config.yaml").read_text().splitlines()
    differ = {b.strip().partition(":")[0]: a for a, b in zip(ours, theirs, strict=True) if a != b}
    assert set(differ) == {"collection", "genomes", "tasks", *init.OF_THE_DEMO}
    assert all(differ[name].startswith("  # ") for name in init.OF_THE_DEMO)
    assert all(differ[name].index("#") == theirs[i].index("#") for i, name in ((3, "collection"), (4, "genomes")))
    settings, demo = (read_yaml(path / "config.yaml") for path in (tmp_path / "ecoli 2026", repository))
    assert (settings["collection"], settings["genomes"], settings["tasks"]) == (
        "ecoli_2026",
        "genomes.tsv",
        "tasks.tsv",
    )
    assert list(settings["runs"]) == ["ours", "kmer_mlp"]
    changed = ("collection", "genomes", "tasks", "runs", "finetune")
    assert {k: v for k, v in settings.items() if k not in changed} == {
        k: v for k, v in demo.items() if k not in changed
    }


@pytest.mark.parametrize(
    "name,expected", [("x", "x"), ("E. coli (2026)", "E._coli_2026_"), (".hidden", "hidden"), ("日本", "_")]
)
def test_a_collection_is_called_as_its_folder(tmp_path: Path, name: str, expected: str) -> None:
    assert init.collection(tmp_path / name) == expected


def test_what_is_there_is_never_written_over(call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert call("init", tmp_path)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = call("init", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"genossl: {tmp_path}/config.yaml: is there already; expected a folder without a project\n"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert before[tmp_path / "notes.txt"] == b"mine"


def test_genomes_of_a_folder_become_a_sheet(tmp_path: Path) -> None:
    inside, beside = tmp_path / "project" / "genomes", tmp_path / "elsewhere"
    for folder in (inside, beside):
        folder.mkdir(parents=True)
        for name in ("b.fna.gz", "a.fa", "notes.txt"):
            (folder / name).touch()
    init.run(tmp_path / "project", inside)
    sheet = read_sheet(tmp_path / "project" / "genomes.tsv", ("genome", "path", "split"))
    assert sheet.to_dict("list") == {
        "genome": ["a", "b"],
        "path": ["genomes/a.fa", "genomes/b.fna.gz"],
        "split": ["", ""],
    }
    init.run(tmp_path / "second", beside)
    assert list(read_sheet(tmp_path / "second" / "genomes.tsv")["path"]) == [
        "../elsewhere/a.fa",
        "../elsewhere/b.fna.gz",
    ]
    (inside / "a.fasta").touch()
    with pytest.raises(InputError, match="two files would be the genome 'a'; rename one"):
        init.run(tmp_path / "third", inside)
    with pytest.raises(InputError, match=r"notes\.txt: is no folder"):
        init.run(tmp_path / "third", inside / "notes.txt")


def test_what_it_says_is_next_works_when_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call) -> None:
    monkeypatch.chdir(tmp_path)
    last = call("init", "my genomes")[1].splitlines()[-1]
    assert last.startswith("next: name your genomes in my genomes/genomes.tsv, then `cd 'my genomes' && genossl check ")
    (folder, name), command = shlex.split(last.split("`")[1].split(" && ")[0]), last.split("`")[1].split(" && ")[1]
    assert (folder, Path(name, shlex.split(command)[-1]).is_file()) == ("cd", True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "then `genossl check config.yaml`" in call("init")[1]


def test_an_unfilled_project_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init.run(tmp_path / "p")
    monkeypatch.chdir(tmp_path / "p")
    with pytest.raises(InputError, match=r"genomes\.tsv: has a header line and no rows"):
        check.run(Path("config.yaml"))


def test_without_a_task_encoders_are_trained_and_genomes_embedded(project: Path) -> None:
    assert "no tasks: encoders are trained" in " ".join(check.run(Path("config.yaml")))
    jobs = {"ingest": 1, "pretrain": 1, "embed_genomes": 2, "report": 1, "project": 1}
    assert planned(snakemake(project, "--cores", "1", "--dry-run")) == jobs
    if importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        assert planned(snakemake(project, "--dry-run", "--workflow-profile", "profiles/slurm")) == jobs
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(re.sub(r"(?m)^tasks: .*$", "", text))  # no sheet at all is the same
    assert planned(snakemake(project, "--cores", "1", "--dry-run")) == jobs


@pytest.mark.slow
def test_the_project_runs_from_genomes_to_a_report(project: Path) -> None:
    """What a new user does: init, two sheets, snakemake; then nothing is left to do."""
    (planted,) = project.rglob("planted_tasks.tsv")
    (project / "tasks.tsv").write_text(planted.read_text())
    (planted,) = project.rglob("planted_genomes.tsv")
    sheet = read_sheet(planted)
    sheet["path"] = [os.path.relpath(planted.parent / path, project) for path in sheet["path"]]
    sheet.to_csv(project / "genomes.tsv", sep="\t", index=False)
    told = snakemake(project, "--cores", "2").stdout
    results = project / "results" / "my_project"
    assert "<html" in (results / "report.html").read_text()[:200]
    assert told.endswith((results / "findings.txt").read_text())
    assert told.rstrip().endswith("report.html")
    assert planned(snakemake(project, "--cores", "1", "--dry-run")) == {}


def test_the_workflow_is_where_genossl_is(monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path) -> None:
    assert shipped.workflow() == repository
    (tmp_path / "genossl" / "workflow").mkdir(parents=True)
    monkeypatch.setattr(shipped, "HOME", tmp_path / "genossl")
    assert shipped.workflow() == tmp_path / "genossl" / "workflow"
