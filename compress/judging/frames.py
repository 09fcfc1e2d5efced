"""Messages between a judge and its process: plain data and arrays over a stream socket.

A message is a JSON object and any number of byte strings. Nothing in it can run code, whichever
end sends it.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

_HEAD = struct.Struct("<IQ")  # bytes of the JSON text, number of byte strings
_SIZE = struct.Struct("<Q")
_MOST_TEXT_BYTES = 1 << 20
_MOST_PARTS = 1 << 16
_MOST_PART_BYTES = 1 << 30


class BadFrame(Exception):
    """What arrived is no message."""


def send(
    end: socket.socket, text: dict[str, Any], parts: Sequence[bytes | memoryview] = ()
) -> None:
    """Send one message. Raises OSError (TimeoutError included)."""
    encoded = json.dumps(text).encode()
    end.sendall(_HEAD.pack(len(encoded), len(parts)) + encoded)
    for part in parts:
        end.sendall(_SIZE.pack(len(part)))
        end.sendall(part)


def receive(
    end: socket.socket, timeout_s: float | None = None
) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one message whole within `timeout_s`.

    Raises TimeoutError, EOFError where the other end is gone, another OSError, BadFrame.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    text_bytes, count = _HEAD.unpack(_exactly(end, _HEAD.size, deadline))
    if text_bytes > _MOST_TEXT_BYTES or count > _MOST_PARTS:
        raise BadFrame(f"a message of {text_bytes} bytes of text and {count} parts")
    try:
        text = json.loads(_exactly(end, text_bytes, deadline))
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"a message that is not JSON: {error}") from error
    if not isinstance(text, dict):
        raise BadFrame("a message that is no object")
    parts = []
    for _ in range(count):
        (size_bytes,) = _SIZE.unpack(_exactly(end, _SIZE.size, deadline))
        if size_bytes > _MOST_PART_BYTES:
            raise BadFrame(f"an array of {size_bytes} bytes")
        parts.append(_exactly(end, size_bytes, deadline))
    return text, parts


def _exactly(end: socket.socket, size_bytes: int, deadline: float | None) -> bytes:
    received = bytearray()
    while len(received) < size_bytes:
        if deadline is not None:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError("no answer in time")
            end.settimeout(remaining_s)
        piece = end.recv(min(size_bytes - len(received), 1 << 20))
        if not piece:
            raise EOFError("the other end is gone")
        received += piece
    return bytes(received)
