"""What a reader does with a guide: files that it shows are written, its commands are typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from helpers.checkout import ROOT

LIMIT_S = 600  # only ends a hang
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"\n]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class File:
    """A block with a title: the file of this path, `~` is the reader's home."""

    path: str
    text: str


@dataclass(frozen=True)
class Step:
    """A command of a guide and the lines that its output must have, in this order."""

    command: str
    lines: tuple[str, ...] = ()


def parts(guide: str) -> Iterator[File | Step]:
    """Files and commands of docs/`guide`.md, in their order."""
    text = (ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    for kind, title, block in BLOCK.findall(text):
        if title:
            yield File(title, block)
        elif kind == "sh":
            lines = (line for line in block.splitlines() if not re.match(r"\s*(#|$)", line))
            yield from (Step(re.sub(r"\s+# .*", "", line)) for line in lines)
        elif kind == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *lines = part.splitlines()
                shown = (line for line in lines if line.strip() and line.strip() != "...")
                yield Step(command, tuple(shown))


def pattern(line: str) -> str:
    """A regular expression for `line` with other numbers."""
    return r"[\d.,]+".join(re.escape(text) for text in re.split(r"[\d.,]*\d", line.strip()))


class Terminal:
    """A shell that begins in `folder`: folder and variables stay from one command to the next.

    Use it in a `with` block, at whose end the shell ends, and commands that run on get Ctrl-C.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self._running: list[tuple[str, subprocess.Popen[str]]] = []
        self._shell = subprocess.Popen(
            ["sh", "-u"], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        codes = {command: _interrupt(process) for command, process in reversed(self._running)}
        _kill(self._shell)
        if kind is None:
            assert set(codes.values()) <= {0, 130}, codes  # 130: ended by Ctrl-C

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        with tempfile.TemporaryDirectory() as scratch, _limit(self._shell):
            out, err = (Path(scratch) / name for name in ("out", "err"))
            self._shell.stdin.write(f"{{ {command}\n}} </dev/null >{out} 2>{err}; echo $?\n")
            self._shell.stdin.flush()
            code = int(self._shell.stdout.readline() or -signal.SIGKILL)
            return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())

    def write(self, file: File) -> None:
        """Write a file that the page shows, in the folder where the shell is."""
        home = Path(self.environment["HOME"])
        path = Path(self.run("pwd").stdout.strip()) / file.path.replace("~", str(home))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")

    def start(self, command: str, ready: str) -> str:
        """Run a command in a terminal of its own; returns once it has printed a line like `ready`.

        Returns the first group of that line.
        """
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            # A background job, and so these tests in one, would hand down that it is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        self._running.append((command, process))
        assert process.stdout is not None
        printed = ""
        with _limit(process):
            for line in process.stdout:
                printed += line
                if found := re.search(ready, line):
                    return str(found[1])
        raise AssertionError((command, process.wait(LIMIT_S), printed))


@contextmanager
def _limit(process: subprocess.Popen[str]) -> Iterator[None]:
    timer = threading.Timer(LIMIT_S, _kill, [process])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _interrupt(process: subprocess.Popen[str]) -> int:
    """What Ctrl-C does; returns the exit code."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with _limit(process):
        process.communicate()
    return process.returncode


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
