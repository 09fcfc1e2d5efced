"""Meters by name: each adapter imports the package of its instrument when it is opened."""

from __future__ import annotations

from compress.errors import UserError
from hil.energy.meter_names import MeterChoice, MeterName
from hil.energy.power_monitor import Instrument, PowerMonitor


def open_monitor(meter: MeterChoice) -> PowerMonitor:
    """The monitor of a meter.

    Raises UserError if its voltage is missing or out of range, or if a Python package is missing,
    and BenchError if it does not answer.
    """
    return PowerMonitor(_opened(meter))


def _opened(meter: MeterChoice) -> Instrument:
    if meter.name is MeterName.JOULESCOPE:
        from hil.energy.joulescope_meter import JoulescopeMeter

        if meter.port is not None:
            raise UserError("--meter-port: a Joulescope has none; plug in one only")
        return JoulescopeMeter()
    if meter.name is MeterName.INA228:
        from hil.energy.ina228 import Ina228Meter

        return Ina228Meter(meter.port, meter.shunt_ohm)
    if meter.supply_v is None:
        raise UserError(
            f"{meter.name.value} measures no voltage: give the supply's (--supply-v 3.3)"
        )
    if meter.name is MeterName.LPM01A:
        from hil.energy.lpm01a import Lpm01aMeter

        return Lpm01aMeter(meter.port, meter.supply_v)
    from hil.energy.ppk2 import Ppk2Meter

    source = meter.name is MeterName.PPK2_SOURCE
    return Ppk2Meter(meter.port, meter.supply_v, source)
