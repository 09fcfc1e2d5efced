"""The energy that this machine uses during a search, from Linux's powercap counters (RAPL).

Documentation/power/powercap/powercap.rst: each zone is a folder `intel-rapl:<n>` with its `name`, a
counter `energy_uj` in microjoules and `max_energy_range_uj`, the value after which it restarts at 0
(AMD's processors have the same). The zones of packages are summed, and of memory, which packages do
not contain; the rest of the machine is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compress.errors import UserError

POWERCAP = Path("/sys/class/powercap")
_INSTEAD = "use a budget of time or trials instead (--minutes, --trials)"


class Meter(Protocol):
    """Measures the energy used between two calls, in joules."""

    def joules_since_last_call(self) -> float: ...


@dataclass(frozen=True, slots=True)
class EnergyBudget:
    """The energy that a run may use, over all its sessions, and the meter that measures it."""

    joules: float
    meter: Meter


class Zone:
    """One powercap zone; read it before it wraps around (many minutes at full load)."""

    def __init__(self, folder: Path) -> None:
        self.counter = folder / "energy_uj"
        self.range_uj = _number(folder / "max_energy_range_uj")
        self.last_uj = _number(self.counter)

    def joules_since_last_call(self) -> float:
        """Energy since the last call; in the first call, since this object was created."""
        now_uj = _number(self.counter)
        taken_uj = now_uj - self.last_uj
        if taken_uj < 0:
            taken_uj += self.range_uj
        self.last_uj = now_uj
        return taken_uj / 1e6


class MachineMeter:
    """The sum of a machine's zones; `folder` is where the kernel lists them.

    Raises UserError, which names other budgets, if there is no counter or it may not be read.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        zones = [path for path in sorted(folder.glob("intel-rapl:*")) if _is_counted(path)]
        if not zones:
            raise UserError(
                f"an energy budget: {folder} has no energy counter of this machine's processor "
                f"(a virtual machine, another processor, or no kernel module); {_INSTEAD}"
            )
        self.zones = [Zone(path) for path in zones]

    def joules_since_last_call(self) -> float:
        """Energy since the last call; in the first call, since this meter was created."""
        return sum(zone.joules_since_last_call() for zone in self.zones)


def _is_counted(zone: Path) -> bool:
    """True for packages and memory: a package includes its cores, `psys` includes the packages."""
    name = _text(zone / "name")
    return name.startswith("package") or name == "dram"


def _number(path: Path) -> int:
    text = _text(path)
    if not text.isdecimal():
        raise UserError(f"an energy budget: {path} holds {text!r}, not a number; {_INSTEAD}")
    return int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except PermissionError:
        raise UserError(
            f"an energy budget: {path} may not be read (since Linux 5.10 by root only); have it "
            f"made readable (chmod a+r), or {_INSTEAD}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"an energy budget: {path} cannot be read: {error}; {_INSTEAD}") from None
