"""The command line: one file and one subcommand per verb.

A verb is imported only when it is called, so that help comes at once.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import signal
import sys
import time
from typing import Any

import click

from genossl import machine
from genossl.cli import talk
from genossl.cli.options import EPILOG
from genossl.errors import InputError, Stopped


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(machine.versions())
        ctx.exit()


@talk.options
@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
    help="Of genossl and of what it runs on; `genossl doctor` tells more.",
)  # fmt: skip
def cli() -> None:
    """Self-supervised learning on DNA, from FASTA to a verdict."""
    if talk.__name__ not in click.get_current_context().meta:
        talk.listen(logging.INFO)


for _module in pkgutil.iter_modules(__path__):
    _command: Any = getattr(importlib.import_module(f"{__name__}.{_module.name}"), _module.name, None)
    if isinstance(_command, click.Command):
        cli.add_command(_command)


def main() -> None:
    """Run a command; a user's mistake is one line and exit 2, a stop that can be resumed is exit 75."""
    began = time.monotonic()
    try:
        cli.main(prog_name="genossl", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        told = str(error.__cause__ or error)
        if told:
            talk.say(told, logging.ERROR)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except InputError as error:
        talk.say(_one_line(error), logging.ERROR)
        code = 2
    except MemoryError as error:
        talk.say(f"not enough memory ({error or 'none is left'}); give it more, or less to do", logging.ERROR)
        code = 2
    except Stopped as stopped:
        talk.say(str(stopped), logging.WARNING)
        code = 75
    except SystemExit as end:  # no verb exits: a shell was told what completes, or the reader of our output went away
        code = 128 + signal.SIGPIPE if end.code else 0
        if code:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        code = 0
    talk.log.debug("%s, exit %d", talk.cost(began), code)
    sys.exit(code)


def _one_line(error: InputError) -> str:
    """Names come from files: what would move the cursor or end the line is shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error))
