"""The wheel and the sdist: what is in them, that the wheel works outside a checkout, and that all versions agree."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import reads

from genossl import __version__
from genossl.config import read_yaml

# import name -> package name, where they differ
PACKAGES = {"Bio": "biopython", "sklearn": "scikit-learn", "ruamel": "ruamel.yaml", "faiss": "faiss-cpu"}


@pytest.fixture(scope="session")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was made of it."""
    out = tmp_path_factory.mktemp("dist")
    alone = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", *alone, "--outdir", str(out), str(repository)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_has_all_that_runs_and_nothing_else(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True).stdout.split()
    expected = {name for name in tracked if name.startswith("genossl/")}
    workflow = {name for name in tracked if name.startswith("workflow/")} | {"Snakefile", "config.yaml"}
    expected |= {f"genossl/workflow/{name}" for name in workflow}
    about = f"genossl-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(about)} >= expected
    # of a working tree files that are not committed yet may be there too, but none from elsewhere
    assert not [name for name in names if not name.startswith(("genossl/", about))]
    assert f"{about}licenses/LICENSE" in names
    for name in (
        "py.typed",
        "presets/default.yaml",
        "verbs/report.html.j2",
        "verbs/page/page.js",
        "verbs/page/page.css",
    ):
        assert f"genossl/{name}" in names
    assert "genossl/workflow/workflow/profiles/slurm/config.yaml" in names


def test_the_sdist_is_the_repository(built: Path, repository: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(path).getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "CITATION.cff",
        "Snakefile",
        "examples/genomes.tsv",
        "tests/conftest.py",
    } <= names
    tracked = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True).stdout.split()
    folders = {name.partition("/")[0] for name in tracked} | {"PKG-INFO", ""}
    assert {name.partition("/")[0] for name in names} <= folders  # no results, logs, caches
    assert path.stat().st_size < 20e6


def test_what_the_wheel_says_of_itself(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    about = archive.read(f"genossl-{__version__}.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.11\n" in about
    assert "License-Expression: MIT\n" in about
    assert "Description-Content-Type: text/markdown\n" in about
    assert {"parquet", "slurm", "docs", "dev"} <= set(re.findall(r"^Provides-Extra: (\S+)$", about, re.M))
    scripts = archive.read(f"genossl-{__version__}.dist-info/entry_points.txt").decode()
    assert "genossl = genossl.cli:main" in scripts


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """Run a program of an environment that has the wheel, and this one's packages but not this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # behind the environment's own, so that its genossl is the one found
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment |= {"PATH": path, "OMP_NUM_THREADS": "1"}

    def run(cwd: Path, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(folder / "bin" / words[0]), *words[1:]], cwd=cwd, capture_output=True, text=True, env=environment
        )
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


def test_it_runs_outside_of_a_checkout(installed, tmp_path: Path, repository: Path) -> None:
    where = installed(tmp_path, "python", "-c", "import genossl; print(genossl.__file__, genossl.__version__)")
    assert str(repository) not in where
    assert where.endswith(f"site-packages/genossl/__init__.py {__version__}\n")
    assert installed(tmp_path, "genossl", "--version").startswith(f"genossl {__version__} (Python ")
    assert "genossl can run here" in installed(tmp_path, "genossl", "doctor")
    assert "simclr" in installed(tmp_path, "genossl", "methods")


def test_a_project_of_the_wheel_finds_its_workflow(installed, tmp_path: Path) -> None:
    """What `genossl init` writes names no path, so that it holds wherever genossl is installed."""
    reads(tmp_path, {"train": 10, "validation": 6, "test": 20})
    (tmp_path / "tasks.tsv").rename(tmp_path / "planted.tsv")
    installed(tmp_path, "genossl", "init", "p", "--genomes", "data")
    (tmp_path / "p" / "tasks.tsv").write_text("task\tpath\nreads\t../reads.tsv\n")
    sheet = (tmp_path / "p" / "genomes.tsv").read_text()
    (tmp_path / "p" / "genomes.tsv").write_text(
        re.sub(r"_(train|validation|test)\.fa\t$", r"_\1.fa\t\1", sheet, flags=re.M)
    )
    assert "task reads: 72 rows, 2 classes" in installed(tmp_path / "p", "genossl", "check", "config.yaml")
    planned = installed(tmp_path / "p", "python", "-m", "snakemake", "--cores", "1", "--dry-run")
    jobs = dict(re.findall(r"^(\w+)\s+(\d+)\s*$", planned, re.M))
    assert (jobs["ingest"], jobs["pretrain"], jobs["probe"], jobs["report"], jobs["project"]) == (
        "1",
        "2",
        "1",
        "1",
        "1",
    )
    assert str(tmp_path) not in (tmp_path / "p" / "Snakefile").read_text()


def test_one_version_everywhere(repository: Path) -> None:
    about = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = read_yaml(repository / "CITATION.cff")
    recipe = (repository / "conda" / "recipe.yaml").read_text()
    assert about["version"] == citation["version"] == __version__
    assert re.search(r'^  version: "(.+)"$', recipe, re.M)[1] == __version__
    released = re.findall(r"^## \[(\d\S*)\]", (repository / "CHANGELOG.md").read_text(), re.M)
    assert not released or released[0] == __version__  # unreleased so far


def test_the_conda_recipe_asks_for_what_the_package_asks_for(repository: Path) -> None:
    about = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    recipe = read_yaml(repository / "conda" / "recipe.yaml")
    conda = {
        "torch": "pytorch",
        "isal": "python-isal",
        "snakemake": "snakemake-minimal",
        "matplotlib": "matplotlib-base",
    }
    wanted = set()
    for line in about["dependencies"]:
        name, bounds = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?(.*)", line).groups()
        wanted.add(f"{conda.get(name, name)} {bounds}")
    run = set(recipe["requirements"]["run"]) - {"python >=${{ python_min }}", "pygments"}
    assert run == wanted


def _imports(node: ast.Call) -> bool:
    """Whether a call imports what a string in it says."""
    by_name = ast.unparse(node.func).endswith(("import_module", "importorskip", "find_spec"))
    return by_name and isinstance(node.args[0], ast.Constant)


def imported(folder: Path) -> Iterator[str]:
    """Top names of what Python files import, also by name in a string."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module).split(".")[0]
            elif isinstance(node, ast.Call) and _imports(node):
                yield ast.literal_eval(node.args[0]).split(".")[0]


def named(lines: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in lines}  # type: ignore[index]


def packages(names: Any) -> set[str]:
    own = {"genossl", "compression", "backports"}  # of newer Pythons
    outside = set(names) - set(sys.stdlib_module_names) - own
    return {PACKAGES.get(name, name).lower().replace("_", "-") for name in outside}


def test_what_is_imported_is_named_and_what_is_named_is_imported(repository: Path) -> None:
    about = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    needed, extras = named(about["dependencies"]), about["optional-dependencies"]
    offered = named([line for lines in extras.values() for line in lines])
    used = packages(imported(repository / "genossl"))
    assert needed - {"snakemake"} <= used  # which runs genossl, not the other way round
    assert used <= needed | offered | {"mlflow", "wandb"}
    own = {path.stem for folder in ("tests", "benchmarks") for path in (repository / folder).rglob("*.py")} | {"speed"}
    tests = packages(set(imported(repository / "tests")) - own)
    assert tests <= needed | offered | {"atheris", "mlflow", "wandb"}


def test_the_readme_names_each_extra(repository: Path) -> None:
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = (repository / "README.md").read_text().partition("| extra | gives |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(extras)
