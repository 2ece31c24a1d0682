"""What this machine has of what genossl needs, what is missing, and what to do about it.

Nothing that tells who or where you are is in it (no paths, names, variables but those that count threads), so that it
can stand in a bug report.
"""

from __future__ import annotations

import dataclasses
import locale
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from genossl import __version__, files, machine, requirements, shipped
from genossl.requirements import EXTRAS

State = Literal["ok", "note", "wrong"]
NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "beegfs", "gpfs")
LEAST_MEMORY, LEAST_DISK, LEAST_FILES = 4e9, 5e9, 1024  # bytes, bytes, open files


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at. note: genossl runs, but not everything of it; wrong: it cannot run."""

    what: str
    found: str
    state: State = "ok"
    advice: str = ""


def run() -> list[Finding]:
    """Everything that was looked at; what a look itself fails at is a finding too."""
    found = []
    for look in (_program, _packages, _torch, _machine, _places, _session, _workflow, _extras):
        try:
            found += look()
        except Exception as error:  # what it looks at may be broken in any way; its message may hold paths
            found.append(
                Finding(look.__name__.strip("_"), f"failed with {type(error).__name__}", "note", "report this")
            )
    return found


def lines(found: list[Finding]) -> list[str]:
    """What was found, for people: a mark, the thing, its state, and below it what to do."""
    marks, told = {"ok": " ", "note": "-", "wrong": "!"}, []
    width = max(len(finding.what) for finding in found)
    for finding in found:
        told.append(f"{marks[finding.state]} {finding.what:{width}s}  {finding.found}")
        told += [f"  {'':{width}s}  -> {finding.advice}"] if finding.advice else []
    return told


def record(found: list[Finding]) -> dict[str, Any]:
    """The same as JSON."""
    return {"genossl": __version__, "findings": [dataclasses.asdict(finding) for finding in found]}


def _program() -> Iterator[Finding]:
    commit = files.commit()
    yield Finding("genossl", __version__ + (f", commit {commit}" if commit else ""))
    old = sys.version_info < (3, 11)
    advice = "install Python 3.11 or newer" if old else ""
    yield Finding("Python", platform.python_version(), "wrong" if old else "ok", advice)
    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}")


def _packages() -> Iterator[Finding]:
    needed = [one for one in requirements.requirements() if not one.extra]
    lacking = [one for one in needed if not one.met]
    for one in lacking:
        advice = f"pip install '{one.package}{one.bounds}'"
        yield Finding(one.package, f"{one.found or 'missing'}, needs {one.bounds}", "wrong", advice)
    yield Finding("packages", f"{len(needed) - len(lacking)} of {len(needed)} that genossl needs")


def _torch() -> Iterator[Finding]:
    if not machine.version_of("torch"):
        return  # said above
    cuda, driver, gpus = machine.torch_cuda(), machine.driver(), machine.gpus()
    if gpus and not cuda:
        advice = "install a CUDA build: pip install torch --index-url https://download.pytorch.org/whl/cu126"
        yield Finding("GPU", f"{', '.join(gpus)}, but torch is built without CUDA", "note", advice)
    try:
        import torch
    except (ImportError, OSError) as error:
        advice = "reinstall torch; its libraries do not fit this machine"
        yield Finding("torch", f"cannot be imported ({type(error).__name__})", "wrong", advice)
        return
    yield Finding("torch", f"{torch.__version__}, {f'CUDA {cuda}' if cuda else 'no CUDA'}")
    if cuda and not torch.cuda.is_available():
        found = f"driver {driver}" if driver else "no driver"
        advice = "none is needed; for a GPU load a driver that serves this CUDA, or ask the cluster for a GPU"
        yield Finding("GPU", f"none is seen ({found})", "note", advice)
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(i)
        yield Finding("GPU", f"{about.name}, {about.total_memory / 1e9:.0f} GB, driver {driver}")
    device, precision = _precision()
    yield Finding("precision", f"auto is {precision} on {device}")


def _precision() -> tuple[str, str]:
    """The device that is used, and what products are formed in there."""
    from genossl.model.encoder import encoder_device
    from genossl.model.precision import chosen

    device = encoder_device("auto")
    return device.type, chosen("auto", device)


def _machine() -> Iterator[Finding]:
    yield Finding("cores", str(machine.cores()))
    memory = machine.memory()
    few = 0 < memory < LEAST_MEMORY
    advice = "set jobs.mem_mb and pretrain.batch lower" if few else ""
    yield Finding("memory", f"{memory / 1e9:.0f} GB" if memory else "unknown", "note" if few else "ok", advice)


def _places() -> Iterator[Finding]:
    for what, place in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        kind, free = machine.filesystem(place), machine.free(place)
        found, advice = f"{kind or 'unknown file system'}, {free / 1e9:,.0f} GB free", ""
        if not os.access(place, os.W_OK):
            advice = "cannot be written; go to another folder" if what == "this folder" else "set TMPDIR to another"
        elif free < LEAST_DISK:
            advice = "a store takes a byte per base, a run some megabytes; make room or go to another disk"
        elif kind in NETWORK_DISKS and what == "temporary files":
            advice = "a disk of this machine is faster; set TMPDIR"
        yield Finding(what, found, "note" if advice else "ok", advice)


def _session() -> Iterator[Finding]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = most != resource.RLIM_INFINITY and most < LEAST_FILES
    advice = f"ulimit -n {4 * LEAST_FILES}" if few else ""
    yield Finding("open files", str(most) if most >= 0 else "unlimited", "note" if few else "ok", advice)
    coding = locale.getpreferredencoding(False)
    plain = coding.lower().replace("-", "") != "utf8"
    advice = "names beyond ASCII may not be shown; export LC_ALL=C.UTF-8" if plain else ""
    yield Finding("text", coding, "note" if plain else "ok", advice)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    odd = bool(threads) and not threads.split(",")[0].isdigit()
    advice = "expected a number; unset OMP_NUM_THREADS" if odd else ""
    yield Finding("OMP_NUM_THREADS", threads or "not set: all cores", "note" if odd else "ok", advice)


def _workflow() -> Iterator[Finding]:
    if (shipped.workflow() / "Snakefile").is_file():
        yield Finding("workflow", "is there")
    else:
        yield Finding("workflow", "missing", "wrong", "install genossl again: its installation is not whole")
    for name in ("snakemake", "torchrun"):
        seen = shutil.which(name) is not None
        advice = "" if seen else "activate the environment that genossl is in: its programs are not on PATH"
        yield Finding(name, "on PATH" if seen else "not on PATH", "ok" if seen else "note", advice)
    commands = [name for name in ("sbatch", "squeue", "sacct", "scancel") if shutil.which(name)]
    plugin = machine.version_of("snakemake-executor-plugin-slurm")
    if "sbatch" in commands and not plugin:
        yield Finding("Slurm", ", ".join(commands), "note", "pip install 'genossl[slurm]' to run on it")
    elif commands:
        yield Finding("Slurm", f"{', '.join(commands)}; plugin {plugin}")
    else:
        yield Finding("Slurm", "not here")


def _extras() -> Iterator[Finding]:
    asked: dict[str, list[requirements.Requirement]] = {}
    for one in requirements.requirements():
        asked.setdefault(one.extra, []).append(one)
    for extra, gives in EXTRAS.items():
        if extra in ("dev", "docs") or extra not in asked:
            continue
        lacking = [one for one in asked[extra] if not one.met]
        advice = f"{gives}: pip install 'genossl[{extra}]'" if lacking else ""
        shown = ", ".join(f"{one.package} {one.found or 'missing'}" for one in asked[extra])
        yield Finding(f"[{extra}]", shown, "note" if lacking else "ok", advice)


def verdict(found: list[Finding]) -> str:
    """One sentence: whether genossl can run here."""
    wrong = [finding.what for finding in found if finding.state == "wrong"]
    if wrong:
        return f"genossl cannot run here: {', '.join(wrong)}"
    notes = sum(finding.state == "note" for finding in found)
    return f"genossl can run here{f'; {notes} notes above (-), none of them needed' if notes else ''}"
