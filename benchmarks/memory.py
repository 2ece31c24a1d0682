"""What does a batch cost in memory? Three steps of each preset at each batch, and the most that its process held.

    python benchmarks/memory.py [--presets default paper_1000] [--batches 64 256 1024]

Prints a Markdown table in MB, as jobs.mem_mb counts them; on a GPU machine these are the host's, not the GPU's.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from genossl.verbs import ingest

STEPS = 3  # the first allocates all; more change nothing


def store(folder: Path) -> Path:
    """Two million random bases as a token store."""
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 2_000_000))
    (folder / "random.fa").write_text(f">random\n{letters}\n")
    ingest.run([str(folder / "random.fa")], folder / "store", ingest.Settings())
    return folder / "store"


def peak(tokens: Path, out: Path, preset: str, batch: int) -> float:
    """MB that a pretraining of a few steps held at most."""
    settings = {"steps": STEPS, "batch": batch, "precision": "fp32", "validate_every": 0}
    sets = [word for name, value in settings.items() for word in ("--set", f"pretrain.{name}={value}")]
    command = [
        sys.executable, "-c", "from genossl.cli import main; main()", "--quiet", "pretrain", tokens, "--out", out,
        "--config", preset, "--threads", "1", *sets,
    ]  # fmt: skip
    child = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{preset} at {batch}: ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_maxrss / 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["default", "conv", "paper_150", "paper_1000"])
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256, 1024])
    options = parser.parse_args()
    print(f"MB at most, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread, fp32\n")
    print("| preset |", " | ".join(f"batch {batch}" for batch in options.batches), "|")
    print("|---|" + "---|" * len(options.batches))
    with tempfile.TemporaryDirectory() as folder:
        tokens = store(Path(folder))
        for preset in options.presets:
            held = [peak(tokens, Path(folder) / f"{preset}{batch}", preset, batch) for batch in options.batches]
            print(f"| {preset} |", " | ".join(f"{mb:,.0f}" for mb in held), "|", flush=True)


if __name__ == "__main__":
    main()
