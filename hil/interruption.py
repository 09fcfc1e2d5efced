"""Ctrl-C and SIGTERM: the first ends the command in good order, the second at once.

A signal that arrives while a module is imported ends the process at once, too: extension modules
abort when an exception comes out of what they call, and nothing has begun that would be lost. What
is left then, workers and emulators, ends with this process (`hil.trial.workers`), and the next
command removes its temporary folders (`compress.scratch`).

Nothing is imported here that takes time, since until `install` Python's own handler is in force,
which prints a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h\r\n"  # a progress bar hides it
_WORDS = b"hil: interrupted\n"
_received: list[int] = []  # the number of the first signal


class Terminated(KeyboardInterrupt):
    """SIGTERM: the command ends as by Ctrl-C, but whoever sent it waits for no report."""


def install() -> None:
    """Handle both signals from now on; an ignored SIGINT, as of a job in the background, stays so.

    Only in the main thread.
    """
    for number in _SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _first)


def exit_code() -> int | None:
    """The exit code of a command that a signal ended, as shells count: 128 and its number.

    None if none came. The exception does not tell it: typer makes another one of it.
    """
    return 128 + _received[0] if _received else None


def _first(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    for one in _SIGNALS:
        if signal.getsignal(one) == _first:
            signal.signal(one, _end_at_once)
    if _is_importing(frame):
        _end_at_once(number, frame)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end_at_once(number: int, _: FrameType | None) -> NoReturn:
    """Kill the workers and exit, without anything that Python does at its end."""
    processes = sys.modules.get("multiprocessing")
    if processes is not None:
        for process in processes.active_children():
            process.kill()
    os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + _WORDS)
    os._exit(128 + number)
