"""Are genomes found again as clusters of their fragments, without a label? Encoders beside 4-mers, on unseen genomes.

  python benchmarks/clustering.py --data FOLDER --out results/clustering [--minutes 2 | --bases N] [--seed 0]
      [--device cpu]

Two tasks, of test genomes only: `genomes`, windows of 5,000 to 10,000 bases of prokaryotes of one genus each, taken as
contigs whose bins should be the genomes; `virus`, windows of 1,000 bases of phages, eukaryotic viruses and prokaryotes.
Encoders learn, without labels, from genomes of train alone (FOLDER and its splits are those of the bake-off). Each
embedding is clustered and scored by `genossl cluster`. What is there is not made again, so the same command goes on
where it was stopped; OUT/clustering.md holds the tables that are printed.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import bakeoff  # noqa: E402
import bakeoff_data  # noqa: E402

VERSION = 1  # of what is cut
TASKS = {
    "genomes": "fragments of 5,000 to 10,000 bases of prokaryotes, one genome per genus, genera not in train",
    "virus": "1,000 bases of phages, eukaryotic viruses or prokaryotes, by genome cluster and genus",
}
LENGTHS = {"genomes": (5_000, 10_000), "virus": (1_000, 1_000)}
ROWS = {"genomes": 100, "virus": 200}  # of each class
BESIDE = ("kmer4", "kmer5", "gc")
PRESETS = ("default", "kmer_mlp")  # both trained by Self-GenomeNet: frames and a GRU; no recurrence
POOLS = ("last", "mean")
SHOWN = {
    "ari": "ARI", "nmi": "NMI", "purity": "purity", "assigned_bp": "assigned", "genome_completeness_bp": "completeness",
    "bin_purity_bp": "purity of bins", "bins": "bins", "bins_over50_under10": ">50 %, <10 %",
    "bins_over90_under5": ">90 %, <5 %",
}  # fmt: skip


# ---- data


def prepare(data: Path, folder: Path) -> None:
    """Write `folder`/store, genomes.tsv and virus.tsv; the second time only look whether they are of the same data.

    Raises InputError where `data` lacks a file or `folder` holds tables of other data.
    """
    from genossl import files
    from genossl.errors import InputError

    if missing := [name for name in bakeoff_data.FILES if not (data / name).is_file()]:
        raise InputError(f"{data}: no {missing[0]} ({len(missing)} of {len(bakeoff_data.FILES)} files are missing)")
    made_of = {"version": VERSION, **{name: files.sha256(data / name) for name in bakeoff_data.FILES}}
    if (folder / "data.json").is_file():
        if files.read_json(folder / "data.json") != made_of:
            raise InputError(f"{folder}: holds tables of other data; take another --out")
        return
    prokaryotes = bakeoff_data.sheet(data / "prokaryotes" / "genomes.tsv")
    files.write_tsv(folder / "genomes.tsv", genomes(data, prokaryotes))
    files.write_tsv(folder / "virus.tsv", virus(data, prokaryotes))
    shutil.rmtree(folder / "store", ignore_errors=True)
    bakeoff_data._store(data, prokaryotes, folder / "store")
    files.write_json(folder / "data.json", made_of)


def genomes(data: Path, prokaryotes: pd.DataFrame) -> pd.DataFrame:
    """Contigs of each test genome, where they begin and how long they are drawn evenly; the label is the genus."""
    genus = prokaryotes.set_index("genome")["genus"]
    rows = []
    for name, path in bakeoff_data.of_split(prokaryotes, "test"):
        records = _records(data / "prokaryotes" / path, LENGTHS["genomes"][1])
        rows += [(genus[name], name, *cut) for cut in _cuts(records, "genomes", name, ROWS["genomes"])]
    return _table("genomes", rows)


def virus(data: Path, prokaryotes: pd.DataFrame) -> pd.DataFrame:
    """One window of each cluster of viruses of test, and as many in all from prokaryotes, evenly over genomes."""
    manifest = bakeoff_data.sheet(data / "starter" / "manifest.tsv")
    length, most, rows = LENGTHS["virus"][0], ROWS["virus"], []
    for label, kind in bakeoff_data.VIRUSES.items():
        file = f"virus/{kind}_test.fa.gz"
        cluster_of = manifest[manifest["file"] == file].set_index("id")["cluster"]
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, tokens in _records(data / "starter" / file, length).items():
            if name in cluster_of.index:
                found.setdefault(cluster_of[name], {})[name] = tokens
        for cluster in bakeoff_data._rng("clusters", file).permutation(sorted(found))[:most]:
            rows += [(label, f"{label}:{cluster}", *cut) for cut in _cuts(found[cluster], "virus", cluster, 1)]
    tested = bakeoff_data.of_split(prokaryotes, "test")
    for i, (name, path) in enumerate(tested):
        n = most // len(tested) + (i < most % len(tested))
        records = _records(data / "prokaryotes" / path, length)
        rows += [("prokaryote", name, *cut) for cut in _cuts(records, "virus", name, n)]
    return _table("virus", rows)


def _records(path: Path, least: int) -> dict[str, np.ndarray]:
    from genossl.genome import fasta

    return {record.name: record.tokens for record in fasta.records(path) if len(record.tokens) >= least}


def _cuts(records: dict[str, np.ndarray], task: str, name: str, n: int) -> list[tuple[str, int, int, str]]:
    """n windows of records of one genome, longer ones more often: contig, start, end, sequence on either strand."""
    from genossl.genome.alphabet import decode, reverse_complement

    rng, contigs = bakeoff_data._rng(f"clustering {task}", str(name)), list(records)
    share = np.array([len(records[contig]) for contig in contigs], dtype=float)
    cuts = []
    for _ in range(n):
        contig = contigs[rng.choice(len(contigs), p=share / share.sum())]
        length = int(rng.integers(LENGTHS[task][0], LENGTHS[task][1] + 1))
        start = int(rng.integers(0, len(records[contig]) - length + 1))
        tokens = records[contig][start : start + length]
        letters = decode(reverse_complement(tokens) if rng.random() < 0.5 else tokens)
        cuts.append((contig, start, start + length, letters))
    return cuts


def _table(task: str, rows: list[tuple[str, str, str, int, int, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["label", "genome", "contig", "start", "end", "sequence"])
    table.insert(0, "id", [f"{task}{i:05d}" for i in range(len(table))])
    return table.assign(split="test")


# ---- embeddings


def encoders(options: argparse.Namespace) -> dict[str, bakeoff.Run]:
    """Name -> what is trained: each preset for the minutes, and its first weights."""
    common: dict[str, Any] = {"method": "self_genomenet", "seed": options.seed, "device": options.device}
    runs = {}
    for preset in PRESETS:
        runs[f"untrained_{preset}"] = bakeoff.Run("untrained", preset=preset, **common)
        until = {"bases": options.bases} if options.bases else {"minutes": options.minutes}
        runs[f"trained_{preset}"] = bakeoff.Run("method", preset=preset, **until, **common)
    return runs


def budget(options: argparse.Namespace) -> str:
    """What each encoder is trained for, as part of the names of files."""
    return f"{options.bases}bases" if options.bases else f"{options.minutes:g}min"


def train(options: argparse.Namespace) -> dict[str, Path]:
    """Encoders that are not there yet; one that was stopped begins anew, as its steps are timed anew."""
    from genossl.files import write_json

    folders = {}
    for name, run in encoders(options).items():
        folder = options.out / "runs" / f"{name}-{budget(options)}-seed{options.seed}"
        if not (folder / "cost.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"{name}: training", file=sys.stderr, flush=True)
            write_json(folder / "cost.json", bakeoff.pretrain(run, options.out / "data" / "store", folder))
        folders[name] = folder
    return folders


def embedded(task: str, folders: dict[str, Path], options: argparse.Namespace) -> list[Path]:
    """Embeddings of one task, of k-mers and of both pools of each encoder; made where they are not there."""
    from genossl.verbs import embed

    table, paths = options.out / "data" / f"{task}.tsv", []
    for name in BESIDE:
        path = options.out / "embeddings" / task / f"{name}.npy"
        if not path.with_suffix(".tsv").is_file():
            embed.run(name.replace("kmer", "kmer:"), table, path, embed.Settings(), None, "cpu", 1)
        paths.append(path)
    for name, folder in folders.items():
        for pool in POOLS:
            path = folder / task / f"{name}_{pool}.npy"
            if not path.with_suffix(".tsv").is_file():
                print(f"{task}: embedding, {name}, {pool}", file=sys.stderr, flush=True)
                embed.run(str(folder), table, path, embed.Settings(pool=pool), None, options.device, 1)
            paths.append(path)
    return paths


# ---- tables


def report(task: str, record: dict[str, Any], out: Path) -> list[str]:
    """Markdown: every score with its interval, then what is told apart from 4-mers."""
    scores = pd.read_csv(out, sep="\t")
    pairs = pd.read_csv(out.with_suffix(".comparisons.tsv"), sep="\t")
    score = {(s.algorithm, s.embedding, s.metric): (s.value, s.low, s.high) for s in scores.itertuples()}
    pair = {(p.algorithm, p.embedding, p.metric): (p.difference, p.low, p.high) for p in pairs.itertuples()}
    lines = [f"## {task}: {TASKS[task]}", "", f"{record['clustered']}. Resampled: {record['unit']}.", ""]
    for algorithm in dict.fromkeys(scores["algorithm"]):
        lines += [f"| {algorithm} | {' | '.join(SHOWN.values())} | ARI less that of {record['rival']} |"]
        lines += ["|---" * (len(SHOWN) + 2) + "|"]
        for name in dict.fromkeys(scores["embedding"]):
            cells = []
            for metric in SHOWN:
                value, low, high = score[algorithm, name, metric]
                whole = metric.startswith("bins")
                cells.append(f"{value:.0f}" if whole else f"{value:.3f} ({low:.3f}, {high:.3f})")
            found = pair.get((algorithm, name, "ari"))
            cells.append("{:+.3f} ({:+.3f}, {:+.3f})".format(*found) if found else "")
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return lines + verdict(pairs, record["rival"])


def verdict(pairs: pd.DataFrame, rival: str) -> list[str]:
    """For each algorithm, which embeddings have an ARI above the rival's, which below: one sentence each."""
    lines = []
    for algorithm, rows in pairs[pairs["metric"] == "ari"].groupby("algorithm", sort=False):
        told = {
            "above": rows["embedding"][rows["low"] > 0],
            "below": rows["embedding"][rows["high"] < 0],
            "not told apart": rows["embedding"][(rows["low"] <= 0) & (rows["high"] >= 0)],
        }
        parts = [f"{words}: {', '.join(names)}" for words, names in told.items() if len(names)]
        lines.append(f"ARI beside {rival}, {algorithm}: {'; '.join(parts)}.")
    return [*lines, ""]


