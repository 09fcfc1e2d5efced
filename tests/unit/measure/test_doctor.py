"""The doctor reports what is missing and the command that fixes it, and never crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from compress.tflite.oracle import MICRO, installed
from helpers.oracles import needs_oracle
from hil.board import load_board
from hil.cli.doctor import NAME_WIDTH, checks_to_json, healthy, line_of, readiness
from hil.errors import NoReply, ProbeLost
from hil.measure import doctor, emulator_checks
from hil.measure.check import Check
from hil.measure.doctor import examine
from hil.measure.smoke_network import smoke_graph, smoke_samples
from hil.target import bench_file, usb
from hil.target.bench_file import Bench
from hil.target.bench_lock import QUARANTINE_FAILURES, record_failure
from hil.types import Board

REAL = replace(load_board("m3"), name="mine", backend="pyocd", pyocd_target="stm32f103rc")
HERE = Bench("mine", "066BFF", "/dev/null")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench of a real board at HERE that passes its smoke test."""
    monkeypatch.setattr(bench_file, "find_benches", lambda board: (HERE,))
    monkeypatch.setattr(doctor, "inaccessible_probes", lambda: [])
    monkeypatch.setattr(doctor, "_smoke", lambda board: "passed")


def by_name(board: Board | None) -> dict[str, Check]:
    return {check.name: check for check in examine(board)}


def test_all_is_well_on_an_emulated_board_and_a_test_really_runs() -> None:
    checks = by_name(load_board("m3"))
    assert max(map(len, checks)) == NAME_WIDTH
    assert [name for name, check in checks.items() if not check.ok and check.needed] == []
    assert "HELLO, 8 inferences bit-equal" in checks["smoke test"].found
    assert checks["QEMU"].found[0].isdigit()
    assert Path(checks["counting plug-in"].found).is_file()
    assert Path(checks["newlib-nano"].found).name == "libc_nano.a"


def test_without_tools_each_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    checks = by_name(load_board("m3"))
    for name, package in (
        ("cross compiler", "gcc-arm-none-eabi"),
        ("newlib-nano", "libnewlib-arm-none-eabi"),
        ("QEMU", "qemu-system-arm"),
        ("host compiler", "libc6-dev"),
        ("counting plug-in", "qemu-system-arm"),
    ):
        assert not checks[name].ok
        assert checks[name].mend.startswith("sudo apt install")
        assert package in checks[name].mend
    assert checks["smoke test"].found.startswith("not tried")
    assert not healthy(list(checks.values()))


def programs(folder: Path, **scripts: str) -> str:
    """A PATH of nothing but shell scripts; underscores in their names become hyphens."""
    for name, script in scripts.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return str(folder)


OLD = 'echo "QEMU emulator version 6.2.0"'


@pytest.mark.parametrize(
    ("scripts", "found", "mend"),
    [
        ({}, "not found", "sudo apt install qemu-system-arm"),
        ({"dnf": ""}, "not found", "sudo dnf install qemu-system-arm"),
        (
            {"apt_get": "", "apt_cache": ""},
            "not found",
            "sudo apt update && sudo apt install qemu-system-arm",
        ),
        (
            {"apt_get": "", "apt_cache": "echo '  Candidate: 1:8.2.2+ds-0ubuntu1'"},
            "not found",
            "sudo apt install qemu-system-arm",
        ),
        (
            {
                "apt_get": "",
                "apt_cache": "echo '  Candidate: 1:6.2+dfsg-2'",
                "qemu_system_arm": OLD,
            },
            "6.2.0 is too old",
            "this system's packages is 6.2: use Debian 12, Ubuntu 24.04 or later, or one of them",
        ),
    ],
)
def test_what_this_system_can_do_about_its_emulator_is_advised(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, str],
    found: str,
    mend: str,
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, **scripts))
    check = emulator_checks.emulator()
    assert not check.ok
    assert found in check.found
    assert mend in check.mend


