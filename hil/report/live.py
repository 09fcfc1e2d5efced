"""The page of a run while a search goes on: a small server for one reader on this machine.

It listens on the loopback interface only. Others on this machine can connect to it all the same:
so every address begins with a random token, which is compared in constant time, and the Host header
must be this server's own, so that no page of another site can reach it through a name that resolves
to this machine (DNS rebinding). It serves the page and its state, no files.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from compress.errors import UserError
from hil.report.page import render_page, render_update
from hil.report.summary import Summary, summarize
from hil.store import sqlite
from hil.store.store import STORE_FILE, Store

LOOPBACK = "127.0.0.1"
_HOSTS = (LOOPBACK, "localhost")
_LOOK_S = 1.0  # between two looks at the store
_POLL_S = 20.0  # a page's question is answered after this time, at the latest
_IDLE_S = 30.0  # a connection that says nothing is closed
_STOP_S = 0.1  # the server notices within this time that it is to stop
_MOST_CONNECTIONS = 16
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class LiveRun:
    """The latest state of the run in a folder, and its version, which grows with every change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed = threading.Condition()
        self._version = 0
        self._seen: tuple[tuple[int, int], ...] | None = None
        self._summary: Summary | None = None

    def look(self) -> bool:
        """Read the store if its files changed; return whether they had. Raises UserError."""
        seen = _stamps(self.folder)
        if seen == self._seen:
            return False
        with Store.read(self.folder) as store:
            summary = summarize(store)
        with self._changed:
            self._seen, self._summary = seen, summary
            self._version += 1
            self._changed.notify_all()
        return True

    @property
    def summary(self) -> Summary:
        """The latest. Raises ValueError before the first look."""
        if self._summary is None:
            raise ValueError("the run has not been looked at")
        return self._summary

    def page(self) -> str:
        """The whole page, which asks for newer states by itself."""
        return render_page(self.summary, self.folder, live=True)

    def state_after(self, version: int, timeout_s: float = _POLL_S) -> dict[str, Any]:
        """The state once it is newer than `version`; after the timeout only its number."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout_s)
            latest, summary = self._version, self.summary
        if latest == version:
            return {"version": version}
        return {"version": latest, **render_update(summary, self.folder)}


class LiveServer(ThreadingHTTPServer):
    """The server of one run; `url` is what its reader opens. Port 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, run: LiveRun, port: int = 0) -> None:
        self.run = run
        self.token = secrets.token_urlsafe(24)
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(
                f"--port {port}: {error.strerror}; choose another, or 0 for any free port"
            ) from error

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": _STOP_S}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer no longer; connections that wait for a newer state are dropped."""
        self.shutdown()
        self._thread.join()

    def knows(self, host: str) -> bool:
        """True if a Host header names this server."""
        return host in {f"{name}:{self.server_port}" for name in _HOSTS}

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a connection, unless too many are open: then close it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of readers that leave before they were answered."""


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = _IDLE_S
    protocol_version = "HTTP/1.1"
    server_version = "hil"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer the page or its state to whoever has the token."""
        address = urlsplit(self.path)
        token, _, what = address.path.removeprefix("/").partition("/")
        if not self.server.knows(self.headers.get("Host", "")) or not _same(
            token, self.server.token
        ):
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "not allowed\n")
        elif what == "":
            self._answer(HTTPStatus.OK, "text/html", self.server.run.page())
        elif what == "state":
            after = parse_qs(address.query).get("after", [""])[0]
            state = self.server.run.state_after(int(after) if after.isdecimal() else 0)
            self._answer(HTTPStatus.OK, "application/json", json.dumps(state, allow_nan=False))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "no such page\n")

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: addresses hold the token."""


def serve(folder: Path, port: int, tell: Callable[[str], None]) -> None:
    """Serve the run in `folder` until it is interrupted; `tell` gets the address once it answers.

    Raises UserError if there is no run or the port cannot be had, KeyboardInterrupt at Ctrl-C.
    """
    run = LiveRun(folder)
    run.look()
    pause = threading.Event()
    with LiveServer(run, port) as server:
        server.start()
        try:
            tell(server.url)
            while True:
                pause.wait(_LOOK_S)
                run.look()
        finally:
            server.stop()


def _same(told: str, token: str) -> bool:
    """True if the tokens are equal; it takes as long for any two of one length."""
    return hmac.compare_digest(told.encode("utf-8", "surrogateescape"), token.encode())


def _stamps(folder: Path) -> tuple[tuple[int, int], ...]:
    """When the files of the store were last written, and their sizes."""
    store = folder / STORE_FILE
    found = []
    for path in (store, sqlite.wal_path(store), folder / "diagnosis.json"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
