"""`genossl methods`."""

from __future__ import annotations

import click

from genossl.cli import choices
from genossl.cli.options import verb_command


@verb_command()
@click.argument("name", required=False, shell_complete=choices.method)
def methods(name: str | None) -> None:
    """List the pretext methods, or show one with its settings and their defaults."""
    from genossl.verbs import methods as verb

    for line in verb.run(name):
        click.echo(line)
