"""The data cache holds complete entries, makes damaged ones again, and is safe for processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.tasks.cache import Arrays, cached, data_folder

NUMBERS = np.arange(1000, dtype=np.float32).reshape(10, 100)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hil-compress" / "data"


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"x": NUMBERS, "y": NUMBERS[0].astype(np.int64)}


def test_made_once(folder: Path) -> None:
    make = Maker()
    first, second = cached("a", "1", make), cached("a", "1", make)
    assert make.calls == 1
    for arrays in (first, second):
        assert sorted(arrays) == ["x", "y"]
        np.testing.assert_array_equal(arrays["x"], NUMBERS)
        assert arrays["y"].dtype == np.int64
    assert [path.name for path in folder.iterdir()] == ["a-1.npz"]


def test_another_key_is_another_entry() -> None:
    make = Maker()
    cached("a", "1", make)
    cached("a", "2", make)
    cached("b", "1", make)
    assert make.calls == 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_cut_short(folder: Path, share: float) -> None:
    make = Maker()
    cached("a", "1", make)
    path = folder / "a-1.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    np.testing.assert_array_equal(cached("a", "1", make)["x"], NUMBERS)
    assert make.calls == 2
    assert path.read_bytes() == whole


def test_one_flipped_bit(folder: Path) -> None:
    make = Maker()
    cached("a", "1", make)
    path = folder / "a-1.npz"
    content = bytearray(path.read_bytes())
    content[2000] ^= 0x10
    path.write_bytes(content)
    np.testing.assert_array_equal(cached("a", "1", make)["x"], NUMBERS)
    assert make.calls == 2


@pytest.mark.parametrize("content", [b"not an archive at all", b"\x93NUMPY\x01\x00v\x00{}"])
def test_something_else_under_its_name(folder: Path, content: bytes) -> None:
    make = Maker()
    folder.mkdir(parents=True)
    (folder / "a-1.npz").write_bytes(content)
    np.testing.assert_array_equal(cached("a", "1", make)["x"], NUMBERS)


def test_a_failed_make_leaves_nothing(folder: Path) -> None:
    def fail() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("a", "1", fail)
    assert list(folder.iterdir()) == []


def test_not_writable_is_said_before_the_work(folder: Path) -> None:
    make = Maker()
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cached("a", "1", make)
    assert make.calls == 0


def test_two_processes_at_a_time() -> None:
    script = (
        "import sys, numpy as np; from compress.tasks.cache import cached\n"
        "for key in range(30):\n"
        "    made = cached('a', str(key), lambda: {'x': np.full(50_000, key)})\n"
        "    assert (made['x'] == key).all()\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    names = sorted(path.name for path in data_folder().iterdir())
    assert names == sorted(f"a-{key}.npz" for key in range(30))
