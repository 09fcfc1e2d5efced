"""Pickled objects in cache files, signed: only what this user wrote, whole, is read.

Unpickling runs code. So a file starts with a tag (HMAC-SHA-256) of its name and content, made with
the user's secret key: one that somebody else wrote, renamed or changed is not read at all, and
neither is one that a power cut damaged. See docs/decisions/0036.
"""

from __future__ import annotations

import hmac
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from compress.files import write_atomically
from compress.signing_key import signing_key

_TAG_BYTES = 32


def read_object(path: Path) -> Any:
    """The object that `write_object` wrote; None for no file or another one, which is removed."""
    key = signing_key()
    if key is None:
        return None
    try:
        data = path.read_bytes()
        os.utime(path)  # marks it as recently used
    except OSError:
        return None  # missing or unreadable: the caller makes the object again
    payload = data[_TAG_BYTES:]
    if not hmac.compare_digest(_tag(key, path, payload), data[:_TAG_BYTES]):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return None
    return torch.load(io.BytesIO(payload), weights_only=False)


def write_object(path: Path, value: object) -> bool:
    """Write `value` atomically.

    Returns False if the file cannot be written, as on a full disk, or there is no secret key.
    """
    key = signing_key()
    if key is None:
        return False
    data = io.BytesIO()
    torch.save(value, data)
    payload = data.getvalue()
    try:
        write_atomically(path, _tag(key, path, payload) + payload, sync=False)
    except OSError:
        return False
    return True


def _tag(key: bytes, path: Path, payload: bytes) -> bytes:
    """A tag holds for one name: an entry renamed to another is none."""
    return hmac.digest(key, path.name.encode() + b"\0" + payload, "sha256")
