"""Does a window's vector depend on how its genome is embedded? On your own run and genome.

python benchmarks/invariance.py RUN GENOME.fa        prints a table; exits 1 where a vector moved by more than 1e-5

Each line embeds the same bases in another way and compares the windows that lie at the same place: the largest distance
of a vector from where it should be, in lengths of that vector, and the smallest correlation of the two.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from genossl.evaluation.table import read_table
from genossl.genome import inputs
from genossl.genome.alphabet import decode
from genossl.model import embedding
from genossl.verbs import embed

RELATIVE = 1e-5
Places = dict[tuple[str, int, int], np.ndarray]  # contig, start, end -> vector


def main() -> None:
    """Print the table."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("encoder", help="a run or model folder")
    given.add_argument("genome", help="FASTA or a store")
    given.add_argument("--bases", type=int, default=200_000, help="of the genome, from its beginning")
    given.add_argument("--device", default="auto")
    given.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    options = given.parse_args()
    settings = embed.Settings(precision=options.precision, pool="both")
    worst = 0.0
    sys.stdout.write("| embedded | windows compared | largest distance | smallest correlation |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        for name, found, expected in _ways(options, settings, Path(folder)):
            both = sorted(found.keys() & expected.keys())
            a, b = np.array([found[k] for k in both], float), np.array([expected[k] for k in both], float)
            distance = float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())
            correlation = min(float(np.corrcoef(x, y)[0, 1]) for x, y in zip(a, b, strict=True))
            sys.stdout.write(f"| {name} | {len(both):,} | {distance:.1e} | {correlation:.7f} |\n")
            worst = max(worst, distance)
    sys.exit(int(worst > RELATIVE))


def _ways(options: argparse.Namespace, plain: embed.Settings, folder: Path) -> Iterator[tuple[str, Places, Places]]:
    """What was done otherwise, its vectors, and those of one plain command."""

    def run(source: Path, out: str = "x.npy", settings: embed.Settings = plain, **more: object) -> Places:
        embed.run(options.encoder, source, folder / out, settings, device=options.device, **more)  # type: ignore[arg-type]
        table = read_table(folder / out)
        places = zip(table.rows["contig"], table.rows["start"], table.rows["end"], strict=True)
        return {(c, int(s), int(e)): v for (c, s, e), v in zip(places, np.array(table.vectors), strict=True)}

    contigs = dict(_first(options.genome, options.bases))
    fasta, backwards = _fasta(folder / "g.fa", contigs), _fasta(folder / "b.fa", dict(reversed(contigs.items())))
    expected = run(fasta)
    yield "again", run(fasta), expected
    for rows in (1, 7):
        yield f"{rows} at once", run(fasta, settings=dataclasses.replace(plain, rows=rows)), expected
    with mock.patch.dict(embedding.BATCH_BASES, dict.fromkeys(embedding.BATCH_BASES, 3000)):
        yield "in batches of 3,000 bases", run(fasta), expected
    yield "contigs in the opposite order", run(backwards), expected
    yield "a file per contig", run(fasta, "folder"), expected
    window = max(end - start for _, start, end in expected)
    yield (
        "every tenth of a window",
        run(fasta, settings=dataclasses.replace(plain, step=max(1, window // 10))),
        expected,
    )
    regions = folder / "r.bed"
    regions.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in sorted(expected)[::9]))
    yield "every ninth window alone (--regions)", run(fasta, regions=regions), expected
    whole = dataclasses.replace(plain, window=-1)
    expected = run(fasta, settings=whole)
    for block in (1 << 12, 1 << 14):
        with mock.patch.object(embedding, "BLOCK", block):
            yield f"whole contigs in blocks of {block:,} bases, not {1 << 16:,}", run(fasta, settings=whole), expected


def _first(genome: str, bases: int) -> Iterator[tuple[str, str]]:
    """Contigs of the first bases, in letters."""
    for contig in inputs.contigs(genome):
        yield f"{contig.number}", decode(np.asarray(contig.tokens[:bases]))
        bases -= len(contig.tokens)
        if bases <= 0:
            return


def _fasta(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in contigs.items()))
    return path


if __name__ == "__main__":
    main()
