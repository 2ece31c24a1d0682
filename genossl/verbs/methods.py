"""The pretext methods there are, and the settings of each."""

from __future__ import annotations

import inspect
import sys

from genossl.config import described
from genossl.methods import available, load, papers


def run(name: str | None = None) -> list[str]:
    """Every method with its paper and preset, or one with its description and settings.

    Raises InputError for an unknown name.
    """
    if name is None:
        lines = []
        for known in available():
            kind = load(known)
            doc = inspect.getdoc(sys.modules[kind.__module__]) or ""
            lines.append(f"{known:16s} {doc.splitlines()[0].partition(': ')[2]}")
            lines.append(f"{'':16s} {', '.join(papers(doc))}; starts from --config {kind.preset}")
        return lines
    kind = load(name)
    module = sys.modules[kind.__module__]
    fields = described(inspect.getsource(module), "Settings")
    return [inspect.getdoc(module) or "", "", f"Settings (--set {name}.KEY=VALUE):", *fields]
