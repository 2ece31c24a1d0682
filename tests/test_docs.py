"""The documentation: the site builds without a warning and without a network, and what its pages name exists."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import gallery
import pages
import pytest

import genossl
from genossl import methods
from genossl.cli import cli
from genossl.config import read_yaml

DOCS = pages.ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it, but for the notebooks, which another test runs."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    words = ["-b", "html", "-W", "--keep-going", "-n", "-q", "-D", "nb_execution_mode=off", "-d", str(out / "trees")]
    command = [sys.executable, "-m", "sphinx", *words, str(DOCS), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]
    return out / "html"


def addresses(page: Path) -> list[tuple[str, str]]:
    """Tag and address of everything that a page loads or leads to."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend((tag, value) for name, value in attrs if name in ("src", "href") and value)

    Reader().feed(page.read_text())
    return found


def test_every_page_has_its_place(site):
    expected = [path.relative_to(DOCS).with_suffix("") for path in [*pages.PAGES[1:], *NOTEBOOKS]]
    assert [str(path) for path in expected if not (site / f"{path}.html").is_file()] == []
    assert {str(path) for path in expected}.isdisjoint({"search", "genindex", "py-modindex"})  # Sphinx's own pages


def test_pages_load_nothing_from_elsewhere_and_open_from_disk(site):
    for page in site.rglob("*.html"):
        for tag, address in addresses(page):
            elsewhere = re.match(r"\w+:|//", address)
            assert tag == "a" or not elsewhere, f"{page.name} loads {address}"
            if not elsewhere and not address.startswith("#"):
                path = address.partition("#")[0].partition("?")[0]
                assert (page.parent / path).exists(), f"{page.name} names {address}"


def test_style_sheets_load_nothing_from_elsewhere(site):
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:|//)", sheet.read_text()), sheet.name


def test_the_command_reference_lists_the_settings_of_a_verb(site):
    text = (site / "reference" / "cli.html").read_text()
    assert all(f'id="genossl-{verb}"' in text for verb in cli.commands)
    assert "pool: Literal" in re.sub(r"<[^>]+>", "", text)


def test_the_python_reference_has_every_public_name(site):
    text = (site / "reference" / "api.html").read_text()
    shown = re.findall(r'descname"><span class="pre">(\w+)<', text)
    assert {*genossl.__all__} - {*shown} == {"__version__", "methods"}


def test_the_tables_of_settings_come_from_the_code(site):
    """Every setting of every method, and every key of config.yaml."""
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "methods.html").read_text())
    for name in methods.available():
        for field in dataclasses.fields(methods.load(name).Settings):
            assert re.search(rf"^{field.name}$", text, re.M), f"{name}.{field.name}"
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "configuration.html").read_text())
    for key, value in read_yaml(pages.ROOT / "config.yaml").items():
        for below in value if isinstance(value, dict) else ():
            assert f"{key}.{below}" in text


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_python_on_a_page_compiles(page):
    for block in pages.blocks(page):
        if block.kind == "python":
            compile(block.body, f"{pages.name(page)} line {block.line}", "exec")


def options(command: click.Command) -> set[str]:
    """The options of a command, with the one that every command has."""
    return {name for p in command.params if isinstance(p, click.Option) for name in p.opts} | {"--help"}


CALLS = [
    (f"{pages.name(page)} line {block.line}", words)
    for page in pages.PAGES
    for block in pages.blocks(page)
    if block.kind == "console"
    for words in pages.calls(block.body)
]


def test_pages_show_commands():
    assert len(CALLS) > 60
    assert len({where.partition(" ")[0] for where, _ in CALLS}) > 12


@pytest.mark.parametrize("where,words", CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_command_shown_exists_with_its_options(where, words):
    at = next((i for i, word in enumerate(words) if word not in options(cli)), len(words))
    if at < len(words):
        assert words[at] in cli.commands
        given = {word.partition("=")[0] for word in words[at:] if word.startswith("--")}
        assert given <= options(cli.commands[words[at]])


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_files_that_a_page_names_are_there(page):
    """In code, and as the target of a link."""
    written = {block.mark.removeprefix("file ") for block in pages.blocks(page)}
    for path in re.findall(r"`((?:genossl|docs|tests|workflow|examples|benchmarks)/[\w./-]+)[`:]", page.read_text()):
        assert (pages.ROOT / path).exists() or path in written, f"{pages.name(page)}: {path}"
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)", page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), f"{pages.name(page)} links to {target}"
        made = "reference" in there.parts  # by the build, which looks at these links
        if anchor and not made:
            assert anchor in pages.anchors(there), f"{pages.name(page)} links to {target}#{anchor}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook):
    for cell in json.loads(notebook.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(pages.ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    book = nbformat.read(notebook, 4)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(notebook.parent)}}).execute()
    assert any(cell.get("outputs") for cell in book.cells)


def test_the_menu_of_the_method_cards_is_whole():
    menu = (DOCS / "methods.md").read_text().partition("## The menu")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", menu, re.M)) == methods.available()


def test_the_gallery_shows_each_picture_that_is_taken():
    shown = re.findall(r"\]\(gallery/(\w+)\.png\)", (DOCS / "gallery.md").read_text())
    assert shown == list(gallery.SHOTS)
    assert sorted(path.stem for path in (DOCS / "gallery").iterdir()) == sorted(shown)


def test_pictures_are_small():
    pictures = [path for suffix in ("png", "svg") for path in DOCS.rglob(f"*.{suffix}") if "_build" not in path.parts]
    assert [path.name for path in pictures if path.stat().st_size > 300_000] == []
