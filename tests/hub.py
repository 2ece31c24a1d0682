"""A Hugging Face hub on this machine, for huggingface_hub itself to talk to: as much of its protocol as we use."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Models by name, each a dict of file name -> bytes; `requests` is what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def absent(self, code: str) -> None:
        self.answer(404, b"{}", X_Error_Code=code)

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        path, models = self.path.partition("?")[0].lstrip("/"), self.server.models
        name = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if name not in models:
            return self.absent("RepoNotFound")
        files, rest = models[name], path.partition(f"{name}/")[2].split("/")
        if path.startswith("api/"):
            if rest[-1:] not in (["main"], [COMMIT]):
                return self.absent("RevisionNotFound")
            if rest[0] == "tree":
                return self.json(
                    [
                        {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                        for n, c in files.items()
                    ]
                )
            return self.json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]})
        if rest[0] == "resolve" and rest[2] in files:
            content = files[rest[2]]
            return self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"')
        return self.absent("EntryNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer hf_of_the_test":
            return self.answer(401, b"{}")
        path = self.path.partition("?")[0].lstrip("/")
        if path == "api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization', 'user')}/{asked['name']}"
            self.server.models.setdefault(name, {})
            return self.json({"url": f"{self.server.address}/{name}", "name": name})
        if path == "api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        name = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.json({"files": files})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.models[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.json({"commitUrl": f"{self.server.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT})


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """A hub that answers until the end of the block."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
