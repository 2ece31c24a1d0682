"""Draw the labelled reads of examples/: which species does a read come from, on strains never seen?

  python examples/make_task.py 500 examples/species_500.tsv
  python examples/make_task.py 150 examples/species_150.tsv

Reads are uniform over the bases of a species' strains of one split, on either strand, and are written as coordinates.
The same length gives the same table.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd

READS = {"train": 1000, "validation": 200, "test": 600}  # per class


def main(length: int, out: Path) -> None:
    here = Path(__file__).resolve().parent
    genomes = pd.read_csv(here / "genomes.tsv", sep="\t")
    rng = np.random.default_rng(length)
    lines = ["id\tlabel\tgenome\tcontig\tstart\tend\tstrand\tsplit"]
    for species in sorted(genomes.loc[genomes["split"] == "test", "species"]):
        for split, wanted in READS.items():
            contigs = []
            for genome in genomes[(genomes["species"] == species) & (genomes["split"] == split)].itertuples():
                text = gzip.open(here / genome.path, "rt").read()
                for record in text.split(">")[1:]:
                    header, _, sequence = record.partition("\n")
                    contigs.append((genome.genome, header.split()[0], len(sequence.replace("\n", ""))))
            room = np.array([max(0, bases - length + 1) for *_, bases in contigs])
            for i, which in enumerate(rng.choice(len(contigs), wanted, p=room / room.sum())):
                genome, contig, _ = contigs[which]
                start = int(rng.integers(room[which]))
                strand = "+-"[rng.integers(2)]
                name = f"{species.replace(' ', '_')}.{split}.{i:04d}"
                lines.append(f"{name}\t{species}\t{genome}\t{contig}\t{start}\t{start + length}\t{strand}\t{split}")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
