"""The result of one check of the doctor."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from compress.errors import HilError

APT = "sudo apt install"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check: what was `found`, and the command that mends it if it is not `ok`.

    A check that is not `needed` may fail: measuring works, but less is verified.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True


def attempt(
    name: str,
    look: Callable[[], str],
    mend: str | Callable[[Exception], str],
    needed: bool = True,
) -> Check:
    """A passed check with the result of `look`, or a failed one with the error that it raised."""
    try:
        return Check(name, True, look(), "", needed)
    except (HilError, OSError, subprocess.SubprocessError) as error:
        return Check(
            name, False, str(error), mend if isinstance(mend, str) else mend(error), needed
        )
