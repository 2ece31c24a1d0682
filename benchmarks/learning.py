"""Does bf16 learn what fp32 learns? The pretext's top-1 on the validation strains of examples/, seed by seed.

    python benchmarks/learning.py --out learning.json [--seeds 3] [--jobs 2]

Each seed is run in fp32 and in bf16, all else equal, a thread each. Prints the mean top-1, and the paired difference
with its 95 % t interval over seeds: where it holds zero, the precisions are not told apart. Time is the processor's.
docs/performance.md holds a table.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# the paper's network at the default's rate, since 400,000 steps at its own are no benchmark
RECIPES: dict[str, dict[str, Any]] = {
    "default": {"preset": "default"},
    "paper_1000": {"preset": "paper_1000", "pretrain": {"steps": 300, "batch": 64, "lr": 1e-3, "schedule": "linear"}},
}
LOOKS = 3  # last looks at the validation strains, of which the mean counts


class Job(NamedTuple):
    """One run."""

    recipe: str
    precision: str
    seed: int
    store: Path
    folder: Path


def run(job: Job) -> dict[str, Any]:
    """Pretrain on one thread; the top-1 that it comes to, and what it took."""
    import time

    import torch

    from genossl import config
    from genossl.verbs import pretrain

    torch.set_num_threads(1)
    where = job.folder / f"{job.recipe}_{job.precision}_{job.seed}"
    own = {"precision": job.precision, "seed": job.seed, "validate_every": 25}
    started = time.process_time()
    pretrain.run(job.store, where, config.merge(RECIPES[job.recipe], {"pretrain": own}), pretrain.Jobs("cpu", 1))
    seconds = time.process_time() - started
    log = pd.read_csv(where / "log.tsv", sep="\t")
    looks = log[log["split"] == "validation"]
    top1 = float(looks["top1"].tail(LOOKS).mean())
    found = {"recipe": job.recipe, "precision": job.precision, "seed": job.seed}
    return found | {"top1": top1, "candidates": float(looks["candidates"].iloc[-1]), "cpu_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--seeds", type=int, default=3, help="runs in each precision; an interval takes two at least")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, a thread each")
    parser.add_argument("--only", nargs="*", choices=RECIPES, help="names of recipes")
    options = parser.parse_args()
    from speed.machine import machine

    from genossl.evaluation.ranking import interval, t_interval
    from genossl.files import write_json
    from genossl.verbs import ingest

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ingest.run([str(ROOT / "examples" / "genomes.tsv")], folder / "store", ingest.Settings())
        names = options.only or list(RECIPES)
        jobs = [
            Job(name, precision, seed, folder / "store", folder)
            for name in names
            for seed in range(options.seeds)
            for precision in ("fp32", "bf16")
        ]
        with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
            rows = list(pool.map(run, jobs))
    write_json(options.out, {"machine": machine(), "rows": rows})
    print("| recipe | seeds | chance | top-1 fp32 | top-1 bf16 | bf16 minus fp32 | CPU s fp32 | CPU s bf16 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        of = {p: [row for row in rows if (row["recipe"], row["precision"]) == (name, p)] for p in ("fp32", "bf16")}
        apart = t_interval([b["top1"] - f["top1"] for f, b in zip(of["fp32"], of["bf16"], strict=True)])
        means = [f"{np.mean([row['top1'] for row in several]):.4f}" for several in of.values()]
        seconds = [f"{np.mean([row['cpu_seconds'] for row in several]):.0f}" for several in of.values()]
        chance = f"{1 / of['fp32'][0]['candidates']:.4f}"
        print("| " + " | ".join([name, str(options.seeds), chance, *means, interval(apart), *seconds]) + " |")


if __name__ == "__main__":
    main()
