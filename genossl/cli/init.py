"""`genossl init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, verb_command


@verb_command()
@click.argument("folder", type=PATH, default=Path("."), metavar="[FOLDER]")
@click.option("--genomes", type=PATH, metavar="FOLDER", help="List the sequence files of this folder in genomes.tsv.")
def init(folder: Path, genomes: Any) -> None:
    """Write a project into FOLDER (default: here): config.yaml, sheets, profiles, Snakefile.

    config.yaml has every setting with its default and what it is. The Snakefile includes the workflow of the genossl
    that is installed, so that a project goes with it.
    """
    from genossl.verbs import init as verb

    for path in verb.run(folder, genomes):
        talk.tell(str(path), folder)
    what = "look at the splits" if genomes else "name your genomes"
    there = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    then = f"`{there}genossl check config.yaml`; README.md has the rest"
    talk.tell(f"next: {what} in {folder / 'genomes.tsv'}, then {then}", folder)
