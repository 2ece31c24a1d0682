"""The workflow end to end on a tiny collection, and what it re-runs when something changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from planted import reads

from genossl.config import read_yaml
from genossl.evaluation.table import read_table
from genossl.files import read_sheet

BIN = Path(sys.executable).parent
TINY = """
collection: tiny
genomes: data/genomes.tsv
tasks: tasks.tsv
runs:
  ours:
    preset: default
    pretrain: {steps: 6, batch: 16, validate_every: 3}
    encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
    self_genomenet: {length: 200, distance: 300}
  kmer_mlp:
    preset: kmer_mlp
    pretrain: {steps: 3, batch: 16}
    encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
    self_genomenet: {length: 200, distance: 300}
baselines: [untrained, kmer2, gc]
finetune:
  models: {ours_tuned: ours, scratch: "scratch:ours", cnn: cnn}
  shots: [5]
  draws: 1
  rates: [1.0e-3]
  steps: 2
  passes: 1
  channels: 4
probe: {shots: [1, 5], draws: 2, replicates: 100, block: 1000}
report: {verdict_shots: 5}
audit: {stop: false}
jobs: {probe_threads: 1}
"""


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "snakemake"), "--snakefile", str(Path(__file__).parent.parent / "Snakefile")]
    profile = str(Path(__file__).parent.parent / "workflow" / "profiles" / "default")
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--workflow-profile", profile, "--directory", str(folder), *arguments],
        capture_output=True, text=True, env=environment, timeout=500,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs per rule that a run would start now."""
    text = snakemake(folder, "--dry-run", *arguments).stdout
    table = text.rpartition("Job stats:")[2]
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M) if name not in ("all", "total")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder whose name a shell would trip over, with the workflow run in it once."""
    folder = tmp_path_factory.mktemp("it's $(touch x) a;b")
    reads(folder, {"train": 10, "validation": 6, "test": 20})
    (folder / "config.yaml").write_text(TINY)
    (folder / "told.txt").write_text(snakemake(folder, "--cores", "2").stdout)
    return folder


def test_every_artefact_is_there_with_its_provenance(finished):
    results = finished / "results" / "tiny"
    for name in ("ours", "kmer_mlp", "untrained", "kmer2", "gc"):
        table = read_table(results / "embeddings" / "reads" / f"{name}.npy")
        assert len(table.vectors) == 72
        assert (results / "embeddings" / "reads" / f"{name}.npy.provenance.json").is_file()
    assert json.loads((results / "tasks" / "reads.json").read_text())["layout"] == "table"
    stranded = read_sheet(results / "scores" / "reads.strand.tsv").set_index("embedding")
    assert stranded["strands"].to_dict() == {"ours": "given", "kmer2": "both"}
    assert float(stranded.loc["kmer2", "flip_rate"]) == 0
    assert json.loads((results / "audit" / "reads.json").read_text())["outcome"] == "fail"  # GC tells all
    assert (results / "audit" / "reads.passed").read_text().startswith("reads: ")
    assert "<html" in (results / "report.html").read_text()[:200]
    findings = (results / "findings.txt").read_text().strip().splitlines()
    assert len(findings) == 4
    assert findings[-1].endswith("report.html")
    assert (finished / "told.txt").read_text().strip().splitlines()[-4:] == findings  # what the run ends with
    for name in ("ours_tuned", "scratch", "cnn"):
        with np.load(results / "predictions" / "reads" / f"{name}.npz") as predictions:
            assert predictions["scores"].shape == (2, 40, 2)  # 5 labels and all, test reads, classes
    assert not list(finished.rglob("x"))  # nothing of the folder's name was executed


def test_each_artefact_is_made_again_by_what_lies_beside_it(finished, again, monkeypatch):
    """Byte for byte, by the command that its provenance says, on the same machine with as many threads."""
    monkeypatch.chdir(finished)
    results = finished / "results" / "tiny"
    made = sorted(results.rglob("*.provenance.json"))
    verbs = {json.loads(path.read_text())["verb"] for path in made}
    assert verbs == {"ingest", "tasks", "audit", "pretrain", "embed", "finetune", "probe", "strands", "report"}
    for path in made:
        whole = path.name in ("store.json.provenance.json", "run.provenance.json")
        artefact = path.parent if whole else path.with_name(path.name.removesuffix(".provenance.json"))
        assert again(artefact) == [], artefact


def test_nothing_is_left_to_do(finished):
    assert planned(finished) == {}


def test_a_genome_that_gives_way_to_an_older_file_is_read_again(finished):
    path = finished / "data" / "alpha_train.fa"
    before, stat = path.read_text(), path.stat()
    try:
        path.write_text(before.replace("A", "C", 1))
        os.utime(path, (1, 1))
        assert planned(finished)["ingest"] == 1
    finally:
        path.write_text(before)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_probe_setting_runs_probes_only(finished):
    config = (finished / "config.yaml").read_text()
    try:
        (finished / "config.yaml").write_text(config.replace("draws: 2", "draws: 3"))
        assert planned(finished) == {"probe": 1, "report": 1}
        (finished / "config.yaml").write_text(config.replace("block: 1000", "block: 2000"))
        rows = {"finetune": 3, "strands": 1}  # which are the probe's
        assert planned(finished) == {"audit": 1, "gate": 1, "probe": 1, "report": 1} | rows
    finally:
        (finished / "config.yaml").write_text(config)


def test_what_decides_the_rows_of_the_probe_decides_those_of_fine_tuning(finished):
    config = (finished / "config.yaml").read_text()
    try:
        (finished / "config.yaml").write_text(config.replace("draws: 2,", "draws: 2, test_cap: 10,"))
        assert planned(finished) == {"finetune": 3, "probe": 1, "report": 1}
        (finished / "config.yaml").write_text(config.replace("steps: 2\n", "steps: 4\n"))
        assert planned(finished) == {"finetune": 3, "probe": 1, "report": 1}
    finally:
        (finished / "config.yaml").write_text(config)


def test_a_run_setting_runs_what_depends_on_it(finished):
    config = (finished / "config.yaml").read_text()
    try:
        (finished / "config.yaml").write_text(config.replace("steps: 3,", "steps: 4,"))
        assert planned(finished) == {"pretrain": 1, "embed": 1, "probe": 1, "report": 1}
        (finished / "config.yaml").write_text(config.replace("steps: 6,", "steps: 7,"))
        # what was fine-tuned from it, and the network from new weights, which takes its shape and standardisation
        assert planned(finished) == {
            "pretrain": 1, "embed": 1, "embed_baseline": 1, "finetune": 2, "strands": 1, "probe": 1, "report": 1,
        }  # fmt: skip
    finally:
        (finished / "config.yaml").write_text(config)


def test_a_task_of_another_layout_runs_what_is_of_it(finished):
    """A folder of CSV files, where strands matter: its own table, embeddings, scores; then one of its files changes."""
    sheet, before = finished / "tasks.tsv", (finished / "tasks.tsv").read_text()
    rng = np.random.default_rng(1)
    (finished / "gue").mkdir()
    for split, n in (("train", 12), ("dev", 4), ("test", 8)):
        rows = ["".join(rng.choice(list("ACGT"), 60)) + f",{'ab'[i % 2]}" for i in range(n)]
        (finished / "gue" / f"{split}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    stat = sheet.stat()
    try:
        sheet.write_text("task\tpath\tstrand\nreads\treads.tsv\t\ngue\tgue\tas_given\n")
        ours = {
            "tasks": 1, "audit": 1, "gate": 1, "embed": 2, "embed_baseline": 3, "finetune": 3, "probe": 1, "strands": 1,
            "report": 1,
        }  # fmt: skip
        assert planned(finished) == ours
        snakemake(finished, "--cores", "2")
        assert planned(finished) == {}
        folder = finished / "results" / "tiny" / "embeddings" / "gue"
        for name in ("ours", "kmer2"):
            record = json.loads((folder / f"{name}.npy.provenance.json").read_text())
            assert record["settings"]["both_strands"] is False
        assert read_table(folder / "kmer2.npy").vectors.shape == (24, 16)  # k-mers of one strand
        (finished / "gue" / "dev.csv").write_text((finished / "gue" / "dev.csv").read_text() + "ACGTACGT,a\n")
        assert planned(finished) == ours
    finally:
        sheet.write_text(before)
        os.utime(sheet, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        shutil.rmtree(finished / "gue")
        for kind in ("tasks", "audit", "embeddings", "predictions", "scores"):
            for path in (finished / "results" / "tiny" / kind).glob("gue*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        snakemake(finished, "--cores", "2")


def test_a_changed_preset_file_runs_what_starts_from_it(finished):
    config, own = (finished / "config.yaml").read_text(), finished / "own_preset.yaml"
    own.write_text("pretrain: {steps: 3}\n")
    try:
        (finished / "config.yaml").write_text(config.replace("preset: kmer_mlp", "preset: own_preset.yaml"))
        assert planned(finished)["pretrain"] == 1
    finally:
        (finished / "config.yaml").write_text(config)
    assert planned(finished) == {}


def test_an_audit_setting_audits_again_and_trains_nothing(finished):
    config = (finished / "config.yaml").read_text()
    try:
        (finished / "config.yaml").write_text(config.replace("stop: false", "stop: false, near: 0.9"))
        assert planned(finished) == {"audit": 1, "gate": 1, "probe": 1, "report": 1}
        (finished / "config.yaml").write_text(config.replace("stop: false", "stop: true"))
        assert planned(finished) == {"gate": 1, "probe": 1, "report": 1}
    finally:
        (finished / "config.yaml").write_text(config)


def test_a_leak_stops_before_anything_is_trained(finished):
    """A second collection whose test reads are train reads; what was found outlives the stop, and it can go on."""
    reads = (finished / "reads.tsv").read_text().splitlines()
    header, lines = reads[0], reads[1:]
    copies = [line.replace("\ttrain", "\ttest").replace("_train", "_copy", 1) for line in lines if "_train0\t" in line]
    assert len(copies) == 2
    copies += [line.replace(line.split("\t")[0], f"again{i}", 1) for i, line in enumerate(copies * 4)]
    (finished / "leaky.tsv").write_text("\n".join([header, *lines, *copies]) + "\n")
    (finished / "leaky_tasks.tsv").write_text("task\tpath\nreads\tleaky.tsv\n")
    own = finished / "leaky.yaml"
    text = TINY.replace("collection: tiny", "collection: leaky").replace("tasks: tasks.tsv", "tasks: leaky_tasks.tsv")
    own.write_text(text.replace("stop: false", "stop: true"))
    done = snakemake(finished, "--configfile", str(own), "--cores", "1", check=False)
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "task reads fails the audit: copies: 10 of 50 (20 %) test rows" in told
    assert "audit: {stop: false}" in told
    results = finished / "results" / "leaky"
    assert not (results / "runs").exists()
    assert "copies\tfail\talpha_copy0\talpha_train0\t1.0" in (results / "audit" / "reads.tsv").read_text()
    own.write_text(text)
    jobs = planned(finished, "--configfile", str(own))
    assert "audit" not in jobs
    assert {name: n for name, n in jobs.items() if name != "embed_baseline"} == {
        "gate": 1, "pretrain": 2, "embed": 2, "finetune": 3, "strands": 1, "probe": 1, "report": 1,
    }  # fmt: skip


def test_how_it_runs_changes_nothing(finished):
    config = (finished / "config.yaml").read_text()
    try:
        (finished / "config.yaml").write_text(
            config.replace("probe_threads: 1", "probe_threads: 2, runtime: 99, pretrain_threads: 1")
        )
        assert planned(finished) == {}
    finally:
        (finished / "config.yaml").write_text(config)


def test_a_new_genome_runs_everything_on_it(finished):
    sheet = finished / "data" / "genomes.tsv"
    before, stat = sheet.read_text(), sheet.stat()
    try:
        shutil.copy(finished / "data" / "alpha_train.fa", finished / "data" / "more.fa")
        sheet.write_text(before + "more\tmore.fa\ttrain\talpha\n")
        assert planned(finished) == {
            "ingest": 1, "tasks": 1, "audit": 1, "gate": 1, "pretrain": 2, "embed": 2, "embed_baseline": 3,
            "finetune": 3, "probe": 1, "strands": 1, "report": 1,
        }  # fmt: skip
    finally:
        sheet.write_text(before)
        os.utime(sheet, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        (finished / "data" / "more.fa").unlink()


COMPARING = """
methods: [simclr, siamese, causal_lm]
compare: {bases: 48000, seeds: 3, presets: small.yaml, shuffled: true, settings: {simclr: {simclr: {temperature: 0.2}}}}
"""
SMALL = """
pretrain: {batch: 16, validate_every: 3}
encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
"""


@pytest.fixture
def comparing(finished):
    """A configuration that compares two methods and asks for a third, which the encoder cannot serve."""
    path = finished / "config.yaml"
    before = path.read_text()
    (finished / "small.yaml").write_text(SMALL)
    path.write_text(before + COMPARING)
    yield path
    path.write_text(before)


def test_a_comparison_is_planned(finished, comparing):
    """Three seeds and a null control of two methods, one untrained encoder; nothing that was run is run again."""
    assert planned(finished) == {"pretrain": 8, "embed": 8, "embed_baseline": 1, "probe": 1, "report": 1}


@pytest.mark.slow
def test_methods_are_compared(finished, comparing):
    snakemake(finished, "--cores", "2")
    assert planned(finished) == {}
    results = finished / "results" / "tiny"
    runs = {path.name: json.loads((path / "encoder.json").read_text()) for path in (results / "runs").iterdir()}
    of_methods = {f"{m}.small.{r}" for m in ("simclr", "siamese") for r in ("seed0", "seed1", "seed2", "null")}
    assert set(runs) == {"ours", "kmer_mlp"} | of_methods
    assert {runs[name]["bases_seen"] for name in of_methods} == {48_000}
    assert [runs[f"siamese.small.seed{i}"]["pretrain"]["seed"] for i in range(3)] == [0, 1, 2]
    assert {name for name in runs if runs[name]["pretrain"]["shuffled"]} == {"simclr.small.null", "siamese.small.null"}
    assert runs["simclr.small.seed1"]["method_settings"]["temperature"] == 0.2
    page = (results / "report.html").read_text()
    for words in ("Methods compared", "causal_lm on small.yaml: needs encoder.front conv", "Null control"):
        assert words in page, words
    findings = (results / "findings.txt").read_text().splitlines()
    assert sum(line.startswith("Of 2 methods compared with 5 labels per class") for line in findings) == 1
    comparing.write_text(comparing.read_text().replace("0.2", "0.3"))  # settings of one method run this method alone
    assert planned(finished) == {"pretrain": 4, "embed": 4, "embed_baseline": 1, "probe": 1, "report": 1}


def test_a_comparison_that_cannot_be_stops_before_any_job(finished):
    own = finished / "wrong.yaml"
    own.write_text(TINY + "methods: [simcl]\ncompare: {seeds: 0}\n")
    done = snakemake(finished, "--configfile", str(own), "--dry-run", check=False)
    assert done.returncode != 0
    for words in ("method 'simcl' is unknown", "bases and seeds must be at least 1"):
        assert words in done.stdout + done.stderr, words


def test_a_mistake_in_the_configuration_stops_before_any_job(tmp_path):
    for name, text in (("genomes.tsv", "genome\tpath\ng\tg.fa\n"), ("tasks.tsv", "task\tpath\nt\tt.tsv\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "g.fa").write_text(">g\nACGT\n")
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\nr\tx\tACGT\n")
    wrong = TINY.replace("data/genomes.tsv", "genomes.tsv").replace("draws: 2", "drawz: 2, draws: -1")
    (tmp_path / "config.yaml").write_text(wrong)
    done = snakemake(tmp_path, "--cores", "1", check=False)
    assert done.returncode != 0
    assert "genossl: config.yaml: probe.drawz: unknown key; did you mean draws?" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()
    (tmp_path / "tasks.tsv").write_text("task\tfile\nt\tt.tsv\n")
    done = snakemake(tmp_path, "--dry-run", check=False)
    assert "tasks.tsv: no column path; found task, file" in done.stdout + done.stderr


def test_a_configfile_takes_the_place_of_config_yaml(finished):
    """Nothing of config.yaml is merged in, and what is checked is what runs."""
    own = finished / "own.yaml"
    own.write_text(TINY.replace("collection: tiny", "collection: own").replace("  kmer_mlp:", "  other:"))
    jobs = planned(finished, "--configfile", str(own))
    assert jobs["pretrain"] == 2
    own.write_text(own.read_text().replace("draws: 2", "drawz: 2"))
    done = snakemake(finished, "--configfile", str(own), "--cores", "1", check=False)
    assert done.returncode != 0
    assert "genossl: own.yaml: probe.drawz: unknown key" in done.stdout + done.stderr
    assert not (finished / "results" / "own").exists()


def test_the_repository_plans_its_whole_demo(repository, tmp_path):
    config = read_yaml(repository / "config.yaml")
    for name in ("config.yaml", "examples"):
        (tmp_path / name).symlink_to(repository / name)
    runs, baselines = len(config["runs"]), len(config["baselines"])
    assert planned(tmp_path) == {
        "ingest": 1, "tasks": 1, "audit": 1, "gate": 1, "pretrain": runs, "embed": runs, "embed_baseline": baselines,
        "finetune": len(config["finetune"]["models"]), "probe": 1, "strands": 1, "report": 1,
    }  # fmt: skip


def test_linters_are_content(repository):
    for command in (["snakemake", "--lint"], ["snakefmt", "--check", "Snakefile", "workflow"]):
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_log_a_benchmark_and_one_shell_line(repository):
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        if path.name == "common.smk":
            assert "rule " not in text
            continue
        assert text.startswith("# REQUIRED INPUTS")
        assert "# OUTPUTS" in text
        rules = text.count("\nrule ")
        for word in ("log:", "benchmark:", "shell:", "threads:", "mem_mb=", "runtime="):
            assert text.count(f"    {word}") >= rules, f"{path.name}: {word}"
        assert not re.search(r"\b(run|script):\s*$", text, re.M)


CLUSTERING = (
    "baselines: [untrained, kmer2, gc]\ncluster: {algorithms: [kmeans, hdbscan], rival: kmer2, replicates: 100}"
)


def test_clusters_are_asked_for_by_naming_an_algorithm(finished):
    """Nothing that was run is run again; an empty list clusters nothing; a rival that is not there stops it."""
    own = finished / "clusters.yaml"
    own.write_text(TINY.replace("baselines: [untrained, kmer2, gc]", CLUSTERING))
    assert planned(finished, "--configfile", str(own)) == {"cluster": 1, "report": 1}
    snakemake(finished, "--configfile", str(own), "--cores", "1")
    folder = finished / "results" / "tiny" / "clusters"
    lines = (folder / "reads.comparisons.tsv").read_text().splitlines()
    assert {line.split("\t")[3] for line in lines[1:]} == {"ours", "kmer_mlp", "untrained", "gc"}
    assert json.loads((folder / "reads.json").read_text())["n"] == 40
    assert len((folder / "reads.assigned.tsv").read_text().splitlines()) == 1 + 5 * 2 * 40
    assert planned(finished, "--configfile", str(own)) == {}
    own.write_text(own.read_text().replace("rival: kmer2, replicates: 100", "rival: gc, replicates: 100"))
    assert planned(finished, "--configfile", str(own)) == {"cluster": 1, "report": 1}
    own.write_text(own.read_text().replace("rival: gc", "rival: kmer2"))
    own.write_text(own.read_text().replace("[kmeans, hdbscan]", "[]"))
    assert "cluster" not in planned(finished, "--configfile", str(own))
    own.write_text(own.read_text().replace("[]", "[kmeans]").replace("rival: kmer2", "rival: kmer4"))
    done = snakemake(finished, "--configfile", str(own), "--cores", "1", check=False)
    assert done.returncode != 0
    assert "cluster.rival 'kmer4': is no run or baseline" in done.stdout + done.stderr


def _done(name, parts):
    return [f"results/tiny/genomes/{name}.{i}-of-{parts}.done" for i in range(1, parts + 1)]


def test_whole_genomes_are_embedded_in_parts(finished):
    """Of the embeddings that are named; nothing is pretrained again, and the parts fill one folder, the whole."""
    own = finished / "genomes.yaml"
    asked = "embedded: [ours, kmer2]\njobs: {probe_threads: 1, embed_parts: 2}"
    own.write_text(TINY.replace("jobs: {probe_threads: 1}", asked))
    jobs = planned(finished, "--configfile", str(own))
    assert jobs.pop("embed_genomes") == 4
    assert set(jobs) <= {"report"}  # where a test before this one asked for another
    snakemake(finished, "--configfile", str(own), "--cores", "1")
    results = finished / "results" / "tiny"
    whole = finished / "whole.npy"
    for name, spec in {"ours": str(results / "runs" / "ours"), "kmer2": "kmer:2"}.items():
        command = [BIN / "genossl", "--quiet", "embed", spec, results / "store", "--out", whole, "--device", "cpu"]
        subprocess.run(command, check=True)
        table, expected = read_table(results / "genomes" / name), read_table(whole)
        np.testing.assert_allclose(table.vectors, expected.vectors, rtol=1e-5, atol=1e-6)
        assert table.rows["id"].tolist() == expected.rows["id"].tolist()
    assert planned(finished, "--configfile", str(own)) == {}
    first = results / "genomes" / "ours" / "000000.parquet"
    before = first.stat().st_ino, first.read_bytes()
    for done in (results / "genomes").glob("ours.*.done"):
        done.unlink()  # as Snakemake does when a job has failed
    snakemake(finished, "--configfile", str(own), "--cores", "1")
    assert (first.stat().st_ino, first.read_bytes()) == before, "what was there was embedded again"
    own.write_text(own.read_text().replace("embedded:", "embed: {pool: mean}\nembedded:"))
    snakemake(finished, "--configfile", str(own), "--cores", "1", *(f"{done}" for done in _done("ours", 2)))
    assert first.read_bytes() != before[1], "another setting changed nothing"
    own.write_text(own.read_text().replace("embed: {pool: mean}\n", ""))
    own.write_text(own.read_text().replace("[ours, kmer2]", "[our]"))
    done = snakemake(finished, "--configfile", str(own), "--cores", "1", check=False)
    assert "embedded: 'our' is no run or baseline" in done.stdout + done.stderr


def test_a_run_of_several_ranks_goes_through_torchrun(finished):
    own = finished / "ranks.yaml"
    text = TINY.replace("collection: tiny", "collection: ranks")
    text = text.replace("probe_threads: 1", "ranks: 2, track: [tensorboard]")
    own.write_text(text.replace("steps: 6", "steps: 6, precision: fp32"))
    run = "results/ranks/runs/ours"
    snakemake(finished, "--configfile", str(own), "--cores", "2", f"{run}/encoder.safetensors")
    about = json.loads((finished / run / "encoder.json").read_text())
    assert (about["ranks"], about["threads"]) == (2, 1)
    assert len((finished / run / "log.tsv").read_text().splitlines()) == 1 + 6 + 2  # steps, and looks at validation
    assert len(list((finished / run / "tensorboard").iterdir())) == 1  # of the first rank alone


def test_how_it_runs_plans_nothing_again(finished):
    """Nodes, ranks, memory, time and what is looked at change no result."""
    own = finished / "jobs.yaml"
    jobs = "{ranks: 4, nodes: 2, gpu: 4, device: cuda, runtime: 60, stop_margin: 3, mem_mb: 500, pretrain_threads: 2, "
    jobs += "track: [tensorboard, wandb]}"
    own.write_text(TINY.replace("{probe_threads: 1}", jobs))
    assert set(planned(finished, "--configfile", str(own))) <= {"report"}  # where a test before asked for another


def test_of_very_many_genomes_only_the_sheet_is_an_input(finished):
    own = finished / "many.yaml"
    for most, inputs in (("6", "data/genomes.tsv, data/alpha_train.fa, "), ("5", "data/genomes.tsv\n")):
        text = TINY.replace("collection: tiny", "collection: many")
        own.write_text(text.replace("{probe_threads: 1}", f"{{tracked_genomes: {most}}}"))
        told = snakemake(finished, "results/many/store", "--dry-run", "--configfile", str(own)).stdout
        assert f"input: {inputs}" in told


FAKE = """#!/bin/sh
echo "$@" >> {folder}/submitted
echo "no cluster here" >&2
exit 1
"""


def test_the_slurm_profile_submits_every_job_and_asks_for_more_memory_twice(finished, tmp_path):
    """Without a cluster: what sbatch is asked for. A profile that is not found would run the jobs right here."""
    fakes = {"sbatch": FAKE.format(folder=tmp_path), "sinfo": "#!/bin/sh\necho 'main*'\n"}
    for name in ("sbatch", "scontrol", "sacctmgr", "sacct", "squeue", "sinfo"):
        (tmp_path / name).write_text(fakes.get(name, "#!/bin/sh\nexit 1\n"))
        (tmp_path / name).chmod(0o755)
    own = finished / "submitted.yaml"
    own.write_text(TINY.replace("collection: tiny", "collection: submitted"))
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [BIN / "snakemake", "--configfile", own, "--snakefile", root / "Snakefile", "--workflow-profile",
         root / "workflow" / "profiles" / "slurm", "--slurm-no-account"],
        cwd=finished, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    asked = [line.split(" --wrap")[0] for line in (tmp_path / "submitted").read_text().splitlines()]
    assert [re.search(r"--mem (\d+)", line).group(1) for line in asked] == ["1500", "3000", "6000"]
    assert all("rule_ingest" in line and "-t 60" in line and "--cpus-per-task=2" in line for line in asked)
    assert not (finished / "results" / "submitted").exists()
