"""The one file of genossl that talks to a network: requests over HTTPS, patient and polite.

A server that is busy, slow, or cuts a transfer is asked again, after longer and longer; a file that is half there is
gone on with. Certificates are verified, proxies are taken from the environment (HTTPS_PROXY) as by Python itself.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from genossl import __version__
from genossl.errors import InputError, Stopped
from genossl.files import disk

T = TypeVar("T")
BLOCK = 1 << 16  # bytes read at once
LONGEST_TEXT = 10_000_000  # bytes of an answer that is read whole
LONGEST_WAIT = 300.0  # seconds between two tries; a server that asks for more is left alone
SLOWEST = 1000  # bytes per second over a whole timeout, below which a transfer counts as stalled
HERE = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger("genossl")


class Busy(Exception):
    """An answer that is none, or a damaged one: the same request may do better. after: seconds the server asks for."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Refused(InputError):
    """The final no to what was asked for; others may get a yes. `status`: the HTTP status, or 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(Stopped):
    """Every try failed; later the same may work."""


class _SameHost(HTTPRedirectHandler):
    """A redirection to another host, or away from HTTPS, is not followed: nobody agreed to ask there."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        asked, other = urlsplit(req.full_url), urlsplit(newurl)
        if asked[:2] != other[:2]:
            raise Refused(f"{asked.netloc}: sends us on to {other.scheme}://{other.netloc}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def base_mistake(url: str) -> str | None:
    """What is wrong with a server's address, if anything: HTTPS, but to this machine, and nothing after its path."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in HERE)
    if host and secure and not (parts.username or parts.password or parts.query or parts.fragment):
        return None
    return "expected https://HOST/PATH, without user, ? and #"


def beginning(text: str) -> str:
    """The first words of an answer that is not what was expected, quoted."""
    return repr(" ".join(text.split())[:80])


class Client:
    """Asks at most every `interval` seconds, and each thing at most 1 + `retries` times.

    retries: tries after the first; the wait before the n-th is backoff * 2 ** (n - 1) seconds, or what the server says.
    timeout: seconds without a byte after which a transfer is given up. secret: is blanked in all messages.
    """

    def __init__(
        self, *, retries: int, backoff: float, timeout: float, interval: float, secret: str = "",
        now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.retries, self.backoff, self.timeout, self.interval = retries, backoff, timeout, interval
        self.secret, self.now, self.sleep = secret, now, sleep
        self._free = now()  # when the next request may be sent
        self._opener = build_opener(_SameHost)

    def patiently(self, what: str, action: Callable[[], T]) -> T:
        """What `action` returns, tried again as long as it raises Busy; then raises Unavailable."""
        for attempt in range(self.retries + 1):
            try:
                return action()
            except Busy as busy:
                wait = busy.after or min(LONGEST_WAIT, self.backoff * 2**attempt)
                told = f"{what}: {self.told(str(busy))}"
                if wait > LONGEST_WAIT:
                    raise Unavailable(f"{told}; the server asks for a pause of {wait:,.0f} s") from None
                if attempt == self.retries:
                    raise Unavailable(f"{told}; {attempt + 1} tries in vain") from None
                log.info("%s; again in %.0f s", told, wait)
                self.sleep(wait)
        raise AssertionError

    def text(self, url: str, form: dict[str, str] | None = None) -> str:
        """The whole of a short answer, asked once."""
        with self._answer(url, form) as answer:
            body = b""
            for block in self._blocks(answer):
                body += block
                if len(body) > LONGEST_TEXT:
                    raise Busy(f"{url}: answers with more than {LONGEST_TEXT:,} bytes")
        return body.decode("utf-8", "replace")

    def download(self, url: str, part: Path, form: dict[str, str] | None = None) -> None:
        """Write an answer to the file `part`, asked once; what is already in it is not asked for again.

        What has come is kept when Busy is raised. A server that cannot go on in the middle sends all of it again.
        """
        start = part.stat().st_size if part.is_file() and not form else 0
        try:
            with self._answer(url, form, start) as answer:
                if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    part.unlink()
                    raise Busy(f"{url}: answers with another part of the file than was asked for")
                with disk(part):
                    stream = part.open("ab" if answer.status == 206 else "wb")
                with stream:
                    for block in self._blocks(answer):
                        with disk(part):
                            stream.write(block)
                            stream.flush()
        except Refused as refused:
            if refused.status != 416:  # there is nothing after what we have
                raise
            part.unlink()
            raise Busy(f"{url}: what was there is as long as the file or longer") from None

    def told(self, text: str) -> str:
        """The text without the secret."""
        return text.replace(self.secret, "***") if self.secret else text

    @contextlib.contextmanager
    def _answer(self, url: str, form: dict[str, str] | None, start: int = 0) -> Iterator[Any]:
        self._wait_for_turn()
        headers = {"User-Agent": f"genossl/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = Request(url, urlencode(form).encode() if form else None, headers)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                yield answer
        except HTTPError as error:
            raise self._failure(url, error) from None
        except (OSError, HTTPException) as error:  # no name, no route, no certificate, no time, no end
            reason = getattr(error, "reason", error)
            raise Busy(f"{url}: {type(reason).__name__}, {reason}") from None

    def _wait_for_turn(self) -> None:
        if (wait := self._free - self.now()) > 0:
            self.sleep(wait)
        self._free = max(self._free, self.now()) + self.interval

    def _failure(self, url: str, error: HTTPError) -> Busy | InputError:
        body = b""
        with error, contextlib.suppress(OSError, HTTPException):
            body = error.read(1000)
        said = " ".join(self.told(body.decode("utf-8", "replace")).split())[:120]
        message = f"{url}: HTTP {error.code} {error.reason}" + (f" ({said})" if said else "")
        if error.code in (408, 425, 429) or error.code >= 500:
            return Busy(message, _seconds(error.headers.get("Retry-After", "")))
        if error.code in (401, 403, 407):  # whatever we ask for
            return InputError(f"{message}: the server does not let us in")
        return Refused(message, error.code)

    def _blocks(self, answer: Any) -> Iterator[bytes]:
        """The bytes of an answer; Busy where fewer come than were announced, or too slowly."""
        announced, got = answer.headers.get("Content-Length", ""), 0
        since, counted = self.now(), 0
        while block := answer.read1(BLOCK):
            got += len(block)
            yield block
            if (passed := self.now() - since) >= self.timeout:
                if got - counted < SLOWEST * passed:
                    raise Busy(f"{answer.url}: sends less than {SLOWEST:,} bytes a second")
                since, counted = self.now(), got
        if announced.isdecimal() and got < int(announced):
            raise Busy(f"{answer.url}: the transfer was cut after {got:,} of {int(announced):,} bytes")


def _seconds(text: str) -> float:
    """What Retry-After says, as seconds or as a date; 0 where it says nothing."""
    if text.strip().isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0
