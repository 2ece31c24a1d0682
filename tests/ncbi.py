"""A small NCBI on this machine: Entrez and the tree of genomes, that answer as the real ones do, and misbehave."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

Fault = Callable[["Handler", bytes], None]


class Clock:
    """Time that passes by being slept through, and by `tick` seconds at each look."""

    def __init__(self, tick: float = 0.0) -> None:
        self.time, self.tick = 0.0, tick
        self.slept: list[float] = []

    def now(self) -> float:
        self.time += self.tick
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.time += seconds


def genbank(name: str, bases: str) -> bytes:
    """A GenBank record with one gene."""
    lines = [f"LOCUS       {name.split('.')[0]} {len(bases)} bp    DNA     linear   BCT 01-JAN-2020"]
    lines += ["DEFINITION  planted.", f"ACCESSION   {name.split('.')[0]}", f"VERSION     {name}"]
    lines += [
        "FEATURES             Location/Qualifiers",
        "     CDS             1..9",
        '                     /locus_tag="T_1"',
    ]
    lines += ["ORIGIN"]
    for i in range(0, len(bases), 60):
        row = bases[i : i + 60].lower()
        lines.append(f"{i + 1:>9} " + " ".join(row[j : j + 10] for j in range(0, len(row), 10)))
    return ("\n".join([*lines, "//"]) + "\n\n").encode()


class Ncbi(ThreadingHTTPServer):
    """records: accession with version -> bases. assemblies: accession with version -> file ending -> content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.records: dict[str, str] = {}
        self.status: dict[str, str] = {}  # accession -> what became of it
        self.assemblies: dict[str, dict[str, bytes]] = {}
        self.faults: list[tuple[str, Fault]] = []  # what the next request whose path ends so meets
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []  # path, form, headers
        self.ranges = True
        self.released = threading.Event()  # ends what stalls

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def settings(self) -> dict[str, Any]:
        return {"entrez": f"{self.base}/entrez/eutils", "genomes": f"{self.base}/genomes/all"}

    def add_assembly(self, accession: str, fasta: bytes, name: str = "ASM1v1", text: bytes = b"") -> bytes:
        """The packed FASTA of a new assembly."""
        packed = gzip.compress(fasta, mtime=0)
        stem = f"{accession}_{name}"
        files = {f"{stem}_genomic.fna.gz": packed} | ({f"{stem}_genomic.gbff.gz": gzip.compress(text)} if text else {})
        sums = "".join(f"{hashlib.md5(data).hexdigest()}  ./{file}\n" for file, data in files.items())
        status = f"status={self.status.get(accession, 'latest')}\n".encode()
        self.assemblies[stem] = files | {"md5checksums.txt": sums.encode(), "assembly_status.txt": status}
        return packed

    def paths(self, ending: str = "") -> list[str]:
        return [path for path, _, _ in self.asked if path.endswith(ending)]


class Handler(BaseHTTPRequestHandler):
    server: Ncbi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._answer({k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()})

    def do_GET(self) -> None:
        self._answer({})

    def _answer(self, form: dict[str, str]) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.asked.append((path, form, dict(self.headers)))
        status, body = self._entrez(path, form) if path.startswith("/entrez/") else self._tree(path)
        for i, (ending, fault) in enumerate(self.server.faults):
            if path.endswith(ending):
                del self.server.faults[i]
                fault(self, body)
                return
        self.send(status, body)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        start = self.headers.get("Range", "")
        extra = dict(headers or {})
        if status == 200 and start and self.server.ranges:
            first = int(start.removeprefix("bytes=").rstrip("-"))
            if first >= len(body):
                status, body = 416, b""
            else:
                extra["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[first:]
        self.send_response(status)
        for key, value in extra.items():
            self.send_header(key, value)
        if "Content-Length" not in extra:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def _entrez(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        asked = form.get("id", "")
        found = sorted(name for name in self.server.records if asked in (name, name.split(".")[0]))
        if path.endswith("esummary.fcgi"):
            if not found:
                told = {"header": {"type": "esummary"}, "error": f"Invalid uid {asked} at position= 0"}
                return 200, json.dumps(told).encode()
            document = {"uid": "7", "accessionversion": found[-1], "slen": len(self.server.records[found[-1]])}
            document |= {"status": self.server.status.get(found[-1], "live")}
            return 200, json.dumps({"result": {"uids": ["7"], "7": document}}).encode()
        if not found:
            return 400, b"Error: F a i l e d  t o  u n d e r s t a n d  i d"
        bases = self.server.records[found[-1]]
        if form["rettype"] == "gbwithparts":
            return 200, genbank(found[-1], bases)
        return 200, f">{found[-1]} planted, complete genome\n{bases}\n\n".encode()

    def _tree(self, path: str) -> tuple[int, bytes]:
        place = path.removeprefix("/genomes/all/")
        if place.endswith("/"):
            kind, digits = place[:3], place[4:].replace("/", "")
            names = [stem for stem in self.server.assemblies if stem.startswith(f"{kind}_{digits}.")]
            links = "".join(f'<a href="{stem}/">{stem}/</a>   2020-01-01 00:00    -\n' for stem in names)
            return (
                (200, f'<pre><a href="../">..</a>\n{links}</pre>'.encode()) if names else (404, b"<h1>Not Found</h1>")
            )
        stem, _, file = place[16:].partition("/")
        content = self.server.assemblies.get(stem, {}).get(file)
        return (200, content) if content is not None else (404, b"<h1>Not Found</h1>")


# ---- misbehaviour


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    return lambda handler, _: handler.send(code, body, {key.replace("_", "-"): value for key, value in headers.items()})


def body(content: bytes) -> Fault:
    """Something else, as if all were well."""
    return lambda handler, _: handler.send(200, content)


def cut(after: int) -> Fault:
    """The line breaks after so many bytes of the answer."""

    def fault(handler: Handler, content: bytes) -> None:
        first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Length": str(len(content) - first)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        handler.send_response(206 if first else 200)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(content[first : first + after])
        handler.close_connection = True

    return fault


def chunked(after: int) -> Fault:
    """The line breaks in an answer whose length was not announced, as Entrez's are."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(f"{len(content):x}\r\n".encode() + content[:after])
        handler.close_connection = True

    return fault


def stall(after: int) -> Fault:
    """So many bytes, then silence."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.server.released.wait(30)
        handler.close_connection = True

    return fault


def drip(handler: Handler, content: bytes) -> None:
    """A byte at a time."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        for i in range(len(content)):
            handler.wfile.write(content[i : i + 1])
            handler.wfile.flush()
            if handler.server.released.wait(0.001):
                break
    handler.close_connection = True


def well(handler: Handler, content: bytes) -> None:
    """No fault at all, before others."""
    handler.send(200, content)


def hang_up(handler: Handler, _: bytes) -> None:
    handler.close_connection = True


@contextlib.contextmanager
def serving() -> Iterator[Ncbi]:
    with Ncbi() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
