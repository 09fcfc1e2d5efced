"""The command `hil`, run by a fork server (`fork_server.py`), whose socket is the first argument.

The others are the command's. Signals are handed on to the command, and it ends as the command does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: server.send(bytes([got])))
    command = {
        "arguments": sys.argv[2:],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    text = json.dumps(command).encode()
    socket.send_fds(server, [len(text).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(text)
    status = server.recv(4, socket.MSG_WAITALL)
    if len(status) < 4:
        sys.exit("the fork server is gone")
    code = os.waitstatus_to_exitcode(int.from_bytes(status, "big"))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
