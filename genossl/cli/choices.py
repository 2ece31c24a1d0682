"""What the shell offers at the Tab key; nothing heavy is imported for it."""

from __future__ import annotations

import re

from click import Context, Parameter
from click.shell_completion import CompletionItem

from genossl import config, methods, shipped


def _among(names: list[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def _files(begun: str) -> list[CompletionItem]:
    return [CompletionItem(begun, type="file")]


def method(ctx: Context, option: Parameter, begun: str) -> list[CompletionItem]:
    """Names of the pretext methods."""
    return _among(methods.available(), begun)


def preset(ctx: Context, option: Parameter, begun: str) -> list[CompletionItem]:
    """Presets, else files."""
    return _among(shipped.presets(), begun) or _files(begun)


def encoder(ctx: Context, option: Parameter, begun: str) -> list[CompletionItem]:
    """Embeddings that need no run, else folders of runs."""
    known = ["gc", *(f"kmer:{k}" for k in range(1, 9)), "untrained:"]
    return (_among(known, begun) if begun else []) or _files(begun)


def path(ctx: Context, option: Parameter, begun: str) -> list[CompletionItem]:
    """Files and folders, for a parameter that may be - or another word too."""
    return _files(begun)


def setting(ctx: Context, option: Parameter, begun: str) -> list[CompletionItem]:
    """Keys of the verb's settings, as its help lists them, each with its comment."""
    found = {}
    for title, module, name in getattr(ctx.command, "settings", ()):
        section = re.search(r"--set (\w+\.)?KEY", title)
        found |= _keys((section and section[1]) or "", module, name)
    if "method" in ctx.params:
        found |= _keys("method.", f"methods/{ctx.params['method'] or 'self_genomenet'}.py", "Settings")
    return [CompletionItem(f"{key}=", help=told) for key, told in found.items() if key.startswith(begun)]


def _keys(section: str, module: str, name: str) -> dict[str, str]:
    source = shipped.HOME / module
    lines = config.described(source.read_text(encoding="utf-8"), name) if source.is_file() else []
    return {section + line.partition(":")[0]: line.partition("  # ")[2] for line in lines}
