"""One configuration, five labelled sets of five layouts and three kinds, from public sequences to one report.

  python benchmarks/verdicts.py --data FOLDER --out results/verdicts [--steps 300] [--rows 300] [--cores 2]
      [--only-data]

Writes the sets as people keep them (OUT/data: FASTA files of classes in folders of splits, a folder of CSV, FASTA
beside labels, GFF3 on genomes of the collection, a table), a sheet of tasks, a sheet of genomes and OUT/config.yaml;
runs the workflow in OUT; prints what the audit and the report say of each task. FOLDER is that of the bake-off, with
FILES. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import bakeoff_data  # noqa: E402
from bakeoff_data import SIDES, VIRUSES, first_bases, of_split, sheet  # noqa: E402

from genossl.errors import InputError  # noqa: E402
from genossl.files import read_json  # noqa: E402
from genossl.genome import fasta as reader  # noqa: E402
from genossl.genome.alphabet import decode  # noqa: E402

BINDING = "starter/labelled/gue/mouse__4.tsv.gz"
SIGMA = "starter/labelled/ecoli_promoter2l/data.tsv.gz"
FILES = [*bakeoff_data.FILES, BINDING, SIGMA]
WINDOW = 1_000  # bases of the windows of viruses
GENE = 300  # bases from the start of a gene: of equal length, because the length of a gene tells its function
FUNCTIONS = ("primase_helicase", "tail_fiber", "major_capsid", "terminase_large", "endolysin", "dna_polymerase")
NEIGHBOURS = 2_000  # bases of E. coli whose promoters are kept on one side of the split
TASKS = """task\tpath\tlayout\tkind\tstrand\tlabels\tlabel\tsplit\tgroup\tdescription
virus\tvirus\tfolder\tclasses\tinvariant\t\t\t\t\tPhage, eukaryotic virus or prokaryote, from 1,000 bases?
binding\tbinding\tcsv\tclasses\tinvariant\t\t\t\t\tIs a mouse transcription factor bound here (GUE, mouse 4)?
gene\tgenes.gff3\tintervals\tclasses\tas_given\t\tfunction\tside\t\tWhat does a phage gene do, from its first 300 bases?
sigma\tsigma.fa\tfasta\tmultilabel\tas_given\tsigma.tsv\t\t\t\tSigma factor and strength of an E. coli promoter, if one?
length\tlength.tsv\ttable\tregression\tinvariant\t\t\t\t\tHow long (log10) is the genome of a virus, from 1,000 bases?
"""
CONFIG = """collection: verdicts
genomes: data/genomes.tsv
tasks: data/tasks.tsv
audit: {{stop: false}}          # what fails is written down, in the report too
runs:
  ours: {{preset: default, pretrain: {{steps: {steps}}}}}
  kmer_mlp: {{preset: kmer_mlp, pretrain: {{steps: {steps}}}}}
baselines: [untrained, kmer3, kmer4, kmer5, kmer6, gc]
finetune:
  models: {{ours_finetuned: ours, ours_scratch: "scratch:ours", cnn: cnn}}
  shots: [10]
  draws: 2
  steps: 200
  rates: [3.0e-3]
  passes: 2
probe:
  shots: [1, 5, 10, 50, 100]
  heads: [logistic, knn, forest]
