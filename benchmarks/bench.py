"""Speed tables: genossl and what else one would use, measured in turn in one run, against goals.

    python benchmarks/bench.py --out results/bench                  # all tables, about 25 minutes on 2 cores
    python benchmarks/bench.py ingest windows --out results/bench   # some of them
    python benchmarks/bench.py --tiny --out DIR                     # the same code in two minutes, figures of nothing

Each contender has a process and one thread of its own and is measured once per round, A B C A B C, after a round that
warms up. Rates are units per second of processor time, which other jobs on the machine lengthen least; figures are
medians of the rounds, in brackets the lowest and the highest. Exit 0: all was measured; 1: a contender failed, and its
row says how; 2: an option is wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # a plain checkout is enough

from speed import machine, page  # noqa: E402
from speed.data import Data  # noqa: E402
from speed.rounds import measure  # noqa: E402
from speed.table import Table  # noqa: E402

from genossl import files  # noqa: E402

TABLES = ("ingest", "windows", "training", "embedding", "kmers", "threads")
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
BEGINNING = 2.0  # seconds that a contender takes to begin, about
OVER = 1.3  # times that a measurement is longer than it need be, about


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measurements of each contender")
    parser.add_argument("--tiny", action="store_true", help="shrunk sizes, one round")
    parser.add_argument("--peers", type=Path, default=PEERS, metavar="PYTHON", help="of the environment of peers.txt")
    given = parser.parse_args(arguments)
    names = given.tables or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        print(f"bench.py: no table {unknown[0]!r}; expected some of {', '.join(TABLES)}", file=sys.stderr)
        return 2
    if given.rounds < 1:
        print(f"bench.py: --rounds {given.rounds}: expected at least 1", file=sys.stderr)
        return 2
    rounds = 1 if given.tiny else given.rounds
    with tempfile.TemporaryDirectory() as folder:
        data = Data(Path(folder), given.tiny)
        found = {name: importlib.import_module(f"speed.{name}").tables(data) for name in names}
        say(f"{sum(map(len, found.values()))} tables, about {minutes(found, rounds, given.tiny):.0f} minutes")
        return run(found, rounds, given)


def minutes(found: dict[str, list[Table]], rounds: int, tiny: bool) -> float:
    """What the tables will take, about."""
    seconds = 0.0
    for table in (table for several in found.values() for table in several):
        one = BEGINNING + (0 if tiny else OVER * table.seconds * (rounds + 1))
        seconds += one * len(table.contenders)
    return seconds / 60


def run(found: dict[str, list[Table]], rounds: int, given: argparse.Namespace) -> int:
    """Measure and write table after table, then the goals; 1 where a contender failed, else 0."""
    about = {"machine": machine.machine(), "rounds": rounds, "tiny": given.tiny}
    goals: list[dict[str, Any]] = []
    failed = False
    for name, several in found.items():
        began, texts, tables, judged = time.monotonic(), [], [], []
        for table in several:
            rows = measure(dataclasses.replace(table, seconds=0.0) if given.tiny else table, rounds, given.peers)
            failed |= any(row.failed for row in rows.values())
            texts.append(page.markdown(table, rows))
            tables.append(page.as_json(table, rows))
            judged += [page.judged(goal, table, rows) for goal in table.goals]
        goals += judged
        told = {"benchmark": name, **about, "tables": tables, "goals": judged}
        write(given.out / name, told, [page.title(name, about), *texts])
        say(f"{name}: {time.monotonic() - began:.0f} s")
    told = {"benchmark": "summary", **about, "goals": goals}
    write(given.out / "summary", told, [page.title("goals", about), page.summary(goals)])
    return int(failed)


def write(path: Path, told: dict[str, Any], texts: list[str]) -> None:
    """JSON and Markdown beside each other, the latter on standard output too."""
    text = "\n\n".join(texts) + "\n"
    files.write_json(path.with_suffix(".json"), told)
    with files.atomic(path.with_suffix(".md"), "w") as stream:
        stream.write(text)
    print(text, flush=True)


def say(text: str) -> None:
    print(f"bench.py: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
