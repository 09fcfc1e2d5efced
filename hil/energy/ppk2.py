"""Nordic's Power Profiler Kit II, by the package ppk2-api: 100,000 samples a second, D0 to D7.

As an ampere meter it lies in the supply of the board, whose voltage is given; as a source it
supplies the board with that voltage. A sample is a little-endian word of 32 bits: ADC value (14
bits), range (3), a counter of samples (6, from bit 18) and the digital channels (8, from bit 24),
as in Nordic's own program (pc-nrfconnect-ppk, serialDevice.ts). The package does not look at the
counter; here a gap in it is a loss.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from serial import SerialException

from compress.errors import UserError
from hil.energy.power_monitor import Recording
from hil.errors import BenchError
from hil.types import Floats

_RATE_HZ = 100_000.0
_WORD_BYTES = 4
_COUNTER_FIRST_BIT, _COUNTER_VALUES = 18, 64
_LOGIC_FIRST_BIT, _CHANNELS = 24, 8
_LEAST_V, _MOST_V = 0.8, 5.0


class Ppk2Meter:
    """A PPK2 on a serial port, by default on the only one; `source` says who supplies the board.

    Raises UserError if the package is missing, or if there is no PPK2, or several and no port;
    BenchError if it does not answer.
    """

    def __init__(self, port: str | None, supply_v: float, source: bool) -> None:
        try:
            module: Any = import_module("ppk2_api.ppk2_api")
        except ImportError:
            raise UserError("the PPK2 needs a Python package: pip install ppk2-api") from None
        if not _LEAST_V <= supply_v <= _MOST_V:
            raise UserError(f"--supply-v {supply_v:g}: a PPK2 has {_LEAST_V:g} to {_MOST_V:g} V")
        port = port or _only_port(module.PPK2_API.list_devices())
        self.name = f"PPK2 {port}"
        self._supply_v = supply_v
        self._source = source
        self._received: list[bytes] = []
        self._bytes = 0
        try:
            self._api: Any = module.PPK2_API(port, timeout=1, write_timeout=1, exclusive=True)
        except (SerialException, OSError) as error:
            raise BenchError(f"{self.name}: {error}") from error
        try:
            known = self._api.get_modifiers()
        except (SerialException, OSError, UnicodeDecodeError) as error:
            self.close()
            raise BenchError(f"{self.name} does not tell its calibration: {error}") from error
        if not known:
            self.close()
            raise BenchError(f"{self.name} does not tell its calibration: unplug it and try again")

    def begin(self) -> None:
        self._received, self._bytes = [], 0
        if self._source:
            self._api.use_source_meter()
        else:
            self._api.use_ampere_meter()
        self._api.set_source_voltage(round(1000 * self._supply_v))
        self._api.toggle_DUT_power("ON")
        self._api.start_measuring()

    def poll(self) -> int:
        data = self._data()
        if data:
            self._received.append(data)
            self._bytes += len(data)
        return self._bytes // _WORD_BYTES

    def end(self) -> Recording:
        self._api.stop_measuring()
        self.poll()
        content = b"".join(self._received)
        content = content[: len(content) // _WORD_BYTES * _WORD_BYTES]
        words = np.frombuffer(content, "<u4")
        _check_counter(self.name, words)
        amps: Floats = 1e-6 * np.asarray(self._api.get_samples(content)[0], np.float64)
        if len(amps) != len(words):
            raise BenchError(f"{self.name}: {len(words) - len(amps)} samples out of range")
        logic = words >> _LOGIC_FIRST_BIT
        digital = {f"D{i}": (logic >> i & 1).astype(np.bool_) for i in range(_CHANNELS)}
        return Recording(amps, np.full(len(amps), self._supply_v), _RATE_HZ, None, digital)

    def close(self) -> None:
        port = getattr(self, "_api", None) and self._api.ser
        if port is not None and port.is_open:
            port.close()

    def _data(self) -> bytes:
        try:
            return bytes(self._api.get_data())
        except (SerialException, OSError) as error:
            raise BenchError(f"{self.name} is gone: {error}") from error


def _check_counter(name: str, words: np.ndarray[Any, np.dtype[np.uint32]]) -> None:
    """Raise BenchError if the counter of samples has a gap."""
    counters = (words >> _COUNTER_FIRST_BIT).astype(np.int64) % _COUNTER_VALUES
    gaps = np.flatnonzero(np.diff(counters) % _COUNTER_VALUES != 1)
    if len(gaps):
        raise BenchError(
            f"{name}: {len(gaps)} gaps in the samples, the first after {gaps[0] / _RATE_HZ:.3f} s: "
            "is the computer too busy?"
        )


def _only_port(found: list[Any]) -> str:
    """The only port. Later versions of the package list pairs of port and serial number."""
    ports = [entry if isinstance(entry, str) else entry[0] for entry in found]
    if len(ports) == 1:
        return str(ports[0])
    there = f"there are {', '.join(map(str, ports))}" if ports else "there is none"
    raise UserError(f"which PPK2? {there}: plug one in, or name its port (--meter-port)")