cluster: {{algorithms: [kmeans]}}
jobs: {{probe_threads: {cores}}}
"""


def write(data: Path, folder: Path, rows: int) -> None:
    """All five sets, the collection and both sheets below `folder`, once; `rows` per class and split at most.

    Raises InputError where `data` lacks a file.
    """
    if (folder / "tasks.tsv").is_file():
        return
    if missing := [name for name in FILES if not (data / name).is_file()]:
        raise InputError(f"{data}: no {missing[0]} ({len(missing)} of {len(FILES)} files are missing)")
    folder.mkdir(parents=True, exist_ok=True)
    prokaryotes = sheet(data / "prokaryotes" / "genomes.tsv")
    collection(data, prokaryotes, folder)
    viruses(data, prokaryotes, folder, rows)
    binding(data, folder, rows)
    genes(data, folder)
    sigma(data, folder)
    (folder / "tasks.tsv").write_text(TASKS)  # last: it says that all is there


def collection(data: Path, prokaryotes: pd.DataFrame, folder: Path) -> None:
    """Prokaryotes (the first 500,000 bases) and phages of train and validation; phages of test hold genes of a task."""
    lines = ["genome\tpath\tsplit"]
    for side in ("train", "validation"):
        for name, path in of_split(prokaryotes, side):
            pieces = first_bases(reader.records(data / "prokaryotes" / path), bakeoff_data.PROKARYOTE)
            fasta(folder / "genomes" / f"{name}.fa", ((contig, decode(tokens)) for contig, tokens in pieces))
            lines.append(f"{name}\tgenomes/{name}.fa\t{side}")
    for side, name in SIDES.items():
        path = folder / "genomes" / f"phages_{side}.fa"
        fasta(path, records(data / "starter" / "virus" / f"phage_{name}.fa.gz"))
        lines.append(f"phages_{side}\tgenomes/{path.name}\t{side}")
    (folder / "genomes.tsv").write_text("\n".join(lines) + "\n")


def viruses(data: Path, prokaryotes: pd.DataFrame, folder: Path, rows: int) -> None:
    """The folder virus/SIDE/CLASS.fa, a window of each of `rows` genomes; and of those of viruses length.tsv."""
    told = ["id\tlabel\tsequence\tsplit"]
    for side, name in SIDES.items():
        for label, file in VIRUSES.items():
            found = list(records(data / "starter" / "virus" / f"{file}_{name}.fa.gz"))
            windows = dict(cut(found, rows, f"{label}/{side}"))
            fasta(folder / "virus" / name / f"{label}.fa", windows.items())
            size = {str(record): len(tokens) for record, tokens in found}
            told += [
                f"{label}:{record}\t{np.log10(size[record]):.4f}\t{letters}\t{side}"
                for record, letters in windows.items()
            ]
        genomes = of_split(prokaryotes, side)
        each = -(-rows // len(genomes))
        pieces = [
            window
            for genome, path in genomes
            for window in cut(list(records(data / "prokaryotes" / path)), each, genome)
        ]
        fasta(folder / "virus" / name / "prokaryote.fa", pieces[:rows])
    (folder / "length.tsv").write_text("\n".join(told) + "\n")


def binding(data: Path, folder: Path, rows: int) -> None:
    """binding/train.csv, dev.csv and test.csv with sequence and label, as GUE is kept."""
    table = sheet(data / BINDING)
    (folder / "binding").mkdir(exist_ok=True)
    for side in SIDES.values():
        own = table[table["split"] == side]
        own = own.iloc[np.sort(bakeoff_data._rng("verdicts", f"binding {side}").permutation(len(own))[: 2 * rows])]
        own[["sequence", "label"]].to_csv(folder / "binding" / f"{side}.csv", index=False)


def genes(data: Path, folder: Path) -> None:
    """genes.gff3: the first 300 bases of phage genes of six functions, with function and side as attributes."""
    sides = {"train": "train", "dev": "validation", "test": "test"}
    table = sheet(data / bakeoff_data.GENES)
    table = table[table["label"].isin(FUNCTIONS) & (table["cluster_rep"] == "1")]
    size: dict[str, int] = {}
    for side in SIDES:
        size |= {name: len(letters) for name, letters in records(folder / "genomes" / f"phages_{side}.fa")}
    lines = ["##gff-version 3"]
    for row in table.to_dict("records"):
        start, end = int(row["start"]), int(row["end"])  # 0-based, half-open
        if row["genome"] in size and end <= size[row["genome"]] and end - start >= GENE:
            start, end = (start, start + GENE) if row["strand"] == "+" else (end - GENE, end)
            told = f"function={row['label']};side={sides[row['split']]}"
            lines.append(f"{row['genome']}\tannotation\tCDS\t{start + 1}\t{end}\t.\t{row['strand']}\t0\t{told}")
    (folder / "genes.gff3").write_text("\n".join(lines) + "\n")


def sigma(data: Path, folder: Path) -> None:
    """sigma.fa and sigma.tsv: sigma factor and strength of a promoter, `-` for what is none."""
    table = sheet(data / SIGMA)
    known = table["sigma"].str.fullmatch(r"SIGMA\d+") & table["tss"].str.fullmatch(r"\d+")
    table = table[(table["label"] == "0") | known]
    lines = ["id\tlabel\tgroup"]
    for i, row in enumerate(table.to_dict("records")):
        strong = ";strong" if row["strength"] == "STRONG" else ""
        label = f"{row['sigma'].lower()}{strong}" if row["label"] == "1" else "-"
        group = f"at{int(row['tss']) // NEIGHBOURS}" if row["label"] == "1" else f"none{i}"
        lines.append(f"s{i}\t{label}\t{group}")
    fasta(folder / "sigma.fa", ((f"s{i}", letters) for i, letters in enumerate(table["sequence"])))
    (folder / "sigma.tsv").write_text("\n".join(lines) + "\n")


def records(path: Path) -> Iterator[tuple[str, str]]:
    """Name and letters of each record."""
    for record in reader.records(path):
        yield record.name, decode(record.tokens)


def cut(found: list[tuple[str, str]], rows: int, what: str) -> list[tuple[str, str]]:
    """One window of each record that is long enough, `rows` at most, at random places."""
    rng = bakeoff_data._rng("verdicts", what)
    long = [(name, letters) for name, letters in found if len(letters) >= WINDOW]
    starts = {name: int(rng.integers(len(letters) - WINDOW + 1)) for name, letters in long}
    chosen = [long[i] for i in np.sort(rng.permutation(len(long))[:rows])]
    return [(name, letters[starts[name] : starts[name] + WINDOW]) for name, letters in chosen]


def fasta(path: Path, items: Iterable[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in items))


def findings(out: Path) -> list[str]:
    """What the audit and the report say of each task."""
    results = out / "results" / "verdicts"
    lines = []
    for path in sorted((results / "audit").glob("*.json")):
        if path.name.endswith(".provenance.json"):
            continue
        record = read_json(path)
        lines.append(f"Audit of {record['task']}: {record['outcome']}.")
        lines += [f"  {c['name']} {c['outcome']}: {c['sentence']}" for c in record["checks"] if c["outcome"] != "pass"]
    return [*lines, "", (results / "findings.txt").read_text().strip()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public sequences")
    parser.add_argument("--out", type=Path, required=True, help="where the workflow runs")
    parser.add_argument("--steps", type=int, default=300, help="of each pretraining")
    parser.add_argument("--rows", type=int, default=300, help="per class and split at most")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only-data", action="store_true", help="write the sets and the configuration, run nothing")
    options = parser.parse_args()
    try:
        write(options.data, options.out / "data", options.rows)
    except InputError as error:
        print(f"verdicts: {error}", file=sys.stderr)
        return 2
    settings = {name: getattr(options, name) for name in ("steps", "rows", "cores")}
    (options.out / "config.yaml").write_text(CONFIG.format(**settings))
    if options.only_data:
        return 0
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(options.out), "--cores"]
    command += [
        str(options.cores),
        "--workflow-profile",
        str(ROOT / "workflow" / "profiles" / "default"),
        "--quiet",
        "all",
    ]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        return done.returncode
    print("\n".join(findings(options.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
