"""Chips that PyPI's `labwired` simulates, as its descriptions have them or with parts added.

A chip is described by a YAML file of the package: memories, and peripherals by type and address.
`Chip` names one and what has to be added to it, each with its reason; what the simulator knows is
left as it is. Nothing here needs the package until a chip is started.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import yaml
from cobs import cobs

from helpers.machine import Frame, body, parse

STEP = "200us"  # of the simulated time
SIMULATED_LIMIT_S = 0.02  # some 20 times what an answer takes
LIMIT_S = 20.0  # of real time
STATUS_DELAY_CYCLES = 20


def package() -> Any:
    """The package `labwired`; skips the test that asks where it is not installed."""
    return pytest.importorskip("labwired", reason="labwired is not installed (extra `simulators`)")


@dataclass(frozen=True)
class Power:
    """A power controller: registers by offset, and the status bits that follow what is written.

    A rule (a, written, b, shown) says: once all bits of `written` have been written to register a,
    the bits of `shown` are set in register b.
    """

    registers: Mapping[str, int]
    rules: Sequence[tuple[str, int, str, int]]

    def descriptor(self) -> str:
        lines = ["peripheral: PWR", 'version: "1.0"', "registers:"]
        lines += [
            f"  - {{id: {name}, address_offset: {offset}, size: 32, access: R/W, reset_value: 0}}"
            for name, offset in self.registers.items()
        ]
        lines += ["timing:"]
        lines += [
            f"  - id: rule{number}\n"
            f"    trigger: !write {{register: {where}, value: {written}, mask: {written}}}\n"
            f"    delay_cycles: {STATUS_DELAY_CYCLES}\n"
            f"    action: !set_bits {{register: {status}, bits: {shown}}}"
            for number, (where, written, status, shown) in enumerate(self.rules)
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Chip:
    """A chip of the package by its name, the UART to talk to, and what is added to the chip."""

    name: str
    uart: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    peripherals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    power: Power | None = None

    def system(self, folder: Path) -> Path:
        """Writes the description with its additions to `folder`; returns the file to start."""
        chips = Path(package().__file__).parent / "configs" / "chips"
        chip = yaml.safe_load((chips / f"{self.name}.yaml").read_text(encoding="utf-8"))
        chip.update(self.memory)
        for peripheral in chip["peripherals"]:
            # Names of registers for debuggers, at paths relative to the package's own folder
            peripheral.get("config", {}).pop("debug_schema", None)
        by_id = {peripheral["id"]: peripheral for peripheral in chip["peripherals"]}
        for name, facts in self.peripherals.items():
            if name in by_id:
                by_id[name].update(facts)
            else:
                chip["peripherals"].append({"id": name, **facts})
        if self.power is not None:
            descriptor = folder.resolve() / "pwr.yaml"
            descriptor.write_text(self.power.descriptor(), encoding="utf-8")
            by_id["pwr"].update(type="declarative", config={"path": str(descriptor)})
        file = folder.resolve() / "chip.yaml"
        file.write_text(yaml.safe_dump(chip), encoding="utf-8")
        system = folder.resolve() / "system.yaml"
        system.write_text(
            yaml.safe_dump({"name": self.name, "chip": str(file), "external_devices": []}),
            encoding="utf-8",
        )
        return system


class Simulator:
    """A simulated chip that runs an image; time passes only while a frame is waited for."""

    def __init__(self, chip: Chip, elf: Path, folder: Path) -> None:
        self._sim = package().Sim(elf, system=chip.system(folder), uart=chip.uart)
        self._received = b""

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sim.close()

    def run(self, duration: str) -> bytes:
        """Runs for `duration` of simulated time ("1ms"); returns what the UART has sent."""
        self._sim.run_for(duration)
        return self._sim.read_uart_bytes()

    def ask(self, kind: int, *words: int, sequence: int) -> Frame:
        self._sim.send_bytes(b"\0" + cobs.encode(body(kind, sequence, *words)) + b"\0")
        return self.receive()

    def receive(self) -> Frame:
        """The next frame. Asserts that it comes within the limits of simulated and real time."""
        simulated_end = self._sim.time + SIMULATED_LIMIT_S
        end = time.monotonic() + LIMIT_S
        while b"\0" not in (pending := self._received.lstrip(b"\0")):
            assert self._sim.time < simulated_end, (
                f"no frame; received {pending.hex() or 'nothing'}"
            )
            assert time.monotonic() < end, f"the simulator takes more than {LIMIT_S} s"
            self._received = pending + self.run(STEP)
        frame, self._received = pending.split(b"\0", 1)
        return parse(frame)

    def write_word(self, address: int, word: int) -> None:
        self._sim.write_u32(address, word)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._sim.read_memory(address, size))
