"""The menu of pretext methods: a file in this folder is a method, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

from genossl.errors import InputError

if TYPE_CHECKING:
    from genossl.pretext.method import Method


def available() -> list[str]:
    """Names of all methods, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Method]:
    """The class of a method; raises InputError with the list for an unknown name."""
    if name not in available():
        preset = Path(__file__).parent.parent / "presets" / f"{name}.yaml"
        hint = "; it is a preset: --config" if preset.is_file() else ""
        raise InputError(f"method {name!r} is unknown; available: {', '.join(available())}{hint}")
    from genossl.pretext.method import Method

    module = importlib.import_module(f"{__name__}.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one Method, found {len(found)}")
    return found[0]


def papers(doc: str) -> list[str]:
    """What a method's docstring cites, each once: arXiv numbers and DOIs."""
    return list(dict.fromkeys(re.findall(r"arXiv \d{4}\.\d{4,5}|doi 10\.[^\s,;)]*[^\s,;).]", doc)))
