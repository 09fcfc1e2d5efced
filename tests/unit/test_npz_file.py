"""Archives of arrays that are damaged are refused in one line, whatever Python says of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from compress.npz_file import read_npz


def member_as(header: bytes) -> bytes:
    """An archive with one array, whose header is `header`."""
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("x.npy", array)
    return content.getvalue()


def encrypted() -> bytes:
    """An archive that says of itself that it is encrypted, in both places where one does."""
    content = io.BytesIO()
    np.savez(content, x=np.zeros(4, np.int8))
    data = bytearray(content.getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def without_magic() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("x.npy", b"not what NumPy writes")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (without_magic(), "x is no array"),
        (encrypted(), "encrypted"),
        (member_as(b"{'descr': '|i1', 'fortran_order': False, 'shape': (4L,)"), "header"),
    ],
)
def test_a_damaged_archive_is_a_value_error_of_one_line(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as refused:
        read_npz(path)
    assert "\n" not in str(refused.value)
