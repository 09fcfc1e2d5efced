"""`hil farm`: one error line for each kind of bad address."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from compress.errors import UserError
from hil.cli.farm import register


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that is in use."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield str(somebody.getsockname()[1])


def refusal(*arguments: str) -> str:
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, ["farm", *arguments])
    assert isinstance(done.exception, UserError), repr(done.exception)
    return str(done.exception)


def test_a_scheduler_that_cannot_listen(taken: str) -> None:
    assert "Address already in use" in refusal("scheduler", "--port", taken)
    assert "TLS configuration" in refusal("scheduler", "--port", "0", "--host", "tls://127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "203.0.113.9", "tcp://0.0.0.0"])
def test_a_scheduler_for_other_machines_needs_tls(host: str) -> None:
    told = refusal("scheduler", "--port", "0", "--host", host)
    assert "without TLS" in told
    assert "tls://" in told


@pytest.mark.parametrize("address", ["tcp://203.0.113.9:8786", "203.0.113.9:8786"])
def test_a_farm_of_another_machine_needs_tls(address: str) -> None:
    assert "without TLS" in refusal("worker", address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("foo", "missing port"),
        ("10.0.0.5", "missing port"),
        ("http://a:1", "unknown address scheme"),
        ("tls://127.0.0.1:9", "TLS configuration"),
    ],
)
def test_a_worker_without_a_scheduler(address: str, words: str) -> None:
    told = refusal("worker", address)
    assert f"no farm at {address!r}" in told
    assert words in told
    assert "tls://host:8786" in told


def test_one_that_answers_nothing_is_given_up(taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.farm.nodes._CONNECT_S", 0.5)
    told = refusal("worker", f"127.0.0.1:{taken}")
    assert "no farm at" in told
    assert "no answer" in told


def cut_short(*_: object, **__: object) -> None:
    """Dask's error if its last attempt had no time left, whatever the former ones got."""
    raise OSError("Timed out trying to connect") from TimeoutError()


def no_time(*_: object, **__: object) -> None:
    """Dask's error if it had no time for any attempt."""
    raise OSError("Timed out trying to connect")


@pytest.mark.parametrize("connect", [None, cut_short, no_time])
def test_why_nobody_is_reached_is_told(
    connect: object, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.farm.nodes._CONNECT_S", 0.5)
    if connect is not None:
        monkeypatch.setattr("hil.farm.nodes.connect", connect)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        told = refusal("worker", f"127.0.0.1:{closed.getsockname()[1]}")
    assert "Connection refused" in told
    if connect is cut_short:  # somebody is there, and slow
        assert "no answer" in refusal("worker", f"127.0.0.1:{taken}")


@pytest.mark.parametrize("address", ["inproc://127.0.0.1/1/1", "tcp://no-such-host.invalid:8786"])
def test_what_is_no_address_of_a_scheduler(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.farm.nodes._CONNECT_S", 0.5)
    assert f"no farm at {address!r}" in refusal("worker", address)


def test_a_worker_whose_board_lacks_its_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.emulator.plugin.QEMU", "no-such-emulator")
    assert "no-such-emulator not found" in refusal("worker", "127.0.0.1:9", "--board", "m3")
