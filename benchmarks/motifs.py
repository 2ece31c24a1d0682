"""Does `genossl explain` find motifs that were planted? Sites recovered, of classes that only a motif tells apart.

  python benchmarks/motifs.py --out results/motifs [--rows 3000] [--explained 50] [--steps 150] [--picture SVG]

Windows of 200 random bases; those of the class `motif` hold MOTIF twice, on either strand, those of `none` the same ten
letters shuffled anew, twice. For k-mers, for an encoder pretrained on the training windows and for its first weights: a
head is fitted, and what it says of windows that it has not seen is explained. A site is recovered where one of the two
best regions of its window covers half of it; the same is asked of the shuffled sites of `none`, where there is nothing
to recover. --picture keeps the picture of the pretrained encoder.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MOTIF = "GTTGACATCC"
LENGTH = 200
SITES = 2  # in a window
ENCODER = {"front": "kmer", "k": 5, "width": 50, "stride": 50, "rnn": "gru", "context": 256}  # as the preset short
PENALTY = (0.001, 0.01, 0.1, 1.0, 10.0)


def plant(folder: Path, rows: int, seed: int = 0) -> tuple[Path, pd.DataFrame]:
    """labels.tsv of so many training windows (a fifth as many for validation and test), and where the sites are."""
    from genossl.genome.alphabet import decode, encode, reverse_complement

    rng, motif = np.random.default_rng(seed), encode(MOTIF)
    lines, sites = ["id\tlabel\tsequence\tsplit"], []
    for split, n in (("train", rows), ("validation", rows // 5), ("test", rows // 5)):
        for i in range(n):
            name, label = f"{split}{i}", ("motif", "none")[i % 2]
            tokens = rng.integers(0, 4, LENGTH).astype(np.uint8)
            first = int(rng.integers(0, LENGTH // 2 - len(motif) + 1))
            for start in (first, int(rng.integers(LENGTH // 2, LENGTH - len(motif) + 1)))[:SITES]:
                letters = motif if label == "motif" else rng.permutation(motif)
                tokens[start : start + len(motif)] = reverse_complement(letters) if rng.random() < 0.5 else letters
                sites.append((name, label, split, start, start + len(motif)))
            lines.append(f"{name}\t{label}\t{decode(tokens)}\t{split}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n")
    return folder / "labels.tsv", pd.DataFrame(sites, columns=["id", "label", "split", "start", "end"])


def unseen(labels: Path, label: str, n: int, out: Path) -> Path:
    """The first n test windows of a class as a table of its own."""
    table = pd.read_csv(labels, sep="\t")
    table[(table["split"] == "test") & (table["label"] == label)].head(n).to_csv(out, sep="\t", index=False)
    return out


def recovered(motifs: Path, sites: pd.DataFrame) -> float:
    """The share of sites, of windows in motifs.tsv, half of which at least lies in one of their window's regions."""
    found = pd.read_csv(motifs, sep="\t", usecols=["id", "start", "end"])
    pairs = sites[sites["id"].isin(set(found["id"]))].reset_index().merge(found, on="id", suffixes=("", "_found"))
    shared = np.minimum(pairs["end"], pairs["end_found"]) - np.maximum(pairs["start"], pairs["start_found"])
    pairs["covered"] = shared >= (pairs["end"] - pairs["start"]) / 2
    return float(pairs.groupby("index")["covered"].any().mean())


def fitted(spec: str, labels: Path, folder: Path) -> tuple[Path, float]:
    """A head on an encoder's vectors of the labelled windows, and its balanced accuracy on test."""
    from genossl.files import read_json
    from genossl.verbs import embed, probe

    folder.mkdir(parents=True, exist_ok=True)
    embed.run(spec, labels, folder / "x.npy", embed.Settings(pool="mean"), device="cpu")
    settings = probe.Settings(shots=(5,), draws=1, replicates=100, heads=("logistic",), penalty=PENALTY, block=500)
    probe.run([folder / "x.npy"], labels, "motif", folder / "scores.tsv", settings, save_head=folder / "head")
    return folder / "head", read_json(folder / "head.json")["test"]["balanced_accuracy"][0]


def explained(head: Path, labels: Path, sites: pd.DataFrame, n: int, folder: Path, **settings: Any) -> dict[str, float]:
    """Sites recovered in windows of the motif, and of the shuffled ones in windows without."""
    from genossl.verbs import explain

    found = {}
    for label in ("motif", "none"):
        table = unseen(labels, label, n, folder / f"{label}.tsv")
        chosen = explain.Settings(about="motif", top=SITES, width=len(MOTIF), **settings)
        explain.run(head, table, folder / label, chosen, device="cpu")
        found[label] = recovered(folder / label / "motifs.tsv", sites)
    return found


def pretrained(labels: Path, folder: Path, steps: int) -> Path:
    """A run on the training windows, one after the other as a contig; no label is seen."""
    from genossl.verbs import ingest, pretrain

    table = pd.read_csv(labels, sep="\t")
    lines = ["genome\tpath\tsplit"]
    for split in ("train", "validation"):
        own = table[table["split"] == split]
        (folder / f"{split}.fa").write_text(f">{split}\n{''.join(own['sequence'])}\n")
        lines.append(f"{split}\t{split}.fa\t{split}")
    (folder / "genomes.tsv").write_text("\n".join(lines) + "\n")
    ingest.run([str(folder / "genomes.tsv")], folder / "store", ingest.Settings())
    recipe = {
        "name": "self_genomenet",
        "pretrain": {"steps": steps, "batch": 128},
        "encoder": ENCODER,
        "self_genomenet": {"length": LENGTH, "distance": 5 * LENGTH},
    }
    pretrain.run(folder / "store", folder / "run", recipe, pretrain.Jobs("cpu", 1))
    return folder / "run"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where all is written; replaced")
    parser.add_argument("--rows", type=int, default=3000, help="training windows")
    parser.add_argument("--explained", type=int, default=50, help="test windows of each class that are explained")
    parser.add_argument("--steps", type=int, default=150, help="of the pretraining")
    parser.add_argument("--picture", type=Path, help="where a copy of the picture goes")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    labels, sites = plant(options.out, options.rows)
    run = pretrained(labels, options.out, options.steps)
    specs = {"kmer5": "kmer:5", "pretrained": str(run), "untrained": f"untrained:{run}"}
    print("vectors     method     accuracy  sites recovered  of shuffled sites", flush=True)
    for name, spec in specs.items():
        head, accuracy = fitted(spec, labels, options.out / name)
        for method in ("ism", "occlusion"):
            own = options.out / name / method
            own.mkdir()
            shown = {"span": len(MOTIF), "stride": 2, "drawn": 4}
            found = explained(head, labels, sites, options.explained, own, method=method, **shown)
            line = f"{name:12}{method:11}{accuracy:8.3f}{found['motif']:17.3f}{found['none']:19.3f}"
            print(line, flush=True)
    if options.picture:
        shutil.copyfile(options.out / "pretrained" / "ism" / "motif" / "motifs.svg", options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
