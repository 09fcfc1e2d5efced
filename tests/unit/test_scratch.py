"""What a killed process leaves behind is removed by the next one; what is in use stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compress.files import write_atomically
from compress.scratch import (
    NEW,
    PART,
    SCRATCH,
    scratch_folder,
    sweep,
    sweep_cache,
    sweep_temporary,
)

# A process that makes one of each, says so and waits.
HOLDER = """
import sys, time
from pathlib import Path
from compress.files import _held
from compress.scratch import NEW, PART, scratch_folder
folder = Path(sys.argv[1])
part = folder / f"a{PART}"
with scratch_folder(folder=folder), scratch_folder(NEW, folder), _held(part) as part:
    part.write(b"half")
    print("ready", flush=True)
    time.sleep(1000)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def kinds(folder: Path) -> list[str]:
    return sorted(path.name[:4] for path in folder.iterdir())


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    with holder(tmp_path) as alive:
        sweep(tmp_path, f"{SCRATCH}*", f"{NEW}*", f"*{PART}")
        assert kinds(tmp_path) == [".scr", "a.sc", "hil-"]
        alive.kill()
        alive.wait()
        assert kinds(tmp_path) == [".scr", "a.sc", "hil-"]
        sweep(tmp_path, f"{SCRATCH}*", f"{NEW}*", f"*{PART}")
        assert kinds(tmp_path) == []


def test_a_folder_goes_with_its_use(tmp_path: Path) -> None:
    with scratch_folder(folder=tmp_path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"1")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_files_are_written_while_others_sweep(tmp_path: Path) -> None:
    ended = threading.Event()

    def sweeps() -> None:
        while not ended.is_set():
            sweep(tmp_path, f"*{PART}", f"{SCRATCH}*")

    thread = threading.Thread(target=sweeps)
    thread.start()
    try:
        for number in range(200):
            write_atomically(tmp_path / "file", b"%d" % number, sync=False)
            with scratch_folder(folder=tmp_path) as folder:
                assert folder.is_dir()
    finally:
        ended.set()
        thread.join()
    assert (tmp_path / "file").read_bytes() == b"199"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_other_files_and_links_stay(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"1")
    (tmp_path / f"{SCRATCH}link").symlink_to(kept)
    (tmp_path / "other").write_bytes(b"1")
    sweep(tmp_path, f"{SCRATCH}*")
    assert (kept / "file").exists()
    assert (tmp_path / "other").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_what_others_left_stays(tmp_path: Path) -> None:
    folder = tmp_path / f"{SCRATCH}theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    sweep(tmp_path, f"{SCRATCH}*")
    assert folder.is_dir()


def test_the_places_that_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    cache = tmp_path / "cache" / "hil-compress"
    temporary, plugin, entry = tmp_path / "tmp", cache / "plugin", cache / "a"
    left = [temporary / f"{SCRATCH}1", plugin / f"{NEW}1", entry / f"b.1{PART}"]
    # Without a lock they may be in use: earlier versions and benchmarks made them so.
    unlocked = [temporary / "hil-search-1", plugin / ".new-1", entry / "b.1.part"]
    for path in [*left, *unlocked, plugin / "kept"]:
        path.mkdir(parents=True)
    sweep_temporary()
    sweep_cache()
    assert not any(path.exists() for path in left)
    assert all(path.is_dir() for path in [*unlocked, plugin / "kept"])


# The command `hil boards`, whose work is to make a folder and wait.
COMMAND = """
import sys, time
from hil.cli import boards, main
from compress.scratch import scratch_folder

def work():
    with scratch_folder():
        print("ready", flush=True)
        time.sleep(1000)

boards._boards = work
sys.argv = ["hil", "boards"]
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_command_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    (temporary / f"{SCRATCH}of-a-killed-one").mkdir(parents=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job, and so these tests in one, would hand down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(kinds(temporary)) == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (128 + number, "", "hil: interrupted\n")
    assert kinds(temporary) == []
