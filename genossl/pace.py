"""How far a long piece of work is, how fast it goes and when it will be done: a bar, or lines in a log."""

from __future__ import annotations

import io
import logging
import shutil
import time
from typing import Any

from tqdm import tqdm

EVERY = 30.0  # seconds from line to line in a log
log = logging.getLogger("genossl")


class Bar(tqdm):
    """A bar on a terminal, gone when the work is done."""

    def __init__(self, items: Any, **options: Any) -> None:
        size = shutil.get_terminal_size()  # 80 x 24 where a terminal does not tell; tqdm would draw nothing
        super().__init__(items, ncols=size.columns, nrows=size.lines, mininterval=0.5, leave=False, **options)


class Lines(tqdm):
    """The same where nobody watches: a line every half minute, none for what is done before."""

    def __init__(self, items: Any, **options: Any) -> None:
        self.next = time.monotonic() + EVERY
        nowhere = io.StringIO()  # what tqdm itself writes: line ends and blanks
        super().__init__(items, mininterval=min(EVERY, 0.5), leave=False, file=nowhere, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Write a line, where it is time for one, in place of a bar."""
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY
            log.info("%s", told(**self.format_dict))
        return True

    def clear(self, nolock: bool = False) -> None:
        """There is no bar to be taken away."""


def told(
    prefix: str,
    n: float,
    total: float | None,
    elapsed: float,
    unit: str,
    initial: float = 0,
    postfix: str = "",
    **_: Any,
) -> str:
    """One line of a log. elapsed: seconds, in which the work went from `initial` to `n` of `total`."""
    rate = (n - initial) / elapsed if elapsed else 0.0
    line = f"{prefix}: {n:,}{f' of {total:,}' if total else ''} {unit}s, {rate:,.3g} {unit}s/s"
    if total and rate:
        line += f", {tqdm.format_interval((total - n) / rate)} left"
    return f"{line}, {postfix}" if postfix else line
