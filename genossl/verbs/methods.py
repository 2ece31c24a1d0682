"""The pretext methods there are, and the settings of each."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap

from genossl.methods import available, load


def run(name: str | None = None) -> list[str]:
    """Every method in a line, or one with its description and settings. Raises InputError for an unknown name."""
    if name is None:
        found = [(n, inspect.getdoc(sys.modules[load(n).__module__]) or "") for n in available()]
        return [f"{n:16s} {doc.splitlines()[0].partition(': ')[2]}" for n, doc in found]
    kind = load(name)
    fields = [_field(node, kind.Settings) for node in _body(kind.Settings) if isinstance(node, ast.AnnAssign)]
    return [inspect.getdoc(sys.modules[kind.__module__]) or "", "", f"Settings (--set {name}.KEY=VALUE):", *fields]


def _body(settings: type) -> list[ast.stmt]:
    node = ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0]
    assert isinstance(node, ast.ClassDef)
    return node.body


def _field(node: ast.AnnAssign, settings: type) -> str:
    """`name: type = default  # comment` in one line, however the source breaks it."""
    lines = inspect.getsource(settings).splitlines()[node.lineno - 1 : node.end_lineno]
    comments = [line.partition("  # ")[2] for line in lines if "  # " in line]
    return f"{ast.unparse(node)}  # {' '.join(comments)}"
