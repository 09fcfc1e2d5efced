"""Files that a run keeps are there whole or not at all, and what hinders them is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.artifacts import keep, kept, write_whole


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []

    def fsync(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append(file.read_bytes())
        assert not kept(tmp_path, 1).exists()

    monkeypatch.setattr(os, "fsync", fsync)
    keep(tmp_path, 1, b"network")
    assert synced == [b"network"]
    assert kept(tmp_path, 1).read_bytes() == b"network"
    assert [path.name for path in kept(tmp_path, 1).parent.iterdir()] == ["0001.tflite"]


def test_only_a_full_disk_needs_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/network: ") as error:
        write_whole(tmp_path / "file" / "network", b"")
    assert "space" not in str(error.value)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="free some space"):
        write_whole(tmp_path / "network", b"")
    assert not (tmp_path / "network").exists()