def test_an_emulator_that_refuses_the_plug_in_is_to_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = 'case "$*" in *-plugin*) echo no >&2; exit 1 ;; esac; echo "version 12.1.0"'
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", programs(tmp_path, qemu_system_arm=refusing, cc="exit 0"))
    check = emulator_checks.plugin()
    assert not check.ok
    assert "12.1.0 does not load the counting plug-in (no)" in check.found
    assert "--enable-plugins" in check.mend
    assert "12.1.0, later than 11.1" in emulator_checks.emulator().found


def test_a_cmsis_nn_that_is_not_there_is_mended_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMSIS_NN", raising=False)
    assert by_name(None)["kernels"].found == "CMSIS-NN 4.0.0 (firmware/third_party)"
    monkeypatch.setenv("CMSIS_NN", "/nonexistent")
    checks = by_name(load_board("m3"))
    assert checks["kernels"].found.startswith("CMSIS_NN=/nonexistent: no Include/")
    assert "unset CMSIS_NN" in checks["kernels"].mend
    assert not checks["firmware"].ok
    assert checks["smoke test"].found.startswith("not tried")


def test_a_real_board_needs_no_emulator(bench: None) -> None:
    checks = by_name(REAL)
    assert {"QEMU", "counting plug-in", "host compiler"}.isdisjoint(checks)
    assert checks["flash algorithm"].found == "stm32f103rc, built into pyOCD"
    assert checks["probe and port"].found == "probe 066BFF, port /dev/null"
    assert checks["smoke test"].found == "passed"
    assert healthy(list(checks.values()))


def test_a_missing_pack_is_named_with_its_command(bench: None) -> None:
    check = by_name(replace(REAL, pyocd_target="stm32f446retx", pack="stm32f446"))[
        "flash algorithm"
    ]
    assert not check.ok
    assert check.mend.endswith("pyocd pack install stm32f446")


