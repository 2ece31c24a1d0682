"""`genossl check`."""

from __future__ import annotations

from pathlib import Path

import click

from genossl.cli.options import PATH, verb_command


@verb_command()
@click.argument("path", type=PATH, metavar="CONFIG.YAML|ARTEFACT")
@click.option("--called", metavar="NAME", help="Name of a configuration in messages, if it was written out of another.")
def check(path: Path, called: str | None) -> None:
    """Check a workflow's configuration and sheets, or an artefact; name every mistake at once.

    ARTEFACT is a store, a run, a folder of embeddings, or a file with its .provenance.json beside it: it and all that
    it was made of are read again, and what is damaged or has changed since is named.
    """
    from genossl.verbs import check as verb

    made = path.is_dir() or path.with_name(f"{path.name}.provenance.json").is_file()
    for line in verb.artefact(path) if made else verb.run(path, called):
        click.echo(line)
