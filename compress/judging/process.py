"""Models in another process: interpreters in C++ obey a model's bytes, wherever these lead.

A file that nobody has checked may make an interpreter overwrite memory, allocate without end or
never return. Here that ends a process of its own, with limits of memory and time, and is told in
one line. There is one process per library, started when it is first needed and kept.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from compress.errors import UserError
from compress.judging.frames import BadFrame, receive, send

_Array = npt.NDArray[Any]

START_S = 120.0  # for the process to import its library; a loaded machine needs some of it
ANSWER_S = 60.0  # for one model to load, or for one inference
_EXIT_S = 5.0
_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "bool")
_START = "import sys; from compress.judging.child import main; main(sys.argv[1], int(sys.argv[2]))"


class JudgeDied(UserError):
    """The process of a library ended, or was ended because it did not answer."""


class _Process:
    """A process of the library `package`. Raises UserError, JudgeDied."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.lock = threading.Lock()
        self.dropped: list[int] = []
        self._numbers = 0
        self._died = ""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._end, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, package, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C must not reach it
            )
        self._finalizer = weakref.finalize(self, _end, self._process, self._end, self._stderr)
        told, _ = self._answer(START_S)
        if "unusable" in told:
            self._finalizer()
            raise UserError(f"{package} cannot be imported: {told['unusable']}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._died

    def ask(
        self, request: dict[str, Any], parts: Sequence[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to one request. Raises UserError if the library refuses it, JudgeDied."""
        with self.lock:
            if self._died:
                raise JudgeDied(self._died)
            drop = [self.dropped.pop() for _ in range(len(self.dropped))]
            try:
                self._end.settimeout(ANSWER_S)
                send(self._end, {**request, "drop": drop}, parts)
            except OSError:
                raise self._lost() from None
            told, values = self._answer(ANSWER_S)
        return told, values

    def next_number(self) -> int:
        """A number for a new model."""
        self._numbers += 1
        return self._numbers

    def _answer(self, timeout_s: float) -> tuple[dict[str, Any], list[bytes]]:
        try:
            return receive(self._end, timeout_s)
        except TimeoutError:
            raise self._lost(f"has not answered for {timeout_s:g} s and was ended") from None
        except BadFrame as error:
            raise self._lost(f"answered {error}, and was ended") from None
        except (EOFError, OSError):
            raise self._lost() from None

    def _lost(self, what: str = "") -> JudgeDied:
        """The error for a process that ended, or, with `what` it did, that is ended now."""
        if what:
            self._process.kill()
        try:
            status = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            status = 0
        ending = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        self._died = f"{self.package} {what or ending} at this model{_words(self._stderr)}"
        self._finalizer()
        return JudgeDied(self._died)


def _words(stderr: IO[bytes]) -> str:
    """The last line that a process printed, with a colon before it."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2000))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""


def _end(process: subprocess.Popen[bytes], end: socket.socket, stderr: IO[bytes]) -> None:
    end.close()
    process.kill()
    process.wait(_EXIT_S)
    stderr.close()


_processes: dict[str, _Process] = {}
_starting = threading.Lock()
# A forked process would share the connections.
os.register_at_fork(after_in_child=_processes.clear)


def _process_of(package: str) -> _Process:
    with _starting:
        running = _processes.get(package)
        if running is None or not running.alive:
            running = _processes[package] = _Process(package)
        return running


class RemoteModel:
    """A model in the process of `package`, ready to run.

    `settings` are the library's (`compress.judging.child`). Raises UserError, with the library's
    reason, if it refuses the model; JudgeDied.
    """

    def __init__(self, package: str, model: bytes, **settings: Any) -> None:
        self._process = _process_of(package)
        self._number = self._process.next_number()
        request = {"do": "open", "number": self._number, **settings}
        told, _ = self._process.ask(request, [model])
        if "refused" in told:
            raise UserError(f"{package} does not accept the model: {told['refused']}")
        weakref.finalize(self, self._process.dropped.append, self._number)

    def run(self, inputs: dict[int, _Array], results: Sequence[int]) -> list[_Array]:
        """The values of `results` after an inference with `inputs`, by position or tensor.

        Raises UserError, JudgeDied.
        """
        types = [(place, value.dtype.name, value.shape) for place, value in inputs.items()]
        parts = [np.ascontiguousarray(value).tobytes() for value in inputs.values()]
        request = {"do": "run", "number": self._number, "inputs": types, "results": list(results)}
        told, values = self._process.ask(request, parts)
        package = self._process.package
        if "refused" in told:
            raise UserError(f"{package} does not run the model: {told['refused']}")
        try:
            answers = zip(told["types"], values, strict=True)
            return [_array(name, shape, part) for (name, shape), part in answers]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{package} answers with no arrays of numbers: {error}") from None


def _array(name: str, shape: list[int], content: bytes) -> _Array:
    if name not in _TYPES:
        raise ValueError(f"type {name}")
    values: _Array = np.frombuffer(content, np.dtype(name))
    if len(values) != math.prod(shape):
        raise ValueError(f"{len(values)} values for shape {shape}")
    return values.reshape(shape)
