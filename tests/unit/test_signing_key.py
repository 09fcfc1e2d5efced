"""The secret key of the cache, and the files signed with it: nothing of anybody else's is read."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from compress.errors import UserError
from compress.signing_key import KEY_BYTES, signing_key
from compress.training.signed_file import read_object, write_object
from hil.cache import cached


class Evil:
    """Makes the file `proof` when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.proof),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hil-compress"


def private(cache: Path) -> Path:
    return cache / f"private-{os.geteuid()}"


def pickled(value: object) -> bytes:
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


def test_a_key_is_made_once_and_is_secret(cache: Path) -> None:
    key = signing_key()
    assert key is not None
    assert len(key) == KEY_BYTES
    assert signing_key() == key
    assert private(cache).stat().st_mode & 0o777 == 0o700
    assert (private(cache) / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in private(cache).iterdir()] == ["key"]


def test_processes_that_start_at_once_have_one_key() -> None:
    code = "from compress.signing_key import signing_key; print(signing_key().hex())"
    command = [sys.executable, "-c", code]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate(timeout=120)[0] for process in started}) == 1


def test_a_key_cut_short_is_made_anew(cache: Path) -> None:
    first = signing_key()
    (private(cache) / "key").write_bytes(b"short")
    assert signing_key() not in (None, first, b"short")


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_a_key_that_others_reach_is_no_key(cache: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "signed"
    assert write_object(path, [1, 2])
    assert read_object(path) == [1, 2]
    key = private(cache) / "key"
    if what == "folder":
        private(cache).chmod(0o770)
    elif what == "file":
        key.chmod(0o640)
    else:
        key.replace(tmp_path / "elsewhere")
        key.symlink_to(tmp_path / "elsewhere")
    assert signing_key() is None
    assert read_object(path) is None
    assert not write_object(tmp_path / "other", [1])
    assert not (tmp_path / "other").exists()


def test_what_somebody_else_wrote_is_not_unpickled(cache: Path, tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", tmp_path / "entry"
    payload = pickled(Evil(proof))
    for tag in (hashlib.sha256(payload).digest(), bytes(32), b""):
        path.write_bytes(tag + payload)
        assert read_object(path) is None
        assert not path.exists()
    assert write_object(path, Evil(proof))  # as another user, with another key
    (private(cache) / "key").unlink()
    assert read_object(path) is None
    assert not proof.exists()


def test_an_entry_under_another_name_is_none(tmp_path: Path) -> None:
    assert write_object(tmp_path / "a", [1])
    (tmp_path / "a").replace(tmp_path / "b")
    assert read_object(tmp_path / "b") is None


def test_without_a_key_nothing_is_kept_and_nothing_fails(cache: Path, tmp_path: Path) -> None:
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"")  # no folder
    assert signing_key() is None
    assert not write_object(tmp_path / "a", [1])
    assert read_object(tmp_path / "a") is None


def test_a_built_entry_that_others_may_change_is_refused() -> None:
    def make(work: Path) -> None:
        (work / "plugin.so").write_bytes(b"ours")

    folder = cached("plugin", "0" * 32, make)
    assert cached("plugin", "0" * 32, make) == folder
    folder.chmod(0o777)
    with pytest.raises(UserError, match="what is in it is executed"):
        cached("plugin", "0" * 32, make)
    folder.chmod(0o700)
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(elsewhere)
    assert cached("plugin", "0" * 32, make) == folder
    elsewhere.chmod(0o770)
    with pytest.raises(UserError, match="what is in it is executed"):
        cached("plugin", "0" * 32, make)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_a_built_entry_of_another_user_is_refused() -> None:
    folder = cached("plugin", "0" * 32, lambda work: None)
    os.chown(folder, 12345, 12345)
    with pytest.raises(UserError, match="is not this user's alone"):
        cached("plugin", "0" * 32, lambda work: None)
