"""TI's INA228 on an I2C bus of this computer, by the package smbus2.

Registers, their units and reset values are those of the data sheet (SLYS021). Shunt and bus are
converted in turns of 150 us each, without averaging; they are read as fast as the bus allows, about
a thousand times a second, each value with the time at which it was read.
"""

from __future__ import annotations

import re
import time
from importlib import import_module
from typing import Any

import numpy as np

from compress.errors import UserError
from hil.energy.power_monitor import Recording
from hil.errors import BenchError

_DEFAULT_PORT = "1:0x40"
_PORT = re.compile(r"(?:/dev/i2c-)?(\d+)(?::(0x[0-9a-fA-F]+|\d+))?")
_CONFIG, _ADC_CONFIG = 0x00, 0x01
_VSHUNT, _VBUS = 0x04, 0x05
_MANUFACTURER_ID, _DEVICE_ID = 0x3E, 0x3F
_TEXAS_INSTRUMENTS, _INA228 = 0x5449, 0x228
_CONTINUOUS_BUS_AND_SHUNT, _TIME_150_US = 0xB, 2
_SHUNT_V, _BUS_V = 312.5e-9, 195.3125e-6  # of a step, with the range of +-163.84 mV
_AT_ONCE = 16  # readings of a poll


class Ina228Meter:
    """An INA228 at `port`, BUS:ADDRESS as 1:0x40, with a shunt of `shunt_ohm`.

    Raises UserError if the package is missing or the port is no such text, BenchError if there is
    no INA228.
    """

    def __init__(self, port: str | None, shunt_ohm: float) -> None:
        try:
            module: Any = import_module("smbus2")
        except ImportError:
            raise UserError("the INA228 needs a Python package: pip install smbus2") from None
        found = _PORT.fullmatch(port or _DEFAULT_PORT)
        if found is None:
            raise UserError(f"--meter-port {port!r}: must be BUS:ADDRESS, as {_DEFAULT_PORT}")
        if not shunt_ohm > 0:
            raise UserError(f"--shunt-ohm {shunt_ohm:g}: must be above 0")
        self._address = int(found[2] or "0x40", 0)
        self._shunt_ohm = shunt_ohm
        self.name = f"INA228 {found[1]}:{self._address:#x}"
        self._readings: list[tuple[float, int, int]] = []
        try:
            self._bus: Any = module.SMBus(int(found[1]))
        except OSError as error:
            raise BenchError(f"{self.name}: {error}") from error
        ids = self._read(_MANUFACTURER_ID, 2), self._read(_DEVICE_ID, 2) >> 4
        if ids != (_TEXAS_INSTRUMENTS, _INA228):
            self.close()
            raise BenchError(f"{self.name}: the device there is no INA228 (identity {ids[1]:#x})")

    def begin(self) -> None:
        self._readings = []
        self._write(_CONFIG, 0)  # the range of +-163.84 mV, no delay
        times = _TIME_150_US << 9 | _TIME_150_US << 6 | _TIME_150_US << 3
        self._write(_ADC_CONFIG, _CONTINUOUS_BUS_AND_SHUNT << 12 | times)

    def poll(self) -> int:
        for _ in range(_AT_ONCE):
            shunt, bus = self._read(_VSHUNT, 3), self._read(_VBUS, 3)
            self._readings.append((time.monotonic(), shunt, bus))
        return len(self._readings)

    def end(self) -> Recording:
        if not self._readings:
            return Recording(np.zeros(0), np.zeros(0), None, np.zeros(0))
        times_s, shunt, bus = (np.array(column) for column in zip(*self._readings, strict=True))
        return Recording(
            amps=_signed(shunt) * (_SHUNT_V / self._shunt_ohm),
            volts=_signed(bus) * _BUS_V,
            rate_hz=None,
            times_s=times_s - times_s[0],
        )

    def close(self) -> None:
        self._bus.close()

    def _read(self, register: int, size: int) -> int:
        """A register's value, whose first byte is the highest."""
        try:
            data = self._bus.read_i2c_block_data(self._address, register, size)
        except OSError as error:
            raise BenchError(f"{self.name} does not answer: {error}") from error
        return int.from_bytes(bytes(data), "big")

    def _write(self, register: int, value: int) -> None:
        try:
            self._bus.write_i2c_block_data(self._address, register, [*value.to_bytes(2, "big")])
        except OSError as error:
            raise BenchError(f"{self.name} does not answer: {error}") from error


def _signed(registers: Any) -> Any:
    """The upper 20 of 24 bits, as signed numbers."""
    return np.where(registers >= 1 << 23, registers - (1 << 24), registers) // 16
