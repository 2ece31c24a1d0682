"""What the site says about settings, read from where they are: the package's dataclasses and config.yaml.

    ```{methods}
    ```                      every pretext method: what its file says of itself, and its settings
    ```{configuration}
    ```                      config.yaml, section by section

The command reference of sphinx-click gets the settings that `--help` lists, and records the comments of their fields.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from genossl import methods, shipped
from genossl.cli.options import Verb
from genossl.config import described

CONFIG = shipped.workflow() / "config.yaml"
KEY = re.compile(r"(?P<indent> *)(?P<key>\w+): ?(?P<value>.*?)(?: +# (?P<comment>.*))?")


def fields(source: str, name: str) -> list[tuple[str, str, str, str]]:
    """Key, type, default and comment of each field of the dataclass `name` in a module's source."""
    rows = []
    for line in described(source, name):
        field, _, comment = line.partition("  # ")
        key, _, rest = field.partition(": ")
        kind, _, default = rest.partition(" = ")
        rows.append((key, kind, default, comment))
    return rows


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], code: int) -> str:
    """A Markdown table whose first `code` columns are code."""
    cells = [[f"`{cell}`" if cell and i < code else cell for i, cell in enumerate(row)] for row in rows]
    lines = [head, ("---",) * len(head), *cells]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) + " |" for line in lines
    )


class Written(SphinxDirective):
    """A directive whose content is Markdown that we write."""

    def text(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(self.text(), allow_section_headings=True)


class Methods(Written):
    def text(self) -> str:
        parts = []
        for name in methods.available():
            kind = methods.load(name)
            module = sys.modules[kind.__module__]
            self.env.note_dependency(str(module.__file__))
            idea = (inspect.getdoc(module) or "").replace("*", r"\*")
            rows = table(
                ("setting", "type", "default", "what it is"), fields(inspect.getsource(module), "Settings"), code=3
            )
            preset = f"Starts from the preset `{kind.preset}`."
            parts += [f"## {name}", idea, preset, rows]
        return "\n\n".join(parts)


class Configuration(Written):
    def text(self) -> str:
        self.env.note_dependency(str(CONFIG))
        parts = []
        for told, rows in sections(CONFIG.read_text()):
            name, shown = rows[0][0], [row for row in rows if row[1] or row[2]]
            parts += [f"## {name}", told, table(("key", "in the demo", "what it is"), shown, code=2)]
        return "\n\n".join(part for part in parts if part)


def sections(text: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Of each top-level key: the comment above it, and key, value and comment of itself and the keys below it."""
    found: list[tuple[str, list[tuple[str, str, str]]]] = []
    above: list[str] = []
    for line in text.split("\n"):
        match = KEY.fullmatch(line)
        if match and not match["indent"]:
            found.append((" ".join(above), []))
            above = []
        if match:
            name = match["key"] if not match["indent"] else f"{found[-1][1][0][0]}.{match['key']}"
            found[-1][1].append((name, match["value"], match["comment"] or ""))
        elif line.startswith("# "):
            above.append(line[2:])
        elif line.lstrip().startswith("# "):
            name, value, comment = found[-1][1].pop()
            found[-1][1].append((name, value, f"{comment} {line.lstrip()[2:]}"))
    return found


def settings_of_a_verb(_: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Before the epilog of a command: the settings that its help lists, as reStructuredText."""
    if not isinstance(context.command, Verb):
        return
    told = []
    for title, module, name in context.command.settings:
        told += [f".. rubric:: {title}", ""]
        for key, kind, default, comment in fields((shipped.HOME / module).read_text(), name):
            told += [f"``{key}: {kind} = {default}``", f"   {comment}"]
        told.append("")
    lines[:] = told  # the epilog itself, the exit codes, is said once on the page


def fields_of_a_record(_: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """After the docstring of a dataclass or named tuple: its fields and the comments beside them."""
    if what == "class" and (issubclass(found, tuple) or dataclasses.is_dataclass(found)):
        source = textwrap.dedent(inspect.getsource(found))
        for key, kind, default, comment in fields(source, name.rpartition(".")[2]):
            lines += [f"* ``{key}: {kind}{f' = {default}' if default else ''}``  {comment}"]
        lines.append("")


def no_fields_again(_: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """The fields of a named tuple stand in its own text; "Alias for field number 0" adds nothing."""
    return True if type(member).__name__ == "_tuplegetter" else None


def links_that_leave(app: Sphinx, page: str, source: list[str]) -> None:
    """A link to a file of the repository, for readers on a forge, is its text on the site."""
    here = app.env.doc2path(page).parent

    def text_alone(link: re.Match[str]) -> str:
        inside = (here / link["target"]).resolve().is_relative_to(app.srcdir)
        return link[0] if inside else f"`{link['text'].strip('`')}`"

    source[0] = re.sub(r"\[(?P<text>[^]\n]+)\]\((?P<target>\.\./[^)#\s]+)\)", text_alone, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("methods", Methods)
    app.add_directive("configuration", Configuration)
    app.connect("autodoc-process-docstring", fields_of_a_record)
    app.connect("autodoc-skip-member", no_fields_again)
    app.connect("source-read", links_that_leave)
    app.connect("sphinx-click-process-epilog", settings_of_a_verb)
    return {"parallel_read_safe": True}
