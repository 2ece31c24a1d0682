"""Which recipe for the default? Few-shot accuracy on the validation strains of examples/, never on the test strains.

  python benchmarks/recipes.py --out recipes.json [--jobs 2] [--only default "default, seed 1" ...]

Each recipe is the default, or the prototype that it came from, with one thing changed. Reads of the training strains
are labelled, reads of the validation strains are the test; hyper-parameters of the probe are chosen on blocks cut from
training. Prints a Markdown table; docs/decisions.md holds one.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SGN = "self_genomenet"
PREFIX = {"encoder": {"prefix": True}}  # what the prototype had and the default leaves out
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "default, seed 1": {"pretrain": {"seed": 1}},
    "default, target on the same strand": {SGN: {"reverse_complement": False}},
    "default, one prefix length": {SGN: {"splits": 1}},
    "default, k-mers of one strand": {"encoder": {"canonical": False}},
    "with the profile of the prefix": PREFIX,
    "prefix, seed 1": PREFIX | {"pretrain": {"seed": 1}},
    "prefix, one prefix length": PREFIX | {SGN: {"splits": 1}},
    "prefix, all prefix lengths": PREFIX | {SGN: {"splits": 0}},
    "prefix, target on the same strand": PREFIX | {SGN: {"reverse_complement": False}},
    "prefix, k-mers of one strand": {"encoder": {"prefix": True, "canonical": False}},
    "prefix, no same-contig negatives": PREFIX | {SGN: {"same_contig_negatives": False}},
    "prefix, temperature 0.2": PREFIX | {SGN: {"temperature": 0.2}},
    "prefix, frames of 50": {"encoder": {"prefix": True, "width": 50, "stride": 50}},
    "no recurrence (kmer_mlp)": {"preset": "kmer_mlp"},
    "untrained": {"pretrain": {"steps": 0}},
}
SHOTS = (1, 5, 10, 50, 400)


def run(job: tuple[str, Path, Path, Path]) -> dict[str, Any]:
    """Pretrain one recipe on one thread, embed the reads, and score them."""
    import torch

    from genossl import config
    from genossl.verbs import embed, pretrain, probe

    name, store, labels, folder = job
    torch.set_num_threads(1)
    where = folder / "".join(c if c.isalnum() else "_" for c in name)
    started = time.process_time()
    pretrain.run(store, where, config.merge({"preset": "default"}, RECIPES[name]), pretrain.Jobs("cpu", 1))
    seconds = time.process_time() - started
    embed.run(str(where), labels, where / "reads.npy", embed.Settings(), store, "cpu", 1)
    settings = probe.Settings(shots=SHOTS, heads=("logistic",), replicates=200)
    probe.run([where / "reads.npy"], labels, "reads", where / "scores.tsv", settings)
    scores = pd.read_csv(where / "scores.tsv", sep="\t", dtype={"shots": str, "draw": str})
    chosen = scores[(scores["draw"] == "mean") & (scores["metric"] == "balanced_accuracy")].set_index("shots")["value"]
    return {"recipe": name, "cpu_seconds": round(seconds), **{s: round(float(chosen[s]), 3) for s in map(str, SHOTS)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--jobs", type=int, default=2, help="recipes at once, a thread each")
    parser.add_argument("--only", nargs="*", help="names of recipes")
    options = parser.parse_args()
    from genossl.files import versions, write_json
    from genossl.genome.labels import read_labels
    from genossl.verbs import ingest

    names = options.only or list(RECIPES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ingest.run([str(ROOT / "examples" / "genomes.tsv")], folder / "store", ingest.Settings())
        table = read_labels(ROOT / "examples" / "species_500.tsv")
        table = table[table["split"] != "test"]
        table["split"] = table["split"].replace({"validation": "test"})
        table.to_csv(folder / "reads.tsv", sep="\t", index=False)
        jobs = [(name, folder / "store", folder / "reads.tsv", folder) for name in names]
        with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
            rows = list(pool.map(run, jobs))
    write_json(
        options.out, {"machine": platform.processor() or platform.machine(), "versions": versions(), "rows": rows}
    )
    shots = [str(s) for s in SHOTS]
    print("| recipe | " + " | ".join(shots) + " | CPU s |\n|---|" + "---|" * (len(shots) + 1))
    for row in rows:
        print(f"| {row['recipe']} | " + " | ".join(f"{row[s]:.3f}" for s in shots) + f" | {row['cpu_seconds']} |")


if __name__ == "__main__":
    main()
