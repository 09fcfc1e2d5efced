"""QEMU's version and the plug-in's build, with fake programs on PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.cycle_model import FlashTiming
from hil.emulator.plugin import counting_arguments, qemu_version

GCC_WITHOUT_HEADERS = """
[ "$1" = --version ] && { echo "cc 12.2"; exit 0; }
echo "qemu_plugin.h:8:10: fatal error: stdint.h: No such file or directory" >&2; exit 1
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_plug_in_is_built_once() -> None:
    option, file = counting_arguments()
    built = Path(file).stat().st_mtime_ns
    assert option == "-plugin"
    assert counting_arguments() == (option, file)
    assert Path(file).stat().st_mtime_ns == built


def test_a_missing_qemu_names_the_package(path: Path) -> None:
    with pytest.raises(UserError, match="apt install qemu-system-arm"):
        qemu_version()


def test_a_missing_host_compiler_names_the_package(path: Path) -> None:
    install(path, "qemu-system-arm", 'echo "QEMU emulator version 7.2.22 (Debian 1:7.2)"')
    assert qemu_version() == "7.2.22"
    with pytest.raises(UserError, match="apt install gcc"):
        counting_arguments()


def test_a_host_compiler_without_headers_names_the_package(path: Path) -> None:
    install(path, "qemu-system-arm", 'echo "QEMU emulator version 8.2.2"')
    install(path, "cc", GCC_WITHOUT_HEADERS)
    with pytest.raises(UserError, match="apt install libc6-dev"):
        counting_arguments()


@pytest.mark.parametrize("version", ["6.2.0", "9.0.1", "10.0.2"])
def test_a_qemu_with_another_plug_in_interface_is_refused(path: Path, version: str) -> None:
    install(path, "qemu-system-arm", f'echo "QEMU emulator version {version}"')
    with pytest.raises(UserError, match=rf"{version}.*QEMU 7 or 8 is needed"):
        counting_arguments()


def test_a_program_that_is_not_qemu_is_refused(path: Path) -> None:
    install(path, "qemu-system-arm", 'echo "hello"')
    with pytest.raises(UserError, match="prints no version: 'hello"):
        qemu_version()


def test_the_plug_in_is_told_the_core_and_the_flash() -> None:
    flash = FlashTiming(0x0800_0000, 4096, 16, 5, 64, 8)
    _, plain = counting_arguments()
    assert counting_arguments("cortex-m4")[1] == f"{plain},core=cortex-m4"
    assert counting_arguments("cortex-m4", flash)[1] == (
        f"{plain},core=cortex-m4,flash=134217728:4096:16:5:64:8"
    )


@pytest.mark.parametrize(
    "option", ["core=cortex-m55", "flash=0:0:16:5:64:8", "flash=1:2", "speed=3"]
)
def test_the_plug_in_refuses_what_it_cannot_use(option: str) -> None:
    command = ["qemu-system-arm", "-M", "mps2-an386", "-nodefaults", "-display", "none"]
    plugin = f"{counting_arguments()[1]},{option}"
    done = subprocess.run([*command, "-plugin", plugin], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert f"cannot use argument {option}" in done.stderr
