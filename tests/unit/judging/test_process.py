"""Models in other processes: what kills, stops or bloats one is one line here."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.integer import reference
from compress.judging import process
from compress.judging.frames import BadFrame, receive, send
from compress.judging.process import JudgeDied, RemoteModel
from compress.tflite.exporter import export_tflite
from compress.tflite.oracle import MICRO, RUNTIME
from compress.tflite_records.file import BuiltinOperator
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.graph_variants import edited, with_operator
from hil.benchmark.samples import random_samples
from hil.measure.oracle_check import check_oracle

needs_micro = pytest.mark.skipif(not MICRO.installed, reason="tflite-micro is not installed")
needs_runtime = pytest.mark.skipif(not RUNTIME.installed, reason="tflite-runtime is not installed")
ARENA_BYTES = 1 << 20


def small_graph() -> Graph:
    b = GraphBuilder()
    return b.finish(b.fully_connected(b.input((6,)), 3))


def opened(graph: Graph) -> RemoteModel:
    data = export_tflite(graph)
    return RemoteModel("tflite-micro", data, arena_bytes=ARENA_BYTES, keeps=True)


def pid() -> int:
    return process._process_of("tflite-micro").pid


@needs_micro
def test_one_process_runs_many_models_and_forgets_them() -> None:
    graph = small_graph()
    inputs = np.arange(-3, 3, dtype=np.int8)[np.newaxis]
    model = opened(graph)
    first = pid()
    for _ in range(3):
        (found,) = opened(graph).run({0: inputs}, [graph.output])
        np.testing.assert_array_equal(found, reference.run(graph, inputs))
    (again,) = model.run({0: inputs}, [graph.output])
    np.testing.assert_array_equal(again, found)
    assert pid() == first


@needs_micro
def test_a_killed_judge_is_a_line_and_the_next_model_gets_another() -> None:
    graph = small_graph()
    model, killed = opened(graph), pid()
    os.kill(killed, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(JudgeDied, match="tflite-micro ended by SIGKILL at this model"):
            model.run({0: np.zeros((1, 6), np.int8)}, [graph.output])
    assert opened(graph).run({0: np.zeros((1, 6), np.int8)}, [graph.output])
    assert pid() != killed


@needs_micro
def test_a_judge_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_graph()
    model, stopped = opened(graph), pid()
    os.kill(stopped, signal.SIGSTOP)
    monkeypatch.setattr(process, "ANSWER_S", 0.3)
    with pytest.raises(JudgeDied, match=r"has not answered for 0\.3 s and was ended"):
        model.run({0: np.zeros((1, 6), np.int8)}, [graph.output])
    assert not Path(f"/proc/{stopped}").exists()


@needs_micro
def test_what_a_library_refuses_is_its_reason() -> None:
    graph = small_graph()
    unknown = edited(graph, with_operator(0, code=BuiltinOperator.RELU_N1_TO_1))
    with pytest.raises(UserError, match="tflite-micro does not accept the model"):
        RemoteModel("tflite-micro", unknown, arena_bytes=ARENA_BYTES, keeps=True)
    model = opened(graph)
    with pytest.raises(UserError, match="tflite-micro does not run the model"):
        model.run({0: np.zeros((1, 7), np.float32)}, [graph.output])
    assert model.run({0: np.zeros((1, 6), np.int8)}, [graph.output])


@needs_micro
def test_memory_has_a_limit_of_its_own() -> None:
    """The arena is taken from the process with the limit, which refuses it or ends."""
    data = export_tflite(small_graph())
    with pytest.raises(UserError, match="tflite-micro"):
        RemoteModel("tflite-micro", data, arena_bytes=8 << 30, keeps=True)
    assert opened(small_graph())


@needs_micro
def test_a_judge_ends_with_the_process_that_started_it() -> None:
    script = (
        "import time\n"
        "from compress.judging import process\n"
        "print(process._process_of('tflite-micro').pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        handle = os.pidfd_open(child)
        parent.kill()
    try:
        assert select.select([handle], [], [], 60)[0], "the judge is left behind"
    finally:
        os.close(handle)


@needs_runtime
def test_a_model_that_kills_its_judge_is_not_judged_and_kills_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The judge of tflite-runtime is killed at each inference; tflite-micro judges on."""
    right = RemoteModel.run

    def deadly(self: RemoteModel, *arguments: object) -> object:
        if self._process.package == RUNTIME.package:
            os.kill(self._process.pid, signal.SIGSEGV)
        return right(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RemoteModel, "run", deadly)
    graph = small_graph()
    judged = check_oracle(export_tflite(graph), random_samples(graph, 3))
    assert judged.oracles == ((MICRO.name,) if MICRO.installed else ())
    assert judged.remarks == ("tflite-runtime ended by SIGSEGV at this model",)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("<IQ", 1 << 30, 0),
        struct.pack("<IQ", 2, 1 << 40),
        struct.pack("<IQ", 2, 0) + b"[]",
        struct.pack("<IQ", 2, 0) + b"{x",
        struct.pack("<IQ", 100_000, 0) + b"[" * 100_000,
        struct.pack("<IQ", 2, 1) + b"{}" + struct.pack("<Q", 1 << 60),
    ],
)
def test_what_is_no_message_is_not_read_on(sent: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(5)
        writer = threading.Thread(target=there.sendall, args=(sent,))
        writer.start()
        with pytest.raises(BadFrame):
            receive(here, 5)
        writer.join()


def test_a_message_arrives_as_it_was_sent() -> None:
    here, there = socket.socketpair()
    with here, there:
        send(there, {"a": [1, "b"]}, [b"", b"xyz"])
        assert receive(here, 5) == ({"a": [1, "b"]}, [b"", b"xyz"])
        there.sendall(b"\0\0\0")
        with pytest.raises(TimeoutError):
            receive(here, 0.1)
        there.close()
        with pytest.raises(EOFError):
            receive(here, 5)
