"""Names that a shell, Snakemake or a browser would obey: the workflow runs and executes nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from planted import sample, symmetric, write_fasta
from test_workflow import snakemake

from genossl.evaluation.table import read_table
from genossl.files import read_sheet
from genossl.genome.store import TokenStore

HTML = "<script>x()</script><img src=x onerror=x()>"
# for each of train, validation and test
GENOMES = [
    ("$(touch x)", "a;touch x;b", 'it\'s "quoted" `touch x`'),
    ("-rf {wildcards.run} {touch}", "../../x #1 %s \\", f"=1+1 é {HTML}"),
]
CONTIGS = ("$(touch${IFS}x)", f"{HTML.replace(' ', '/')}&;`x`'\"")  # a name has no blanks
CLASSES = ("$(touch x);'\"", f"{HTML} {{x}} # \\n %d")
SPLITS = ("train", "validation", "test")
GROUPS = ("../../x", "$(touch x)")
CONFIG = """
collection: names
genomes: "data $(touch x)/genomes;touch x;#.tsv"
tasks: "t it's.tsv"
runs:
  ours:
    pretrain: {steps: 3, batch: 16, validate_every: 3}
    encoder: {k: 3, hidden: 16, channels: 8, context: 8, width: 50, stride: 50}
    self_genomenet: {length: 200, distance: 300}
baselines: [kmer2]
embedded: [kmer2]
cluster: {algorithms: [kmeans], rival: kmer2, replicates: 100}
probe: {shots: [5], draws: 1, replicates: 100}
report: {verdict_shots: 5}
audit: {stop: false}
jobs: {probe_threads: 1, embed_parts: 2}
"""


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def plain(name: str) -> str:
    """As a file may be called: no / in it, and nothing that Snakemake takes for a pattern."""
    return re.sub("[/{}<>]", "_", name)


def write(folder: Path) -> None:
    """Genomes of two kinds, a labelled table of their windows, a folder of FASTA files per class."""
    rng = np.random.default_rng(0)
    data = folder / "data $(touch x)"
    data.mkdir()
    sheet, rows = ["genome\tpath\tsplit\tspecies"], ["id\tlabel\tgenome\tcontig\tstart\tend\tsplit\tgroup"]
    classes = folder / "by class; touch x"
    for label, genomes in zip(CLASSES, GENOMES, strict=True):
        source = symmetric(rng, 3, 1.0)
        for split, genome in zip(SPLITS, genomes, strict=True):
            name = plain(genome) + ".fa"
            write_fasta(data / name, {contig: sample(rng, source, 3000) for contig in CONTIGS})
            sheet.append(f"{genome}\t{name}\t{split}\t{label}")
            place = classes / split / plain(label)
            place.mkdir(parents=True)
            write_fasta(
                place / f"$(touch x);'\"{split}.fa",
                {c + str(i): sample(rng, source, 99) for i in range(8) for c in CONTIGS},
            )
            for i in range(8):
                where = f"{genome}\t{CONTIGS[i % 2]}\t{100 * i}\t{100 * i + 200}\t{split}\t{GROUPS[i % 2]}{split}"
                rows.append(f"{label}{split}{i}\t{label}\t{where}")
    (data / "genomes;touch x;#.tsv").write_text("\n".join(sheet) + "\n")
    (folder / "reads $(touch x);'\".tsv").write_text("\n".join(rows) + "\n")
    tasks = ["task\tpath", "reads\treads $(touch x);'\".tsv", f"folder\t{classes.name}"]
    (folder / "t it's.tsv").write_text("\n".join(tasks) + "\n")
    (folder / "config.yaml").write_text(CONFIG)


def test_the_workflow_runs_and_executes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"  # so that what leaves it is still seen
    folder.mkdir(parents=True)
    write(folder)
    before = {path for path in folder.rglob("*") if "results" not in path.parts}
    snakemake(folder, "--cores", "1")
    results = folder / "results" / "names"
    store = TokenStore.open(results / "store")
    assert sorted(store.genomes["genome"]) == sorted(name for names in GENOMES for name in names)
    assert set(store.contigs["contig"]) == set(CONTIGS)
    assert set(read_sheet(results / "tasks" / "reads.tsv")["group"]) == {
        f"{group}{split}" for group in GROUPS for split in SPLITS
    }
    rows = read_table(results / "genomes" / "kmer2").rows
    assert set(zip(rows["genome"], rows["contig"], strict=True)) == {
        (name, contig) for names in GENOMES for name in names for contig in CONTIGS
    }
    for task in ("reads", "folder"):
        labels = set(read_sheet(results / "tasks" / f"{task}.tsv", comments=False)["label"])
        assert labels == {label if task == "reads" else plain(label) for label in CLASSES}

    # every file that was made is in results, logs or Snakemake's own folder, and has a plain name
    made = {path.relative_to(folder) for path in folder.rglob("*")} - {path.relative_to(folder) for path in before}
    assert {path.parts[0] for path in made} == {"results", "logs", ".snakemake"}
    ours = [path for path in made if path.parts[0] != ".snakemake"]
    assert len(ours) > 50
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for path in ours for part in path.parts)
    assert not [path for path in tmp_path.rglob("x") if path.name == "x"]

    page = Page((results / "report.html").read_text(encoding="utf-8"))
    policy = [
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policy) == 1
    assert "default-src 'none'" in str(policy)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert any(CLASSES[1] in text for text in page.text)


def test_a_collection_that_would_leave_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"  # so that what leaves it is still seen
    folder.mkdir(parents=True)
    write(folder)
    for name in ("../../escaped", "$(touch x)"):
        (folder / "config.yaml").write_text(CONFIG.replace("collection: names", f'collection: "{name}"'))
        done = snakemake(folder, "--cores", "1", check=False)
        assert done.returncode != 0
        assert f"collection {name!r}: a name has letters, digits, _ . and -" in done.stdout + done.stderr
    assert not (folder / "logs").exists()
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("path", ["t it's.tsv", "data $(touch x)/genomes;touch x;#.tsv", "by class; touch x/test"])
@pytest.mark.parametrize("new", ["{x}", "{task}.tsv", "<run>.tsv"])
def test_a_file_that_snakemake_would_take_for_a_pattern(tmp_path: Path, path: str, new: str) -> None:
    write(tmp_path)
    given = tmp_path / path
    given.rename(given.with_name(new))
    (tmp_path / "config.yaml").write_text(CONFIG.replace(given.name, new))
    done = snakemake(tmp_path, "--dry-run", check=False)
    assert done.returncode != 0
    told = rf"{re.escape(new)}.*: Snakemake reads {{ }} < > in a file's name as a pattern; rename it"
    assert re.search(told, done.stdout + done.stderr)


@pytest.mark.parametrize("key", ["__use_yte__", '"\\x5f_use_yte__"'])
def test_a_configuration_that_is_a_program_is_not_run(tmp_path: Path, key: str) -> None:
    write(tmp_path)
    code = f"{key}: true\n__definitions__:\n  - import os\n  - os.system('touch x')\n"
    (tmp_path / "config.yaml").write_text(CONFIG + code)
    done = snakemake(tmp_path, "--dry-run", check=False)
    assert done.returncode != 0
    assert "config.yaml: the key __use_yte__ would run code; remove it" in done.stdout + done.stderr
    assert not (tmp_path / "x").exists()
