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

import click

from genossl import __version__, files
from genossl.cli.options import EPILOG
from genossl.errors import InputError, Stopped


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--quiet", is_flag=True, help="No progress, only warnings and errors.")
@click.version_option(__version__, prog_name="genossl")
def cli(quiet: bool) -> None:
    """Self-supervised learning on DNA, from FASTA to a verdict."""
    files.quiet = quiet
    logging.basicConfig(format="genossl: %(message)s", level=logging.WARNING if quiet else logging.INFO, force=True)


for _module in pkgutil.iter_modules(__path__):
    if _module.name != "options":
        cli.add_command(getattr(importlib.import_module(f"{__name__}.{_module.name}"), _module.name))


def main() -> None:
    """Run a command; a user's mistake is one line and exit 2, a stop that can be resumed is exit 75."""
    try:
        cli.main(prog_name="genossl", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        told = str(error.__cause__ or error)
        if told:
            click.echo(f"genossl: {told}", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except InputError as error:
        click.echo(f"genossl: {_one_line(error)}", err=True)
        code = 2
    except MemoryError as error:
        click.echo(f"genossl: not enough memory ({error or 'none is left'}); give it more, or less to do", err=True)
        code = 2
    except Stopped as stopped:
        click.echo(f"genossl: {stopped}", err=True)
        code = 75
    except SystemExit:  # no verb exits; it is click's answer when the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    else:
        code = 0
    sys.exit(code)


def _one_line(error: InputError) -> str:
    """Names come from files: what would move the cursor or end the line is shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error))