def costs(folders: dict[str, Path]) -> list[str]:
    """What each trained encoder learnt from."""
    from genossl.files import read_json

    lines = []
    for name, folder in folders.items():
        cost = read_json(folder / "cost.json")
        if cost["steps"]:
            lines.append(
                f"* {name}: {cost['steps']} steps, {cost['seconds']:.0f} s, {cost['bases_seen'] / 1e6:.0f} Mbp"
            )
    return [*lines, ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public sequences")
    parser.add_argument("--out", type=Path, required=True, help="folder of data, runs and tables")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training of each encoder, on one thread")
    parser.add_argument("--bases", type=int, default=0, help="that each encoder reads, in place of the minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    import torch

    from genossl import files
    from genossl.errors import InputError
    from genossl.verbs import cluster

    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        prepare(options.data, options.out / "data")
    except InputError as error:
        print(f"clustering: {error}", file=sys.stderr)
        return 2
    folders = train(options)
    versions = files.versions()
    shown = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "scikit-learn", "genossl"))
    lines = [f"{platform.machine()}, one thread; {shown}; seed {options.seed}, {budget(options)}", ""]
    lines += costs(folders)
    for task in TASKS:
        out = options.out / "clusters" / f"{task}-{budget(options)}-seed{options.seed}.tsv"
        paths = embedded(task, folders, options)
        record = cluster.run(paths, options.out / "data" / f"{task}.tsv", task, out, cluster.Settings())
        lines += report(task, record, out)
    with files.atomic(options.out / "clustering.md", "w") as stream:
        stream.write("\n".join(lines))
    print("\n".join(lines))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
