"""Adapters of meters: recorded samples through the real package or protocol, or a fake of its API.

The PPK2's package decodes what a pseudo-terminal plays; the LPM01A's protocol is spoken on another.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from compress.errors import UserError
from helpers.serial_devices import Lpm01a, Ppk2, on_a_port, ppk2_amps, ppk2_words
from hil.energy.ina228 import Ina228Meter
from hil.energy.joulescope_meter import JoulescopeMeter
from hil.energy.lpm01a import Lpm01aMeter
from hil.energy.meter_names import MeterChoice, MeterName
from hil.energy.meters import open_monitor
from hil.energy.power_monitor import Instrument
from hil.energy.ppk2 import Ppk2Meter
from hil.errors import BenchError


def polled(meter: Instrument, wanted: int) -> None:
    """Take samples until there are as many as wanted."""
    deadline = time.monotonic() + 10
    while meter.poll() < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- PPK2 ----------------------------------------------------------------------------------------

STEPS = np.tile(np.repeat([100, 4000], 500), 3)
HIGH = STEPS > 1000


def test_ppk2_samples_are_decoded_by_its_package() -> None:
    device = Ppk2(ppk2_words(STEPS, HIGH, first=40))
    with on_a_port(device.answer, device.stream) as port:
        meter = Ppk2Meter(port, 3.3, source=True)
        assert device.commands == [0x19]
        meter.begin()
        polled(meter, len(STEPS))
        recording = meter.end()
        meter.close()
        meter.close()
    assert device.commands[1:5] == [0x11, 0x0D, 0x0C, 0x06]  # source, voltage, power, start
    np.testing.assert_allclose(recording.amps, ppk2_amps(STEPS), rtol=1e-6)
    assert (recording.volts == 3.3).all()
    assert recording.rate_hz == 100_000
    np.testing.assert_array_equal(recording.digital["D0"], HIGH)
    assert not recording.digital["D7"].any()


def test_ppk2_gaps_are_noticed() -> None:
    content = ppk2_words(STEPS, HIGH)
    device = Ppk2(content[:2000] + content[2040:])
    with on_a_port(device.answer, device.stream) as port:
        meter = Ppk2Meter(port, 3.3, source=False)
        meter.begin()
        polled(meter, len(STEPS) - 10)
        with pytest.raises(BenchError, match=r"1 gaps in the samples, the first after 0\.005 s"):
            meter.end()
        meter.close()


def test_ppk2_that_says_nothing() -> None:
    with (
        on_a_port(lambda _: b"") as port,
        pytest.raises(BenchError, match="does not tell its calibration"),
    ):
        Ppk2Meter(port, 3.3, source=False)
    with pytest.raises(BenchError, match="could not open port"):
        Ppk2Meter("/dev/none", 3.3, source=False)


def test_ppk2_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    from ppk2_api.ppk2_api import PPK2_API

    for found, words in ([], "there is none"), (["/dev/a", "/dev/b"], "there are /dev/a, /dev/b"):
        monkeypatch.setattr(PPK2_API, "list_devices", staticmethod(lambda found=found: found))
        with pytest.raises(UserError, match=f"which PPK2\\? {words}"):
            Ppk2Meter(None, 3.3, source=False)
    with pytest.raises(UserError, match=r"0\.8 to 5 V"):
        Ppk2Meter(None, 12.0, source=True)


# -- LPM01A --------------------------------------------------------------------------------------


def test_lpm01a_lines_are_currents() -> None:
    lines = ["6409-07", "TimeStamp: 000s 100ms, buff 03%", "\x006410-07", *["1234-05"] * 500]
    device = Lpm01a(lines)
    with on_a_port(device.answer, device.stream) as port:
        meter = Lpm01aMeter(port, 3.0)
        meter.begin()
        polled(meter, 502)
        recording = meter.end()
        meter.close()
    assert device.commands == [
        *("htc", "format ascii_dec", "volt 3000m", "freq 5k", "acqtime 0", "trigdelay 0"),
        *("pwr on", "start", "stop"),
    ]
    np.testing.assert_allclose(recording.amps, [640.9e-6, 641.0e-6, *[12.34e-3] * 500])
    assert (recording.volts == 3.0).all()
    assert recording.rate_hz == 5000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("TimeStamp: 001s 000ms, buff 100%", "buffer is full"),
        ("error: overcurrent", "overcurrent"),
    ],
)
def test_lpm01a_errors_end_a_recording(line: str, words: str) -> None:
    device = Lpm01a(["1000-06", line])
    with on_a_port(device.answer, device.stream) as port:
        meter = Lpm01aMeter(port, 3.3)
        meter.begin()
        with pytest.raises(BenchError, match=words):
            polled(meter, 5)
        meter.close()


def test_lpm01a_that_refuses_or_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Lpm01a([], refused="freq 5k")
    with (
        on_a_port(device.answer) as port,
        pytest.raises(BenchError, match=r"refuses 'freq 5k': PowerShield > error freq 5k"),
    ):
        Lpm01aMeter(port, 3.3)
    monkeypatch.setattr("hil.energy.lpm01a._ANSWER_S", 0.1)
    with (
        on_a_port(lambda _: b"") as port,
        pytest.raises(BenchError, match=r"does not answer 'htc' within 0.1 s"),
    ):
        Lpm01aMeter(port, 3.3)
    with pytest.raises(UserError, match=r"which LPM01A\?"):
        Lpm01aMeter(None, 3.3)
    with pytest.raises(UserError, match=r"1\.8 to 3\.3 V"):
        Lpm01aMeter("/dev/none", 5.0)


# -- INA228 --------------------------------------------------------------------------------------


class Bus:
    """smbus2's SMBus with an INA228 at 0x40, whose shunt and bus play samples in turn."""

    registers: ClassVar = {0x3E: 0x5449, 0x3F: 0x2281}
    samples = ((1000, 16_896), (-1000, 16_896))  # in steps: 312.5 nV and 195.3125 uV

    def __init__(self, bus: int) -> None:
        if bus != 1:
            raise FileNotFoundError(2, "No such file or directory")
        self.written: dict[int, int] = {}
        self.reads = {4: 0, 5: 0}
        self.gone = False

    def read_i2c_block_data(self, address: int, register: int, size: int) -> list[int]:
        if address != 0x40 or self.gone:
            raise OSError(121, "Remote I/O error")
        if size == 2:
            return [*self.registers[register].to_bytes(2, "big")]
        sample = self.samples[self.reads[register] % len(self.samples)]
        self.reads[register] += 1
        value = sample[register - 4] << 4
        return [*value.to_bytes(3, "big", signed=True)]

    def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
        self.written[register] = int.from_bytes(bytes(data), "big")

    def close(self) -> None:
        self.gone = True


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> type[Bus]:
    module: Any = ModuleType("smbus2")
    module.SMBus = Bus
    monkeypatch.setitem(sys.modules, "smbus2", module)
    return Bus


