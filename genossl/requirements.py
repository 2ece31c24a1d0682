"""What genossl asks to be installed, and whether it is: the bounds of pyproject.toml and the versions found."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from typing import NamedTuple

from genossl import shipped
from genossl.machine import version_of

EXTRAS = {  # what each gives
    "parquet": "embeddings as Parquet",
    "zstd": "input packed by zstd (.zst)",
    "anndata": "embeddings as .h5ad, for scanpy and the rest of scverse",
    "bigwig": "tracks that genome browsers read",
    "search": "nearest neighbours among very many vectors (faiss)",
    "explain": "which bases a decision hangs on (captum)",
    "track": "a run's curves in TensorBoard",
    "hub": "encoders from and to the Hugging Face hub",
    "slurm": "the workflow on a cluster with Slurm",
    "docs": "building the documentation",
    "dev": "tests and linters, and all of the above",
}
_OPERATORS = {
    ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


class Requirement(NamedTuple):
    """One package, its bounds as written, and the extra that asks for it ("": all of genossl)."""

    package: str
    bounds: str
    extra: str

    @property
    def found(self) -> str:
        """The version installed, "" for none."""
        return version_of(self.package)

    @property
    def met(self) -> bool:
        """Whether a version within the bounds is installed."""
        return bool(self.found) and within(self.found, self.bounds)


def requirements() -> list[Requirement]:
    """All of them but the extra dev, which asks for the others: of the checkout, else of the installed package."""
    project = shipped.HOME.parent / "pyproject.toml"
    if shipped.workflow() == shipped.HOME.parent and project.is_file():
        about = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        given = {"": about["dependencies"], **about["optional-dependencies"]}
        lines = [(line, extra) for extra, lines in given.items() for line in lines]
    else:
        lines = []
        for line in importlib.metadata.requires("genossl") or []:
            line, _, marker = line.partition(";")
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
            lines.append((line, extra[1] if extra else ""))
    return [_read(line, extra) for line, extra in lines if extra != "dev"]


def _read(line: str, extra: str) -> Requirement:
    match = re.fullmatch(r"\s*([A-Za-z0-9_.-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*", line)
    assert match, line
    return Requirement(match[1], match[2].replace(" ", ""), extra)


def within(version: str, bounds: str) -> bool:
    """Whether a version such as 2.13.0+cpu keeps bounds such as >=2.10,<3."""
    for bound in filter(None, bounds.split(",")):
        match = re.fullmatch(r"(>=|<=|==|!=|<|>)([\d.]+)", bound)
        assert match, bounds
        if not _OPERATORS[match[1]](*_padded(version, match[2])):
            return False
    return True


def _padded(one: str, other: str) -> tuple[list[int], list[int]]:
    """Their release numbers, as long as each other: 2.10 and 2.10.0 are one."""
    numbers = [[int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", text)[0])] for text in (one, other)]  # type: ignore[index]
    length = max(map(len, numbers))
    return numbers[0] + [0] * (length - len(numbers[0])), numbers[1] + [0] * (length - len(numbers[1]))
