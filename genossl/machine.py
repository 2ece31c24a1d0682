"""What this machine has, seen without importing anything heavy: versions, CUDA, memory, disks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from pathlib import Path

from genossl import __version__

GPU_DRIVER = Path("/proc/driver/nvidia")


def version_of(package: str) -> str:
    """The installed version, "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def torch_cuda() -> str:
    """The CUDA that the installed torch was built for, "" for none; read from its file, since importing it is slow."""
    found = importlib.util.find_spec("torch")
    text = Path(found.origin).with_name("version.py").read_text() if found and found.origin else ""
    match = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)['\"]", text, re.M)
    return match[1] if match else ""


def driver() -> str:
    """The version of NVIDIA's driver, "" where none is loaded."""
    try:
        text = (GPU_DRIVER / "version").read_text()
    except OSError:
        return ""
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return match[1] if match else "unknown"


def gpus() -> list[str]:
    """Models of NVIDIA's GPUs, as the driver names them."""
    found = []
    for path in sorted(GPU_DRIVER.glob("gpus/*/information")):
        match = re.search(r"^Model:\s*(.+)$", path.read_text(), re.M)
        found.append(match[1].strip() if match else "GPU")
    return found


def versions() -> str:
    """One line: genossl and what its results hang on most."""
    cuda = torch_cuda()
    seen = f"CUDA {cuda}, {f'driver {driver()}' if driver() else 'no driver'}" if cuda else "no CUDA"
    return (
        f"genossl {__version__} (Python {platform.python_version()}, torch {version_of('torch') or 'missing'} "
        f"with {seen}, snakemake {version_of('snakemake') or 'missing'})"
    )


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory that this process may use: the machine's, or what its control group allows; 0: unknown."""
    try:
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            most = min(most, int(Path(path).read_text()))
        except (OSError, ValueError):  # no control group, or "max"
            continue
    return most


def filesystem(path: Path) -> str:
    """The type of the file system that holds a path, such as ext4 or nfs4; "" where the system does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    place = path.resolve()
    holding = [(Path(m[1].replace("\\040", " ")), m[2]) for m in mounts if len(m) > 2]
    return max(
        ((len(at.parts), i, kind) for i, (at, kind) in enumerate(holding) if place.is_relative_to(at)),
        default=(0, 0, ""),
    )[2]


def free(path: Path) -> int:
    """Bytes that may still be written where `path` is."""
    return shutil.disk_usage(path).free
