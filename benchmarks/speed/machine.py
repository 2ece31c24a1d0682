"""What a table was measured on, by name."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from typing import Any

from genossl.files import versions

# instruction sets that decide how fast bytes are translated and matrices multiplied
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "sve", "bf16")
# that are measured or measured with
PACKAGES = ("genossl", "torch", "numpy", "biopython", "pyfaidx", "isal", "scikit-learn")


def machine() -> dict[str, Any]:
    """CPU, cores, instruction sets, memory in GiB, and how busy the machine was."""
    info = _cpuinfo()
    present = set(info.get("flags", info.get("Features", "")).split())
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "model": " ".join(info[key] for key in ("cpu family", "model", "stepping") if key in info),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in present],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "versions": versions(PACKAGES),
    }


def fastest() -> str:
    """The precision that genossl chooses on this CPU: bf16 where it is the faster."""
    import torch

    from genossl.model.precision import chosen

    return chosen("auto", torch.device("cpu"))


def _cpuinfo() -> dict[str, str]:
    """The first core's lines of /proc/cpuinfo; empty where there is none."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
        return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    return {}
