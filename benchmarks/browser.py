"""A headless Chromium spoken to through two pipes (DevTools protocol): what a page asks for, says and does.

The browser can resolve no name, so that nothing it asks for leaves the machine; what it asked for is told all the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,1400", "--remote-debugging-pipe",
)  # fmt: skip
# the browser reads from 3 and writes to 4; either may be in use here, so both are moved out of the way first
START = (
    "import fcntl, os, sys; r, w = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 50) for n in sys.argv[1:3]); "
    "os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
POINTER = {"buttons": 0, "pointerType": "mouse"}


def find() -> str | None:
    """The path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page; use in a with statement. `events` are all messages that answered no question."""

    def __init__(self, scratch: Path, patience: float = 120) -> None:
        program = find()
        if program is None:
            raise FileNotFoundError(f"no browser on this machine (looked for {', '.join(NAMES)})")
        self.patience, self.events, self._number, self._buffer = patience, [], 0, b""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        fcntl.fcntl(self._in, fcntl.F_SETFL, os.O_NONBLOCK)
        command = [sys.executable, "-c", START, str(theirs_in), str(theirs_out), program, *FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={scratch}", "about:blank"], pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Performance.enable", timeDomain="threadTicks")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)

    def _read(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise EOFError("the browser has ended")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One question of the protocol and its answer; a refusal raises RuntimeError."""
        self._number += 1
        question: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._out, json.dumps(question).encode() + b"\0")
        until = time.monotonic() + self.patience
        while True:
            message = self._read(until)
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        self.events.append(message)
        if message.get("method") == "Page.javascriptDialogOpening":  # a page that waits for an answer is stuck
            self._number += 1
            closing = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self._out, json.dumps(closing | {"sessionId": self._session}).encode() + b"\0")

    def open(self, address: str) -> float:
        """Load a page and wait until it was painted; the seconds that took."""
        start = time.monotonic()
        self.ask("Page.navigate", url=address)
        until = start + self.patience
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self._heard(self._read(until))
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(1), 0)))")
        return time.monotonic() - start

    def run(self, expression: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise; what it throws raises RuntimeError."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:500])
        return found["result"].get("value")

    def cpu(self) -> float:
        """Seconds that the page's main thread has worked, whatever else runs on the machine."""
        found = {m["name"]: m["value"] for m in self.ask("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])

    def wait(self, expression: str, seconds: float = 20) -> bool:
        """Whether an expression becomes true in that time; what follows a click may take a moment."""
        until = time.monotonic() + seconds
        while not (found := bool(self.run(expression))) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def point(self, query: str, number: int = 0) -> None:
        """Move the pointer onto the middle of the element that a selector finds."""
        where = f"document.querySelectorAll({json.dumps(query)})[{number}]"
        self.run(f"{where}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({where}.getBoundingClientRect())")
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **POINTER)

    def click(self, query: str, number: int = 0) -> None:
        """Press and let go of the mouse there."""
        self.point(query, number)
        where = f"document.querySelectorAll({json.dumps(query)})[{number}]"
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({where}.getBoundingClientRect())")
        for what in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", clickCount=1)

    def said(self) -> list[str]:
        """Console lines, errors of scripts and of the browser (a policy that was broken), and dialogs."""
        self.run("1")  # what was said before is here now
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.consoleAPICalled":
                found.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
            elif method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(str(details.get("exception", {}).get("description") or details["text"]))
            elif method == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif method == "Page.javascriptDialogOpening":
                found.append(f"dialog: {params['message']}")
        return found

    def asked(self) -> list[str]:
        """What the page asked for beside itself: every address that is not the file, data or a blob made in it."""
        self.run("1")
        found = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in found if not re.match(r"(file|data|blob|about):", url)]
