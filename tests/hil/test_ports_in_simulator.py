"""The STM32 ports started in simulators of their chips: labwired (PyPI) and QEMU.

Each port starts its clock and its UART, answers HELLO and runs a program once. labwired has clock
and power control whose status bits follow what the port writes, and UARTs without a clock until it
is enabled; QEMU's STM32 machines know less of either. Frames are made and read here, not by hil.

What labwired 0.25.0 lacks is added here, by the reference manuals:

- it reads VLDR literals from 4 bytes too low (its base is the instruction's address, not the PC,
  which is 4 further): images are built without FPU instructions (-mgeneral-regs-only), though the
  FPU is enabled;
- its STM32U5 has the power controller of another family, without the status of the supply's
  switch (PWR_SVMSR.REGS: RM0456, 10.10);
- its STM32F4 and F7 have no overdrive (PWR_CSR.ODRDY and ODSWRDY: RM0390, 5.4.2; RM0410, 4.4.2);
- its USART3 of the STM32F7 has the registers of an STM32F1: what the port writes to CR1 is sent as
  two bytes;
- some of its UARTs work without the clock that the RCC's APB1ENR, APB1LENR or APB2ENR enables;
- its STM32L4 has neither SRAM2 nor GPIOG; it stands for the L4R5, too, with that chip's RAM;
- its STM32H735 stands for the H743: the same registers at the same addresses (RM0468, RM0433).
"""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from helpers.checkout import ROOT
from helpers.machine import FAULT, HELLO, HELLO_REPLY, RUN, RUN_REPLY, Frame, Machine
from helpers.programs import PLUS_TWO, program
from helpers.simulator import Chip, Power, Simulator, package
from hil.board import load_board
from hil.codegen.build import build
from hil.target.target import Layout
from hil.types import Board, Image, Region

pytestmark = pytest.mark.usefixtures("watchdog")

PROGRAM_ID = 0x12345678  # of helpers.programs
NO_FPU_INSTRUCTIONS = "-mgeneral-regs-only"
INPUTS, OUTPUTS = bytes([1, 2, 3, 4]), bytes([3, 4, 5, 6])  # PLUS_TWO adds 2
COUNTERS = {"insn": 1, "dwt": 2, "systick": 3}  # as HELLO_REPLY has them: firmware/cycles.h

# PWR_CR.VOS and PWR_CSR.VOSRDY, ODEN and ODRDY, ODSWEN and ODSWRDY (RM0390, 5.4; RM0410, 4.4)
SCALE_READY = ("CR", 1 << 14, "CSR", 1 << 14)
OVERDRIVE_READY = ("CR", 1 << 16, "CSR", 1 << 16)
OVERDRIVE_SWITCHED = ("CR", 1 << 17, "CSR", 1 << 17)
F4_POWER = Power({"CR": 0, "CSR": 4}, (SCALE_READY, OVERDRIVE_READY, OVERDRIVE_SWITCHED))
# REGSEL and REGS, VOS and VOSRDY, BOOSTEN and BOOSTRDY (RM0456, 10.10)
SUPPLY_SWITCHED = ("CR3", 1 << 1, "SVMSR", 1 << 1)
RANGE_READY = ("VOSR", 3 << 16, "VOSR", 1 << 15)
BOOST_READY = ("VOSR", 1 << 18, "VOSR", 1 << 14)
U5_POWER = Power(
    {"CR3": 0x08, "VOSR": 0x0C, "SVMSR": 0x3C}, (SUPPLY_SWITCHED, RANGE_READY, BOOST_READY)
)


def clocked(uart: str, register: str, bit: int, **config: str) -> dict[str, dict[str, object]]:
    """A UART that is dead until its bit in a register of the RCC is set, which the chip lacks."""
    facts: dict[str, object] = {"clock": {"reg": register, "bit": bit}}
    return {uart: facts | ({"config": config} if config else {})}


CHIPS = {
    "nucleo-f103rb": Chip("stm32f103", "uart2", peripherals=clocked("uart2", "apb1enr", 17)),
    "nucleo-g071rb": Chip("stm32g071", "usart2"),
    "stm32f405": Chip("stm32f405", "uart1", peripherals=clocked("uart1", "apb2enr", 4)),
    "nucleo-f446re": Chip(
        "stm32f405", "uart2", peripherals=clocked("uart2", "apb1enr", 17), power=F4_POWER
    ),
    "nucleo-l476rg": Chip(
        "stm32l476",
        "uart2",
        memory={"memory_regions": [{"name": "sram2", "base": 0x10000000, "size": "32KB"}]},
    ),
    "nucleo-l4r5zi": Chip(
        "stm32l476",
        "lpuart1",
        memory={"ram": {"base": 0x20000000, "size": "640KB"}},
        peripherals={
            "gpiog": {
                "type": "gpio",
                "base_address": 0x48001800,
                "size": "1KB",
                "config": {"profile": "stm32v2"},
                "clock": {"reg": "ahb2enr", "bit": 6},
            }
        },
    ),
    "nucleo-f767zi": Chip(
        "stm32f767",
        "usart3",
        peripherals=clocked("usart3", "apb1enr", 18, profile="stm32v2"),
        power=F4_POWER,
    ),
    "nucleo-h743zi2": Chip("stm32h735", "usart3", peripherals=clocked("usart3", "apb1lenr", 18)),
    "nucleo-u575zi-q": Chip("stm32u575", "usart1", power=U5_POWER),
}
NOT_SIMULATED = {"nucleo-h7a3zi-q"}  # docs/bench.md says so
# Chips with a power controller one of whose status bits never comes
POWER_FAILURES = {
    ("nucleo-f446re", "overdrive"): (F4_POWER, OVERDRIVE_READY),
    ("nucleo-f767zi", "overdrive switch"): (F4_POWER, OVERDRIVE_SWITCHED),
    ("nucleo-u575zi-q", "supply"): (U5_POWER, SUPPLY_SWITCHED),
    ("nucleo-u575zi-q", "booster"): (U5_POWER, BOOST_READY),
}


