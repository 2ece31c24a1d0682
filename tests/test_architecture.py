"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genossl import cli
from genossl.config import read_yaml

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [  # from the top; the first that fits counts
    (8, "__main__"),
    (7, "cli"),
    (6, "verbs"),
    (6, "api"),
    (5, "methods"),
    (5, "recipe"),
    (5, "sharing"),
    (4, "pretext"),
    (3, "model"),
    (2, "genome"),
    (1, "evaluation"),
    (1, "errors"),
    (1, "lock"),
    (1, "files"),
    (1, "config"),
    (1, "shipped"),
    (1, "machine"),
    (1, "requirements"),
    (1, "pace"),
]
FILES = sorted(path for path in (ROOT / "genossl").rglob("*.py") if path != ROOT / "genossl" / "__init__.py")
NAMES = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES]
TREES = {name: ast.parse(path.read_text()) for name, path in zip(NAMES, FILES, strict=True)}
PUBLIC_VERBS = ("fetch", "ingest", "tasks", "audit", "pretrain", "embed", "finetune", "probe", "strands", "cluster")
PUBLIC_VERBS += ("report",)


def floor(module: str) -> int:
    place = module.split(".")[1]
    return next(level for level, name in FLOORS if name == place)


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything of genossl that a file imports, anywhere in it, also for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in TREES else str(node.module)


def inner(tree: ast.AST) -> set[str]:
    return {name for name in imports(tree) if name.startswith("genossl.")}


@pytest.mark.parametrize("module", TREES)
def test_imports_point_down(module: str) -> None:
    for imported in inner(TREES[module]):
        if module == "genossl.verbs.check" and imported.startswith("genossl.verbs"):
            continue  # below
        own, other = ".".join(module.split(".")[:2]), ".".join(imported.split(".")[:2])
        down = floor(imported) < floor(module)
        beside = floor(imported) == floor(module) and (own == other or floor(module) in (1, 5))
        assert down or beside, f"{module} (floor {floor(module)}) imports {imported} (floor {floor(imported)})"


@pytest.mark.parametrize("folder", ["genossl.verbs", "genossl.methods"])
def test_verbs_and_methods_do_not_know_each_other(folder: str) -> None:
    for module, tree in TREES.items():
        if module.startswith(f"{folder}.") and module != "genossl.verbs.check":
            assert not [name for name in inner(tree) if name.startswith(f"{folder}.")], module


def test_check_reads_settings_of_verbs_and_runs_none() -> None:
    tree = TREES["genossl.verbs.check"]
    verbs = {name.split(".")[-1] for name in inner(tree) if name.startswith("genossl.verbs.")} | {"labelled"}
    verbs -= {"rerun"}  # which reads what lies beside an artefact, and changes nothing
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in verbs
    }
    assert used <= {
        "Settings",
        "prepare",
        "Prepared",
        "SPLITS",
        "ROWS",
    }  # prepare of tasks, probe and cluster says whether a table can be a task, probed or clustered, SPLITS what ingest
    # takes, ROWS what makes rows of finetune equal to the probe's


def test_no_import_in_a_circle() -> None:
    graph = {name: inner(tree) for name, tree in TREES.items()}

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph.get(waiting.pop(), set()) - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    assert not [name for name in graph if name in reachable(name)]


@pytest.mark.parametrize("module", ["verbs.audit", "verbs.probe", "verbs.cluster", "verbs.report", "evaluation"])
def test_what_measures_does_not_know_torch(module: str) -> None:
    names = [name for name in TREES if name.startswith(f"genossl.{module}")]
    assert not [name for name in names if "torch" in {i.split(".")[0] for i in imports(TREES[name])}]
    code = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("verb", PUBLIC_VERBS)
def test_one_word_in_five_places(verb: str) -> None:
    assert f"genossl.verbs.{verb}" in TREES
    assert verb in cli.cli.commands
    assert f"rule {verb}:" in (ROOT / "workflow" / "rules" / f"{verb}.smk").read_text()
    assert (ROOT / "tests" / f"test_{verb}.py").is_file()
    assert {"pretrain": "runs"}.get(verb, verb) in read_yaml(ROOT / "config.yaml")


def test_every_verb_is_a_command_and_every_command_a_verb() -> None:
    verbs = {name.split(".")[-1] for name in TREES if name.startswith("genossl.verbs.")}
    assert verbs | {"completion"} == set(cli.cli.commands)  # which is of the command line itself


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_each_setting_has_a_default_and_a_comment(path: Path) -> None:
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name in ("Settings", "Loop", "Jobs"):
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    lines = text.split("\n")[field.lineno - 1 : field.end_lineno]
                    assert field.value is not None, f"{ast.unparse(field)} has no default"
                    assert any("#" in line for line in lines), f"{ast.unparse(field)} has no comment"


@pytest.mark.parametrize("module", TREES)
def test_every_public_function_and_class_says_what_it_is(module: str) -> None:
    tree = TREES[module]
    assert ast.get_docstring(tree), f"{module} has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if [ast.unparse(decorator) for decorator in node.decorator_list] == ["overload"]:
                continue
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


@pytest.mark.parametrize("module", [name for name in TREES if not name.startswith("genossl.cli")])
def test_no_print_no_exit_no_bare_except_outside_the_command_line(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "sys.exit", "exit", "quit", "os._exit", "click.echo"), module
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{module}: bare except"


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [path for path in FILES if re.fullmatch(r"utils?|helpers?|common|misc", path.stem)]
