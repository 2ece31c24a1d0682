"""Does a query find its genus among 66? The pretrained encoder beside k-mers, in genera that it has never read.

  python benchmarks/search.py --data FOLDER --out results/search [--steps 500] [--queries 30] [--seed 0]

Genomes are cut into blocks of 20,000 bases. Of every genome ten blocks, every second one, spread evenly, are indexed;
queries are drawn from the blocks between them, of the test genomes only, whose genera pretraining has not read. A query
has found its genus where `genossl search --by genome` names its genome first (recall@1) or among ten (recall@10).
There is one genome to a genus, so chance is 1 and 10 of 66. Queries are compared in windows of 500 bases, and those of
5,000 also whole, with an index of windows of 5,000. Every encoder is tried with each `scale` of `genossl index`, ours
also with both kinds of `pool`.
Intervals: 95 %, a paired bootstrap over test genomes. FOLDER is that of the bake-off, with prokaryotes/. The same
command goes on where it was stopped; what it printed in the end is in OUT/search.md.

  python benchmarks/search.py --speed

Seconds of one core that queries take of an exact and an approximate index of random vectors of 256 numbers.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from bakeoff_data import BLOCK, SIDES, _rng, sheet  # noqa: E402

from genossl.evaluation import nearest  # noqa: E402
from genossl.evaluation.scores import interval, resample  # noqa: E402
from genossl.genome import fasta  # noqa: E402
from genossl.genome.alphabet import decode  # noqa: E402
from genossl.verbs import index, ingest, pretrain, search  # noqa: E402

LENGTHS = (500, 1000, 5000)
SHORT, WHOLE = 500, 5000  # windows of an index
BLOCKS = 10  # of a genome that are indexed
LEARNT = 1_000_000  # bases of a genome that pretraining reads
TOP = 10
REPLICATES = 2000
SCALES = ("raw", "standardised")
KMERS = tuple(f"kmer:{k}" for k in (3, 4, 5, 6))


def collections(data: Path, out: Path, queries: int) -> None:
    """OUT/learnt and OUT/indexed, two stores, and OUT/LENGTH.fa, queries named genome.number; once."""
    if (out / "indexed").is_dir():
        return
    sheets = {name: ["genome\tpath\tsplit"] for name in ("learnt", "indexed")}
    drawn: dict[int, list[str]] = {length: [] for length in LENGTHS}
    for genome, path, side in sheet(data / "prokaryotes" / "genomes.tsv")[["genome", "path", "split"]].to_numpy():
        records = sorted(fasta.records(data / "prokaryotes" / path), key=lambda record: -len(record.tokens))
        blocks = [
            (f"{record.name}.{start}", record.tokens[start : start + BLOCK])
            for record in records
            for start in range(0, len(record.tokens) - BLOCK + 1, BLOCK)
        ]
        even, odd = blocks[::2], blocks[1::2]
        contigs = {"indexed": [even[i] for i in np.linspace(0, len(even) - 1, BLOCKS).round().astype(int)]}
        if side == SIDES["test"]:
            for length in LENGTHS:
                drawn[length] += _queries(genome, odd, length, queries)
        else:
            contigs["learnt"] = [(records[0].name, records[0].tokens[:LEARNT])]
        split = {short: name for name, short in SIDES.items()}[side]
        for name, pieces in contigs.items():
            file = out / "fasta" / name / f"{genome}.fa"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f">{contig}\n{decode(tokens)}\n" for contig, tokens in pieces))
            sheets[name].append(f"{genome}\t{genome}.fa\t{split}")
    for length, lines in drawn.items():
        (out / f"{length}.fa").write_text("".join(lines))
    for name, lines in sheets.items():
        path = out / "fasta" / name / "genomes.tsv"
        path.write_text("\n".join(lines) + "\n")
        ingest.run([str(path)], out / name, ingest.Settings())
    shutil.rmtree(out / "fasta")


def _queries(genome: str, blocks: list[tuple[str, np.ndarray]], length: int, n: int) -> list[str]:
    """FASTA records of n pieces at random places."""
    rng = _rng("search", f"{genome} {length}")
    places = [(int(rng.integers(len(blocks))), int(rng.integers(BLOCK - length + 1))) for _ in range(n)]
    pieces = [blocks[block][1][start : start + length] for block, start in places]
    return [f">{genome}.{i}\n{decode(tokens)}\n" for i, tokens in enumerate(pieces)]


def found(name: str, spec: str, pool: Any, scale: Any, out: Path) -> pd.DataFrame:
    """For each query and question the rank of its genome (11 where it is not among ten)."""
    path = out / "found" / f"{name}.tsv"
    if path.is_file():
        return pd.read_csv(path, sep="\t")
    parts = []
    for window in (SHORT, WHOLE):
        folder = out / "index"
        settings = index.Settings(window=window, pool=pool, scale=scale, kind="exact")
        index.run(spec, out / "indexed", folder, settings, "cpu")
        for length in LENGTHS if window == SHORT else (WHOLE,):
            search.run(
                folder, out / f"{length}.fa", out / "hits.tsv", search.Settings(by="genome", top=TOP), device="cpu"
            )
            hits = pd.read_csv(out / "hits.tsv", sep="\t")
            names = [record.name for record in fasta.records(out / f"{length}.fa")]
            right = hits[hits["genome"] == hits["query"].str.rsplit(".", n=1).str[0]].set_index("query")["rank"]
            asked = f"{length:,}" if window == SHORT else f"{length:,} whole"
            rank = right.reindex(names, fill_value=TOP + 1).to_numpy()
            parts.append(pd.DataFrame({"query": names, "asked": asked, "rank": rank}))
    table = pd.concat(parts, ignore_index=True)
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, sep="\t", index=False)
    return table


def recalls(ranks: dict[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """vectors, asked, at, and the recall: first of all genomes, then of each bootstrap replicate, as an array."""
    first = next(iter(ranks.values()))
    genome = pd.factorize(first["query"].str.rsplit(".", n=1).str[0])[0]
    weights_RU = resample(np.zeros(genome.max() + 1, int), REPLICATES, np.random.default_rng(seed))
    all_RU = np.concatenate([np.ones((1, weights_RU.shape[1])), weights_RU])
    rows = []
    for name, table in ranks.items():
        for asked in dict.fromkeys(table["asked"]):
            own = (table["asked"] == asked).to_numpy()
            for at in (1, TOP):
                hit_U = np.bincount(genome[own], table["rank"].to_numpy()[own] <= at) / np.bincount(genome[own])
                rows.append((name, asked, at, all_RU @ hit_U / all_RU.sum(1)))
    return pd.DataFrame(rows, columns=["vectors", "asked", "at", "recall_R"])


def report(table: pd.DataFrame, genera: int, queries: int) -> list[str]:
    """A Markdown table of each recall with its interval, and who wins each question."""
    lines = [f"{queries} queries of each length from each test genome, {genera} genera indexed; chance is"]
    lines[0] += f" {1 / genera:.3f} at 1 and {TOP / genera:.3f} at {TOP}."
    names, asked = list(dict.fromkeys(table["vectors"])), list(dict.fromkeys(table["asked"]))
    for at in (1, TOP):
        lines += ["", f"| recall@{at} | " + " | ".join(asked) + " |", "|---|" + "---|" * len(asked)]
        for name in names:
            values = [_of(table, name, a, at) for a in asked]
            cells = [f"{v[0]:.3f} ({interval(v[1:])[0]:.3f}, {interval(v[1:])[1]:.3f})" for v in values]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "Best of the pretrained encoder minus best of k-mers, both chosen here on test:", ""]
    for at in (1, TOP):
        for a in asked:
            ours, theirs = (
                max((n for n in names if n.startswith(kind)), key=lambda n: _of(table, n, a, at)[0])
                for kind in ("pretrained", "kmer")
            )
            difference = _of(table, ours, a, at) - _of(table, theirs, a, at)
            low, high = interval(difference[1:])
            told = "the encoder wins" if low > 0 else "k-mers win" if high < 0 else "no difference shown"
            lines.append(
                f"* recall@{at}, {a}: {ours} against {theirs}, {difference[0]:+.3f} ({low:+.3f}, {high:+.3f}): {told}"
            )
    return lines


def _of(table: pd.DataFrame, name: str, asked: str, at: int) -> np.ndarray:
    (value,) = table[(table["vectors"] == name) & (table["asked"] == asked) & (table["at"] == at)]["recall_R"]
    return value


def speed(sizes: tuple[int, ...] = (100_000, 1_000_000), cells: int = 100_000) -> Iterator[str]:
    """Seconds of a core for 1, 100 and 1,000 query windows by number of rows around a thousand directions."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(1000, 256)).astype(np.float32)
    yield "| rows | index | built | 1 query | 100 queries | 1,000 queries | recall@10 |\n|---|---|---|---|---|---|---|"
    for n in sizes:
        rows = np.empty((n, 256), np.float32)
        for first in range(0, n, 10_000):
            noise = rng.normal(size=(10_000, 256)).astype(np.float32)
            rows[first : first + 10_000] = nearest.unit(directions[rng.integers(0, 1000, 10_000)] + noise)
        query = nearest.unit(directions[rng.integers(0, 1000, 1000)] + rng.normal(size=(1000, 256)))
        truth, times = _timed(partial(nearest.exact, vectors_NC=rows, top=10), query)
        yield f"| {n:,} | exact | | {times} | 1 |"
        if n <= cells:
            begun = time.process_time()
            built = nearest.build_cells(rows, 0.95, 0)[0]
            took = time.process_time() - begun
            found, times = _timed(lambda q, i=built, v=rows: nearest.approximate(i, v, q, 10), query)
            yield f"| {n:,} | ivf | {took:.0f} s | {times} | {nearest.recalled(found, truth):.3f} |"