@dataclass(frozen=True)
class QemuMachine:
    """A machine of QEMU for a board's port; `ram_bytes` where it has less RAM than the board."""

    name: str
    serial_line: int
    ram_bytes: int | None = None
    turn_main_loop: bool = False


# None has the wait states' register or power control, so each status bit is read once.
MACHINES = [
    ("stm32f405", QemuMachine("netduinoplus2", 0)),
    ("stm32f405", QemuMachine("olimex-stm32-h405", 0)),
    ("nucleo-f446re", QemuMachine("netduinoplus2", 1)),  # the F4 port on USART2
    ("nucleo-f103rb", QemuMachine("stm32vldiscovery", 1, ram_bytes=8 << 10)),
    ("nucleo-l476rg", QemuMachine("b-l475e-iot01a", 1, turn_main_loop=True)),
]


def with_settings(board: Board, **settings: int) -> Board:
    return replace(board, port_settings=tuple((dict(board.port_settings) | settings).items()))


def simulated(name: str) -> Board:
    """The board as its file says, waiting for every status bit, without FPU instructions."""
    board = load_board(name)
    if "STATUS_BITS_MISSING" in dict(board.port_settings):
        board = with_settings(board, STATUS_BITS_MISSING=0)
    if "fpu" in board.features:
        board = replace(board, compiler_flags=(*board.compiler_flags, NO_FPU_INSTRUCTIONS))
    return board


def check_answers(
    image: Image, ask: Callable[..., Frame], read: Callable[[int, int], bytes]
) -> None:
    """HELLO and a run, over the UART: id, sizes, staging memory, counter; outputs and their CRC."""
    board, staging = image.board, image.staging
    hello = ask(HELLO, sequence=0x1234)
    assert (hello.type, hello.sequence) == (HELLO_REPLY, 0x1234)
    assert hello.words[:5] == (PROGRAM_ID, 4, 4, staging.origin, staging.length_bytes)
    assert hello.words[5] in (0, COUNTERS[board.counter])  # 0: a counter that stands still
    layout = Layout.within(staging, 1, 4, 4)
    run = ask(RUN, *struct.unpack("<6I", layout.request.pack()), sequence=0x1235)
    assert (run.type, run.sequence) == (RUN_REPLY, 0x1235)
    status, _, _, crc = run.words
    assert (status, crc) == (0, zlib.crc32(OUTPUTS))
    assert read(layout.outputs.origin, 4) == OUTPUTS


def test_each_board_is_started_or_known_to_have_no_simulator() -> None:
    names = {path.stem for path in (ROOT / "boards").glob("nucleo-*.toml")}
    assert names - set(CHIPS) == NOT_SIMULATED


@pytest.mark.parametrize("name", CHIPS)
def test_the_port_starts_in_labwired(name: str, tmp_path: Path) -> None:
    package()
    board = simulated(name)
    image = build(program(board, PLUS_TWO), board, tmp_path)
    with Simulator(CHIPS[name], image.elf, tmp_path) as simulator:
        assert simulator.run("1ms") == b""  # nothing is sent unasked
        inputs = Layout.within(image.staging, 1, 4, 4).inputs.origin
        simulator.write_word(inputs, int.from_bytes(INPUTS, "little"))
        check_answers(image, simulator.ask, simulator.read)


@pytest.mark.parametrize(("name", "what"), POWER_FAILURES)
def test_a_power_controller_that_never_gets_ready_is_a_fault(
    name: str, what: str, tmp_path: Path
) -> None:
    package()
    power, missing = POWER_FAILURES[name, what]
    rules = [rule for rule in power.rules if rule != missing]
    board = simulated(name)
    image = build(program(board, PLUS_TWO), board, tmp_path)
    chip = replace(CHIPS[name], power=replace(power, rules=rules))
    with Simulator(chip, image.elf, tmp_path) as simulator:
        fault = simulator.receive()
    assert fault.type == FAULT
    with image.elf.open("rb") as stream:
        start = ELFFile(stream).get_section_by_name(".symtab").get_symbol_by_name("port_start")[0]
    begin = start["st_value"] & ~1
    assert begin <= fault.words[0] < begin + start["st_size"]


@functools.cache
def qemu_machines() -> str:
    program_path = shutil.which("qemu-system-arm")
    if program_path is None:
        return ""
    command = [program_path, "-machine", "help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.mark.parametrize(
    ("name", "machine"), MACHINES, ids=lambda value: getattr(value, "name", value)
)
def test_the_port_starts_in_qemu(name: str, machine: QemuMachine, tmp_path: Path) -> None:
    if f"\n{machine.name} " not in qemu_machines():
        pytest.skip(f"this QEMU has no machine {machine.name}")
    board = with_settings(load_board(name), STATUS_BITS_MISSING=1)
    board = replace(board, machine=machine.name)
    if machine.ram_bytes is not None:
        board = replace(board, ram=Region(board.ram.origin, machine.ram_bytes))
    image = build(program(board, PLUS_TWO), board, tmp_path)
    inputs = Layout.within(image.staging, 1, 4, 4).inputs.origin
    word = int.from_bytes(INPUTS, "little")
    loader = ("-device", f"loader,addr={inputs:#x},data={word:#x},data-len=4")
    with Machine(
        image,
        tmp_path,
        arguments=loader,
        serial_line=machine.serial_line,
        turn_main_loop=machine.turn_main_loop,
    ) as running:
        check_answers(image, running.ask, running.read)
