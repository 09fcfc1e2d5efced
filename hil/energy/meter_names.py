"""The meters that can be recorded, and how one is named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_SHUNT_OHM = 0.015  # of Adafruit's board
MOST_SECONDS = 60.0  # of a recording, which is kept in memory


class MeterName(StrEnum):
    """The instruments that can be recorded."""

    PPK2 = "ppk2"
    PPK2_SOURCE = "ppk2-source"
    JOULESCOPE = "joulescope"
    INA228 = "ina228"
    LPM01A = "lpm01a"


@dataclass(frozen=True, slots=True)
class MeterChoice:
    """A meter: its name; a serial port, or BUS:ADDRESS of an INA228; the shunt of an INA228.

    `supply_v` is the voltage of meters that do not measure it.
    """

    name: MeterName
    port: str | None = None
    supply_v: float | None = None
    shunt_ohm: float = DEFAULT_SHUNT_OHM
