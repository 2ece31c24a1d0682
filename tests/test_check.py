"""A configuration is looked at as a whole: every mistake is named at once."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from genossl import methods, recipe
from genossl.cli import cli
from genossl.errors import InputError
from genossl.verbs import check, embed

GOOD = """
collection: tiny
genomes: genomes.tsv
tasks: tasks.tsv
runs:
  ours: {preset: default, pretrain: {steps: 5}}
baselines: [untrained, kmer3, gc]
probe: {shots: [1], cap: 10, draws: 2}
jobs: {mem_mb: 100}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.fa").write_text(">a\nACGT\n")
    Path("genomes.tsv").write_text("genome\tpath\tsplit\na\ta.fa\ttrain\n")
    Path("tasks.tsv").write_text("task\tpath\nt\tlabels.tsv\n")
    rows = [f"{c}{s}{i}\t{c}\tACGT\t{s}" for c in "xy" for s in ("train", "validation", "test") for i in range(4)]
    Path("labels.tsv").write_text("\n".join(["id\tlabel\tsequence\tsplit", *rows]) + "\n")
    Path("config.yaml").write_text(GOOD)
    return tmp_path


def complaint(config: str) -> str:
    Path("config.yaml").write_text(config)
    with pytest.raises(InputError) as error:
        check.run(Path("config.yaml"))
    assert str(error.value).startswith("config.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_repositorys_own_configuration_passes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    lines = check.run(Path("config.yaml"))
    assert "genomes, " in lines[0]
    assert any(line.startswith("task ") for line in lines)


def test_a_good_one_says_what_it_will_do(folder: Path) -> None:
    assert check.run(Path("config.yaml")) == [
        "1 genome, 1 run, 3 baselines",
        "task t: 24 rows, 2 classes; classes, from a table of sequences",
    ]


def test_what_is_not_wanted_may_be_commented_out_line_by_line(folder: Path) -> None:
    lines = ["baselines: [untrained, kmer3, gc]", "probe: {shots: [1], cap: 10, draws: 2}"]
    nothing = "baselines:\nembedded:\nmethods:\nfinetune:\n  models:\n  #  tuned: ours\njobs: {track: }\n"
    text = "\n".join(line for line in GOOD.splitlines() if line not in lines and not line.startswith(("jobs", "tasks")))
    Path("config.yaml").write_text(f"{text}\n{nothing}")
    told = ["1 genome, 1 run, 0 baselines", "no tasks: encoders are trained, and nothing is measured"]
    assert check.run(Path("config.yaml")) == told
    Path("config.yaml").write_text(f"{text}\nembedded: [ours]\n")
    assert check.run(Path("config.yaml"))[1].startswith("no tasks: encoders are trained and genomes embedded, and ")
    Path("genomes.tsv").write_text("genome,path,split\na,a.fa,train\n")
    assert "genomes.tsv line 1: found commas between the columns, expected tabs" in complaint(text)
    with pytest.raises(InputError, match=r"^mine\.yaml: genomes\.tsv line 1"):
        check.run(Path("config.yaml"), "mine.yaml")


def test_what_a_run_reads_and_the_audit_does_not_look_at_is_told(folder: Path) -> None:
    text = GOOD.replace("{steps: 5}", "{steps: 5, train_splits: [train, validation], validation_splits: []}")
    Path("config.yaml").write_text(text)
    told = "warning: runs learn from genomes of split validation, which audit.pretrain_splits leaves out"
    assert told in check.run(Path("config.yaml"))
    Path("config.yaml").write_text(text + "audit: {pretrain_splits: [train, validation]}\n")
    assert not [line for line in check.run(Path("config.yaml")) if "audit" in line]


@pytest.mark.parametrize(
    "old,new,message",
    [
        ("jobs:", "fetch: {entrez: http://x.org}\njobs:", "fetch: entrez: expected https://HOST/PATH"),
        ("jobs:", "audit: {nearr: 0.9}\njobs:", "audit.nearr: unknown key; did you mean near?"),
        ("jobs:", "audit: {share: 2}\njobs:", "audit: share must be from 0 to 1"),
        ("jobs:", "job:", "job: unknown section; known: collection, genomes, tasks, runs, methods, compare, "),
        ("mem_mb", "mem", "jobs.mem: unknown key; did you mean mem_mb?"),
        ("mem_mb: 100", "embed_parts: 0", "jobs: embed_parts must be at least 1"),
        ("mem_mb: 100", "nodes: 0, gpu: -1", "jobs: nodes must be at least 1; gpu must be at least 0"),
        ("mem_mb: 100", "ranks: 3, nodes: 2", "jobs: ranks 3: is no multiple of nodes (2), each of"),
        ("mem_mb: 100", "gpu: 4", "jobs: gpu 4: each rank trains on one; expected as many as ranks (1)"),
        ("mem_mb: 100", "gpu: 1, device: cpu", "jobs: gpu 1: with device cpu they would idle; expected gpu 0"),
        ("mem_mb: 100", "runtime: 5", "jobs: stop_margin 5: expected fewer minutes than runtime (5)"),
        ("mem_mb: 100", "ranks: 3", "runs.ours: its pretrain.batch 256 is no multiple of jobs.ranks (3)"),
        ("jobs:", "embed: {by: genome}\njobs:", "embed.by: the workflow embeds rows of tasks and windows"),
        ("jobs:", "embedded: ours\njobs:", "embedded: expected a list of runs and baselines, found 'ours'"),
        ("cap: 10", "cap: many", "probe.cap: "),
        ("shots: [1]", "shots: [5, 1]", "probe: shots must be ascending"),
        ("collection: tiny", "collection: a/b", "collection 'a/b': a name has letters, digits, _ . and -"),
        ("collection: tiny", "collection: ..", "collection '..': a name has"),
        ("collection: tiny", "collection: 5", "config.collection: "),
        ("genomes: genomes.tsv", "genomes: no.tsv", "no.tsv: no such file"),
        ("genomes: genomes.tsv", "", "genomes: expected the path of a sheet with the columns genome and path"),
        ("tasks: tasks.tsv", "tasks: genomes.tsv", "genomes.tsv: no column task"),
        ("steps: 5", "step: 5", "runs.ours: pretrain.step: unknown key; did you mean steps?"),
        ("preset: default", "preset: unheard", "runs.ours: preset 'unheard' is unknown"),
        ("{preset: default, pretrain: {steps: 5}}", "5", "runs.ours: expected settings, found 5"),
        ("  ours:", "  gc:", "runs.gc: a name has letters, digits, _ . - and is no baseline's"),
        ("  ours:", "  a/b:", "runs.a/b: a name has"),
        ("  ours:", "  simclr.seed0:", "runs.simclr.seed0: a name has letters, digits, _ . - and is no baseline's or"),
        ("  ours:", "  untrained.conv:", "runs.untrained.conv: a name has"),
        ("jobs:", "finetune: {step: 5}\njobs:", "finetune.step: unknown key; did you mean steps?"),
        ("jobs:", "finetune: {models: {a: ourz}, shots: [1], draws: 1}\njobs:", "finetune.models.a: 'ourz' is no run"),
        ("jobs:", "finetune: {models: {ours: cnn}, shots: [1]}\njobs:", "finetune.models.ours: a name has letters"),
        ("jobs:", "finetune: {models: {gc: cnn}, shots: [1]}\njobs:", "finetune.models.gc: a name has letters"),
        ("jobs:", "finetune: {models: {a/b: cnn}, shots: [1]}\njobs:", "finetune.models.a/b: a name has letters"),
        ("jobs:", "finetune: {models: {a: cnn}, shots: [1, 9]}\njobs:", "finetune.shots 9: is none of probe.shots"),
        (
            "jobs:",
            "finetune: {models: {a: cnn}, shots: [1], draws: 3}\njobs:",
            "finetune.draws 3: more than probe.draw",
        ),
        (
            "jobs:",
            "finetune: {models: {a: cnn}, shots: [1], draws: 2, cap: 9}\njobs:",
            "finetune.cap: differs from pro",
        ),
        ("jobs:", "methods: simclr\njobs:", "methods: expected a list of names, found 'simclr'"),
        ("jobs:", "methods: [simcl]\njobs:", "methods: method 'simcl' is unknown; available: "),
        ("jobs:", "methods: [byol, byol]\njobs:", "methods: byol is listed more than once"),
        ("jobs:", "compare: {seeds: 0}\njobs:", "compare: bases and seeds must be at least 1"),
        ("jobs:", "compare: {bases: 0}\njobs:", "compare: bases and seeds must be at least 1"),
        ("jobs:", "compare: {seed: 3}\njobs:", "compare.seed: unknown key; did you mean seeds?"),
        (
            "jobs:",
            "methods: [byol]\ncompare: {presets: unheard}\njobs:",
            "compare: byol on unheard: preset 'unheard' is",
        ),
        ("jobs:", "methods: [byol]\ncompare: {presets: [conv, conv]}\njobs:", "compare.presets: conv is named more"),
        ("jobs:", "compare: {settings: {byol: {}}}\njobs:", "compare.settings.byol: is not among methods (none)"),
        (
            "jobs:",
            "methods: [byol]\ncompare: {settings: {byol: {pretrain: {steps: 5}, encoder: {k: 3}}}}\njobs:",
            "compare.settings.byol.encoder: is the preset's, so that methods differ in nothing else; "
            "compare.settings.byol.pretrain.steps: is set by compare.bases",
        ),
        (
            "jobs:",
            "methods: [byol]\ncompare: {settings: {byol: {byol: {lenght: 5}}}}\njobs:",
            "compare: byol on default: byol.lenght: unknown key; did you mean length?",
        ),
        ("  ours:", "  theirs:", "baselines: untrained needs a run called ours"),
        ("kmer3", "kmer9", "baselines: expected a list of untrained, gc and kmer1 to kmer8"),
        ("[untrained, kmer3, gc]", "gc", "baselines: expected a list"),
    ],
)
def test_each_mistake_is_named(folder: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert message in complaint(GOOD.replace(old, new))


COMPARING = (
    "methods: [simclr, causal_lm]\ncompare: {seeds: 2, presets: [default, bases], shuffled: true, bases: 1000}\n"
)


def test_a_comparison_says_what_it_runs_and_what_it_leaves_out(folder: Path) -> None:
    """Two methods on two presets, two seeds and a null control each; one of the four is refused, in its own words."""
    Path("config.yaml").write_text(GOOD + COMPARING)
    lines = check.run(Path("config.yaml"))
    assert lines[:2] == [
        "1 genome, 10 runs, 3 baselines",
        "methods compared: simclr.default, simclr.bases, causal_lm.bases (9 of the runs)",
    ]
    assert lines[2].startswith("left out of the comparison: causal_lm on default: needs encoder.front conv")
    assert lines[2].count("causal_lm") == 1


def test_a_comparison_needs_no_other_run(folder: Path) -> None:
    alone = GOOD.replace("  ours: {preset: default, pretrain: {steps: 5}}\n", "").replace("untrained, ", "")
    Path("config.yaml").write_text(alone + COMPARING)
    assert check.run(Path("config.yaml"))[0] == "1 genome, 9 runs, 2 baselines"


def test_a_comparison_of_nothing(folder: Path) -> None:
    message = complaint(GOOD + "methods: [causal_lm]\ncompare: {presets: default}\n")
    assert "methods: nothing can be run: causal_lm on default: needs encoder.front conv" in message


def test_runs_of_a_comparison_are_equal_but_for_what_is_compared() -> None:
    own = {"simclr": {"pretrain": {"lr": 0.5}, "simclr": {"temperature": 0.2}}}
    found = recipe.compared(["simclr", "byol"], {"bases": 77, "seeds": 2, "settings": own, "shuffled": True})
    assert list(found.runs) == ["simclr.seed0", "simclr.seed1", "simclr.null", "byol.seed0", "byol.seed1", "byol.null"]
    loops = {name: recipe.resolve(spec).pretrain for name, spec in found.runs.items()}
    assert {loop.bases for loop in loops.values()} == {77}
    assert [loop.seed for loop in loops.values()] == [0, 1, 0] * 2
    assert [loop.shuffled for loop in loops.values()] == [False, False, True] * 2
    assert [loop.lr for loop in loops.values()] == [0.5] * 3 + [1e-3] * 3
    assert len({recipe.resolve(spec).encoder for spec in found.runs.values()}) == 1
    assert recipe.resolve(found.runs["simclr.seed1"]).method.temperature == 0.2
    assert found.untrained == {"untrained.default": "simclr.seed0"}
    assert found.left_out == []
    assert recipe.compared(None, None) == ({}, {}, [])


def test_asking_whether_an_encoder_serves_moves_no_randomness() -> None:
    """And a method that runs on the preset that it names is served by it."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for name in methods.available():
        assert recipe.serves(recipe.resolve({"name": name})) is None
    assert torch.equal(torch.rand(3), expected)


def test_no_run(folder: Path) -> None:
    assert "runs: expected at least one run" in complaint(
        GOOD.replace("  ours: {preset: default, pretrain: {steps: 5}}\n", "")
    )


@pytest.mark.parametrize(
    "file,content,message",
    [
        ("genomes.tsv", "genome\tpath\na\tb.fa\n", "genomes.tsv: b.fa: no such file, looked for beside the sheet"),
        ("genomes.tsv", "genome\tpath\na\ta.fa\na\ta.fa\n", "genomes.tsv: genome 'a' occurs more than once"),
        (
            "genomes.tsv",
            "genome\taccession\na\t\n",
            "genomes.tsv: genome 'a' has neither path nor accession, expected one",
        ),
        (
            "genomes.tsv",
            "genome\taccession\na\tSRR123456\n",
            "genomes.tsv: SRR123456 is of sequencing reads (SRA), exp",
        ),
        ("genomes.tsv", "genome\tacession\na\tx\n", "genomes.tsv: no column path or accession; found genome, acession"),
        ("genomes.tsv", "genome\tpath\n\ta.fa\n", "genomes.tsv: genome '': a name has"),
        ("genomes.tsv", "genome\tpath\na\x1bb\ta.fa\n", r"genomes.tsv line 2: found a control character in 'a\x1bb'"),
        ("tasks.tsv", "task\tpath\n../t\tlabels.tsv\n", "tasks.tsv: task '../t': a name has"),
        ("tasks.tsv", "task\tpath\tkindd\nt\tlabels.tsv\tclasses\n", "tasks.tsv: column 'kindd': did you mean kind?"),
        ("labels.tsv", "id\tlabel\tsequence\nx\ty\tA\nx\ty\tA\n", "labels.tsv: id 'x' occurs more than once"),
        ("labels.tsv", "id\tlabel\tsplit\na\ty\ttrain\nb\ty\ttest\n", "labels.tsv: "),
    ],
)
def test_sheets_are_read_too(folder: Path, file: str, content: str, message: str) -> None:
    Path(file).write_text(content)
    assert message in complaint(GOOD)


def test_several_mistakes_are_named_at_once_and_each_once(folder: Path) -> None:
    wrong = GOOD.replace("steps: 5", "step: 5").replace("cap: 10", "cup: 1").replace("genomes.tsv", "no.tsv")
    message = complaint(wrong.replace("kmer3", "kmer9") + "more: 1\n")
    for part in ("more: unknown section", "pretrain.step", "probe.cup", "no.tsv: no such file", "baselines: expected"):
        assert message.count(part) == 1, part


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check.run(tmp_path / "config.yaml")


COORDINATES = "id\tlabel\tgenome\tcontig\tstart\tend\tsplit\n"


def labelled_on(genome: str, sheet: str) -> None:
    Path("genomes.tsv").write_text(sheet)
    rows = [f"{c}{s}{i}\t{c}\t{genome}\ta\t0\t4\t{s}" for c in "xy" for s in ("train", "test") for i in range(4)]
    Path("labels.tsv").write_text(COORDINATES + "\n".join(rows) + "\n")


def test_a_genome_that_no_sheet_has_is_named(folder: Path) -> None:
    labelled_on("A", "genome\tpath\na\ta.fa\n")
    assert "labels.tsv: genome 'A' is not in genomes.tsv" in complaint(GOOD)


def test_sequences_of_their_own_may_be_of_any_genome(folder: Path) -> None:
    rows = [f"{c}{s}{i}\t{c}\tACGT\tA\t{s}" for c in "xy" for s in ("train", "test") for i in range(4)]
    Path("labels.tsv").write_text("\n".join(["id\tlabel\tsequence\tgenome\tsplit", *rows]) + "\n")
    assert len(check.run(Path("config.yaml"))) == 2


def test_testing_on_what_is_learnt_from_is_said(folder: Path) -> None:
    labelled_on("a", "genome\tpath\tsplit\na\ta.fa\ttrain\n")
    (warning,) = [line for line in check.run(Path("config.yaml")) if line.startswith("warning")]
    assert "labels.tsv: test rows lie in 1 genomes that pretraining reads (a); the workflow will stop at" in warning
    labelled_on("a", "genome\tpath\tsplit\na\ta.fa\ttest\nb\ta.fa\ttrain\n")
    assert not [line for line in check.run(Path("config.yaml")) if line.startswith("warning")]


@pytest.mark.parametrize(
    "section, stops",
    [
        ("", True),
        ("audit: {stop: false}\n", False),
        ("audit: {share: 0.5}\n", False),  # half of the test rows, which is not above
        ("audit: {share: 0.49}\n", True),
        ("audit: {pretrain_splits: [pretrain]}\n", False),  # which the audit does not look at
    ],
)
def test_whether_the_audit_will_stop_is_said(folder: Path, section: str, stops: bool) -> None:
    labelled_on("a", "genome\tpath\tsplit\na\ta.fa\ttrain\nb\ta.fa\ttest\n")
    text = Path("labels.tsv").read_text()
    for i in (0, 1):  # of the four test rows of each class
        text = re.sub(rf"(?m)^(.test{i}\t.)\ta\t", r"\1\tb\t", text)
    Path("labels.tsv").write_text(text)
    (warning,) = [w for w in run_with(section) if "test rows lie in" in w]
    assert ("the workflow will stop at the audit" in warning) == stops
    assert ("the audit and the verdict will say so" in warning) != stops


def run_with(section: str) -> list[str]:
    Path("config.yaml").write_text(GOOD + section)
    return check.run(Path("config.yaml"))


def test_every_mistake_of_a_sheet_is_named(folder: Path) -> None:
    Path("genomes.tsv").write_text("genome\tpath\tsplit\na\tno.fa\ttset\n")
    found = complaint(GOOD)
    assert "no.fa: no such file" in found
    assert "split 'tset': expected train, validation, test, pretrain or none given" in found


def test_without_a_genome_to_learn_from(folder: Path) -> None:
    Path("genomes.tsv").write_text("genome\tpath\tsplit\na\ta.fa\ttest\n")
    assert "no genome to learn from" in complaint(GOOD)


def test_a_verdict_where_nothing_is_measured(folder: Path) -> None:
    assert "report.verdict_shots 7: is none of probe.shots (1, all)" in complaint(GOOD + "report: {verdict_shots: 7}\n")


@pytest.mark.parametrize(
    "section,message",
    [
        ("{algorithms: [kmeans]}", "cluster.rival 'kmer4': is no run or baseline (ours, untrained, kmer3, gc)"),
        ("{algorithms: [dbscan]}", "cluster: algorithms must be some of kmeans, hdbscan"),
        ("{algorithm: [kmeans]}", "cluster.algorithm: unknown key; did you mean algorithms?"),
        ("{algorithms: [kmeans], rival: kmer3, truth: group}", "labels.tsv: no column group; truth must be a column"),
        ("[kmeans]", "cluster: expected key: value pairs"),
    ],
)
def test_a_section_that_cannot_be_clustered_by_is_named(folder: Path, section: str, message: str) -> None:
    assert message in complaint(GOOD + f"cluster: {section}\n")


def test_clusters_of_a_rival_that_is_there_or_of_none_pass(folder: Path) -> None:
    for section in (
        "{algorithms: [kmeans], rival: kmer3}",
        "{algorithms: [hdbscan], rival: ''}",
        "{algorithms: []}",
        "",
    ):
        Path("config.yaml").write_text(GOOD + f"cluster: {section}\n")
        assert check.run(Path("config.yaml"))


def test_files_outside_the_folder_of_their_sheet_are_told(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    for name in ("b.fa", "c.fa", "d.fa"):
        (away / name).write_text(">a\nACGT\n")
    Path("c.fa").symlink_to(away / "c.fa")
    lines = ["genome\tpath", "a\ta.fa", f"b\t{away}/b.fa", "c\tc.fa", f"d\t../{away.name}/d.fa"]
    Path("genomes.tsv").write_text("\n".join(lines) + "\n")
    told = f"genomes.tsv: 3 of 4 files lie outside its folder, the first of them {away}/b.fa"
    assert told in check.run(Path("config.yaml"))
    Path("genomes.tsv").write_text("genome\tpath\na\ta.fa\n$(touch x)\ta.fa\n")
    assert check.run(Path("config.yaml"))[0] == "2 genomes, 1 run, 3 baselines"


def test_a_file_that_snakemake_would_take_for_a_pattern(folder: Path) -> None:
    Path("a{x}.fa").write_text(">a\nACGT\n")
    Path("genomes.tsv").write_text("genome\tpath\na\ta{x}.fa\n")
    assert "a{x}.fa: Snakemake reads { } < > in a file's name as a pattern; rename it" in complaint(GOOD)


# ---- an artefact, and what it was made of


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A store, by the command line, of a sheet with a genome and its genes."""
    (tmp_path / "a.fa").write_text(">c\nACGTACGTACGT\n")
    (tmp_path / "a.gff").write_text("##gff-version 3\nc\tx\tgene\t1\t9\t.\t+\t.\tID=g\n")
    (tmp_path / "genomes.tsv").write_text("genome\tpath\tfeatures\na\ta.fa\ta.gff\n")
    done = CliRunner().invoke(cli, ["ingest", str(tmp_path / "genomes.tsv"), "--out", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    return tmp_path


def test_a_store_that_is_what_it_was(made: Path) -> None:
    done = CliRunner().invoke(cli, ["check", str(made / "store")])
    assert done.exit_code == 0
    assert "store: 12 bases and all tables are as they were written" in done.output
    assert "store: what it was made of has not changed since" in done.output


@pytest.mark.parametrize("file", ["a.fa", "a.gff", "genomes.tsv"])
def test_an_input_that_has_changed_since_is_named(made: Path, file: str) -> None:
    path, before = made / file, (made / file).stat()
    path.write_text(path.read_text().replace("g", "t").replace("CG", "GC"))
    os.utime(path, (before.st_atime, before.st_mtime - 1000))  # older than the store: no time tells
    with pytest.raises(InputError, match=rf"\S+{file}: the input .+ has changed since"):
        check.artefact(made / "store")
    path.unlink()
    with pytest.raises(InputError, match=rf"\S+{file}: the input .+ is not there"):
        check.artefact(made / "store")


@pytest.mark.parametrize("file", ["tokens.bin", "contigs.tsv", "genomes.tsv", "features.tsv", "store.json"])
def test_a_file_of_a_store_that_was_changed_is_named(made: Path, file: str) -> None:
    raw = bytearray((made / "store" / file).read_bytes())
    raw[len(raw) // 2] ^= 1
    (made / "store" / file).write_bytes(raw)
    with pytest.raises(InputError, match=f"{file}: (differs|is damaged)"):
        check.artefact(made / "store")


def test_a_run_and_an_embedding(tiny_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert len(check.artefact(tiny_run)) == 2
    embed.run("kmer:2", tiny_store, tmp_path / "x.npy", embed.Settings())
    done = CliRunner().invoke(cli, ["check", str(tmp_path / "x.npy")])
    assert (done.exit_code, done.output) == (
        0,
        f"{tmp_path / 'x.npy'}: what it was made of has not changed since\n",
    )
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "encoder.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"encoder\.safetensors: is damaged"):
        check.artefact(run)


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no \.provenance\.json beside it"):
        check.artefact(tmp_path)
