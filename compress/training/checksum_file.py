"""Objects in files of a user's cache: whole or not there, and known to be ours by a checksum."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from compress.files import write_atomically

_CHECKSUM_BYTES = 32


def read_object(path: Path) -> Any:
    """What `write_object` wrote; None if it is not there, or damaged (and then removed)."""
    try:
        data = path.read_bytes()
        os.utime(path)  # recently used
    except OSError:
        return None  # not there, or not to be read: made anew either way
    payload = data[_CHECKSUM_BYTES:]
    if hashlib.sha256(payload).digest() != data[:_CHECKSUM_BYTES]:
        path.unlink(missing_ok=True)
        return None
    # Our own pickle: the checksum says so, as far as a user's cache folder can be trusted.
    return torch.load(io.BytesIO(payload), weights_only=False)


def write_object(path: Path, value: object) -> bool:
    """Written aside and renamed. Without room on the disk it is just not kept: False."""
    data = io.BytesIO()
    torch.save(value, data)
    payload = data.getvalue()
    try:
        write_atomically(path, hashlib.sha256(payload).digest() + payload, sync=False)
    except OSError:
        return False
    return True
