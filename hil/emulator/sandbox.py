"""The part of QEMU's own confinement (seccomp) that an emulated microcontroller can do without."""

from __future__ import annotations

import functools
import subprocess

# QEMU starts no program, changes no identity and no priority, and makes no obsolete system call
# (https://www.qemu.org/docs/master/system/qemu-manpage.html, "-sandbox"; in this form since 2.11).
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_TIMEOUT_S = 60.0


@functools.cache
def sandbox_arguments(program: str) -> tuple[str, ...]:
    """QEMU's arguments that confine it; none if this QEMU or this kernel has no seccomp.

    It is tried once per process: `program` starts and quits under it (50 ms).
    """
    arguments = ("-sandbox", SANDBOX)
    command = [program, *arguments, "-machine", "none", "-nodefaults", "-no-user-config"]
    try:
        done = subprocess.run(
            [*command, "-display", "none", "-S", "-monitor", "stdio"],
            input=b"quit\n",
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return ()
    return () if done.returncode else arguments
