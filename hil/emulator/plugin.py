"""QEMU's version, and the plug-in that makes it count, built once with the host's C compiler.

docs/emulators.md has the counts of the versions of QEMU from `OLDEST` to `NEWEST_SEEN`: they are
equal. A later version is tried: it loads the plug-in if it accepts the newest of `INTERFACES`.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

from compress.cache import content_hash
from compress.errors import HilError, UserError
from hil.cache import cached
from hil.cycle_model import DelayedRam, FlashTiming, MemoryTiming
from hil.files import data_folder

QEMU = "qemu-system-arm"
SOURCES = data_folder("firmware") / "emulator"
OLDEST = (7, 0)
NEWEST_SEEN = (11, 1)
# Versions of the plug-in interface, by the first QEMU (firmware/emulator/qemu_plugin.h).
INTERFACES = (((11, 1), 7), ((11, 0), 6), ((9, 1), 3), ((9, 0), 2), (OLDEST, 1))
_CC = "cc"
_FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
_TIMEOUT_S = 60


class PluginRefused(UserError):
    """QEMU does not load the plug-in; the message has its reason."""


def qemu_version() -> str:
    """QEMU's version, e.g. "7.2.22". Raises UserError if it is missing."""
    path = shutil.which(QEMU)
    if path is None:
        raise UserError(f"{QEMU} not found: on Debian: apt install qemu-system-arm")
    found = re.search(r"version (\d+(?:\.\d+)*)", _version_text(path))
    if found is None:
        raise UserError(f"{path} --version prints no version: {_version_text(path)[:200]!r}")
    return found[1]


def supported_version() -> str:
    """`qemu_version`; raises UserError if it is older than `OLDEST`."""
    version = qemu_version()
    if version_numbers(version) < OLDEST:
        raise UserError(
            f"{QEMU} {version} is too old: {OLDEST[0]}.{OLDEST[1]} or later is needed "
            "(Debian 12 has 7.2, Debian 13 10.0, Ubuntu 24.04 8.2)"
        )
    return version


def version_numbers(version: str) -> tuple[int, int]:
    """Major and minor number of a version: (7, 2) for "7.2.22", (8, 0) for "8"."""
    major, minor = (*version.split("."), "0")[:2]
    return int(major), int(minor)


def counting_arguments(
    core: str = "", flash: FlashTiming | None = None, ram: DelayedRam | None = None
) -> tuple[str, ...]:
    """QEMU arguments that load the plug-in, which is built if the cache lacks it.

    The plug-in counts instructions. With `core` ("cortex-m4") it also models cycles, for memory
    without wait states or (emulation is four times slower) with those of `flash` and `ram`.
    Raises UserError if QEMU or the host's C compiler is missing, if QEMU is older than `OLDEST`,
    PluginRefused if it does not load the plug-in.
    """
    options = [str(_plugin(supported_version()))]
    if core:
        options.append(f"core={core}")
        options += MemoryTiming(flash, ram).options
    return ("-plugin", ",".join(options))


def _plugin(version: str) -> Path:
    compiler = shutil.which(_CC)
    if compiler is None:
        raise UserError(f"no C compiler ({_CC}) for the emulator's plug-in: apt install gcc")
    emulator = shutil.which(QEMU) or QEMU
    numbers = version_numbers(version)
    interface = next(api for first, api in INTERFACES if first <= numbers)
    flags = (*_FLAGS, f"-DQEMU_PLUGIN_API={interface}")

    def make(work: Path) -> None:
        plugin = work / "plugin.so"
        _build(compiler, flags, plugin)
        _load(version, plugin)

    files = [*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]
    key = content_hash([_version_text(compiler), *flags, emulator, _version_text(emulator)], files)
    return cached("plugin", key, make) / "plugin.so"


def _build(compiler: str, flags: tuple[str, ...], plugin: Path) -> None:
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    command = [compiler, *flags, "-o", str(plugin), *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if "stdint.h" in done.stderr or "crti.o" in done.stderr:
        raise UserError("the host's C compiler has no C library: apt install libc6-dev")
    if done.returncode:
        raise HilError(f"the emulator's plug-in does not compile: {done.stderr.strip()}")


def _load(version: str, plugin: Path) -> None:
    """Raise UserError with QEMU's reason if it does not load `plugin`."""
    command = [QEMU, "-machine", "none", "-nodefaults", "-display", "none", "-S"]
    command += ["-monitor", "stdio", "-plugin", str(plugin)]
    try:
        done = subprocess.run(
            command, input="quit\n", capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{QEMU} {version} with the counting plug-in has not ended within {_TIMEOUT_S} s"
        ) from None
    if done.returncode:
        seen = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST_SEEN[0]}.{NEWEST_SEEN[1]}"
        reason = done.stderr.replace(f"{plugin}: ", "").strip() or f"exit code {done.returncode}"
        raise PluginRefused(
            f"{QEMU} {version} does not load the counting plug-in ({reason}); QEMU {seen} as "
            "Debian and Ubuntu build it does (docs/emulators.md)"
        )


@functools.cache
def _version_text(program: str) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    return done.stdout
