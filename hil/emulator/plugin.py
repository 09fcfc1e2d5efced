"""QEMU's version, and the plug-in that makes it count, built once with the host's C compiler.

The plug-in uses QEMU's plug-in interface version 1: QEMU 7 and 8 have it, QEMU 9 dropped it.
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
PLUGIN_MAJORS = (7, 8)
_CC = "cc"
_FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
_TIMEOUT_S = 60


def qemu_version() -> str:
    """QEMU's version, e.g. "7.2.22". Raises UserError if it is missing."""
    path = shutil.which(QEMU)
    if path is None:
        raise UserError(f"{QEMU} not found: on Debian: apt install qemu-system-arm")
    found = re.search(r"version (\d+(?:\.\d+)*)", _version_text(path))
    if found is None:
        raise UserError(f"{path} --version prints no version: {_version_text(path)[:200]!r}")
    return found[1]


def counting_arguments(
    core: str = "", flash: FlashTiming | None = None, ram: DelayedRam | None = None
) -> tuple[str, ...]:
    """QEMU arguments that load the plug-in, which is built if the cache lacks it.

    The plug-in counts instructions. With `core` ("cortex-m4") it also models cycles, for memory
    without wait states or (emulation is four times slower) with those of `flash` and `ram`.
    Raises UserError if QEMU or the host's C compiler is missing, or QEMU is not of `PLUGIN_MAJORS`.
    """
    version = qemu_version()
    if int(version.split(".")[0]) not in PLUGIN_MAJORS:
        raise UserError(
            f"{QEMU} {version} has another plug-in interface: "
            f"QEMU {' or '.join(map(str, PLUGIN_MAJORS))} is needed (Debian 12 has 7.2)"
        )
    options = [str(_plugin())]
    if core:
        options.append(f"core={core}")
        options += MemoryTiming(flash, ram).options
    return ("-plugin", ",".join(options))


def _plugin() -> Path:
    compiler = shutil.which(_CC)
    if compiler is None:
        raise UserError(f"no C compiler ({_CC}) for the emulator's plug-in: apt install gcc")
    files = [*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]
    key = content_hash([_version_text(compiler), *_FLAGS], files)
    return cached("plugin", key, lambda work: _build(compiler, work)) / "plugin.so"


def _build(compiler: str, work: Path) -> None:
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    command = [compiler, *_FLAGS, "-o", str(work / "plugin.so"), *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if "stdint.h" in done.stderr or "crti.o" in done.stderr:
        raise UserError("the host's C compiler has no C library: apt install libc6-dev")
    if done.returncode:
        raise HilError(f"the emulator's plug-in does not compile: {done.stderr.strip()}")


@functools.cache
def _version_text(program: str) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    return done.stdout