def _timed(search: Callable[[np.ndarray], nearest.Hits], query: np.ndarray) -> tuple[nearest.Hits, str]:
    """The hits of all queries, and the cells that say how long 1, 100 and all took."""
    cells = []
    for n in (1, 100, 1000):
        begun = time.process_time()
        hits = search(query[:n])
        cells.append(f"{time.process_time() - begun:.3f} s")
    return hits, " | ".join(cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of public sequences")
    parser.add_argument("--out", type=Path, default=Path("results/search"), help="folder of stores, run and tables")
    parser.add_argument("--steps", type=int, default=500, help="of the default recipe, 256 windows each")
    parser.add_argument("--queries", type=int, default=30, help="of each length from each test genome")
    parser.add_argument("--seed", type=int, default=0, help="of pretraining and of the bootstrap")
    parser.add_argument("--speed", action="store_true", help="measure that, and nothing else")
    options = parser.parse_args()
    if options.speed:
        for line in speed():
            print(line, flush=True)
        return 0
    if not (options.data / "prokaryotes" / "genomes.tsv").is_file():
        print(f"search: {options.data}: no prokaryotes/genomes.tsv", file=sys.stderr)
        return 2
    out = options.out
    collections(options.data, out, options.queries)
    run = out / "pretrained"
    begun = time.perf_counter()
    pretrain.run(
        out / "learnt", run, {"pretrain": {"steps": options.steps, "seed": options.seed}}, pretrain.Jobs("cpu")
    )
    print(f"pretraining: {time.perf_counter() - begun:.0f} s", flush=True)
    specs = {
        f"{name}, {pool}": (spec, pool)
        for name, spec in (("pretrained", str(run)), ("untrained", f"untrained:{run}"))
        for pool in ("last", "mean")
    }
    specs |= {spec.replace(":", ""): (spec, "last") for spec in KMERS} | {"gc": ("kmer:1", "last")}
    ranks = {}
    for name, (spec, pool) in specs.items():
        for scale in SCALES if name != "gc" else ("raw",):
            begun, full = time.perf_counter(), f"{name}, {scale}"
            ranks[full] = found(full, spec, pool, scale, out)
            print(f"{full}: {time.perf_counter() - begun:.0f} s", flush=True)
    genera = len(sheet(options.data / "prokaryotes" / "genomes.tsv"))
    lines = report(recalls(ranks, options.seed), genera, options.queries)
    (out / "search.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
