"""Pickled objects in cache files: a checksum tells a whole file from a damaged one."""

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
    """The object that `write_object` wrote; None for no file or a damaged one, which is removed."""
    try:
        data = path.read_bytes()
        os.utime(path)  # marks it as recently used
    except OSError:
        return None  # missing or unreadable: the caller makes the object again
    payload = data[_CHECKSUM_BYTES:]
    if hashlib.sha256(payload).digest() != data[:_CHECKSUM_BYTES]:
        path.unlink(missing_ok=True)
        return None
    # Unpickling runs code. The file is in the user's own cache folder, which is trusted.
    return torch.load(io.BytesIO(payload), weights_only=False)


def write_object(path: Path, value: object) -> bool:
    """Write `value` atomically. Returns False if the file cannot be written, as on a full disk."""
    data = io.BytesIO()
    torch.save(value, data)
    payload = data.getvalue()
    try:
        write_atomically(path, hashlib.sha256(payload).digest() + payload, sync=False)
    except OSError:
        return False
    return True
