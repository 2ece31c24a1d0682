"""`genossl report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or report: in --config)", "verbs/report.py", "Settings"))
@click.argument("results", type=PATH, metavar="RESULTS")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="The report, one self-contained .html")
@settings_options
def report(results: Path, out: Path, config_file: Any, settings: Any, assignments: Any) -> None:
    """Write the report of a results folder and print its three findings."""
    from genossl import config
    from genossl.verbs import report as verb

    built = config.build(verb.Settings, verb_settings("report", config_file, settings, assignments), "report")
    for line in verb.run(results, out, built):
        click.echo(line)
    click.echo(f"report: {out}")
