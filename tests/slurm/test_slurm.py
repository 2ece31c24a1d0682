"""The workflow on a real Slurm, through what happens there; each run ends with what an unbroken run ends with."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from planted import reads

pytestmark = pytest.mark.slurm
BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent.parent
CLUSTER = Path(__file__).parent / "cluster.sh"
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
# the profile's waits are for a cluster that others use too
IMPATIENT = ("--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1")
ENCODER = "results/tiny/runs/ours/encoder.safetensors"
VECTORS = "results/tiny/embeddings/reads/gc.npy"
SCORES = "results/tiny/scores/reads.tsv"
# long enough to be disturbed half-way, on a fast machine too
TINY = """
collection: tiny
genomes: data/genomes.tsv
tasks: tasks.tsv
runs:
  ours:
    preset: default
    pretrain: {steps: 1000, batch: 64, validate_every: 0, checkpoint_every: 20, precision: fp32}
    encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
    self_genomenet: {length: 200, distance: 300}
baselines: [gc]
probe: {shots: [5], draws: 1, heads: [knn], replicates: 100, block: 1000}
report: {verdict_shots: 5}
audit: {stop: false}
jobs: {ingest_threads: 1, probe_threads: 1}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Slurm on this machine; ended only where it was begun here."""
    was_up = subprocess.run([CLUSTER, "status"], capture_output=True).returncode == 0
    started = subprocess.run([CLUSTER, "start"], capture_output=True, text=True, timeout=600)
    if started.returncode:
        pytest.skip(f"no Slurm: {(started.stderr.strip() or 'cluster.sh start failed').splitlines()[-1]}")
    yield
    if not was_up:
        subprocess.run([CLUSTER, "stop"], check=True)


@pytest.fixture(scope="module")
def unbroken(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole workflow ran without Slurm and without a fault."""
    folder = tmp_path_factory.mktemp("unbroken")
    reads(folder, {"train": 10, "validation": 6, "test": 20})
    (folder / "config.yaml").write_text(TINY)
    locally(folder)
    return folder


@pytest.fixture
def folder(unbroken: Path, tmp_path: Path) -> Path:
    """Sheets and the store of the unbroken run, and nothing pretrained yet."""
    shutil.copytree(unbroken, tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "results" / "tiny" / "runs")
    return tmp_path / "work"