def test_no_probe_no_smoke_test(bench: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(board: Board) -> tuple[Bench, ...]:
        raise ProbeLost("no debug probe for it")

    monkeypatch.setattr(bench_file, "find_benches", lost)
    checks = by_name(REAL)
    assert checks["probe and port"].found == "no debug probe for it"
    assert "pyocd list" in checks["probe and port"].mend
    assert checks["smoke test"].found.startswith("not tried")


@pytest.mark.parametrize(
    ("url", "words", "mend"),
    [
        ("/dev/no-such-port", "does not exist", "ls -l /dev/serial/by-id"),
        ("rfc2217://lab:4000", "", ""),
    ],
)
def test_ports_are_looked_at(
    bench: None, monkeypatch: pytest.MonkeyPatch, url: str, words: str, mend: str
) -> None:
    monkeypatch.setattr(bench_file, "find_benches", lambda board: (replace(HERE, port_url=url),))
    check = by_name(REAL)["probe and port"]
    assert (check.ok, mend in check.mend) == (not words, True)
    assert words in check.found


def test_a_port_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    problem, mend = usb.port_problem("/dev/null")
    assert problem == "no permission for port /dev/null"
    assert "usermod -aG dialout" in mend


def test_a_quarantine_is_shown_with_its_release(bench: None) -> None:
    for _ in range(QUARANTINE_FAILURES):
        record_failure(HERE, NoReply("no reply to RUN", "> 00"))
    checks = by_name(REAL)
    assert not checks["quarantine"].ok
    assert "no reply to RUN" in checks["quarantine"].found
    assert checks["quarantine"].mend == "hil doctor --board mine --release"
    assert checks["smoke test"].found.startswith("not tried")


def test_a_failing_smoke_test_says_what_to_look_at(
    bench: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(board: Board) -> str:
        raise NoReply("no reply to HELLO within 5 s")

    monkeypatch.setattr(doctor, "_smoke", fails)
    check = by_name(REAL)["smoke test"]
    assert (check.ok, check.found) == (False, "no reply to HELLO within 5 s")
    assert "hil doctor --board mine --release" in check.mend


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check = doctor._folders()
    assert not check.ok
    assert "XDG_CACHE_HOME" in check.mend


def test_the_oracle_is_no_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.tflite.oracle.ORACLES", ())
    check = doctor._oracle()
    assert (check.ok, check.needed) == (False, False)
    assert "neither tflite-micro nor tflite-runtime is installed" in check.found
    assert "install 'tflite-micro==0.dev" in check.mend
    assert healthy([check])


@needs_oracle
def test_the_oracles_that_agree_are_named() -> None:
    check = doctor._oracle()
    assert check.ok
    assert all(oracle.name in check.found for oracle in installed() if oracle is MICRO)


def test_debug_probes_that_may_not_be_opened(tmp_path: Path) -> None:
    for name, vendor, device in (("1-1", "0483", 7), ("1-2", "1d6b", 8), ("1-3", "0d28", 9)):
        folder = tmp_path / "sys" / name
        folder.mkdir(parents=True)
        for file, value in (("idVendor", vendor), ("busnum", 1), ("devnum", device)):
            (folder / file).write_text(f"{value}\n")
    bus = tmp_path / "bus"
    (bus / "001").mkdir(parents=True)
    (bus / "001" / "009").write_text("")  # a DAPLink that may be opened
    assert usb.inaccessible_probes(tmp_path / "sys", bus) == [bus / "001" / "007"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pyOCD always looks")
def test_pyocd_is_not_asked_where_there_are_only_hubs(tmp_path: Path) -> None:
    devices, bus = tmp_path / "sys", tmp_path / "bus"
    assert not usb.has_devices(devices, bus)
    for name, kind in (("usb1", "09"), ("1-1", "09")):
        (devices / name).mkdir(parents=True)
        (devices / name / "bDeviceClass").write_text(f"{kind}\n")
    (bus / "001").mkdir(parents=True)
    (bus / "001" / "001").write_text("")
    assert not usb.has_devices(devices, bus)
    assert usb.has_devices(tmp_path / "none", bus)  # a container that has the devices alone
    (devices / "1-1" / "bDeviceClass").write_text("00\n")
    assert usb.has_devices(devices, bus)


def test_the_udev_command_writes_a_rule_per_vendor(tmp_path: Path) -> None:
    written = tmp_path / "rules"
    command = usb.udev_command().split(" | ")[0]
    subprocess.run(["sh", "-c", f"{command} > {written}"], check=True)
    lines = written.read_text().splitlines()
    assert len(lines) == len(usb.PROBE_VENDORS)
    assert lines[0] == 'SUBSYSTEM=="usb", ATTR{idVendor}=="0483", MODE="0660", GROUP="dialout"'


def test_the_smoke_networks_answers_differ_from_sample_to_sample() -> None:
    outputs = smoke_samples(smoke_graph()).outputs
    assert len({row.tobytes() for row in outputs}) == len(outputs)
    assert (abs(outputs.astype(int)) < 127).mean() > 0.5


def test_the_table_shows_found_and_mend_and_the_verdict() -> None:
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    checks = [
        Check("QEMU", True, "7.2.22"),
        Check("probe", False, "no [bold]probe[/] here", "x" * 150),
        Check("oracle", False, "gone", "install it", needed=False),
    ]
    for check in checks:
        console.print(line_of(check))
    console.print(readiness(checks), soft_wrap=True)
    text = console.export_text()
    assert "no [bold]probe[/] here" in text  # found texts are no markup
    assert f"probe: {'x' * 150}" in text  # unbroken
    assert "not ready: probe\n" in text
    assert checks_to_json(checks)["ok"] is False
    assert checks_to_json(checks[::2])["ok"] is True


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from hil.cli.main import main; main()", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_exits_2_and_prints_one_json_object(tmp_path: Path) -> None:
    done = command("doctor", "--json", PATH=str(tmp_path))
    assert done.returncode == 2
    result = json.loads(done.stdout)
    assert result["ok"] is False
    assert {check["name"] for check in result["checks"] if not check["ok"]} >= {"QEMU"}
    assert "Traceback" not in done.stderr


def test_release_needs_a_board(tmp_path: Path) -> None:
    done = command("doctor", "--release")
    assert done.returncode == 2
    assert "--release needs a board" in done.stderr
