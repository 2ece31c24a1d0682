"""The documentation as its readers see it: pages, fenced blocks, and the commands in them.

A comment on the line above a block, which readers do not see, says what the tests do with it: `file NAME` (write it
there) or `not run: WHY`. Without one, a console or python block is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(?:<!-- (?P<mark>.*?) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.M | re.S)
ENDS = ("|", "||", "&&", ";", "&", ">")  # of a command in a line of several


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str  # console, python, yaml, text, ...
    body: str
    mark: str  # the comment above it
    line: int  # of the page, where the body begins


def name(page: Path) -> str:
    """A page's path below the repository."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What a forge calls the headings of a page in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path) -> Iterator[Block]:
    """In the order of the page."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        yield Block(found["kind"], found["body"], found["mark"] or "", text.count("\n", 0, found.start("body")) + 1)


def commands(body: str) -> list[str]:
    """What is typed in a console block, prompts taken off, with the lines it goes on in."""
    typed: list[str] = []
    goes_on = False
    for line in body.splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
        elif line.startswith("> ") or (goes_on and typed):
            typed[-1] += "\n" + line.removeprefix("> ")
        else:
            continue
        goes_on = line.endswith("\\")
    return typed


def shown(body: str) -> list[str]:
    """What a console block shows as answers."""
    typed = {line for command in commands(body) for line in command.splitlines()}
    return [line for line in body.splitlines() if line and line.removeprefix("$ ").removeprefix("> ") not in typed]


def calls(body: str) -> Iterator[list[str]]:
    """The words of every call of genossl in a console block, wherever in a command it stands."""
    for command in commands(body):
        words = shlex.split(command.replace("\\\n", " ").replace("\n", " ; "), comments=True)
        for first, word in enumerate(words):
            if word == "genossl":
                rest = words[first + 1 :]
                yield rest[: next((i for i, word in enumerate(rest) if word in ENDS), None)]
