"""What Dask logs is single lines; an address where something else answers is told as that."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

LOGS = """
import distributed, logging, sys
from hil.farm.logs import log_lines
log_lines(logging.WARNING)
log_lines(logging.WARNING)
for name in ("distributed.core", "asyncio", "tornado.application"):
    try:
        raise ValueError("first\\nsecond")
    except ValueError:
        logging.getLogger(name).exception("%s\\nof two lines", name)
    logging.getLogger(name).info("not told")
log_lines(logging.CRITICAL)
logging.getLogger("distributed.core").error("not told")
"""
CHECK = """
import asyncio, sys
from hil.cli.main import errors_as_lines
from hil.farm.nodes import check_scheduler
with errors_as_lines():
    asyncio.run(check_scheduler(sys.argv[1], "client", 5.0))
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_logged_error_is_one_line() -> None:
    told = run(LOGS).stderr.splitlines()
    assert len(told) == 3
    assert [line.split()[-1] for line in told] == [
        "distributed.core",
        "asyncio",
        "tornado.application",
    ]


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of something that answers everybody with a line of HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    there, _ = server.accept()
                except OSError:
                    return
                with there:
                    there.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_something_else_that_answers_is_no_lack_of_memory(web_server: str) -> None:
    done = run(CHECK, web_server)
    assert done.returncode == 2
    assert "what answers there is no scheduler" in done.stderr
    assert done.stderr.count("\n") == 1
