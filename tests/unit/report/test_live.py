"""The server of a live page: who is answered, what is served, and that it follows the store."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.errors import UserError
from helpers.checkout import ROOT
from helpers.reports import BASE, HOSTILE, SMALL, TINY, make
from hil.report.live import LOOPBACK, LiveRun, LiveServer
from hil.store.store import RunIdentity, Store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("run")
    make(folder, task=HOSTILE)
    run = LiveRun(folder)
    run.look()
    with LiveServer(run) as opened:
        opened.start()
        yield opened
        opened.stop()


def ask(
    server: LiveServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, str]:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=30)
    try:
        headers = {"Host": host or f"{LOOPBACK}:{server.server_port}"}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def state(server: LiveServer, after: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(server, f"/{server.token}/state?after={after}")[2])
    return found


def test_whoever_has_the_address_gets_the_page(server: LiveServer) -> None:
    status, headers, page = ask(server, f"/{server.token}/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "connect-src &#39;self&#39;" in page


@pytest.mark.parametrize(
    "path", ["/", "/{short}/", "/{other}/", "/{other}/state?after=0", "/%00/", "*"]
)
def test_others_get_nothing(server: LiveServer, path: str) -> None:
    other = "x" * len(server.token)
    asked = path.format(short=server.token[:-1], other=other, token=server.token)
    status, _, text = ask(server, asked)
    assert (status, text) == (403, "not allowed\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_other_names_of_this_machine_get_nothing(server: LiveServer, host: str) -> None:
    """A page of another site may let its name resolve to this machine: then Host is that name."""
    name = host.format(port=server.server_port)
    assert ask(server, f"/{server.token}/", host=name)[0] == 403
    assert ask(server, f"/{server.token}/", host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["store.sqlite", "../store.sqlite", "%2e%2e/%2e%2e/etc/passwd", "report.html", "state/x"],
)
def test_no_files_are_served(server: LiveServer, path: str) -> None:
    assert ask(server, f"/{server.token}/{path}")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_reading(server: LiveServer, method: str) -> None:
    assert ask(server, f"/{server.token}/", method=method)[0] == 501


def test_it_listens_on_the_loopback_interface_only(server: LiveServer) -> None:
    assert server.socket.getsockname()[0] == LOOPBACK
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) >= 32


def test_tokens_differ(server: LiveServer) -> None:
    with LiveServer(server.run) as other:
        assert other.token != server.token


def test_a_port_that_is_taken_is_a_users_error(server: LiveServer) -> None:
    with pytest.raises(UserError, match=f"--port {server.server_port}: .*choose another"):
        LiveServer(server.run, server.server_port)


def test_a_question_is_answered_as_soon_as_the_store_has_more(tmp_path: Path) -> None:
    """A search writes to the store while it is read."""
    identity = RunIdentity("digits", "m4", 7, "5e" * 32)
    with Store.open(tmp_path, identity) as store:
        store.begin_session(0.95, processes=2)
        store.add(BASE)
        run = LiveRun(tmp_path)
        assert run.look()
        assert not run.look()
        with LiveServer(run) as server:
            server.start()
            first = state(server, 0)
            assert [one["number"] for one in first["data"]["trials"]] == [1]
            told: list[dict[str, Any]] = []
            waiting = threading.Thread(target=lambda: told.append(state(server, first["version"])))
            waiting.start()
            for trial in (SMALL, TINY):
                store.add(trial)
            assert run.look()
            waiting.join(30)
            (second,) = told
            assert second["version"] == first["version"] + 1
            assert [one["number"] for one in second["data"]["trials"]] == [1, 3, 4]
            assert "Trial 3" in second["html"]
            server.stop()


def test_without_news_only_the_number_comes(tmp_path: Path) -> None:
    make(tmp_path)
    run = LiveRun(tmp_path)
    run.look()
    assert run.state_after(1, timeout_s=0.01) == {"version": 1}


def test_too_many_connections_are_closed(server: LiveServer) -> None:
    """Those that say nothing hold their places, not the server: it closes what is too much."""
    idle = [socket.create_connection((LOOPBACK, server.server_port)) for _ in range(16)]
    try:
        late = socket.create_connection((LOOPBACK, server.server_port), 30)
        assert late.recv(1) == b""
        late.close()
    finally:
        for one in idle:
            one.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    make(tmp_path / "run")
    command = [sys.executable, "-u", "-m", "hil", "dashboard", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job, and so these tests in one, would hand down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/[\w-]{32}/\n", line)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.decode().splitlines()[-1] == "hil: interrupted"
    assert "Traceback" not in errors.decode()


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in"):
        LiveRun(tmp_path / "none").look()