@pytest.mark.usefixtures("bus")
def test_ina228_registers_are_volts_and_amps() -> None:
    meter = Ina228Meter("/dev/i2c-1:0x40", 0.01)
    meter.begin()
    polled(meter, 64)
    recording = meter.end()
    turns = len(recording.amps) // 2
    np.testing.assert_allclose(recording.amps, np.tile([0.03125, -0.03125], turns))
    np.testing.assert_allclose(recording.volts, 3.3)
    assert recording.rate_hz is None
    assert recording.times_s is not None
    assert recording.times_s[0] == 0
    assert (np.diff(recording.times_s) > 0).all()
    # Continuous conversions of bus and shunt, 150 us each, no averaging.
    assert meter._bus.written == {0: 0, 1: 0xB << 12 | 2 << 9 | 2 << 6 | 2 << 3}
    meter.close()
    with pytest.raises(BenchError, match=r"does not answer: .*Remote I/O error"):
        meter.poll()


def test_ina228_that_is_not_there(bus: type[Bus], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="No such file"):
        Ina228Meter("7:0x40", 0.01)
    with pytest.raises(BenchError, match="Remote I/O error"):
        Ina228Meter("1:0x41", 0.01)
    with pytest.raises(UserError, match="must be BUS:ADDRESS, as 1:0x40"):
        Ina228Meter("i2c", 0.01)
    with pytest.raises(UserError, match="must be above 0"):
        Ina228Meter(None, 0.0)
    monkeypatch.setattr(bus, "registers", {0x3E: 0x5449, 0x3F: 0x2381})
    with pytest.raises(BenchError, match="no INA228 \\(identity 0x238\\)"):
        Ina228Meter(None, 0.01)


