"""One process per folder: a dead one gives way, a living one is named, on this machine and on another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from genossl import lock
from genossl.errors import DiskError, InputError

HOLD = """
import sys, time
from pathlib import Path
from genossl.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_it_is_gone_afterwards_and_can_be_taken_again(path: Path) -> None:
    for _ in range(2):
        with lock.held(path) as check:
            assert json.loads(path.read_text())["pid"] == os.getpid()
            check()
        assert not path.exists()


def test_a_living_process_is_named(path: Path) -> None:
    with holder(path) as process:
        with pytest.raises(InputError, match=rf"process {process.pid} on \S+ is at work here since \d{{4}}-.* --out"):
            with lock.held(path):
                pytest.fail("held twice")
        assert json.loads(path.read_text())["pid"] == process.pid  # and keeps it


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_process_holds_nothing(path: Path, reaped: bool) -> None:
    with holder(path) as process:
        process.kill()
        if reaped:
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert path.exists()
        with lock.held(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_number_that_another_process_has_now_holds_nothing(path: Path) -> None:
    with holder(path) as process:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"born": "1"}))
        with lock.held(path):
            assert json.loads(path.read_text())["pid"] != process.pid


def elsewhere(path: Path) -> None:
    path.write_text(json.dumps({"host": "node7", "pid": 1, "since": "yesterday", "here": "elsewhere", "born": "1"}))


@pytest.mark.parametrize("content", ["another machine's", ""])
def test_silence_from_another_machine_is_death(path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.3)
    elsewhere(path)
    path.write_text(content or path.read_text())
    with lock.held(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_sign_of_life_from_another_machine_is_obeyed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 5)
    elsewhere(path)
    os.utime(path, (0, 0))  # its clock may be decades behind
    threading.Timer(0.3, os.utime, (path, (1, 1))).start()
    with pytest.raises(InputError, match="process 1 on node7 is at work here since yesterday"):
        with lock.held(path):
            pytest.fail("held twice")


def test_the_holder_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.05)
    with lock.held(path):
        os.utime(path, (0, 0))
        waiting = threading.Event()
        for _ in range(100):
            if path.stat().st_mtime > 1:
                break
            waiting.wait(0.05)
        assert path.stat().st_mtime > 1


def test_who_lost_it_hears_of_it_and_leaves_the_others_lock(path: Path) -> None:
    with lock.held(path) as check:
        elsewhere(path)
        with pytest.raises(InputError, match="process 1 on node7 has taken this run over"):
            check()
    assert json.loads(path.read_text())["host"] == "node7"


def test_who_has_no_lock_any_more_stops(path: Path) -> None:
    with lock.held(path) as check:
        whole = path.read_text()
        path.write_text("")  # as a disk that does not answer
        check()
        path.write_text(whole)
        path.unlink()
        with pytest.raises(InputError, match="the lock of this run was removed; this process stops"):
            check()


def test_a_folder_that_is_not_there(path: Path) -> None:
    with pytest.raises(DiskError, match="lock: cannot be written"), lock.held(path / "lock"):
        pass
