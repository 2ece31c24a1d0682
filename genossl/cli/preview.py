"""`genossl preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices
from genossl.cli.options import PATH, recipe_of, set_option, settings_option, verb_command


@verb_command()
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--method", metavar="NAME", shell_complete=choices.method, help="Pretext method.")
@click.option(
    "--config", "config_file", metavar="FILE", shell_complete=choices.preset, help="A preset's name or a YAML file."
)
@settings_option
@set_option
@click.option("--rows", default=1, show_default=True, help="Windows to show.")
def preview(store: Path, method: Any, config_file: Any, settings: Any, assignments: Any, rows: int) -> None:
    """Show what a method asks of the encoder: one window and its views, in letters."""
    from genossl.verbs import preview as verb

    for line in verb.run(store, recipe_of(config_file, settings, assignments, method), rows):
        click.echo(line)
