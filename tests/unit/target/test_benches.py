"""Benches: assignment of probes and ports, locks, quarantine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.errors import NoReply, ProbeLost
from hil.target.bench_file import Bench, BenchEntry, Probe, SerialPort, match_benches, read_entries
from hil.target.bench_lock import (
    QUARANTINE_FAILURES,
    BenchBusy,
    Quarantined,
    claim,
    quarantine_reason,
    record_failure,
    record_success,
    recorded_failures,
    release_quarantine,
    state_folder,
)

BOARD = "nucleo-f446re"
F446 = Probe("066BFF525071", "STM32 STLink", "NUCLEO-F446RE")
SECOND_F446 = Probe("066BFF999999", "STM32 STLink", "NUCLEO-F446RE")
L476 = Probe("0667FF123456", "STM32 STLink", "NUCLEO-L476RG")
SILENT = Probe("004A00313137", "STM32 STLink-V3", "")
PORTS = (
    SerialPort("/dev/ttyACM0", "STM32 STLink", "0667FF123456"),
    SerialPort("/dev/ttyACM1", "STM32 STLink", "066bff525071"),
    SerialPort("/dev/ttyACM2", "STM32 STLink", "066BFF999999"),
    SerialPort("/dev/ttyACM3", "STLink-V3", "004A00313137"),
    SerialPort("/dev/ttyS0", "ttyS0", ""),
)


def places(
    *entries: BenchEntry, probes: tuple[Probe, ...], board: str = BOARD
) -> list[tuple[str, str]]:
    return [(p.probe_id, p.port_url) for p in match_benches(board, entries, probes, PORTS)]


# ---- assignment of probes and ports


def test_a_probe_is_known_by_its_board_and_the_port_by_its_number() -> None:
    assert places(probes=(L476, F446, SILENT)) == [("066BFF525071", "/dev/ttyACM1")]


def test_two_boards_of_a_kind_are_two_benches() -> None:
    assert places(probes=(F446, SECOND_F446)) == [
        ("066BFF525071", "/dev/ttyACM1"),
        ("066BFF999999", "/dev/ttyACM2"),
    ]


def test_the_only_probe_that_says_nothing_is_it() -> None:
    assert places(probes=(L476, SILENT)) == [("004A00313137", "/dev/ttyACM3")]


def test_what_bench_toml_says_comes_first() -> None:
    pinned = BenchEntry(BOARD, probe="0667ff", port="/dev/mine")
    assert places(pinned, probes=(F446, L476)) == [("0667FF123456", "/dev/mine")]
    both = (BenchEntry(BOARD, probe="999999"), BenchEntry(BOARD, probe="0667"))
    assert places(*both, probes=(L476, SECOND_F446)) == [
        ("066BFF999999", "/dev/ttyACM2"),
        ("0667FF123456", "/dev/ttyACM0"),
    ]


def test_a_probe_pinned_to_another_board_is_not_taken() -> None:
    other = BenchEntry("nucleo-u575zi-q", probe="004A")
    with pytest.raises(ProbeLost, match="no debug probe for it"):
        places(other, probes=(SILENT,))


def test_an_entry_without_a_probe_gets_the_one_that_is_found() -> None:
    assert places(BenchEntry(BOARD, port="/dev/mine"), probes=(F446,)) == [
        ("066BFF525071", "/dev/mine")
    ]


def test_a_remote_bench_needs_no_probe_here() -> None:
    entry = BenchEntry(BOARD, probe="remote:lab:5555", port="rfc2217://lab:4000")
    assert places(entry, probes=()) == [("remote:lab:5555", "rfc2217://lab:4000")]
    with pytest.raises(ProbeLost, match=r'\[nucleo-f446re\] port = "..."'):
        places(BenchEntry(BOARD, probe="remote:lab"), probes=())


def test_a_serial_number_counts_without_leading_zeros_and_plug_in_name() -> None:
    entry = BenchEntry(BOARD, probe="jlink:683000")
    (place,) = match_benches(
        BOARD, [entry], (), [SerialPort("/dev/ttyACM9", "J-Link", "000683000")]
    )
    assert place.port_url == "/dev/ttyACM9"


@pytest.mark.parametrize(
    ("entries", "probes", "kind", "words"),
    [
        ((), (), ProbeLost, "no probe is connected"),
        ((), (L476,), ProbeLost, "connected are 0667FF123456 on NUCLEO-L476RG"),
        ((), (SILENT, Probe("0042", "x", "")), UserError, "004A00313137, 0042 report no board"),
        (
            (BenchEntry(BOARD, probe="0677"),),
            (F446,),
            ProbeLost,
            "'0677' (bench.toml) is not connected",
        ),
        ((BenchEntry(BOARD, probe="066"),), (F446, L476), UserError, "matches several probes"),
        ((), (Probe("077", "x", "Nucleo F446RE"),), ProbeLost, "no serial port has the serial"),
    ],
)
def test_what_is_unclear_is_said(
    entries: tuple[BenchEntry, ...], probes: tuple[Probe, ...], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        places(*entries, probes=probes)
    assert words in str(caught.value)
    assert BOARD in str(caught.value)


def test_bench_toml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    assert read_entries(path) == ()
    path.write_text(
        '[nucleo-f446re]\nprobe = "066B"\nport = "/dev/ttyACM0"\npower = "traces/f446.csv"\n'
        '[[nucleo-l476rg]]\nprobe = "1"\n[[nucleo-l476rg]]\nprobe = "2"\n'
    )
    assert read_entries(path) == (
        BenchEntry("nucleo-f446re", "066B", "/dev/ttyACM0", tmp_path / "traces/f446.csv"),
        BenchEntry("nucleo-l476rg", "1"),
        BenchEntry("nucleo-l476rg", "2"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[b]\nserial = "x"', "unknown key b.serial: keys are probe, port, power"),
        ("[b]\nprobe = 4", "b.probe = 4: must be a text"),
        ('[b]\nport = ""', "b.port = '': must be a text"),
        ('b = "x"', "b = 'x': must be a table, [b]"),
        ("[b", "bench.toml"),
    ],
)
def test_a_wrong_bench_toml_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_entries(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


# ---- locks

HERE = Bench(BOARD, "066BFF525071", "/dev/ttyACM1")
THERE = Bench(BOARD, "066BFF999999", "/dev/ttyACM2")
HOLD = f"""\
import time
from hil.target.bench_lock import claim
from hil.target.bench_file import Bench
held = claim([Bench({BOARD!r}, {HERE.probe_id!r}, "")], 0)
print("held", flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of HERE."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_probe_in_use_is_refused_naming_the_process(holder: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    with pytest.raises(BenchBusy) as caught:
        claim([HERE], wait_s=0.2)
    assert 0.2 <= time.monotonic() - started < 20
    assert f"in use by process {holder.pid} (" in str(caught.value)
    assert "python" in str(caught.value)


def test_the_free_one_of_two_is_taken(holder: subprocess.Popen[str]) -> None:
    taken = claim([HERE, THERE], wait_s=0)
    assert taken.bench == THERE
    taken.release()


def test_a_killed_process_holds_nothing(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    taken = claim([HERE], wait_s=20)  # until the kernel has released the lock
    assert taken.bench == HERE
    taken.release()


def test_within_a_process_too_and_until_released() -> None:
    taken = claim([HERE], 0)
    with pytest.raises(BenchBusy, match=f"process {os.getpid()} "):
        claim([HERE], 0)
    taken.release()
    taken.release()
    claim([HERE], 0).release()


def test_a_state_folder_that_cannot_be_made_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="XDG_STATE_HOME"):
        claim([HERE], 0)


# ---- quarantine


def fail(bench: Bench, times: int) -> list[bool]:
    error = NoReply("no reply to HELLO within 5 s", "> 01 02  [HELLO]")
    return [record_failure(bench, error) for _ in range(times)]


def test_three_failures_in_a_row_are_a_quarantine_with_transcripts() -> None:
    assert fail(HERE, 3) == [False, False, True]
    with pytest.raises(Quarantined) as caught:
        claim([HERE], 0)
    assert caught.value.transcript == "> 01 02  [HELLO]"
    for words in ("failed 3 times in a row", "no reply to HELLO", f"--board {BOARD} --release"):
        assert words in str(caught.value)
    (path,) = state_folder().glob("*.failures.json")
    assert str(path) in str(caught.value)
    kept = json.loads(path.read_text())
    assert (kept["board"], kept["probe"]) == (BOARD, HERE.probe_id)
    assert [failure["transcript"] for failure in kept["failures"]] == ["> 01 02  [HELLO]"] * 3


def test_a_run_in_between_starts_the_count_anew() -> None:
    fail(HERE, QUARANTINE_FAILURES - 1)
    record_success(HERE)
    record_success(HERE)
    assert fail(HERE, QUARANTINE_FAILURES - 1) == [False] * (QUARANTINE_FAILURES - 1)
    assert quarantine_reason(HERE) == ""
    claim([HERE], 0).release()


def test_the_other_board_of_the_kind_goes_on() -> None:
    fail(HERE, QUARANTINE_FAILURES)
    taken = claim([HERE, THERE], 0)
    assert taken.bench == THERE
    taken.release()


def test_release_frees_every_bench_of_one_board() -> None:
    other = Bench("nucleo-l476rg", "0667FF123456", "")
    for bench in (HERE, THERE, other):
        fail(bench, QUARANTINE_FAILURES)
    assert release_quarantine(BOARD) == [HERE.probe_id, THERE.probe_id]
    assert (recorded_failures(HERE), recorded_failures(THERE)) == ([], [])
    assert len(recorded_failures(other)) == QUARANTINE_FAILURES
    assert release_quarantine(BOARD) == []


def test_a_board_that_fails_while_another_process_waits_for_it_is_not_opened() -> None:
    held = claim([HERE], 0)
    got: list[Exception] = []

    def wait() -> None:
        try:
            claim([HERE], wait_s=20).release()
        except Quarantined as error:
            got.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)  # it has seen the board usable
    fail(HERE, QUARANTINE_FAILURES)
    held.release()
    waiting.join()
    assert len(got) == 1
    assert "failed 3 times" in str(got[0])


def test_a_torn_file_of_failures_is_none() -> None:
    fail(HERE, QUARANTINE_FAILURES)
    (path,) = state_folder().glob("*.failures.json")
    path.write_text(path.read_text()[:40])
    claim([HERE], 0).release()
    assert release_quarantine(BOARD) == []
    fail(HERE, 1)
    assert len(recorded_failures(HERE)) == 1


def test_addresses_make_file_names() -> None:
    remote = Bench(BOARD, "remote:lab.example:5555/../x", "")
    claim([remote], 0).release()
    assert [path.name for path in state_folder().iterdir()] == ["remote_lab.example_5555_.._x.lock"]