# -- Joulescope ----------------------------------------------------------------------------------


class Joulescope:
    """The part of joulescope.v1.device.Device that is used, with recorded samples in its buffer."""

    def __init__(self, current: np.ndarray) -> None:
        self.current = current.astype(np.float32)
        self.parameters: dict[str, int] = {}
        self.buffer_duration = 30
        self.is_open = self.streams = False
        self.stream_buffer = self
        self.stop_fn: Any = None

    def __str__(self) -> str:
        return "JS220:001234"

    def parameter_set(self, name: str, value: int) -> None:
        self.parameters[name] = value

    def open(self, timeout: float | None = None) -> None:
        self.is_open = True

    def start(self, stop_fn: Any = None) -> None:
        self.streams, self.stop_fn = True, stop_fn

    def stop(self) -> None:
        self.streams = False
        self.stop_fn(0, "")

    @property
    def sample_id_range(self) -> tuple[int | None, int | None]:
        return (0, len(self.current)) if self.stop_fn else (None, None)

    def samples_get(self, first: int, end: int, fields: list[str]) -> dict[str, Any]:
        high = (self.current > 0.005).astype(np.uint8)
        values = {
            "current": self.current,
            "voltage": np.full(len(self.current), 3.0, np.float32),
            "current_lsb": high,
            "voltage_lsb": 0 * high,
        }
        return {"signals": {name: {"value": values[name][first:end]} for name in fields}}

    def close(self, timeout: float | None = None) -> None:
        self.is_open = False


@pytest.fixture
def joulescope(monkeypatch: pytest.MonkeyPatch) -> Joulescope:
    device = Joulescope(np.tile(np.repeat([0.001, 0.01], 500), 4))
    module: Any = ModuleType("joulescope")
    module.scan_require_one = lambda config: device
    monkeypatch.setitem(sys.modules, "joulescope", module)
    return device


def test_joulescope_samples_have_voltage_and_inputs(joulescope: Joulescope) -> None:
    meter = JoulescopeMeter()
    assert meter.name == "Joulescope JS220:001234"
    assert joulescope.parameters == {"sampling_frequency": 100_000}
    assert meter.poll() == 0
    meter.begin()
    assert meter.poll() == 4000
    recording = meter.end()
    np.testing.assert_allclose(recording.amps, joulescope.current)
    assert (recording.volts == 3.0).all()
    assert recording.digital["IN0"].sum() == 2000
    assert not recording.digital["IN1"].any()
    meter.close()
    assert not joulescope.is_open


def test_joulescope_losses(joulescope: Joulescope, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = JoulescopeMeter()
    meter.begin()
    joulescope.current[100:103] = np.nan
    with pytest.raises(BenchError, match="3 samples were lost"):
        meter.end()
    meter.begin()
    joulescope.stop_fn(1, "unplugged")
    with pytest.raises(BenchError, match="stopped: unplugged"):
        meter.poll()

    def none(config: str) -> None:
        raise RuntimeError("no devices found")

    monkeypatch.setattr(sys.modules["joulescope"], "scan_require_one", none)
    with pytest.raises(BenchError, match="no devices found"):
        JoulescopeMeter()


# -- by name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        (MeterName.PPK2, "ppk2_api", "ppk2-api"),
        (MeterName.JOULESCOPE, "joulescope", "joulescope"),
        (MeterName.INA228, "smbus2", "smbus2"),
    ],
)
def test_a_missing_package_is_named(
    name: MeterName, module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"pip install {install}$"):
        open_monitor(MeterChoice(name, supply_v=3.3))


def test_what_a_meter_needs() -> None:
    for name in (MeterName.PPK2, MeterName.PPK2_SOURCE, MeterName.LPM01A):
        with pytest.raises(UserError, match=r"measures no voltage: .*--supply-v"):
            open_monitor(MeterChoice(name))
    with pytest.raises(UserError, match="a Joulescope has none"):
        open_monitor(MeterChoice(MeterName.JOULESCOPE, port="/dev/ttyACM0"))
    with pytest.raises(UserError, match=r"which LPM01A\?"):
        open_monitor(MeterChoice(MeterName.LPM01A, supply_v=3.3))
