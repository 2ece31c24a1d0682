"""A contender in a process of its own: set up once, then one measurement for each line that comes in.

    python -m speed.measure MODULE:FUNCTION SETTINGS SECONDS

FUNCTION is a generator function, SETTINGS its keyword arguments as JSON. It imports what it needs, yields {}, sets up,
and then yields after each piece of work {"units": how many, and what else is to be told}. The first measurement holds
the set-up too, so it is nobody's result. Only the standard library is used: peers have an environment without genossl.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Work = Iterator[dict[str, Any]]


def once(work: Work, seconds: float, base: float) -> dict[str, Any]:
    """One measurement: pieces of work until `seconds` have passed, at least one.

    cpu and wall in seconds, cpu of all threads and of child processes that have ended; peak in MiB above `base`.
    """
    units, wall, cpu = 0.0, time.perf_counter(), _cpu_seconds()
    while True:
        done = next(work)
        units += done["units"]
        if time.perf_counter() - wall >= seconds:
            break
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    return done | {"units": units, "cpu": cpu, "wall": wall, "peak": _peak() - base}


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak() -> float:
    """MiB of memory at the most, of this process or of a child that has ended."""
    scale = 1 / 2**20 if sys.platform == "darwin" else 1 / 2**10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    with contextlib.suppress(OSError, IndexError):  # Linux: above the parent's peak is inherited, here it is not
        own = float(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale)


def _forget_peak() -> None:
    """Let the peak count from here on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    call, settings, seconds = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=answers, flush=True)

    try:
        module, _, name = call.partition(":")
        work = getattr(importlib.import_module(module), name)(**json.loads(settings))
        next(work)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        _forget_peak()
        base = _peak()
        answer({})
        for _ in sys.stdin:
            answer(once(work, float(seconds), base))
    except ImportError as error:
        answer({"left_out": f"needs the package {error.name}"})
    except Exception as error:  # the other contenders go on
        answer({"left_out": f"{type(error).__name__}: {error}", "failed": True})


if __name__ == "__main__":
    main()
