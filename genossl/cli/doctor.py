"""`genossl doctor`."""

from __future__ import annotations

import json

import click

from genossl.cli.options import verb_command
from genossl.errors import InputError


@verb_command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for a bug report: it says nothing of you.")
def doctor(as_json: bool) -> None:
    """Say what this machine has of what genossl needs, what is missing, and what to do about it.

    Exit 0 where genossl can run, 2 where it cannot. What is marked - is missing for a part of it only.
    """
    from genossl.verbs import doctor as verb

    found = verb.run()
    for line in [json.dumps(verb.record(found), indent=1)] if as_json else verb.lines(found):
        click.echo(line)
    if any(finding.state == "wrong" for finding in found):
        raise InputError(verb.verdict(found))
    if not as_json:
        click.echo(verb.verdict(found))
