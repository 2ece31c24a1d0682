"""What made an artefact, from the provenance beside it, and whether that would make the same today."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from genossl import files
from genossl.errors import InputError

SUFFIX = ".provenance.json"
# whose provenance lies in a folder: a store, a run, fetched genomes, an index, an explanation
INSIDE = ("store.json", "run", "genomes.tsv", "index", "explain")


class Made(NamedTuple):
    """How an artefact came about."""

    verb: str
    given: dict[str, Any]  # arguments, by their names on the command line
    settings: dict[str, Any]
    folder: str  # that the paths are relative to
    ranks: int  # processes that torchrun started
    changed: list[str]  # a sentence for each input that is no longer what it was
    versions: list[str]  # and for each package


def run(artefact: str | Path) -> Made:
    """Read the provenance of an artefact: a file, or the folder of a store or run. Raises InputError."""
    path = provenance_of(Path(artefact))
    record = files.read_json(path)
    try:
        verb, given, folder = record["verb"], dict(record["given"]), record["folder"]
        inputs, versions, ranks = record["inputs"], record["versions"], record.get("ranks", 1)
        settings = {name: value for name, value in record["settings"].items() if name not in given}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{path}: does not say which command wrote it; an older genossl did") from None
    return Made(verb, given, settings, folder, ranks, _inputs(inputs, Path(folder)), _versions(versions))


def provenance_of(artefact: Path) -> Path:
    """The provenance of an artefact: beside it, in it, or of the file that it was written with; else InputError."""
    if artefact.name.endswith(SUFFIX):
        places = [artefact]
    else:
        places = [Path(f"{artefact}{SUFFIX}"), *(artefact / f"{name}{SUFFIX}" for name in INSIDE)]
        places += [artefact.parent / f"{name}{SUFFIX}" for name in INSIDE]
        # such as run.tsv, the rows of run.npy, and reads.confusion.tsv beside reads.tsv
        beside = [path for path in artefact.parent.glob(f"*{SUFFIX}") if artefact.name.startswith(f"{_stem(path)}.")]
        places += sorted(beside, key=lambda path: len(path.name), reverse=True)
    if not artefact.exists():
        raise InputError(f"{artefact}: no such file")
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{artefact}: has no {SUFFIX} beside it; expected what a verb of genossl has written")


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(SUFFIX)).stem


def _inputs(inputs: dict[str, Any], folder: Path) -> list[str]:
    notes = []
    for name, used in inputs.items():
        path = folder / used["path"]
        if not path.is_file():
            notes.append(f"{path}: the input {name} is not there")
        elif files.sha256(path) != used["sha256"]:
            notes.append(f"{path}: the input {name} has changed since")
    return notes


def _versions(then: dict[str, str]) -> list[str]:
    now = files.versions()
    return [
        f"{name} was {then.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
