"""How often does DNA find its protein, and a protein its DNA, in phages never seen? CLIP on genes, beside composition.

  python benchmarks/retrieval.py --data FOLDER --out results/retrieval [--steps 600] [--seeds 3]

Learns from the phages of train, watches those of dev and is judged once on those of test: the split is by cluster of
genomes. FOLDER is that of the bake-off, with annotated/phages.gff3.gz. Prints what `genossl retrieve --evaluate` does,
and leaves the runs in OUT; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ANNOTATION = "annotated/phages.gff3.gz"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def recipe(steps: int, seed: int = 0) -> dict[str, Any]:
    """The method at its defaults but for the pairing, on frames that also tell what was read so far."""
    return {
        "name": "clip",
        "pretrain": {"steps": steps, "lr": 3e-3, "seed": seed, "validate_every": max(1, steps // 5)},
        "encoder": {"prefix": True},
        "clip": {"pairing": "genes"},
    }


def sheet(data: Path, folder: Path) -> Path:
    """Write phages, one genome a file, with their genes; returns the sheet."""
    rows: dict[str, list[str]] = defaultdict(list)
    with gzip.open(data / ANNOTATION, "rt") as stream:
        for line in stream:
            if not line.startswith("#"):
                rows[line.split("\t")[0]].append(line)
    lines = ["genome\tpath\tsplit\tfeatures"]
    for side, split in SPLITS.items():
        with gzip.open(data / f"starter/virus/phage_{side}.fa.gz", "rt") as stream:
            for record in stream.read().split(">")[1:]:
                name = record.split()[0]
                (folder / f"{name}.fa").write_text(f">{record}")
                (folder / f"{name}.gff3").write_text("".join(rows[name]))
                lines.append(f"{name}\t{name}.fa\t{split}\t{f'{name}.gff3' if rows[name] else ''}")
    (folder / "genomes.tsv").write_text("\n".join(lines) + "\n")
    return folder / "genomes.tsv"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public sequences")
    parser.add_argument("--out", type=Path, required=True, help="folder of store, runs and tables")
    parser.add_argument("--steps", type=int, default=600, help="of 256 pairs")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    from genossl.verbs import ingest, pretrain, retrieve

    if not (options.data / ANNOTATION).is_file():
        print(f"retrieval: {options.data}: no {ANNOTATION}", file=sys.stderr)
        return 2
    store = options.out / "store"
    if not store.exists():
        with tempfile.TemporaryDirectory() as temporary:
            ingest.run([str(sheet(options.data, Path(temporary)))], store, ingest.Settings())
    for seed in range(options.seeds):
        run = options.out / f"seed{seed}"
        pretrain.run(store, run, recipe(options.steps, seed), pretrain.Jobs("auto", 1))
        print(f"seed {seed}", *retrieve.evaluate(run, store, out=run.with_suffix(".tsv")), sep="\n  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
