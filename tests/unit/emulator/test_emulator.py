"""QEMU's version and the plug-in's build, with fake programs on PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.cycle_model import FlashTiming
from hil.emulator.plugin import (
    INTERFACES,
    SOURCES,
    PluginRefused,
    counting_arguments,
    qemu_version,
    version_numbers,
)

GCC_WITHOUT_HEADERS = """
[ "$1" = --version ] && { echo "cc 12.2"; exit 0; }
echo "qemu_plugin.h:8:10: fatal error: stdint.h: No such file or directory" >&2; exit 1
"""
# A C compiler whose output is the text of the option that names the plug-in's interface.
SAVE = """
while [ $# -gt 0 ]; do
  case $1 in -DQEMU*) interface=$1 ;; -o) shift; output=$1 ;; --version) echo cc ;; esac
  shift
done
[ -z "$output" ] || echo "$interface" >"$output"
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


@pytest.mark.parametrize("version", ["2.12.1", "6.2.0"])
def test_a_qemu_before_7_is_refused(path: Path, version: str) -> None:
    install(path, "qemu-system-arm", f'echo "QEMU emulator version {version}"')
    with pytest.raises(UserError, match=rf"{version} is too old: 7.0 or later is needed"):
        counting_arguments()


@pytest.mark.parametrize(
    ("version", "interface"),
    [
        ("7.0.0", 1),
        ("8.2.2", 1),
        ("9.0.4", 2),
        ("9.1.0", 3),
        ("9.2.4", 3),
        ("10.2.2", 3),
        ("11.0.0", 6),
        ("11.1.3", 7),
        ("12.0.50", 7),
    ],
)
def test_the_plug_in_is_built_for_the_interface_of_the_version(
    path: Path, version: str, interface: int
) -> None:
    install(path, "qemu-system-arm", f'echo "QEMU emulator version {version}"')
    install(path, "cc", SAVE)
    _, plugin = counting_arguments()
    assert Path(plugin).read_text() == f"-DQEMU_PLUGIN_API={interface}\n"


def test_another_qemu_gets_a_plug_in_of_its_own(path: Path) -> None:
    install(path, "cc", SAVE)
    built = []
    for line in ("version 7.2.22 (Debian)", "version 10.0.13 (Debian)", "version 10.0.13 (mine)"):
        other = path.parent / line.replace(" ", "-")
        other.mkdir()
        install(other, "qemu-system-arm", f'echo "QEMU emulator {line}"')
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{other}:{path}")
            built.append(counting_arguments()[1])
    assert len(set(built)) == 3


REFUSING = """
case "$*" in *-plugin*) echo "qemu-system-arm: {0}" >&2; exit 1 ;; esac
echo "QEMU emulator version {1}"
"""


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("12.0.0", "Could not load plugin: this QEMU supports only a minimum version of 9"),
        ("7.2.0", "-plugin: invalid option"),
    ],
)
def test_a_qemu_that_does_not_load_the_plug_in_says_why(
    path: Path, version: str, reason: str
) -> None:
    install(path, "cc", SAVE)
    install(path, "qemu-system-arm", REFUSING.format(reason, version))
    with pytest.raises(PluginRefused) as caught:
        counting_arguments()
    text = str(caught.value)
    assert text.startswith(f"qemu-system-arm {version} does not load the counting plug-in (")
    assert reason in text
    assert "QEMU 7.0 to 11.1 as Debian" in text


@pytest.mark.parametrize("interface", sorted({api for _, api in INTERFACES}))
def test_a_real_qemu_loads_its_own_interface_only(tmp_path: Path, interface: int) -> None:
    """Whether QEMU loads it is decided by the number that the plug-in gives, in range or not."""
    own = next(api for first, api in INTERFACES if first <= version_numbers(qemu_version()))
    plugin = tmp_path / "plugin.so"
    flags = ("-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-DQEMU_PLUGIN_API={interface}")
    sources = sorted(map(str, SOURCES.glob("*.c")))
    subprocess.run(["cc", *flags, "-o", str(plugin), *sources], check=True, timeout=60)
    command = ["qemu-system-arm", "-M", "none", "-display", "none", "-monitor", "stdio", "-S"]
    done = subprocess.run(
        [*command, "-plugin", str(plugin)],
        input="quit\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    if interface == own:
        assert (done.returncode, done.stderr) == (0, "")
    elif (interface == 1) != (own == 1):
        assert done.returncode != 0


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
