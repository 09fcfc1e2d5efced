"""The doctor's checks of the emulator: what is possible on this system where it cannot count."""

from __future__ import annotations

import re
import shutil
import subprocess

from hil.emulator.plugin import (
    NEWEST_SEEN,
    OLDEST,
    QEMU,
    PluginRefused,
    counting_arguments,
    supported_version,
    version_numbers,
)
from hil.measure.check import APT, Check, attempt

_TIMEOUT_S = 60
# The command that installs the emulator, by package manager.
_INSTALL = {
    "apt-get": f"{APT} {QEMU}",
    "dnf": f"sudo dnf install {QEMU}",
    "pacman": f"sudo pacman -S {QEMU}",
    "zypper": "sudo zypper install qemu-arm",
}
_ELSEWHERE = (
    "use Debian 12, Ubuntu 24.04 or later, or one of them in a container: "
    'docker run -it -v "$PWD":/work -w /work debian:trixie (real boards need no emulator)'
)
_ANOTHER = (
    "take the QEMU of Debian or Ubuntu, or build yours with --enable-plugins (before 10.1 with "
    "--enable-modules, too); real boards need no emulator"
)


def emulator() -> Check:
    """The check that QEMU is there and not too old."""

    def look() -> str:
        version = supported_version()
        if version_numbers(version) > NEWEST_SEEN:
            newest = ".".join(map(str, NEWEST_SEEN))
            return f"{version}, later than {newest}, the last whose counts were compared"
        return version

    return attempt("QEMU", look, lambda error: _how_to_install())


def host_compiler() -> Check:
    path = shutil.which("cc")
    mend = f"{APT} gcc libc6-dev"
    return Check("host compiler", path is not None, path or "cc not found", "" if path else mend)


def plugin() -> Check:
    """The check that QEMU loads the counting plug-in."""

    def mend(error: Exception) -> str:
        if isinstance(error, PluginRefused):
            return _ANOTHER
        return emulator().mend or f"{APT} gcc libc6-dev"

    return attempt("counting plug-in", lambda: counting_arguments()[1], mend)


def _how_to_install() -> str:
    """The command that installs the emulator, or what else to do if its package is too old."""
    manager = next((name for name in _INSTALL if shutil.which(name)), "apt-get")
    if manager != "apt-get" or shutil.which("apt-cache") is None:
        return _INSTALL[manager]
    offered = _version_of_apt()
    if offered is None:
        return f"sudo apt update && {_INSTALL[manager]}"
    if offered < OLDEST:
        return f"{QEMU} of this system's packages is {offered[0]}.{offered[1]}: {_ELSEWHERE}"
    return _INSTALL[manager]


def _version_of_apt() -> tuple[int, int] | None:
    """The version of the emulator that apt would install; None if it knows of none."""
    command = ["apt-cache", "policy", QEMU]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    candidate = re.search(r"Candidate: (?:\d+:)?(\d+\.\d+)", done.stdout)
    return version_numbers(candidate[1]) if candidate else None
