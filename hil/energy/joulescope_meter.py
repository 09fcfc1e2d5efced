"""Joulescope JS110 and JS220, by the package joulescope: current, voltage and two inputs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from compress.errors import UserError
from hil.energy.power_monitor import Recording
from hil.errors import BenchError

_RATE_HZ = 100_000
_MOST_S = 120  # that the package keeps in memory
_TIMEOUT_S = 5.0
# The general-purpose inputs, by their names in the package.
_INPUTS = {"current_lsb": "IN0", "voltage_lsb": "IN1"}


class JoulescopeMeter:
    """The only Joulescope. Raises UserError if the package is missing, BenchError without one."""

    def __init__(self) -> None:
        try:
            module: Any = import_module("joulescope")
        except ImportError:
            raise UserError("a Joulescope needs a Python package: pip install joulescope") from None
        try:
            self._device: Any = module.scan_require_one(config="auto")
        except RuntimeError as error:
            raise BenchError(f"Joulescope: {error}") from error
        self.name = f"Joulescope {self._device}"
        self._stopped = ""
        self._call(self._device.parameter_set, "sampling_frequency", _RATE_HZ)
        self._device.buffer_duration = _MOST_S
        self._call(self._device.open, timeout=_TIMEOUT_S)

    def begin(self) -> None:
        self._stopped = ""
        self._call(self._device.start, stop_fn=self._on_stop)

    def poll(self) -> int:
        if self._stopped:
            raise BenchError(f"{self.name} stopped: {self._stopped}")
        first, end = self._range()
        if end - first > (_MOST_S - 1) * _RATE_HZ:
            raise BenchError(f"{self.name}: more than {_MOST_S} s, which is all that is kept")
        return end

    def end(self) -> Recording:
        self._call(self._device.stop)
        first, end = self._range()
        fields = ["current", "voltage", *_INPUTS]
        found = self._call(self._device.stream_buffer.samples_get, first, end, fields=fields)
        values = {name: np.asarray(found["signals"][name]["value"]) for name in fields}
        missing = int(np.isnan(values["current"]).sum() + np.isnan(values["voltage"]).sum())
        if missing:
            raise BenchError(f"{self.name}: {missing} samples were lost")
        return Recording(
            amps=values["current"].astype(np.float64),
            volts=values["voltage"].astype(np.float64),
            rate_hz=float(_RATE_HZ),
            digital={channel: values[name] != 0 for name, channel in _INPUTS.items()},
        )

    def close(self) -> None:
        if self._device.is_open:
            self._call(self._device.close, timeout=_TIMEOUT_S)

    def _on_stop(self, event: int, message: str) -> None:
        """Called from the package's thread; event 0 is a stop that was asked for."""
        if event:
            self._stopped = message or f"event {event}"

    def _range(self) -> tuple[int, int]:
        """The first sample that is kept, and the one after the last."""
        first, end = self._device.stream_buffer.sample_id_range
        return (0, 0) if first is None else (int(first), int(end))

    def _call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        """The function's result; what the package raises for a lost device becomes BenchError."""
        try:
            return function(*arguments, **named)
        except (RuntimeError, OSError, TimeoutError) as error:
            raise BenchError(f"{self.name}: {error}") from error
