"""Many small genomes: how fast does one job read them all, and what does it cost to look at them when planning?

    python benchmarks/many.py [--genomes 2000] [--bases 100000] [--threads 1 2]

Prints a Markdown table: seconds, MB/s of FASTA, and and the same of dry runs with every file as an input and without.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CONFIG = """
collection: many
genomes: genomes.tsv
tasks: tasks.tsv
runs: {ours: {preset: default}}
jobs: {tracked_genomes: TRACKED}
"""


def genomes(folder: Path, n: int, bases: int) -> None:
    """n files of so many random bases, their sheet, and a task without rows."""
    rng, lines = np.random.default_rng(0), ["genome\tpath"]
    for i in range(n):
        letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(4, size=bases)]
        (folder / f"{i}.fa").write_bytes(b">contig\n" + letters.tobytes() + b"\n")
        lines.append(f"genome{i}\t{i}.fa")
    (folder / "genomes.tsv").write_text("\n".join(lines) + "\n")
    (folder / "reads.tsv").write_text("id\tlabel\tsequence\n")
    (folder / "tasks.tsv").write_text("task\tpath\nreads\treads.tsv\n")


def timed(folder: Path, *command: object) -> tuple[float, float]:
    """Seconds that a command took, and the MB that it held at most."""
    begun = time.perf_counter()
    child = subprocess.Popen([*map(str, command)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, command))}: ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begun, used.ru_maxrss / 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=2000)
    parser.add_argument("--bases", type=int, default=100_000)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    print(f"{options.genomes:,} genomes of {options.bases:,} bases, {os.cpu_count()} cores\n")
    print("| what | seconds | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        genomes(folder, options.genomes, options.bases)
        megabytes = options.genomes * options.bases / 1e6
        for n in options.threads:
            seconds, _ = timed(folder, BIN / "genossl", "ingest", "genomes.tsv", "--out", "store", "--threads", n)
            print(f"| genossl ingest, {n} at once | {seconds:.1f} | {megabytes / seconds:,.0f} MB/s |", flush=True)
        for what, most in (("every file an input", options.genomes), ("the sheet alone", 0)):
            (folder / "config.yaml").write_text(CONFIG.replace("TRACKED", str(most)))
            seconds, held = timed(folder, BIN / "snakemake", "--dry-run", "--snakefile", ROOT / "Snakefile")
            print(f"| dry run, {what} | {seconds:.1f} | {held:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
