"""`genossl rerun`."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, verb_command


@verb_command()
@click.argument("artefact", type=PATH, metavar="ARTEFACT")
@click.option("--out", metavar="PATH", help="Where the command is to write, in place of where it wrote.")
def rerun(artefact: Path, out: Any) -> None:
    """Print the command that makes an artefact again.

    ARTEFACT is any file or folder that a verb wrote. The command, for a shell, has all settings as they were, defaults
    too. What has changed since (inputs, by their checksums; versions) is told on standard error.
    """
    from genossl.verbs import rerun as verb

    made = verb.run(artefact)
    for note in (*made.changed, *made.versions):
        talk.say(note, logging.WARNING)
    words = _command(made.verb, made.given | ({"out": out} if out else {}), made.settings)
    if made.ranks > 1:
        words = ["torchrun", "--standalone", "--nproc-per-node", str(made.ranks), "--no-python", *words]
    there = [] if Path(made.folder) == Path.cwd() else ["cd", shlex.quote(made.folder), "&&"]
    click.echo(" ".join([*there, *map(shlex.quote, words)]))


def _command(name: str, given: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Words of a command line: `given` by the names of the command's parameters, the settings as one JSON object."""
    group = click.get_current_context().find_root().command
    assert isinstance(group, click.Group)
    command = group.commands[name]
    if not any(option.name == "settings" for option in command.params):
        given = given | settings
    else:
        given = given | {"settings": json.dumps(settings)}
    options, arguments = [], []
    for option in command.params:
        value = given.get(str(option.name))
        values = [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]
        if isinstance(option, click.Argument):
            arguments += values
        else:
            options += [word for one in values for word in (option.opts[0], one)]
    # a name may begin with a dash
    return ["genossl", name, *options, *(["--"] if any(one.startswith("-") for one in arguments) else []), *arguments]
