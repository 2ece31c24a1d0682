"""The pretext methods there are, and the settings of each."""

from __future__ import annotations

import inspect
import sys

from genossl.config import described
from genossl.methods import available, load


def run(name: str | None = None) -> list[str]:
    """Every method in a line, or one with its description and settings. Raises InputError for an unknown name."""
    if name is None:
        found = [(n, inspect.getdoc(sys.modules[load(n).__module__]) or "") for n in available()]
        return [f"{n:16s} {doc.splitlines()[0].partition(': ')[2]}" for n, doc in found]
    kind = load(name)
    module = sys.modules[kind.__module__]
    fields = described(inspect.getsource(module), "Settings")
    return [inspect.getdoc(module) or "", "", f"Settings (--set {name}.KEY=VALUE):", *fields]
