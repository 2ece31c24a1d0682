"""How genossl talks: on standard error, in colour on a terminal, as much as is asked for."""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from typing import Any

import click

from genossl import files, machine

_COLOURS = {logging.ERROR: "red", logging.WARNING: "yellow"}
log = logging.getLogger("genossl")


class _ToStderr(logging.Handler):
    """Lines that begin with the program's name; with the time of day where much is told. Of others only warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name == log.name or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = log.isEnabledFor(logging.DEBUG)
            when = time.strftime("%H:%M:%S ", time.localtime(record.created)) if told else ""
            say(when + record.getMessage(), record.levelno)
        except Exception:  # as logging itself: a line that cannot be written stops nothing
            self.handleError(record)


def say(message: str, level: int = logging.INFO) -> None:
    """One line on standard error; the program's name in colour for a warning or an error."""
    name = click.style("genossl:", _COLOURS[level], bold=True) if level in _COLOURS and coloured() else "genossl:"
    click.echo(f"{name} {message}", err=True)


def tell(line: str, out: Any) -> None:
    """A line about what was written to `out`: on standard output, unless that is where it was written; not with -q.

    Where nothing was written (None) the line is what was asked for, and always told.
    """
    if out is None or not files.quiet:
        (say if str(out) == "-" else click.echo)(line)


def wrote(what: str, out: Any) -> None:
    """Where a table is, unless it has just been read; not with -q."""
    if str(out) != "-" and not files.quiet:
        click.echo(f"{what}: {out}")


def coloured() -> bool:
    """Whether standard error is a terminal that shows colours and nobody minds (https://no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def listen(level: int) -> None:
    """From here on tell what is of this level or above."""
    files.quiet = level > logging.INFO
    logging.basicConfig(handlers=[_ToStderr()], level=level, force=True)


def _asked(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[__name__] = True
        listen(logging.WARNING if option.name == "quiet" else logging.DEBUG)
        log.debug(machine.versions())


def options(command: Any) -> Any:
    """Add -q and -v to a command or the group: people type them before and after the verb."""
    for short, name, told in (
        ("-v", "verbose", "Tell more: the time of each line, versions, what it took."),
        ("-q", "quiet", "No progress, only warnings, errors and results."),
    ):
        option = click.Option([short, f"--{name}"], is_flag=True, expose_value=False, callback=_asked, help=told)
        command.params.append(option)
    return command


def cost(began: float) -> str:
    """Seconds since `began` (time.monotonic) and the most memory that was held, in words."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{time.monotonic() - began:.1f} s, at most {peak / 1e6:,.0f} MB of memory"
