"""What can go wrong by a user's hand, and what is no error at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(Exception):
    """The user's mistake, in one sentence: where, what was found, what was expected. The command line exits with 2."""


class DiskError(InputError):
    """A disk that does not take what is written: full, read-only, gone. The same command may work later."""


class Diverged(InputError, FloatingPointError):
    """Training came upon numbers that are not finite; other settings are the user's answer."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class Stopped(Exception):
    """Work stopped early and can go on: everything needed is saved. The command line exits with 75."""


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An InputError raised within begins with the path of the file that it is about, if it does not already."""
    try:
        yield
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
