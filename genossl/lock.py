"""Which process writes where: a name that tells whether its owner lives, and a folder that one process has to itself.

A process number means something on one machine, during one boot, in one process namespace (two containers may share a
host's name); `here` stands for these three.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from genossl.errors import DiskError, InputError

BEAT = 15  # seconds between two signs of life of a lock
PATIENCE = 90  # seconds without one after which a lock of another machine is a dead process's
log = logging.getLogger("genossl")


@functools.cache
def here() -> str:
    """Eight hex digits for this machine, boot and process namespace."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):  # not on every system
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def born(pid: int) -> str | None:
    """When a process of this machine was started, "" where that cannot be told; None where it is dead."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return ""
    except (ProcessLookupError, OverflowError):
        return None
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if status[0] in "ZX" else status[19]  # a zombie writes nothing more


@contextlib.contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock file `path` while the block runs; yields what raises InputError once another has taken it.

    Raises InputError where a living process holds it. A process of this machine is looked up; one of another machine
    lives as long as the file's time changes (no clocks are compared, and no file system has to know of locks).
    """
    mine = {
        "host": platform.node(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "here": here(), "born": born(os.getpid()),
    }  # fmt: skip
    try:
        _take(path, mine)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror})") from error

    def check() -> None:
        other = _read(path)[1]
        if other != mine and (other or not path.exists()):  # a disk that does not answer now is no rival
            who = f"{_named(other)} has taken this run over" if other else "the lock of this run was removed"
            raise InputError(f"{path.parent}: {who}; this process stops")

    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, mine, done), daemon=True)
    beating.start()
    try:
        yield check
    finally:
        done.set()
        beating.join()
        if _read(path)[1] == mine:
            path.unlink(missing_ok=True)


def _take(path: Path, mine: dict[str, Any]) -> None:
    """Write the lock where there is none, or a dead process's; InputError where one lives."""
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if (holder := _living(path)) is not None:
                raise InputError(
                    f"{path.parent}: {_named(holder)} is at work here since {holder.get('since', '?')}; "
                    "wait for it, end it, or use another --out"
                ) from None
            path.unlink(missing_ok=True)  # should another do so too, one of the two hears of it before it saves
            continue
        try:
            with os.fdopen(descriptor, "w") as stream:
                json.dump(mine, stream)
        except OSError:
            path.unlink()
            raise
        return


def _beat(path: Path, mine: dict[str, Any], done: threading.Event) -> None:
    while not done.wait(BEAT):
        if _read(path)[1] == mine:
            with contextlib.suppress(OSError):
                os.utime(path)


def _read(path: Path) -> tuple[int, dict[str, Any]]:
    """Time and content of a lock; opening it makes a network file system look anew."""
    try:
        with path.open() as stream:
            return os.fstat(stream.fileno()).st_mtime_ns, json.load(stream)
    except (OSError, ValueError):
        return 0, {}


def _living(path: Path) -> dict[str, Any] | None:
    """The holder of a lock, None where it is dead."""
    first = _read(path)
    holder = first[1]
    if holder.get("here") == here():
        began = born(holder["pid"])
        return None if began is None or (began and holder["born"] and began != holder["born"]) else holder
    if holder:
        log.info("%s: waiting %d s for a sign of life of %s", path.parent, PATIENCE, _named(holder))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(min(1, PATIENCE / 10))
        if not path.exists():
            return None
        if (now := _read(path)) != first:
            return now[1]
    return None


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