def locally(folder: Path, *arguments: str) -> None:
    command = [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def until(happened: Callable[[], object], seconds: float = 90) -> None:
    """Wait, and fail where it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.1)


@dataclasses.dataclass
class Workflow:
    """A running snakemake, and the Slurm jobs that it submits."""

    folder: Path
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def jobs(self) -> list[str]:
        """Every submission so far."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.text)

    def step(self) -> int:
        """The last step in the log of the pretraining; 0 before its first look."""
        try:
            lines = (self.folder / Path(ENCODER).parent / "state" / "log.tsv").read_text().split("\n")
            return int(lines[-2].split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def trained_to(self, step: int) -> str:
        """The Slurm job that pretrains, once it is there."""

        def there() -> bool:
            assert self.process.poll() is None, self.text
            return self.step() >= step

        until(there)
        return self.jobs[-1]

    def ended(self, code: int = 0) -> None:
        assert self.process.wait(timeout=240) == code, self.text


@pytest.fixture
def start(cluster: None, folder: Path) -> Iterator[Callable[..., Workflow]]:
    """Starts the workflow on Slurm, for the targets and with the options given; what still runs at the end is ended."""
    started: list[Workflow] = []

    def begin(*arguments: str, environment: dict[str, str] = ENVIRONMENT) -> Workflow:
        output = folder / f"output{len(started)}.txt"
        command = [BIN / "snakemake", *arguments, "--snakefile", ROOT / "Snakefile", "--workflow-profile", PROFILE]
        with output.open("w") as stream:
            process = subprocess.Popen(
                [*map(str, command), *IMPATIENT], cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which background jobs do not heed
            )  # fmt: skip
        started.append(Workflow(folder, process, output))
        return started[-1]

    yield begin
    for workflow in started:
        if workflow.process.poll() is None:
            workflow.process.send_signal(signal.SIGINT)
            workflow.process.wait(timeout=60)


def same(unbroken: Path, folder: Path, *names: str) -> None:
    for name in names:
        assert (folder / name).read_bytes() == (unbroken / name).read_bytes(), name


def training(folder: Path) -> int:
    """The process that pretrains in this folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"pretrain" in words[:4] and (process / "cwd").readlink() == folder:
                return int(process.name)
        except OSError:  # has ended meanwhile
            continue
    raise AssertionError("nothing trains")


def accounted(job: str, column: str) -> str:
    return slurm("sacct", "--noheader", "--parsable2", "--allocations", "--jobs", job, "--format", column)


def test_smoke(unbroken, folder, start):
    """One pretraining as a Slurm job, by the profile alone: the smallest proof that it is applied."""
    workflow = start(ENCODER)
    workflow.ended()
    (job,) = workflow.jobs
    assert slurm("squeue", "--noheader", "--states", "all", "--jobs", job, "--format", "%k %T") == (
        "rule_pretrain_wildcards_ours COMPLETED"
    )
    assert accounted(job, "ReqMem") == "3350M"
    same(unbroken, folder, ENCODER)


def test_the_whole_workflow_without_a_network_through_a_kill(unbroken, folder, start, tmp_path):
    """Every rule as a job whose command sees no network, while its training is ended with kill -9 once."""
    offline = tmp_path / "offline"
    offline.mkdir()
    alone = "unshare --net" if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0 else ""
    (offline / "genossl").write_text(f'#!/bin/sh\necho "$*" >> {offline}/ran\nexec {alone} {BIN}/genossl "$@"\n')
    (offline / "genossl").chmod(0o755)
    shutil.rmtree(folder / "results")
    workflow = start(environment=ENVIRONMENT | {"PATH": f"{offline}:{ENVIRONMENT['PATH']}"})
    workflow.trained_to(200)
    os.kill(training(folder), signal.SIGKILL)
    workflow.ended()
    same(unbroken, folder, ENCODER, VECTORS, SCORES)
    assert (folder / "results" / "tiny" / "report.html").is_file()
    rules = ("ingest", "tasks", "audit", "pretrain", "embed", "embed_baseline", "strands", "probe", "report")
    assert len(workflow.jobs) == len(rules) + 1  # and gate, where snakemake runs
    ran = {line.removeprefix("--quiet ").split()[0] for line in (offline / "ran").read_text().splitlines()}
    assert ran == {"check"} | {rule.removesuffix("_baseline") for rule in rules}
    if not alone:
        pytest.skip("ran to its end, but this machine cannot take the network away from a process")


def cancel(workflow: Workflow) -> None:
    slurm("scancel", workflow.trained_to(200))


def requeue(workflow: Workflow) -> None:
    """As an administrator does, or a node that fails; Slurm waits two minutes, this test does not."""
    job = workflow.trained_to(200)
    slurm("scontrol", "requeue", job)
    until(lambda: slurm("squeue", "--noheader", "--jobs", job, "--format", "%T") == "PENDING")
    slurm("scontrol", "update", f"jobid={job}", "StartTime=now")


def preempt(workflow: Workflow) -> None:
    """A job of a partition that goes before takes both nodes; it ends once ours has gone."""
    job = workflow.trained_to(200)
    other = slurm("sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 600")
    until(lambda: slurm("squeue", "--noheader", "--jobs", other, "--format", "%T") == "RUNNING")
    assert slurm("squeue", "--noheader", "--states", "all", "--jobs", job, "--format", "%T") != "RUNNING"
    slurm("scancel", other)


def out_of_time(workflow: Workflow) -> None:
    """Slurm's own limit, looked at every half minute, without the margin in which training would stop by itself."""
    job = workflow.trained_to(200)
    os.kill(training(workflow.folder), signal.SIGSTOP)  # else it might end before; Slurm wakes it to tell it
    slurm("scontrol", "update", f"jobid={job}", "EndTime=now+1")


@pytest.mark.parametrize(
    "fault,submissions,state",
    [(cancel, 2, "CANCELLED"), (requeue, 1, "COMPLETED"), (preempt, 2, "FAILED"), (out_of_time, 2, "TIMEOUT")],
)
def test_pretraining_goes_on_by_itself(unbroken, folder, start, fault, submissions, state):
    workflow = start(ENCODER, "--default-resources", "slurm_partition=low")
    fault(workflow)
    workflow.ended()
    assert len(workflow.jobs) == submissions, workflow.text
    assert accounted(workflow.jobs[0], "State").split()[0] == state
    assert "resuming at step" in (folder / "logs" / "tiny" / "pretrain" / "ours.log").read_text()
    same(unbroken, folder, ENCODER)


def test_pretraining_goes_on_by_the_same_command_after_an_interrupt(unbroken, folder, start):
    workflow = start(ENCODER)
    job = workflow.trained_to(200)
    workflow.process.send_signal(signal.SIGINT)
    workflow.ended(1)
    until(lambda: accounted(job, "State").startswith("CANCELLED"))
    again = start(ENCODER)
    again.ended()
    assert (len(workflow.jobs), len(again.jobs)) == (1, 1)
    assert "resuming at step" in (folder / "logs" / "tiny" / "pretrain" / "ours.log").read_text()
    same(unbroken, folder, ENCODER)


def test_a_job_out_of_memory_is_submitted_again_with_twice_as_much(unbroken, folder, start):
    (folder / VECTORS).unlink()
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("jobs: {", "jobs: {mem_mb: 1, "))
    workflow = start(VECTORS)
    workflow.ended()
    assert [accounted(job, "ReqMem") for job in workflow.jobs] == ["351M", "702M"]
    (log,) = (folder / "logs" / "slurm").rglob("*.log")  # that of the job which did not end well
    assert "Exceeded job memory limit" in log.read_text()
    same(unbroken, folder, VECTORS)


def test_ranks_on_two_nodes_stop_before_the_limit_and_go_on(unbroken, folder, start, tmp_path):
    """A minute of two, the other is the margin: torchrun ends with 1 then, and the job is submitted again."""
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("jobs: {", "jobs: {ranks: 2, "))
    shutil.copytree(folder, tmp_path / "one_machine")
    locally(tmp_path / "one_machine", ENCODER)
    config.write_text(config.read_text().replace("jobs: {", "jobs: {nodes: 2, gpu: 2, runtime: 2, stop_margin: 1, "))
    workflow = start(ENCODER)
    job = workflow.trained_to(200)
    assert slurm("squeue", "--noheader", "--jobs", job, "--format", "%D") == "2"
    rank = training(folder)
    os.kill(rank, signal.SIGSTOP)  # the minute passes, whatever the machine
    time.sleep(60)
    os.kill(rank, signal.SIGCONT)
    workflow.ended()
    assert len(workflow.jobs) == 2, workflow.text
    assert workflow.text.count("run the same command to go on") == 1  # says the first rank
    assert json.loads((folder / ENCODER).with_name("encoder.json").read_text())["ranks"] == 2
    same(tmp_path / "one_machine", folder, ENCODER)
