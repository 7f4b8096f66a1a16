"""A tiny Hub on this machine: the addresses that huggingface_hub asks, ranges, gated and missing repositories, connections that break."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories as {name: {path: bytes}}; what was asked for, and how it is to misbehave.

    Attributes:
        asked: (method, path, Range header) of every request.
        break_after: bytes of a file's answer after which the connection is dropped, once.
        errors: repository -> (status, X-Error-Code).
        lies: path -> SHA-256 that is told instead of the true one.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.break_after = 0
        self.errors: dict[str, tuple[int, str]] = {}
        self.lies: dict[str, str] = {}
        self.address = ""

    def fetched(self) -> list[str]:
        """Files whose bytes were asked for."""
        return [
            path.partition("/resolve/")[2].partition("/")[2] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path
        ]


@contextmanager
def served() -> Iterator[Hub]:
    """A running Hub."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def answer(self, body: bool) -> None:
            path = unquote(urlparse(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            name = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2])
            if name in hub.errors or name not in hub.repositories:
                status, code = hub.errors.get(name, (404, "RepoNotFound"))
                self.reply(status, b"{}", {"X-Error-Code": code})
            elif path.startswith("/api/"):
                self.reply(200, json.dumps(listing(hub, name)).encode(), {"Content-Type": "application/json"})
            else:
                self.file(hub.repositories[name][path.partition("/resolve/")[2].partition("/")[2]], body)

        def file(self, content: bytes, body: bool) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            headers = {"ETag": '"' + hashlib.sha256(content).hexdigest() + '"', "X-Repo-Commit": COMMIT}
            status = 200
            if start:
                status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(status, content[start:], headers, body)

        def reply(self, status: int, content: bytes, headers: dict[str, str], body: bool = True) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if not body or self.command == "HEAD":
                return
            if hub.break_after and len(content) > hub.break_after:
                self.wfile.write(content[: hub.break_after])
                hub.break_after = 0
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Connections that are cut are what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(hub: Hub, name: str) -> dict[str, object]:
    """What the Hub's interface says of a repository's files."""
    siblings = []
    for path, content in hub.repositories[name].items():
        entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
        if path.endswith((".safetensors", ".bin")):
            digest = hub.lies.get(path, hashlib.sha256(content).hexdigest())
            entry["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 100}
        siblings.append(entry)
    return {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
