"""A process that has imported the slow packages, and forks for each command `hil`.

Arguments: its parent's number, the path of its socket, the names of the packages. These are those
of others: each command imports compress and hil itself, so that a fault of their imports is seen.

A connection is one command. It begins with a JSON object of its arguments, folder and environment,
after its length in 4 bytes, with the command's stdin, stdout and stderr. Then each byte is a signal
for it, and its end is a SIGKILL. The answer is the status with which the command ended, 4 bytes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading

LOOK_S = 5.0  # how often it looks whether its parent is still there


def serve(parent: int, path: str) -> None:
    """Take commands while the parent lives. Returns in the process of each command."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen()
    os.rename(f"{path}.new", path)
    listener.settimeout(LOOK_S)
    handlers: set[int] = set()
    while True:
        handlers -= {one for one in handlers if os.waitpid(one, os.WNOHANG)[0]}
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if os.getppid() != parent:
                os._exit(0)
            continue
        handler = os.fork()
        if handler == 0:
            listener.close()
            connection.settimeout(None)
            handle(connection)
            return
        handlers.add(handler)
        connection.close()


def handle(connection: socket.socket) -> None:
    """Fork the command and watch over it; returns in its process."""
    head, fds, _, _ = socket.recv_fds(connection, 4, 3)
    text = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    command = os.fork()
    if command == 0:
        connection.close()
        become(json.loads(text), fds)
        return
    for fd in fds:
        os.close(fd)
    ended = os.pidfd_open(command)
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            _, status = os.waitpid(command, 0)
            connection.send(status.to_bytes(4, "big"))
            os._exit(0)
        asked = connection.recv(1)
        os.kill(command, asked[0] if asked else signal.SIGKILL)
        if not asked:
            os._exit(0)


def become(command: dict[str, object], fds: list[int]) -> None:
    """Make this process the one of a command: as if Python had been started for it."""
    os.setsid()
    # What runs in the background, and so its children, begins with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(str(command["folder"]))
    os.environ.clear()
    os.environ.update(command["environment"])  # type: ignore[call-overload]
    sys.argv = ["hil", *command["arguments"]]  # type: ignore[misc]
    sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def run() -> None:
    """Run the command, and end as Python does, but do not free what was imported: it takes long."""
    from hil.__main__ import start

    code: object = None
    try:
        start()
    except SystemExit as end:
        code = end.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    for name in sys.argv[3:]:
        importlib.import_module(name)
    assert not {"compress", "hil"} & {name.split(".")[0] for name in sys.modules}
    gc.freeze()  # otherwise a command would copy pages only to count what refers to their objects
    serve(int(sys.argv[1]), sys.argv[2])
    run()
